// The inbox by keyboard and live, and the time that is left. Without JavaScript every call has its page.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const byId = (id) => document.getElementById(id);
  const list = byId("inbox-rows");
  const dialog = byId("inbox-answer"), help = byId("inbox-help"), news = byId("inbox-news");

  // The time that is left, by this machine's clock; the server's counts.
  const UNITS = [["day", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  function left(seconds) {
    if (seconds <= 0) return "time is over";
    const at = UNITS.findIndex(([, size]) => seconds >= size);
    return UNITS.slice(at, at + 2).map(([unit, size], place) => {
      const count = Math.floor(place ? (seconds % UNITS[at][1]) / size : seconds / size);
      return unit === "day" ? `${count} day${count === 1 ? "" : "s"}` : `${count} ${unit}`;
    }).join(" ") + " left";
  }
  function count() {
    for (const each of document.querySelectorAll("time[data-countdown]")) {
      const seconds = Math.floor((Date.parse(each.dateTime) - Date.now()) / 1000);
      const text = left(seconds);
      if (each.textContent !== text) each.textContent = text;
    }
  }
  count();
  setInterval(count, 1000);
  // On a phone, the way to the answer is not needed beside the answer.
  const jump = document.querySelector(".approval-jump");
  if (jump) {
    const step = new IntersectionObserver(([answer]) => { jump.hidden = answer.isIntersecting; });
    step.observe(byId("answer"));
  }
  if (!list) return;

  // Moving through the calls. Folded ones are skipped until they are opened.
  const rows = () => [...list.querySelectorAll("[data-row]")].filter((each) => !each.closest("[hidden]"));
  const current = () => rows().find((each) => each === document.activeElement);
  function move(step) {
    const all = rows(), at = all.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all[next]?.focus();
  }
  const opened = new Set();
  function fold() {
    for (const button of list.querySelectorAll(".inbox-unfold")) {
      const open = opened.has(button.dataset.row);
      button.setAttribute("aria-expanded", String(open));
      byId(button.getAttribute("aria-controls")).hidden = !open;
    }
  }
  list.addEventListener("click", (event) => {
    const button = event.target.closest(".inbox-unfold");
    if (!button) return;
    opened.has(button.dataset.row) ? opened.delete(button.dataset.row) : opened.add(button.dataset.row);
    fold();
  });
  fold();

  // One more look, then the answer.
  async function ask(row, decision) {
    if (!row.dataset.decide) return location.assign(row.href || location.href);
    const answer = await fetch(row.href, { headers: { "X-Part": "call" }, redirect: "error" });
    if (!answer.ok) return location.assign(row.href);
    byId("inbox-call").innerHTML = await answer.text();
    window.portal.localize(byId("inbox-call"));
    const approve = decision === "approve";
    dialog.classList.toggle("calm", approve);
    byId("inbox-answer-title").textContent = `${approve ? "Approve" : "Reject"} “${row.textContent.trim()}”?`;
    byId("inbox-comment-label").textContent = approve ? "Comment (the agent reads it)" : "Why not? (the agent reads it)";
    const form = dialog.querySelector("form"), button = form.querySelector("button[name=decision]");
    form.action = row.dataset.decide;
    form.elements.round.value = byId("inbox-call").querySelector("[data-round]").dataset.round;
    form.elements.comment.value = "";
    form.elements.comment.required = !approve;
    button.value = decision;
    button.textContent = approve ? "Approve this call once" : "Reject";
    button.className = `portal-button ${approve ? "approve" : "stop"}`;
    dialog.showModal();
    form.elements.comment.focus();
  }
  for (const each of document.querySelectorAll("[data-close]")) {
    each.addEventListener("click", () => each.closest("dialog").close());
  }
  for (const each of [dialog, help]) {
    let before = null;
    each.addEventListener("toggle", (event) => { if (event.newState === "open") before = before || current(); });
    each.addEventListener("close", () => { before?.focus(); before = null; });
  }

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    a: () => current()?.href && ask(current(), "approve"),
    r: () => current()?.href && ask(current(), "reject"),
    "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // Live: a message says only that a log grew; then the list is asked for anew.
  if (list.hasAttribute("data-still")) return;
  const SOON = 300, RARELY = 30000, FIRST_WAIT = 1000, LONGEST_WAIT = 30000; // milliseconds
  let timer = 0, asking = false, again = false;
  const names = () => new Set(rows().concat([...list.querySelectorAll("[hidden] [data-row]")]).map((each) => each.dataset.row));

  async function refresh() {
    const busy = dialog.open || list.querySelector("input:checked, input:focus");
    if (document.hidden || busy) return soon(RARELY);
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Part": "rows" }, redirect: "error" });
      if (answer.ok && !dialog.open) put(await answer.text());
    } catch {
      // The server is away, or the person signed out: the next look tries again.
    }
    asking = false;
    soon(again ? SOON : RARELY);
    again = false;
  }
  function soon(wait) {
    clearTimeout(timer);
    timer = setTimeout(refresh, wait);
  }
  function put(html) {
    const before = names(), all = rows(), focused = current(), at = all.indexOf(focused);
    list.innerHTML = html;
    fold();
    window.portal.localize(list);
    count();
    if (focused) (rows().find((each) => each.dataset.row === focused.dataset.row) || rows()[at] || rows().at(-1))?.focus();
    const now = names(), fresh = [...now].filter((each) => !before.has(each)).length;
    const gone = [...before].filter((each) => !now.has(each)).length;
    const parts = [fresh && `${fresh} new`, gone && `${gone} settled`].filter(Boolean);
    if (parts.length) news.textContent = `The list changed: ${parts.join(", ")}.`;
  }

  function follow(slug, wait = FIRST_WAIT) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/feed/?workspace=${encodeURIComponent(slug)}`);
    socket.onopen = () => soon(SOON); // what came after the page was made, and before this
    socket.onmessage = (event) => {
      const entries = JSON.parse(event.data).entries;
      wait = FIRST_WAIT;
      if (!entries.length) return;
      socket.send(JSON.stringify({ seen: entries.at(-1).index }));
      if (entries.some((each) => /^governance\.(approval|check\.(pending|denied)|containment)/.test(each.type))) soon(SOON);
    };
    socket.onclose = (event) => {
      if (event.code >= 4400 && event.code <= 4404) return; // looking now and then goes on
      setTimeout(() => { soon(SOON); follow(slug, Math.min(wait * 2, LONGEST_WAIT)); }, wait * (0.75 + Math.random() / 2));
    };
  }
  for (const slug of list.dataset.feeds.split(" ").filter(Boolean)) follow(slug);
  soon(RARELY);
});
