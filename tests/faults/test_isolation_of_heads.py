"""Whoever holds one workspace's head delays that workspace: it is refused, and works again afterwards.

By how much the neighbors' latency rises is measured by ``make bench-heads``.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from bench.heads import REFUSALS, callers
from bench.pressure import Answer, pressing
from tests.faults.processes import PORTAL, Installation
from tests.servers import wait_until


@pytest.fixture(scope="module")
def gates(installation: Installation) -> list[int]:
    return installation.gates(1)


def words(answers: Sequence[Answer], workspace: str) -> Counter[str]:
    return Counter(answer.word for answer in answers if answer.caller == workspace)


def test_a_held_head_refuses_its_own_workspace_only(installation: Installation, gates: list[int]) -> None:
    """On PostgreSQL the neighbor goes on meanwhile; on SQLite one writer holds everybody."""
    with pressing(callers(installation, gates, "globex"), pause=0.01) as neighbors:
        wait_until(lambda: words(neighbors, "globex")["allow"] > 20, what="The gate")
        with installation.held("acme"):
            begun = len(neighbors)
            with pressing(callers(installation, gates, "acme"), pause=0.01) as held:
                wait_until(lambda: len(held) >= 32, what="Refusals of everybody, twice")
            while_held = words(held, "acme")
            meanwhile = words(neighbors[begun:], "globex")
        with pressing(callers(installation, gates, "acme"), pause=0.01) as after:
            wait_until(lambda: words(after, "acme")["allow"] > 20, what="The workspace whose head was held")
        done = len(neighbors)
        wait_until(lambda: len(neighbors) > done + 20, what="The neighbor")
    assert while_held.keys() <= set(REFUSALS), "While the head is held nobody is allowed anything."
    if installation.database_url:
        assert meanwhile.keys() == {"allow"}
        assert meanwhile["allow"] > 100
    else:
        assert meanwhile.keys() - {"allow"} <= set(REFUSALS)
    assert {answer.word for answer in neighbors[done:]} == {"allow"}


@pytest.mark.parametrize(
    "installation", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
def test_people_are_told_too_and_nothing_is_half_done(installation: Installation) -> None:
    """Page and API at once, because each waits for PostgreSQL's lock_timeout."""
    bot = installation.bots["support-bot"]["id"]
    stop = {"standing": "suspended", "reason": "Odd"}
    with (
        closing(installation.operator(installation.serve(PORTAL, server="daphne"))) as otto,
        ThreadPoolExecutor(2) as both,
        installation.held("acme"),
    ):
        asked = both.submit(otto.post, f"/api/v1/workspaces/acme/agents/{bot}/containment", json=stop)
        pressed = both.submit(otto.post, "/admin/stop/", data={"what": f"agent:{bot}", "reason": "Odd"})
        assert (asked.result().status_code, asked.result().json()["code"]) == (503, "unavailable")
        assert pressed.result().status_code == 503
    assert "manage.py contain" in pressed.result().text
    assert installation.entries("acme", "governance.containment.%") == []


def test_what_was_refused_while_the_head_was_held_is_no_allowed_entry(
    installation: Installation, gates: list[int]
) -> None:
    """Who was told that there is no decision finds none in the log either."""
    before = len(installation.entries("acme", "governance.check.allowed"))
    with installation.held("acme"), pressing(callers(installation, gates, "acme")) as held:
        wait_until(lambda: len(held) >= 16, what="Refusals of everybody")
    with pressing(callers(installation, gates, "acme")) as after:
        wait_until(lambda: words(after, "acme")["allow"] >= 16, what="The workspace whose head was held")
    told = words(held, "acme") + words(after, "acme")
    recorded = len(installation.entries("acme", "governance.check.allowed")) - before
    assert recorded == told["allow"]
