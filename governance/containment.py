"""Containment: the ladder on which an agent, a workspace or the whole installation stands.

A step is an entry, so no ``allowed`` entry of the contained agent follows it in the log. It bumps the scope's
epoch, by which approvals and holds of an older one are void; their rows are tidied afterwards, by others.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from django.utils import timezone

from audit import log
from governance.subjects import LADDER, effective_standing
from workspaces.access import forget, may, may_somewhere, operates
from workspaces.access.scoping import OWN_AGENTS, Visitor
from workspaces.models import Agent, AgentKey, Installation, Standing, User, Workspace

Scope: TypeAlias = Agent | Workspace | Installation

LONGEST_OBSERVATION = timedelta(days=14)
LONGEST_REASON = 500


class NotAllowed(Exception):
    """The person may not take this step."""

    code, status = "not_allowed", 403


class AlreadyRevoked(Exception):
    """What was revoked stays revoked."""

    code, status = "already_revoked", 409


class BadStanding(Exception):
    """The step is none: an unknown standing, no reason, or an observation that lasts too long."""

    code, status = "bad_standing", 400


@dataclass(frozen=True, slots=True)
class Step:
    """A step on the ladder, or that none was needed.

    ``row`` is the scope as it now stands; ``index`` that of its entry in its own log, None when nothing
    changed.
    """

    row: Scope
    before: Standing
    after: Standing
    index: int | None
    requested_at: datetime
    confirmed_at: datetime

    @property
    def changed(self) -> bool:
        return self.index is not None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, checked as far as it can be without the lock."""

    standing: Standing
    reason: str
    actor: str
    person: User | None
    until: datetime | None
    requested_at: datetime


def set_standing(
    scope: Scope,
    standing: str,
    *,
    reason: str,
    actor: str,
    person: User | None,
    until: datetime | None = None,
) -> Step:
    """Put an agent, a workspace or the installation on a step of the ladder.

    The standing it has already is no step and writes nothing. ``until`` ends an observation, 14 days from
    now at the latest and by default.

    ``person`` None is the command line (``actor`` "cli:user@host"), which may do everything, or the worker
    (``actor`` "system"), which only supervises.
    Raises NotAllowed, AlreadyRevoked and BadStanding.
    """
    request = checked(standing, reason, actor, person, until)
    step = None
    while step is None:
        ids = log_ids(scope)
        with log.write(*ids) as entries:
            if log_ids(scope) == ids:  # else a workspace was founded meanwhile
                step = take(entries, scope, request)
    row, before, index = step
    return Step(row, before, request.standing, index, request.requested_at, timezone.now())


def checked(standing: str, reason: str, actor: str, person: User | None, until: datetime | None) -> Request:
    """The request as a value. Raises BadStanding, and NotAllowed for nobody in particular."""
    now = timezone.now()
    if standing not in Standing.values:
        raise BadStanding(f"{standing!r} is no standing; choose one of {', '.join(Standing.values)}.")
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise BadStanding(
            f"Give a reason of 1 to {LONGEST_REASON} characters; whoever is on call will read it."
        )
    wanted = Standing(standing)
    if wanted is Standing.OBSERVE:
        until = until or now + LONGEST_OBSERVATION
        if not now < until <= now + LONGEST_OBSERVATION:
            raise BadStanding("An observation ends within the next 14 days; choose an earlier end, or none.")
    elif until is not None:
        raise BadStanding("Only an observation has an end; leave it out.")
    by_itself = actor == "system" and wanted is Standing.SUPERVISED
    if person is None and not actor.startswith("cli:") and not by_itself:
        raise NotAllowed(
            "Only a person or the command line changes a standing; sign in, or use manage.py contain."
        )
    return Request(wanted, reason, actor, person, until, now)


def log_ids(scope: Scope) -> tuple[int, ...]:
    """The logs in which a step is written: the scope's own, and every workspace's for the installation."""
    match scope:
        case Agent():
            return (scope.workspace.log_id,)
        case Workspace():
            return (scope.log_id,)
        case _:
            return (scope.log_id, *Workspace.objects.order_by("log_id").values_list("log_id", flat=True))


def take(entries: log.Writer, scope: Scope, request: Request) -> tuple[Scope, Standing, int | None]:
    """Take the step under the lock: the scope's row, where it stood, and the index of the entry, if any."""
    row: Scope = type(scope)._default_manager.get(pk=scope.pk)
    before = standing_at(row, entries.now)
    if request.person is not None:
        allow(request.person, row, before, request.standing)
    if before is request.standing:
        return row, before, None
    if before is Standing.REVOKED:
        raise AlreadyRevoked("What was revoked stays revoked; create a new agent or workspace instead.")
    row.standing = request.standing
    row.standing_reason = request.reason
    row.observe_until = request.until
    if isinstance(row, Installation):
        row.save(update_fields=["standing", "standing_reason", "observe_until"])
        record_everywhere(entries, row, before, request)
    else:
        row.epoch += 1
        row.save(update_fields=["standing", "standing_reason", "observe_until", "epoch"])
        record(entries, row, row, before, request, revoke_keys(row, entries.now, request))
    head = entries.head(log_ids(row)[0])
    return row, before, head.entries[-1].body["index"]


def record_everywhere(entries: log.Writer, row: Installation, before: Standing, request: Request) -> None:
    """An entry in every workspace's log, whose epoch is bumped, and last the installation's own entry."""
    keys = defaultdict(list)
    for key in revoke_keys(row, entries.now, request):
        keys[key.agent.workspace_id].append(key)
    for workspace in Workspace.objects.order_by("log_id"):
        workspace.epoch += 1
        workspace.save(update_fields=["epoch"])
        record(entries, row, workspace, before, request, keys[workspace.pk])
    record(entries, row, row, before, request, ())


def record(
    entries: log.Writer,
    scope: Scope,
    saved: Scope,
    before: Standing,
    request: Request,
    keys: Iterable[AgentKey],
) -> None:
    """One entry about the step of ``scope``, in the log that accounts for ``saved``."""
    entries.record(
        "governance.containment.changed",
        actor=request.actor,
        saved=[saved, *keys],
        agent=saved.public_id if isinstance(saved, Agent) else "",
        outcome=request.standing.value,
        data={
            "scope": type(scope).__name__.lower(),
            "from": before.value,
            "to": request.standing.value,
            "requested_at": request.requested_at.isoformat(timespec="microseconds"),
        },
        detail={"reason": request.reason},
        log_id=log_ids(saved)[0],
    )


def revoke_keys(scope: Scope, now: datetime, request: Request) -> list[AgentKey]:
    """Revoke the live keys of what is being revoked for good; none otherwise."""
    if request.standing is not Standing.REVOKED:
        return []
    keys = AgentKey.objects.filter(revoked_at=None).select_related("agent").order_by("pk")
    if isinstance(scope, Agent):
        keys = keys.filter(agent=scope)
    elif isinstance(scope, Workspace):
        keys = keys.filter(agent__workspace=scope)
    rows = list(keys)
    for key in rows:
        key.revoked_at = now
    AgentKey.objects.bulk_update(rows, ["revoked_at"], batch_size=500)
    return rows


def allow(person: User, scope: Scope, before: Standing, wanted: Standing) -> None:
    """Raise NotAllowed unless this person may take the scope from one standing to the other.

    Permissions are read again here, under the lock: one that was taken away a moment ago does not count.
    """
    forget(person)
    if isinstance(scope, Installation):
        if not operates(person):
            raise NotAllowed(
                "Only an administrator of the installation changes its standing; ask one of them."
            )
    elif LADDER.index(wanted) >= LADDER.index(before):
        if not may(person, "tighten", scope):
            raise NotAllowed(
                "Your roles do not let you contain this; ask an operator, a compliance officer or an owner."
            )
    elif isinstance(scope, Agent) and scope.owner_id == person.pk:
        raise NotAllowed(
            "Nobody loosens the containment of an agent of their own; ask another owner of the workspace, or whoever"
            " runs the installation (manage.py contain)."
        )
    elif not may(person, "loosen", scope):
        raise NotAllowed("Only an owner of the workspace loosens containment; ask one of them.")
    elif wanted is Standing.OBSERVE and isinstance(scope, Workspace) and owns_agent(person, scope):
        raise NotAllowed(
            "Observing the workspace would loosen agents of your own; ask an owner who has none here."
        )


def may_stop_something(person: Visitor) -> bool:
    """Whether there is anything that a person may tighten."""
    tighten = may_somewhere(person, "tighten") or may_somewhere(person, "tighten" + OWN_AGENTS)
    return tighten or operates(person)


def owns_agent(person: User, workspace: Workspace) -> bool:
    """Whether an agent of the workspace that is not revoked belongs to the person."""
    return workspace.agents.filter(owner=person).exclude(standing=Standing.REVOKED).exists()


def standing_at(scope: Scope, now: datetime) -> Standing:
    """The scope's own standing: an observation that has ended counts as active."""
    return Standing(effective_standing(now, (scope.standing, scope.observe_until)))


def effective(
    agent: Agent | None, workspace: Workspace, installation: Installation | None, *, now: datetime
) -> Standing:
    """The standing that holds over an agent, or (agent None) over a workspace: the strictest scope's."""
    scopes = [scope for scope in (agent, workspace, installation) if scope is not None]
    return Standing(effective_standing(now, *((scope.standing, scope.observe_until) for scope in scopes)))
