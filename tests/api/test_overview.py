"""What goes on, what an id names, how the installation is, and entries of a span of time, through the API."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from audit.log import stamp
from audit.models import Entry
from tests import approving
from tests.api.caller import Caller
from tests.api.gate import ask, fresh_process
from tests.cast import ACTOR, Cast
from workspaces import people

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db


def test_the_pulse_counts_decisions_of_the_last_hour(cast: Cast) -> None:
    for path in ("/srv/reports/a", "/etc/passwd"):
        ask(cast.report_bot, cast.report_bot_key, "files.read", {"path": path})
    found = Caller(cast.otto).get("workspaces/acme/pulse")
    assert found["totals"] == {"allowed": 1, "waits": 0, "denied": 1}
    assert {name: (len(counts), sum(counts)) for name, counts in found["minutes"].items()} == {
        "allowed": (60, 1),
        "waits": (60, 0),
        "denied": (60, 1),
    }
    assert found["agents"] == [
        {"agent": cast.report_bot.public_id, "name": "report-bot", "decisions": found["totals"]}
    ]
    Caller(cast.gina).get("workspaces/acme/pulse", 404)


def test_an_id_is_found_by_who_may_see_it(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    otto, gina = Caller(cast.otto), Caller(cast.gina)
    confined = Caller(cast.olga, workspace=cast.acme)
    for public_id, kind in ((approval.public_id, "Approval"), (cast.report_bot.public_id, "Agent")):
        for caller in (otto, confined):
            (found,) = caller.get("search", q=public_id)["results"]
            assert (found["kind"], found["page"].startswith("/admin/")) == (kind, True)
        assert gina.get("search", q=public_id) == {"results": []}
    assert otto.get("search", q=approval.entry_index)["results"][0]["page"].startswith("/admin/")
    assert otto.get("search") == {"results": []}


def test_operators_and_nobody_else_are_told_how_the_installation_is(cast: Cast) -> None:
    root = people.set_operator(people.create_person("root@x.test", actor=ACTOR).row, True, actor=ACTOR).row
    found = Caller(root).get("installation/health")["findings"]
    assert {each["name"]: each["state"] for each in found}.items() >= {
        "Worker": "act",
        "Mail": "well",
    }.items()
    Caller(cast.olga).get("installation/health", 403)


def test_entries_and_decisions_of_a_span_of_time_are_found(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    last = Entry.objects.get(log_id=cast.acme.log_id, index=approval.entry_index)
    later = last.time + timedelta(hours=1)
    Entry.objects.filter(log_id=cast.acme.log_id, index__gt=last.index).update(time=later)
    olga = Caller(cast.olga)
    logs, decisions = f"logs/{cast.acme.log.uuid}/entries", "workspaces/acme/decisions"
    span = {"since": quote(stamp(last.time)), "until": quote(stamp(later))}
    assert last.index in [row["index"] for row in olga.get(logs, **span)["results"]]
    assert [row["index"] for row in olga.get(decisions, **span)["results"]] == [last.index]
    before = olga.get(logs, until=span["since"], limit=2)
    assert all(row["index"] < last.index for row in before["results"])
    assert olga.get(decisions, until=span["since"])["results"] == []
    assert olga.get(decisions, since=span["until"]) == {"results": [], "next": None}
    for wrong in ("yesterday", "2026-11-23T12:00:00", "2026-13-01T00:00:00Z"):
        assert olga.get(decisions, 400, since=wrong)["errors"][0]["path"] == ["since"]
