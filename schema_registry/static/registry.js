// Copying of examples and code. Without scripts the buttons stay hidden and the text can be selected.
for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const label = button.querySelector("span");
  const word = label.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    label.textContent = button.dataset.copied;
    setTimeout(() => { label.textContent = word; }, 2000);
  });
}
