"""The agents' client of Countersign: ask before acting, wait for a person, report what was done.

One file, standard library only, Python 3.9 or newer. It fails closed: whatever goes wrong between the agent
and the gate is an exception (all of them a `CountersignError`), never an allow. See docs/concepts/client.md.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import contextvars
import functools
import hashlib
import http.client
import inspect
import ipaddress
import json
import os
import queue
import re
import secrets
import socket
import ssl
import threading
import time
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, NoReturn, TypeVar, cast
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

MAX_ANSWER = 1 << 20  # bytes; the gate's answers are a few hundred
REMEMBERED = 2048  # answers kept to recognize one that was given before
DATE_RESOLUTION = timedelta(seconds=1)  # a Date header is cut off to whole seconds
SHORT_PAUSE = 0.1  # seconds before the one repetition after a broken connection

# Seconds, counting those the machine slept where the system can: a permission ages while a laptop is closed.
_clock: Callable[[], float] = (
    functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
_current: contextvars.ContextVar[Decision] = contextvars.ContextVar("countersign_decision")
_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])

_REPORTED = {
    "summary",
    "changes",
    "cost_usd",
    "model",
    "usage",
    "result",
    "error",
}  # beside an outcome's status

NEXT_STEP = {
    "unknown_tool": "Declare the tool in the workspace, or correct its name.",
    "no_permission": "Ask people with request_access, or the agent's owner for a grant on the tool and its resources.",
    "rule": "Change the call so that no rule stands against it, or hand the task to a person.",
    "rate_limited": "Ask again later and less often.",
    "budget_exhausted": "Ask an owner of the workspace for a larger budget.",
    "budget_busy": "Ask again shortly: only calls still running are in the way.",
    "unknown_price": "Name a model and its estimated_usage, or ask an owner of the workspace to set a price.",
    "contained": "Stop: a person has restricted this agent, and only a person lifts that.",
    "approval_rejected": "Do not ask for the same again; hand the task back to a person.",
    "approval_expired": "Ask again without the approval, and under another call_id, to open a new one.",
    "approval_cancelled": "Ask again without the approval, and under another call_id, to open a new one.",
    "approval_edited": "A reviewer approved another call: read the approval, and make that one instead.",
    "approval_mismatch": "Repeat exactly the call that was approved.",
    "approval_used": "An approval is good for one call: ask again without it, and under another call_id.",
    "too_many_pending": "Wait until some of this agent's open approvals are decided.",
    "loop_detected": "Stop repeating this call and change the plan.",
    "invalid_arguments": "Correct the arguments to fit the tool's schema.",
    "ambiguous_resource": "Name the resource plainly: no dot segments, encoded slashes or backslashes.",
    "number_out_of_range": "Keep integers within ±(2^53-1), or send them as strings.",
}


class CountersignError(Exception):
    """Something kept a call from being allowed; after `retry_after` seconds asking again may help."""

    retry_after: float | None = None


class Misused(CountersignError):
    """The client was configured or called wrongly; nothing was sent."""


class Unreachable(CountersignError):
    """No answer that can be trusted: none, late, broken, malformed, stale, or to another question."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(CountersignError):
    """The gate refused the request itself (4xx) with an RFC 9457 problem document."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: float | None = None) -> None:
        self.status, self.problem, self.retry_after = status, problem, retry_after
        self.code = _take(problem, "code", str)
        super().__init__(
            f"{status} {self.code}: {problem.get('detail') or problem.get('title') or 'no detail given'}"
        )


class Denied(CountersignError):
    """A guarded function did not run, because its call is not allowed (any more)."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.message())
        self.decision = decision


class Pending(Denied):
    """A guarded function did not run, because a person has not decided yet."""


@dataclass(frozen=True)
class Approval:
    """A person's part in a call. `status` is pending, approved, rejected, expired, cancelled or used.

    Where a reviewer `edited` the call, the approval is for `tool` and `arguments`, and `changes` says what is
    different. `questions` are the reviewers', to which this agent may reply. `raises` are the budgets that a yes raises
    for this call.
    """

    id: str
    status: str
    url: str | None
    expires_at: datetime | None
    raw: dict[str, Any] = field(repr=False)
    version: int = 0
    tool: str | None = None
    edited: bool = False
    arguments: dict[str, Any] | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)
    questions: list[dict[str, Any]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    reachable: bool = True
    raises: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Decision:
    """The gate's answer to one check; `resources` are the normalized ones, and those are what to act on."""

    id: str
    decision: str
    code: str
    reasons: list[dict[str, Any]]
    resources: list[str]
    expires_at: datetime | None
    approval: Approval | None
    budget: dict[str, Any] | None
    receipt: dict[str, Any] | None
    agent_seq: int | None
    policy: str | None
    revision: int
    raw: dict[str, Any] = field(repr=False)
    tool: str
    dry_run: bool
    good_until: float = field(repr=False)  # by _clock; 0 where nothing is permitted
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)  # that were asked about
    retry_after: int | None = None  # seconds; None where asking the same again does not help
    downgrade: dict[str, Any] | None = None  # the cheaper model that would fit, and what it would hold

    @property
    def expired(self) -> bool:
        """Whether it is too late to begin, by the server's clock as its Date header told it."""
        return _clock() >= self.good_until

    @property
    def allowed(self) -> bool:
        """Whether the call may begin at this very moment; a dry run permits nothing."""
        return self.decision == "allow" and not self.expired

    def message(self) -> str:
        """Why it was decided so and what to do next, in sentences for a person or a model."""
        if self.decision == "allow":
            if self.dry_run:
                return f"{self.tool} would be allowed. Ask without dry_run before acting."
            if self.expired:
                return f"The permission for {self.tool} expired before the work began. Ask again."
            return f"{self.tool} is allowed until {self.expires_at}. Begin before, and report the outcome."
        why = " ".join(str(reason["message"]) for reason in self.reasons if reason.get("message"))
        if self.decision == "pending":
            approval = self.approval.id if self.approval else "no approval"
            return f"{self.tool} waits for a person ({approval}). {why or 'A rule asks.'} Then ask with it."
        step = NEXT_STEP.get(self.code, "Do not act; hand the task to a person.")
        if self.downgrade:
            step = f"Ask again with the model {self.downgrade.get('model')}."
        later = f"Asking again may help in {self.retry_after} seconds." if self.retry_after else ""
        return " ".join(part for part in (f"{self.tool} is denied ({self.code}).", why, step, later) if part)


class Unreported(NamedTuple):
    """An outcome that the gate did not take."""

    decision: Decision
    status: str
    summary: str | None
    error: Exception


class _Given(NamedTuple):
    id: str
    question: str
    good_until: float


class _Question(NamedTuple):
    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]


class _Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    sent: float  # _clock() just before the request left


def current_decision() -> Decision:
    """Return the decision under which the guarded function that calls this runs."""
    try:
        return _current.get()
    except LookupError:
        raise Misused("current_decision() works only inside a function guarded by Countersign.") from None


def _take(raw: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    value = raw.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Unreachable(f"The gate's answer is malformed: {name!r} is missing or of the wrong type.")
    return value


def _maybe(raw: Mapping[str, Any], name: str, kind: type[_T]) -> _T | None:
    return None if raw.get(name) is None else _take(raw, name, kind)


def _list(raw: Mapping[str, Any], name: str, kind: type[_T]) -> list[_T]:
    return [_take({name: element}, name, kind) for element in _take(raw, name, list)]


def _identifier(raw: Mapping[str, Any], prefix: str) -> str:
    value = _take(raw, "id", str)
    if not re.fullmatch(prefix + r"_[A-Za-z0-9_-]{1,200}", value):
        raise Unreachable(f"The gate's answer is malformed: its id is not a {prefix}_….")
    return value


def _time(raw: Mapping[str, Any], name: str) -> datetime | None:
    """Read an RFC 3339 time, which Python before 3.11 cannot by itself."""
    text = _maybe(raw, name, str)
    if text is None:
        return None
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII
    )
    with contextlib.suppress(ValueError):
        if found:
            day, clock, fraction, zone = found.groups()
            micros = ((fraction or "") + "000000")[:6]
            return datetime.fromisoformat(f"{day}T{clock}.{micros}{'+00:00' if zone in 'Zz' else zone}")
    raise Unreachable(f"The gate's answer is malformed: {name!r} is not a time with a zone.")


def _approval(raw: Mapping[str, Any], asked: str | None = None) -> Approval:
    approval = Approval(
        _identifier(raw, "apr"),
        _take(raw, "status", str),
        _maybe(raw, "url", str),
        _time(raw, "expires_at"),
        dict(raw),
        version=_maybe(raw, "version", int) or 0,
        tool=_maybe(raw, "tool", str),
        edited=_maybe(raw, "edited", bool) or False,
        arguments=_maybe(raw, "arguments", dict),
        changes=_list(raw, "changes", dict) if raw.get("changes") is not None else [],
        questions=_list(raw, "questions", dict) if "questions" in raw else [],
        comments=_list(raw, "comments", str) if "comments" in raw else [],
        reachable=raw.get("reachable") is not False,
        raises=_list(raw, "raises", dict) if "raises" in raw else [],
    )
    if approval.edited and (approval.tool is None or approval.arguments is None):
        raise Unreachable("The gate's answer is malformed: an edited approval without the edited call.")
    if asked not in (None, approval.id):
        raise Unreachable(f"The gate answered about {approval.id}, asked about {asked}.")
    return approval


def _approval_id(decision_or_approval_id: Decision | str) -> str:
    asked = decision_or_approval_id
    if isinstance(asked, Decision):
        asked = asked.approval.id if asked.approval else ""
    if not re.fullmatch(r"apr_[A-Za-z0-9_-]+", asked):
        raise Misused("There is no approval to wait for: pass a pending decision or an apr_… id.")
    return asked


def _good_until(answer: _Answer, expires_at: datetime | None) -> float:
    """Place `expires_at` on this process's clock, whatever the two machines think the time is.

    The server's time was at most Date + 1 s when it answered, and it answered after `sent`.
    """
    try:
        # Two servers in a row may both have stamped it: the later stamp is the careful reading.
        dates = [parsedate_to_datetime(value) for value in answer.headers.get_all("Date") or ()]
        left = cast(datetime, expires_at) - max(dates) - DATE_RESOLUTION
    except (ValueError, TypeError, OverflowError):
        raise Unreachable("The gate's allow cannot be dated: no expires_at or no Date header.") from None
    if left <= timedelta(0):
        raise Unreachable("The gate's allow is stale: it had expired when it was sent.")
    return answer.sent + left.total_seconds()


def _fingerprint(call: dict[str, Any]) -> str:
    as_sent = json.loads(json.dumps(call))  # keys are strings there, and only strings can be sorted
    return hashlib.sha256(json.dumps(as_sent, sort_keys=True).encode()).hexdigest()


def _parse(body: bytes) -> dict[str, Any]:
    """Read a JSON object strictly (RFC 8259): UTF-8, no duplicate keys, no NaN."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise Unreachable("The answer is empty or not JSON. Is COUNTERSIGN_URL the gate's?") from None
    if not isinstance(value, dict):
        raise Unreachable("The gate's answer is not a JSON object.")
    return value


def _read(answer: _Answer) -> dict[str, Any]:
    status, wait = answer.status, answer.headers.get("Retry-After", "")
    if status == 200:
        return _parse(answer.body)
    again = float(wait) if re.fullmatch(r"[0-9]{1,9}", wait) else None
    if 400 <= status < 500:
        raise Refused(status, _parse(answer.body), again if status == 429 else None)
    if 300 <= status < 400:
        raise Unreachable(f"The gate redirects ({status}). That is never followed: use its final address.")
    if status in (502, 503):
        raise Unreachable(f"The gate is not available ({status}).", SHORT_PAUSE if again is None else again)
    raise Unreachable(f"The gate failed ({status}).")


class _Gate:
    """The way to the gate: no redirects, a bounded answer, and one deadline over everything."""

    def __init__(self, url: str, key: str, allow_http: bool) -> None:
        try:
            parts = urlsplit(url.strip())
            self.host, self.port = parts.hostname or "", parts.port
        except ValueError:
            raise Misused("The gate's URL cannot be read.") from None
        if parts.scheme not in ("http", "https") or not self.host or "@" in parts.netloc or parts.query:
            raise Misused("The gate's URL must look like https://gate.example.com, without user or query.")
        if not re.fullmatch(r"[!-~]+", key):
            raise Misused("The key must be one word of printable ASCII.")  # never shown, not even here
        self.loopback = self.host == "localhost"
        with contextlib.suppress(ValueError):
            self.loopback = self.loopback or ipaddress.ip_address(self.host).is_loopback
        if parts.scheme == "http" and not (self.loopback or allow_http):
            raise Misused("http:// would send the key in the clear: use https://, or pass allow_http=True.")
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        if self.tls:
            self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.address = f"{parts.scheme}://{parts.netloc}"
        self.path = parts.path.rstrip("/")
        self._key = key

    def exchange(self, question: _Question, deadline: float) -> _Answer:
        """Send one request and return the whole answer, or raise Unreachable at `deadline` (by `_clock`).

        In a thread of its own: neither name resolution nor a dripping server minds a socket's timeout.
        """
        outcome: queue.SimpleQueue[_Answer | Exception] = queue.SimpleQueue()
        sockets: list[socket.socket] = []

        def run() -> None:
            try:
                outcome.put(self._send(question, deadline, sockets))
            except Exception as error:
                outcome.put(error)

        try:
            threading.Thread(target=run, name="countersign", daemon=True).start()
            result = outcome.get(timeout=max(0.0, deadline - _clock()))
        except queue.Empty:
            raise Unreachable(f"The gate did not answer in time: {self.address}", SHORT_PAUSE) from None
        except RuntimeError as error:
            raise Unreachable(f"The gate cannot be asked: {error}") from error
        finally:
            for opened in sockets:
                with contextlib.suppress(OSError):
                    opened.shutdown(socket.SHUT_RDWR)
        if isinstance(result, CountersignError):
            raise result
        if isinstance(result, TimeoutError):  # the connection's own limit came a moment before ours
            raise Unreachable(f"The gate did not answer in time: {self.address}", SHORT_PAUSE)
        if isinstance(result, Exception):
            untrusted = isinstance(result, ssl.CertificateError)
            broken = isinstance(result, (OSError, http.client.HTTPException)) and not untrusted
            again = SHORT_PAUSE if broken else None
            raise Unreachable(f"The gate cannot be reached at {self.address}: {result!r}", again)
        return result

    def _send(self, question: _Question, deadline: float, sockets: list[socket.socket]) -> _Answer:
        connection = self._connection(max(0.001, deadline - _clock()))
        try:
            connection.connect()
            sockets.append(connection.sock)
            sent = _clock()
            if sent >= deadline:
                raise Unreachable("The gate's connection took too long.", SHORT_PAUSE)
            method, path, body, headers = question
            headers = {**headers, "Authorization": f"Bearer {self._key}", "Connection": "close"}
            connection.request(method, self.path + path, body, headers)
            with connection.getresponse() as response:
                content = response.read(MAX_ANSWER + 1)
                if len(content) > MAX_ANSWER:
                    raise Unreachable(f"The gate's answer is larger than {MAX_ANSWER} bytes.")
                if response.length:  # bytes announced that never came
                    raise http.client.IncompleteRead(b"", response.length)
                return _Answer(response.status, response.headers, content, sent)
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        scheme = "https" if self.tls else "http"
        proxy = None if self.loopback or proxy_bypass(self.host) else getproxies().get(scheme)
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
        if via and (via.scheme != "http" or not via.hostname):
            raise Unreachable(f"The proxy named by {scheme}_proxy is not an http:// one.")
        host, port = (via.hostname or "", via.port or 80) if via else (self.host, self.port)
        connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=self.tls)
            if self.tls
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        if via:
            connection.set_tunnel(self.host, self.port, _proxy_headers(via))
        return connection


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(user.encode()).decode()}


def _usd(amount: Decimal | int | str | None) -> str | None:
    """Write an amount of dollars as the wire's decimal string; a float has already lost the amount."""
    if amount is None or isinstance(amount, str):
        return amount
    if isinstance(amount, float) or not Decimal(amount).is_finite():
        raise Misused("Give amounts of money as Decimal, int or decimal string.")
    return format(Decimal(amount), "f")


def _warn_of_gap(expected: int, got: int) -> None:
    warnings.warn(
        f"This agent's decision {expected} was due and {got} came: its key is shared or an answer was lost.",
        stacklevel=4,
    )


class Countersign:
    """One agent's access to its gate; safe to share between threads.

    url, key: default to COUNTERSIGN_URL and COUNTERSIGN_KEY. timeout: seconds for one question, its one
    repetition included. session: the default session of checks. sole_user_of_key: promise that no other
    process uses this key, and `on_gap(expected, got)` is called when the agent's decision numbers skip one;
    processes that share a key share its numbers, so that gaps mean nothing to them. receipts: a file to which each
    answer's receipt is added, by default the one that COUNTERSIGN_RECEIPTS names, if any. Raises Misused.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        timeout: float = 5.0,
        session: str | None = None,
        *,
        allow_http: bool = False,
        sole_user_of_key: bool = False,
        on_gap: Callable[[int, int], None] = _warn_of_gap,
        receipts: str | os.PathLike[str] | None = None,
    ) -> None:
        url, key = url or os.environ.get("COUNTERSIGN_URL"), key or os.environ.get("COUNTERSIGN_KEY")
        if not url or not key:
            raise Misused("Set COUNTERSIGN_URL and COUNTERSIGN_KEY, or pass url and key.")
        self._gate = _Gate(url, key.strip(), allow_http)
        self.timeout, self.session = timeout, session
        self.unreported: deque[Unreported] = deque(maxlen=1000)
        self._on_gap = on_gap if sole_user_of_key else None
        self._receipts = receipts or os.environ.get("COUNTERSIGN_RECEIPTS")
        self._lock = threading.Lock()
        self._given: OrderedDict[str, _Given] = OrderedDict()  # by decision id, and open allows by question
        self._last_seq: int | None = None
        self._early: set[int] = set()  # numbers above the last one without a gap
        self._asking = 0

    def __repr__(self) -> str:
        return f"Countersign({self._gate.address + self._gate.path!r})"

    def check(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        session: str | None = None,
        call_id: str | None = None,
        reason: str | None = None,
        on_behalf_of: str | None = None,
        estimated_cost_usd: Decimal | int | str | None = None,
        approval: str | None = None,
        context: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        resource: str | None = None,
        action: str | None = None,
        model: str | None = None,
        estimated_usage: Mapping[str, int] | None = None,
        retry_count: int | None = None,
    ) -> Decision:
        """Ask whether this call may run, and return the decision, whatever it is; raises CountersignError.

        A call that takes tokens names its `model` and `estimated_usage`, whole numbers by input_tokens, output_tokens,
        cache_read_tokens and cache_write_tokens. A denial with `retry_after` or `downgrade` says how to go on.
        """
        call = {
            "tool": tool, "arguments": dict(arguments or {}), "session": session or self.session,
            "call_id": call_id, "on_behalf_of": on_behalf_of, "resource": resource, "action": action,
        }  # fmt: skip
        claims = {
            "reason": reason, "context": context, "approval": approval, "dry_run": dry_run or None,
            "estimated_cost_usd": _usd(estimated_cost_usd), "model": model, "retry_count": retry_count,
            "estimated_usage": None if estimated_usage is None else dict(estimated_usage),
        }  # fmt: skip
        with self._lock:
            self._asking += 1
        seq = None
        try:
            body = {name: value for name, value in {**call, **claims}.items() if value is not None}
            raw, answer = self._request("POST", "/v1/check", body, self.timeout)
            decision = _decision(raw, answer, tool, dry_run, approval)
            decision = replace(decision, arguments=dict(arguments or {}))
            self._recognize(decision, _fingerprint(call), call_id, approval)
            seq = decision.agent_seq
            self._keep_receipt(decision)
        finally:
            self._count(seq)
        return decision

    def wait(
        self,
        decision_or_approval_id: Decision | str,
        timeout: float = 300.0,
        *,
        since: int | None = None,
    ) -> Approval:
        """Wait up to `timeout` seconds for people to settle an approval; it may come back still pending.

        With `since`, a version of it, anything newer ends the wait: a question, an edit. Interruptions of the gate are
        waited out; other errors are raised.
        """
        asked = _approval_id(decision_or_approval_id)
        deadline = _clock() + timeout
        known = since
        while True:
            started, pause = _clock(), 0.0
            poll = min(30, max(0, int(deadline - started)))
            try:
                path = f"/v1/approvals/{asked}?wait={poll}" + (f"&since={known}" if known is not None else "")
                raw, _ = self._request("GET", path, None, poll + self.timeout)
                approval = _approval(raw, asked)
                news = since is not None and approval.version > since
                if approval.status != "pending" or news or _clock() >= deadline:
                    return approval
                # Without a version the same is asked again at once only where nothing came before its time.
                pause = 0.0 if approval.version > (known or 0) else 0.5
                known = approval.version or None
            except CountersignError as error:
                if error.retry_after is None or _clock() + error.retry_after >= deadline:
                    raise
                pause = max(0.5, error.retry_after)
            time.sleep(max(0.0, min(started + pause, deadline) - _clock()))

    def follow(self, decision_or_approval_id: Decision | str, timeout: float = 300.0) -> Iterator[Approval]:
        """Yield the approval as it is now and after each change, the last one settled, unless `timeout` seconds are
        over before. Read `questions` and reply, or `edited`, as it goes on."""
        asked, deadline, known = _approval_id(decision_or_approval_id), _clock() + timeout, 0
        while True:
            approval = self.wait(asked, max(0.0, deadline - _clock()), since=known)
            if approval.version > known or approval.status != "pending":
                yield approval
            known = max(known, approval.version)
            if approval.status != "pending" or _clock() >= deadline:
                return

    def cancel(self, decision_or_approval_id: Decision | str, reason: str | None = None) -> Approval:
        """Take back a call that waits for people. Raises Refused, 409, where it is settled."""
        return self._say(decision_or_approval_id, "cancel", {"reason": reason} if reason else {})

    def reply(self, decision_or_approval_id: Decision | str, text: str) -> Approval:
        """Answer a reviewer's question. Raises Refused, 409, where none is open or the approval is settled."""
        return self._say(decision_or_approval_id, "reply", {"text": text})

    def _say(self, decision_or_approval_id: Decision | str, what: str, body: dict[str, Any]) -> Approval:
        asked = _approval_id(decision_or_approval_id)
        raw, _ = self._request("POST", f"/v1/approvals/{asked}/{what}", body, self.timeout)
        return _approval(raw, asked)

    def request_access(
        self,
        tool: str,
        reason: str,
        *,
        resource: str | None = None,
        action: str | None = None,
        hours: int | None = None,
    ) -> dict[str, Any]:
        """Ask people for what a call of this tool was denied for want of; the request's `id` is asked about later."""
        wish = {"tool": tool, "reason": reason, "resource": resource, "action": action, "hours": hours}
        body = {name: value for name, value in wish.items() if value is not None}
        return self._request("POST", "/v1/access-requests", body, self.timeout)[0]

    def access_request(self, request_id: str) -> dict[str, Any]:
        """Return what became of a request for access."""
        if not re.fullmatch(r"prp_[A-Za-z0-9_-]+", request_id):
            raise Misused("A request for access has an id that begins with prp_.")
        return self._request("GET", f"/v1/access-requests/{request_id}", None, self.timeout)[0]

    def check_and_wait(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        wait: float = 300.0,
        accept_edits: bool = False,
        **question: Any,
    ) -> Decision:
        """Check, wait up to `wait` seconds for people where they must decide, and check with the approval.

        A denial whose `retry_after` is over before then, such as `budget_busy`, is asked again by itself, unless it
        names a cheaper model (`downgrade`), with which the caller may go on at once.
        A call that they settled otherwise is a denial with the code `approval_<status>`. One that they approved in
        another form is a denial with the code `approval_edited`, unless `accept_edits`: then the decision is about the
        edited call, and its `tool` and `arguments` are what to make.
        """
        deadline = _clock() + wait
        decision = self._check_again(tool, arguments, deadline, question)
        if decision.decision != "pending" or decision.dry_run:
            return decision
        approval = self.wait(decision, max(0.0, deadline - _clock()))
        if approval.status == "pending":
            return decision
        if approval.status != "approved":
            return replace(decision, decision="deny", code=f"approval_{approval.status}", approval=approval)
        if not approval.edited:
            return self._check_again(tool, arguments, deadline, {**question, "approval": approval.id})
        if not accept_edits:
            return replace(decision, decision="deny", code="approval_edited", approval=approval)
        claims = {name: value for name, value in question.items() if name not in ("resource", "action")}
        edited = {**claims, "approval": approval.id}
        decision = self._check_again(approval.tool or tool, approval.arguments, deadline, edited)
        return replace(decision, approval=approval)

    def _check_again(
        self, tool: str, arguments: Mapping[str, Any] | None, deadline: float, question: Mapping[str, Any]
    ) -> Decision:
        """Check, and again as often as the denial says that this helps before the deadline."""
        while True:
            decision = self.check(tool, arguments, **question)
            after = decision.retry_after
            if decision.decision != "deny" or decision.dry_run or decision.downgrade or after is None:
                return decision
            pause = max(SHORT_PAUSE, after)
            if _clock() + pause >= deadline:
                return decision
            time.sleep(pause)

    def outcome(
        self,
        decision: Decision | str,
        status: str,
        summary: str | None = None,
        changes: Sequence[Any] | None = None,
        cost_usd: Decimal | int | str | None = None,
        *,
        model: str | None = None,
        usage: Mapping[str, int] | None = None,
        result: str | None = None,
        error: str | None = None,
    ) -> dict[str, Any]:
        """Report what came of an allowed call: running (renews its lease), succeeded, failed or skipped.

        `usage` are the tokens that it took, as `estimated_usage` has them. By `result`, a digest of what came back of
        at most 128 characters, or `error`, the gate sees whether the agent goes round in circles.
        """
        asked = decision.id if isinstance(decision, Decision) else decision
        if not re.fullmatch(r"dec_[A-Za-z0-9_-]+", asked):
            raise Misused("An outcome belongs to a decision: pass a Decision or a dec_… id.")
        report = {"status": status, "summary": summary, "changes": changes, "cost_usd": _usd(cost_usd),
                  "model": model, "usage": None if usage is None else dict(usage),
                  "result": result, "error": error}  # fmt: skip
        report = {name: value for name, value in report.items() if value is not None}
        if status != "running":
            with self._lock:
                given = self._given.get(asked)
                self._given.pop(given.question if given else "", None)
        raw, _ = self._request("POST", f"/v1/decisions/{asked}/outcome", report, self.timeout)
        if raw.get("id", asked) != asked:
            raise Unreachable(f"The gate answered about another decision than {asked}.")
        return raw

    def me(self) -> dict[str, Any]:
        """Return the agent's own standing, permissions, budgets left, and tools that would ask a person."""
        return self._request("GET", "/v1/me", None, self.timeout)[0]

    def guarded(
        self,
        tool: str,
        arguments: Callable[..., Mapping[str, Any]] | None = None,
        *,
        wait: float | None = None,
        session: str | None = None,
        edited: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None,
        model: str | Callable[..., str] | None = None,
        estimated_usage: Mapping[str, int] | Callable[..., Mapping[str, int]] | None = None,
        estimated_cost_usd: Decimal | int | str | Callable[..., Decimal | int | str] | None = None,
        outcome: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> Callable[[_F], _F]:
        """Decorate a function, sync or async, so that it runs only while its call is allowed.

        arguments: called with the function's own parameters, returns what the tool's schema names; without it
        those are the parameters by name. wait: seconds to wait for people, and for what `check_and_wait` asks again.
        Where a reviewer approved the call with other arguments, the function runs with those; `edited` turns the tool's
        arguments into the function's parameters by name where `arguments` made them of these. An edit that cannot be
        made so, or that names another tool, is Denied.

        model, estimated_usage, estimated_cost_usd: what the call is expected to take, as `check` has it, each a value
        or a function of the function's own parameters. outcome: called with what the function returned, gives more of
        the report, by the names that the method `outcome` has: usage, model, cost_usd, result, error, summary, changes.

        Raises Denied, Pending or another CountersignError instead of running. An outcome that cannot be reported is
        kept in `unreported`.
        """
        costs = {"model": model, "estimated_usage": estimated_usage, "estimated_cost_usd": estimated_cost_usd}

        def decorate(function: _F) -> _F:
            guard = _Guard(self, function, tool, arguments, wait, session, edited, costs, outcome)

            @functools.wraps(function)
            def run(*args: Any, **kwargs: Any) -> Any:
                return guard.run(args, kwargs)

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                return await guard.run_async(args, kwargs)

            return cast(_F, run_async if inspect.iscoroutinefunction(function) else run)

        return decorate

    def report(self, decision: Decision, status: str, summary: str | None = None, **more: Any) -> None:
        """Report an outcome as `outcome` does, but keep it in `unreported` where that fails."""
        try:
            self.outcome(decision, status, summary, **more)
        except Exception as error:  # the work is done: its result matters more than the report of it
            self.unreported.append(Unreported(decision, status, summary, error))

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float
    ) -> tuple[dict[str, Any], _Answer]:
        """Ask, and once more where that may help, within `timeout` seconds and under one Idempotency-Key."""
        deadline = _clock() + timeout
        headers = {"Accept": "application/json", "User-Agent": "countersign-python"}
        content = None
        if body is not None:
            headers.update({"Content-Type": "application/json", "Idempotency-Key": secrets.token_hex(16)})
            try:
                content = json.dumps(body, allow_nan=False, ensure_ascii=False).encode("utf-8")
            except (TypeError, ValueError, RecursionError) as error:
                raise Misused(f"The call cannot be written as JSON: {error}") from error
        question = _Question(method, path, content, headers)
        try:
            answer = self._gate.exchange(question, deadline)
            return _read(answer), answer
        except CountersignError as error:
            if error.retry_after is None or _clock() + error.retry_after >= deadline:
                raise
            pause = error.retry_after
        time.sleep(pause)
        answer = self._gate.exchange(question, deadline)
        return _read(answer), answer

    def _recognize(
        self, decision: Decision, question: str, call_id: str | None, approval: str | None
    ) -> None:
        """Refuse an answer that was given to another call before, and a second permission for one call."""
        given = _Given(decision.id, question, decision.good_until)
        with self._lock:
            before, opened = self._given.get(decision.id), self._given.get(question)
            if before and (before.question != question or not (call_id or approval)):
                raise Unreachable(f"The gate answered with {decision.id}, which was another call's answer.")
            self._given[decision.id] = given
            if decision.decision == "allow" and call_id and not decision.dry_run:
                if opened and opened.id != decision.id and _clock() < opened.good_until:
                    raise Unreachable(f"The gate allowed one call twice, as {opened.id} and {decision.id}.")
                self._given[question] = given
            while len(self._given) > REMEMBERED:
                self._given.popitem(last=False)

    def _keep_receipt(self, decision: Decision) -> None:
        """Add the receipt to the file, as one line and in one write: threads and processes may share the file. What
        was allowed is not refused because a disk is full."""
        if not self._receipts or decision.receipt is None:
            return
        kept = {"decision": decision.id, "agent_seq": decision.agent_seq, "receipt": decision.receipt}
        try:
            file = os.open(self._receipts, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, json.dumps(kept).encode() + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            warnings.warn(f"The receipt of {decision.id} could not be kept: {error}", stacklevel=3)

    def _count(self, seq: int | None) -> None:
        """Look for skipped numbers when no other check is under way: threads' answers overtake each other."""
        with self._lock:
            self._asking -= 1
            if self._on_gap is None:
                return
            if seq is not None:
                self._last_seq = seq - 1 if self._last_seq is None else self._last_seq
                self._early.add(seq)
            while self._last_seq is not None and self._last_seq + 1 in self._early:
                self._last_seq += 1
            self._early = {number for number in self._early if number > (self._last_seq or 0)}
            if self._asking or not self._early:
                return
            expected, got = (self._last_seq or 0) + 1, min(self._early)
            self._last_seq = max(self._early)
            self._early.clear()
        self._on_gap(expected, got)


def _decision(
    raw: dict[str, Any], answer: _Answer, tool: str, dry_run: bool, approval: str | None
) -> Decision:
    """Read the answer to a check; raises Unreachable unless all of it is there and fits the question."""
    verdict = _take(raw, "decision", str)
    if verdict not in ("allow", "deny", "pending"):
        raise Unreachable("The gate's answer is malformed: its decision is neither allow, deny nor pending.")
    named = _maybe(raw, "approval", dict)
    expires_at = _time(raw, "expires_at")
    opened = _approval(named, approval if verdict == "allow" else None) if named is not None else None
    if verdict == "pending" and opened is None:
        raise Unreachable("The gate's answer is malformed: it is pending without an approval.")
    needed = _maybe if dry_run else _take  # a rehearsal may go unnumbered
    return Decision(
        id=_identifier(raw, "dec"), decision=verdict, code=_take(raw, "code", str),
        reasons=_list(raw, "reasons", dict), resources=_list(raw, "resources", str), expires_at=expires_at,
        approval=opened, budget=_maybe(raw, "budget", dict), receipt=needed(raw, "receipt", dict),
        agent_seq=needed(raw, "agent_seq", int), policy=_maybe(raw, "policy", str),
        revision=_take(raw, "revision", int), raw=raw, tool=tool, dry_run=dry_run,
        good_until=_good_until(answer, expires_at) if verdict == "allow" and not dry_run else 0.0,
        retry_after=_maybe(raw, "retry_after", int), downgrade=_maybe(raw, "downgrade", dict),
    )  # fmt: skip


class _Guard:
    """One guarded function: the check before it, the report after it."""

    def __init__(
        self,
        client: Countersign,
        function: Callable[..., Any],
        tool: str,
        arguments: Callable[..., Mapping[str, Any]] | None,
        wait: float | None,
        session: str | None,
        edited: Callable[[dict[str, Any]], Mapping[str, Any]] | None,
        costs: Mapping[str, Any],
        outcome: Callable[[Any], Mapping[str, Any]] | None,
    ) -> None:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise Misused("A generator runs after its guard has returned: guard what consumes it.")
        self.client, self.function, self.signature = client, function, inspect.signature(function)
        self.tool, self.arguments, self.wait, self.session = tool, arguments or self._by_name, wait, session
        self.edited = edited or (dict if arguments is None else None)
        self.costs, self.outcome = costs, outcome
        # Threads of its own: calls that wait for people would take all of the event loop's.
        self._threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="countersign")

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call, decision = self._admit(self._bind(args, kwargs))
        if not decision.allowed:
            self.client.report(decision, "skipped", "expired before it began")
            raise Denied(decision)
        token = _current.set(decision)
        try:
            result = self.function(*call.args, **call.kwargs)
        except BaseException as error:
            self.client.report(decision, "failed", type(error).__name__)
            raise
        finally:
            _current.reset(token)
        self._succeed(decision, result)
        return result

    async def run_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call, decision = await self._in_thread(self._admit, self._bind(args, kwargs))
        if not decision.allowed:
            await self._in_thread(self.client.report, decision, "skipped", "expired before it began")
            raise Denied(decision)
        token = _current.set(decision)
        try:
            result = await self.function(*call.args, **call.kwargs)
        except BaseException as error:
            await self._in_thread(self.client.report, decision, "failed", type(error).__name__)
            raise
        finally:
            _current.reset(token)
        await self._in_thread(self._succeed, decision, result)
        return result

    def _succeed(self, decision: Decision, result: Any) -> None:
        """Report what the function returned; what cannot be told of it is left out, and kept in `unreported`."""
        more: Mapping[str, Any] = {}
        try:
            told = dict(self.outcome(result)) if self.outcome else {}
            if unknown := told.keys() - _REPORTED:
                raise Misused(f"An outcome has no {', '.join(sorted(map(str, unknown)))}.")
            more = told
        except Exception as error:  # the work is done: its result matters more than the report of it
            self.client.unreported.append(Unreported(decision, "succeeded", None, error))
        self.client.report(decision, "succeeded", **more)

    def _asked(self, call: inspect.BoundArguments) -> dict[str, Any]:
        """What a check of this call says beside its arguments."""
        given = {
            name: value(*call.args, **call.kwargs) if callable(value) else value
            for name, value in self.costs.items()
        }
        return {"session": self.session, **given}

    def _admit(self, call: inspect.BoundArguments) -> tuple[inspect.BoundArguments, Decision]:
        """Return the call to make and the decision that allows it; raises CountersignError otherwise."""
        judged = self.arguments(*call.args, **call.kwargs)
        if not self.wait:
            decision = self.client.check(self.tool, judged, **self._asked(call))
        else:
            decision = self.client.check_and_wait(self.tool, judged, wait=self.wait, **self._asked(call))
            if decision.code == "approval_edited":
                return self._admit_edited(call, decision)
        if decision.decision == "allow":
            return call, decision
        raise (Pending if decision.decision == "pending" else Denied)(decision)

    def _admit_edited(
        self, call: inspect.BoundArguments, decision: Decision
    ) -> tuple[inspect.BoundArguments, Decision]:
        """The edited call, if this function can make it, and the decision that allows it. Asked only after that is
        known: a use of the approval for a call that cannot be made would be lost."""
        approval = cast(Approval, decision.approval)
        if approval.tool != self.tool or self.edited is None:
            raise Denied(decision)
        changed = self._edit(call, decision, self.edited(approval.arguments or {}))
        question = {**self._asked(changed), "approval": approval.id}
        asked = self.client.check(self.tool, approval.arguments, **question)
        if asked.decision == "allow":
            return changed, asked
        raise (Pending if asked.decision == "pending" else Denied)(asked)

    def _edit(
        self, call: inspect.BoundArguments, decision: Decision, edited: Mapping[str, Any]
    ) -> inspect.BoundArguments:
        """The call with the parameters that a reviewer changed. Raises Denied where one of them is none of the
        function's."""
        before = self._by_name(*call.args, **call.kwargs)
        names = set(edited)
        if (
            self.arguments == self._by_name
        ):  # only what was changed: what a schema filled in, the function does itself
            paths = [str(change.get("path", "")) for change in cast(Approval, decision.approval).changes]
            changed = {path.split("/")[1].replace("~1", "/").replace("~0", "~") for path in paths if path}
            names = changed if all(paths) else names | set(before)
        for name in names:
            before.pop(name, None)
            if name in edited:
                before[name] = edited[name]
        kinds = {name: parameter.kind for name, parameter in self.signature.parameters.items()}
        first = [name for name, kind in kinds.items() if kind is inspect.Parameter.POSITIONAL_ONLY]
        more = next((name for name, kind in kinds.items() if kind is inspect.Parameter.VAR_POSITIONAL), None)
        positional = [before.pop(name) for name in first if name in before]
        if more is not None and before.get(more):
            positional += [
                before.pop(name)
                for name, kind in kinds.items()
                if kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and name in before
            ]
            positional += before[more]
        before.pop(more or "", None)
        try:
            return self._bind(tuple(positional), before)
        except TypeError:
            raise Denied(decision) from None

    async def _in_thread(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        call = self.signature.bind(*args, **kwargs)
        call.apply_defaults()
        return call

    def _by_name(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return a call's parameters by name, those of **keywords beside the others."""
        named = dict(self._bind(args, kwargs).arguments)
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                named.update(named.pop(name))
        return named
