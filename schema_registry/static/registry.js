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

// A topic that is followed: new records stand on top, the oldest go, and whoever reads one can pause.
const records = document.getElementById("records");
if (records && window.htmx) {
  const pause = document.getElementById("pause");
  const word = pause.querySelector("span");
  const go = word.textContent;
  const state = document.getElementById("following");
  let paused = false;
  const say = () => {
    state.textContent = paused ? state.dataset.paused : state.dataset.following;
    word.textContent = paused ? pause.dataset.resume : go;
  };
  pause.hidden = false;
  say();
  pause.addEventListener("click", () => { paused = !paused; say(); });
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "news" && (paused || document.hidden)) event.preventDefault();
  });
  document.body.addEventListener("htmx:oobAfterSwap", () => {
    document.getElementById("nothing")?.remove();
    while (records.children.length > Number(records.dataset.most)) records.lastElementChild.remove();
  });
}
