// The live page: shows entries as they happen and comes back by itself from the last index it has.
"use strict";

(() => {
  const KEPT = 500; // rows in the table
  const SECONDS = 60; // of the sparkline
  const FIRST_WAIT = 500; // milliseconds before the first reconnection; doubled up to LONGEST_WAIT
  const LONGEST_WAIT = 15000;
  const SILENCE = 25000; // milliseconds without a message (the server speaks every 10 s) until we reconnect
  const FINAL = { 4400: "The page asked a wrong question; reload it.", 4401: "You were signed out; sign in again.",
    4403: "This page was opened under another address.", 4404: "You may not see this workspace any more." };
  const OUTCOMES = { "governance.check.allowed": "allowed", "governance.check.denied": "denied",
    "governance.check.pending": "pending", "governance.check.simulated": "simulated" };
  const ALARMS = { "billing.budget.warned": "budget" }; // what stands out, and the chip that says why

  const byId = (id) => document.getElementById(id);
  const root = byId("live"), rows = byId("live-rows"), state = byId("live-state"), held = byId("live-held");
  const agents = byId("live-agent"), outcomes = byId("live-outcome"), pause = byId("live-pause");
  const names = JSON.parse(byId("live-names").textContent);

  let cursor = Number(root.dataset.after);
  let wait = FIRST_WAIT;
  let waiting = []; // entries that arrived while paused
  let dropped = 0; // of them, those that would not be shown any more
  let paused = false;
  let silence = 0;
  const perSecond = new Array(SECONDS).fill(0);

  const named = (id) => names[id.slice(id.indexOf(":") + 1)] || id;
  const inWords = (text) => text.replace(/(?:\w+:)?(?:agt|usr)_\w+/g, named);
  const outcomeOf = (entry) => ALARMS[entry.type] || OUTCOMES[entry.type] || entry.outcome || "";
  const chosen = (row) =>
    (!agents.value || row.dataset.agent === agents.value) && (!outcomes.value || row.dataset.outcome === outcomes.value);

  function cell(row, kind, text) {
    const element = row.insertCell();
    element.className = kind;
    element.textContent = text;
    return element;
  }

  function offer(select, value, label) {
    if (value && ![...select.options].some((option) => option.value === value)) select.add(new Option(label, value));
  }

  function rowOf(entry) {
    const row = document.createElement("tr");
    const outcome = outcomeOf(entry);
    row.dataset.agent = entry.agent;
    row.dataset.outcome = outcome;
    row.dataset.index = entry.index;
    const when = cell(row, "time", new Date(entry.time).toLocaleTimeString("sv-SE")); // 24 hours, as everywhere
    when.title = entry.time;
    cell(row, "agent", entry.agent ? named(entry.agent) : "");
    cell(row, "tool", entry.tool);
    const mark = cell(row, "outcome", "");
    if (outcome) {
      const decided = entry.type in OUTCOMES && root.dataset.decision;
      const chip = document.createElement(decided ? "a" : "span");
      if (decided) chip.href = root.dataset.decision.replace("/0/", `/${entry.id}/`);
      chip.className = `live-chip ${outcome}`;
      chip.textContent = outcome.replaceAll("_", " ");
      mark.append(chip);
    }
    cell(row, "sentence", inWords(entry.sentence));
    cell(row, "number", `#${entry.index}`);
    offer(agents, entry.agent, named(entry.agent));
    offer(outcomes, outcome, outcome.replaceAll("_", " "));
    row.hidden = !chosen(row);
    row.classList.add("new");
    row.classList.toggle("alarm", entry.type in ALARMS);
    return row;
  }

  function show(entries) {
    // Only as many as stay: what a backlog pushes out at once is never drawn.
    const fresh = entries.slice(-KEPT).map(rowOf).reverse();
    rows.prepend(...fresh);
    while (rows.children.length > KEPT) rows.lastElementChild.remove();
    describeEmptiness();
  }

  function describeEmptiness() {
    const empty = byId("live-empty");
    empty.hidden = [...rows.children].some((row) => !row.hidden);
    empty.textContent = rows.children.length ? "Nothing here matches what you chose."
      : "Nothing has happened here yet. Entries appear as agents ask.";
  }

  function take(message) {
    if (!message.entries.length) return;
    cursor = message.entries[message.entries.length - 1].index;
    perSecond[SECONDS - 1] += message.entries.filter((entry) => entry.type in OUTCOMES && isRecent(entry)).length;
    if (!paused) return show(message.entries);
    waiting.push(...message.entries);
    if (waiting.length > KEPT) dropped += waiting.splice(0, waiting.length - KEPT).length;
    describePause();
  }

  const isRecent = (entry) => Date.now() - Date.parse(entry.time) < 5000;

  function describePause() {
    const count = waiting.length + dropped;
    held.hidden = !paused;
    held.textContent = `Paused; ${count} new ${count === 1 ? "entry" : "entries"} since. Press space to go on.`;
  }

  function setPaused(on) {
    paused = on;
    pause.setAttribute("aria-pressed", String(on));
    pause.textContent = on ? "Go on" : "Pause";
    if (!on) {
      show(waiting);
      waiting = [];
      dropped = 0;
    }
    describePause();
  }

  function say(kind, text) {
    state.dataset.state = kind;
    state.textContent = text;
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const query = new URLSearchParams({ workspace: root.dataset.workspace, after: cursor });
    const socket = new WebSocket(`${scheme}//${location.host}/ws/feed/?${query}`);
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), SILENCE);
    };
    say("connecting", "Connecting…");
    socket.onopen = alive;
    socket.onmessage = (event) => {
      alive();
      wait = FIRST_WAIT;
      say("open", "Live");
      take(JSON.parse(event.data));
      socket.send(JSON.stringify({ seen: cursor }));
    };
    socket.onclose = (event) => {
      clearTimeout(silence);
      if (event.code in FINAL) return say("closed", FINAL[event.code]);
      const delay = wait * (0.75 + Math.random() / 2);
      wait = Math.min(wait * 2, LONGEST_WAIT);
      say("waiting", `Connection lost; trying again in ${Math.ceil(delay / 1000)} s.`);
      return setTimeout(connect, delay);
    };
  }

  function draw() {
    const canvas = byId("live-spark"), pen = canvas.getContext("2d");
    const scale = window.devicePixelRatio || 1, width = 180, height = 32;
    canvas.width = width * scale;
    canvas.height = height * scale;
    canvas.style.width = `${width}px`;
    pen.scale(scale, scale);
    pen.strokeStyle = getComputedStyle(canvas).color;
    pen.lineWidth = 1.5;
    const top = Math.max(1, ...perSecond);
    pen.beginPath();
    perSecond.forEach((count, second) => {
      pen.lineTo((second / (SECONDS - 1)) * width, height - 1 - (count / top) * (height - 3));
    });
    pen.stroke();
    // One call a second: what was counted since the last one is a whole second's.
    byId("live-rate").textContent = `${perSecond[SECONDS - 1]}/s`;
    perSecond.shift();
    perSecond.push(0);
  }

  for (const select of [agents, outcomes]) {
    select.addEventListener("change", () => {
      for (const row of rows.children) row.hidden = !chosen(row);
      describeEmptiness();
    });
  }
  pause.addEventListener("click", () => setPaused(!paused));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, button, a, [contenteditable]");
    if (event.key !== " " || event.ctrlKey || event.metaKey || event.altKey || typing) return;
    event.preventDefault();
    setPaused(!paused);
  });
  setInterval(draw, 1000);
  draw();
  connect();
})();
