"""What a model costs: the public list with its history, and what workspaces set before it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from billing.models import Price
from billing.prices import PriceList, compile_prices
from billing.public_list import find, nanos, version
from billing.rates import ModelPrice, Tier

DAY = date(2026, 11, 1)
LISTED = PriceList()


def listed(model: str, on: date = DAY, prices: PriceList = LISTED) -> ModelPrice:
    """What is known to have a price."""
    price = prices.of(model, on)
    assert price is not None
    return price


def own(model: str, starts: date, **rates: int) -> Price:
    return Price(public_id=f"prc_{model}{starts}", model=model, starts=starts, **rates)


def test_listed_models_go_by_plain_names_and_by_their_provider() -> None:
    plain = listed("gpt-4o")
    assert plain.source == "openai:gpt-4o"
    assert plain.version == version()
    assert plain.version.startswith("genai-prices ")
    assert listed("openai:gpt-4o") == listed("openai/gpt-4o") == plain
    assert listed("openrouter/openai/gpt-4o").source == "openrouter:openai/gpt-4o"


@pytest.mark.parametrize(
    "name", ["", "no-such-model", "mine/claude-sonnet-4-5", "openai:no-such", "*", "x" * 201]
)
def test_what_nobody_knows_is_unknown(name: str) -> None:
    assert LISTED.of(name, DAY) is None


def test_every_listed_price_agrees_with_the_package() -> None:
    from genai_prices import Usage

    usage = {"input_tokens": 250_001, "output_tokens": 777, "cache_read_tokens": 13, "cache_write_tokens": 5}
    whole = Usage(input_tokens=250_019, output_tokens=777, cache_read_tokens=13, cache_write_tokens=5)
    for name in ("claude-sonnet-4-5", "gemini-2.5-pro", "gpt-4o", "gpt-5", "mistral-large-latest", "grok-4"):
        found = find(name)
        assert found is not None
        provider, model = found
        bought = model.calc_price(whole, provider, genai_request_timestamp=datetime(2026, 11, 1, tzinfo=UTC))
        ours = listed(name).cost(usage)
        assert ours is not None
        assert abs(ours - bought.total_price * 10**9) < 1, name


def test_the_list_knows_what_a_model_cost_then() -> None:
    changed = datetime(2025, 6, 10, tzinfo=UTC).date()
    before, after = listed("o3", changed - timedelta(days=1)), listed("o3", changed)
    assert (before.input, after.input) == (10_000_000_000, 2_000_000_000)


def test_where_the_price_changes_with_the_hour_the_dearest_counts() -> None:
    assert listed("deepseek-v4-pro").input == 1_320_000_000


def test_floats_of_the_list_are_read_as_they_were_meant() -> None:
    from decimal import Decimal

    assert nanos(Decimal("0.18000000000000002")) == 180_000_000
    assert nanos(Decimal("0.0833333333333")) == 83_333_334


def test_costs_are_rounded_up_to_a_nano_once() -> None:
    price = ModelPrice("v", 1, 1)
    assert price.cost({"input_tokens": 1, "output_tokens": 1}) == 1
    assert price.cost({"input_tokens": 10**6, "output_tokens": 1}) == 2
    assert price.cost({"input_tokens": 10**12}) == 10**6


def test_a_rate_that_is_unknown_is_not_zero_and_zero_is_not_unknown() -> None:
    price = ModelPrice("v", input=0, output=None)
    assert price.cost({"input_tokens": 5}) == 0
    assert price.cost({"output_tokens": 5}) is None
    assert price.cost({"input_tokens": 5, "output_tokens": 0}) == 0
    assert price.cost(None) is None
    assert ModelPrice("v", call=7).cost({"input_tokens": 1}) is None
    assert ModelPrice("v", call=7).cost({}) == ModelPrice("v", call=7).cost(None) == 7
    assert ModelPrice("v").cost({}) is None


def test_cached_tokens_without_a_rate_cost_what_input_costs() -> None:
    price = ModelPrice("v", input=10**6, cache_write=10**7)
    assert price.cost({"cache_read_tokens": 3, "cache_write_tokens": 2}) == 23


def test_a_long_request_pays_its_tier_for_all_its_tokens() -> None:
    price = ModelPrice("v", 10**6, 10**6, tiers=(Tier(100, 2 * 10**6, 3 * 10**6, None, None),))
    assert price.cost({"input_tokens": 100, "output_tokens": 500}) == 600
    assert price.cost({"input_tokens": 101}) == 202
    assert price.cost({"input_tokens": 60, "cache_read_tokens": 41, "output_tokens": 1}) == 205


def test_the_latest_day_that_has_begun_wins() -> None:
    prices = compile_prices(
        [own("gpt-4o", date(2026, 1, 1), input_nanos=1), own("gpt-4o", date(2026, 11, 2), input_nanos=2)]
    )
    assert listed("gpt-4o", date(2025, 12, 31), prices).source == "openai:gpt-4o"
    assert listed("gpt-4o", DAY, prices).version == "prc_gpt-4o2026-01-01"
    assert listed("gpt-4o", date(2026, 11, 2), prices).input == 2


def test_a_correction_of_a_day_takes_the_place_of_what_stood_there() -> None:
    rows = [own("m", DAY, input_nanos=1), own("m", DAY, input_nanos=2)]
    assert listed("m", DAY, compile_prices(rows)).input == 2


def test_a_price_that_says_nothing_gives_the_public_one_back() -> None:
    prices = compile_prices([own("gpt-4o", date(2026, 1, 1), input_nanos=1), own("gpt-4o", DAY)])
    assert listed("gpt-4o", DAY, prices).source == "openai:gpt-4o"


def test_the_ceiling_is_asked_for_by_itself() -> None:
    prices = compile_prices([own("*", DAY, call_nanos=5)])
    assert prices.of("no-such-model", DAY) is None
    assert prices.of("*", DAY) is None
    ceiling = prices.ceiling(DAY)
    assert ceiling is not None
    assert ceiling.call == 5
    assert prices.ceiling(DAY - timedelta(days=1)) is None
