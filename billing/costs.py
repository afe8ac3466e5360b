"""What a call is expected to cost, before it is made. Pure: prices, a day and what was said in, a cost out."""

from collections.abc import Mapping
from datetime import date

from billing.book import Cost
from billing.models import Hold
from billing.prices import PriceList

Basis = Hold.Basis


def cost_of(
    prices: PriceList,
    day: date,
    *,
    declared: int | None = None,
    metered: bool = False,
    trusted: bool = False,
    estimated: int | None = None,
    model: str = "",
    usage: Mapping[str, int] | None = None,
) -> Cost:
    """The cost of a call on a day of the workspace's calendar.

    ``declared`` is what the tool says (nano-US-dollars), ``metered`` that a call of it costs something in any case,
    ``trusted`` that what agents report of it counts. ``estimated``, ``model`` and ``usage`` (tokens by kind) are what
    the agent says. It is never less than what is declared and estimated: naming a cheap model lowers nothing. A metered
    tool that declares nothing and is not trusted costs at least the ceiling's price of a call, where there is one.
    """
    if usage is not None and not any(usage.values()):
        usage = None  # no tokens at all are no estimate
    tokens = sum(usage.values()) if usage is not None else None if model else 0
    floor = max(declared or 0, estimated or 0)
    basis = Basis.DECLARED if declared is not None and declared >= floor else Basis.ESTIMATED
    if not floor and declared is None:
        basis = Basis.NONE
    said = Cost(floor, tokens, basis.value, "", model, usage)
    if not model and not (metered and declared is None):
        return said
    amount, kind, version = priced(prices, day, model, usage)
    ceiling = prices.ceiling(day) if metered and declared is None and not trusted else None
    if ceiling and ceiling.call is not None and ceiling.call > (amount or 0):
        amount, kind, version = ceiling.call, Basis.CEILING, ceiling.version
    if amount is not None:
        return said if floor > amount else Cost(amount, tokens, kind.value, version, model, usage)
    estimate_suffices = trusted or (bool(version) and not metered and usage is None)
    if declared is not None or (estimated is not None and estimate_suffices):
        return said
    return Cost(None, tokens, Basis.NONE.value, "", model, usage)


def priced(
    prices: PriceList, day: date, model: str, usage: Mapping[str, int] | None
) -> tuple[int | None, Hold.Basis, str]:
    """What the tokens cost at the model's price, else at the ceiling price; (None, …) where neither says. The version
    is that of the price that was found, even where it does not say enough."""
    price = prices.of(model, day) if model else None
    if price is not None and (amount := price.cost(usage)) is not None:
        return amount, Basis.PRICED, price.version
    version = price.version if price else ""
    if (ceiling := prices.ceiling(day)) is None:
        return None, Basis.NONE, version
    amount = ceiling.cost(usage)
    if amount is None and not model:
        amount = ceiling.call
    return (None, Basis.NONE, version) if amount is None else (amount, Basis.CEILING, ceiling.version)
