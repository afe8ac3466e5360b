// Keys on the log's page: / searches, j and k move between results, Enter opens the one that has the focus.
"use strict";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (event.key === "/") {
    event.preventDefault();
    document.getElementById("log-search")?.focus();
    return;
  }
  const step = { j: 1, k: -1 }[event.key];
  if (!step) return;
  const results = [...document.querySelectorAll("[data-result]")];
  const at = results.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : results.length - 1) : at + step;
  results[Math.min(Math.max(next, 0), results.length - 1)]?.focus();
});
