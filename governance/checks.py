"""Admission's work: one batch of requests of one workspace, judged and recorded in one transaction.

Each member sees what those before it did, so any split of a sequence into batches gives the same answers. The head
row is locked throughout; whatever is written is written with one statement a table at the end.
"""

import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from audit import log, receipts
from audit.notes import Signer
from billing.budgets import FREE, Call, Cost, Ledger
from governance import appeals, inquiries, looping, money, reports, snapshot
from governance.decide import Facts, Question, Verdict, decide
from governance.memory import Memory, counter_key
from governance.money import call_of
from governance.pending import wait_for_people
from governance.presented import NOTHING, Hearing, Lifting, find
from governance.recall import Answered, Recall
from governance.records import Draft, Records
from governance.requests import (
    AccessQuery,
    AccessWish,
    Answer,
    ApprovalCancel,
    ApprovalQuery,
    ApprovalReply,
    Caller,
    CheckRequest,
    OutcomeReport,
    Problem,
    Request,
    StandingQuery,
    ThrottleNote,
)
from governance.snapshot import Snapshot
from governance.subjects import AgentEntry

TRIES = 4


class Overtaken(RuntimeError):
    """The configuration changed faster than it could be compiled; the caller may try again."""


def admit(
    log_id: int, requests: Sequence[Request], *, gone: Callable[[int], bool] = lambda place: False
) -> list[Answer]:
    """Judge and record a batch; answers in the order of the requests. Raises what the database raises: nothing was
    recorded then, and nobody may be answered ``allow``.

    ``gone`` tells by its place whether a request's caller was refused while the batch waited for the lock: such a
    request is not judged, so that the log allows nothing that was answered with a refusal."""
    current = snapshot.prepare(log_id)
    money.look_up(current, requests)
    signer = receipts.signer()
    for _ in range(TRIES):
        try:
            with log.write(log_id) as entries:
                current.catch_up(entries.head())
                batch = Batch(current, entries)
                answers = batch.run(requests, gone)
            return with_receipts(answers, entries.head(), signer)
        except snapshot.Behind:
            current = snapshot.prepare(log_id, refresh=True)
    raise Overtaken(f"The configuration of log {log_id} changed {TRIES} times while it was read.")


def with_receipts(
    answers: Sequence[Answer | Draft | Answered], head: log.HeadState, signer: Signer
) -> list[Answer]:
    """The answers as they are sent. What the gate signs of the committed head goes into each receipt, which stands
    last in its answer; an answer that was given before gets today's, since the log still holds its entry."""
    told: list[Answer] = []
    ending = b""
    for answer in answers:
        if isinstance(answer, Draft | Answered):
            if not ending:
                note = receipts.signed(signer, head.origin, head.tree())
                ending = b',"checkpoint":' + msgspec.json.encode(note) + b"}}"
            told.append(answer.encode().removesuffix(b"}}") + ending)
        else:
            told.append(answer)
    return told


class Batch:
    """One transaction's view: the configuration, what is remembered, the money, and what will be written."""

    def __init__(self, current: Snapshot, entries: log.Writer) -> None:
        self.snapshot = current
        self.entries = entries
        self.now: datetime = entries.now
        self.memory = Memory(current.workspace_id, self.now)
        self.ledger = Ledger(current.workspace_id, self.now, current.timezone, current.budgets)
        self.recall = Recall(self.now, entries.head().log_id, entries.head().uuid)
        self.records = Records(current, entries)
        self.reports = reports.Reports(current, entries, self.ledger)

    def run(
        self, requests: Sequence[Request], gone: Callable[[int], bool]
    ) -> list[Answer | Draft | Answered]:
        """Answer every request in order, then write down everything at once."""
        self.load(requests)
        answers = [
            TOO_LATE if gone(place) else self.answer(request) for place, request in enumerate(requests)
        ]
        if self.entries.head().entries:
            self.entries.head().seal()
            self.memory.store()
            self.ledger.store()
            self.reports.store()
            self.records.store()
        return answers

    def load(self, requests: Sequence[Request]) -> None:
        """Read once what the requests refer to."""
        checks = [request for request in requests if isinstance(request, CheckRequest)]
        callers = [(request.caller.agent_id, request.session) for request in checks]
        callers += [(r.caller.agent_id, "") for r in requests if isinstance(r, StandingQuery | OutcomeReport)]
        if callers:
            self.memory.load(callers, self.counters(checks))
            self.ledger.load(self.calls(checks))
            self.recall.load(checks)
        self.reports.load([request for request in requests if isinstance(request, OutcomeReport)])

    def calls(self, checks: Sequence[CheckRequest]) -> list[Call]:
        """The checks as budgets see them."""
        agents = [(self.snapshot.agent(request.caller.agent_id), request) for request in checks]
        return [call_of(agent, request) for agent, request in agents if agent is not None]

    def counters(self, checks: Sequence[CheckRequest]) -> list[str]:
        """Keys of the counters that the checks' candidate rules look at."""
        keys = []
        for request in checks:
            agent = self.snapshot.agent(request.caller.agent_id)
            if agent is not None and request.tool in self.snapshot.tools:
                for rule in self.snapshot.candidates(agent, request.tool):
                    if rule.window:
                        keys.append(counter_key(self.snapshot.workspace_id, rule, agent.id, request.session))
        return keys

    def answer(self, request: Request) -> Answer | Draft | Answered:
        """One answer; a key that is no good comes before everything else."""
        agent = self.snapshot.agent(request.caller.agent_id)
        if agent is None:
            return KEY_PROBLEMS["key_revoked"]
        if problem := judge_key(request.caller, agent, self.now):
            return problem
        self.records.note_key_use(agent.keys[request.caller.prefix].id)
        return HANDLERS[type(request)](self, agent, request)

    def epoch(self, agent: AgentEntry) -> int:
        """What stored answers and approvals must have been given under to still count."""
        return agent.epoch + self.snapshot.epoch

    def check(self, agent: AgentEntry, request: CheckRequest) -> Answer | Draft | Answered:
        """Answer one check: again as before where it was asked before, judged otherwise."""
        epoch = self.epoch(agent)
        if request.dry_run:
            return self.simulate(agent, request)
        earlier = (
            self.recall.keys.get((agent.id, request.idempotency_key)) if request.idempotency_key else None
        )
        if earlier is not None:
            if not hmac.compare_digest(earlier.digest, request.body_digest):
                return BODY_DIFFERS
            if self.recall.is_open(earlier, epoch):
                return earlier
        call = (
            self.recall.calls.get((agent.id, request.session, request.call_id)) if request.call_id else None
        )
        named, edited = request.approval, False
        if call is not None:
            edited = not hmac.compare_digest(call.digest, request.digest)
            if edited and not self.recall.is_edited(call.approval, named):
                return CALL_ID_REUSED
            other = call.approval and named and named != call.approval
            if not edited and self.recall.is_open(call, epoch) and not other:
                return call
            named = named or call.approval
        draft = self.decide(agent, request, named)
        # The name stays with the approval: what is not the call that it is for, perhaps edited, does not take it.
        mismatch = call is not None and draft.code == "approval_mismatch"
        self.remember(agent, request, draft, epoch, named=not mismatch)
        return draft

    def decide(self, agent: AgentEntry, request: CheckRequest, named: str) -> Draft:
        """Judge anew, hold money, open an approval where people are needed, and append the entry. ``named``: the
        approval that the call presents, or that its call_id stands for."""
        verdict, facts, lifting = self.judge(agent, request, named)
        hearing = Hearing(self, agent, request, named, lifting)
        decision = f"dec_{secrets.token_hex(16)}"
        cost = self.reserve(hearing, verdict, decision)
        facts = hearing.heard(facts)
        seq = self.memory.note_call(agent.id, request.session, request.digest.hex()[:16], labels=facts.labels)
        draft = self.records.draft(agent, request, verdict, facts, decision=decision, seq=seq, cost=cost)
        self.records.tell_budget(draft, cost, self.ledger.remaining(call_of(agent, request)))
        if verdict.decision == "pending":
            waiting = hearing.lifting.waiting or wait_for_people(self, agent, request, verdict, draft)
            if waiting is not None:
                self.records.attach(draft, waiting)
        if verdict.decision == "allow":
            self.take_effect(agent, request, verdict, draft, hearing.lifting)
        self.records.append(draft)
        if verdict.decision == "allow":
            looping.note(self, agent, request, verdict, draft, cost)
        return draft

    def judge(self, agent: AgentEntry, request: CheckRequest, named: str) -> tuple[Verdict, Facts, Lifting]:
        """The verdict, and what was found that lifts the objections of rules that ask."""
        question, facts = self.pose(agent, request)
        verdict = decide(question, facts)
        if verdict.decision != "pending":
            return verdict, facts, NOTHING
        lifting = find(self, agent, request, verdict, named)
        if lifting.lifted or lifting.refused:
            facts = replace(facts, lifted=lifting.lifted, refused=lifting.refused)
            verdict = decide(question, facts)
            lifting.explain(verdict)
        return verdict, facts, lifting

    def pose(self, agent: AgentEntry, request: CheckRequest) -> tuple[Question, Facts]:
        """The question and the facts of one check."""
        current = self.snapshot
        tool = current.tools.get(request.tool)
        question = Question(
            agent=agent,
            standing=self.snapshot.standing_of(agent, self.now),
            tool_name=request.tool,
            tool=tool,
            arguments=request.arguments,
            rules=current.candidates(agent, request.tool) if tool else (),
            patterns=current.patterns,
            resource_labels=current.resource_labels,
            lists=current.lists,
            action=request.action,
            resource=request.resource,
            reason=request.reason,
            on_behalf_of=request.on_behalf_of,
            may_act_for=not request.on_behalf_of
            or self.recall.principal(agent.id, request.on_behalf_of) is not None,
            context=request.context,
            prepared=request.prepared,
        )
        return question, self.facts(agent, request, question)

    def facts(self, agent: AgentEntry, request: CheckRequest, question: Question) -> Facts:
        """What happened before, as of this call."""
        session = self.memory.sessions[agent.id, request.session]
        workspace = self.snapshot.workspace_id
        return Facts(
            now=self.now,
            labels=self.memory.labels(agent.id, request.session, isolated=agent.isolated_runs),
            tools=tuple(session.tools),
            calls=session.allowed,
            repeats=self.memory.repeats(agent.id, request.session, request.digest.hex()[:16]),
            spend=self.ledger.spend_view(call_of(agent, request)),
            used={
                rule.index: self.memory.used(
                    counter_key(workspace, rule, agent.id, request.session), rule.window
                )
                for rule in question.rules
                if rule.window
            },
        )

    def reserve(self, hearing: Hearing, verdict: Verdict, decision: str) -> Cost:
        """Turn the verdict into a denial for what else is short, sessions, or goes round in circles, or money, which is
        held otherwise. What people may lift waits for them."""
        agent, request = hearing.agent, hearing.request
        if verdict.decision != "allow":
            return FREE
        limit = agent.sessions_per_hour
        begins = limit is not None and not self.memory.sessions[agent.id, request.session].allowed
        if limit is not None and begins and self.memory.sessions_begun(agent.id) >= limit:
            message = f"This agent may begin {limit} sessions an hour; go on in an old one."
            verdict.fall_short("rate_limited", message)
            return FREE
        if looping.stop(hearing, verdict):
            return FREE
        return money.reserve(hearing, verdict, decision)

    def take_effect(
        self, agent: AgentEntry, request: CheckRequest, verdict: Verdict, draft: Draft, lifting: Lifting
    ) -> None:
        """An allowed call counts: in limits, in the session, and against the approval that it used."""
        workspace = self.snapshot.workspace_id
        for rule, amount in verdict.consumes:
            key = counter_key(workspace, rule, agent.id, request.session)
            self.memory.count(key, rule.window, amount)
        self.memory.note_allowed(agent.id, request.session, request.tool, verdict.labels)
        if verdict.lifted or verdict.supervision_lifted or verdict.passed:
            lifting.use(self, draft)
        if verdict.raised:
            money.record_raises(self, verdict, draft)

    def remember(
        self, agent: AgentEntry, request: CheckRequest, draft: Draft, epoch: int, *, named: bool
    ) -> None:
        """Keep the answer under its idempotency key and, if it is ``named`` so, its call id, for the next member of the
        batch too."""
        if not (request.idempotency_key or request.call_id):
            return
        until = draft.open_until or self.now
        if draft.answer["decision"] == "allow":
            self.recall.outcomes[draft.decision] = "open"
        if request.idempotency_key:
            answered = Answered(
                request.body_digest, draft.decision, draft.approval, epoch, draft, self.now, until
            )
            self.recall.keys[agent.id, request.idempotency_key] = answered
            self.records.keys[agent.id, request.idempotency_key] = answered
        if request.call_id and named:
            key = agent.id, request.session, request.call_id
            call = Answered(request.digest, draft.decision, draft.approval, epoch, draft, self.now, until)
            self.recall.calls[key] = self.records.calls[key] = call

    def simulate(self, agent: AgentEntry, request: CheckRequest) -> Draft:
        """What a check would be answered now: nothing held, used, counted or numbered; one ``simulated`` entry."""
        verdict, facts, lifting = self.judge(agent, request, request.approval)
        hearing = Hearing(self, agent, request, request.approval, lifting)
        if verdict.decision == "allow" and not looping.stop(hearing, verdict):
            money.fits(hearing, verdict)
            facts = hearing.heard(facts)
        draft = self.records.draft(
            agent, request, verdict, facts, decision=f"dec_{secrets.token_hex(16)}", seq=0, cost=FREE
        )
        self.records.append(draft)
        return draft


def report(batch: Batch, agent: AgentEntry, request: OutcomeReport) -> Answer:
    row = batch.reports.rows.get((request.decision, agent.id))
    was = row.outcome if row else ""
    answer = batch.reports.report(agent, request)
    if row is not None and row.outcome != was:
        looping.note_result(batch, agent, request, row.entry_index)
    return answer


def throttle(batch: Batch, agent: AgentEntry, request: ThrottleNote) -> Answer:
    batch.entries.append(
        "governance.check.throttled",
        actor=f"agent:{agent.public_id}",
        agent=agent.public_id,
        data={"count": request.count},
    )
    return b""


HANDLERS: dict[type, Callable[[Batch, AgentEntry, Any], Answer | Draft | Answered]] = {
    CheckRequest: Batch.check,
    OutcomeReport: report,
    ThrottleNote: throttle,
    StandingQuery: inquiries.standing,
    ApprovalQuery: inquiries.approval,
    ApprovalCancel: appeals.cancel,
    ApprovalReply: appeals.reply,
    AccessWish: appeals.request_access,
    AccessQuery: appeals.access_request,
}


def judge_key(caller: Caller, agent: AgentEntry, now: datetime) -> Problem | None:
    """Why a key is no good now, or None. Judged under the lock: a revoked key is refused from that moment."""
    key = agent.keys.get(caller.prefix)
    if key is None or not hmac.compare_digest(key.digest, caller.digest):
        return KEY_PROBLEMS["unknown_key"]
    if key.revoked or agent.standing == "revoked":
        return KEY_PROBLEMS["key_revoked"]
    if key.expires_at is not None and key.expires_at <= now:
        return KEY_PROBLEMS["key_expired"]
    return None


KEY_PROBLEMS = {
    "unknown_key": Problem(401, "unknown_key", "No agent has this key; check that it was pasted whole."),
    "key_revoked": Problem(401, "key_revoked", "This key was revoked; ask the agent's owner for a new one."),
    "key_expired": Problem(401, "key_expired", "This key has expired; ask the agent's owner for a new one."),
}
TOO_LATE = Problem(503, "too_late", "The answer took too long, so there is none; ask again in a moment.")
BODY_DIFFERS = Problem(
    409,
    "idempotency_key_reused",
    "This Idempotency-Key came with another body before; use a new one for a new call.",
)
CALL_ID_REUSED = Problem(
    409, "call_id_reused", "This call_id named another call in this session; give each call an id of its own."
)
