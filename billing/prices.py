"""A workspace's prices: its own, by the day from which they hold, and behind them the public list."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from billing import public_list
from billing.model_names import endings, folded
from billing.models import Price
from billing.public_list import warm
from billing.rates import ModelPrice

__all__ = ["CEILING", "ModelPrice", "PriceList", "load_prices", "warm"]

CEILING = "*"


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one workspace: of each model by its folded name, the first days and what holds from then on, oldest
    first."""

    own: Mapping[str, tuple[list[date], list[ModelPrice]]] = field(default_factory=dict)

    def of(self, model: str, on: date) -> ModelPrice | None:
        """What a model costs on a day: the workspace's price, else the public list's; None where nobody knows.
        The ceiling is not looked at."""
        name = folded(model)
        if name == CEILING:
            return None
        own = (self.ours(ending, on) for ending in endings(name) if ending != CEILING) if self.own else ()
        return next((price for price in own if price), None) or public_list.price_of(model, on)

    def ceiling(self, on: date) -> ModelPrice | None:
        """The price of whatever has no other, where the workspace set one."""
        return self.ours(CEILING, on)

    def ours(self, model: str, on: date) -> ModelPrice | None:
        """The workspace's own price of a day; None where it has none, or took it back."""
        if model not in self.own:
            return None
        starts, prices = self.own[model]
        at = bisect_right(starts, on)
        return prices[at - 1] if at and not prices[at - 1].says_nothing else None


def load_prices(workspace_id: int) -> PriceList:
    """The workspace's prices, as a snapshot keeps them."""
    return compile_prices(Price.objects.filter(workspace_id=workspace_id).order_by("starts", "pk"))


def compile_prices(rows: Iterable[Price]) -> PriceList:
    """Rows ordered by their first day, and of one day the newest last."""
    own: dict[str, tuple[list[date], list[ModelPrice]]] = defaultdict(lambda: ([], []))
    for row in rows:
        starts, prices = own[folded(row.model)]
        starts.append(row.starts)
        prices.append(priced(row))
    return PriceList(dict(own))


def priced(row: Price) -> ModelPrice:
    """A row as judged."""
    return ModelPrice(
        row.public_id,
        row.input_nanos,
        row.output_nanos,
        row.cache_read_nanos,
        row.cache_write_nanos,
        row.call_nanos,
        source="workspace",
    )
