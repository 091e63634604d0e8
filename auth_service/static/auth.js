// Passkeys: asks the browser for one and sends what it answers. Without this file a password still signs in.
"use strict";
(() => {
  const supported = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON;

  const post = async (path, body) => {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.detail || told.title);
    return told;
  };

  const say = (box, text) => {
    const place = box.querySelector("[data-passkey-error]");
    place.textContent = text;
    place.hidden = !text;
  };

  const signIn = async (box) => {
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(await post(box.dataset.begin));
    const credential = await navigator.credentials.get({ publicKey: options });
    return post(box.dataset.finish, { next: box.dataset.next, credential: credential.toJSON() });
  };

  const add = async (box) => {
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(await post(box.dataset.begin));
    const credential = await navigator.credentials.create({ publicKey: options });
    const name = box.querySelector("input[name=passkey_name]").value;
    return post(box.dataset.finish, { name, credential: credential.toJSON() });
  };

  for (const box of document.querySelectorAll("[data-passkey]")) {
    box.hidden = !supported;
    box.addEventListener("submit", async (event) => {
      event.preventDefault();
      const button = box.querySelector("button");
      say(box, "");
      button.disabled = true;
      try {
        const told = await (box.dataset.passkey === "add" ? add(box) : signIn(box));
        window.location.assign(told.location);
      } catch (error) {
        // Closing the browser's own window is no failure.
        if (error.name !== "NotAllowedError" && error.name !== "AbortError") {
          say(box, error.name === "InvalidStateError" ? box.dataset.known : error.message);
        }
        button.disabled = false;
      }
    });
  }
})();
