// What pages do beyond plain HTML: toasts, questions before serious steps, names of people, failures of htmx.
// Every page works without this file.
"use strict";

(() => {
  const body = document.body;
  const TOAST_MS = 6000;
  const TOASTS_MAX = 3;
  const PEOPLE_AT_ONCE = 100;

  // ------------------------------------------------------------------ toasts

  function furnish(toast) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "toast-close";
    close.setAttribute("aria-label", body.dataset.textClose);
    close.textContent = "×";
    close.addEventListener("click", () => toast.remove());
    toast.append(close);
    // Failures stay until they are read and closed; good news may pass.
    if (!toast.classList.contains("toast-error")) {
      let timer = setTimeout(() => toast.remove(), TOAST_MS);
      toast.addEventListener("pointerenter", () => clearTimeout(timer));
      toast.addEventListener("pointerleave", () => { timer = setTimeout(() => toast.remove(), TOAST_MS); });
    }
  }

  function tell(text, kind) {
    const toast = document.createElement("div");
    toast.className = `toast toast-${kind}`;
    const line = document.createElement("p");
    line.textContent = text;
    toast.append(line);
    furnish(toast);
    const toasts = document.getElementById("toasts");
    toasts.append(toast);
    // News that come faster than they can be read must not cover a phone's screen.
    [...toasts.querySelectorAll(".toast:not(.toast-error)")].slice(0, -TOASTS_MAX).forEach((old) => old.remove());
  }

  document.querySelectorAll(".toast").forEach(furnish);
  body.addEventListener("toast", (event) => tell(event.detail.text, event.detail.kind));
  body.addEventListener("htmx:sendError", () => tell(body.dataset.textOffline, "error"));
  body.addEventListener("htmx:timeout", () => tell(body.dataset.textOffline, "error"));
  body.addEventListener("htmx:responseError", (event) => {
    const answer = event.detail.xhr;
    // Our own failures bring their words with them; others (a gateway's) do not. A form that comes back with
    // its errors beside the fields needs no further words.
    const shown = (answer.getResponseHeader("Content-Type") || "").startsWith("text/html") && answer.status === 422;
    if (!answer.getResponseHeader("HX-Trigger") && !shown) tell(body.dataset.textFailed, "error");
  });
  // A problem document is not content, whatever its status.
  body.addEventListener("htmx:beforeSwap", (event) => {
    const kind = event.detail.xhr.getResponseHeader("Content-Type") || "";
    if (kind.startsWith("application/problem+json")) event.detail.shouldSwap = false;
  });

  // ------------------------------------------------------------------ questions, and one press is one request

  const confirmed = new WeakSet();
  const dialog = document.getElementById("confirm");

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const question = form.dataset.confirm;
    if (question && !confirmed.has(form)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      dialog.querySelector("#confirm-question").textContent = question;
      const yes = dialog.querySelector("[data-yes]");
      yes.dataset.plain ??= yes.textContent;
      yes.textContent = form.dataset.confirmLabel || yes.dataset.plain;
      // The answer looks as serious as the button that asked.
      const serious = Boolean(event.submitter?.classList.contains("button-danger"));
      yes.classList.toggle("button-danger", serious);
      yes.classList.toggle("button-primary", !serious);
      dialog.returnValue = "no";
      dialog.addEventListener("close", () => {
        if (dialog.returnValue !== "yes") return;
        confirmed.add(form);
        form.requestSubmit(event.submitter);
      }, { once: true });
      dialog.showModal();
      return;
    }
    confirmed.delete(form);
    if (form.method !== "post") return;
    if (form.getAttribute("aria-busy") === "true") {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    form.setAttribute("aria-busy", "true");
  }, true);

  body.addEventListener("htmx:afterRequest", (event) => {
    event.target.closest?.("form")?.removeAttribute("aria-busy");
  });
  // A page that comes back from the browser's memory must not stay locked.
  window.addEventListener("pageshow", () => {
    document.querySelectorAll('form[aria-busy="true"]').forEach((form) => form.removeAttribute("aria-busy"));
  });

  // ------------------------------------------------------------------ names of people

  // Names never travel in events: they are asked of the one service that knows them, by the browser that
  // may see them, and live no longer than the page.
  const names = new Map();

  async function askNames(guids) {
    const answer = await fetch(`${body.dataset.people}?ids=${guids.join(",")}`, {
      credentials: "include",
      // No header of our own: where services live on hosts of their own it would cost a preflight each time.
      headers: { Accept: "application/json" },
    });
    if (!answer.ok) return;
    for (const [guid, name] of Object.entries(await answer.json())) names.set(guid, name);
  }

  async function nameEverybody() {
    if (!body.dataset.people) return;
    const waiting = [...document.querySelectorAll("[data-person]")];
    const unknown = [...new Set(waiting.map((place) => place.dataset.person))].filter((guid) => guid && !names.has(guid));
    try {
      for (let begin = 0; begin < unknown.length; begin += PEOPLE_AT_ONCE) {
        await askNames(unknown.slice(begin, begin + PEOPLE_AT_ONCE));
      }
    } catch {
      return; // The short codes stay; the page is whole without the names.
    }
    for (const place of waiting) {
      const name = names.get(place.dataset.person);
      if (name && place.textContent !== name) place.textContent = name;
    }
  }

  document.addEventListener("htmx:afterSettle", nameEverybody);
  nameEverybody();

  // "Show more" gives way to the rows it has brought: whoever pressed it goes on at the first of them.
  body.addEventListener("htmx:beforeSwap", (event) => {
    const pager = event.detail.target;
    if (!pager.matches(".pager") || !pager.contains(document.activeElement)) return;
    const [above, rows] = [pager.previousElementSibling, pager.parentElement];
    body.addEventListener("htmx:afterSwap", () => {
      const first = above ? above.nextElementSibling : rows.firstElementChild;
      first?.querySelector("a, button, summary")?.focus({ preventScroll: true });
    }, { once: true });
  });

  // The menu of further places closes like one.
  document.addEventListener("click", (event) => {
    document.querySelectorAll("details.further[open]").forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelectorAll("details.further[open]").forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  // ------------------------------------------------------------------ live updates

  // The stream says which topics have changed; the page asks for its own parts again and takes over what
  // differs. A part is an element with an id and `data-live="topic"`; inside it, rows with ids are compared
  // one by one, so that focus, scrolling and what was loaded further down stay.
  const HIDDEN_MS = 10_000;
  const OFFLINE_MS = 3000;
  const AGAIN_MS = [500, 30_000];
  const LATER_MS = 2000;
  const ROWS_MAX = 200;
  const SAID_MS = 8000;
  const BREATH_MS = 700;
  const BREATH_BY_ANSWER = 5;
  const banner = document.getElementById("connection");
  const spoken = document.getElementById("spoken");
  let stream = null;
  let mark = body.dataset.liveSince;
  let wait = AGAIN_MS[0];
  let again = 0;
  let hiding = 0;
  let cut = 0;
  let later = 0;
  const wanted = new Set();
  let asking = false;

  function follow() {
    clearTimeout(again);
    if (stream || !body.dataset.liveOn || document.hidden) return;
    const address = new URL(body.dataset.liveUrl, location.href);
    for (const name of body.dataset.liveOn.split(" ")) address.searchParams.append("on", name);
    address.searchParams.set("since", mark);
    stream = new EventSource(address);
    // An open stream is not yet one that follows along: it may have to say that nobody is signed in.
    stream.addEventListener("here", (event) => { mark = event.lastEventId || mark; connected(); });
    stream.addEventListener("signed-out", signedOut);
    stream.addEventListener("changed", (event) => {
      mark = event.lastEventId || mark;
      for (const name of event.data.split(" ")) wanted.add(name);
      keepUp();
    });
    stream.addEventListener("error", () => {
      disconnected();
      // The browser tries again by itself unless the answer was no stream, as a gateway's is.
      if (stream?.readyState === EventSource.CLOSED) unfollow(true);
    });
  }

  // At once, but then not again before a breath, the longer the harder the answer was: a busy exchange must not
  // keep every open page busy, nor an open page with dear figures the exchange.
  async function keepUp() {
    if (asking) return;
    asking = true;
    clearTimeout(later);
    let names = [];
    try {
      while (wanted.size) {
        names = [...wanted];
        wanted.clear();
        const asked = performance.now();
        await refresh(names);
        const breath = Math.max(BREATH_MS, BREATH_BY_ANSWER * (performance.now() - asked));
        if (stream?.readyState === EventSource.OPEN) connected();
        await new Promise((resolve) => { setTimeout(resolve, breath); });
      }
    } catch {
      // The stream will not name them again: its mark has moved on.
      for (const name of names) wanted.add(name);
      disconnected();
      later = setTimeout(keepUp, LATER_MS * (0.75 + Math.random() / 2));
    } finally {
      asking = false;
    }
  }

  function unfollow(andAgain) {
    stream?.close();
    stream = null;
    clearTimeout(again);
    if (!andAgain) return;
    again = setTimeout(follow, wait * (0.75 + Math.random() / 2));
    wait = Math.min(wait * 2, AGAIN_MS[1]);
  }

  function connected() {
    wait = AGAIN_MS[0];
    clearTimeout(cut);
    cut = 0;
    if (wanted.size) keepUp();
    if (!banner.textContent) return;
    banner.textContent = "";
    tell(body.dataset.textBack, "info");
  }

  function disconnected() {
    cut ||= setTimeout(() => { banner.textContent = body.dataset.textCut; }, navigator.onLine ? OFFLINE_MS : 0);
  }

  // The page stays as it is, with what is half typed in it; whoever signs in again in another tab finds it
  // following along as before.
  function signedOut() {
    unfollow(false);
    clearTimeout(cut);
    cut = 0;
    banner.replaceChildren(document.getElementById("signed-out").content.cloneNode(true));
  }

  async function refresh(names) {
    const parts = [...document.querySelectorAll("[data-live]")]
      .filter((part) => part.id && part.dataset.live.split(" ").some((name) => names.includes(name)));
    const addresses = new Map();
    for (const part of parts) {
      const address = new URL(part.dataset.liveFrom || location.href, location.href);
      const rows = part.querySelectorAll("tr[id]").length;
      if (rows && !address.searchParams.has("limit")) address.searchParams.set("limit", Math.min(Math.max(rows + 5, 50), ROWS_MAX));
      addresses.set(address.href, [...(addresses.get(address.href) || []), part]);
    }
    for (const [address, waiting] of addresses) {
      const answer = await fetch(address, { headers: { "HX-Request": "true", Accept: "text/html" }, credentials: "same-origin" });
      if (answer.status >= 500) throw new Error(`${answer.status} for a part of this page`);
      if (!answer.ok || answer.headers.has("HX-Redirect")) continue;
      const text = await answer.text();
      const fresh = new DOMParser().parseFromString(`<body>${text}</body>`, "text/html");
      for (const part of waiting) {
        const found = fresh.getElementById(part.id);
        if (found && part.isConnected) takeOver(part, found);
      }
    }
    nameEverybody();
  }

  function takeOver(part, found) {
    const rows = part.querySelector("tbody[id]");
    const freshRows = rows && found.querySelector(`#${CSS.escape(rows.id)}`);
    if (freshRows && part.dataset.liveRows !== undefined) return compareRows(part, rows, freshRows);
    if (part.innerHTML === found.innerHTML) return;
    if (found.dataset.says) say(part, found.dataset.says);
    const figures = [...part.querySelectorAll(".tile dd:not(.hint)")].map((figure) => figure.textContent);
    const typing = part.querySelector("input:focus, textarea:focus, select:focus");
    if (typing) return;
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    const came = part.dataset.liveRows === undefined ? [] : titles(found.querySelectorAll("tr[data-title]"));
    const left = part.dataset.liveRows === undefined ? [] : titles(part.querySelectorAll("tr[data-title]:not([data-done])"));
    part.innerHTML = found.innerHTML;
    [...part.querySelectorAll(".tile dd:not(.hint)")].forEach((figure, at) => figure.classList.toggle("came", figure.textContent !== figures[at]));
    htmx.process(part);
    if (held) (sameIn(part, held) || document.getElementById("main")).focus({ preventScroll: true });
    sayWhatMoved(part, came, left);
  }

  // What had the focus before its part was made anew: by its id, by where it leads, else by its words.
  function sameIn(part, held) {
    if (held.id) return document.getElementById(held.id);
    const href = held.getAttribute("href");
    return [...part.querySelectorAll(held.tagName)]
      .find((one) => one.getAttribute("href") === href && (href || one.textContent === held.textContent));
  }

  // A figure that moves all the time is said now and then, in its latest state.
  let saying = 0;
  let lastSaid = 0;

  function say(part, text) {
    if (part.dataset.says === text) return;
    part.dataset.says = text;
    saying ||= setTimeout(() => {
      saying = 0;
      lastSaid = Date.now();
      spoken.textContent = part.dataset.says;
    }, Math.max(0, lastSaid + SAID_MS - Date.now()));
  }

  function compareRows(part, rows, freshRows) {
    const found = [...freshRows.querySelectorAll(":scope > tr[id]")];
    const pager = rows.querySelector(":scope > .pager");
    const known = found.findLastIndex((row) => document.getElementById(row.id));
    const ids = new Set(found.map((row) => row.id));
    const standing = [...rows.querySelectorAll(":scope > tr[id]:not([data-done])")];
    const tail = standing.at(-1);
    // The page goes on to end where it ended, as long as that row is there.
    const endsHere = Boolean(pager && tail && ids.has(tail.id));
    const fresh = endsHere ? found.slice(0, known + 1) : found;
    const more = freshRows.querySelector(":scope > .pager");
    // With nothing in common, what stood here may lie further down as well as be gone.
    const allNew = more && known < 0;
    const last = found.at(-1);
    const lastHere = last && rows.querySelector(`#${CSS.escape(last.id)}`);
    // A page longer than what is asked for keeps what was loaded further down.
    const longer = lastHere && found.length < standing.length;
    const left = [];
    const came = [];
    for (const row of standing) {
      // Beyond the part that was asked for nothing is known.
      const beyond = more && lastHere && (lastHere.compareDocumentPosition(row) & Node.DOCUMENT_POSITION_FOLLOWING);
      if (ids.has(row.id) || (beyond && longer)) continue;
      if (!allNew && !beyond) left.push(row.dataset.title);
      const next = row.nextElementSibling || row.previousElementSibling;
      const held = row.contains(document.activeElement);
      row.remove();
      if (held) (next?.querySelector("a, button") || document.getElementById("main")).focus();
    }
    let before = null;
    for (const [at, row] of fresh.entries()) {
      const here = rows.querySelector(`#${CSS.escape(row.id)}`);
      if (!here) {
        // What lay below the last row of this page is not new, it was only further down.
        if (!pager || known < 0 || at <= known) {
          row.classList.add("came");
          came.push(row.dataset.title);
        }
        rows.insertBefore(document.adoptNode(row), before ? before.nextSibling : rows.firstChild);
        htmx.process(row);
        before = row;
      } else {
        if (here.dataset.state !== row.dataset.state && !here.contains(document.activeElement)) {
          here.replaceWith(document.adoptNode(row));
          htmx.process(row);
          before = row;
        } else before = here;
      }
    }
    // Whatever else became of the end, the list goes on behind the last row that stands here now.
    if (!endsHere && !longer) {
      pager?.remove();
      if (more) {
        rows.append(document.adoptNode(more));
        htmx.process(more);
      }
    }
    sayWhatMoved(part, came, left, more ? "+" : "");
  }

  const titles = (rows) => [...rows].map((row) => row.dataset.title);

  // `further` marks a number as the least there are, where not all were looked at.
  function sayWhatMoved(part, came, left, further = "") {
    const say = (all, one, many) => {
      const named = all.filter(Boolean);
      if (!named.length || !one) return;
      tell(named.length === 1 ? one.replace("{title}", named[0]) : many.replace("{n}", named.length + further), "info");
    };
    const stays = new Set(came.filter((title) => left.includes(title)));
    say(came.filter((title) => !stays.has(title)), part.dataset.textCame, part.dataset.textCameMany);
    say(left.filter((title) => !stays.has(title)), part.dataset.textLeft, part.dataset.textLeftMany);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    // A stream is one of the few connections a browser has per host: pages nobody looks at leave theirs.
    if (document.hidden) hiding = setTimeout(() => unfollow(false), HIDDEN_MS);
    else follow();
  });
  window.addEventListener("online", () => { unfollow(false); follow(); });
  window.addEventListener("offline", disconnected);
  window.addEventListener("pagehide", () => unfollow(false));
  window.addEventListener("pageshow", follow);
  follow();

  // ------------------------------------------------------------------ keyboard

  const KEYS_OFF = "ates-keys-off";
  const keysDialog = document.getElementById("keys");
  const keysOn = document.getElementById("keys-on");
  if (keysOn) {
    keysOn.checked = !localStorage.getItem(KEYS_OFF);
    keysOn.addEventListener("change", () => {
      if (keysOn.checked) localStorage.removeItem(KEYS_OFF);
      else localStorage.setItem(KEYS_OFF, "1");
    });
  }
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-opens]");
    if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  });

  // What is typed into a field of a password may be looked at, on a phone above all; it is sent as it was hidden,
  // so that browsers offer to keep it and never remember it as a word.
  const reveal = (button, shown) => {
    document.getElementById(button.dataset.reveals).type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", shown);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-reveals]");
    if (button) reveal(button, button.getAttribute("aria-pressed") !== "true");
  });
  document.addEventListener("submit", (event) => {
    event.target.querySelectorAll("[data-reveals]").forEach((button) => reveal(button, false));
  }, true);

  // Where the browser lets nothing be copied the buttons stay hidden, and the text can be selected.
  for (const button of navigator.clipboard ? document.querySelectorAll("[data-copies]") : []) {
    const label = button.querySelector("span");
    const word = label.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
      label.textContent = button.dataset.copied;
      setTimeout(() => { label.textContent = word; }, 2000);
    });
  }

  function step(by) {
    const lines = [...document.querySelectorAll("main .table tbody tr")].filter((line) => line.querySelector("a"));
    if (!lines.length) return;
    const at = lines.findIndex((line) => line.classList.contains("at"));
    const to = lines[Math.min(Math.max(at + by, 0), lines.length - 1)];
    lines[at]?.classList.remove("at");
    to.classList.add("at");
    to.querySelector("a").focus();
    to.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || localStorage.getItem(KEYS_OFF)) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    const search = document.querySelector('main input[type="search"]');
    const doings = {
      j: () => step(1),
      k: () => step(-1),
      c: () => { if (body.dataset.newTask) location.href = body.dataset.newTask; },
      "/": () => { if (search) search.focus(); else if (body.dataset.search) location.href = body.dataset.search; },
      "?": () => keysDialog?.showModal(),
    };
    // On a keyboard of another alphabet the keys lie where they lie on ours.
    const doing = doings[event.key] || doings[{ KeyJ: "j", KeyK: "k", KeyC: "c" }[event.code]];
    if (!doing) return;
    event.preventDefault();
    doing();
  });
  if (location.hash === "#field-search") document.getElementById("field-search")?.focus();
})();
