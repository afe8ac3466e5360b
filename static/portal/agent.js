// The pages of one agent: what it did lately is fetched anew when the log grew by an entry of its own.
"use strict";

(() => {
  const PAUSE = 700; // milliseconds between two fetches at least
  const FIRST_WAIT = 500, LONGEST_WAIT = 15000; // before a reconnection; doubled each time
  const SILENCE = 25000; // without a message (the server speaks every 10 s) until we reconnect

  const part = document.querySelector("[data-part]");
  if (!part) return;
  let cursor = Number(part.dataset.after);
  let wait = FIRST_WAIT;
  let silence = 0;
  let due = false; // something happened since the last fetch began
  let busy = false;

  const mark = (on) => part.querySelectorAll("[data-live]").forEach((badge) => { badge.hidden = !on; });

  const inUse = () => part.contains(document.activeElement); // nothing moves under somebody's keyboard

  async function refresh() {
    if (busy) return;
    busy = true;
    while (due && !inUse()) {
      due = false;
      try {
        const answer = await fetch(part.dataset.part, { credentials: "same-origin", redirect: "error" });
        const text = await answer.text();
        if (answer.ok && !inUse()) {
          part.innerHTML = text;
          window.portal?.localize(part);
          mark(true);
        }
      } catch {
        // The next entry, or a reload, shows it.
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    busy = false;
  }

  part.addEventListener("focusout", () => setTimeout(refresh, 0));

  function take(message) {
    if (!message.entries.length) return;
    cursor = message.entries[message.entries.length - 1].index;
    if (!message.entries.some((entry) => entry.agent === part.dataset.agent)) return;
    due = true;
    refresh();
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const query = new URLSearchParams({ workspace: part.dataset.workspace, after: cursor });
    const socket = new WebSocket(`${scheme}//${location.host}/ws/feed/?${query}`);
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), SILENCE);
    };
    socket.onopen = alive;
    socket.onmessage = (event) => {
      alive();
      wait = FIRST_WAIT;
      mark(true);
      take(JSON.parse(event.data));
      socket.send(JSON.stringify({ seen: cursor }));
    };
    socket.onclose = (event) => {
      clearTimeout(silence);
      mark(false);
      if (event.code >= 4400 && event.code < 4500) return; // signed out, or not visible any more
      setTimeout(connect, wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    };
  }

  connect();
})();
