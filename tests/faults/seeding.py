"""What the fault tests need in a database of their own: the cast, and bots that may read in both workspaces.

``python -m tests.faults.seeding`` migrates the database that the environment names, and prints what it made
as one line of JSON.
"""

import json
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from audit import log  # noqa: E402
from governance import policies  # noqa: E402
from tests import schema  # noqa: E402
from tests.cast import ACTOR, REPEATING, Cast, assemble, furnish  # noqa: E402
from workspaces import agents, people  # noqa: E402
from workspaces.models import Role, User, Workspace  # noqa: E402

BOTS = 6
RULES: list[dict[str, Any]] = [
    {
        "name": "Refunds above 100 need finance",
        "tools": ["billing.refund"],
        "when": "args.amount > 100",
        "effect": "require_approval",
        "approval": {"reviewers": ["group:finance"]},
    },
    {
        "name": "No passwords",
        "tools": ["files.read"],
        "when": "args.path.contains('passwd')",
        "effect": "deny",
    },
]


def crew(workspace: Workspace, owner: User, role: Role) -> dict[str, dict[str, str]]:
    """Bots that may read reports: by name their public id and key."""
    made = {}
    for number in range(BOTS):
        agent = agents.create_agent(
            workspace, f"{workspace.slug}-{number}", owner=owner, loop_limits=REPEATING, actor=ACTOR
        )
        agents.set_agent_roles(agent, {role: None}, actor=ACTOR)
        made[agent.name] = {"id": agent.public_id, "key": agents.create_key(agent, actor=ACTOR)[1]}
    return made


def rule(workspace: Workspace) -> None:
    """Put the rules in force."""
    policies.publish(policies.draft(workspace, RULES, actor=ACTOR), actor=ACTOR)


def seed() -> dict[str, Any]:
    """Make everything; what a test must know of it."""
    schema.begin()
    call_command("migrate", verbosity=0)
    cast: Cast = assemble()
    with log.write(cast.acme.log_id, cast.globex.log_id):
        bots = crew(cast.acme, cast.olga, cast.roles["analyst"])
        bots |= crew(cast.globex, cast.gina, furnish(cast.globex)[2]["analyst"])
    bots["support-bot"] = {"id": cast.support_bot.public_id, "key": cast.support_bot_key}
    rule(cast.acme)
    return {
        "logs": {"acme": cast.acme.log_id, "globex": cast.globex.log_id},
        "bots": bots,
        "signin": people.signin_link(cast.otto, actor=ACTOR),
    }


if __name__ == "__main__":
    print(json.dumps(seed()))
