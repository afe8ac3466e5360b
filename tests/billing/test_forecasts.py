"""What a window will have cost, and what a session costs more and more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import slopes
from billing.forecasts import MINIMUM, forecast

AMOUNT = st.integers(0, 10**15)
DAYS = st.lists(AMOUNT, max_size=40)
LEFT = st.floats(0, 31)


def test_a_steady_agent_goes_on_as_it_did() -> None:
    found = forecast(500, [100] * 10, 5)
    assert found is not None
    assert (found.expected, found.low, found.high, found.days) == (1000, 1000, 1000, 10)


@pytest.mark.parametrize("days", [[], [100], [100, 90], [0, 0, 0, 0, 100, 90]])
def test_too_few_days_say_nothing(days: list[int]) -> None:
    assert forecast(10, days, 3) is None


def test_at_the_end_it_is_what_was_spent() -> None:
    found = forecast(77, [], 0)
    assert found is not None
    assert (found.expected, found.low, found.high) == (77, 77, 77)


def test_the_fewer_days_are_known_the_wider_it_is() -> None:
    few, many = forecast(0, [50, 150] * 2, 10), forecast(0, [50, 150] * 10, 10)
    assert few is not None
    assert many is not None
    assert few.expected == many.expected == 1000
    assert few.high - few.low > many.high - many.low


@given(AMOUNT, DAYS, LEFT)
def test_what_is_expected_lies_between_and_nothing_is_unspent(
    spent: int, days: list[int], left: float
) -> None:
    found = forecast(spent, days, left)
    if found is None:
        assert left > 0
        assert len(days) < MINIMUM or not any(days[: len(days) - MINIMUM + 1])
        return
    assert spent <= found.low <= found.expected <= found.high


@given(st.lists(st.integers(1, 10**6), min_size=MINIMUM, max_size=30), st.floats(0.1, 15))
def test_more_time_is_more_money(days: list[int], left: float) -> None:
    sooner, later = forecast(0, days, left), forecast(0, days, left * 2)
    assert sooner is not None
    assert later is not None
    assert sooner.expected <= later.expected
    assert sooner.high <= later.high


@given(st.lists(st.integers(0, 10**6), min_size=MINIMUM, max_size=30), st.floats(0.1, 15), AMOUNT)
def test_what_was_spent_is_added_and_changes_nothing_else(days: list[int], left: float, spent: int) -> None:
    without, with_it = forecast(0, days, left), forecast(spent, days, left)
    if without is None or with_it is None:
        assert without is with_it
        return
    assert abs(with_it.expected - without.expected - spent) <= 1


def test_sessions_that_cost_twice_as_much_have_grown() -> None:
    found = slopes.growth([100] * 4 + [150] * 4 + [200] * 4)
    assert found is not None
    assert (found.sessions, found.before, found.after, found.extra) == (12, 100, 200, 600)


@pytest.mark.parametrize(
    "costs",
    [
        [100] * 4 + [200] * 4,  # too few
        [100] * 11 + [9000],  # one dear session
        [100] * 4 + [300] * 4 + [200] * 4,  # up and down
        [100] * 12,
        [200] * 6 + [100] * 6,
        [0] * 12,
    ],
)
def test_what_is_no_trend_is_none(costs: list[int]) -> None:
    assert slopes.growth(costs) is None


@given(st.lists(AMOUNT, max_size=200))
def test_a_chart_shows_the_same_in_few_bars(costs: list[int]) -> None:
    bars = slopes.condensed(costs)
    assert len(bars) == min(len(costs), slopes.BARS)
    assert not bars or min(costs) <= min(bars) <= max(bars) <= max(costs)
