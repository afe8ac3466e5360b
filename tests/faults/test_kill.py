"""An agent is killed while it asks as fast as it can: its last ``allowed`` entry stands before the kill's.

How long after the kill an ``allow`` may still arrive is measured by ``make bench-kill``, with the same
functions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bench.kill import Killer, by_command, by_portal, crowd, kill_under_load
from tests.faults.processes import PORTAL, Installation


@dataclass
class Scene:
    """Running gates, and how to kill."""

    world: Installation
    gates: list[int]
    kill: Killer


@pytest.fixture(scope="module")
def scene(installation: Installation) -> Iterator[Scene]:
    """SQLite: one gate, and the command line. PostgreSQL: two gates, and an operator at the portal."""
    if not installation.database_url:
        yield Scene(installation, installation.gates(1), by_command(installation))
        return
    gates = installation.gates(2)
    operator = installation.operator(installation.serve(PORTAL, server="daphne"))
    yield Scene(installation, gates, by_portal(installation, operator))
    operator.close()


def assert_killed(scene: Scene, victim: str, kill: Killer) -> None:
    """The victim was allowed before and never after, by its answers and by the log; a bystander goes on."""
    outcome = kill_under_load(scene.world, scene.gates, victim, "acme-5", kill)
    assert outcome.allowed_before > 0
    assert outcome.allowed_after == 0
    assert outcome.refused > 0, "The victim must have gone on asking, and have been told."
    assert outcome.allowed_to_late_questions == 0
    assert outcome.others_after > 0


def test_nothing_is_allowed_after_the_kill(scene: Scene) -> None:
    assert_killed(scene, "acme-0", scene.kill)


@pytest.mark.thorough
def test_nothing_is_allowed_after_the_kill_with_ten_thousand_pending(scene: Scene) -> None:
    crowd(scene.world, scene.gates[0], "support-bot")
    (count,) = scene.world.execute("SELECT count(*) FROM governance_approval WHERE status = 'pending'")
    assert count == (10_000,)
    assert_killed(scene, "acme-1", scene.kill)
