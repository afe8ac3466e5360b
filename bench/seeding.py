"""A workspace to measure: agents, tools, rules, keys. ``python -m bench.seeding OUT.json AGENTS RULES [MONEY]``, where
MONEY is ``costs`` (each call costs something) or ``budgets`` (and each agent has budgets, and the workspace)."""

import json
import sys
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from audit import log  # noqa: E402
from bench.workload import LIMITED, TOOLS, tool_name  # noqa: E402
from billing import limits  # noqa: E402
from governance import policies  # noqa: E402
from workspaces import agents, catalog, people, tenancy  # noqa: E402
from workspaces.declarations import parse_declaration  # noqa: E402

ACTOR = "cli:bench@localhost"
ASKING = 50
PLENTY = 10**15  # nano-US-dollars that no run spends


def declaration(number: int, money: str) -> dict[str, Any]:
    """A tool whose resource comes from its arguments, with a schema like real ones."""
    return {
        "name": tool_name(number),
        **({"cost_usd": "0.0001"} if money else {}),
        "action": "write",
        "resource": "doc://{folder}/{name}",
        "schema": {
            "type": "object",
            "required": ["folder", "name", "size"],
            "additionalProperties": False,
            "properties": {
                "folder": {"type": "string"},
                "name": {"type": "string"},
                "size": {"type": "integer"},
                "title": {"type": "string"},
            },
        },
    }


def rules(count: int, agent_count: int) -> list[dict[str, Any]]:
    """``count`` rules, each with a condition over the arguments. Up to 100 apply to every agent, spread over the
    tools; with more, the others name one tool and ten agents each, as rules of a large fleet do."""
    found: list[dict[str, Any]] = [
        {"name": "Once a day", "tools": [LIMITED], "effect": "limit", "when": "args.size >= 0",
         "limit": {"calls": 1, "per": "1d"}},
    ]  # fmt: skip
    for number in range(1, count):
        rule = {
            "name": f"Rule {number}",
            "tools": [tool_name(number % TOOLS)],
            "effect": "deny",
            "when": f"args.size > {1_000_000 + number}",
        }
        if number >= 100:
            first = (number // TOOLS) * 10
            rule["agents"] = [f"agent-{(first + step) % agent_count:04}" for step in range(10)]
        found.append(rule)
    return found


def seed(agent_count: int, rule_count: int, money: str = "") -> dict[str, Any]:
    """Make everything in one transaction; returns the keys of the agents that will ask."""
    call_command("migrate", verbosity=0)
    tenancy.install(actor=ACTOR)
    bench = tenancy.create_workspace("bench", name="Bench", timezone="UTC", actor=ACTOR)
    keys = []
    with log.write(log.installation_log_id(), bench.log_id):
        owner = people.create_person("owner@bench.test", name="Owner", actor=ACTOR).row
        people.set_roles(bench, owner, roles={"owner"}, actor=ACTOR)
        tools = [
            catalog.set_tool(bench, declaration=parse_declaration(declaration(n, money)), actor=ACTOR).row
            for n in range(TOOLS)
        ]
        open_folder = catalog.set_resource(bench, name="open", pattern="doc://open/*", actor=ACTOR).row
        bundle = [("use", tool) for tool in tools] + [("write", open_folder)]
        role = catalog.set_role(bench, name="writer", bundle=bundle, actor=ACTOR).row
        for number in range(agent_count):
            agent = agents.create_agent(bench, f"agent-{number:04}", owner=owner, actor=ACTOR)
            agents.set_agent_roles(agent, {role: None}, actor=ACTOR)
            if money == "budgets":
                for per_session, window in ((False, "day"), (True, "ever")):
                    limits.set_budget(
                        bench,
                        agent=agent,
                        per_session=per_session,
                        window=window,
                        limit_amount=PLENTY,
                        actor=ACTOR,
                    )
            if number < ASKING:
                keys.append(agents.create_key(agent, actor=ACTOR)[1])
        if money == "budgets":
            limits.set_budget(bench, window="month", limit_amount=PLENTY, actor=ACTOR)
        version = policies.draft(bench, rules(rule_count, agent_count), actor=ACTOR)
        policies.publish(version, actor=ACTOR)
    return {"log_id": bench.log_id, "keys": keys}


if __name__ == "__main__":
    out, agent_count, rule_count, *money = sys.argv[1:]
    Path(out).write_text(json.dumps(seed(int(agent_count), int(rule_count), *money)))
