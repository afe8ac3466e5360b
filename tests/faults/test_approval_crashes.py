"""A worker that dies between any two steps of what it does for approvals: the next one does the rest. Nothing is lost,
the log tells each step once, and a mail or a message to the agent comes at most twice.

Each kill is a process that ends by ``os._exit`` before or after one of its commits; what happens outside the database,
a mail or a POST, lies between two of those.
"""

import email
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from audit import owed
from audit.log import database_time
from audit.models import Owed
from governance import approvals, sweeps
from governance.models import Approval, ApprovalLink, Mailing
from tests.approving import ask, pass_time, requirement, types_in
from tests.audit.test_streams import Sink
from tests.cast import ACTOR, Cast, employ
from workspaces import callbacks

pytestmark = pytest.mark.django_db(transaction=True)

KILLED, FINISHED = 77, 0
LEASES_LATER = timedelta(minutes=3)  # those of a dead worker have run out


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    """An address that takes everything."""
    settings.STREAM_ALLOW = ["127.0.0.1"]
    server = Sink()
    yield server
    server.close()


class Deadly:
    """Ends the process before (even numbers) or after (odd ones) its n-th commit."""

    def __init__(self, at: int) -> None:
        self.at, self.passed = at, 0

    def reach(self) -> None:
        if self.passed == self.at:
            os._exit(KILLED)
        self.passed += 1

    def install(self) -> None:
        database = connections["default"]
        commit = database._commit  # type: ignore[attr-defined]

        def deadly_commit() -> None:
            self.reach()
            commit()
            self.reach()

        def execute(send: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            alone = not database.in_atomic_block and not sql.startswith(("SELECT", "BEGIN", "PRAGMA", "SET"))
            if alone:
                self.reach()
            result = send(sql, params, many, context)
            if alone:
                self.reach()
            return result

        database.ensure_connection()
        database._commit = deadly_commit  # type: ignore[attr-defined]
        database.execute_wrappers.append(execute)


def work(later: timedelta) -> None:
    """What a worker does until nothing is left, so much later than now."""
    while sweeps.expire_due() + sweeps.step_due():
        pass
    for _ in range(20):
        rows = owed.claim(10, at=database_time() + later)
        if not rows:
            return
        for row in rows:
            owed.perform(row)


def process(at: int, later: timedelta = timedelta()) -> int:
    """A worker that dies at this point, if it comes so far: how it ended."""
    connections.close_all()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            Deadly(at).install()
            work(later)
            os._exit(FINISHED)
        except BaseException as error:
            os.write(writing, repr(error).encode())
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (KILLED, FINISHED), said
    return code


class Desk:
    """One call whose ladder and reminder are due, and one whose time is over; its agent has an address."""

    def __init__(self, cast: Cast, mails: Path, sink: Sink) -> None:
        self.cast, self.mails, self.sink = cast, mails, sink
        self.ann = employ(cast.acme, "ann@acme.test", "Ann", "approver")
        callbacks.set_callback(cast.report_bot, url=sink.url, actor=ACTOR)
        cast.report_bot.refresh_from_db()

    def prepare(self) -> None:
        for old in self.mails.glob("*"):
            old.unlink()
        self.sink.messages.clear()
        Mailing.objects.all().delete()
        Owed.objects.all().delete()
        ladder = {**requirement(self.cast.rita), "escalate": [{"after": 1200, "reviewers": [self.ann.pk]}]}
        self.waiting = ask(self.cast.report_bot, [ladder])
        approvals.start(self.waiting)
        pass_time(timedelta(minutes=33))
        self.over = ask(self.cast.report_bot, [requirement(self.cast.rita)], expires_in=timedelta(seconds=-1))

    def sent(self) -> Counter[tuple[str, bool]]:
        """How often each person was mailed about the waiting call, and whether as a reminder."""
        found: Counter[tuple[str, bool]] = Counter()
        for file in self.mails.glob("*"):
            # Mails of the same second may share a file, each with a line of dashes below it.
            for part in file.read_bytes().split(b"-" * 79)[:-1]:
                message = email.message_from_bytes(part.lstrip())
                found[message["To"], "still asks" in message["Subject"]] += 1
        return found

    def check(self, point: int) -> None:
        """Everything came about, nothing too often."""
        assert types_in(self.waiting) == ["started", "escalated", "reminded"], point
        assert types_in(self.over) == ["settled"], point
        assert not Owed.objects.filter(done_at=None).exists(), point
        sent = self.sent()
        everybody = {
            (person, again) for person in ("rita@acme.test", "ann@acme.test") for again in (False, True)
        }
        assert sent.keys() == everybody, (point, sent)
        assert max(sent.values()) <= 2, (point, sent)
        told = Counter(json.loads(body)["data"]["approval"] for _, body in self.sink.messages)
        assert told.keys() == {self.over.public_id}, point
        assert max(told.values()) <= 2, point
        assert ApprovalLink.objects.filter(approval=self.waiting, mailed_at=None).count() == 0, point
        approvals.cancel(self.waiting, actor="system", reason="Over.")


def test_whichever_commit_a_worker_dies_at_nothing_is_lost(
    cast: Cast, tmp_path: Path, settings: Any, sink: Sink
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mails")
    (tmp_path / "mails").mkdir()
    desk = Desk(cast, tmp_path / "mails", sink)
    doubled: Counter[int] = Counter()
    for point in count():
        desk.prepare()
        ended = process(point)
        assert process(-1, LEASES_LATER) == FINISHED
        doubled[sum(desk.sent().values()) + len(desk.sink.messages)] += 1
        desk.check(point)
        if ended == FINISHED:
            break
    assert point > 40, "A worker commits more often than that."
    # Four mails and a message; where a worker died between sending and noting it, one of them came twice.
    assert set(doubled) == {5, 6}, doubled
    assert Approval.objects.filter(status="pending").count() == 0
