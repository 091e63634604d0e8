// What pages do beyond plain HTML: toasts, questions before serious steps, names of people, failures of htmx.
// Every page works without this file.
"use strict";

(() => {
  const body = document.body;
  const TOAST_MS = 6000;
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
    document.getElementById("toasts").append(toast);
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
})();
