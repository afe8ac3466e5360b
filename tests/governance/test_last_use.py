"""When agents last used what they were given: read from the log by the worker."""

import pytest

from audit import log
from governance import last_use
from governance.last_use import last_touches, last_uses, note_uses
from governance.models import GrantUse
from tests.cast import Cast
from workspaces.models import Agent, Resource

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker waits between two rounds; tests do not."""
    monkeypatch.setattr(last_use, "PAUSE", 0.0)
    last_use.rounds["next"] = 0.0


def call(agent: Agent, tool: str, *resources: Resource, verdict: str = "allowed") -> None:
    """A decision's entry, as admission writes it."""
    with log.write(agent.workspace.log_id) as entries:
        entries.append(
            f"governance.check.{verdict}",
            actor=f"agent:{agent.public_id}",
            agent=agent.public_id,
            tool=tool,
            data={"resources": [resource.public_id for resource in resources]},
        )


def test_an_allowed_call_uses_its_tool_and_every_resource(cast: Cast) -> None:
    bot, here = cast.support_bot, cast.resources
    call(bot, "mail.send", here["customers"], here["reports"])
    assert note_uses() > 0
    assert last_uses(cast.acme).keys() == {(bot.public_id, "mail.send")}
    actions = {(resource, action) for _, resource, action in last_touches(cast.acme)}
    customers, reports = here["customers"].public_id, here["reports"].public_id
    assert actions == {(customers, "send"), (customers, "read"), (reports, "send"), (reports, "read")}


def test_a_refused_call_uses_nothing(cast: Cast) -> None:
    for verdict in ("denied", "pending", "simulated"):
        call(cast.report_bot, "files.read", cast.resources["reports"], verdict=verdict)
    note_uses()
    assert last_uses(cast.acme) == {}


def test_what_was_read_is_not_read_again_and_later_calls_move_the_time(cast: Cast) -> None:
    call(cast.report_bot, "files.read")
    note_uses()
    before = last_uses(cast.acme)
    assert note_uses() == 0
    call(cast.report_bot, "files.read")
    assert note_uses() == 1
    after = last_uses(cast.acme)
    assert after.keys() == before.keys()
    assert all(after[key] > before[key] for key in before)
    assert GrantUse.objects.count() == 1


def test_a_tool_that_is_gone_counts_for_every_action(cast: Cast) -> None:
    call(cast.report_bot, "files.forgotten", cast.resources["reports"])
    note_uses()
    assert {action for *_, action in last_touches(cast.acme)} == set(last_use.ACTIONS)


def test_one_workspaces_uses_are_not_anothers(cast: Cast) -> None:
    call(cast.globex_bot, "files.read")
    note_uses()
    assert last_uses(cast.acme) == {}
    assert last_uses(cast.globex, [cast.globex_bot]).keys() == {(cast.globex_bot.public_id, "files.read")}


def test_a_long_log_is_read_in_parts(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_use, "CHUNK", 2)
    for _ in range(5):
        call(cast.report_bot, "files.read")
    note_uses()
    assert note_uses() == 0
    assert (cast.report_bot.public_id, "files.read") in last_uses(cast.acme, [cast.report_bot])
