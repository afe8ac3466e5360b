"""One more agent with a budget for five calls. ``python -m bench.budget_seeding CASE`` prints its key and its public id
as JSON; ``python -m bench.budget_seeding --leases-over`` ends every lease.

The cases are those of ``bench.budgets``.
"""

import json
import sys
import time
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402

from audit import log  # noqa: E402
from billing import limits, price_table  # noqa: E402
from billing.models import Price  # noqa: E402
from governance.models import Decision  # noqa: E402
from tests.cast import ACTOR  # noqa: E402
from workspaces import agents, catalog  # noqa: E402
from workspaces.declarations import parse_declaration  # noqa: E402
from workspaces.models import User, Workspace  # noqa: E402

CALL = 10**7  # nano-US-dollars that a call is held at: a cent
FITS = 5
TOOLS: dict[str, dict[str, Any]] = {
    "paid.declared": {"cost_usd": "0.01"},
    "paid.metered": {"metered": True},
    "paid.trusted": {"cost_usd": "0.01", "trust_reports": True},
}


def seed(case: str) -> dict[str, str]:
    """Make the agent, its tools where they are not there, and its budget."""
    acme = Workspace.objects.get(slug="acme")
    owner = User.objects.get(email="olga@acme.test")
    with log.write(acme.log_id):
        tools = [
            catalog.set_tool(
                acme, declaration=parse_declaration({"name": name, "action": "execute", **how}), actor=ACTOR
            ).row
            for name, how in TOOLS.items()
        ]
        role = catalog.set_role(acme, name="payer", bundle=[("use", tool) for tool in tools], actor=ACTOR).row
        agent = agents.create_agent(acme, f"payer-{time.time_ns()}", owner=owner, actor=ACTOR)
        agents.set_agent_roles(agent, {role: None}, actor=ACTOR)
        limits.set_budget(
            acme,
            agent=agent,
            per_session=case == "session cap",
            window="ever",
            limit_amount=FITS * CALL,
            actor=ACTOR,
        )
        if case == "unknown cost, a ceiling" and not Price.objects.filter(workspace=acme, model="*").exists():
            price_table.set_price(acme, model="*", starts=timezone.now().date(), call_nanos=CALL, actor=ACTOR)
        return {"key": agents.create_key(agent, actor=ACTOR)[1], "agent": agent.public_id}


def end_leases() -> dict[str, int]:
    """Let every call that reported nothing have run out of its lease."""
    open_calls = Decision.objects.filter(outcome__in=["open", "running"])
    return {"over": open_calls.update(lease_until=timezone.now())}


if __name__ == "__main__":
    print(json.dumps(end_leases() if sys.argv[1] == "--leases-over" else seed(sys.argv[1])))
