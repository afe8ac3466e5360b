"""What kinds of agents mostly need: tools, resources, rules and a budget to begin with, each to be ticked by a person.

Rules name no agent here; ``rules_for`` makes them about one. Tools are written as in a workspace file.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from workspaces.declarations import ToolDeclaration, parse_declaration


@dataclass(frozen=True, slots=True)
class SuggestedResource:
    """A pattern to be made one's own, and what is done there."""

    pattern: str
    actions: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class SuggestedRule:
    """A rule of the workspace file's form without its agents; ``asks`` rules get their reviewers later."""

    key: str
    why: str
    rule: dict[str, Any]

    @property
    def asks(self) -> bool:
        return bool(self.rule["effect"] == "require_approval")


@dataclass(frozen=True, slots=True)
class Starter:
    """A kind of agent. ``daily_usd`` is a limit on spending, as a decimal string; empty, there is none."""

    key: str
    title: str
    summary: str
    purpose: str
    risk_tier: str
    tools: tuple[ToolDeclaration, ...]
    resources: tuple[SuggestedResource, ...]
    rules: tuple[SuggestedRule, ...]
    daily_usd: str


def texts(*names: str, **more: Any) -> dict[str, Any]:
    """A schema of required texts, and of required properties as given."""
    return {
        "type": "object",
        "required": [*names, *more],
        "additionalProperties": False,
        "properties": {**{name: {"type": "string"} for name in names}, **more},
    }


def tools(*written: dict[str, Any]) -> tuple[ToolDeclaration, ...]:
    """Declarations from their written form."""
    return tuple(parse_declaration(each) for each in written)


def pace(calls: int) -> SuggestedRule:
    """A limit on calls, so that a loop ends early."""
    limit = {"calls": calls, "per": "1m", "by": "agent"}
    rule = {"name": f"at most {calls} calls a minute", "effect": "limit", "limit": limit}
    return SuggestedRule("pace", f"A loop ends after {calls} calls in a minute.", rule)


def approval(key: str, why: str, name: str, **rule: Any) -> SuggestedRule:
    """A rule that asks a person."""
    return SuggestedRule(key, why, {"name": name, "effect": "require_approval", **rule})


FILES_READ = {"name": "files.read", "action": "read", "resource": "file://{path}", "labels": ["private_data"],
              "schema": texts("path")}  # fmt: skip
TABLE_READ = {"name": "table.read", "action": "read", "resource": "table://{database}/{table}",
              "labels": ["private_data"], "schema": texts("database", "table")}  # fmt: skip
WEB_FETCH = {"name": "web.fetch", "action": "read", "resource": "{url}", "default_scheme": "https",
             "labels": ["untrusted_output"], "schema": texts("url")}  # fmt: skip

ANALYST = Starter(
    key="analyst",
    title="Read-only analyst",
    summary="Reads files, tables and web pages, and changes nothing.",
    purpose="Answers questions from reports and tables",
    risk_tier="low",
    tools=tools(FILES_READ, TABLE_READ, WEB_FETCH),
    resources=(
        SuggestedResource("file:///srv/reports/*", ("read",), "The folder with its reports"),
        SuggestedResource("table://analytics/*", ("read",), "The tables that it may query"),
        SuggestedResource("https://docs.example.com/*", ("read",), "The pages that it may open"),
    ),
    rules=(pace(120),),
    daily_usd="2.00",
)

CODING = Starter(
    key="coding",
    title="Coding agent",
    summary="Works in one folder, runs commands with a person’s consent, pushes to branches of its own.",
    purpose="Changes code in one repository",
    risk_tier="medium",
    tools=tools(
        FILES_READ,
        {"name": "files.write", "action": "write", "risk": "medium", "resource": "file://{path}",
         "schema": texts("path", "text")},
        {"name": "shell.run", "action": "execute", "risk": "high", "reversible": False,
         "labels": ["untrusted_output"], "schema": texts("command")},
        {"name": "git.push", "action": "write", "risk": "high", "resource": "repository://{repository}/{branch}",
         "labels": ["external_send"], "schema": texts("repository", "branch")},
    ),
    resources=(
        SuggestedResource("file:///workspace/*", ("read", "write"), "The folder that it works in"),
        SuggestedResource("repository://example/*", ("write",), "The repository that it pushes to"),
    ),
    rules=(
        approval("commands", "A person sees each command before it runs.", "commands need a person",
                 tools=["shell.run"], ask="Is this command what the task needs?"),
        approval("main", "Pushes to the main branch wait for a person.", "pushes to main need a person",
                 tools=["git.push"], when="args.branch in ['main', 'master']", ask="Was this change reviewed?"),
        pace(300),
    ),
    daily_usd="10.00",
)  # fmt: skip

SUPPORT = Starter(
    key="support",
    title="Customer support",
    summary="Reads tickets, writes mail, and pays small refunds; large ones wait for a person.",
    purpose="Answers customers and pays refunds",
    risk_tier="medium",
    tools=tools(
        {"name": "tickets.read", "action": "read", "resource": "ticket://{ticket}",
         "labels": ["untrusted_output", "private_data"], "schema": texts("ticket")},
        {"name": "mail.send", "action": "send", "risk": "medium", "resource": "mailto:{to}",
         "labels": ["external_send"], "schema": texts("to", "subject", "body")},
        {"name": "billing.refund", "action": "spend", "risk": "high", "reversible": False,
         "resource": "invoice://{invoice}",
         "schema": texts("invoice", amount={"type": "number", "exclusiveMinimum": 0})},
    ),
    resources=(
        SuggestedResource("ticket://*", ("read",), "The tickets that it answers"),
        SuggestedResource("mailto:*@*", ("send",), "Whom it may write to"),
        SuggestedResource("invoice://*", ("spend",), "The invoices that it may refund"),
    ),
    rules=(
        approval("refunds", "Refunds above 100 wait for a person.", "refunds above 100 need a person",
                 tools=["billing.refund"], when="args.amount > 100", ask="Is this refund owed?"),
        SuggestedRule("refund-pace", "At most 20 refunds in an hour.", {
            "name": "at most 20 refunds an hour", "tools": ["billing.refund"], "effect": "limit",
            "limit": {"calls": 20, "per": "1h", "by": "agent"}}),
        pace(120),
    ),
    daily_usd="5.00",
)  # fmt: skip

PIPELINE = Starter(
    key="pipeline",
    title="Data pipeline",
    summary="Reads from one place, writes to another, and deletes only with a person’s consent.",
    purpose="Moves and cleans data",
    risk_tier="medium",
    tools=tools(
        {"name": "storage.read", "action": "read", "resource": "s3://{bucket}/{key}", "labels": ["private_data"],
         "schema": texts("bucket", "key")},
        {"name": "storage.write", "action": "write", "risk": "medium", "resource": "s3://{bucket}/{key}",
         "schema": texts("bucket", "key")},
        {"name": "storage.delete", "action": "delete", "risk": "high", "reversible": False,
         "resource": "s3://{bucket}/{key}", "schema": texts("bucket", "key")},
        {"name": "table.write", "action": "write", "risk": "medium", "resource": "table://{database}/{table}",
         "schema": texts("database", "table")},
    ),
    resources=(
        SuggestedResource("s3://incoming/*", ("read", "delete"), "Where its data comes from"),
        SuggestedResource("s3://processed/*", ("write",), "Where its results go"),
        SuggestedResource("table://warehouse/*", ("write",), "The tables that it fills"),
    ),
    rules=(
        approval("deletions", "Each deletion waits for a person.", "deletions need a person",
                 tools=["storage.delete"], ask="May this go for good?"),
        pace(600),
    ),
    daily_usd="20.00",
)  # fmt: skip

BLANK = Starter(
    key="blank",
    title="Something else",
    summary="Begins with nothing: choose among what the workspace has, or grant it later.",
    purpose="",
    risk_tier="low",
    tools=(),
    resources=(),
    rules=(pace(120),),
    daily_usd="",
)

STARTERS = {each.key: each for each in (ANALYST, CODING, SUPPORT, PIPELINE, BLANK)}


def rules_for(
    agent: str, rules: Iterable[SuggestedRule], *, tools: Collection[str], reviewers: list[str]
) -> list[dict[str, Any]]:
    """These rules, about one agent by its name. A rule about tools that are not among ``tools`` is left out, as is
    one that asks people when there are no ``reviewers``."""
    made = []
    for suggested in rules:
        named = suggested.rule.get("tools", ())
        if any(tool not in tools for tool in named) or (suggested.asks and not reviewers):
            continue
        rule = {**suggested.rule, "name": f"{agent}: {suggested.rule['name']}", "agents": [agent]}
        if suggested.asks:
            rule["approval"] = {"reviewers": reviewers, "expires_in": "1h"}
        made.append(rule)
    return made
