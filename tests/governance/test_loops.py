"""When calls go round in circles, as it is judged: without a gate, and seconds are given."""

from typing import Any

import pytest

from audit import canonical
from governance import loops
from governance.loops import Pace, Seen
from workspaces.loop_limits import DEFAULTS, LoopLimits, LoopLimitsError, parse_loop_limits


def asked(arguments: dict[str, Any], *, writes: bool = False, tool: str = "t", path: str = "") -> loops.Call:
    like = loops.likeness(tool, canonical.encode(arguments))
    return loops.call_of(tool, like, [path or f"tool:{tool}"], writes=writes)


def made(recent: list[Seen], call: loops.Call, entry: int, at: int, **told: Any) -> list[Seen]:
    """The calls of late after one more, of which ``told`` was reported."""
    recent = loops.note(recent, call, entry=entry, now=at)
    if told:
        result = loops.result_of("succeeded", error="", result=told["result"], told={})
        loops.note_result(recent, entry=entry, result=result, succeeded=True)
    return recent


def found(recent: list[Seen], call: loops.Call, now: int, limits: LoopLimits = DEFAULTS) -> str:
    loop = loops.find_loop(limits, recent, call, now=now)
    return loop.kind if loop else ""


@pytest.mark.parametrize(("seconds", "kind"), [(86400, ""), (300, ""), (200, "repeats")])
def test_a_job_that_comes_round_is_no_loop(seconds: int, kind: str) -> None:
    call, recent = asked({"report": "nightly"}), list[Seen]()
    for n in range(3):
        recent = made(recent, call, n, n * seconds)
    assert found(recent, call, 3 * seconds) == kind


def test_a_loop_that_is_asked_for_again_and_again_stays_stopped() -> None:
    call, recent = asked({}), list[Seen]()
    for n in range(3):
        recent = made(recent, call, n, n)
    for now in range(100, 3000, 100):
        loop = loops.find_loop(DEFAULTS, recent, call, now=now)
        assert loop is not None, now
        loops.stay_stopped(recent, loop, now=now)
    assert found(recent, call, 2900 + 601) == ""


def test_a_new_call_that_changes_something_is_progress() -> None:
    tests, recent = asked({"run": "tests"}), list[Seen]()
    for n in range(0, 20, 2):
        assert found(recent, tests, n) == ""
        recent = made(recent, tests, n, n, result="2 failed")
        recent = made(recent, asked({"edit": n}, writes=True), n + 1, n + 1, result="ok")


def test_reading_something_else_is_no_progress_nor_is_a_change_made_before() -> None:
    for other in (lambda n: asked({"page": n}), lambda n: asked({"set": "x"}, writes=True)):
        call, recent = asked({"run": "tests"}), list[Seen]()
        for n in range(0, 8, 2):
            recent = made(recent, call, n, n, result="2 failed")
            recent = made(recent, other(n), n + 1, n + 1, result="ok")
        assert found(recent, call, 9) == "repeats"


def test_results_that_go_to_and_fro_are_followed_back_to_the_last_change() -> None:
    call, recent = asked({}), list[Seen]()
    for n, result in enumerate(["a", "a", "b", "b"]):
        recent = made(recent, call, n, n, result=result)
    assert found(recent, call, 9) == ""
    recent = made(recent, call, 5, 5)
    assert found(recent, call, 9) == "repeats"


def test_memory_stays_small() -> None:
    recent = list[Seen]()
    for n in range(500):
        recent = made(recent, asked({"n": n % 50 if n % 3 else 0}), n, n)
    assert len(recent) == loops.CALLS_KEPT
    assert max(len(seen.times) for seen in recent) <= loops.TIMES_KEPT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"request_id": "a"}, {"request_id": "b"}),  # it asks about requests
        ({"query": {"request_id": "a"}}, {"query": {"request_id": "b"}}),
        ({"text": "a b"}, {"text": "ab"}),
        ({"seed": 1, "prompt": "x"}, {"seed": 2, "prompt": "x"}),
        ({"ts": 1, "channel": "x"}, {"ts": 2, "channel": "x"}),
    ],
)
def test_calls_that_ask_for_something_else_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert asked(one).call != asked(other).call


def test_what_a_call_touches_tells_it_apart_whatever_its_arguments_say() -> None:
    one, other = (asked({"nonce": n, "a": 1}, path=f"order://{n}") for n in (1, 2))
    assert one.call != other.call
    assert asked({"file": "A"}, path="file:///A").call != asked({"file": "a"}, path="file:///a").call
    addresses = [f"https://shop.test/?q=1&request_id={n}" for n in (1, 2)]
    assert len({asked({"url": url}, path=url).call for url in addresses}) == 1


def test_an_hour_that_costs_much_more_than_the_dearest_is_stopped() -> None:
    dollar, pace = 10**9, Pace()
    for hour in range(loops.HOURS_KNOWN + 1):
        pace = loops.spend(pace, dollar, now=hour * 3600)
    now = (loops.HOURS_KNOWN + 1) * 3600
    assert loops.too_fast(DEFAULTS, pace, 10 * dollar, now=now) is None
    stopped = loops.too_fast(DEFAULTS, pace, 10 * dollar + 1, now=now)
    assert stopped is not None
    assert (stopped.kind, stopped.limit) == ("velocity", 10)
    assert loops.too_fast(LoopLimits(velocity=0), pace, 99 * dollar, now=now) is None
    ran_away = loops.paced(loops.spend(pace, 10 * dollar, now=now), now + 3600)
    assert ran_away.peak == dollar + dollar // 4  # one hour makes no rule


def test_nothing_is_unusual_for_who_is_new_or_cheap() -> None:
    pace = loops.spend(Pace(), 1, now=0)
    assert loops.too_fast(DEFAULTS, pace, 10**12, now=1) is None
    for hour in range(loops.HOURS_KNOWN + 1):
        pace = loops.spend(pace, 1, now=hour * 3600)
    assert loops.too_fast(DEFAULTS, pace, 10**9 // 2, now=10 * 3600) is None


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ([], ()),
        ({"repeats": 1}, ("repeats",)),
        ({"repeats": True}, ("repeats",)),
        ({"velocity": 1.5}, ("velocity",)),
        ({"minutes": 0}, ("minutes",)),
        ({"then": "warn"}, ("then",)),
        ({"tools": {"a": -1}}, ("tools", "a")),
        ({"tools": ["a"]}, ("tools",)),
        ({"loops": 4}, ("loops",)),
    ],
)
def test_limits_that_make_no_sense_are_refused(written: Any, path: tuple[str, ...]) -> None:
    with pytest.raises(LoopLimitsError) as refused:
        parse_loop_limits(written)
    assert [problem.path for problem in refused.value.problems] == [path]


def test_what_is_left_out_is_as_usual() -> None:
    assert parse_loop_limits({}) == DEFAULTS
    assert parse_loop_limits({"repeats": 0, "tools": {"jobs.status": 9}}).repeats_of("jobs.status") == 9
