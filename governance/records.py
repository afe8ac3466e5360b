"""What a batch writes down: entries, answers, and the rows by which answers are found again."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import F

from audit import log
from audit.log import stamp
from audit.secrets import withhold
from billing.budgets import Cost, Left, dollars
from governance import answers
from governance.approvals import Ask
from governance.approvals import open as open_rows
from governance.binding import binding, call_name
from governance.decide import Facts, Verdict
from governance.memory import upsert
from governance.models import Approval, Call, Decision, Idempotency, Overflow
from governance.recall import Answered
from governance.requests import CheckRequest
from governance.snapshot import Snapshot
from governance.subjects import AgentEntry
from governance.withholding import Kept, keep

ALLOW_SECONDS = 60
LEASE = timedelta(minutes=10)
QUIET = timedelta(hours=1)
ENTRY_TYPES = {
    "allow": "governance.check.allowed",
    "deny": "governance.check.denied",
    "pending": "governance.check.pending",
}

key_uses: dict[int, int] = {}


@dataclass(slots=True)
class Draft:
    """An answer before the log gave it its leaf, with all that its entry says."""

    decision: str
    agent_id: int
    answer: dict[str, Any]
    entry: dict[str, Any]
    approval: str = ""
    open_until: datetime | None = None
    appended: log.Appended | None = None
    encoded: bytes = b""

    @property
    def code(self) -> str:
        """Why it was decided so."""
        code: str = self.answer["code"]
        return code

    def encode(self) -> bytes:
        """The answer as JSON, its receipt filled in and last in it; the log must have sealed the entry."""
        if not self.encoded:
            if self.appended is not None:
                receipt = self.answer["receipt"]
                receipt["index"], receipt["leaf"] = self.appended.index, self.appended.leaf.hex()
            self.answer["receipt"] = self.answer.pop("receipt")
            self.encoded = msgspec.json.encode(self.answer)
        return self.encoded


@dataclass(slots=True)
class Records:
    """The rows of one batch."""

    snapshot: Snapshot
    entries: log.Writer
    decisions: list[tuple[Any, ...]] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    used_approvals: list[Approval] = field(default_factory=list)
    waiting: dict[int, list[Approval]] = field(default_factory=dict)
    asks_again: Counter[str] = field(default_factory=Counter)
    overflows: Counter[int] = field(default_factory=Counter)
    keys: dict[tuple[int, str], Answered] = field(default_factory=dict)
    calls: dict[tuple[int, str, str], Answered] = field(default_factory=dict)
    used_keys: set[int] = field(default_factory=set)
    allowed_until: datetime = field(init=False)
    allowed_until_text: str = field(init=False)
    times: tuple[Any, Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        now = self.entries.now
        self.allowed_until = now + timedelta(seconds=ALLOW_SECONDS)
        self.allowed_until_text = stamp(self.allowed_until)
        self.times = log.adapt(now), log.adapt(self.allowed_until), log.adapt(now + LEASE)

    def draft(
        self,
        agent: AgentEntry,
        request: CheckRequest,
        verdict: Verdict,
        facts: Facts,
        *,
        decision: str,
        seq: int,
        cost: Cost,
    ) -> Draft:
        """The answer and the entry of a verdict."""
        current = self.snapshot
        answer: dict[str, Any] = {
            "id": decision,
            "decision": verdict.decision,
            "code": verdict.code,
            "expires_at": None,
            "agent_seq": seq,
            "reasons": verdict.reasons,
            "resources": [item.resource for item in verdict.derived],
            "approval": None,
            "budget": None,
            "policy": current.policy,
            "revision": current.revision,
            "receipt": {"log": self.entries.head().origin, "index": 0, "leaf": ""},
        }
        if request.dry_run:
            answer["dry_run"] = True
        if verdict.would:
            answer["would"] = verdict.would
        if verdict.retry_after:
            answer["retry_after"] = verdict.retry_after
        if verdict.downgrade:
            answer["downgrade"] = verdict.downgrade
        draft = Draft(
            decision, agent.id, answer, self.entry(agent, request, verdict, facts, decision, seq, cost)
        )
        if verdict.decision == "allow":
            draft.open_until = self.allowed_until
            answer["expires_at"] = self.allowed_until_text
        return draft

    def tell_budget(self, draft: Draft, cost: Cost, left: Left) -> None:
        """Tell what was held, and what the tightest budget of each unit has left."""
        budget: dict[str, Any] = {}
        if left.nanos is not None:
            budget |= {"held_usd": dollars(cost.nanos or 0), "remaining_usd": dollars(left.nanos)}
        if left.tokens is not None:
            budget |= {"held_tokens": cost.tokens or 0, "remaining_tokens": left.tokens}
        if budget:
            draft.answer["budget"] = budget

    def entry(
        self,
        agent: AgentEntry,
        request: CheckRequest,
        verdict: Verdict,
        facts: Facts,
        decision: str,
        seq: int,
        cost: Cost,
    ) -> dict[str, Any]:
        """The entry's parts: facts and rule results in the body, everything personal beside it."""
        tool = self.snapshot.tools.get(request.tool)
        kept = keep(request, verdict, tool.compiled if tool else None)
        named = [self.snapshot.resource_public_ids[key] for keys in verdict.granted_by for key in keys]
        data: dict[str, Any] = {
            "decision": decision,
            "verdict": verdict.decision,
            "code": verdict.code,
            "seq": seq,
            "key": request.caller.prefix,
            "declaration": tool.compiled.digest if tool else "",
            "action": verdict.action,
            "resources": named,
            "policy": self.snapshot.policy,
            "revision": self.snapshot.revision,
            "rules": verdict.results,
            "reasons": [
                {name: reason[name] for name in ("code", "rule", "effect", "condition") if name in reason}
                for reason in verdict.reasons
            ],
            "facts": plain_facts(facts, verdict),
            "call": call_name(self.snapshot.public_id, request.digest),
        }
        for name, value in (
            ("call_id", request.call_id),
            ("held", cost.nanos),
            ("tokens", cost.tokens),
            ("model", request.model),
            ("price", cost.price),
            ("basis", cost.basis),
            ("would", verdict.would),
            (
                "lifted",
                [rule.rule.name for rule in verdict.lifted] + ["supervised"] * verdict.supervision_lifted,
            ),
            ("withheld", list(kept.kinds)),
            ("standing", verdict.standing if verdict.standing != "active" else ""),
            ("writes", verdict.writes),
            ("short", verdict.short),
            ("asks", {lift: each.get("most", 0) for lift, each in verdict.further.items()}),
            ("raised", verdict.raised),
        ):
            if value:
                data[name] = value
        kind = "governance.check.simulated" if request.dry_run else ENTRY_TYPES[verdict.decision]
        return {
            "type": kind,
            "actor": f"agent:{agent.public_id}",
            "agent": agent.public_id,
            "tool": request.tool,
            "resource": named[0] if named else "",
            "outcome": verdict.code,
            "session": request.session,
            "data": data,
            "detail": self.detail(request, verdict, kept),
        }

    def detail(self, request: CheckRequest, verdict: Verdict, kept: Kept) -> dict[str, Any]:
        """What is personal: arguments, resources, reasons and claims, as far as they are kept."""
        detail: dict[str, Any] = {"arguments": kept.arguments}
        if kept.resources:
            detail["resources"] = kept.resources
        if verdict.decision != "allow" or verdict.would:
            detail["reasons"] = kept.reasons
        for name in ("reason", "on_behalf_of"):
            if value := getattr(request, name):
                detail[name] = withhold(value)[0] if kept.kinds else value
        if request.context:
            detail["context"] = request.kept_context or withhold(request.context)[0]
        return detail

    def retell(self, draft: Draft, verdict: Verdict) -> None:
        """Make answer and entry say what a verdict says that changed after they were drafted."""
        draft.answer.update(decision=verdict.decision, code=verdict.code, reasons=verdict.reasons)
        draft.entry["type"] = ENTRY_TYPES[verdict.decision]
        draft.entry["outcome"] = verdict.code
        draft.entry["data"].update(
            verdict=verdict.decision,
            code=verdict.code,
            reasons=[{"code": reason["code"], "effect": reason["effect"]} for reason in verdict.reasons],
        )
        draft.entry["detail"]["reasons"] = verdict.reasons

    def waiting_of(self, agent_id: int, epoch: int) -> list[Approval]:
        """The agent's calls that wait for people and still count, those of this batch included. Read at the first
        pending verdict of an agent: who asks for nothing that needs people pays nothing."""
        rows = self.waiting.get(agent_id)
        if rows is None:
            found = Approval.objects.filter(
                agent_id=agent_id, status="pending", expires_at__gt=self.entries.now
            )
            rows = self.waiting[agent_id] = list(found.filter(epoch=epoch).defer("requirements", "plan"))
        return rows

    def attach(self, draft: Draft, approval: Approval) -> None:
        """Tell in answer and entry which approval the call waits for."""
        draft.approval = approval.public_id
        draft.open_until = approval.expires_at
        draft.answer["expires_at"] = stamp(approval.expires_at)
        draft.answer["approval"] = {
            "id": approval.public_id,
            "status": approval.status,
            "url": f"{settings.PUBLIC_URL}/v1/approvals/{approval.public_id}",
            "expires_at": stamp(approval.expires_at),
        }
        draft.entry["data"]["approval"] = approval.public_id

    def append(self, draft: Draft) -> None:
        """Append the entry; an allowed call also gets the row that waits for its outcome."""
        draft.appended = entry = self.entries.append(**draft.entry)
        if draft.entry["type"] == ENTRY_TYPES["allow"] and draft.open_until is not None:
            tool = self.snapshot.tools.get(draft.entry["tool"])
            trusts = tool is not None and tool.compiled.declaration.trust_reports
            self.decisions.append((
                draft.decision, self.snapshot.workspace_id, draft.agent_id, "open", draft.entry["tool"],
                draft.entry["session"], trusts, entry.index, *self.times,
            ))  # fmt: skip

    def binding(self, agent: AgentEntry, request: CheckRequest, verdict: Verdict) -> str:
        """What an approval of this very call is bound to."""
        return binding(
            workspace=self.snapshot.public_id,
            agent=agent.public_id,
            tool=request.tool,
            declaration=self.snapshot.tools[request.tool].compiled.digest,
            resources=[item.resource for item in verdict.derived],
            action=verdict.action,
            arguments=verdict.arguments,
        )

    def note_key_use(self, key_id: int) -> None:
        """Last use, written at most once a minute a key and process."""
        minute = int(self.entries.now.timestamp()) // 60
        if key_uses.get(key_id) != minute:
            key_uses[key_id] = minute
            self.used_keys.add(key_id)

    def store(self) -> None:
        """Write the rows. The log has sealed its entries, so answers can be encoded."""
        with connection.cursor() as cursor:
            log.insert(
                cursor,
                Decision,
                "public_id workspace_id agent_id outcome tool session trusts_reports entry_index created expires_at"
                " lease_until",
                self.decisions,
            )
            self.store_answers(cursor)
            now = log.adapt(self.entries.now)
            upsert(cursor, "workspaces_keyuse", "key_id", "at", [(key, now) for key in self.used_keys])
        if self.asks:
            open_rows(self.asks)
        for approval in self.used_approvals:
            Approval.objects.filter(pk=approval.pk, used_by="").update(used_by=approval.used_by)
        for public_id, count in self.asks_again.items():
            Approval.objects.filter(public_id=public_id).update(asks=F("asks") + count)
        if self.overflows:
            self.note_overflows()

    def note_overflows(self) -> None:
        """Count calls that were refused because too many wait; after a quiet hour the count begins anew."""
        now = self.entries.now
        for agent_id, count in self.overflows.items():
            row = Overflow.objects.filter(agent_id=agent_id)
            if row.filter(last_at__gt=now - QUIET).update(count=F("count") + count, last_at=now):
                continue
            if not row.update(count=count, since=now, last_at=now):
                Overflow.objects.create(agent_id=agent_id, count=count, since=now, last_at=now)

    def store_answers(self, cursor: Any) -> None:
        """Answers under their idempotency keys and call ids; a later answer takes an earlier one's place."""
        upsert(cursor, Idempotency._meta.db_table, "agent_id route key",
               "body_digest decision approval epoch answer created expires_at",
               [(agent_id, "check", key, a.digest, a.decision, a.approval, a.epoch,
                 self.sealed((agent_id, "check", key), a), log.adapt(a.created), log.adapt(a.open_until))
                for (agent_id, key), a in self.keys.items()])  # fmt: skip
        upsert(cursor, Call._meta.db_table, "agent_id session call_id",
               "digest decision approval epoch answer expires_at",
               [(*key, a.digest, a.decision, a.approval, a.epoch, self.sealed(key, a), log.adapt(a.open_until))
                for key, a in self.calls.items()])  # fmt: skip

    def sealed(self, key: tuple[int, str, str], answered: Answered) -> bytes:
        """An answer as its row keeps it."""
        return answers.seal(self.snapshot.log_id, self.entries.head().uuid, key, answered.encode())


def plain_facts(facts: Facts, verdict: Verdict) -> dict[str, Any]:
    """What the verdict rests on, without what is empty; money as text, since a body has no floats."""
    known: dict[str, Any] = {
        "labels": sorted(facts.labels),
        "tools": list(facts.tools),
        "calls": facts.calls,
        "repeats": facts.repeats,
        "used": {str(index): amount for index, amount in facts.used.items()},
        "spend": {name: str(value) for name, value in facts.spend.items()},
        "amounts": {str(rule.index): amount for rule, amount in verdict.consumes if rule.sum_path},
        "lifted": sorted({*facts.lifted, *verdict.passed}),
        "refused": facts.refused,
        "loop": verdict.loop,
    }
    return {name: value for name, value in known.items() if value}
