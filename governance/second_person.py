"""Where one person may not decide alone: in a workspace of two people, what published rules rest on does not change
without somebody who may publish.

Asked through ``workspaces.guards`` under the log's lock, so that the portal, the API and workspace files meet it alike.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from governance.conditions import compile_condition
from governance.loosening import loosened
from governance.policies import in_force
from governance.selection import compile_selector
from workspaces import guards
from workspaces.access import may
from workspaces.changes import Guarded
from workspaces.declarations import ToolDeclaration, parse_declaration
from workspaces.models import Agent, RemovedTool, Resource, Tool, Workspace
from workspaces.people import PERSON, person_behind

SYSTEM = "system"
# What two people agreed to and is being done in this thread: (workspace, a declaration or an agent's name).
agreement: ContextVar[tuple[int, ToolDeclaration | str] | None] = ContextVar("agreement", default=None)
READ_OF_AGENTS = ("name", "labels", "risk_tier", "purpose")


@contextmanager
def agreed(workspace: Workspace, what: ToolDeclaration | str) -> Iterator[None]:
    """Let this very declaration of a tool, or a new agent of this name, through: two people agreed to it."""
    token = agreement.set((workspace.pk, what))
    try:
        yield
    finally:
        agreement.reset(token)


def guard_tool(before: Tool | None, after: Tool | None, *, actor: str) -> None:
    """Where two people are wanted nobody gives a tool more room alone, nor by removing it and declaring it anew."""
    if after is None or actor == SYSTEM or not after.workspace.two_people:
        return
    if agreement.get() == (after.workspace_id, after.declaration()):
        return
    if fields := room_given(after.workspace, after.declaration(), before.declaration() if before else None):
        raise Guarded(
            f"Two people guard this workspace, and this gives {after.name} more room by its {', '.join(fields)}. "
            "Propose it, and somebody who may publish policies decides; or declare a stricter tool."
        )


def room_given(
    workspace: Workspace, declared: ToolDeclaration, before: ToolDeclaration | None = None
) -> list[str]:
    """The fields by which a declaration is looser than the tool of its name is, or was when it was removed."""
    if before is None:
        kept = RemovedTool.objects.filter(workspace=workspace, name=declared.name).first()
        before = parse_declaration(kept.declaration) if kept else None
    return loosened(before, declared) if before else []


def guard_resource(before: Resource | None, after: Resource | None, *, actor: str) -> None:
    """What the policy in force names keeps its pattern, and its labels where a rule reads labels, unless who asks may
    publish; and while it is named nobody removes it, for the policy could not be read any more."""
    row = after or before
    if row is None or actor == SYSTEM:
        return
    version = in_force(row.workspace)
    rules = version.content if version else []
    naming = [rule["name"] for rule in rules if row.name in names_in(rule)]
    # A file that is applied may change the policy too.
    if naming and after is None and actor.startswith(PERSON):
        raise Guarded(
            f"The rule “{naming[0]}” in force names {row.name}; publish a policy without it first, then remove it."
        )
    if not row.workspace.two_people or may_publish(actor, row.workspace):
        return
    moved = before is None or after is None or before.pattern != after.pattern
    labels = [set(each.labels) if each else set() for each in (before, after)]
    if not (naming and moved) and (labels[0] != labels[1] or (moved and labels[0])):
        naming = [rule["name"] for rule, reads in conditions(rules) if reads_labels(reads)]
        moved = True
    if naming and moved:
        raise refused(naming[0], row.name)


def guard_agent(before: Agent | None, after: Agent | None, *, actor: str) -> None:
    """What rules in force see of an agent (labels, name, risk tier, purpose, isolated runs) changes only by who may
    publish. A new agent is proposed, for two people agree to it; a workspace file may make one."""
    if before is None and after is not None and actor.startswith(PERSON) and after.workspace.two_people:
        if agreement.get() != (after.workspace_id, after.name):
            raise Guarded(
                f"Two people guard this workspace. Propose {after.name} under Requests; somebody else approves it."
            )
        return
    if before is None or after is None or actor == SYSTEM:
        return
    if not after.workspace.two_people or may_publish(actor, after.workspace):
        return
    changed = {name for name in READ_OF_AGENTS if getattr(before, name) != getattr(after, name)}
    isolation = before.isolated_runs != after.isolated_runs
    version = in_force(after.workspace) if changed or isolation else None
    rules = version.content if version else []
    for rule in rules:
        if selects(rule, before) != selects(rule, after):
            raise refused(rule["name"], after.name)
    for rule, reads in conditions(rules):
        if not selects(rule, after):
            continue
        seen = changed and reads.get("agent", frozenset()) & {*changed, "*"}
        if seen or (isolation and reads_labels(reads)):
            raise refused(rule["name"], after.name)


def may_publish(actor: str, workspace: Workspace) -> bool:
    """Whether the person whom an actor names may publish policies here. The command line names nobody."""
    person = person_behind(actor)
    return person is not None and may(person, "publish_policy", workspace)


def refused(rule: str, name: str) -> Guarded:
    return Guarded(
        f"Two people guard this workspace, and the rule “{rule}” in force rests on {name} as it is. Ask an owner or a "
        "compliance officer, who may publish policies, to make this change."
    )


def names_in(rule: Mapping[str, Any]) -> list[str]:
    """The resources that a rule names."""
    return [*rule.get("resources", ()), *rule.get("except_resources", ())]


def selects(rule: Mapping[str, Any], agent: Agent) -> bool:
    """Whether a rule speaks of an agent."""
    return compile_selector(rule.get("agents", ()), with_labels=True).matches(agent.name, agent.labels)


def conditions(
    rules: list[dict[str, Any]],
) -> Iterator[tuple[dict[str, Any], Mapping[str, frozenset[str]]]]:
    """Rules with a condition, and what it reads: variable → fields, ``*`` for the whole."""
    for rule in rules:
        if text := rule.get("when"):
            yield rule, compile_condition(text).reads


def reads_labels(reads: Mapping[str, frozenset[str]]) -> bool:
    """Whether a condition reads the labels of resources, directly or as they follow a session."""
    return "resource_labels" in reads or bool(reads.get("session", frozenset()) & {"labels", "*"})


def register() -> None:
    """Have the guards asked."""
    guards.register(Tool, guard_tool)
    guards.register(Resource, guard_resource)
    guards.register(Agent, guard_agent)
