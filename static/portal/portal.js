// What every page of the portal can do beyond its HTML. Without JavaScript each of these has a page or a text instead.
"use strict";

// The portal's policy forbids styles in the page; htmx would add some for indicators that we do not use.
if (window.htmx) window.htmx.config.includeIndicatorStyles = false;

// Copies the text of the element that a button names; without JavaScript the text can still be selected.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copies]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copies);
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    button.textContent = "Press Ctrl or ⌘ and C";
  }
});

// Times are written in UTC; a browser shows them in its own zone, and UTC on hover.
(() => {
  const day = { year: "numeric", month: "2-digit", day: "2-digit" };
  const minute = { ...day, hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const second = { ...minute, second: "2-digit" };
  const SHAPES = { day, minute, second, exact: { ...second, fractionalSecondDigits: 3 } };

  function localize(root) {
    for (const element of root.querySelectorAll("time[data-shape]")) {
      const time = new Date(element.dateTime);
      const shape = SHAPES[element.dataset.shape];
      if (!shape || Number.isNaN(time.getTime())) continue;
      element.title = element.textContent.trim();
      element.textContent = time.toLocaleString("sv-SE", shape).replace(",", ".");
      element.removeAttribute("data-shape");
    }
  }
  window.portal = { localize };
  document.addEventListener("DOMContentLoaded", () => localize(document));
})();

// The stop button opens its page as a dialog. If anything is odd, it simply goes to the page.
(() => {
  let dialog = null;

  function frame() {
    if (dialog) return dialog;
    dialog = document.createElement("dialog");
    dialog.className = "portal portal-dialog";
    dialog.setAttribute("aria-labelledby", "stop-title");
    const content = document.createElement("div");
    const close = document.createElement("button");
    close.type = "button";
    close.className = "portal-button small";
    close.textContent = "Close";
    close.addEventListener("click", () => dialog.close());
    dialog.append(content, close);
    document.body.append(dialog);
    return dialog;
  }

  async function ask(address, options = {}) {
    const answer = await fetch(address, { ...options, headers: { "X-Part": "dialog" }, redirect: "error" });
    const html = await answer.text();
    if (answer.status >= 500 || !html.includes("stop-title")) throw new Error(String(answer.status));
    const content = frame().firstElementChild;
    content.innerHTML = html;
    window.portal.localize(content);
    if (!dialog.open) dialog.showModal();
    content.querySelector("[data-focus]")?.focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-stop]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    ask(link.href).catch(() => location.assign(link.href));
  });

  document.addEventListener("submit", (event) => {
    const form = event.target.closest("dialog form[data-stop-form]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    ask(form.action, { method: "POST", body: new FormData(form) }).catch(() => form.submit());
  });

  // Who writes a name means the choice beside it.
  document.addEventListener("input", (event) => {
    const choice = event.target.dataset?.chooses;
    if (choice) document.getElementById(choice).checked = true;
  });
})();

// The theme opens its menus, filters and search by clicks on elements that no key reaches: they become buttons.
// Its icons are words in a font, which nobody should hear read out.
document.addEventListener("DOMContentLoaded", () => {
  const ICONS = { add: "Add", approval: "Desk", close: "Close the menu", dock_to_right: "Menu", search: "Search",
    visibility: "Show the password" };
  const name = (element, icon) => element.setAttribute("aria-label", ICONS[icon] || icon.replaceAll("_", " "));
  const OWN_KEYS = "a[href], button, input, select, textarea, label, summary, #changelist-filter-close";
  for (const each of document.querySelectorAll("[x-on\\:click]")) {
    if (each.matches(OWN_KEYS) || each.querySelector(OWN_KEYS)) continue;
    each.tabIndex = 0;
    each.setAttribute("role", "button");
    if (each.matches(".material-symbols-outlined")) name(each, each.textContent.trim());
    each.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      each.click();
    });
  }
  for (const icon of document.querySelectorAll(".material-symbols-outlined:not([role=button])")) {
    icon.setAttribute("aria-hidden", "true");
    const about = icon.closest("a, button");
    if (!about || about.title || about.ariaLabel) continue;
    const words = [...about.querySelectorAll(".material-symbols-outlined")].map((each) => each.textContent.trim());
    if (about.textContent.trim().split(/\s+/).every((word) => words.includes(word))) name(about, words[0]);
  }
});
