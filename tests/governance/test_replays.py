"""A version replayed over recorded calls says what it would newly block, ask and allow, and what it cannot tell."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from django.utils import timezone

from audit import log, owed
from audit.models import Detail, Entry, Owed
from gate import bodies
from governance import checks, containment, policies, records, replays, snapshot
from governance.models import Approval, PolicyVersion, Replay
from governance.replays import ReplayRefused
from governance.requests import Caller
from tests import approving
from tests.cast import Cast
from tests.portal import body_of, latest
from workspaces import agents, catalog, people
from workspaces.identifiers import key_digest
from workspaces.models import Agent, User

READ = {
    "name": "Nothing secret",
    "tools": ["files.read"],
    "effect": "deny",
    "when": "args.path.contains('secret')",
}
ASK = {
    "name": "Refunds above 100",
    "tools": ["billing.refund"],
    "effect": "require_approval",
    "when": "args.amount > 100",
    "approval": {"reviewers": ["group:finance"]},
}


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """What a process remembers of rows that an earlier test rolled back."""
    snapshot.forget()
    records.key_uses.clear()
    yield
    snapshot.forget()
    records.key_uses.clear()


def ask(cast: Cast, bot: Agent, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One check, parsed and admitted as the gate does."""
    key = cast.report_bot_key if bot == cast.report_bot else cast.support_bot_key
    caller = Caller(cast.acme.log_id, bot.pk, key[4:12], key_digest(key))
    raw = orjson.dumps({"tool": tool, "arguments": arguments, **more})
    (answer,) = checks.admit(cast.acme.log_id, [bodies.parse_check(raw, caller, "")])
    assert isinstance(answer, bytes), answer
    told: dict[str, Any] = orjson.loads(answer)
    return told


def read(cast: Cast, path: str, **more: Any) -> dict[str, Any]:
    return ask(cast, cast.report_bot, "files.read", {"path": path}, **more)


def refund(cast: Cast, amount: int, **more: Any) -> dict[str, Any]:
    return ask(cast, cast.support_bot, "billing.refund", {"invoice": "17", "amount": amount}, **more)


def publish(cast: Cast, *rules: dict[str, Any]) -> PolicyVersion:
    return policies.publish(policies.draft(cast.acme, list(rules), actor="system"), actor="system")


def draft(cast: Cast, *rules: dict[str, Any]) -> PolicyVersion:
    return policies.draft(cast.acme, list(rules), actor="system")


def work() -> None:
    """The worker, until nothing is owed; inside the test's transaction, where ``owed.perform`` would not go."""
    while rows := owed.claim(1):
        owed.performer_of(rows[0].kind)(rows[0].payload)
        Owed.objects.filter(pk=rows[0].pk).update(done_at=timezone.now())


def replay(version: PolicyVersion, person: User, **options: Any) -> Replay:
    """A replay from start to end."""
    started = replays.start(version, person=person, **options)
    work()
    started.refresh_from_db()
    assert started.status == Replay.Status.DONE, started.error
    return started


def counts(done: Replay) -> dict[str, int]:
    """How many calls, and how many of them the version decides otherwise or cannot judge."""
    found = {name: done.counts.get(name, 0) for name in ("calls", "block", "ask", "allow")}
    return found | {"unjudged": replays.unjudged(done.counts)}


def test_a_draft_newly_blocks_asks_and_allows(cast: Cast) -> None:
    publish(cast, READ, ASK)
    read(cast, "/srv/reports/a")
    read(cast, "/srv/reports/secret")
    refund(cast, 50)
    refund(cast, 500)
    draft_of = draft(
        cast,
        {**READ, "when": "args.path.endsWith('/a')"},
        {**ASK, "when": "args.amount > 10"},
    )
    done = replay(draft_of, cast.olga)
    assert counts(done) == {"calls": 4, "block": 1, "ask": 1, "allow": 1, "unjudged": 0}
    rows = {row.kind: row for row in done.differences.all()}
    assert (rows["block"].before, rows["block"].after) == ("allow", "deny")
    assert rows["block"].rules_after == ["Nothing secret"]
    assert (rows["allow"].before, rows["allow"].rules_before) == ("deny", ["Nothing secret"])
    assert (rows["ask"].agent, rows["ask"].tool) == (cast.support_bot.public_id, "billing.refund")
    entry = Entry.objects.get(pk=rows["ask"].entry_key)
    assert (entry.index, entry.type) == (rows["ask"].index, "governance.check.allowed")


def test_the_same_rules_in_another_order_change_nothing(cast: Cast) -> None:
    publish(cast, READ, ASK)
    for path in ("a", "secret"):
        read(cast, f"/srv/reports/{path}")
    refund(cast, 500)
    assert counts(replay(draft(cast, ASK, READ), cast.olga)) == {
        "calls": 3, "block": 0, "ask": 0, "allow": 0, "unjudged": 0
    }  # fmt: skip


def test_what_no_rule_refused_no_draft_lets_through(cast: Cast) -> None:
    publish(cast, READ)
    read(cast, "/etc/passwd")
    ask(cast, cast.report_bot, "no.such", {})
    containment.set_standing(
        cast.report_bot, "suspended", reason="Test", actor=people.actor_of(cast.olga), person=cast.olga
    )
    read(cast, "/srv/reports/secret")
    done = replay(draft(cast), cast.rita)
    assert counts(done) == {"calls": 3, "block": 0, "ask": 0, "allow": 0, "unjudged": 0}
    assert done.counts["elsewhere"] == 3


def test_recorded_facts_are_judged_not_todays(cast: Cast) -> None:
    publish(cast)
    ask(cast, cast.report_bot, "web.fetch", {"url": "https://x.test/"}, session="one")
    read(cast, "/srv/reports/a", session="one")
    read(cast, "/srv/reports/a", session="one")
    version = draft(
        cast,
        {"name": "After the web", "tools": ["files.read"], "effect": "deny",
         "when": "'untrusted_output' in session.labels && session.repeats > 0"},
    )  # fmt: skip
    done = replay(version, cast.olga)
    assert counts(done) == {"calls": 3, "block": 1, "ask": 0, "allow": 0, "unjudged": 0}
    assert done.differences.get().index == latest_check(cast).index


def latest_check(cast: Cast) -> Entry:
    rows = Entry.objects.filter(log_id=cast.acme.log_id, type__startswith="governance.check.")
    return rows.latest("index")


def test_a_limit_that_is_new_counts_anew_and_one_that_was_there_as_it_did(cast: Cast) -> None:
    limit = {"name": "Two", "tools": ["files.read"], "effect": "limit", "limit": {"calls": 2, "per": "1h"}}
    for number in range(5):
        read(cast, f"/srv/reports/{number}")
    fresh = replay(draft(cast, limit), cast.olga)
    assert counts(fresh) == {"calls": 5, "block": 3, "ask": 0, "allow": 0, "unjudged": 0}
    assert list(fresh.differences.values_list("rules_after", flat=True)) == [["Two"]] * 3
    publish(cast, {**limit, "limit": {"calls": 9, "per": "1h"}})
    for number in range(4):
        read(cast, f"/srv/reports/{number}")
    later = replay(draft(cast, {**limit, "limit": {"calls": 3, "per": "1h"}}), cast.olga, most=4)
    assert counts(later) == {"calls": 4, "block": 1, "ask": 0, "allow": 0, "unjudged": 0}


def test_an_approved_call_stays_allowed_under_the_rule_that_asked(cast: Cast) -> None:
    publish(cast, ASK)
    waiting = refund(cast, 500)
    approval = Approval.objects.select_related("workspace", "agent").get(public_id=waiting["approval"]["id"])
    work()
    approving.decide(approval, cast.rita)
    assert refund(cast, 500, approval=waiting["approval"]["id"])["decision"] == "allow"
    assert counts(replay(draft(cast, {**ASK, "when": "args.amount > 10"}), cast.olga))["ask"] == 0
    other = draft(cast, ASK, {**ASK, "name": "Every refund", "when": "args.amount > 1"})
    done = replay(other, cast.olga)
    assert counts(done) == {"calls": 2, "block": 0, "ask": 1, "allow": 0, "unjudged": 0}
    assert done.differences.get().rules_after == ["Every refund"]


def test_a_supervised_agent_still_asks(cast: Cast) -> None:
    publish(
        cast, {"name": "No refunds", "tools": ["billing.refund"], "effect": "deny", "when": "args.amount > 1"}
    )
    containment.set_standing(
        cast.support_bot, "supervised", reason="Test", actor=people.actor_of(cast.olga), person=cast.rita
    )
    assert refund(cast, 500)["decision"] == "deny"
    containment.set_standing(cast.support_bot, "active", reason="Test", actor="cli:test", person=None)
    refund(cast, 500)
    done = replay(draft(cast), cast.olga)
    assert counts(done) == {"calls": 2, "block": 0, "ask": 1, "allow": 1, "unjudged": 0}


def test_what_cannot_be_judged_is_counted_and_told_apart(cast: Cast) -> None:
    publish(cast, READ)
    read(cast, "/srv/reports/a")
    Detail.objects.get(log_id=cast.acme.log_id, index=latest_check(cast).index).delete()
    read(cast, "/srv/reports/b", reason="my key is AKIAIOSFODNN7EXAMPLE, use it")
    refund_with_card = {"invoice": "1", "amount": 5, "card_number": "4111"}
    ask(cast, cast.support_bot, "billing.refund", refund_with_card)
    read(cast, "/srv/reports/c")
    card = {
        "name": "Card",
        "tools": ["billing.refund"],
        "effect": "deny",
        "when": "args.card_number == '4111'",
    }
    said = {"name": "Said", "tools": ["files.read"], "effect": "deny", "when": "reason.contains('key')"}
    done = replay(draft(cast, said, card), cast.olga)
    assert counts(done) == {"calls": 4, "block": 0, "ask": 0, "allow": 0, "unjudged": 3}
    agents.change_agent(cast.report_bot, labels=["other"], actor="system")
    publish(cast, {**READ, "agents": ["label:other"]})
    read(cast, "/srv/reports/secret")
    agents.change_agent(cast.report_bot, labels=["internal"], actor="system")
    assert counts(replay(draft(cast, said), cast.olga, most=1))["unjudged"] == 1


def test_sensitive_arguments_hinder_no_rule_that_does_not_read_them(cast: Cast) -> None:
    ask(cast, cast.support_bot, "billing.refund", {"invoice": "1", "amount": 500, "card_number": "4111"})
    assert counts(replay(draft(cast, ASK), cast.olga))["ask"] == 1


def test_a_period_and_a_number_of_calls_bound_it(cast: Cast) -> None:
    for number in range(6):
        read(cast, f"/srv/reports/{number}")
    version = draft(cast, {**READ, "when": "size(args.path) > 1"})
    assert counts(replay(version, cast.olga, most=4))["block"] == 4
    assert counts(replay(version, cast.olga, days=1))["calls"] == 6
    assert counts(replay(version, cast.olga, agent=cast.support_bot))["calls"] == 0
    with pytest.raises(ReplayRefused, match="100,000"):
        replays.start(version, person=cast.olga, most=100_001)


def test_a_condition_tells_nothing_of_calls_that_one_may_not_read(cast: Cast) -> None:
    dora = people.create_person("dora@acme.test", name="Dora", actor="system").row
    people.set_roles(cast.acme, dora, roles=["developer"], actor="system")
    read(cast, "/srv/reports/secret")
    version = draft(cast, READ)
    with pytest.raises(ReplayRefused, match="owner or a compliance officer"):
        replays.start(version, person=dora)
    agents.change_agent(cast.support_bot, owner=dora, actor="system")
    refund(cast, 5)
    assert counts(replay(version, dora))["calls"] == 1
    with pytest.raises(ReplayRefused, match="may read"):
        replays.start(version, person=dora, agent=cast.report_bot)
    theirs = replay(version, cast.olga)
    assert counts(theirs)["block"] == 1
    assert [row.started_by for row in replays.visible_to(dora, cast.acme)] == [dora]
    assert replays.visible_to(cast.rita, cast.acme).count() == 2


def test_one_replay_at_a_time_and_it_can_be_cancelled(cast: Cast) -> None:
    version = draft(cast, READ)
    started = replays.start(version, person=cast.olga)
    assert latest(cast.acme).type == "governance.replay.started"
    with pytest.raises(ReplayRefused, match="cancel it"):
        replays.start(version, person=cast.rita)
    assert replays.cancel(started)
    assert not replays.cancel(started)
    work()
    started.refresh_from_db()
    assert (started.status, started.counts) == ("cancelled", {})
    replays.start(version, person=cast.rita)


def test_a_killed_worker_loses_a_batch_at_most_and_counts_nothing_twice(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "BATCH", 3)
    monkeypatch.setattr(replays, "SLICE_SECONDS", 0.0)  # a slice is one batch
    for number in range(10):
        read(cast, f"/srv/reports/{number}")
    limit = {"name": "Four", "tools": ["files.read"], "effect": "limit", "limit": {"calls": 4, "per": "1h"}}
    started = replays.start(draft(cast, limit), person=cast.olga)
    (row,) = owed.claim(1)
    replays.go_on(row.payload)  # and the worker dies before it notes that the row is done
    started.refresh_from_db()
    assert started.counts["calls"] == 3
    stale, other = (replays.Runner(Replay.objects.get(pk=started.pk)) for _ in range(2))
    assert other.step()
    assert not stale.step()
    work()
    started.refresh_from_db()
    assert started.status == Replay.Status.DONE
    assert counts(started) == {"calls": 10, "block": 6, "ask": 0, "allow": 0, "unjudged": 0}
    assert started.differences.count() == 6
    Owed.objects.filter(pk=row.pk).update(lease_until=timezone.now())  # the dead worker's row, claimed again
    work()
    started.refresh_from_db()
    assert counts(started)["calls"] == 10


def test_only_so_many_of_a_kind_are_listed_and_all_are_counted(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "KEPT", 2)
    monkeypatch.setattr(replays, "BATCH", 3)
    for number in range(7):
        read(cast, f"/srv/reports/{number}")
    done = replay(draft(cast, {**READ, "when": "size(args.path) > 1"}), cast.olga)
    assert (done.counts["block"], done.differences.count()) == (7, 2)


def test_the_result_is_an_entry(cast: Cast) -> None:
    read(cast, "/srv/reports/secret")
    version = draft(cast, READ)
    done = replay(version, cast.olga)
    entry = latest(cast.acme)
    assert (entry.type, entry.outcome) == ("governance.replay.finished", "done")
    data = body_of(entry)["data"]
    assert (data["replay"], data["policy"], data["block"]) == (done.public_id, version.digest, 1)
    assert not replays.changed_since(done)
    catalog.set_list(cast.acme, name="partners", members=[], actor="system")
    assert replays.changed_since(done)


def test_a_version_that_cannot_be_read_says_so(cast: Cast) -> None:
    version = draft(cast, {**READ, "resources": ["reports"]})
    catalog.remove_resource(cast.resources["reports"], actor="system")
    with pytest.raises(ReplayRefused, match="Draft it anew"):
        replays.start(version, person=cast.olga)
    assert log.newest(cast.acme.log_id)
