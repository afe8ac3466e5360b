"""Whether a call goes round in circles: pure functions of the agent's calls of late, of all its sessions.

Compared is a call as its ``Likeness`` has it: no order of keys, white space, case, or id of the request makes it
another one. What it did decides with it: a call that had another result each time gets somewhere.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from workspaces.loop_limits import LoopLimits

CALLS_KEPT = 16  # different calls an agent
TIMES_KEPT = 64  # of one call, as often as a limit may say
READ_CLOSELY = 64 * 1024  # characters of a call's arguments; what is beyond counts as it is
HOUR = 3600
HOURS_KNOWN = 8  # with costs, before an hour can be called unusual
LEAST_COST = 10**9  # nano-dollars an hour that are never too many

# Names of arguments that say which request this is and never what it is for.
REQUEST_NAMES = (
    r"(?:x[-_])?(?:client[-_]?)?(?:request|req|correlation|trace|span|invocation|tool[-_]?call)[-_]?(?:id|uuid)"
    r"|rid|traceparent|nonce|idempotency[-_]?(?:key|token)|dedup(?:e|lication)?[-_]?(?:key|id|token)"
    r"|client[-_]?token|cache[-_]?bust(?:er)?|rand(?:om)?|attempts?|attempt[-_]?(?:number|no|count)"
    r"|retry|retries|retry[-_]?(?:count|number|no|attempt)"
)
VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^,"\[\]{}]+)'
NAMED = re.compile(rf'"(?:{REQUEST_NAMES})":{VALUE},?')
IN_QUERY = re.compile(rf'(?<=[?&])(?:_|{REQUEST_NAMES})=[^&#"\s]*&?')
TIMED = re.compile(rf'"(time[-_]?stamp|ts|now|(?:requested|sent)[-_]?at)":{VALUE}')
# What may be an id made up for the request; not where the name says that it is the id of what the call is about.
CODED = re.compile(r'"(?![^"]*(?:ids?|uuid|guid|key|name|number|code)")([^"]*)":"([a-z0-9_:.-]{16,80})"')
SOMETHING = re.compile(r':(?!"\?")[^{\[]')
SPACE = re.compile(r"(?:\\[nrtf]|\s)+")
LETTER_AND_DIGIT = re.compile(r"(?<=[a-z])(?=[0-9])|(?<=[0-9])(?=[a-z])")
PASSING = re.compile(
    r"[0-9]+(?::[0-9]{2})+(?:\.[0-9]+)?z?|[0-9]+(?:\.[0-9]+)?\s?(?:[mµ]?s|sec|seconds?)\b|[0-9]{5,}"
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is compared of a call's tool and arguments, as digests: ``call`` without the ids of the request, ``shape``
    without whatever looks random as well; empty where nothing does, or nothing else would be left."""

    call: bytes
    shape: bytes = b""


class Seen(msgspec.Struct, array_like=True):
    """One call of late. ``times`` has, for each time that it was allowed, the number of its entry, the second, and what
    came of it: "" while nothing was reported, and beginning with "=" where the agent said what came back."""

    call: str
    shape: str
    writes: bool
    fresh: bool = True
    times: list[tuple[int, int, str]] = []


class Pace(msgspec.Struct):
    """What was held in the present hour and in the dearest one of those before, in nano-dollars; ``hours`` is how many
    had costs."""

    hour: int = 0
    now: int = 0
    peak: int = 0
    hours: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it is compared with those before it."""

    tool: str
    call: str
    shape: str
    writes: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """What goes round: ``kind`` is repeats, ping_pong, retries or velocity. ``count`` is how often it was done already,
    ``entries`` are the numbers of those calls' entries."""

    kind: str
    count: int
    limit: int
    message: str
    entries: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """As the entry and the answer have it."""
        told: dict[str, object] = {"kind": self.kind, "count": self.count, "limit": self.limit}
        return {**told, "entries": list(self.entries)} if self.entries else told


def likeness(tool: str, encoded: bytes) -> Likeness:
    """How a call is compared. ``encoded``: its arguments as canonical JSON, so that the order of keys is one."""
    text = encoded.decode()
    text, rest = text[:READ_CLOSELY].casefold(), text[READ_CLOSELY:]
    text = SPACE.sub(" ", text).replace('" ', '"').replace(' "', '"')
    plain = NAMED.sub("", text).replace(",}", "}")
    if plain != text and SOMETHING.search(plain) is None:
        plain = text  # it asks about a request, and says nothing else
    if "=" in plain:
        plain = IN_QUERY.sub("", plain)
    shape = CODED.sub(without_code, TIMED.sub(r'"\1":"?"', plain))
    is_shaped = shape != plain and SOMETHING.search(shape) is not None
    return Likeness(digest(tool, plain, rest), digest(tool, shape, rest) if is_shaped else b"")


def without_code(found: re.Match[str]) -> str:
    """A member, without its value where that looks made up: letters and digits that change often."""
    if len(LETTER_AND_DIGIT.findall(found[2].replace("-", ""))) < 4:
        return found[0]
    return f'"{found[1]}":"?"'


def digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=12).digest()


def call_of(
    tool: str, like: Likeness, resources: Iterable[str], *, writes: bool, apart: Iterable[str] = ()
) -> Call:
    """A call as it is compared. What it touches, and what else sets it ``apart``, such as for whom it is made, tells it
    from others whatever its arguments say."""
    touched = "\0".join((IN_QUERY.sub("", "\n".join(resources)), *apart))
    shape = short(like.shape, touched) if like.shape else ""
    return Call(tool, short(like.call, touched), shape, writes)


def short(value: bytes, more: str) -> str:
    return hashlib.blake2b(value + more.encode(), digest_size=6).hexdigest()


def result_of(status: str, *, error: str, result: str, told: Mapping[str, bytes]) -> str:
    """What came of a call, as it is compared: status, error and digest of the result where the agent told one, else
    what it said of it. Times and long numbers in prose change nothing."""
    said = error or told.get("summary", b"").decode()
    prose = PASSING.sub("?", SPACE.sub(" ", said.casefold()))
    if result or error:
        return "=" + short(f"{status}\0{prose}\0{result}".encode(), "")
    return "~" + short(f"{status}\0{prose}\0".encode() + told.get("changes", b""), "")


def find_loop(
    limits: LoopLimits, recent: Sequence[Seen], call: Call, *, now: int, retries: int = 0
) -> Loop | None:
    """The loop that this call would go on with, or None. ``now`` in seconds."""
    since = now - limits.minutes * 60
    return (
        told_retry(limits, retries)
        or repeated(limits, recent, call, since)
        or varied(limits, recent, call, since)
        or ping_pong(limits, recent, call, since)
    )


def told_retry(limits: LoopLimits, retries: int) -> Loop | None:
    """A client that says how often it tried this before."""
    if not limits.retries or retries < limits.retries:
        return None
    message = f"Its client says that this is retry {retries} of the same request. {NEXT}"
    return Loop("retries", retries, limits.retries, message)


def repeated(limits: LoopLimits, recent: Sequence[Seen], call: Call, since: int) -> Loop | None:
    """The same call, with the same result each time, however many other calls are between."""
    limit = limits.repeats_of(call.tool)
    seen = next((seen for seen in recent if seen.call == call.call), None)
    if not limit or seen is None or len(seen.times) < limit - 1:
        return None
    return repeats(limits, limit, run(seen.times, since))


def varied(limits: LoopLimits, recent: Sequence[Seen], call: Call, since: int) -> Loop | None:
    """The same call but for what looks random in it. Only where the agent told that the same came back each time: an id
    that is made up for each request and one of another thing each time look alike."""
    limit = limits.repeats_of(call.tool)
    if not limit or not call.shape:
        return None
    alike = sorted(time for seen in recent if seen.shape == call.shape for time in seen.times)
    told = [time for time in run(alike, since) if time[2].startswith("=")]
    return repeats(limits, limit, told)


def repeats(limits: LoopLimits, limit: int, times: Sequence[tuple[int, int, str]]) -> Loop | None:
    count = len(times)
    if count < limit - 1:
        return None
    message = (
        f"This very call was made {count} times within {minutes(limits)} and nothing else came of it. {NEXT}"
    )
    return Loop("repeats", count, limit, message, tuple(number for number, _, _ in times[-limit + 1 :]))


def ping_pong(limits: LoopLimits, recent: Sequence[Seen], call: Call, since: int) -> Loop | None:
    """Two calls in turn, with nothing between, that had the same result each time."""
    wanted = 2 * limits.ping_pong - 1
    if not limits.ping_pong or len(recent) < 2 or recent[-2].call != call.call:
        return None
    both = {seen.call: run(seen.times, since) for seen in recent[-2:]}
    turns = sorted((number, name) for name, times in both.items() for number, _, _ in times)[-wanted:]
    if len(turns) < wanted or any(first[1] == second[1] for first, second in pairwise(turns)):
        return None
    if any(seen.times and seen.times[-1][0] > turns[0][0] for seen in recent[:-2]):
        return None
    message = (
        f"This call and another were made in turn {len(turns)} times within {minutes(limits)} and nothing else came of"
        f" either. {NEXT}"
    )
    return Loop("ping_pong", len(turns), limits.ping_pong, message, tuple(number for number, _ in turns))


def run(times: Sequence[tuple[int, int, str]], since: int) -> list[tuple[int, int, str]]:
    """The latest times with one result, oldest first. What was not reported counts as the same."""
    found: list[tuple[int, int, str]] = []
    known = ""
    for time in reversed(times):
        _, at, result = time
        if at < since or (known and result and result != known):
            break
        known = known or result
        found.append(time)
    return found[::-1]


def note(recent: list[Seen], call: Call, *, entry: int, now: int) -> list[Seen]:
    """The calls of late with one more, newest last."""
    kept = [seen for seen in recent if seen.call != call.call]
    seen = next((seen for seen in recent if seen.call == call.call), None)
    if seen is None:
        fresh = not call.shape or all(other.shape != call.shape for other in recent)
        seen = Seen(call.call, call.shape, call.writes, fresh, [])
    else:
        seen.fresh = False
    seen.times = [*seen.times[1 - TIMES_KEPT :], (entry, now, "")]
    return [*kept[1 - CALLS_KEPT :], seen]


def stay_stopped(recent: Sequence[Seen], loop: Loop, *, now: int) -> None:
    """Keep what goes round in mind for as long as it is asked for: a loop that waits for nothing is not let go on."""
    for seen in recent:
        if any(number in loop.entries for number, _, _ in seen.times):
            seen.times = [(number, now, result) for number, _, result in seen.times]


def note_result(recent: Sequence[Seen], *, entry: int, result: str, succeeded: bool) -> bool:
    """Write down what came of the call with this entry; whether it is still known. A new call that changed something is
    progress: what was tried before it may be tried anew, as tests are run again after an edit."""
    for seen in recent:
        for place, (number, at, _) in enumerate(seen.times):
            if number == entry:
                seen.times[place] = number, at, result
                if succeeded and seen.writes and seen.fresh:
                    begin_anew(recent, seen, entry)
                return True
    return False


def begin_anew(recent: Sequence[Seen], progress: Seen, entry: int) -> None:
    for seen in recent:
        if seen is not progress:
            seen.times = [time for time in seen.times if time[0] > entry]


def too_fast(limits: LoopLimits, pace: Pace, cost: int, *, now: int) -> Loop | None:
    """Whether a cost would make this hour much dearer than the agent's dearest was. Costs in nano-dollars."""
    pace = paced(pace, now)
    total = pace.now + cost
    if not limits.velocity or not cost or pace.hours < HOURS_KNOWN:
        return None
    if total <= max(LEAST_COST, limits.velocity * pace.peak):
        return None
    message = (
        f"This agent costs more than {limits.velocity} times as much in this hour as in its dearest one so far. Stop,"
        " and ask its owner, who can set another limit, or wait for the next hour."
    )
    return Loop("velocity", total // max(1, pace.peak), limits.velocity, message)


def paced(pace: Pace, now: int) -> Pace:
    """The pace in the hour of ``now``. Once enough is known, the dearest hour grows by a quarter an hour at most, so
    that one that ran away makes no rule; it shrinks slowly, by hours that had costs."""
    hour = now // HOUR
    if hour <= pace.hour:
        return pace
    if not pace.now:
        return Pace(hour, 0, pace.peak, pace.hours)
    peak = pace.peak
    known = pace.hours >= HOURS_KNOWN
    peak = max(peak - peak // 256, min(pace.now, peak + peak // 4)) if known else max(peak, pace.now)
    return Pace(hour, 0, peak, pace.hours + 1)


def spend(pace: Pace, cost: int, *, now: int) -> Pace:
    """The pace after one more cost was held."""
    pace = paced(pace, now)
    return Pace(pace.hour, pace.now + cost, pace.peak, pace.hours)


def minutes(limits: LoopLimits) -> str:
    return "a minute" if limits.minutes == 1 else f"{limits.minutes} minutes"


NEXT = (
    "Change the arguments, do something else first, or stop; if it must go on like this, ask this agent's owner, who"
    " can set another limit for the tool."
)
