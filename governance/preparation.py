"""Large arguments, brought into the form that is judged and stored before the head is locked."""

from dataclasses import replace
from typing import Any

from audit import canonical
from governance import snapshot
from governance.requests import CheckRequest, Prepared
from workspaces.arguments import InvalidArguments, Tool


def prepare(request: CheckRequest) -> CheckRequest:
    """The request with its arguments judged and encoded as far as this process knows its tool; otherwise as it is.

    Under the lock the result counts only if the tool's declaration is still the same, so what is known may be old.
    """
    known = snapshot.snapshots.get(request.caller.log_id)
    tool = known.tools.get(request.tool) if known is not None else None
    if tool is None:
        return request
    judged, error = None, None
    try:
        judged = tool.compiled.judge_arguments(request.arguments, nulls=request.encoded is None)
    except InvalidArguments as refused:
        error = refused
    kept = stored_arguments(request, judged, tool.compiled)
    encoded = request.encoded if kept is request.arguments else None
    stored = encoded or canonical.Encoded(canonical.encode(kept))
    return replace(request, prepared=Prepared(tool.compiled, judged, error, stored))


def stored_arguments(request: CheckRequest, judged: dict[str, Any] | None, tool: Tool | None) -> Any:
    """The arguments as the log keeps them: without secrets, without what the tool declares sensitive, and as they
    were judged where they were."""
    arguments = request.withheld if request.withheld is not None else judged or request.arguments
    return arguments if tool is None else tool.redact(arguments)[0]
