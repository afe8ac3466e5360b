// Checks a draft while it is typed: the server reads it, saves nothing, and says what is wrong at which line.
// Without JavaScript the Check button does the same.
const panel = document.getElementById("policy-check");
const text = document.getElementById("id_text");
const workspace = document.getElementById("id_workspace");
const PAUSE = 700; // milliseconds without a key before the text is sent

function element(name, content, className) {
  const made = document.createElement(name);
  if (content !== undefined) made.textContent = content;
  if (className) made.className = className;
  return made;
}

function goTo(line, column) {
  const lines = text.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
  text.focus();
  text.setSelectionRange(start, start);
}

function problemsShown(found) {
  if (found.skipped) return [element("p", found.skipped, "portal-quiet")];
  if (!found.problems.length) return [element("p", `Nothing is wrong with these ${found.count} rules.`, "portal-good")];
  const many = found.problems.length;
  const list = element("ol", undefined, "policy-problems");
  for (const problem of found.problems.slice(0, 100)) {
    const item = element("li");
    const place = element("button", `Line ${problem.line}, column ${problem.column}:`);
    place.type = "button";
    place.addEventListener("click", () => goTo(problem.line, problem.column));
    item.append(place, ` ${problem.message}`);
    list.append(item);
  }
  return [element("p", `${many} thing${many === 1 ? "" : "s"} to put right:`), list];
}

function names(found, one, many) {
  if (!found) return `${many}: too many to compare here`;
  if (!found.count) return `no ${one}`;
  const rest = found.count - found.first.length;
  const count = `${found.everything ? "all " : ""}${found.count} ${found.count === 1 ? one : many}`;
  return `${count}: ${found.first.join(", ")}${rest ? ` and ${rest} more` : ""}`;
}

function matchShown(match) {
  const article = element("article", undefined, "portal-rule");
  const heading = element("h3", `${match.name} `, "policy-rule-name");
  heading.append(element("span", `line ${match.line}`, "portal-quiet"));
  if (match.claims.length) {
    heading.append(" ", element("span", `reads claims: ${match.claims.join(", ")}`, "portal-badge warning"));
  }
  const list = element("ul", undefined, "policy-match");
  list.append(
    element("li", names(match.agents, "agent", "agents")),
    element("li", names(match.tools, "tool", "tools")),
    element("li", names(match.resources, "named resource", "named resources")),
  );
  article.append(heading, list);
  return article;
}

let waiting;
let asked;

async function check() {
  asked?.abort();
  asked = new AbortController();
  const body = new FormData();
  body.set("workspace", workspace?.value ?? "");
  body.set("text", text.value);
  body.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
  try {
    const answer = await fetch(panel.dataset.check, { method: "POST", body, signal: asked.signal });
    if (answer.status === 503) return soon(2000);
    if (!answer.ok) return;
    const found = await answer.json();
    document.getElementById("policy-findings").replaceChildren(...problemsShown(found));
    if (found.rules.length) {
      document.getElementById("policy-matches").replaceChildren(...found.rules.map(matchShown));
    }
  } catch (error) {
    if (error.name !== "AbortError") soon(5000);
  }
}

function soon(pause = PAUSE) {
  clearTimeout(waiting);
  waiting = setTimeout(check, pause);
}

if (panel && text) {
  text.addEventListener("input", () => soon());
  workspace?.addEventListener("change", () => soon());
  soon();
}
