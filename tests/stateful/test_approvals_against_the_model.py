"""The whole life of calls that wait for people, in any order, each step held against the model of ``waiting``.

Continuous integration takes 10,000 steps; each is some ten milliseconds of real work. ``STEPS=100000 make test
ARGS=tests/stateful`` walks longer.
"""

import os
from collections import Counter
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from audit import log
from audit.models import Entry
from governance import absences, approvals, containment, edits, reviewers, snapshot, sweeps
from governance.approvals import NotAReviewer, NotPending
from governance.models import Approval
from governance.rosters import Roster
from tests.approving import decide, pass_time
from tests.asking import check, publish, waiting
from tests.cast import ACTOR, Cast, employ
from tests.stateful.waiting import ABSENT, DEPUTY, LATER, NAMED, People, Waiting
from workspaces import people
from workspaces.models import Agent, User

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(900)]

STEPS = int(os.environ.get("STEPS", "1000"))
LENGTH = 50
NAMES = (*NAMED, LATER, DEPUTY)
WHICH, PERSON = st.integers(0, 2), st.sampled_from([*NAMES, *NAMED])
taken: Counter[str] = Counter()


def rules() -> list[dict[str, Any]]:
    """Two kinds of mail are asked about: to ann one rejection ends it, to bob it does not."""
    ladder = [{"after": "20m", "reviewers": [f"{LATER}@acme.test"]}]
    asked = {
        "reviewers": [f"{name}@acme.test" for name in NAMED],
        "quorum": 2,
        "expires_in": "1h",
        "escalate": ladder,
    }
    return [
        {"name": f"Veto {veto}", "tools": ["mail.send"], "effect": "require_approval",
         "when": f"args.to.startsWith('{str(veto).lower()}')", "approval": {**asked, "veto": veto}}
        for veto in (True, False)
    ]  # fmt: skip


def step(weight: int, called: str, /, **values: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    """A method of the walk with what it is called with, so many times as likely as others."""
    return [st.tuples(st.just(called), st.fixed_dictionaries(values))] * weight


# One strategy for all steps: of rules, hypothesis would leave some out of most walks.
EACH = st.one_of(
    *step(2, "request", veto=st.booleans()),
    *step(
        4,
        "approve_and_use",
        veto=st.booleans(),
        second=st.sampled_from([NAMED[1], NAMED[1], LATER, DEPUTY]),
        uses=st.integers(0, 2),
    ),
    *step(2, "reject", which=WHICH),
    *step(6, "vote", which=WHICH, person=PERSON, approve=st.sampled_from([True, True, True, False])),
    *step(2, "edit", which=WHICH, person=PERSON),
    *step(3, "consume", which=WHICH),
    *step(1, "cancel", which=WHICH),
    *step(2, "jump", minutes=st.sampled_from([1, 5, 10, 25, 61])),
    *step(3, "sweep"),
    *step(2, "delegate"),
    *step(2, "revoke", person=st.sampled_from(NAMES)),
    *step(1, "contain"),
)


class Life(RuleBasedStateMachine):
    """One agent, four reviewers, and up to three calls that wait."""

    cast: Cast
    reviewers: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.savepoint()
        snapshot.forget()
        self.people, self.calls, self.epoch, self.number = People(), [], 0, 0
        self.absence: Any = None

    def teardown(self) -> None:
        place = self.cast.acme
        assert Entry.objects.filter(log_id=place.log_id).count() == log.newest(place.log_id)
        transaction.savepoint_rollback(self.savepoint)

    calls: list[Waiting]

    def row(self, call: Waiting) -> Approval:
        return Approval.objects.select_related("workspace", "agent").get(public_id=call.public_id)

    def agrees(self, call: Waiting) -> None:
        """That rows say of a call what the model says."""
        row = self.row(call)
        assert row.status == call.status
        assert bool(row.used_by) == call.used
        if call.status != "pending" or call.why_over(self.epoch):
            return
        assert (row.round, row.unreachable_since is not None) == (call.rounds, call.unreachable)
        votes = row.votes.filter(round=row.round).values_list("seat__name", "person__name", "approve")
        assert {seat: (who, approve) for seat, who, approve in votes} == call.votes
        may = {person.pk for name, person in self.reviewers.items() if call.seat(name, self.people)}
        now = timezone.now()
        assert reviewers.Panel(row, Roster.of([row], now)).ballots().keys() == may
        waits = set(row.links.filter(waiting=True).values_list("person", flat=True))
        assert may <= waits

    @rule(step=EACH)
    def take(self, step: tuple[str, dict[str, Any]]) -> None:
        """One step; none where there is nothing yet that it could be about."""
        name, values = step
        if "which" not in values or values["which"] < len(self.calls):
            getattr(self, name)(**values)
            taken[name] += 1

    def request(self, veto: bool) -> None:
        if len(self.calls) == 3 and self.calls[0].status == "pending":
            approvals.cancel(self.row(self.calls[0]), actor="system", reason="Too many wait.")
        self.number += 1
        arguments = {"to": f"{str(veto).lower()}@customers.test", "subject": "Hi", "body": f"{self.number}"}
        row = waiting(check(self.cast.support_bot, self.cast.support_bot_key, "mail.send", arguments))
        approvals.start(row)
        call = Waiting(row.public_id, arguments, veto, self.epoch)
        call.judge(self.people)
        self.calls = [*self.calls, call][-3:]
        self.done(call)

    def vote(self, which: int, person: str, approve: bool) -> None:
        for call in self.calls[which : which + 1]:
            expected = call.why_over(self.epoch) or (
                "" if call.seat(person, self.people) else "not_a_reviewer"
            )
            try:
                decide(self.row(call), self.reviewers[person], approve)
                told = said = ""
            except (NotPending, NotAReviewer) as refused:
                told, said = refused.code, str(refused)
            assert told == expected, said
            if not expected:
                call.vote(person, approve, self.people)
            self.done(call)

    def approve_and_use(self, veto: bool, second: str, uses: int) -> None:
        """The usual story: the agent asks, two approve, and it repeats its call, perhaps twice."""
        self.request(veto)
        which = len(self.calls) - 1
        for person in (NAMED[0], second):
            self.vote(which, person, True)
        for _ in range(uses):
            self.consume(which)

    def reject(self, which: int) -> None:
        """Both who are named say no."""
        for person in NAMED:
            self.vote(which, person, False)

    def edit(self, which: int, person: str) -> None:
        for call in self.calls[which : which + 1]:
            self.number += 1
            arguments = {**call.arguments, "body": f"{self.number}"}
            expected = call.why_over(self.epoch) or (
                "" if call.seat(person, self.people) else "not_a_reviewer"
            )
            try:
                # As in a request of its own: permissions are read once for each object.
                reviewer = User.objects.get(pk=self.reviewers[person].pk)
                edits.edit(
                    self.row(call),
                    person=reviewer,
                    arguments=arguments,
                    comment="",
                    actor=people.actor_of(reviewer),
                )
                told = said = ""
            except (NotPending, NotAReviewer) as refused:
                told, said = refused.code, str(refused)
            assert told == expected, said
            if not expected:
                call.edit(person, arguments, self.people)
            self.done(call)

    def consume(self, which: int) -> None:
        for call in self.calls[which : which + 1]:
            expected = call.use(self.epoch)
            answer = check(
                self.cast.support_bot,
                self.cast.support_bot_key,
                "mail.send",
                call.arguments,
                approval=call.public_id,
            )
            assert (answer["code"] if expected != "pending" else answer["decision"]) == expected, answer
            call.used |= expected == "granted"
            self.done(call)

    def cancel(self, which: int) -> None:
        for call in self.calls[which : which + 1]:
            try:
                approvals.cancel(self.row(call), actor="system", reason="Asked by mistake.")
                assert call.status == "pending"
                call.end("cancelled")
            except NotPending:
                assert call.status != "pending"
            self.done(call)

    def jump(self, minutes: int) -> None:
        """The clock jumps; what is due then waits for the worker."""
        pass_time(timedelta(minutes=minutes))
        for call in self.calls:
            call.age += minutes
            settled = self.row(call).settled_at
            if settled is not None:
                Approval.objects.filter(public_id=call.public_id).update(
                    settled_at=settled - timedelta(minutes=minutes)
                )

    def sweep(self) -> None:
        """A worker comes round until nothing is due."""
        while sweeps.expire_due() + sweeps.step_due() + sweeps.cancel_void():
            pass
        for call in self.calls:
            if call.status == "pending" and call.age >= 60:
                call.end("expired")
            elif call.status == "pending" and call.epoch != self.epoch:
                call.end("cancelled")
            elif call.status == "pending":
                while call.step():
                    call.judge(self.people)
            self.done(call)

    def delegate(self) -> None:
        """Ann goes away and names dora in her place, or is back; a worker looks at what waits."""
        away = not self.people.away
        if away and DEPUTY not in self.people.deciders:
            return
        ann = self.reviewers[ABSENT]
        if away:
            now = timezone.now()
            self.absence = absences.record(
                self.cast.acme, ann, starts=now, ends=now + timedelta(days=9), deputy=self.reviewers[DEPUTY],
                actor=people.actor_of(ann),
            )  # fmt: skip
        else:
            absences.end(self.absence, actor=people.actor_of(ann))
        self.people.away = away
        self.recheck()

    def revoke(self, person: str) -> None:
        """Somebody loses the role of an approver, or has it again."""
        held = person in self.people.deciders
        roles = ["auditor"] if held else ["approver"]
        people.set_roles(self.cast.acme, self.reviewers[person], roles=roles, actor=ACTOR)
        self.people.deciders ^= {person}
        self.recheck()

    def recheck(self) -> None:
        sweeps.recheck({"workspace": self.cast.acme.pk})
        for call in self.calls:
            if not call.why_over(self.epoch):
                call.judge(self.people)
            self.done(call)

    def contain(self) -> None:
        """The agent is suspended and loosened again: what waited before is void."""
        for standing in ("suspended", "active"):
            agent = Agent.objects.select_related("workspace").get(pk=self.cast.support_bot.pk)
            containment.set_standing(agent, standing, reason="A walk.", actor="cli:walk@host", person=None)
        self.epoch += 1
        for call in self.calls:
            self.done(call)

    def done(self, call: Waiting) -> None:
        self.agrees(call)
        taken[call.status] += 1
        taken["used"] += call.used
        taken["unreachable"] += call.unreachable
        taken["second round"] += call.rounds > 1


@pytest.mark.timeout(900)  # of 10,000 steps on a slow machine
def test_every_life_goes_as_the_model_says(cast: Cast) -> None:
    Life.cast = cast
    Life.reviewers = {name: employ(cast.acme, f"{name}@acme.test", name, "approver") for name in NAMES}
    publish(cast.acme, rules())
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=max(1, STEPS // LENGTH),
            stateful_step_count=LENGTH,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    # No walk would tell anything that never came so far.
    assert {"approved", "rejected", "expired", "cancelled", "used", "unreachable", "second round"} <= {
        name for name, count in taken.items() if count
    }, taken
