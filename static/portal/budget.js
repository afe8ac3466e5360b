// The budget editor: fields that say nothing for what is chosen are put away, and the choice is told in a sentence.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const told = document.getElementById("budget-told");
  const field = (name) => document.querySelector(`[name="${name}"]`);
  const form = field("hard")?.form;
  if (!form) return;

  const PERIODS = { day: "a day", week: "a week", month: "a month", ever: "in all" };
  const EDGES = {
    wait: "a call that does not fit is told when to ask again",
    deny: "a call that does not fit is refused",
    ask: "a call that does not fit waits for somebody who may raise it once",
  };
  const value = (name, usual = "") => {
    const chosen = form.querySelector(`[name="${name}"]:checked`) ?? field(name);
    return chosen && !(chosen.type === "radio" && !chosen.checked) ? chosen.value.trim() : usual;
  };

  function show(name, on) {
    const row = field(name)?.closest(".form-row");
    if (row) row.hidden = !on;
  }

  function sentence() {
    const agent = value("agent");
    const scope = value("scope", "workspace");
    let who = scope === "agent" ? agent || "The agent" : "The whole workspace";
    if (scope === "session") who = `Each session of ${agent || "any agent"}`;
    const tokens = value("unit", "usd") === "tokens";
    const text = value(tokens ? "limit_tokens" : "limit_usd"), limit = Number(text);
    if (!text || !Number.isFinite(limit)) return "";
    const dollars = { style: "currency", currency: "USD", maximumFractionDigits: 9 };
    const amount = tokens ? `use ${limit.toLocaleString("en-US")} tokens` : `spend ${limit.toLocaleString("en-US", dollars)}`;
    const on = [value("tool") && `the tool ${value("tool")}`, value("model") && `the model ${value("model")}`].filter(Boolean);
    const what = on.length ? ` on ${on.join(" and ")}` : "";
    let edge = EDGES[value("when_short", "wait")] ?? `a call that does not fit is offered ${value("downgrade_to") || "the cheaper model"}`;
    if (value("hard", "yes") === "no") edge = "above that nothing is refused";
    const shares = value("warnings").split(",").map((text) => text.trim()).filter(Boolean).map((text) => `${text} %`).join(" and ");
    return `${who} may ${amount} ${PERIODS[value("window", "month")] ?? ""}${what}; ${edge}.${shares ? ` Warnings are sent at ${shares}.` : ""}`;
  }

  function follow() {
    const tokens = value("unit", "usd") === "tokens";
    const hard = value("hard", "yes") !== "no";
    if (told) {
      show("agent", value("scope", "workspace") !== "workspace");
      show("limit_usd", !tokens);
      show("limit_tokens", tokens);
      told.textContent = sentence();
      told.hidden = !told.textContent;
    }
    show("when_short", hard);
    show("downgrade_to", hard && value("when_short", "wait") === "downgrade");
  }

  form.addEventListener("input", follow);
  form.addEventListener("change", follow);
  follow();
});
