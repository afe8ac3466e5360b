"""A workspace with a month of charges: a million of 5,000 agents, counted by the worker but for the newest.

``python -m bench.spend_seeding OUT.json`` migrates the database that the environment names and writes where the pages
are. Only on SQLite.
"""

import json
import sys
import time
from pathlib import Path

from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench.portal_seeding import AGENTS, FIRST, agents, catalog, copy, moment  # sets Django up
from billing.budgets import window_start
from billing.counting import count_some
from billing.models import Account, Budget, Hold
from tests.isolation.world import Side, raise_side
from workspaces import tenancy
from workspaces.models import Agent

CHARGES, UNCOUNTED = 1_000_000, 3_000
SECONDS = 5.0  # between two charges: a million of them are two months, so that there is a time before


def charges(side: Side) -> None:
    """Charges, the newest last: the first agents make the most calls; tools, models and sessions by turns."""
    row = side.rows[Hold]
    ago = f"({CHARGES} - n) * {SECONDS}"
    whose = f"{FIRST} + (n * 7919 % {AGENTS}) * (n * 104729 % {AGENTS}) / {AGENTS}"
    copy(
        row, CHARGES, decision="'dec_bench' || printf('%017d', n)", agent_id=whose, created=moment(ago),
        settled_at=moment(ago), tool="'tool-' || (n % 40)", session="'run-' || (n / 40000)",
        model="'model-' || (n % 12)",
        cost_center="'center-' || (n % 25)", owner_id=f"{FIRST} + n % 300", charged_nanos="1000000 * (n % 997)",
        charged_tokens="n % 5000", counted_day="NULL", counted_nanos="NULL", counted_tokens="NULL",
        counted_model="''",
    )  # fmt: skip


def accounts(side: Side) -> None:
    """Each agent's budget has a running account."""
    now = timezone.now()
    Account.objects.bulk_create(
        Account(
            budget=budget,
            key=window_start(budget.window, now, "UTC"),
            limit_amount=budget.limit_amount,
            spent=number * budget.limit_amount // (AGENTS // 5),
        )
        for number, budget in enumerate(Budget.objects.filter(workspace=side.workspace))
    )


def count() -> None:
    """Let the worker's sweep count all but the newest."""
    Hold.objects.filter(pk__gte=FIRST + CHARGES - UNCOUNTED).update(settled_at=None)
    begun, done = time.perf_counter(), 0
    while some := count_some():
        done += some
    print(f"{'':4}{done / (time.perf_counter() - begun):,.0f} charges counted a second")
    Hold.objects.filter(pk__gte=FIRST + CHARGES - UNCOUNTED).update(settled_at=timezone.now())


def tell(side: Side) -> dict[str, object]:
    """Who has every role, and the pages that are opened."""
    client = Client()
    client.force_login(side.everyone, backend="django.contrib.auth.backends.ModelBackend")
    agent = Agent.objects.get(pk=FIRST)
    spend, listed = reverse("spend", args=["bench"]), reverse("admin:billing_hold_changelist")
    api = "/api/v1/workspaces/bench"
    pages = [
        *(f"{spend}?by={by}" for by in ("agent", "owner", "tool", "session", "model", "cost_center")),
        f"{spend}?by=session&period=month&unit=tokens",
        f"{spend}?by=agent&period=today",
        f"{spend}?by=agent&of={agent.public_id}",
        reverse("spend_part", args=["bench"]),
        listed,
        f"{listed}?workspace=bench&tool=tool-7",
        f"{listed}?agent={agent.public_id}",
        reverse("admin:workspaces_agent_change", args=[agent.pk]),
        f"{api}/spend?by=session",
        f"{api}/charges",
    ]
    return {"session": client.cookies["sessionid"].value, "pages": {each: each for each in pages}}


def main() -> None:
    """Make it all."""
    call_command("migrate", verbosity=0)
    tenancy.install(actor="system")
    side = raise_side("bench", "bench")
    catalog(side)
    agents(side)
    charges(side)
    accounts(side)
    count()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    Path(sys.argv[1]).write_text(json.dumps(tell(side)))


if __name__ == "__main__":
    main()
