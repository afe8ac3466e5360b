"""Personal values are erased everywhere, with an entry, and the log stays intact; what the log cannot account for is
found."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from audit import canonical
from audit.models import Detail, Entry, Erasure, ErasureItem, Export, Owed, Stream, StreamCursor
from audit.verification import verify
from governance import approvals, checks, erasure, links, policies, remains
from governance.letters import invitation
from governance.models import Approval, ApprovalLink, ApprovalProcess, Call, Idempotency, Vote
from governance.requests import OutcomeReport
from tests.cast import ACTOR, Cast
from tests.details import content_of, opened, sealed
from tests.gate.conftest import REFUND, RULES
from tests.governance.test_verify_log import caller, check, findings, fresh_process, verified
from tests.portal import body_of
from workspaces import catalog
from workspaces.people import actor_of

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db

ANN = "ann@customers.test"
BASIS, REASON = "GDPR Art. 17(1)(b)", "She withdrew her consent."


@pytest.fixture
def told(cast: Cast) -> Cast:
    """Ann is mentioned in arguments, resources, a reason, a summary and a comment; bob is mentioned too."""
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR), actor=ACTOR)
    mailer = caller(cast.support_bot, cast.support_bot_key)
    sent = check(
        mailer, "mail.send", {"to": ANN, "subject": "x", "body": "y"},
        call_id="c1", idempotency_key="k1", body_digest=b"d", reason="ANN@customers.test asked",
    )  # fmt: skip
    assert sent["decision"] == "allow"
    summary = {"summary": canonical.Encoded(canonical.encode(f"sent to {ANN}"))}
    checks.admit(mailer.log_id, [OutcomeReport(mailer, sent["id"], "succeeded", summary, None)])
    check(mailer, "mail.send", {"to": "bob@customers.test", "subject": "x", "body": "y"}, call_id="c2")
    asked = check(mailer, REFUND, {"invoice": "17", "amount": 250}, reason=f"{ANN} wants it back")
    approval = Approval.objects.select_related("workspace", "agent").get(public_id=asked["approval"]["id"])
    approvals.decide(
        approval, person=cast.rita, approve=True, comment=f"I called {ANN}.",
        known_by=Vote.KnownBy.SESSION, actor=actor_of(cast.rita), second_factor="totp",
    )  # fmt: skip
    return cast


def erase(cast: Cast, **what: Any) -> Erasure:
    """Find and erase, as a compliance officer does."""
    row = erasure.start(cast.acme, basis=BASIS, reason=REASON, actor=actor_of(cast.rita), **what)
    erasure.run(row)
    row.refresh_from_db()
    assert row.status == "found"
    erasure.confirm(row, actor=actor_of(cast.rita))
    erasure.run(row)
    row.refresh_from_db()
    return row


def mentions(cast: Cast, text: str) -> int:
    return sum(text.casefold().encode() in content.lower() for content in opened(cast.acme.log_id))


def entries(cast: Cast, type: str) -> list[dict[str, Any]]:
    rows = Entry.objects.filter(log_id=cast.acme.log_id, type=type).order_by("index")
    return [body_of(row) for row in rows]


def test_what_mentions_a_person_is_gone_and_the_log_intact(told: Cast) -> None:
    assert mentions(told, ANN) == 4
    row = erase(told, text=ANN)
    assert (row.status, row.found, row.erased) == ("done", 4, 4)
    assert mentions(told, ANN) == 0
    assert mentions(told, "bob@customers.test") == 1
    acme = next(line for line in verified() if line.startswith("acme: "))
    assert "4 details erased, commitments intact" in acme
    assert acme.endswith(": intact")


def test_only_the_fields_that_mention_the_person_go(told: Cast) -> None:
    refund = Approval.objects.get().entry_index
    erase(told, text=ANN)
    assert content_of(told.acme.log_id, refund).keys() == {"arguments", "resources", "reasons"}


def test_the_entry_says_who_why_and_what_and_nothing_personal(told: Cast) -> None:
    erase(told, text=ANN)
    (done,) = entries(told, "governance.data.erased")
    assert done["actor"] == actor_of(told.rita)
    assert done["data"]["basis"] == BASIS
    assert set(done["data"]["erased"]) == {"arguments", "resources", "reason", "summary", "comment"}
    for row in Entry.objects.filter(log_id=told.acme.log_id):
        assert ANN.encode() not in bytes(row.body).lower()
        assert REASON.encode() not in bytes(row.body)


def test_stored_answers_and_what_was_looked_for_are_gone(told: Cast) -> None:
    row = erase(told, text=ANN)
    assert [call.call_id for call in Call.objects.all()] == ["c2"]
    assert not Idempotency.objects.exists()
    assert bytes(row.query) == b""
    assert not ErasureItem.objects.exists()
    assert not ApprovalProcess.objects.exclude(data={}).exclude(data=None).exists()


def test_what_is_looked_for_is_sealed_meanwhile(told: Cast) -> None:
    row = erasure.start(told.acme, text=ANN, basis=BASIS, reason=REASON, actor=ACTOR)
    assert ANN.encode() not in bytes(Erasure.objects.get(pk=row.pk).query)


def test_names_are_found_in_percent_encoded_resources_too(told: Cast) -> None:
    check(caller(told.support_bot, told.support_bot_key), REFUND, {"invoice": "Müller 7", "amount": 1})
    row = erase(told, text="müller 7")
    assert (row.found, mentions(told, "m%c3%bcller")) == (1, 0)


def test_entries_and_single_fields_can_be_named(told: Cast) -> None:
    refund = Approval.objects.get().entry_index
    erase(told, first=refund, last=refund, field="reason")
    assert "reason" not in content_of(told.acme.log_id, refund)
    assert "arguments" in content_of(told.acme.log_id, refund)
    erase(told, first=refund, last=refund)
    assert not Detail.objects.filter(log_id=told.acme.log_id, index=refund).exists()
    assert findings() == []


def test_what_the_configuration_has_stays_and_is_counted(told: Cast) -> None:
    row = erase(told, text="orders@partner.test")
    assert (row.found, row.in_use) == (0, 1)
    catalog.set_list(told.acme, name="partners", members=["new@partner.test"], actor=ACTOR)
    row = erase(told, text="orders@partner.test")
    assert (row.erased, row.in_use) == (1, 0)
    assert findings() == []


def test_what_a_body_names_is_counted(told: Cast) -> None:
    check(caller(told.report_bot, told.report_bot_key), "no.such.tool", {}, session="for-carl")
    assert erase(told, text="for-carl").in_clear == 1


def test_exports_streams_and_mails_that_left_are_named(told: Cast) -> None:
    refund = Approval.objects.get()
    ApprovalLink.objects.filter(approval=refund).update(mailed_at=refund.created)
    common = {
        "first": 0,
        "end": 10_000,
        "created": refund.created,
        "requested_by": told.rita,
        "kind": "jsonl",
    }
    export = Export.objects.create(log_id=told.acme.log_id, position=10_000, **common)
    Export.objects.create(log_id=told.acme.log_id, position=0, **common)
    stream = Stream.objects.create(log_id=told.acme.log_id, name="siem", kind="file")
    StreamCursor.objects.create(stream=stream, next=10_000, due=refund.created)
    mailed = ApprovalLink.objects.filter(mailed_at__isnull=False).count()
    row = erase(told, text=ANN)
    assert row.left == {"exports": [export.public_id], "streams": [stream.public_id], "mails": mailed}
    (finished,) = entries(told, "governance.erasure.finished")
    assert finished["data"]["left"] == row.left


def test_mails_in_the_folder_that_stands_for_a_server_are_shredded(
    told: Cast, settings: Any, tmp_path: Path
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    link = ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person").first()
    assert link is not None
    now = timezone.now()
    invitation(link, links.issue(link, now=now), why="", now=now).send()
    (tmp_path / "other.log").write_text("Subject: other\n")
    assert len(list(tmp_path.iterdir())) == 2
    erase(told, text=ANN)
    assert [file.name for file in tmp_path.iterdir()] == ["other.log"]


def test_nothing_is_erased_before_it_is_confirmed(told: Cast) -> None:
    row = erasure.start(told.acme, text=ANN, basis=BASIS, reason=REASON, actor=ACTOR)
    erasure.run(row)
    assert erasure.step(row) is False
    assert mentions(told, ANN) == 4
    erasure.cancel(row, actor=ACTOR)
    with pytest.raises(erasure.ErasureRefused):
        erasure.confirm(row, actor=ACTOR)
    with pytest.raises(erasure.ErasureRefused):
        erasure.cancel(row, actor=ACTOR)
    assert not ErasureItem.objects.exists()
    assert mentions(told, ANN) == 4


def test_erasing_again_finds_nothing(told: Cast) -> None:
    erase(told, text=ANN)
    again = erase(told, text=ANN)
    assert (again.found, again.erased) == (0, 0)
    assert len(entries(told, "governance.data.erased")) == 1


def test_the_worker_searches_and_erases_in_steps(told: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "SEARCHED", 7)
    monkeypatch.setattr(erasure, "BATCH", 1)
    monkeypatch.setattr(erasure, "SLICE_SECONDS", 0.0)
    row = erasure.start(told.acme, text=ANN, basis=BASIS, reason=REASON, actor=ACTOR)
    slices = work()
    row.refresh_from_db()
    assert (row.status, row.found) == ("found", 4)
    assert slices > 2
    erasure.confirm(row, actor=ACTOR)
    assert work() == 5
    assert (mentions(told, ANN), len(entries(told, "governance.data.erased"))) == (0, 4)
    assert findings() == []


def work() -> int:
    """Perform the owed slices as the worker does; how many."""
    count = 0
    while row := Owed.objects.filter(kind=erasure.SLICE, done_at=None).first():
        erasure.go_on(row.payload)
        Owed.objects.filter(pk=row.pk).delete()
        count += 1
    return count


def test_a_detail_that_is_gone_without_an_entry_is_found(told: Cast) -> None:
    refund = Approval.objects.get().entry_index
    Detail.objects.filter(log_id=told.acme.log_id, index=refund).delete()
    (finding,) = findings()
    assert "is gone, and no entry tells of an erasure" in finding


def test_a_field_that_is_gone_without_an_entry_is_found(told: Cast) -> None:
    erase(told, text=ANN)
    refund = Approval.objects.get().entry_index
    left = content_of(told.acme.log_id, refund)
    del left["arguments"]
    Detail.objects.filter(index=refund, log_id=told.acme.log_id).update(
        content=sealed(told.acme.log_id, refund, left)
    )
    (finding,) = findings()
    assert "'arguments' is gone" in finding


def test_a_value_that_comes_back_with_a_backup_is_found(told: Cast) -> None:
    refund = Approval.objects.get().entry_index
    before = bytes(Detail.objects.get(log_id=told.acme.log_id, index=refund).content)
    erase(told, text=ANN)
    Detail.objects.filter(index=refund, log_id=told.acme.log_id).update(content=before)
    (finding,) = findings()
    assert "was erased, and is there again" in finding


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"text": "ab"},
        {"text": ANN, "first": 0},
        {"first": 9, "last": 3},
        {"first": 10**6},
        {"text": ANN, "basis": ""},
        {"text": ANN, "reason": " "},
        {"text": ANN, "basis": f"{ANN} asked"},
    ],
)
def test_what_cannot_be_accounted_for_is_refused(told: Cast, what: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        erasure.start(told.acme, **{"basis": BASIS, "reason": REASON, "actor": ACTOR, **what})
    assert not Erasure.objects.exists()


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("erase", "--workspace", "acme", "--basis", BASIS, "--reason", REASON, *arguments, stdout=out)
    return out.getvalue()


def test_the_command_shows_and_with_yes_erases(told: Cast) -> None:
    refund = Approval.objects.get().entry_index
    told_first = command("--person", ANN)
    assert "4 entries hold something to erase: " in told_first
    assert "Nothing was erased" in told_first
    assert mentions(told, ANN) == 4
    assert "Erased from 1 entries." in command("--entry", str(refund), "--field", "reason", "--yes")
    assert "Erased from 3 entries." in command("--person", ANN, "--yes")
    assert mentions(told, ANN) == 0
    with pytest.raises(CommandError, match="names no entries"):
        command("--entries", "all")
    with pytest.raises(CommandError, match="--field goes with --entry"):
        command("--person", ANN, "--field", "reason")


def test_forgetters_hear_of_what_is_erased(told: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, list[int]]] = []
    monkeypatch.setattr(
        remains, "forgetters", [lambda log_id, indexes: heard.append((log_id, list(indexes)))]
    )
    erase(told, text=ANN)
    ((log_id, indexes),) = heard
    assert (log_id, len(indexes)) == (told.acme.log_id, 4)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="The file of an embedded database.")
def test_the_file_does_not_keep_what_was_erased(told: Cast) -> None:
    erase(told, text=ANN)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA secure_delete")
        assert cursor.fetchone()[0] == 1


def test_verification_counts_what_is_erased(told: Cast) -> None:
    before = verify(told.acme.log)
    erase(told, text=ANN)
    after = verify(told.acme.log)
    assert (before.erased, after.erased) == (0, 4)
    assert after.intact
