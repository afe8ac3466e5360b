// The desk's chart of the last hour. It asks for new numbers every few seconds while somebody looks.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const EVERY = 4000; // milliseconds
  const OUTCOMES = { allowed: "Allowed", waits: "Waits for people", denied: "Denied" };
  const VARIABLES = { allowed: "--portal-good", waits: "--portal-wait", denied: "--portal-bad" };
  const byId = (id) => document.getElementById(id);
  const begin = byId("pulse-begin"), choice = byId("pulse-workspace");
  if (!begin || typeof Chart === "undefined") return;

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  byId("pulse-chart").parentElement.hidden = false;
  const chart = new Chart(byId("pulse-chart"), {
    type: "bar",
    data: { labels: [], datasets: Object.keys(OUTCOMES).map((key) => ({ label: OUTCOMES[key], data: [] })) },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, barPercentage: 1, categoryPercentage: 0.9,
      scales: { x: { stacked: true, grid: { display: false } }, y: { stacked: true, beginAtZero: true, ticks: { precision: 0 } } },
      plugins: { legend: { position: "bottom", align: "start", labels: { boxWidth: 12 } }, tooltip: { mode: "index" } },
    },
  });

  function paint() {
    const ink = color("--portal-quiet"), line = color("--portal-line");
    Object.values(VARIABLES).forEach((name, at) => { chart.data.datasets[at].backgroundColor = color(name); });
    for (const axis of Object.values(chart.options.scales)) {
      axis.ticks = { ...axis.ticks, color: ink };
      axis.grid = { ...axis.grid, color: line };
    }
    chart.options.plugins.legend.labels.color = ink;
  }

  function show(pulse) {
    const first = Date.parse(pulse.begin);
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    chart.data.labels = pulse.minutes.allowed.map((_, at) => new Date(first + at * 60000).toLocaleTimeString("sv-SE", clock));
    Object.keys(OUTCOMES).forEach((key, at) => { chart.data.datasets[at].data = pulse.minutes[key]; });
    chart.update();
    for (const key of Object.keys(OUTCOMES)) byId(`pulse-${key}`).textContent = pulse.totals[key];
    byId("pulse-partial").hidden = !pulse.partial;
    const rows = pulse.agents.map(([name, , counts]) => {
      const row = document.createElement("tr");
      row.insertCell().textContent = name;
      for (const key of Object.keys(OUTCOMES)) {
        const cell = row.insertCell();
        cell.className = "number";
        cell.textContent = counts[key];
      }
      return row;
    });
    if (rows.length) return byId("pulse-agents").replaceChildren(...rows);
    const empty = document.createElement("tr"), cell = empty.insertCell();
    cell.colSpan = 4;
    cell.className = "portal-quiet";
    cell.textContent = "Nobody asked in the last hour.";
    return byId("pulse-agents").replaceChildren(empty);
  }

  let timer = 0;
  async function ask() {
    clearTimeout(timer);
    try {
      if (!document.hidden) {
        const address = choice.value, answer = await fetch(address, { redirect: "error" });
        if (answer.status === 403 || answer.status === 404) return;
        if (answer.ok && address === choice.value) show(await answer.json());
      }
    } catch {
      // The server is away or the person signed out: the next click tells, and the next look tries again.
    }
    timer = setTimeout(ask, EVERY);
  }

  choice.addEventListener("change", () => {
    byId("pulse-live").href = choice.selectedOptions[0].dataset.live;
    ask();
  });
  document.addEventListener("visibilitychange", () => document.hidden || ask());
  new MutationObserver(() => { paint(); chart.update(); }).observe(document.documentElement, { attributeFilter: ["class"] });
  paint();
  show(JSON.parse(begin.textContent));
  timer = setTimeout(ask, EVERY);
});
