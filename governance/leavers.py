"""When a person leaves: what ends at once, who answers in their place, and what becomes of their agents.

The person's sessions, links and tokens end, calls that waited for their answer are asked of others or end, and
agents that they owned become supervised unless somebody takes them within seven days. All of it is one transaction
over the logs of every workspace that it concerns.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from audit import log
from governance import approvals, asking, containment, proposals, reviewers
from governance.models import Approval, ApprovalLink, Mailing
from governance.requirements import widen, without
from governance.rosters import Roster
from workspaces import people
from workspaces.access import tokens
from workspaces.models import Agent, Membership, SigninLink, Standing, User, Workspace
from workspaces.people import actor_of

GRACE = timedelta(days=7)
SWEEP = 100
LOOSER = (Standing.ACTIVE, Standing.OBSERVE)
NOBODY_LEFT = "A reviewer left, and nobody is left whose answer would count. Ask again."


class CannotLeave(Exception):
    """The person has left already, is no member of the workspace, or is the one who asks."""

    code, status = "cannot_leave", 409


@dataclass(frozen=True, slots=True)
class Rerouting:
    """A call that waits for the person: ``asked`` are those who answer in their place, by rule. Without
    ``reachable`` no quorum can be met any more, and the approval ends."""

    approval: Approval
    asked: dict[str, list[User]]
    reachable: bool


@dataclass(slots=True)
class Leaving:
    """What a person's leaving does to workspaces, as read at one time."""

    person: User
    workspaces: list[Workspace]
    rerouted: list[Rerouting] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    headless: list[Workspace] = field(default_factory=list)
    signin_links: int = 0
    tokens: int = 0

    @property
    def go_on(self) -> list[Rerouting]:
        """Calls that others named beside the person can still decide."""
        return [each for each in self.rerouted if each.reachable and not each.asked]

    @property
    def fall_to_owners(self) -> list[Rerouting]:
        return [each for each in self.rerouted if each.reachable and each.asked]

    @property
    def end(self) -> list[Rerouting]:
        return [each for each in self.rerouted if not each.reachable]


def places(person: User) -> list[Workspace]:
    """The workspaces that the person is a member of, or owns an agent in."""
    there = Q(memberships__person=person) | Q(agents__owner=person)
    return list(Workspace.objects.filter(there).distinct().order_by("log_id"))


def preview(person: User, workspaces: list[Workspace] | None = None) -> Leaving:
    """What would happen if the person left these workspaces (None: the installation) now. Changes nothing."""
    now = timezone.now()
    found = Leaving(person, places(person) if workspaces is None else workspaces)
    waiting = Approval.objects.filter(
        workspace__in=found.workspaces, status=Approval.Status.PENDING, expires_at__gt=now
    )
    related = (
        waiting.select_related("agent", "workspace").prefetch_related("votes").order_by("expires_at", "pk")
    )
    stand_ins = {workspace.pk: owners_of(workspace) for workspace in found.workspaces}
    roster = Roster.of(related, now)
    for approval in related:
        if (rerouting := judge(approval, person, stand_ins[approval.workspace_id], roster)) is not None:
            found.rerouted.append(rerouting)
    owned = Agent.objects.filter(owner=person, workspace__in=found.workspaces)
    found.agents = list(owned.exclude(standing=Standing.REVOKED).select_related("workspace").order_by("name"))
    owners = Membership.objects.filter(role=Membership.Role.OWNER, workspace__in=found.workspaces)
    kept = set(
        owners.filter(person__is_active=True).exclude(person=person).values_list("workspace_id", flat=True)
    )
    mine = set(owners.filter(person=person).values_list("workspace_id", flat=True))
    found.headless = [each for each in found.workspaces if each.pk in mine - kept]
    if workspaces is None:
        found.signin_links = SigninLink.objects.filter(user=person, used_at=None, expires_at__gt=now).count()
        found.tokens = tokens.live_tokens(person, now=now).count()
    return found


def owners_of(workspace: Workspace) -> list[int]:
    """Active people who own the workspace and may answer approvals in it; which of them, the roster says."""
    owning = Membership.objects.filter(workspace=workspace, person=OuterRef("pk"), role=Membership.Role.OWNER)
    able = reviewers.answerers(workspace).filter(Exists(owning))
    return list(able.order_by("pk").values_list("pk", flat=True))


def judge(approval: Approval, person: User, owners: list[int], roster: Roster) -> Rerouting | None:
    """What becomes of a waiting call without the person; None when it does not wait for them. Owners are asked where
    the others, those of later rungs too, cannot meet a quorum."""
    if reviewers.Panel(approval, roster).ballot(person.pk) is None:
        return None
    left = roster.without(person.pk)
    before = reviewers.Panel(approval, left, widened=True)
    also = {index: owners for index, lacking in before.shortfalls(with_absent=True).items() if lacking}
    after = reviewers.Panel(approval, left, widened=True, also=also)
    asked = {
        index: [
            each
            for each in owners
            if each not in approval.requirements[index]["reviewers"]
            and after.is_seat(after.requirements[index], each)
        ]
        for index in also
    }
    named = User.objects.in_bulk({each for people in asked.values() for each in people}) if asked else {}
    return Rerouting(
        approval,
        {approval.requirements[index]["rule"]: [named[each] for each in asked[index]] for index in asked},
        not any(after.shortfalls(with_absent=True).values()),
    )


def leave(person: User, *, reason: str, actor: str) -> Leaving:
    """Deactivate a person for good. Raises CannotLeave when they have left already, or would do it themselves."""
    done = None
    while done is None:
        workspaces = places(person)
        with log.write(log.installation_log_id(), *(each.log_id for each in workspaces)) as entries:
            if places(person) != workspaces:
                continue  # somebody gave them a role meanwhile
            person.refresh_from_db()
            if not person.is_active:
                raise CannotLeave(f"{person} has left already.")
            if actor == actor_of(person):
                raise CannotLeave("Nobody lets themselves leave; ask another operator.")
            done = preview(person)
            depart(entries, done, reason=reason, actor=actor)
            people.deactivate(person, actor=actor)
            note(entries, done, log.installation_log_id(), reason=reason, actor=actor)
    return done


def leave_workspace(workspace: Workspace, person: User, *, reason: str, actor: str) -> Leaving:
    """Take every role in one workspace from a person. Raises CannotLeave for who has none, and for oneself."""
    with log.write(workspace.log_id) as entries:
        if not Membership.objects.filter(workspace=workspace, person=person).exists():
            raise CannotLeave(f"{person} has no role in {workspace}.")
        if actor == actor_of(person):
            raise CannotLeave("Nobody lets themselves leave; ask another owner.")
        done = preview(person, [workspace])
        depart(entries, done, reason=reason, actor=actor)
        people.set_roles(workspace, person, roles=(), actor=actor)
    return done


def depart(entries: log.Writer, leaving: Leaving, *, reason: str, actor: str) -> None:
    """What leaving does to approvals, links and agents of the workspaces, and an entry in each."""
    for rerouting in leaving.rerouted:
        reroute(entries, rerouting, leaving.person, actor=actor)
    proposals.hand_over(entries, leaving.person, leaving.workspaces, actor=actor)
    Mailing.objects.filter(
        link__person=leaving.person, link__approval__workspace__in=leaving.workspaces, used_at=None
    ).update(digest=None, code_digest=None)
    for agent in leaving.agents:
        agent.ownerless_since = entries.now
        agent.save(update_fields=["ownerless_since"])
        entries.record(
            "governance.agent.ownerless",
            actor=actor,
            saved=[agent],
            agent=agent.public_id,
            data={"person": leaving.person.public_id},
            log_id=agent.workspace.log_id,
        )
    for workspace in leaving.workspaces:
        note(entries, leaving, workspace.log_id, reason=reason, actor=actor)
        asking.owe_recheck(workspace, due=entries.now)


def note(entries: log.Writer, leaving: Leaving, log_id: int, *, reason: str, actor: str) -> None:
    """The entry that says who left; counts are of what this log tells."""
    entries.append(
        "governance.person.left",
        actor=actor,
        data={
            "person": leaving.person.public_id,
            "approvals": sum(each.approval.workspace.log_id == log_id for each in leaving.rerouted),
            "agents": sum(agent.workspace.log_id == log_id for agent in leaving.agents),
        },
        detail={"reason": reason},
        log_id=log_id,
    )


def reroute(entries: log.Writer, rerouting: Rerouting, person: User, *, actor: str) -> None:
    """Ask the owners in the person's place, or end the approval when nobody is left."""
    approval = rerouting.approval
    if not rerouting.reachable:
        approvals.cancel(approval, actor=actor, reason=NOBODY_LEFT)
        return
    if not rerouting.asked:
        return
    for requirement in approval.requirements:
        stand_ins = [each.pk for each in rerouting.asked.get(requirement["rule"], ())]
        requirement.update(widen(without(requirement, person.pk), {"reviewers": stand_ins}))
    approval.save(update_fields=["requirements"])
    asked = {each.pk: each for owners in rerouting.asked.values() for each in owners}
    entries.append(
        "governance.approval.rerouted",
        actor=actor,
        agent=approval.agent.public_id,
        tool=approval.tool,
        session=approval.session,
        data={
            "approval": approval.public_id,
            "decision": approval.decision,
            "from": person.public_id,
            "to": {rule: [each.public_id for each in owners] for rule, owners in rerouting.asked.items()},
        },
        log_id=approval.workspace.log_id,
    )
    if approval.process_id is not None:  # otherwise its start invites them
        known = set(approval.links.values_list("person_id", flat=True))
        new = [each for each in asked.values() if each.pk not in known]
        asking.add_reviewers(approval, new, source=ApprovalLink.Source.REROUTED, entries=entries)


def ownerless(workspaces: Iterable[Workspace] | QuerySet[Workspace]) -> QuerySet[Agent]:
    """Agents of these workspaces whose owner left and that nobody took since, the longest first."""
    return (
        unowned()
        .filter(workspace__in=workspaces)
        .exclude(standing=Standing.REVOKED)
        .order_by("ownerless_since")
    )


def unowned() -> QuerySet[Agent]:
    """Agents whose owner left, is no longer active or no member, and was not replaced."""
    member = Membership.objects.filter(workspace=OuterRef("workspace"), person=OuterRef("owner"))
    gone = Q(owner__is_active=False) | ~Exists(member)
    return Agent.objects.filter(gone, ownerless_since__isnull=False).select_related("workspace", "owner")


def supervise_ownerless() -> int:
    """Supervise the agents that nobody took within seven days; how many. One whose owner came back is left alone."""
    due = unowned().filter(ownerless_since__lte=timezone.now() - GRACE, standing__in=LOOSER)
    count = 0
    for agent in due.order_by("ownerless_since")[:SWEEP]:
        with log.write(agent.workspace.log_id):
            if not unowned().filter(pk=agent.pk, standing__in=LOOSER).exists():
                continue
            containment.set_standing(
                agent,
                Standing.SUPERVISED,
                reason="Its owner left and nobody took it within seven days. Give it an owner, then loosen it.",
                actor="system",
                person=None,
            )
            count += 1
    return count
