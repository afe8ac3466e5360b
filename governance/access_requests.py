"""Agents ask for what they were denied: a grant to the agent alone, for a time, by its owner and the steward.

Only what a recent denial lacked can be asked for; the denial's entry says so, and not the agent.
"""

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from audit import log
from audit.details import read_detail
from audit.models import Entry
from audit.secrets import withhold
from governance import deciders, observed, proposals
from governance.enactments import owner_now
from governance.models import Proposal
from workspaces.access import holders
from workspaces.allowances import Need, exactly
from workspaces.models import Agent, Membership, Resource, Standing, Tool, User
from workspaces.resources import Pattern, PatternSet

LATELY = timedelta(days=1)
LOOKED_THROUGH = 500  # entries of the agent
DENIALS = 50  # whose Details are read
MOST_OPEN = 5
MOST_NEEDS = 10
LONGEST_HOURS = 720
LONGEST_REASON = 2000
MANAGE_TOOLS = "manage_tools"
Kind, Status = Proposal.Kind, Proposal.Status


class AccessRefused(Exception):
    """What cannot be asked for. ``code``: not_denied, too_many_requests, invalid_arguments, contained or
    nobody_to_decide."""

    def __init__(self, code: str, sentence: str, status: int = 409) -> None:
        super().__init__(sentence)
        self.code, self.status = code, status


def request(
    agent: Agent, *, tool: str, action: str = "", resource: str = "", reason: str = "", hours: int = 24
) -> Proposal:
    """Ask for what a denial of this tool within the last day lacked: all of it, or only this action on this resource
    and, where that lacked too, the tool's use. Asked again while it waits, the same is the answer.

    Opens a write on the workspace's log, or joins the caller's; the worker looks up whom to ask. Reads what the gate's
    own database role may. Raises AccessRefused."""
    check(action=action, resource=resource, reason=reason, hours=hours)
    with log.write(agent.workspace.log_id) as entries:
        agent = Agent.objects.select_related("workspace").get(pk=agent.pk)
        if agent.standing in (Standing.SUSPENDED, Standing.REVOKED):
            raise AccessRefused(
                "contained", f"{agent.name} is {agent.standing}; it asks for nothing now.", 403
            )
        needs = lacked(agent, tool, Need(action, resource) if resource else None, entries.now)
        open_ones = list(open_requests(agent))
        for row in open_ones:
            if asked_by(row) == needs:
                return row
        if len(open_ones) >= MOST_OPEN:
            raise AccessRefused(
                "too_many_requests",
                f"{MOST_OPEN} requests of this agent wait already; wait for an answer to one of them.",
                429,
            )
        proposal = Proposal(
            workspace=agent.workspace,
            kind=Kind.ACCESS,
            title=f"{agent.name} asks for access by {tool}"[:200],
            agent=agent,
            content={"tool": tool, "hours": hours, "needs": []},
        )
        detail = {
            "needs": [{"permission": need.permission, "of": need.of} for need in needs],
            "reason": withhold(reason)[0],
        }
        opened = proposals.open(proposal, actor=f"agent:{agent.public_id}", detail=detail)
        opened.__dict__["needs"] = needs  # the Detail that says so is written when the transaction ends
        return opened


def check(*, action: str, resource: str, reason: str, hours: int) -> None:
    """Raise AccessRefused for what is no request."""
    if not 1 <= hours <= LONGEST_HOURS:
        raise AccessRefused("invalid_arguments", f"Ask for 1 to {LONGEST_HOURS} hours.", 400)
    if bool(action) != bool(resource):
        raise AccessRefused("invalid_arguments", "Give action and resource, or neither.", 400)
    if len(reason) > LONGEST_REASON:
        raise AccessRefused("invalid_arguments", f"A reason has at most {LONGEST_REASON} characters.", 400)


def lacked(agent: Agent, tool: str, wanted: Need | None, now: Any) -> list[Need]:
    """What the newest fitting denial of this tool lacked. Raises AccessRefused where there is none."""
    log_id = agent.workspace.log_id
    rows = Entry.objects.filter(log_id=log_id, agent=agent.public_id).order_by("-index")
    seen = rows.values_list("index", "type", "outcome", "tool", "time")[:LOOKED_THROUGH]
    indexes = [
        index
        for index, kind, outcome, name, time in seen
        if kind == observed.DENIED and outcome in observed.LACKING and name == tool and time >= now - LATELY
    ]
    for index in indexes[:DENIALS]:
        needs = observed.call_of(index, tool, read_detail(log_id, index)).needs
        if wanted is not None:
            needs = tuple(need for need in needs if need == wanted or need.is_tool) if wanted in needs else ()
        if needs and len(needs) <= MOST_NEEDS:
            return sorted(needs)
    raise AccessRefused(
        "not_denied",
        f"No call of {tool} was denied to this agent for want of this permission within the last day. Make the call "
        "first, and ask for what its denial says is missing.",
    )


def start_proposal(payload: dict[str, Any]) -> str:
    """Start a proposal's process, for an agent's after looking up what it asks for and who decides; the worker calls
    this."""
    row = Proposal.objects.select_related("workspace", "agent").get(public_id=payload["proposal"])
    # What the gate's role inserted is not trusted: needs and requirements are found here, always.
    if row.kind == Kind.ACCESS and row.process_id is None and row.status == Status.PENDING:
        try:
            address(row)
        except AccessRefused as refused:
            proposals.cancel(row, actor="system", reason=str(refused))
            return f"{row.public_id}: {refused}"
    return proposals.start_proposal(payload)


def address(proposal: Proposal) -> None:
    """Find what the needs of a request mean here, and who must agree. Raises AccessRefused."""
    assert proposal.agent is not None
    agent, needs = proposal.agent, asked_by(proposal)
    resolved, resources = resolve(agent, needs)
    with log.write(agent.workspace.log_id):
        row = proposals.read(proposal)
        row.requirements = requirements(
            agent, resources, unnamed=any(need["on"] == "new" for need in resolved)
        )
        try:
            proposals.check_decidable(row)
        except proposals.NobodyElse as nobody:
            raise AccessRefused("nobody_to_decide", str(nobody)) from nobody
        hours = max(1, min(int(row.content["hours"]), LONGEST_HOURS))
        row.content = {**row.content, "needs": resolved, "hours": hours}
        row.title = f"{agent.name} asks for access to {titled(resolved, row.content['tool'])}"[:200]
        row.save(update_fields=["requirements", "content", "title"])


def resolve(agent: Agent, needs: list[Need]) -> tuple[list[dict[str, Any]], list[Resource]]:
    """What each need means here, as ``enactments`` grants it, and the resources among it. Of several resources that
    cover a need the narrowest is meant; where none does, a new one of exactly that. Raises AccessRefused."""
    if not needs:
        raise AccessRefused("not_denied", "What was asked for is erased.")
    patterns: PatternSet[int] = PatternSet()
    known = {
        row.pk: row for row in Resource.objects.filter(workspace=agent.workspace).select_related("steward")
    }
    for row in known.values():
        patterns.add(row.pk, row.pattern)
    tools = dict(Tool.objects.filter(workspace=agent.workspace).values_list("name", "public_id"))
    resolved: list[dict[str, Any]] = []
    found: dict[int, Resource] = {}
    for need in needs:
        as_granted: dict[str, Any] = {"permission": need.permission, "on": "new", "target": "", "name": ""}
        covering = [] if need.is_tool else [known[key] for key in patterns.match(need.of)]
        if need.is_tool and need.of in tools:
            as_granted |= {"on": "tool", "target": tools[need.of], "name": need.of}
        elif covering:
            row = narrowest(covering)
            found[row.pk] = row
            as_granted |= {
                "on": "resource",
                "target": row.public_id,
                "name": row.name,
                "pattern": row.pattern,
            }
        elif need.is_tool or exactly(need.of) is None:
            raise AccessRefused("not_denied", "What was asked for cannot be granted by name, or is gone.")
        resolved.append(as_granted)
    return resolved, list(found.values())


def narrowest(covering: list[Resource]) -> Resource:
    """Of resources that all cover something the one that covers least: one that contains none of the others, of which
    the longest pattern says most."""
    patterns = {row.pk: Pattern.parse(row.pattern) for row in covering}

    def is_wider(row: Resource, other: Resource) -> bool:
        one, another = patterns[row.pk], patterns[other.pk]
        return one.contains(another) and not another.contains(one)

    least = [row for row in covering if not any(is_wider(row, other) for other in covering)]
    return max(least, key=lambda row: (len(row.pattern), -row.pk))


def titled(resolved: list[dict[str, Any]], tool: str) -> str:
    """What a request is called: by names that the workspace gave, never by what the agent named."""
    named = dict.fromkeys(need["name"] for need in resolved if need["name"])
    return ", ".join(named) or f"something new for {tool}"


def requirements(agent: Agent, resources: list[Resource], *, unnamed: bool) -> list[dict[str, Any]]:
    """Who must agree: the agent's owner; each resource's steward, or else an owner of the workspace; and for a resource
    that has no name yet somebody who manages tools and resources."""
    owner = owner_now(agent)
    owners = owners_of(agent, but=owner)
    wanted = [
        deciders.requirement(f"{agent.name}'s owner", people=[owner])
        if owner
        else deciders.requirement("an owner of the workspace, for the agent has none", people=owners)
    ]
    for resource in resources:
        steward = resource.steward
        if steward is not None and holders(agent.workspace, "view_workspace").filter(pk=steward.pk).exists():
            wanted.append(deciders.requirement(f"the steward of {resource.name}", people=[steward]))
        elif owners:
            who = f"an owner of the workspace, for {resource.name} has no steward"
            wanted.append(deciders.requirement(who, people=owners))
    if unnamed:
        able = holders(agent.workspace, MANAGE_TOOLS)
        others = list(able.exclude(pk=agent.owner_id)) or list(able)
        wanted.append(
            deciders.requirement("somebody who manages resources", people=others, permission=MANAGE_TOOLS)
        )
    elif not resources and owners:
        wanted.append(deciders.requirement("an owner of the workspace", people=owners))
    return wanted


def owners_of(agent: Agent, *, but: User | None) -> list[User]:
    """Owners of the agent's workspace without its own owner."""
    owning = Membership.objects.filter(workspace=agent.workspace, role=Membership.Role.OWNER)
    people = User.objects.filter(is_active=True, pk__in=owning.values("person"))
    return list(people.exclude(pk=but.pk if but else 0).order_by("pk")[: deciders.MANY])


def open_requests(agent: Agent) -> QuerySet[Proposal]:
    """The agent's requests that wait."""
    rows = Proposal.objects.filter(agent=agent, kind=Kind.ACCESS, status=Status.PENDING)
    return rows.select_related("workspace", "agent").order_by("pk")


def asked_by(proposal: Proposal) -> list[Need]:
    """What a request asks for, in clear; empty when that was erased."""
    if (known := proposal.__dict__.get("needs")) is not None:
        return list(known)
    detail = read_detail(proposal.workspace.log_id, proposal.content["entry"])
    return [Need(each["permission"], each["of"]) for each in detail.get("needs", ())]


def find(agent: Agent, public_id: str) -> Proposal | None:
    """The agent's own request of this id."""
    rows = Proposal.objects.filter(agent=agent, kind=Kind.ACCESS, public_id=public_id)
    return rows.select_related("workspace", "agent").first()


def told(proposal: Proposal) -> dict[str, Any]:
    """What the agent is told of its request, as JSON."""
    return {
        "id": proposal.public_id,
        "status": proposal.status,
        "tool": proposal.content["tool"],
        "needs": [
            {"permission": need.permission, ("tool" if need.is_tool else "resource"): need.of}
            for need in asked_by(proposal)
        ],
        "hours": proposal.content["hours"],
        "expires_at": log.stamp(proposal.expires_at),
        "granted_until": proposal.content.get("until"),
        "outcome": proposal.outcome,
    }
