"""What the log keeps of decisions goes when its term is over, with an entry that says so, and the log stays intact."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit import log
from audit.kinds import PRUNED
from audit.models import Checkpoint, Detail, Entry, Pruning, Tile
from audit.publishing import publish
from audit.verification import verify
from governance import approvals, policies, proposals, retention
from governance.models import AgentState, Approval, Decision, Proposal, Vote
from tests.cast import ACTOR, Cast
from tests.gate.conftest import REFUND, RULES
from tests.governance.test_verify_log import caller, check, findings, fresh_process, stand, verified
from tests.portal import body_of, latest
from workspaces import holds, tenancy
from workspaces.models import Workspace
from workspaces.people import actor_of

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db

READ = ("files.read", {"path": "/srv/reports/q3.csv"})
PAD = "governance.detail.read"


@pytest.fixture
def old(cast: Cast) -> Cast:
    """Some 600 entries: decisions, an approval that was given, a containment step, and readings of Details."""
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR), actor=ACTOR)
    reader = caller(cast.report_bot, cast.report_bot_key)
    mailer = caller(cast.support_bot, cast.support_bot_key)
    check(reader, *READ)
    asked = check(mailer, REFUND, {"invoice": "17", "amount": 250})
    approval = Approval.objects.select_related("workspace", "agent").get(public_id=asked["approval"]["id"])
    approvals.decide(
        approval, person=cast.rita, approve=True, comment="It is owed.", known_by=Vote.KnownBy.SESSION,
        actor=actor_of(cast.rita), second_factor="totp",
    )  # fmt: skip
    stand(cast.report_bot, "supervised")
    stand(cast.report_bot, "active")
    fill(cast.acme, 560)
    check(mailer, REFUND, {"invoice": "17", "amount": 250}, approval=approval.public_id)
    check(reader, *READ)
    return cast


def fill(workspace: Workspace, count: int) -> None:
    """So many entries with Details."""
    with log.write(workspace.log_id) as entries:
        for number in range(count):
            entries.append(PAD, actor=ACTOR, data={"number": number}, detail={"note": f"number {number}"})


def later(workspace: Workspace, days: int = 1) -> datetime:
    """A time by which all that is there is past its term."""
    return timezone.now() + timedelta(days=workspace.retention_days + days)


def settle(cast: Cast) -> None:
    """Close what is open: the decisions that were allowed."""
    Decision.objects.update(outcome="succeeded")


def test_old_entries_go_and_the_log_stays_intact(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    before = verify(old.acme.log)
    assert retention.prune(old.acme, later(old.acme)) > 1000
    after = verify(old.acme.log)
    assert after.intact
    stated = body_of(latest(old.acme))
    assert stated["type"] == PRUNED
    entries, details = stated["data"]["entries"], stated["data"]["details"]
    assert (entries["from"], entries["to"]) == (0, 512)
    assert entries["pruned"] + entries["kept"] == 512
    assert details["to"] == before.entries
    assert after.pruned == entries["pruned"]
    assert after.entries == before.entries - entries["pruned"] + 1
    assert stated["data"]["term_days"] == 400
    assert stated["data"]["revision"] == after.revision
    acme = next(line for line in verified() if line.startswith("acme: "))
    assert f"and {entries['pruned']} pruned" in acme
    assert acme.endswith(": intact")


def test_configuration_and_containment_stay(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    types = set(Entry.objects.filter(log_id=old.acme.log_id, index__lt=512).values_list("type", flat=True))
    assert {
        "workspaces.agent.created",
        "governance.containment.changed",
        "governance.policy.published",
    } <= types
    assert not types & {
        "governance.check.allowed",
        "governance.check.pending",
        PAD,
        "governance.approval.voted",
    }
    assert Detail.objects.filter(log_id=old.acme.log_id, index__lt=512).exists()
    assert not Detail.objects.filter(log_id=old.acme.log_id, index__range=(300, 500)).exists()


def test_young_entries_stay(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    assert retention.prune(old.acme, later(old.acme, days=-1)) == 0
    assert not Pruning.objects.exists()


def test_bodies_wait_for_a_checkpoint_and_details_do_not(old: Cast) -> None:
    settle(old)
    size = log.newest(old.acme.log_id)
    assert retention.prune(old.acme, later(old.acme)) > 0
    assert Entry.objects.filter(log_id=old.acme.log_id, index__lt=size).count() == size
    assert not Detail.objects.filter(log_id=old.acme.log_id, index__range=(300, 500)).exists()
    assert findings() == []
    publish(old.acme.log)
    assert retention.prune(old.acme, later(old.acme, days=2)) > 0
    assert Entry.objects.filter(log_id=old.acme.log_id, index__lt=512).count() < 512
    assert findings() == []


def test_bodies_stay_where_a_tile_does_not_vouch_for_them(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    tile = Tile.objects.get(log=old.acme.log, level=0, index=1)
    tile.hashes = b"\0" * 32 + bytes(tile.hashes)[32:]
    tile.save()
    retention.prune(old.acme, later(old.acme))
    assert body_of(latest(old.acme))["data"]["entries"]["to"] == 256


def test_what_waits_or_runs_keeps_what_it_refers_to(old: Cast) -> None:
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    first = Entry.objects.filter(log_id=old.acme.log_id, type="governance.check.allowed").order_by("index")[0]
    assert body_of(latest(old.acme))["data"]["details"]["to"] == first.index
    assert findings() == []


def test_it_goes_on_in_parts_where_it_was(old: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 256)
    settle(old)
    publish(old.acme.log)
    rounds = 0
    while retention.prune(old.acme, later(old.acme)):
        rounds += 1
    parts = list(
        Pruning.objects.order_by("entry_index").values_list("start", "end", "details_start", "details_end")
    )
    assert rounds == 3
    assert parts[:2] == [(0, 256, 0, 256), (256, 512, 256, 512)]
    assert findings() == []


def test_a_part_that_is_not_full_waits_a_day(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    now = later(old.acme)
    retention.prune(old.acme, now)
    fill(old.acme, 5)
    Pruning.objects.get()
    assert retention.prune(old.acme, timezone.now() + timedelta(hours=2)) == 0


def test_later_decisions_are_judged_as_before(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    for _ in range(2):
        check(caller(old.report_bot, old.report_bot_key), *READ)
    assert findings() == []


def test_a_number_that_an_agent_skipped_after_the_gap_is_found(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    who = caller(old.report_bot, old.report_bot_key)
    check(who, *READ)
    state = AgentState.objects.get(agent=old.report_bot)
    state.seq += 5
    state.save()
    check(who, *READ)
    assert len(findings()) == 1


def test_a_kept_entry_that_goes_too_is_found(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    step = Entry.objects.filter(log_id=old.acme.log_id, type="governance.containment.changed").latest("index")
    Detail.objects.filter(log_id=step.log_id, index=step.index).delete()
    step.delete()
    assert any("were kept; there are" in finding for finding in findings())


def test_a_detail_of_the_configuration_is_not_excused(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    Detail.objects.filter(log_id=old.acme.log_id, index__lt=512).order_by("index")[0].delete()
    assert any("no entry tells of an erasure" in finding for finding in findings())


def test_entries_that_no_statement_names_are_missing(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    gone = Entry.objects.filter(log_id=old.acme.log_id, index__gt=512, type=PAD).latest("index")
    gone.delete()
    assert any("The entry is missing" in finding for finding in findings())


def test_a_statement_that_somebody_forges_excuses_nothing(old: Cast) -> None:
    publish(old.acme.log)
    Entry.objects.filter(log_id=old.acme.log_id, index__range=(300, 310)).delete()
    Detail.objects.filter(log_id=old.acme.log_id, index__range=(300, 310)).delete()
    Pruning.objects.create(
        log_id=old.acme.log_id, start=256, end=512, details_start=256, details_end=512, entry_index=20
    )
    assert any("Entries 300 to 310 are missing" in finding for finding in findings())


def test_tiles_that_are_gone_leave_a_hole(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    Tile.objects.filter(log=old.acme.log, level=0, index=1).delete()
    assert any("the tiles with their hashes are gone" in finding for finding in findings())


def test_rows_of_old_approvals_go_too(old: Cast) -> None:
    settle(old)
    process = Approval.objects.get().process
    assert process is not None
    retention.prune(old.acme, later(old.acme))
    assert not Approval.objects.exists()
    assert not Vote.objects.exists()
    assert not type(process)._default_manager.filter(pk=process.pk).exists()


def test_rows_of_old_proposals_go_too(old: Cast) -> None:
    kind = Proposal.Kind.ACCESS
    for name in ("settled", "waiting"):
        content = {"tool": "files.read", "hours": 1, "needs": []}
        row = Proposal(workspace=old.acme, kind=kind, title=name, agent=old.report_bot, content=content)
        proposals.start(proposals.open(row, actor=ACTOR))
    settled = Proposal.objects.get(title="settled")
    assert settled.process is not None
    proposals.cancel(settled, actor=ACTOR, reason="It is not needed.")
    settle(old)
    retention.prune(old.acme, later(old.acme))
    assert [row.title for row in Proposal.objects.all()] == ["waiting"]
    assert not type(settled.process)._default_manager.filter(pk=settled.process_id).exists()


def test_pages_find_times_across_a_gap(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    retention.prune(old.acme, later(old.acme))
    assert log.index_at(old.acme.log_id, timezone.now() - timedelta(days=3)) == 0
    assert log.index_at(old.acme.log_id, timezone.now() + timedelta(days=3)) == log.newest(old.acme.log_id)


def test_a_hold_stops_it(old: Cast) -> None:
    settle(old)
    publish(old.acme.log)
    hold = holds.place(old.acme, reason="Litigation.", person=old.rita)
    assert retention.prune(old.acme, later(old.acme)) == 0
    holds.release(hold, person=old.rita)
    assert retention.prune(old.acme, later(old.acme)) > 0


def test_the_sweep_looks_at_every_workspace(old: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(old)
    publish(old.acme.log)
    monkeypatch.setitem(retention.rounds, "next", 0.0)
    moment = later(old.acme)
    monkeypatch.setattr(log, "database_time", lambda: moment)
    assert retention.prune_due() > 1000
    assert retention.prune_due() == 0
    assert set(Pruning.objects.values_list("log_id", flat=True)) >= {old.acme.log_id}


def test_the_term_has_a_floor(acme: Workspace) -> None:
    assert acme.retention_days == 400
    assert tenancy.change_workspace(acme, retention_days=183, actor=ACTOR).row.retention_days == 183
    with pytest.raises(ValidationError, match="183 to"):
        tenancy.change_workspace(acme, retention_days=182, actor=ACTOR)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE workspaces_workspace SET retention_days = 10")


def test_a_checkpoint_of_more_than_a_part_vouches_for_that_part_alone(old: Cast) -> None:
    publish(old.acme.log)
    assert Checkpoint.objects.get(log=old.acme.log).size > 512
    assert retention.vouched_for(old.acme.log_id, 256) == 512
