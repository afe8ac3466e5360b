"""Changes that people, or agents, propose: opening, answering, withdrawing and expiry.

Every change takes the log's head first, then viewflow's process lock, reads again, and only then acts. What an
accepted proposal does stands in ``enactments``, who decides it in ``deciders``.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from viewflow.workflow import STATUS

from audit import log, owed
from audit.log import Writer
from audit.secrets import withhold
from governance import deciders, enactments, policies
from governance.enactments import MAIL
from governance.enactments import NotPending as NotPending
from governance.flows import AccessRequestFlow, OnboardingFlow, PolicyChangeFlow
from governance.models import Proposal, ProposalVote
from workspaces.access import holders, workspaces_for
from workspaces.models import Membership, User, Workspace
from workspaces.people import actor_of

Kind, Status = Proposal.Kind, Proposal.Status
START = "governance.proposal.start"
LASTS = timedelta(days=7)
FLOWS: dict[str, tuple[Any, str]] = {  # the flow, and its first node's name
    Kind.POLICY: (PolicyChangeFlow, "draft"),
    Kind.TOOL: (PolicyChangeFlow, "draft"),
    Kind.ACCESS: (AccessRequestFlow, "ask"),
    Kind.ONBOARDING: (OnboardingFlow, "register"),
}
ANSWERS = ("second_person", "answer", "approval")  # the nodes at which people answer
REPLAY, FIRST_KEY = "replay", "first_key"


class NotADecider(Exception):
    """The person's answer does not count for this proposal."""

    code, status = "not_a_decider", 403


class NotReady(Exception):
    """The proposal is not at a step at which this can be done."""

    code, status = "proposal_not_ready", 409


class NobodyElse(Exception):
    """There is nobody whose answer would count."""

    code, status = "nobody_to_decide", 409


def open(proposal: Proposal, *, actor: str, detail: dict[str, Any] | None = None) -> Proposal:
    """Insert a proposal, its times still missing, with its entry, and owe the start of its process. Raises NobodyElse
    where an answer that it needs is nobody's to give."""
    with log.write(proposal.workspace.log_id) as entries:
        proposal.created = entries.now
        proposal.expires_at = entries.now + LASTS
        entry = entries.append(
            "governance.proposal.opened",
            actor=actor,
            agent=enactments.agent_of(proposal),
            tool=proposal.content.get("tool", ""),
            data={
                "proposal": proposal.public_id,
                "kind": proposal.kind,
                "alone": any(wanted.get("alone", False) for wanted in proposal.requirements),
            }
            | ({"policy": proposal.version.digest} if proposal.version else {}),
            detail={"title": proposal.title, **(detail or {})},
            log_id=proposal.workspace.log_id,
        )
        proposal.content = {**proposal.content, "entry": entry.index}
        proposal.full_clean(exclude=["content", "requirements", "process"])
        proposal.save()
        owed.owe(START, [{"proposal": proposal.public_id}], due=entries.now)
    return proposal


def check_decidable(proposal: Proposal) -> None:
    """Raise NobodyElse where a requirement has nobody whose answer would count."""
    for wanted in proposal.requirements:
        if not deciders.candidates(wanted, proposal):
            raise NobodyElse(
                f"There is nobody who could agree to this here: it takes {wanted['who']}. Ask an owner of the "
                "workspace to give somebody that role."
            )


def start(proposal: Proposal) -> Proposal:
    """Start the process and owe everybody who is asked a mail. Does nothing when it was started or has ended."""
    with log.write(proposal.workspace.log_id) as entries:
        row = read(proposal)
        if row.process_id is None and row.status == Status.PENDING:
            begin(row, entries)
        return read(proposal)


def begin(proposal: Proposal, entries: Writer) -> None:
    """Start the process of a proposal that was just read, under the head."""
    flow, first = FLOWS[proposal.kind]
    getattr(flow, first).run(proposal=proposal)
    row = read(proposal)
    if open_task(row, *ANSWERS) is not None:
        ask(row, entries, deciders.asked(row))


def ask(proposal: Proposal, entries: Writer, people: Iterable[User]) -> None:
    """Owe these people a mail about the proposal."""
    mails = [{"proposal": proposal.public_id, "person": person.public_id} for person in people]
    owed.owe(MAIL, mails, due=entries.now)


def start_proposal(payload: dict[str, Any]) -> str:
    """Perform what ``open`` owed."""
    row = start(Proposal.objects.select_related("workspace").get(public_id=payload["proposal"]))
    return f"{row.public_id}: {row.status}"


def decide(proposal: Proposal, *, person: User, approve: bool, comment: str = "") -> Proposal:
    """Record one person's answer and move the process on; returns the proposal as it is then.

    Raises NotPending, NotReady while a replay runs, NotADecider; and PolicyRefused and WorkspaceChanging for a policy
    whose rules no longer suit the workspace: it then goes on waiting."""
    with writing(proposal, approve=approve) as entries:
        row = read(proposal)
        refuse_settled(row, entries)
        if not row.requirements or (row.kind == Kind.ACCESS and row.process_id is None):
            raise NotReady("Whom to ask is being looked up; try again in a moment.")
        if row.process_id is None:
            begin(row, entries)
            row = read(proposal)
        with FLOWS[row.kind][0].lock(row.process_id):
            row = read(proposal)
            refuse_settled(row, entries)
            voter = User.objects.get(pk=person.pk)
            if why := deciders.why_not(voter, row):
                raise NotADecider(why)
            task = open_task(row, *ANSWERS)
            if task is None:
                raise NotReady("The replay over recorded calls is still running; answer when it is done.")
            cast(row, voter, approve=approve, comment=comment, entries=entries)
            activation = task.flow_task.activation_class(task)
            activation.assign(voter)
            activation.start(request=None)
            activation.execute()
    return read(proposal)


@contextmanager
def writing(proposal: Proposal, *, approve: bool) -> Iterator[Writer]:
    """A write on the workspace's log; for a draft that is agreed to one in which its rules were reviewed."""
    version = proposal.version
    if approve and version is not None and version.status == policies.Status.DRAFT:
        with policies.reviewed(proposal.workspace, policies.read(version.content)) as entries:
            yield entries
    else:
        with log.write(proposal.workspace.log_id) as entries:
            yield entries


def refuse_settled(proposal: Proposal, entries: Writer) -> None:
    """Raise NotPending for a proposal that nobody can answer any more."""
    if proposal.status != Status.PENDING:
        raise NotPending(
            f"This is settled already: {proposal.get_status_display().lower()}. Nothing was changed."
        )
    if proposal.expires_at <= entries.now:
        raise NotPending("The time to answer is over, which means no. Propose it again.")


def cast(proposal: Proposal, person: User, *, approve: bool, comment: str, entries: Writer) -> None:
    """Insert the answer with its entry; the comment goes into the entry's Detail only, without secrets."""
    comment = withhold(comment)[0].strip()
    entry = entries.append(
        "governance.proposal.voted",
        actor=actor_of(person),
        agent=enactments.agent_of(proposal),
        tool=proposal.content.get("tool", ""),
        outcome="approved" if approve else "rejected",
        data={"proposal": proposal.public_id, "kind": proposal.kind, "approve": approve},
        detail={"comment": comment} if comment else None,
        log_id=proposal.workspace.log_id,
    )
    ProposalVote.objects.create(
        proposal=proposal, person=person, approve=approve, entry_index=entry.index, created=entries.now
    )


def read(proposal: Proposal) -> Proposal:
    """The proposal as it is now."""
    related = ("workspace", "agent", "version", "replay", "proposed_by")
    return Proposal.objects.select_related(*related).get(pk=proposal.pk)


def open_task(proposal: Proposal, *names: str) -> Any:
    """The task of one of these nodes that waits; None where the process stands elsewhere."""
    flow = FLOWS[proposal.kind][0]
    nodes = [getattr(flow, name) for name in names if hasattr(flow, name)]
    rows = flow.task_class.objects.filter(process_id=proposal.process_id, status=STATUS.NEW)
    return rows.filter(flow_task__in=nodes).first()


def pass_by(proposal: Proposal, name: str) -> bool:
    """Let the process go on from a node that waits for something else than an answer, inside the caller's write;
    False where it is not there."""
    with FLOWS[proposal.kind][0].lock(proposal.process_id):
        task = open_task(proposal, name)
        if task is None:
            return False
        activation = task.flow_task.activation_class(task)
        activation.run(None)
        activation.execute()
    return True


def may_cancel(person: User, proposal: Proposal) -> bool:
    """Whoever proposed it takes it back; for an agent its owner does."""
    if proposal.proposed_by_id is not None:
        return proposal.proposed_by_id == person.pk
    return proposal.agent is not None and proposal.agent.owner_id == person.pk


def withdraw(proposal: Proposal, *, person: User, actor: str, reason: str) -> Proposal:
    """Cancel for a person. Raises NotADecider for who may not, and NotPending."""
    if not may_cancel(person, proposal):
        raise NotADecider(
            "Whoever proposed it withdraws it, or the owner of the agent that did; others reject it."
        )
    return cancel(proposal, actor=actor, reason=reason)


def cancel(proposal: Proposal, *, actor: str, reason: str) -> Proposal:
    """Withdraw a pending proposal. Raises NotPending when it has ended already."""
    return end(proposal, Status.CANCELLED, actor=actor, reason=reason)


def end(proposal: Proposal, status: Proposal.Status, *, actor: str, reason: str) -> Proposal:
    """Settle a proposal without an answer, and cancel its process. Raises NotPending."""
    with log.write(proposal.workspace.log_id):
        row = read(proposal)
        if row.process_id is None:
            enactments.settle(row, status, actor=actor, outcome=reason)
            return row
        flow = FLOWS[row.kind][0]
        with flow.lock(row.process_id):
            row = read(proposal)
            enactments.settle(row, status, actor=actor, outcome=reason)
            # viewflow's cancel judges the process that it is handed: this one was read under the lock.
            flow.instance.cancel(flow.process_class.objects.get(pk=row.process_id))
        return row


def expire(proposal: Proposal) -> bool:
    """End a proposal whose time is over: that means no. False when it is not due, or ended otherwise."""
    with log.write(proposal.workspace.log_id) as entries:
        row = read(proposal)
        if row.status != Status.PENDING or row.expires_at > entries.now:
            return False
        task = None
        if row.process_id is not None:
            with FLOWS[row.kind][0].lock(row.process_id):
                row = read(proposal)
                task = open_task(row, *ANSWERS) if row.status == Status.PENDING else None
                if task is not None:
                    activation = task.flow_task.activation_class(task)
                    activation.lapse()
                    activation.activate_next()
        if task is None:
            end(row, Status.EXPIRED, actor="system", reason="")
        return True


def visible_to(person: User, workspace: Workspace | None = None) -> QuerySet[Proposal]:
    """The proposals that a person may see: of every workspace that they see, or of one."""
    rows = Proposal.objects.filter(workspace__in=workspaces_for(person).values("pk"))
    if workspace is not None:
        rows = rows.filter(workspace=workspace)
    return rows.select_related("workspace", "agent", "version", "replay", "proposed_by")


def waiting(person: User, workspace: Workspace | None = None, *, most: int = 200) -> list[Proposal]:
    """What waits in the workspaces that a person sees, by its end; each has ``yours`` set where they are asked."""
    rows = list(
        visible_to(person, workspace).filter(status=Status.PENDING, expires_at__gt=timezone.now())
        .prefetch_related("votes__person").order_by("expires_at")[:most]
    )  # fmt: skip
    for row in rows:
        row.yours = is_asked(person, row)  # type: ignore[attr-defined]
    return rows


def is_asked(person: User, proposal: Proposal) -> bool:
    """Whether a list shows it as theirs: without a query for each row, and judged again when they answer."""
    if any(vote.person_id == person.pk for vote in proposal.votes.all()):
        return False
    mine = {proposal.proposed_by_id}
    if proposal.version is not None and proposal.version.drafted_by == actor_of(person):
        mine.add(person.pk)
    if proposal.kind == Kind.ONBOARDING and proposal.content["plan"]["owner"] == person.public_id:
        mine.add(person.pk)
    return any(
        deciders.counts(wanted, person, proposal, {pk for pk in mine if pk is not None})
        for wanted in proposal.requirements
    )


def hand_over(entries: Writer, person: User, workspaces: Iterable[Workspace], *, actor: str) -> int:
    """What waits for somebody who leaves these workspaces is asked of their owners; where nobody is left it ends.
    Inside the caller's write over all their logs; how many it concerned."""
    count = 0
    rows = Proposal.objects.filter(workspace__in=workspaces, status=Status.PENDING)
    for row in rows.select_related("workspace", "agent", "version", "proposed_by").order_by("pk"):
        changed = [reassigned(wanted, row, person) for wanted in row.requirements]
        if any(not deciders.candidates(wanted, row, but={person.pk}) for wanted in changed):
            cancel(row, actor=actor, reason="Somebody left, and nobody is left who could answer.")
        elif changed != row.requirements:
            row.requirements = changed
            row.save(update_fields=["requirements"])
            entries.append(
                "governance.proposal.rerouted",
                actor=actor,
                agent=enactments.agent_of(row),
                tool=row.content.get("tool", ""),
                data={"proposal": row.public_id, "kind": row.kind, "left": person.public_id},
                log_id=row.workspace.log_id,
            )
            ask(row, entries, [each for each in deciders.asked(row) if each.pk != person.pk])
        else:
            continue
        count += 1
    return count


def reassigned(wanted: dict[str, Any], proposal: Proposal, person: User) -> dict[str, Any]:
    """A requirement without somebody who leaves: where they were the last one named, owners take their place."""
    if person.pk not in wanted["people"]:
        return wanted
    left = [pk for pk in wanted["people"] if pk != person.pk]
    if not left:
        owning = Membership.objects.filter(
            workspace=proposal.workspace, person=OuterRef("pk"), role=Membership.Role.OWNER
        )
        owners = holders(proposal.workspace, "view_workspace").filter(Exists(owning)).exclude(pk=person.pk)
        left = sorted(set(owners.values_list("pk", flat=True)) - deciders.excluded_of(proposal))
    return {**wanted, "people": left or [person.pk]}
