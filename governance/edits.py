"""A reviewer's other version of a call: judged anew as if the agent had asked for it, and shown before it counts.

An edit is a new question. Earlier answers to the old one lapse, the rules that ask about the new one are added to those
that asked before, and the editor's approval is the first answer to it. What is approved then is the edited call and no
other: the agent is told what changed, and repeats its check with that.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from audit import canonical, log, secrets
from audit.details import read_detail
from audit.log import Writer
from governance import approvals, asking, bounds, callbacks, outcomes, reviewers, schedule
from governance.approvals import NotAReviewer, NotPending
from governance.checks import Batch
from governance.decide import SUPERVISION, Verdict, decide
from governance.flows import ApprovalFlow
from governance.models import Approval, ApprovalLink, Asking, Vote
from governance.pending import requirements, review_of
from governance.policies import WorkspaceChanging
from governance.requests import Caller, CheckRequest
from governance.rosters import DECIDE, permission_for
from governance.snapshot import Behind, Snapshot
from governance.subjects import AgentEntry
from governance.withholding import Kept, keep
from workspaces.arguments import is_withheld
from workspaces.models import User
from workspaces.schemas import complete

EDITED = "governance.approval.edited"
LONGEST = 1024 * 1024  # of arguments as JSON, as at the gate
ROUNDS = 5

Result = TypeVar("Result")


class EditRefused(ValueError):
    """An edit that cannot be, or that policy denies; ``reasons`` are those of the decision."""

    def __init__(
        self, code: str, sentence: str, *, status: int = 409, reasons: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(sentence)
        self.code, self.status, self.reasons = code, status, reasons or []


@dataclass(frozen=True, slots=True)
class Judged:
    """An edited call as policy judges it now. ``before`` and ``kept`` are the arguments as the log keeps them."""

    request: CheckRequest
    agent: AgentEntry
    verdict: Verdict
    binding: str
    before: dict[str, Any]
    kept: Kept
    risk: str
    asked: list[dict[str, Any]]
    seconds: int | None
    facts: dict[str, Any]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What is different from the call as it was."""
        return changes(self.before, self.kept.arguments)


def parse(text: str) -> dict[str, Any]:
    """Arguments that a person typed, as strictly as the gate takes them. Raises EditRefused."""
    value = value_of(text)
    if not isinstance(value, dict):
        raise EditRefused("malformed_json", "Arguments are a JSON object, in braces.", status=400)
    return value


def value_of(text: str) -> Any:
    """A JSON value that a person typed. Raises EditRefused."""
    try:
        return canonical.decode(text.encode("utf-8", "surrogatepass"))
    except canonical.ParseError as error:
        raise EditRefused(error.code, f"This cannot be read: {error}", status=400) from error


def preview(approval: Approval, *, person: User, tool: str = "", arguments: Mapping[str, Any]) -> Judged:
    """What an edit would change, and who would be asked. Nothing is written. Raises what ``edit`` does."""

    def look(entries: Writer, current: Snapshot) -> Judged:
        row = open_row(approval, entries)
        require_reviewer(row, person, entries.now)
        return judge(row, tool, arguments, entries, current)

    return under_lock(approval, look)


def edit(
    approval: Approval,
    *,
    person: User,
    tool: str = "",
    arguments: Mapping[str, Any],
    comment: str,
    actor: str,
    second_factor: str = "",
    known_by: Vote.KnownBy = Vote.KnownBy.SESSION,
    opened_at: datetime | None = None,
    seen: int | None = None,
) -> Approval:
    """Put other arguments, and perhaps another tool, in a waiting call's place, and approve that. Returns the approval
    as it is then: approved, or waiting for others. ``seen``: the round of the call that was edited.

    Raises EditRefused, WorkspaceChanging, and what ``approvals.decide`` raises.
    """

    def change(entries: Writer, current: Snapshot) -> Approval:
        row = open_row(approval, entries)
        if row.process_id is None:
            approvals.start(row)
            row = approvals.read(row)
        with ApprovalFlow.lock(row.process_id):
            row = open_row(approval, entries)
            require_reviewer(row, person, entries.now)
            if seen not in (None, row.round):
                raise NotPending("approval_edited", approvals.EDITED_SINCE.format(row.round))
            judged = judge(row, tool, arguments, entries, current)
            index = record(row, judged, person=person, actor=actor, entries=entries)
            put(row, judged, index, entries.now)
        row = approvals.decide(
            row,
            person=person,
            approve=True,
            comment=comment,
            known_by=known_by,
            actor=actor,
            second_factor=second_factor,
            opened_at=opened_at,
        )
        if row.status == Approval.Status.PENDING:
            ask_again(row, entries)
        return row

    return under_lock(approval, change)


def under_lock(approval: Approval, work: Callable[[Writer, Snapshot], Result]) -> Result:
    """Do something under the log's head with the configuration as it is, which is read before. Raises
    WorkspaceChanging where it changes again and again meanwhile."""
    log_id = approval.workspace.log_id
    for _ in range(ROUNDS):
        current = Snapshot(log_id)
        try:
            with log.write(log_id) as entries:
                current.catch_up(entries.head(log_id))
                return work(entries, current)
        except Behind:
            continue
    raise WorkspaceChanging("The workspace was changed while the call was judged; try again.")


def open_row(approval: Approval, entries: Writer) -> Approval:
    """The approval as it is now. Raises NotPending when it has ended."""
    row = approvals.read(approval)
    if refused := outcomes.refusal(row, entries.now):
        raise refused
    return row


def require_reviewer(approval: Approval, person: User, now: datetime) -> None:
    """Raise NotAReviewer for somebody whose answer would not count."""
    ballot = reviewers.ballot(person, approval, now)
    if ballot is None:
        raise NotAReviewer(reviewers.why_not(person, approval, now))
    if all(permission_for(approval.requirements[index]) != DECIDE for index in ballot.counts_for):
        raise NotAReviewer(
            "You are asked about a budget, not about what the call does: approve or reject it as it is."
        )


def judge(
    approval: Approval, tool: str, arguments: Mapping[str, Any], entries: Writer, current: Snapshot
) -> Judged:
    """Decide the edited call as a new one by this agent in this session. Raises EditRefused where it is denied, or
    no other call than the one that waits."""
    before = read_detail(approval.workspace.log_id, approval.call_index)
    asked = read_detail(approval.workspace.log_id, approval.entry_index)
    if "arguments" not in before or "arguments" not in asked:
        raise EditRefused(
            "content_erased", "What the agent sent was erased, so nothing is left to edit; reject it."
        )
    request = requested(approval, tool or approval.tool, arguments, asked)
    batch = Batch(current, entries)
    batch.load([request])
    agent = current.agent(approval.agent_id)
    assert agent is not None
    question, facts = batch.pose(agent, request)
    verdict = decide(question, facts)
    if (verdict.would or verdict.decision) == "deny":
        denials = [reason for reason in verdict.reasons if reason["effect"] == "deny"]
        sentence = " ".join(told(reason) for reason in denials)
        raise EditRefused("edit_denied", f"This call would be denied. {sentence}", reasons=denials)
    compiled = current.tools[request.tool].compiled
    binding = batch.records.binding(agent, request, verdict)
    if binding == approval.binding:
        raise EditRefused("nothing_changed", "This is the call that waits; approve it, or change something.")
    new = requirements(approval.workspace_id, agent, verdict.asks, supervised=verdict.supervised)
    reviews = [review_of(rule).expires_in for rule in verdict.asks]
    return Judged(
        request=request,
        agent=agent,
        verdict=verdict,
        binding=binding,
        before=before["arguments"],
        kept=keep(request, verdict, compiled),
        risk=compiled.declaration.risk.value,
        asked=[each for each in new if not is_asked(each, approval)],
        seconds=min(reviews, default=None),
        facts={
            "declaration": compiled.digest,
            "action": verdict.action,
            "policy": current.policy,
            "revision": current.revision,
            "rules": verdict.results,
        },
    )


def requested(
    approval: Approval, tool: str, arguments: Mapping[str, Any], asked: Mapping[str, Any]
) -> CheckRequest:
    """The check that the agent would have sent. Raises EditRefused for arguments that no check may have."""
    if "arguments" not in asked:
        raise EditRefused(
            "content_erased", "What the agent sent was erased, so there is nothing to edit; reject it."
        )
    if is_withheld(arguments):
        raise EditRefused(
            "arguments_withheld",
            "A value of this call is withheld, and nobody can edit around what nobody knows: give it anew, or leave it "
            "out.",
            status=400,
        )
    given = dict(arguments)
    try:
        encoded = canonical.encode(complete(given, None, []))
        named = b'{"arguments":%b,"tool":%b}' % (encoded, canonical.encode(tool))
    except canonical.CanonicalError as error:
        raise EditRefused("number_out_of_range", str(error), status=400) from error
    if len(encoded) > LONGEST:
        raise EditRefused("body_too_large", "Arguments have at most 1 MiB.", status=400)
    without, found = secrets.withhold(given)
    log_id, agent = approval.workspace.log_id, approval.agent_id
    return CheckRequest(
        caller=Caller(log_id, agent, approval.key, b""),
        tool=tool,
        arguments=given,
        digest=hashlib.sha256(named).digest(),
        withheld=without if found else None,
        secrets=tuple(sorted({item.kind for item in found})),
        session=approval.session,
        reason=asked.get("reason", ""),
        on_behalf_of=approval.on_behalf_of.email if approval.on_behalf_of else "",
        context=asked.get("context", {}),
    )


def record(approval: Approval, judged: Judged, *, person: User, actor: str, entries: Writer) -> int:
    """The entry of an edit, whose Detail holds the call that is asked about from now on; its index."""
    data: dict[str, Any] = {
        "approval": approval.public_id,
        "decision": approval.decision,
        "person": person.public_id,
        "round": approval.round + 1,
        "before": approval.tool,
        **judged.facts,
    }
    if judged.kept.kinds:
        data["withheld"] = list(judged.kept.kinds)
    entry = entries.append(
        EDITED,
        actor=actor,
        agent=approval.agent.public_id,
        tool=judged.request.tool,
        session=approval.session,
        data=data,
        detail={
            "arguments": judged.kept.arguments,
            "tool": judged.request.tool,
            "resources": judged.kept.resources,
            "changes": judged.changes,
        },
        log_id=approval.workspace.log_id,
    )
    return entry.index


def put(approval: Approval, judged: Judged, index: int, now: datetime) -> None:
    """Make the approval one of the edited call: what lifts is all that anybody is asked about it."""
    verdict, first = judged.verdict, len(approval.requirements)
    lifts = [rule.digest for rule in verdict.asks] + [SUPERVISION] * verdict.supervised
    approval.tool, approval.action, approval.risk = judged.request.tool, verdict.action, judged.risk
    approval.binding, approval.policy = judged.binding, judged.facts["policy"]
    approval.lifts = list(dict.fromkeys([*approval.lifts, *lifts]))
    approval.requirements = [*approval.requirements, *judged.asked]
    approval.excluded = reviewers.excluded_of(approval)
    approval.round += 1
    approval.version += 1
    approval.edit_index = index
    if judged.seconds is not None:
        approval.expires_at = min(approval.expires_at, now + timedelta(seconds=judged.seconds))
    ladders = schedule.plan(now, approval.expires_at, approval.requirements)
    added = [step for step in ladders if step.get("requirement", -1) >= first]
    steps = [step for step in [*approval.plan, *added] if schedule.time_of(step) < approval.expires_at]
    approval.plan = sorted(steps, key=schedule.time_of)
    approval.next_step_at = schedule.next_at(approval.plan)
    approval.save()
    approval.links.update(deadline=approval.expires_at)
    Asking.objects.bulk_create(
        Asking(approval=approval, workspace=approval.workspace, rule=rule, created=now)
        for rule in sorted({requirement["rule"] for requirement in judged.asked})
    )


def ask_again(approval: Approval, entries: Writer) -> None:
    """Ask everybody whose answer to the edited call is missing, and tell the agent."""
    people = reviewers.reviewers_of(approval, entries.now)
    asking.add_reviewers(approval, people, source=ApprovalLink.Source.NAMED, entries=entries)
    asking.add_named(approval, entries.now)
    asking.note_reach(approval, entries)
    callbacks.owe_callback(approval, "edited", entries)


def is_asked(requirement: Mapping[str, Any], approval: Approval) -> bool:
    """Whether people are asked for this rule already."""
    known = {(each["rule"], each.get("digest", requirement["digest"])) for each in approval.requirements}
    return (requirement["rule"], requirement["digest"]) in known


def told(reason: Mapping[str, Any]) -> str:
    """A denial in words, with where the arguments do not fit."""
    places = "; ".join(f"{each['pointer'] or '/'}: {each['message']}" for each in reason.get("problems", ()))
    return f"{reason['message']} ({places})" if places else str(reason["message"])


def changes(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """What is different between two JSON values, by JSON pointer (RFC 6901), in order: ``from`` is absent where
    something was added, ``to`` where it was removed. Lists of another length differ as a whole."""
    if bounds.same(before, after):
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for name in [*before, *(name for name in after if name not in before)]:
            place = path + bounds.pointer_to(name)
            if name not in after:
                found.append({"path": place, "from": before[name]})
            elif name not in before:
                found.append({"path": place, "to": after[name]})
            else:
                found += changes(before[name], after[name], place)
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [each for place, (one, other) in pairs for each in changes(one, other, f"{path}/{place}")]
    return [{"path": path, "from": before, "to": after}]
