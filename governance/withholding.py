"""What of a check the log keeps: arguments, resources and reasons without secrets, and without what its tool declares
sensitive.

A value that is withheld from the arguments must not come back in what was made of it: a resource is made anew from the
arguments as they are kept, and what reasons quote of the real one is replaced by that. A secret may also come into
being only where a template joins two arguments, such as a user and a password in one address: then both are withheld.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit import secrets
from governance.decide import Verdict
from governance.preparation import stored_arguments
from governance.requests import CheckRequest
from workspaces.arguments import WITHHELD, Tool
from workspaces.resources import AmbiguousResource

MARK = re.compile(r"\[withheld: ([a-z-]+)\]")
NOT_TOLD = "[withheld]"
QUOTED = "The resource is not one that everybody reads alike; what makes it so is withheld."


@dataclass(frozen=True, slots=True)
class Kept:
    """``kinds`` are the kinds of the secrets that are withheld."""

    arguments: Any
    resources: list[str]
    reasons: list[dict[str, Any]]
    kinds: tuple[str, ...]


def keep(request: CheckRequest, verdict: Verdict, tool: Tool | None) -> Kept:
    """What the log keeps of a check."""
    resources = [item.resource for item in verdict.derived]
    kinds = request.secrets
    if tool is not None and tool.joins and request.withheld is None and secrets.contains(resources):
        joined = {item.kind for item in secrets.withhold(resources)[1]}
        masked = tool.redact(tool.mask_joined(verdict.arguments, secret_mark(joined)))[0]
        return kept_anew(tool, verdict, masked, tuple(sorted({*kinds, *joined})))
    if tool is not None and (request.withheld is not None or tool.is_sensitive):
        arguments = stored_arguments(request, verdict.arguments, tool)
        if arguments is not verdict.arguments:
            return kept_anew(tool, verdict, arguments, kinds)
    prepared = request.prepared
    if prepared is not None and tool is not None and prepared.tool is tool:
        arguments = prepared.stored
    else:
        arguments = stored_arguments(request, verdict.arguments, tool)
    if not kinds:
        return Kept(arguments, resources, verdict.reasons, kinds)
    reasons: list[dict[str, Any]] = secrets.withhold(verdict.reasons)[0]
    return Kept(arguments, secrets.withhold(resources)[0], reasons, kinds)


def secret_mark(kinds: set[str]) -> str:
    """What stands for an argument that is a part of secrets of these kinds."""
    return f"[withheld: {min(kinds)}]"


def kept_anew(tool: Tool, verdict: Verdict, arguments: Any, kinds: tuple[str, ...]) -> Kept:
    """Resources and reasons as they follow from the arguments that are kept."""
    real = [item.resource for item in verdict.derived]
    try:
        told = [item.resource for item in tool.derive(marked_plainly(arguments))] if real else []
    except AmbiguousResource:
        told = []
    told = secrets.withhold(told)[0]
    if len(told) != len(real):
        told = [NOT_TOLD] * len(real)
    replaced = {one: other for one, other in zip(real, told, strict=True) if one != other}
    reasons = [retold(reason, replaced) for reason in verdict.reasons]
    return Kept(arguments, list(dict.fromkeys(told)), secrets.withhold(reasons)[0], kinds)


def marked_plainly(value: Any) -> Any:
    """Arguments in which what is withheld reads as a plain word, so that a template can take it."""
    if value == WITHHELD:
        return "withheld"
    if isinstance(value, str):
        return MARK.sub(r"withheld-\1", value)
    if isinstance(value, dict):
        return {key: marked_plainly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [marked_plainly(item) for item in value]
    return value


def retold(reason: dict[str, Any], replaced: Mapping[str, str]) -> dict[str, Any]:
    """A reason without the resources that are told otherwise."""
    if reason["code"] == "ambiguous_resource":
        return reason | {"message": QUOTED}
    told: dict[str, Any] = without(reason, replaced)
    return told


def without(value: Any, replaced: Mapping[str, str]) -> Any:
    """A JSON value with texts replaced, the longest first."""
    if isinstance(value, str):
        for real in sorted(replaced, key=len, reverse=True):
            value = value.replace(real, replaced[real])
        return value
    if isinstance(value, dict):
        return {key: without(item, replaced) for key, item in value.items()}
    if isinstance(value, list):
        return [without(item, replaced) for item in value]
    return value
