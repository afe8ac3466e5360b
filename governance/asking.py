"""Asking people about a call that waits: inboxes and mails, reminders, later rungs, and whether anybody is left who
could answer. Everything here is called under the log's head, by the flow or by ``approvals``."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from audit import log, owed
from audit.log import Writer
from governance import reviewers, schedule
from governance.callbacks import owe_callback
from governance.models import Approval, ApprovalLink, Asking
from governance.requirements import widen
from workspaces.models import User, Workspace

MAIL = "governance.approval.mail"
REMIND = "governance.approval.remind"
RECHECK = "governance.approval.recheck"
UNREACHABLE = "governance.approval.unreachable"


def begin(approval: Approval, entries: Writer) -> None:
    """Ask whom the rules name, and plan who is asked when they do not answer."""
    approval.excluded = reviewers.excluded_of(approval)
    steps = schedule.plan(approval.created, approval.expires_at, approval.requirements)
    approval.plan = schedule.ahead(steps, entries.now)
    approval.next_step_at = schedule.next_at(approval.plan)
    approval.save(update_fields=["excluded", "plan", "next_step_at"])
    ApprovalLink.objects.bulk_create(
        ApprovalLink(approval=approval, person_id=person_id, deadline=approval.expires_at)
        for person_id in sorted(reviewers.waits_for(approval, entries.now))
    )
    Asking.objects.bulk_create(
        Asking(approval=approval, workspace=approval.workspace, rule=rule, created=entries.now)
        for rule in sorted({requirement["rule"] for requirement in approval.requirements})
    )
    people = reviewers.reviewers_of(approval, entries.now)
    add_reviewers(approval, people, source=ApprovalLink.Source.NAMED, entries=entries)
    note(
        approval,
        "governance.approval.started",
        entries,
        reviewers=[person.public_id for person in people],
        quorums={requirement["rule"]: requirement["quorum"] for requirement in approval.requirements},
    )
    note_reach(approval, entries)


def add_reviewers(
    approval: Approval, people: Iterable[User], *, source: ApprovalLink.Source, entries: Writer
) -> None:
    """Put a started approval into people's inboxes and owe each a mail."""
    asked = list(people)
    known = set(approval.links.values_list("person_id", flat=True))
    ApprovalLink.objects.bulk_create(
        ApprovalLink(approval=approval, person=person, source=source, deadline=approval.expires_at)
        for person in asked
        if person.pk not in known
    )
    owe_mails(MAIL, approval, asked, entries.now)


def owe_mails(kind: str, approval: Approval, people: Iterable[User], due: datetime) -> None:
    """Owe each of these people a mail about the approval."""
    payloads = [{"approval": approval.public_id, "person": person.public_id} for person in people]
    owed.owe(kind, payloads, due=due)


def remind(approval: Approval) -> None:
    """Take the first step of the plan: mail those again whose answer is missing."""
    with log.write(approval.workspace.log_id) as entries:
        people = reviewers.reviewers_of(approval, entries.now)
        owe_mails(REMIND, approval, people, entries.now)
        take_step(approval, entries.now)
        note(
            approval,
            "governance.approval.reminded",
            entries,
            reviewers=[person.public_id for person in people],
        )


def escalate(approval: Approval) -> None:
    """Take the first step of the plan: ask the people of a later rung, too."""
    with log.write(approval.workspace.log_id) as entries:
        step = approval.plan[0]
        requirement = approval.requirements[step["requirement"]]
        before = {person.pk for person in reviewers.reviewers_of(approval, entries.now)}
        rung = requirement["escalate"][step["rung"]]
        approval.requirements[step["requirement"]] = widen(requirement, rung)
        approval.save(update_fields=["requirements"])
        take_step(approval, entries.now)
        new = [person for person in reviewers.reviewers_of(approval, entries.now) if person.pk not in before]
        add_reviewers(approval, new, source=ApprovalLink.Source.ESCALATED, entries=entries)
        add_named(approval, entries.now)
        note(
            approval,
            "governance.approval.escalated",
            entries,
            rule=requirement["rule"],
            rung=step["rung"],
            reviewers=[person.public_id for person in new],
        )


def next_step(approval: Approval) -> str:
    """What the first step of the plan does, if it is due; empty where none is."""
    with log.write(approval.workspace.log_id) as entries:
        step = schedule.due(approval.plan, entries.now)
    return str(step["do"]) if step else ""


def take_step(approval: Approval, now: datetime) -> None:
    """The first step of the plan is done."""
    approval.plan = schedule.after(approval.plan, now)
    approval.next_step_at = schedule.next_at(approval.plan)
    approval.save(update_fields=["plan", "next_step_at"])


def review(approval: Approval, entries: Writer) -> None:
    """Bring what was asked in step with who is there now: deputies of who is away are asked, inboxes kept, and it is
    noted when nobody is left who could answer, or somebody is again."""
    known = set(approval.links.values_list("person_id", flat=True))
    new = [each for each in reviewers.reviewers_of(approval, entries.now) if each.pk not in known]
    add_reviewers(approval, new, source=ApprovalLink.Source.DEPUTY, entries=entries)
    note_who_waits(approval, entries.now)
    note_reach(approval, entries)


def add_named(approval: Approval, now: datetime) -> None:
    """Inbox places of people who are named now but may not decide yet: nobody mails them."""
    known = set(approval.links.values_list("person_id", flat=True))
    ApprovalLink.objects.bulk_create(
        ApprovalLink(
            approval=approval,
            person_id=person_id,
            source=ApprovalLink.Source.ESCALATED,
            deadline=approval.expires_at,
        )
        for person_id in sorted(reviewers.waits_for(approval, now) - known)
    )


def note_who_waits(approval: Approval, now: datetime) -> None:
    """Keep the inboxes in step: an approval waits for those whose answer is still missing, or would be if their
    roles let them decide."""
    waiting = reviewers.waits_for(approval, now)
    approval.links.filter(waiting=True).exclude(person__in=waiting).update(waiting=False)
    approval.links.filter(waiting=False, person__in=waiting).update(waiting=True)


def note_reach(approval: Approval, entries: Writer) -> None:
    """Note since when nobody is left who could answer, tell the agent, and owe its owner a mail; or that somebody
    is back."""
    reachable = reviewers.is_reachable(approval, entries.now)
    if reachable == (approval.unreachable_since is None):
        return
    approval.unreachable_since = None if reachable else entries.now
    approval.version += 1
    approval.save(update_fields=["unreachable_since", "version"])
    if not reachable:
        note(approval, "governance.approval.unreachable", entries)
        owed.owe(UNREACHABLE, [{"approval": approval.public_id}], due=entries.now)
        owe_callback(approval, "unreachable", entries)


def owe_recheck(workspace: Workspace, *, due: datetime) -> None:
    """Have everything that waits in a workspace brought in step with who is there at that time: an absence begins or
    ends, somebody leaves."""
    owed.owe(RECHECK, [{"workspace": workspace.pk}], due=due)


def note(approval: Approval, type: str, entries: Writer, **data: Any) -> None:
    """The entry of a step in an approval's life that the system took."""
    entries.append(
        type,
        actor="system",
        agent=approval.agent.public_id,
        tool=approval.tool,
        session=approval.session,
        data={"approval": approval.public_id, "decision": approval.decision, **data},
        log_id=approval.workspace.log_id,
    )
