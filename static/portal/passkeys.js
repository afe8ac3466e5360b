// Passkeys: a button asks the portal what the browser is to sign, and sends the browser's answer with its form. Without
// JavaScript, or without passkeys in the browser, the button is not shown; a code does the same.
"use strict";

(() => {
  const bytes = (text) => {
    const whole = text.replaceAll("-", "+").replaceAll("_", "/");
    return Uint8Array.from(atob(whole), (letter) => letter.charCodeAt(0));
  };
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const named = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

  function readable(options) {
    const key = { ...options, challenge: bytes(options.challenge) };
    if (key.user) key.user = { ...key.user, id: bytes(key.user.id) };
    if (key.excludeCredentials) key.excludeCredentials = named(key.excludeCredentials);
    if (key.allowCredentials) key.allowCredentials = named(key.allowCredentials);
    return key;
  }

  function told(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    }
    const { id, type } = credential;
    return JSON.stringify({ id, rawId: text(credential.rawId), type, response, clientExtensionResults: {} });
  }

  async function press(button) {
    const form = button.form;
    const problem = form.querySelector("[data-passkey-problem]");
    problem.textContent = "";
    try {
      const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
      const answer = await fetch(button.dataset.options, { method: "POST", headers });
      if (answer.redirected) return location.assign(answer.url); // to where one confirms who one is
      if (!answer.ok) throw new Error("The portal does not answer; load this page again.");
      const options = readable((await answer.json()).publicKey);
      const credential = await navigator.credentials[button.dataset.passkey]({ publicKey: options });
      form.elements.passkey.value = told(credential);
      form.submit();
    } catch (error) {
      problem.textContent = error.name === "NotAllowedError" ? "Nothing was confirmed; try again." : error.message;
    }
  }

  for (const button of document.querySelectorAll("[data-passkey]")) {
    if (!window.PublicKeyCredential) continue;
    button.hidden = false;
    button.addEventListener("click", () => {
      const name = button.form.elements.name;
      if (!(name instanceof HTMLInputElement) || name.reportValidity()) press(button);
    });
  }
})();
