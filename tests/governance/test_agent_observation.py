"""An observation ends in the least grants: what was seen is allowed by them, and nothing beside it."""

import hashlib
import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import canonical
from audit.models import Detail, Entry
from governance import checks, containment, observed, snapshot
from governance.observed import Call, Holdings
from governance.requests import Caller, CheckRequest
from tests.cast import REPEATING, Cast
from workspaces import access, agents, allowances
from workspaces.allowances import Need
from workspaces.identifiers import key_digest
from workspaces.models import Agent, Resource
from workspaces.resources import Pattern

BORN = itertools.count()
pytestmark = pytest.mark.django_db(transaction=True)

PATHS = ["/srv/a", "/srv/b c", "/srv/x*y", "/srv/sub/d?e", "/etc/passwd", "/srv/reports/q3.csv"]
URLS = ["https://one.test/", "https://one.test/a?b=1", "https://one.test/a?b=2", "https://two.test/a;x+y"]
PEOPLE = ["ann@customers.test", "bob+x@customers.test", "eve@evil.test"]
CALLS = st.one_of(
    st.builds(lambda path: ("files.read", {"path": path}), st.sampled_from(PATHS)),
    st.builds(lambda url: ("web.fetch", {"url": url}), st.sampled_from(URLS)),
    st.builds(
        lambda to, path: (
            "mail.send",
            {"to": to, "subject": "s", "body": "b", "attachments": [{"path": path}] if path else []},
        ),
        st.sampled_from(PEOPLE),
        st.sampled_from(["", *PATHS]),
    ),
)
EVERY: list[tuple[str, dict[str, Any]]] = [
    *(("files.read", {"path": path}) for path in PATHS),
    *(("web.fetch", {"url": url}) for url in URLS),
    *(
        (
            "mail.send",
            {"to": to, "subject": "s", "body": "b", "attachments": [{"path": path}] if path else []},
        )
        for to in PEOPLE
        for path in ("", *PATHS)
    ),
]


def newcomer(cast: Cast) -> tuple[Agent, Caller]:
    """An agent of olga's that was given nothing."""
    bot = agents.create_agent(
        cast.acme, f"newcomer-{next(BORN)}", owner=cast.olga, actor="system", loop_limits=REPEATING
    )
    _, text = agents.create_key(bot, actor="system")
    return bot, Caller(cast.acme.log_id, bot.pk, text[4:12], key_digest(text))


def ask(caller: Caller, calls: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, str]]:
    """(decision, code) of each call."""
    requests = []
    for tool, arguments in calls:
        named = canonical.encode({"tool": tool, "arguments": arguments})
        requests.append(CheckRequest(caller, tool, arguments, hashlib.sha256(named).digest()))
    answers = [
        json.loads(answer) for answer in checks.admit(caller.log_id, requests) if isinstance(answer, bytes)
    ]
    assert len(answers) == len(calls)
    return [(answer["decision"], answer["code"]) for answer in answers]


def stand(bot: Agent, standing: str) -> None:
    containment.set_standing(bot, standing, reason="test", actor="cli:test", person=None)
    bot.refresh_from_db()


def draft(bot: Agent, cast: Cast) -> observed.Draft:
    reading = observed.observed(bot, person=cast.olga)
    return observed.draft(reading.calls, Holdings(bot, timezone.now()))


def touched(call: tuple[str, dict[str, Any]]) -> frozenset[tuple[str, str]]:
    """What a call needs: its tool, and each action on a thing as its arguments name it."""
    tool, arguments = call
    needs = {("use", tool)}
    for name, action in (("path", "read"), ("url", "read"), ("to", "send")):
        if name in arguments:
            needs.add((action, arguments[name]))
    return frozenset(needs | {("read", each["path"]) for each in arguments.get("attachments", ())})


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CALLS, min_size=1, max_size=8))
def test_the_draft_allows_exactly_what_was_seen(cast: Cast, calls: list[tuple[str, dict[str, Any]]]) -> None:
    snapshot.forget()
    bot, caller = newcomer(cast)
    stand(bot, "observe")
    assert set(ask(caller, calls)) == {("allow", "observed")}
    proposed = draft(bot, cast)
    assert proposed.calls == len(calls)
    needs = [each.need for each in proposed.exact]
    allowances.allow(bot, observed.chosen(proposed, needs), expires_at=None, actor="system")
    stand(bot, "active")
    assert set(ask(caller, calls)) == {("allow", "granted")}
    seen = frozenset().union(*(touched(call) for call in calls))
    expected = ["allow" if touched(call) <= seen else "deny" for call in EVERY]
    assert [decision for decision, _ in ask(caller, EVERY)] == expected
    assert draft(bot, cast).exact == []
    snapshot.forget()


def test_wider_patterns_are_offered_and_take_the_place_of_what_they_cover(cast: Cast) -> None:
    snapshot.forget()
    bot, caller = newcomer(cast)
    stand(bot, "observe")
    ask(caller, [("files.read", {"path": f"/srv/in/{name}"}) for name in ("a", "b", "c", "c")])
    ask(caller, [("files.read", {"path": "/etc/passwd"})])
    proposed = draft(bot, cast)
    (folder,) = proposed.wider
    assert (folder.need, folder.calls, folder.resources) == (Need("read", "file:///srv/in/*"), 4, 3)
    ticked = [each.need for each in proposed.exact] + [folder.need]
    needs = observed.chosen(proposed, [*ticked, Need("read", "file:///*"), Need("use", "billing.refund")])
    assert sorted(needs) == [
        Need("read", "file:///etc/passwd"),
        Need("read", "file:///srv/in/*"),
        Need("use", "files.read"),
    ]
    allowances.allow(bot, needs, expires_at=None, actor="system")
    stand(bot, "active")
    answers = ask(caller, [("files.read", {"path": path}) for path in ("/srv/in/new/d", "/etc/shadow")])
    assert [decision for decision, _ in answers] == ["allow", "deny"]
    snapshot.forget()


def test_what_no_grant_helps_is_told_apart(cast: Cast) -> None:
    snapshot.forget()
    bot, caller = newcomer(cast)
    stand(bot, "observe")
    ask(
        caller,
        [
            ("no.such.tool", {}),
            ("files.read", {"path": "/srv/" + "x" * 1001}),
            ("files.read", {"path": "/a"}),
        ],
    )
    Detail.objects.filter(log_id=cast.acme.log_id).latest("index").delete()
    reading = observed.observed(bot, person=cast.olga)
    proposed = observed.draft(reading.calls, Holdings(bot, timezone.now()))
    assert proposed.others == [("no.such.tool", "unknown_tool", 1)]
    assert (proposed.exact, proposed.unnamed, reading.erased) == ([], 1, 1)
    snapshot.forget()


def test_only_the_observation_that_runs_is_read_and_the_reading_is_an_entry(cast: Cast) -> None:
    snapshot.forget()
    bot, caller = newcomer(cast)
    stand(bot, "observe")
    ask(caller, [("files.read", {"path": "/before"})])
    stand(bot, "active")
    stand(bot, "observe")
    size = Entry.objects.filter(log_id=cast.acme.log_id).count()
    assert observed.observed(bot, person=cast.olga).calls == []
    assert Entry.objects.filter(log_id=cast.acme.log_id).count() == size
    ask(caller, [("files.read", {"path": "/after"})])
    reading = observed.observed(bot, person=cast.olga)
    assert [call.needs for call in reading.calls] == [
        (Need("read", "file:///after"), Need("use", "files.read")),
    ]
    entry = Entry.objects.filter(log_id=cast.acme.log_id).latest("index")
    assert (entry.type, entry.actor) == ("governance.observation.read", f"person:{cast.olga.public_id}")
    assert b"/after" not in bytes(entry.body)
    snapshot.forget()


def test_a_long_observation_is_read_in_parts(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot.forget()
    monkeypatch.setattr(observed, "LOOKED_THROUGH", 3)
    bot, caller = newcomer(cast)
    stand(bot, "observe")
    ask(caller, [("files.read", {"path": f"/{number}"}) for number in range(5)])
    parts: list[Call] = []
    before: int | None = None
    for _ in range(3):
        reading = observed.observed(bot, person=cast.olga, before=before)
        parts += reading.calls
        if (before := reading.older) is None:
            break
    assert {need.of for call in parts for need in call.needs if not need.is_tool} == {
        f"file:///{n}" for n in range(5)
    }
    assert len(parts) == 5
    snapshot.forget()


def test_a_grant_that_lasts_longer_is_kept_and_a_known_resource_is_used(cast: Cast) -> None:
    bot, _ = newcomer(cast)
    week = timezone.now() + timedelta(days=7)
    access.grant(bot, permission="use", obj=cast.tools["files.read"], actor="system")
    needs = [
        Need("use", "files.read"),
        Need("read", "file:///srv/reports/*"),
        Need("read", "file:///srv/a b"),
    ]
    given = allowances.allow(bot, needs, expires_at=week, actor="system")
    assert given == needs[1:]
    ends = {str(line.target): line.expires_at for line in access.grants_of(bot)}
    assert ends["files.read"] is None
    assert ends["reports"] == week
    made = Resource.objects.latest("pk")
    assert (made.pattern, ends[made.name]) == ("file:///srv/a%20b", week)
    assert ":" not in made.name
    assert allowances.allow(bot, needs, expires_at=week, actor="system") == []


@pytest.mark.parametrize(
    "resource",
    [
        "file:///a*b",
        "mailto:*@customers.test",
        "file:///keys/[withheld: api-key]",
        "s3://b/" + "x" * 1000,
        "nothing",
    ],
)
def test_what_would_not_mean_exactly_one_resource_is_no_pattern(resource: str) -> None:
    assert allowances.exactly(resource) is None


@pytest.mark.parametrize(
    "resource",
    [
        "file:///a%2Ab",
        "https://one.test/a?b=1&c",
        "mailto:bob+x@customers.test",
        "ticket:7",
        "s3://b/a%20b;c",
    ],
)
def test_an_exact_pattern_covers_its_resource_and_no_other(resource: str) -> None:
    pattern = allowances.exactly(resource)
    assert pattern is not None
    assert Pattern.parse(pattern).matches(resource)
    assert not Pattern.parse(pattern).matches(resource + "x")
