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
