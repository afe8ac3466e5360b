"""Proposals to publish a policy, and to give a tool more room: what is asked of a second person."""

from typing import Any

from django.core.exceptions import ValidationError

from audit import log
from governance import deciders, policies, proposals, replays
from governance.loosening import loosened
from governance.models import PolicyVersion, Proposal, Replay
from governance.policies import NotADraft, PolicyRefused
from governance.replays import ReplayRefused
from workspaces.declarations import ToolDeclaration, parse_declaration
from workspaces.models import Tool, User, Workspace
from workspaces.people import actor_of

SECOND = "an owner or a compliance officer who did not propose or draft it"
BACKTEST = 10_000  # calls
SWEEP = 50  # proposals that go on in one sweep
RUNNING, OVER = "running", "over"
Kind, Status = Proposal.Kind, Proposal.Status


def propose_version(version: PolicyVersion, *, person: User, note: str = "") -> Proposal:
    """Ask a second person to publish a draft, after recorded calls were judged by it. A draft that is proposed already
    is not proposed twice. Raises NotADraft, PolicyRefused, NobodyElse and ValidationError."""
    if version.status != PolicyVersion.Status.DRAFT:
        raise NotADraft(
            f"Version {version.number} was in force before; draft its rules again and propose that."
        )
    if (found := pending(version.workspace, Kind.POLICY, version=version)) is not None:
        return found
    if problems := policies.review(version):
        raise PolicyRefused(problems)
    proposal = Proposal(
        workspace=version.workspace,
        kind=Kind.POLICY,
        title=f"Publish version {version.number} of the policy",
        version=version,
        requirements=[deciders.requirement(SECOND, permission=deciders.PUBLISH)],
        proposed_by=person,
    )
    proposals.check_decidable(proposal)
    proposal.replay, said = backtest(version, person)
    proposal.content = {"backtest": RUNNING, "said": said}
    return open_once(proposal, note=note, version=version)


def open_once(proposal: Proposal, *, note: str, **same: Any) -> Proposal:
    """Open a proposal and start its process, unless one like it was opened meanwhile."""
    assert proposal.proposed_by is not None
    with log.write(proposal.workspace.log_id):
        if (found := pending(proposal.workspace, Kind(proposal.kind), **same)) is not None:
            return found
        detail = {"note": note} if note else None
        proposals.open(proposal, actor=actor_of(proposal.proposed_by), detail=detail)
        return proposals.start(proposal)


def pending(workspace: Workspace, kind: Proposal.Kind, **same: Any) -> Proposal | None:
    """The open proposal of this kind and these columns."""
    rows = Proposal.objects.filter(workspace=workspace, kind=kind, status=Status.PENDING, **same)
    return rows.select_related("workspace", "agent", "version", "replay", "proposed_by").first()


def backtest(version: PolicyVersion, person: User) -> tuple[Replay | None, str]:
    """The replay whose result stands on the proposal: one that is there and still says how it would be, or a new one;
    or None, and why."""
    known = replays.visible_to(person, version.workspace).filter(version=version).order_by("-pk").first()
    if known is not None and (known.status in replays.OPEN or is_current(known)):
        return known, ""
    try:
        return replays.start(version, person=person, most=BACKTEST), ""
    except ReplayRefused as refused:
        return None, f"Recorded calls were not judged by this version. {refused}"


def is_current(replay: Replay) -> bool:
    """Whether a replay came to its end under the configuration that is in force."""
    return replay.status == Replay.Status.DONE and not replays.changed_since(replay)


def go_on() -> int:
    """Let proposals go on whose replay is over, however it ended; how many."""
    rows = Proposal.objects.filter(
        status=Status.PENDING, kind=Kind.POLICY, process__isnull=False, content__backtest=RUNNING
    )
    over = rows.exclude(replay__status__in=replays.OPEN).select_related("workspace")
    return sum(pass_on(row) for row in over.order_by("pk")[:SWEEP])


def pass_on(proposal: Proposal) -> bool:
    """Let one go on to the second person, saying what came of the replay."""
    with log.write(proposal.workspace.log_id) as entries:
        row = proposals.read(proposal)
        if row.status != Status.PENDING or not proposals.pass_by(row, proposals.REPLAY):
            return False
        said = row.content.get("said") or said_of(row.replay)
        Proposal.objects.filter(pk=row.pk).update(content={**row.content, "backtest": OVER, "said": said})
        proposals.ask(row, entries, deciders.asked(row))
    return True


def said_of(replay: Replay | None) -> str:
    """What is to be known of a replay beside its counts."""
    if replay is None:
        return "Recorded calls were not judged by this version."
    if replay.status != Replay.Status.DONE:
        return f"The replay did not come to its end: {replay.error or replay.get_status_display().lower()}."
    return "" if replay.counts.get("calls") else "No calls are recorded yet by which it could be judged."


def propose_tool(
    workspace: Workspace, declaration: ToolDeclaration, *, person: User, note: str = ""
) -> Proposal:
    """Ask a second person to declare a tool so. Raises ValidationError where it is so already, DeclarationError and
    NobodyElse."""
    declaration = parse_declaration(declaration.as_dict())
    tool = Tool.objects.filter(workspace=workspace, name=declaration.name).first()
    before = tool.declaration() if tool else None
    if before is not None and before.as_dict() == declaration.as_dict():
        raise ValidationError(f"{declaration.name} is declared so already.")
    fields = loosened(before, declaration) if before else []
    proposal = Proposal(
        workspace=workspace,
        kind=Kind.TOOL,
        title=f"Give {declaration.name} more room" + (f": {', '.join(fields)}" if fields else ""),
        content={
            "tool": declaration.name,
            "before": before.as_dict() if before else None,
            "after": declaration.as_dict(),
        },
        requirements=[
            deciders.requirement(
                "an owner or a compliance officer who did not propose it", permission=deciders.PUBLISH
            )
        ],
        proposed_by=person,
    )
    proposals.check_decidable(proposal)
    return open_once(
        proposal, note=note, content__tool=declaration.name, content__after=declaration.as_dict()
    )


def compared(proposal: Proposal) -> list[tuple[str, Any, Any, bool]]:
    """A tool's declaration field by field: name, before, after, and whether it changes."""
    before, after = proposal.content["before"] or {}, proposal.content["after"]
    return [
        (name, before.get(name), value, before.get(name) != value)
        for name, value in after.items()
        if name != "name"
    ]
