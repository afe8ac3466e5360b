"""A workspace in which 100,000 calls were asked of people and 1,000 wait for one of them. Only on SQLite.

``python -m bench.approval_seeding OUT.json`` migrates the database that the environment names, makes one workspace by
the real functions, and multiplies its approval by SQL. OUT.json gets the session of that person, and how many queries
the inbox costs with 10 approvals and with all of them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from bench.portal_seeding import FIRST, moment, multiply  # noqa: E402
from governance.models import Approval, ApprovalLink  # noqa: E402
from tests.isolation.world import Side, raise_side  # noqa: E402
from workspaces import tenancy  # noqa: E402

FEW, APPROVALS, WAITING = 10, 100_000, 1_000
INBOX = "/admin/governance/approval/"


def crowd(side: Side, first: int, count: int, waiting: int) -> None:
    """Copies of the side's approval: the last ``waiting`` wait for its reviewer, the others were settled."""
    row: Any = side.rows[Approval]
    link = ApprovalLink.objects.get(approval=row, person=side.everyone)
    number, waits = f"{FIRST + first} + n", f"n >= {count - waiting}"
    settled = "CASE n % 4 WHEN 0 THEN 'expired' WHEN 1 THEN 'rejected' ELSE 'approved' END"
    until = f"CASE WHEN {waits} THEN {moment('-3600 * 4 - n')} ELSE {moment('86400 - n')} END"
    multiply(
        row, count, id=number, public_id=f"'copy_' || printf('%022d', {number})", process_id="NULL",
        status=f"CASE WHEN {waits} THEN 'pending' ELSE {settled} END", created=moment("90000 - n / 2"),
        expires_at=until, settled_at=f"CASE WHEN {waits} THEN NULL ELSE {moment('80000 - n / 2')} END",
        next_step_at="NULL",
    )  # fmt: skip
    multiply(link, count, id=number, approval_id=number, deadline=until, waiting=waits, digest="NULL")


def queries(browser: Client) -> int:
    """How many queries the inbox costs once it is warm."""
    browser.get(INBOX)
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(INBOX)
    assert answer.status_code == 200, answer.status_code
    return len(captured)


def main() -> None:
    """Make it all, and count the inbox's queries before and after."""
    call_command("migrate", verbosity=0)
    tenancy.install(actor="system")
    side = raise_side("bench", "bench")
    browser = Client(headers={"host": "127.0.0.1"})
    browser.force_login(side.everyone, backend="django.contrib.auth.backends.ModelBackend")
    crowd(side, 0, FEW, FEW)
    few = queries(browser)
    crowd(side, FEW, APPROVALS, WAITING)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    told = {
        "session": browser.cookies["sessionid"].value,
        "approval": f"{INBOX}{FIRST + FEW + APPROVALS - 1}/change/",
        "queries": {"few": few, "many": queries(browser)},
    }
    Path(sys.argv[1]).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
