"""What a call is expected to cost, by what its tool declares and its agent says."""

from datetime import date

import pytest

from billing.costs import cost_of
from billing.prices import CEILING, ModelPrice, PriceList

DAY = date(2026, 3, 4)
USAGE = {"input_tokens": 1000, "output_tokens": 100}
# 1000 tokens at 2 nano-dollars and 100 at 8: 2800 nano-dollars.
OURS = ModelPrice("prc_1", input=2 * 10**6, output=8 * 10**6)
PRICES = PriceList({"ours": ([DAY], [OURS])})
CEILED = PriceList({
    **PRICES.own,
    CEILING: ([DAY], [ModelPrice("prc_top", input=10**7, output=10**7, call=50_000)]),
})  # fmt: skip


def test_nothing_said_is_nothing_held() -> None:
    cost = cost_of(PRICES, DAY)
    assert (cost.nanos, cost.tokens, cost.basis, cost.is_kept) == (0, 0, "", False)


@pytest.mark.parametrize(
    ("declared", "estimated", "nanos", "basis"),
    [
        (70, None, 70, "declared"),
        (None, 40, 40, "estimated"),
        (70, 40, 70, "declared"),
        (40, 70, 70, "estimated"),
    ],
)
def test_the_greater_of_what_is_declared_and_estimated(
    declared: int | None, estimated: int | None, nanos: int, basis: str
) -> None:
    cost = cost_of(PRICES, DAY, declared=declared, estimated=estimated)
    assert (cost.nanos, cost.basis) == (nanos, basis)


def test_tokens_cost_what_the_model_costs() -> None:
    cost = cost_of(PRICES, DAY, model="ours", usage=USAGE)
    assert (cost.nanos, cost.tokens, cost.basis, cost.price) == (2800, 1100, "priced", "prc_1")


def test_naming_a_cheap_model_lowers_nothing() -> None:
    assert cost_of(PRICES, DAY, declared=5000, model="ours", usage=USAGE).nanos == 5000
    estimate = cost_of(PRICES, DAY, estimated=3000, model="ours", usage=USAGE)
    assert (estimate.nanos, estimate.basis, estimate.price) == (3000, "estimated", "")


def test_a_model_without_a_price_is_unknown_whatever_the_agent_estimates() -> None:
    for said in (USAGE, None):
        assert cost_of(PRICES, DAY, model="nobody-knows", usage=said, estimated=5).nanos is None
    trusted = cost_of(PRICES, DAY, model="nobody-knows", usage=USAGE, estimated=5, trusted=True)
    assert (trusted.nanos, trusted.basis) == (5, "estimated")
    assert cost_of(PRICES, DAY, model="nobody-knows", usage=USAGE, declared=70).nanos == 70


def test_the_ceiling_price_counts_for_what_has_no_other() -> None:
    cost = cost_of(CEILED, DAY, model="nobody-knows", usage=USAGE)
    assert (cost.nanos, cost.basis, cost.price) == (11_000 + 50_000, "ceiling", "prc_top")
    assert cost_of(CEILED, DAY, model="ours", usage=USAGE).nanos == 2800
    assert cost_of(CEILED, date(2026, 3, 3), model="nobody-knows", usage=USAGE).nanos is None


def test_a_priced_model_without_tokens_takes_an_estimate() -> None:
    for nothing in (None, {}, {"input_tokens": 0}):
        assert cost_of(PRICES, DAY, model="ours", usage=nothing).nanos is None
    assert cost_of(PRICES, DAY, model="ours").tokens is None
    assert cost_of(PRICES, DAY, model="ours", estimated=5).nanos == 5
    assert cost_of(PRICES, DAY, model="ours", estimated=5, metered=True).nanos is None


def test_a_metered_tool_costs_something_in_any_case() -> None:
    assert cost_of(PRICES, DAY, metered=True).nanos is None
    assert cost_of(PRICES, DAY, metered=True, estimated=5).nanos is None
    assert cost_of(PRICES, DAY, metered=True, estimated=5, trusted=True).nanos == 5
    assert cost_of(PRICES, DAY, metered=True, declared=0).nanos == 0
    assert cost_of(CEILED, DAY, metered=True).nanos == 50_000
    assert cost_of(CEILED, DAY, metered=True, estimated=60_000).nanos == 60_000
    assert cost_of(PRICES, DAY, metered=True, model="ours", usage=USAGE).nanos == 2800


def test_a_model_of_the_public_list_is_priced_by_it() -> None:
    cost = cost_of(PriceList(), DAY, model="gpt-4o", usage=USAGE)
    assert cost.nanos is not None
    assert cost.nanos > 0
    assert cost.price.startswith("genai-prices ")
