"""A fleet of agents that call models, each with a budget a day. ``python -m bench.runaway_seeding LIMIT …`` takes a
limit in nano-US-dollars an agent and prints their keys as JSON, in that order."""

import json
import sys

import django

django.setup()

from audit import log  # noqa: E402
from billing import limits  # noqa: E402
from tests.cast import ACTOR  # noqa: E402
from workspaces import agents, catalog  # noqa: E402
from workspaces.declarations import parse_declaration  # noqa: E402
from workspaces.models import User, Workspace  # noqa: E402

TOOL = {"name": "llm.call", "action": "execute", "metered": True, "trust_reports": True}


def seed(budgets: list[int]) -> list[str]:
    """Make one agent a budget; their keys."""
    acme = Workspace.objects.get(slug="acme")
    owner = User.objects.get(email="olga@acme.test")
    keys = []
    with log.write(acme.log_id):
        tool = catalog.set_tool(acme, declaration=parse_declaration(TOOL), actor=ACTOR).row
        role = catalog.set_role(acme, name="caller", bundle=[("use", tool)], actor=ACTOR).row
        for number, limit in enumerate(budgets):
            agent = agents.create_agent(acme, f"caller-{number:02}", owner=owner, actor=ACTOR)
            agents.set_agent_roles(agent, {role: None}, actor=ACTOR)
            limits.set_budget(acme, agent=agent, window="day", limit_amount=limit, actor=ACTOR)
            keys.append(agents.create_key(agent, actor=ACTOR)[1])
    return keys


if __name__ == "__main__":
    print(json.dumps(seed([int(text) for text in sys.argv[1:]])))
