"""What a standing approval covers: the call that it is given from, within bounds and patterns that are no wider than
what the agent is granted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from audit import canonical, secrets
from audit.details import read_detail
from audit.models import Entry
from governance import bounds
from governance.bounds import BadBounds, Bounds
from governance.models import Approval, PolicyVersion
from workspaces import access
from workspaces.arguments import Tool as CompiledTool
from workspaces.arguments import is_withheld
from workspaces.models import Tool
from workspaces.patterns import Pattern, PatternError

MOST_RESOURCES = 20
MOST_BYTES = 16 * 1024  # of bounds and patterns, as JSON


class StandingRefused(Exception):
    """A standing approval that cannot be given; the message says why, and ``code`` which rule says so."""

    status = 409

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Approved:
    """The call that was approved, as the log keeps it."""

    arguments: dict[str, Any]
    resources: list[str]
    declaration: str
    policy: str


def approved_call(approval: Approval) -> Approved:
    """The call that was approved, with the declaration and the policy by which it was judged."""
    index, log_id = approval.call_index, approval.workspace.log_id
    data = orjson.loads(bytes(Entry.objects.get(log_id=log_id, index=index).body))["data"]
    detail = read_detail(log_id, index)
    if "arguments" not in detail or data.get("withheld"):
        raise StandingRefused(
            "withheld", "What this call sent is not all kept, so that nothing can be compared with it."
        )
    return Approved(
        detail["arguments"], detail.get("resources", []), data.get("declaration", ""), data.get("policy", "")
    )


def current_tool(approval: Approval) -> Tool:
    """The tool's row as it is now."""
    row = Tool.objects.filter(workspace=approval.workspace, name=approval.tool).first()
    if row is None:
        raise StandingRefused("tool_changed", "The tool is not there any more.")
    return row


def within(
    approval: Approval,
    call: Approved,
    tool: Tool,
    resources: Sequence[str] | None,
    wanted: Mapping[str, Any] | None,
) -> tuple[list[str], dict[str, Any]]:
    """The patterns and bounds, checked: they mean something, and the approved call itself is within them. Raises
    StandingRefused and BadBounds."""
    compiled = CompiledTool(tool.declaration())
    version = PolicyVersion.objects.filter(workspace=approval.workspace, status="in_force").first()
    if compiled.digest != call.declaration:
        raise StandingRefused("tool_changed", "The tool was declared anew since; approve its next call.")
    if version is None or version.digest != call.policy:
        raise StandingRefused("policy_changed", "Another policy is in force since; approve the next call.")
    limits = bounds.exact(call.arguments) if wanted is None else bounds.checked(wanted)
    patterns = list(dict.fromkeys(call.resources if resources is None else resources))
    if len(patterns) > MOST_RESOURCES or len(canonical.encode([patterns, limits])) > MOST_BYTES:
        raise BadBounds("", f"at most {MOST_RESOURCES} patterns and {MOST_BYTES // 1024} KiB in all, please.")
    require_open(limits, call, compiled)
    if pointer := bounds.outside(limits, call.arguments):
        raise BadBounds(pointer, "the call that is approved would not be within these bounds itself.")
    for resource in call.resources:
        if not is_covered(resource, checked_patterns(patterns)):
            raise StandingRefused(
                "call_outside", f"The call that is approved touches {resource}, and no pattern does."
            )
    return patterns, limits


def require_open(limits: Bounds, call: Approved, tool: CompiledTool) -> None:
    """Raise for a bound on what is withheld, which nobody could compare, or that would keep a secret in clear."""
    for pointer, bound in limits.items():
        if "any" not in bound and is_withheld(bounds.at(call.arguments, pointer)):
            raise BadBounds(pointer, "it is withheld, so it can only be left open.")
    hidden = {name for name, value in call.arguments.items() if is_withheld(value)}
    if hidden & tool.names_in_templates():
        raise StandingRefused(
            "withheld", "What this call touches is withheld, so that nothing can be compared with it."
        )
    if secrets.contains(limits):
        raise BadBounds("", "they hold what looks like a secret, which would be kept as it is.")


def checked_patterns(patterns: Sequence[str]) -> Sequence[str]:
    """The patterns again. Raises StandingRefused for one that is none."""
    for pattern in patterns:
        if not is_tool(pattern):
            try:
                Pattern.parse(pattern)
            except PatternError as error:
                raise StandingRefused("bad_pattern", str(error)) from error
    return patterns


def is_covered(resource: str, patterns: Collection[str]) -> bool:
    """Whether one of the patterns covers a resource. A tool's own stands for itself only."""
    if is_tool(resource):
        return resource in patterns
    return any(not is_tool(each) and Pattern.parse(each).matches(resource) for each in patterns)


def is_tool(resource: str) -> bool:
    return resource.startswith("tool:")


def grants_behind(approval: Approval, tool: Tool, patterns: Sequence[str], now: datetime) -> dict[str, Any]:
    """The rows of grants that the patterns are within. Raises StandingRefused for one that is wider than each of the
    agent's grants: an approval never gives what was not granted."""
    declaration = tool.declaration()
    actions = {declaration.action.value, *(each.action.value for each in declaration.templates)}
    behind = access.rows_behind(approval.agent_id, tool.pk, actions=actions, now=now)
    if not behind.tool:
        raise StandingRefused("beyond_grants", "The agent may not use this tool at all any more.")
    rows: list[list[int | None]] = []
    for pattern in patterns:
        if is_tool(pattern):
            continue
        wide = [
            row
            for row, _, granted in behind.resources
            if Pattern.parse(granted).contains(Pattern.parse(pattern))
        ]
        if not wide:
            raise StandingRefused(
                "beyond_grants", f"No grant of the agent is as wide as {pattern}; name what it may touch."
            )
        rows += [row for row in wide if row not in rows]
    return {"tool": behind.tool, "resources": rows}
