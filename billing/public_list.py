"""The public price list: the data bundled with genai-prices, which is never updated from the network.

The package takes 0.3 s to import, so it is imported when a model is first named; ``warm`` does it ahead, outside
locks. What a model costs on a day is worked out once.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from billing.rates import ModelPrice, Tier

if TYPE_CHECKING:
    from genai_prices import types
    from genai_prices.data_snapshot import DataSnapshot

NANOS = 10**9
PREFIX = re.compile(r"([A-Za-z0-9_-]+)[:/](.+)", re.DOTALL)
LONGEST = 200
DIGIT = re.compile(r"[0-9]")
DATE = 6  # digits and more are a date
SPECIAL = re.compile(
    r"audio|embed|extended|image|instruct|live|omni|realtime|search|speech|tts|transcribe|video|vision"
)
# Columns of the list in the order of rates.KINDS.
COLUMNS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")
CALLS = "requests_kcount"


def warm() -> None:
    """Import the list, so that nobody waits for it later."""
    listed()


@lru_cache(maxsize=1)
def listed() -> "DataSnapshot":
    """The bundled list."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


@lru_cache(maxsize=1)
def version() -> str:
    """What charges keep as their price: ``genai-prices 0.2.3``."""
    from genai_prices import __version__

    return f"genai-prices {__version__}"


@lru_cache(maxsize=8192)
def price_of(model: str, on: date) -> ModelPrice | None:
    """What the list says of a model on a day; None where it does not know it by its tokens or calls."""
    found = find(model)
    return compiled(found[0], found[1], on) if found else None


def find(model: str) -> "tuple[types.Provider, types.ModelInfo] | None":
    """The provider and model meant by ``provider:model``, ``provider/model`` or a plain name. A prefix that is no
    provider's name is somebody else, whose price nobody knows."""
    if not model or len(model) > LONGEST:
        return None
    from genai_prices.data_snapshot import find_provider_by_id

    prefixed = PREFIX.fullmatch(model)
    provider = find_provider_by_id(listed().providers, prefixed[1]) if prefixed else None
    try:
        if prefixed and provider:
            return listed().find_provider_model(prefixed[2], provider, None, None)
        found = listed().find_provider_model(model, None, None, None)
    except LookupError:
        return None
    told = found[0].model_match
    foreign = bool(prefixed and told and told.is_match(prefixed[2].lower()))
    return None if foreign else found


def siblings(model: str) -> list[str]:
    """Other models of the same provider, generation and use, as ``provider:model``: for a large model the smaller ones
    that came with it. Without those that the list calls outdated."""
    found = find(model)
    if found is None:
        return []
    provider, own = found
    return [
        f"{provider.id}:{other.id}"
        for other in provider.models
        if other.id != own.id and family(other.id) == family(own.id) and not other.deprecated
    ]


def family(name: str) -> tuple[str, ...]:
    """The first word of a model's name, what in it has digits (but dates), and what it is made for."""
    words = re.split(r"[-_:/ ]", name.lower())
    marks = [word for word in words[1:] if SPECIAL.search(word) or (DIGIT.search(word) and len(word) < DATE)]
    return (words[0], *marks)


def compiled(provider: "types.Provider", model: "types.ModelInfo", on: date) -> ModelPrice | None:
    """A listed model's price on a day. Where it changes with the time of day, the dearest rates count."""
    priced = [single(price) for price in in_force(model, on)]
    known = [price for price in priced if not price.says_nothing]
    if not known:
        return None
    return ModelPrice(
        version(),
        dearest(price.input for price in known),
        dearest(price.output for price in known),
        dearest(price.cache_read for price in known),
        dearest(price.cache_write for price in known),
        dearest(price.call for price in known),
        tiers=max((price.tiers for price in known), key=len),
        source=f"{provider.id}:{model.id}",
    )


def in_force(model: "types.ModelInfo", on: date) -> "list[types.ModelPrice]":
    """The price of the day, and those that take its place at some time of it. The list's later prices come before
    earlier ones; before the first known day the first counts."""
    from genai_prices.types import ModelPrice as Listed
    from genai_prices.types import TimeOfDateConstraint

    if isinstance(model.prices, Listed):
        return [model.prices]
    found = []
    for price in reversed(model.prices):
        if isinstance(price.constraint, TimeOfDateConstraint):
            found.append(price.prices)
        elif price.constraint is None or price.constraint.active(datetime.combine(on, time())):
            return [*found, price.prices]
    return [*found, model.prices[0].prices]


def single(price: "types.ModelPrice") -> ModelPrice:
    """One listed price with its tiers."""
    from genai_prices.types import TieredPrices

    values = [getattr(price, column) for column in COLUMNS]
    starts = {t.start for value in values if isinstance(value, TieredPrices) for t in value.tiers}
    calls = getattr(price, CALLS)
    return ModelPrice(
        version(),
        *rates_at(values, 0),
        nanos(calls / 1000) if isinstance(calls, Decimal) else None,
        tuple(Tier(start, *rates_at(values, start + 1)) for start in sorted(starts)),
    )


def rates_at(values: list[Any], read: int) -> tuple[int | None, int | None, int | None, int | None]:
    """The rates of a request that reads so many tokens, in the order of rates.KINDS."""
    input_rate, output_rate, cache_read, cache_write = (rate_at(value, read) for value in values)
    return input_rate, output_rate, cache_read, cache_write


def rate_at(value: "Decimal | types.TieredPrices | None", read: int) -> int | None:
    """The rate of a request that reads so many tokens."""
    if value is None or isinstance(value, Decimal):
        return None if value is None else nanos(value)
    price = value.base
    for tier in value.tiers:
        if read > tier.start:
            price = tier.price
    return nanos(price)


def nanos(dollars: Decimal) -> int:
    """Nano-dollars, rounded up. The list holds a few sums of floats (0.18000000000000002), so what stands behind the
    twelfth decimal is none of its meaning."""
    return int((dollars.quantize(Decimal("1e-12")) * NANOS).to_integral_value(ROUND_CEILING))


def dearest(rates: Iterable[int | None]) -> int | None:
    """The highest known rate."""
    return max((rate for rate in rates if rate is not None), default=None)


def search(text: str, on: date, most: int = 40) -> list[ModelPrice]:
    """Listed models whose name or provider has every word of the text, with their price of a day; the shortest names
    first."""
    words = text.lower().replace(":", " ").replace("/", " ").split()
    found = [
        (len(model.id), provider.id, model)
        for provider in listed().providers
        for model in provider.models
        if words and all(word in f"{provider.id} {model.id} {model.name or ''}".lower() for word in words)
    ]
    owners = {provider.id: provider for provider in listed().providers}
    found.sort(key=lambda each: each[:2])
    priced = (compiled(owners[provider], model, on) for _, provider, model in found[: most * 2])
    return [price for price in priced if price][:most]
