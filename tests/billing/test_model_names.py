"""One model by many names: what another spelling of it does not evade."""

from datetime import date

import pytest

from billing.costs import cost_of
from billing.model_names import NamedModels, same_model
from billing.prices import CEILING, ModelPrice, PriceList

DAY = date(2026, 3, 4)
OURS = ModelPrice("prc_1", input=2 * 10**6, output=8 * 10**6)


@pytest.mark.parametrize(
    "name",
    ["GPT-4o", " gpt-4o", "gpt-4o\u200b", "ｇｐｔ-4o", "gpt\u20104o", "openai:gpt-4o", "openai/gpt-4o",
     "openrouter/openai/gpt-4o", "gpt-4o-2024-08-06"],
)  # fmt: skip
def test_another_spelling_is_the_same_model(name: str) -> None:
    assert same_model("gpt-4o", name)
    assert same_model(name, "gpt-4o")


@pytest.mark.parametrize("name", ["", "gpt-4o-mini", "4o", "gpt-4", "openai/", "/", "claude-sonnet-4-5"])
def test_another_model_is_another(name: str) -> None:
    assert not NamedModels(["gpt-4o"]).meant(name)


def test_a_provider_tells_models_apart_that_both_name_one() -> None:
    names = NamedModels(["azure/ours", "acme/ours", "ours"])
    assert names.meant("acme:ours") == {"acme/ours", "ours"}
    assert names.meant("Ours") == {"azure/ours", "acme/ours", "ours"}


def test_a_workspaces_price_holds_for_every_spelling_and_the_ceiling_is_no_model() -> None:
    prices = PriceList({"ours": ([DAY], [OURS]), CEILING: ([DAY], [ModelPrice("prc_top", call=5)])})
    assert prices.of("ACME/Ours ", DAY) == OURS
    for name in (CEILING, " *", "acme/*"):
        assert prices.of(name, DAY) is None


def test_a_metered_tool_holds_at_least_the_ceilings_price_of_a_call() -> None:
    prices = PriceList({"ours": ([DAY], [OURS]), CEILING: ([DAY], [ModelPrice("prc_top", call=5000)])})
    tiny = {"input_tokens": 1}
    cost = cost_of(prices, DAY, model="ours", usage=tiny, metered=True)
    assert (cost.nanos, cost.basis, cost.price) == (5000, "ceiling", "prc_top")
    assert cost_of(prices, DAY, model="ours", usage=tiny, metered=True, trusted=True).nanos == 2
    assert cost_of(prices, DAY, model="ours", usage=tiny, metered=True, declared=1).nanos == 2
    assert cost_of(prices, DAY, model="ours", usage={"input_tokens": 10**6}, metered=True).nanos == 2 * 10**6
