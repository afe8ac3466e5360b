// A bill's chart: billed and charged beside each other, a day at a time.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const canvas = document.getElementById("bill-chart");
  if (!canvas || typeof Chart === "undefined") return;
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dollars = (amount) => amount.toLocaleString("en-US", { style: "currency", currency: "USD", maximumFractionDigits: Math.abs(amount) < 0.1 ? 6 : 2 });
  const { labels, billed, charged } = JSON.parse(document.getElementById("bill-chart-data").textContent);
  canvas.parentElement.hidden = false;
  const chart = new Chart(canvas, {
    type: "bar",
    data: { labels, datasets: [{ label: "billed", data: billed, backgroundColor: "#d55e00" }, { label: "charged", data: charged, backgroundColor: "#0072b2" }] },
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
      scales: {
        x: { type: "category", grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 16 } },
        y: { beginAtZero: true, ticks: { maxTicksLimit: 6, callback: (value) => dollars(value) } },
      },
      plugins: {
        legend: { position: "bottom", align: "start", labels: { boxWidth: 12, boxHeight: 12 } },
        tooltip: { callbacks: { label: (item) => ` ${item.dataset.label}: ${dollars(item.raw)}` } },
      },
    },
  });
  function paint() {
    for (const axis of Object.values(chart.options.scales)) {
      axis.ticks.color = color("--portal-quiet");
      axis.grid.color = color("--portal-line");
    }
    chart.options.plugins.legend.labels.color = color("--portal-quiet");
    chart.update();
  }
  paint();
  new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["class"] });
});
