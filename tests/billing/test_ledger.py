"""One batch's view of the accounts: what a call counts against, what fits, and what a call is told that does not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import limits
from billing.budgets import FREE, Call, Cost, Ledger, Shortage, load_budgets, window_end, window_start
from billing.models import Account, Budget, Hold
from tests.cast import ACTOR, Cast

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)  # a Wednesday
CENT = 10**7
COUNT = iter(range(10**6))


def budget(cast: Cast, amount: int, **more: Any) -> Budget:
    """A budget of report-bot for ever, unless more is said."""
    whose = {"agent": cast.report_bot, "window": "ever"}
    return limits.set_budget(cast.acme, **{**whose, "limit_amount": amount, **more}, actor=ACTOR).row


def ledger(cast: Cast, *calls: Call, now: datetime = NOON) -> Ledger:
    """A batch of these calls, as a process without memory begins it."""
    begun = Ledger(cast.acme.pk, now, "Europe/Berlin", load_budgets(cast.acme.pk))
    begun.load(calls)
    return begun


def call(cast: Cast, session: str = "", tool: str = "files.read", model: str = "") -> Call:
    return Call(cast.report_bot.pk, session, tool, model, cast.olga.pk, "cc-7")


def usd(cents: int, **more: Any) -> Cost:
    return Cost(cents * CENT, **more)


def take(cast: Cast, one: Call, cost: Cost, *, now: datetime = NOON) -> Shortage | None:
    """Hold a cost in a batch of its own, where it fits."""
    batch = ledger(cast, one, now=now)
    shortage = batch.check(one, cost)
    if shortage is None:
        batch.hold(one, cost, f"dec_{next(COUNT)}")
        batch.store()
    return shortage


def code(shortage: Shortage | None) -> str:
    return shortage.code if shortage else ""


def accounts() -> list[tuple[str, int, int, int]]:
    return [(row.key, row.held, row.spent, row.overage) for row in Account.objects.order_by("pk")]


def spend(cents: int, key: str = "ever") -> None:
    """What settling would leave behind: all that is held was spent, at another price."""
    Account.objects.filter(key=key).update(spent=cents * CENT, held=0)


def test_a_budget_holds_to_the_nano(cast: Cast) -> None:
    budget(cast, 10 * CENT)
    assert take(cast, call(cast), usd(4)) is None
    assert take(cast, call(cast), Cost(6 * CENT)) is None
    assert code(take(cast, call(cast), Cost(1))) == "budget_busy"
    assert accounts() == [("ever", 10 * CENT, 0, 0)]


def test_a_call_that_costs_nothing_is_never_short(cast: Cast) -> None:
    budget(cast, 0)
    assert take(cast, call(cast), FREE) is None
    assert not Hold.objects.exists()
    assert code(take(cast, call(cast), Cost(1))) == "budget_exhausted"


def test_a_hold_keeps_whom_it_belongs_to_and_what_it_rests_on(cast: Cast) -> None:
    budget(cast, 10 * CENT)
    usage = {"input_tokens": 5}
    cost = Cost(CENT, 5, "priced", "prc_1", "gpt-4o", usage)
    take(cast, call(cast, "run-1", model="gpt-4o"), cost)
    hold = Hold.objects.get()
    assert (hold.tool, hold.session, hold.model, hold.owner_id, hold.cost_center) == (
        "files.read", "run-1", "gpt-4o", cast.olga.pk, "cc-7",
    )  # fmt: skip
    assert (hold.held_nanos, hold.held_tokens, hold.basis, hold.price) == (CENT, 5, "priced", "prc_1")
    assert (hold.usage, hold.state, hold.charged_nanos) == (usage, "held", None)
    assert hold.accounts == [Account.objects.get().pk]


def test_what_costs_something_is_kept_without_any_budget(cast: Cast) -> None:
    take(cast, call(cast), usd(3))
    hold = Hold.objects.get()
    assert (hold.held_nanos, hold.accounts) == (3 * CENT, [])


def test_only_calls_of_its_tool_and_model_count(cast: Cast) -> None:
    budget(cast, CENT, tool="files.read")
    budget(cast, CENT, model="gpt-4o")
    assert take(cast, call(cast, tool="web.fetch", model="gpt-4o-mini"), usd(5)) is None
    assert accounts() == []
    read = call(cast, model="gpt-4o-mini")
    assert code(take(cast, read, usd(5))) == "budget_exhausted"
    dear = call(cast, tool="web.fetch", model="gpt-4o")
    assert code(take(cast, dear, usd(5))) == "budget_exhausted"
    both = call(cast, model="gpt-4o")
    assert take(cast, both, usd(1)) is None
    assert [held for _, held, _, _ in accounts()] == [CENT, CENT]


def test_tokens_are_counted_apart_from_dollars(cast: Cast) -> None:
    budget(cast, 1000, unit="tokens")
    budget(cast, 10 * CENT)
    one = call(cast)
    assert take(cast, one, Cost(CENT, 700)) is None
    assert code(take(cast, one, Cost(CENT, 301))) == "budget_busy"
    assert take(cast, one, Cost(CENT, 300)) is None
    assert sorted(held for _, held, _, _ in accounts()) == [1000, 2 * CENT]
    left = ledger(cast, one).remaining(one)
    assert (left.nanos, left.tokens) == (8 * CENT, 0)


def test_each_session_has_an_account_of_its_own(cast: Cast) -> None:
    budget(cast, 2 * CENT, agent=None, per_session=True)
    assert take(cast, call(cast, "a"), usd(2)) is None
    assert take(cast, call(cast, "b"), usd(2)) is None
    assert code(take(cast, call(cast, "a"), usd(1))) == "budget_busy"
    other = Call(cast.support_bot.pk, "a", "files.read")
    assert take(cast, other, usd(2)) is None
    keys = {key for key, *_ in accounts()}
    assert keys == {
        f"ever|{cast.report_bot.pk}|a",
        f"ever|{cast.report_bot.pk}|b",
        f"ever|{other.agent_id}|a",
    }


def test_a_reset_begins_anew_under_another_key(cast: Cast) -> None:
    row = budget(cast, CENT)
    assert take(cast, call(cast), usd(1)) is None
    assert code(take(cast, call(cast), usd(1))) == "budget_busy"
    Budget.objects.filter(pk=row.pk).update(generation=2)
    assert take(cast, call(cast), usd(1)) is None
    assert [key for key, *_ in accounts()] == ["ever", "ever|r2"]


def test_what_only_warns_never_refuses_and_keeps_its_overage(cast: Cast) -> None:
    budget(cast, CENT, hard=False)
    assert take(cast, call(cast), usd(3)) is None
    assert take(cast, call(cast), usd(1)) is None
    assert accounts() == [("ever", 4 * CENT, 0, 3 * CENT)]
    assert ledger(cast, call(cast)).remaining(call(cast)) == (None, None)


def test_an_unknown_cost_is_refused_only_where_a_budget_must_hold(cast: Cast) -> None:
    unknown = Cost(None, None, model="nobody-knows")
    one = call(cast, model="nobody-knows")
    assert take(cast, one, unknown) is None
    assert Hold.objects.get().held_nanos == 0
    budget(cast, CENT, hard=False)
    assert take(cast, one, unknown) is None
    budget(cast, 100, hard=False, unit="tokens")
    assert take(cast, one, unknown) is None
    budget(cast, CENT, window="day")
    shortage = take(cast, one, unknown)
    assert shortage is not None
    assert (shortage.code, shortage.retry_after) == ("unknown_price", 0)
    assert "nobody-knows" in shortage.message
    assert "ceiling price" in shortage.message
    budget(cast, 100, window="day", unit="tokens", model="gpt-4o")
    shortage = take(cast, call(cast, model="gpt-4o"), Cost(CENT, None, model="gpt-4o"))
    assert shortage is not None
    assert (shortage.code, "estimated_usage" in shortage.message) == ("unknown_price", True)


def test_a_call_waits_only_while_calls_in_flight_are_in_the_way(cast: Cast) -> None:
    budget(cast, 10 * CENT, window="day")
    assert take(cast, call(cast), usd(6)) is None
    shortage = take(cast, call(cast), usd(5))
    assert shortage is not None
    assert (shortage.code, shortage.retry_after) == ("budget_busy", 1)
    spend(6, "2026-03-04")
    shortage = take(cast, call(cast), usd(5))
    assert shortage is not None
    # Noon in UTC is eleven hours before Berlin's midnight.
    assert (shortage.code, shortage.retry_after) == ("budget_exhausted", 11 * 3600)
    assert "$0.04 left" in shortage.message
    assert "needs $0.05" in shortage.message


def test_a_budget_that_denies_is_never_busy_and_promises_nothing(cast: Cast) -> None:
    budget(cast, 10 * CENT, window="day", when_short="deny")
    assert take(cast, call(cast), usd(6)) is None
    shortage = take(cast, call(cast), usd(5))
    assert shortage is not None
    assert (shortage.code, shortage.retry_after) == ("budget_exhausted", 0)


def test_for_ever_has_no_end_to_wait_for(cast: Cast) -> None:
    budget(cast, CENT)
    shortage = take(cast, call(cast), usd(2))
    assert shortage is not None
    assert (shortage.retry_after, "owner" in shortage.message) == (0, True)


@pytest.mark.parametrize("first", ["deny", "wait", "downgrade", "ask"])
@pytest.mark.parametrize("second", ["deny", "wait", "downgrade", "ask"])
def test_the_strictest_policy_counts(cast: Cast, first: str, second: str) -> None:
    order = ["deny", "wait", "downgrade", "ask"]
    for window, policy in (("ever", first), ("month", second)):
        more = {"downgrade_to": "cheap"} if policy == "downgrade" else {}
        budget(cast, CENT, window=window, when_short=policy, **more)
    shortage = take(cast, call(cast, model="dear"), usd(2))
    strictest = min(first, second, key=order.index)
    assert shortage is not None
    assert shortage.code == "budget_exhausted"
    assert bool(shortage.asks) == (strictest == "ask")
    assert shortage.downgrade == ("cheap" if strictest == "downgrade" else "")
    assert shortage.retry_after == 0  # one of the two never ends


def test_every_budget_that_asks_is_asked_about_at_once(cast: Cast) -> None:
    rows = [budget(cast, 5 * CENT, window=window, when_short="ask") for window in ("ever", "month")]
    assert take(cast, call(cast), usd(3)) is None
    assert code(take(cast, call(cast), usd(4))) == "budget_busy"
    Account.objects.update(held=2 * CENT, spent=CENT)
    shortage = take(cast, call(cast), usd(5))
    assert shortage is not None
    wanted = [(spec.public_id, amount) for spec, amount in shortage.asks]
    assert wanted == [(row.public_id, 3 * CENT) for row in rows]


def test_a_lifted_budget_is_raised_by_exactly_what_is_missing(cast: Cast) -> None:
    row = budget(cast, 5 * CENT, when_short="ask")
    assert take(cast, call(cast), usd(4)) is None
    spend(4)
    one, lifted = call(cast), frozenset([f"budget:{row.public_id}"])
    batch = ledger(cast, one)
    assert batch.check(one, usd(3), lifted=lifted) is None
    assert batch.hold(one, usd(3), "dec_raised", lifted=lifted) == {row.public_id: 2 * CENT}
    batch.store()
    account = Account.objects.get()
    assert (account.raised, account.limit_amount, account.held) == (2 * CENT, 7 * CENT, 3 * CENT)
    assert account.overage == 0
    assert code(take(cast, call(cast), usd(1))) == "budget_busy"


def test_a_lift_says_nothing_of_a_budget_that_does_not_ask(cast: Cast) -> None:
    row = budget(cast, CENT)
    one = call(cast)
    lifted = frozenset([f"budget:{row.public_id}"])
    assert code(ledger(cast, one).check(one, usd(2), lifted=lifted)) == "budget_exhausted"


def test_one_call_takes_at_most_a_fifth_of_what_everybody_shares(cast: Cast) -> None:
    budget(cast, 10 * CENT, agent=None)
    assert take(cast, call(cast), usd(2)) is None
    shortage = take(cast, call(cast), Cost(2 * CENT + 1))
    assert shortage is not None
    assert (shortage.code, "a fifth" in shortage.message) == ("budget_exhausted", True)


def test_conditions_see_dollars_over_all_tools_and_models(cast: Cast) -> None:
    budget(cast, 10 * CENT)
    budget(cast, 10 * CENT, tool="files.read", window="day")
    budget(cast, 1000, unit="tokens", window="month")
    one = call(cast)
    take(cast, one, Cost(3 * CENT, 7))
    assert ledger(cast, one).spend_view(one) == {"agent_ever": 0.03}


def test_budgets_of_others_are_not_looked_at(cast: Cast) -> None:
    mine = budget(cast, CENT)
    budget(cast, 0, agent=cast.support_bot)
    book = load_budgets(cast.acme.pk)
    assert [spec.id for spec in book.for_call(cast.report_bot.pk, "files.read", "")] == [mine.pk]
    named = [book.for_call(cast.report_bot.pk, f"tool-{n}", f"model-{n}") for n in range(50)]
    assert len(set(named)) == len(book.found) == 1  # names that no budget tells apart are not remembered


def test_a_changed_budget_is_read_again_and_a_removed_one_forgotten(cast: Cast) -> None:
    kept, gone = budget(cast, CENT), budget(cast, CENT, window="day")
    book, changed = load_budgets(cast.acme.pk), {kept.pk, gone.pk}
    budget(cast, 2 * CENT)
    limits.remove_budget(gone, actor=ACTOR)
    book.read_again(changed)
    assert [spec.limit for spec in book.for_call(cast.report_bot.pk, "x", "")] == [2 * CENT]


@pytest.mark.parametrize(
    ("window", "now", "start", "hours"),
    [
        ("day", "2026-03-29T00:30+01:00", "2026-03-29", 22.5),  # clocks go forward that night
        ("day", "2026-10-25T00:30+02:00", "2026-10-25", 24.5),  # and back in October
        ("week", "2026-03-29T23:00+02:00", "2026-03-23", 1),
        ("month", "2026-12-31T23:00+01:00", "2026-12-01", 1),
        ("month", "2026-02-01T00:00+01:00", "2026-02-01", 28 * 24),
    ],
)
def test_windows_are_of_the_workspaces_calendar(window: str, now: str, start: str, hours: float) -> None:
    moment = datetime.fromisoformat(now)
    assert window_start(window, moment, "Europe/Berlin") == start
    end = window_end(window, moment, "Europe/Berlin")
    assert end is not None
    assert end.astimezone(UTC) - moment.astimezone(UTC) == timedelta(hours=hours)
    assert window_start(window, end, "Europe/Berlin") > start
    assert window_start(window, end - timedelta(microseconds=1), "Europe/Berlin") == start
