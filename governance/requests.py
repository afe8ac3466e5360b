"""What the gate asks of admission, and what it gets back. Plain values, decoded and bounded by the gate."""

from dataclasses import dataclass, field
from typing import Any

from audit.canonical import Encoded
from governance.loops import Likeness
from workspaces.arguments import InvalidArguments, Tool


@dataclass(frozen=True, slots=True)
class Caller:
    """A key as presented: whose it is for ever, and the hash that is judged under the lock."""

    log_id: int
    agent_id: int
    prefix: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """Large arguments, judged by a tool's schema and encoded for the log before anything is locked. It holds only
    while the tool is still this one. ``arguments`` as judged, or None where ``error`` says why they do not fit."""

    tool: Tool
    arguments: dict[str, Any] | None
    error: InvalidArguments | None
    stored: Encoded


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """One check. ``withheld`` is the arguments without the secrets found in them, or None where none was found;
    ``digest`` is the SHA-256 over the canonical tool and arguments; ``encoded`` the arguments as it has them, where
    they hold no null; ``kept_context`` the context as the log keeps it; ``estimated_usage`` tokens by kind; and
    ``retry_count`` how often the client says that it tried this before. ``likeness`` is how loops compare it."""

    caller: Caller
    tool: str
    arguments: dict[str, Any]
    digest: bytes
    withheld: dict[str, Any] | None = None
    secrets: tuple[str, ...] = ()
    session: str = ""
    call_id: str = ""
    reason: str = ""
    on_behalf_of: str = ""
    estimated_nanos: int | None = None
    model: str = ""
    estimated_usage: dict[str, int] | None = None
    retry_count: int = 0
    likeness: Likeness | None = None
    approval: str = ""
    context: dict[str, Any] = field(default_factory=dict)
    resource: str | None = None
    action: str | None = None
    dry_run: bool = False
    idempotency_key: str = ""
    body_digest: bytes = b""
    encoded: Encoded | None = None
    kept_context: Encoded | None = None
    prepared: Prepared | None = None


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What became of an allowed call. ``told`` is what the log keeps of it sealed, ``cost_nanos`` what it really cost,
    ``usage`` the tokens by kind that it used of ``model``; ``result`` is a digest of what the tool returned."""

    caller: Caller
    decision: str
    status: str
    told: dict[str, Encoded] = field(default_factory=dict)
    cost_nanos: int | None = None
    model: str = ""
    usage: dict[str, int] | None = None
    result: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ThrottleNote:
    """How many checks of a key were turned away before admission since the last note."""

    caller: Caller
    count: int


@dataclass(frozen=True, slots=True)
class StandingQuery:
    """What the agent itself may, has left, and would have to ask for."""

    caller: Caller


@dataclass(frozen=True, slots=True)
class ApprovalQuery:
    """What became of one approval."""

    caller: Caller
    approval: str


@dataclass(frozen=True, slots=True)
class ApprovalCancel:
    """That an agent takes back what it asked for; ``reason`` as the log keeps it."""

    caller: Caller
    approval: str
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalReply:
    """What an agent answers to a reviewer's question; ``text`` as the log keeps it."""

    caller: Caller
    approval: str
    text: str


@dataclass(frozen=True, slots=True)
class AccessWish:
    """What an agent was denied, and asks people for; ``reason`` as the log keeps it."""

    caller: Caller
    tool: str
    reason: str
    resource: str = ""
    action: str = ""
    hours: int = 24


@dataclass(frozen=True, slots=True)
class AccessQuery:
    """What became of such a request."""

    caller: Caller
    request: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An error that is no decision: HTTP status, stable code, and a sentence that says what to do next."""

    status: int
    code: str
    detail: str


Request = (
    CheckRequest
    | OutcomeReport
    | ThrottleNote
    | StandingQuery
    | ApprovalQuery
    | ApprovalCancel
    | ApprovalReply
    | AccessWish
    | AccessQuery
)
Answer = bytes | Problem
