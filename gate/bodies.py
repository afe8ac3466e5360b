"""From bytes to requests: bounded, strict, and refusing with the place and what to do."""

import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from audit import canonical, secrets
from audit.canonical import ParseError
from governance.loops import likeness
from governance.requests import (
    AccessWish,
    ApprovalCancel,
    ApprovalReply,
    Caller,
    CheckRequest,
    OutcomeReport,
    Problem,
)
from workspaces.schemas import complete

Fields = Mapping[str, tuple[type[Any], int]]
CHECK_FIELDS: Fields = {
    "tool": (str, 200), "arguments": (dict, 0), "session": (str, 200), "call_id": (str, 200), "reason": (str, 4000),
    "on_behalf_of": (str, 320), "estimated_cost_usd": (str, 40), "approval": (str, 40), "context": (dict, 0),
    "resource": (str, 4000), "action": (str, 20), "dry_run": (bool, 0), "model": (str, 200),
    "estimated_usage": (dict, 0), "retry_count": (int, 0),
}  # fmt: skip
OUTCOME_FIELDS: Fields = {
    "status": (str, 20),
    "summary": (str, 4000),
    "changes": (list, 0),
    "cost_usd": (str, 40),
    "model": (str, 200),
    "usage": (dict, 0),
    "result": (str, 128),
    "error": (str, 200),
}
CANCEL_FIELDS: Fields = {"reason": (str, 2000)}
REPLY_FIELDS: Fields = {"text": (str, 2000)}
ACCESS_FIELDS: Fields = {
    "tool": (str, 200), "resource": (str, 4000), "action": (str, 20), "reason": (str, 2000), "hours": (int, 0),
}  # fmt: skip
FREE = ("reason", "summary", "text", "error")  # what is prose may have several lines
NAMED = ("tool", "session", "call_id", "on_behalf_of", "model")
SHORTEST_SECRET = 14  # characters; a card's number
STATUSES = ("running", "succeeded", "failed", "skipped")
NAMES = {
    str: "a string",
    dict: "an object",
    list: "an array",
    bool: "true or false",
    int: "a whole number",
}
AMOUNT = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?")  # as nano-dollars it fits a JSON number
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
NANOS = 10**9
TOKEN_KINDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
MOST_TOKENS = 10**12
MOST_RETRIES = 10**6


class Refused(Exception):
    """A body that is no request; ``problem`` is the answer."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = Problem(status, code, detail)


def parse_fields(raw: bytes, fields: Fields) -> dict[str, Any]:
    """The body's fields, each of its type and no longer than it may be; null counts as absent. Raises Refused."""
    try:
        body = canonical.decode(raw)
    except ParseError as error:
        raise Refused(400, error.code, str(error)) from error
    if type(body) is not dict:
        raise Refused(400, "malformed_json", "The body must be a JSON object.")
    value: Any
    for name, value in body.items():
        known = fields.get(name)
        if known is None:
            raise Refused(400, "unknown_field", f"There is no field {name[:60]!r}; leave it out.")
        wanted, longest = known
        if value is None:
            continue
        if type(value) is not wanted:
            raise Refused(400, "invalid_field", f"The field {name!r} must be {NAMES[wanted]}.")
        if longest and is_bad_text(value, longest, name):
            raise Refused(
                400,
                "invalid_field",
                f"The field {name!r} has at most {longest} characters and no control characters.",
            )
    return {name: value for name, value in body.items() if value is not None}


def is_bad_text(text: str, longest: int, field: str) -> bool:
    """Whether a text is too long for its field, or has control characters where a name stands."""
    return len(text) > longest or (field not in FREE and bool(CONTROL.search(text)))


def nanos(text: str, field: str) -> int:
    """A decimal string of US dollars as nano-dollars, exactly. Raises Refused."""
    if not AMOUNT.fullmatch(text):
        raise Refused(
            400,
            "invalid_field",
            f'The field {field!r} is a decimal string of US dollars such as "0.02", below a million, with at most nine'
            " decimals.",
        )
    return int(Decimal(text) * NANOS)


def parse_usage(usage: Mapping[str, Any], field: str) -> dict[str, int]:
    """Tokens by kind, each whole and at most 10**12. Raises Refused."""
    for kind, count in usage.items():
        if kind not in TOKEN_KINDS:
            kinds = ", ".join(TOKEN_KINDS)
            raise Refused(400, "unknown_field", f"The field {field!r} has {kinds} and nothing else.")
        if type(count) is not int or not 0 <= count <= MOST_TOKENS:
            raise Refused(
                400, "invalid_field", f"The member {kind!r} of {field!r} is a whole number from 0 to 10^12."
            )
    return dict(usage)


def parse_retries(count: int) -> int:
    """How often a client says that it tried this before; more than many is many. Raises Refused."""
    if count < 0:
        raise Refused(400, "invalid_field", "The field 'retry_count' is a whole number from 0.")
    return min(count, MOST_RETRIES)


def parse_check(raw: bytes, caller: Caller, idempotency_key: str, retries: int = 0) -> CheckRequest:
    """A check; secrets in its arguments are found here, before anything is locked or written. ``retries`` is what the
    header says of them. Raises Refused."""
    body = parse_fields(raw, CHECK_FIELDS)
    tool = body.get("tool")
    if not tool:
        raise Refused(
            400, "missing_field", "The field 'tool' is missing; name the tool that is about to be used."
        )
    refuse_secret_names(body)
    refuse_secret_key(idempotency_key)
    arguments = body.get("arguments", {})
    withheld, found = secrets.withhold(arguments)
    elsewhere = any(secrets.contains(body[name]) for name in ("reason", "context") if name in body)
    estimate = body.get("estimated_cost_usd")
    try:
        # As they are judged: a null member is none, and makes this no other call.
        said = complete(arguments, None, []) if b"null" in raw else arguments
        encoded = canonical.encode(said)
        named = b'{"arguments":%b,"tool":%b}' % (encoded, canonical.encode(tool))
    except canonical.CanonicalError as error:
        raise Refused(400, "number_out_of_range", str(error)) from error
    kinds = tuple(sorted({item.kind for item in found})) or (("elsewhere",) if elsewhere else ())
    context = body.get("context", {})
    usage = body.get("estimated_usage")
    return CheckRequest(
        caller=caller,
        tool=tool,
        arguments=arguments,
        digest=hashlib.sha256(named).digest(),
        withheld=withheld if found else None,
        secrets=kinds,
        session=body.get("session", ""),
        call_id=body.get("call_id", ""),
        reason=body.get("reason", ""),
        on_behalf_of=body.get("on_behalf_of", ""),
        estimated_nanos=nanos(estimate, "estimated_cost_usd") if estimate is not None else None,
        model=body.get("model", ""),
        estimated_usage=parse_usage(usage, "estimated_usage") if usage is not None else None,
        retry_count=max(retries, parse_retries(body.get("retry_count", 0))),
        approval=body.get("approval", ""),
        context=context,
        kept_context=kept(context, searched=not kinds) if context else None,
        resource=body.get("resource"),
        action=body.get("action"),
        dry_run=body.get("dry_run", False),
        idempotency_key=idempotency_key,
        body_digest=hashlib.sha256(raw).digest() if idempotency_key else b"",
        encoded=canonical.Encoded(encoded) if said is arguments else None,
        likeness=likeness(tool, encoded),
    )


def kept(value: Any, *, searched: bool = False) -> canonical.Encoded:
    """A value as the log keeps it, encoded: what takes time is done here, before anything is locked. ``searched``:
    it holds no secret. Raises Refused."""
    try:
        return canonical.Encoded(canonical.encode(value if searched else secrets.withhold(value)[0]))
    except canonical.CanonicalError as error:
        raise Refused(400, "number_out_of_range", str(error)) from error


def refuse_secret_names(body: Mapping[str, Any]) -> None:
    """Raise Refused for a secret where the log needs a name in clear, and can therefore withhold nothing."""
    for field in NAMED:
        value = body.get(field, "")
        if len(value) >= SHORTEST_SECRET and secrets.contains(value):
            raise Refused(
                400,
                "invalid_field",
                f"The field {field!r} holds what looks like a secret, and is recorded as it is; send another.",
            )


def refuse_secret_key(key: str) -> None:
    """Raise Refused for an Idempotency-Key that is a secret: it is kept as it is."""
    if len(key) >= SHORTEST_SECRET and secrets.contains(key):
        raise Refused(
            400,
            "invalid_idempotency_key",
            "The Idempotency-Key holds what looks like a secret, and is recorded as it is; send another.",
        )


def parse_outcome(raw: bytes, caller: Caller, decision: str) -> OutcomeReport:
    """An outcome report. Raises Refused."""
    body = parse_fields(raw, OUTCOME_FIELDS)
    refuse_secret_names(body)
    if body.get("status") not in STATUSES:
        raise Refused(400, "invalid_field", f"The field 'status' must be one of {', '.join(STATUSES)}.")
    cost = body.get("cost_usd")
    usage = body.get("usage")
    told = {name: kept(body[name]) for name in ("summary", "changes", "result", "error") if body.get(name)}
    return OutcomeReport(
        caller=caller,
        decision=decision,
        status=body["status"],
        told=told,
        cost_nanos=nanos(cost, "cost_usd") if cost is not None else None,
        model=body.get("model", ""),
        usage=parse_usage(usage, "usage") if usage is not None else None,
        result=body.get("result", ""),
        error=body.get("error", ""),
    )


def parse_cancel(raw: bytes, caller: Caller, approval: str) -> ApprovalCancel:
    """That the agent takes back what it asked for. Raises Refused."""
    body = parse_fields(raw or b"{}", CANCEL_FIELDS)
    return ApprovalCancel(caller, approval, secrets.withhold(body.get("reason", ""))[0])


def parse_reply(raw: bytes, caller: Caller, approval: str) -> ApprovalReply:
    """The agent's answer to a reviewer's question. Raises Refused."""
    body = parse_fields(raw, REPLY_FIELDS)
    if not body.get("text", "").strip():
        raise Refused(400, "missing_field", "The field 'text' is missing; answer what the reviewer asked.")
    return ApprovalReply(caller, approval, secrets.withhold(body["text"])[0])


def parse_access_request(raw: bytes, caller: Caller) -> AccessWish:
    """That the agent asks for what it was denied. Raises Refused."""
    body = parse_fields(raw, ACCESS_FIELDS)
    for name in ("tool", "reason"):
        if not body.get(name):
            raise Refused(400, "missing_field", f"The field {name!r} is missing; people decide by it.")
    refuse_secret_names(body)
    body["reason"] = secrets.withhold(body["reason"])[0]
    return AccessWish(caller, **body)
