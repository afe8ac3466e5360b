// The Spend page: its chart, and new figures within about two seconds while somebody looks.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const EVERY = 1500; // milliseconds
  const COLORS = 6;
  const page = document.getElementById("spend");
  if (!page) return;
  const canvas = document.getElementById("spend-chart"), live = document.getElementById("spend-live");
  const dark = () => document.documentElement.classList.contains("dark");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const data = () => JSON.parse(document.getElementById("spend-chart-data").textContent);
  const dollars = (amount) => amount.toLocaleString("en-US", { style: "currency", currency: "USD", maximumFractionDigits: amount < 0.1 ? 6 : 2 });

  let chart = null;
  if (typeof Chart !== "undefined") {
    canvas.parentElement.hidden = false;
    chart = new Chart(canvas, {
      data: { labels: [], datasets: [] },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
        scales: {
          x: { type: "category", offset: true, stacked: true, grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 16 } },
          y: { stacked: true, beginAtZero: true, ticks: { maxTicksLimit: 6, callback: (value) => dollars(value) } },
        },
        plugins: {
          legend: { position: "bottom", align: "start", labels: { boxWidth: 12, boxHeight: 12, sort: (a, b) => a.datasetIndex - b.datasetIndex } },
          tooltip: { filter: (item) => item.raw > 0, callbacks: { label: (item) => ` ${item.dataset.label}: ${dollars(item.raw)}` } },
        },
      },
    });
  }

  function paint() {
    if (!chart) return;
    const ink = color("--portal-quiet"), line = color("--portal-line"), panel = color("--portal-panel");
    const { labels, series, before } = data();
    const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    chart.data.labels = labels.map((text) => day.format(new Date(text)));
    chart.data.datasets = series.map(({ name, days }, at) => ({
      type: "bar", label: name, data: days, stack: "now", barPercentage: 0.9, categoryPercentage: 0.9, order: 2,
      backgroundColor: color(`--spend-${name === "others" ? COLORS : (at % COLORS) + 1}`), borderColor: panel, borderWidth: { top: 1 },
    }));
    chart.data.datasets.push({
      type: "line", label: "30 days before", data: before, stack: "before", order: 1, pointRadius: 0, pointHitRadius: 6,
      borderColor: ink, borderWidth: 1.5, borderDash: [4, 3], backgroundColor: "transparent", tension: 0.25,
    });
    for (const axis of Object.values(chart.options.scales)) {
      axis.ticks.color = ink;
      axis.grid.color = line;
    }
    chart.options.plugins.legend.labels.color = ink;
    chart.options.plugins.tooltip.backgroundColor = dark() ? "#000" : "#1b2430";
    chart.update();
  }

  // Each piece takes the place of the one before, but where somebody's keyboard is.
  function take(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const piece of fresh.querySelectorAll("body > [id]")) {
      const place = document.getElementById(piece.id);
      if (!place || place.contains(document.activeElement) || place.innerHTML === piece.innerHTML) continue;
      place.innerHTML = piece.innerHTML;
    }
    paint();
  }

  let timer = 0;
  async function ask() {
    clearTimeout(timer);
    try {
      if (!document.hidden) {
        const address = new URL(page.dataset.part, location.href);
        address.searchParams.set("seen", page.querySelector("[data-seen]").dataset.seen);
        const answer = await fetch(address, { redirect: "error" });
        live.hidden = !answer.ok;
        if (answer.status === 403 || answer.status === 404) return;
        if (answer.status === 200) take(await answer.text());
      }
    } catch {
      live.hidden = true; // The server is away or the person signed out: the next look tries again.
    }
    timer = setTimeout(ask, EVERY);
  }

  document.addEventListener("visibilitychange", () => document.hidden || ask());
  new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["class"] });
  paint();
  ask();
});
