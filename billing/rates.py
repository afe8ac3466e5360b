"""What a model costs by its tokens: pure arithmetic in integers of nano-US-dollars, rounded up to a nano once."""

from collections.abc import Mapping
from dataclasses import dataclass

MILLION = 10**6
# The four kinds are disjoint: tokens read from the cache or written to it are not among the input tokens.
READ = ("input_tokens", "cache_read_tokens", "cache_write_tokens")
KINDS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a request that reads more than ``above`` tokens: they hold for all of its tokens."""

    above: int
    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """What one model costs on one day, in nano-US-dollars a million tokens, and ``call`` a request.

    None is unknown, and 0 is free; a cache rate that is None is the input's. ``version`` is what a charge keeps: a
    price's public id, or the list's version; ``source`` says whose price it is (``openai:gpt-4o``).
    """

    version: str
    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    call: int | None = None
    tiers: tuple[Tier, ...] = ()
    source: str = ""

    @property
    def says_nothing(self) -> bool:
        """Whether no rate is known: how a workspace takes a price of its own back."""
        rates = (self.input, self.output, self.cache_read, self.cache_write, self.call)
        return not self.tiers and all(rate is None for rate in rates)

    def cost(self, usage: Mapping[str, int] | None) -> int | None:
        """What a request with these tokens costs; None where a kind that it used has no known rate.
        Without a usage it is the price of the call alone."""
        if usage is None:
            return self.call
        if self.says_nothing:
            return None
        rates = self.rates(sum(usage.get(kind) or 0 for kind in READ))
        total = 0
        for kind, rate in zip(KINDS, rates, strict=True):
            tokens = usage.get(kind) or 0
            if tokens and rate is None:
                return None
            total += tokens * (rate or 0)
        return -(-total // MILLION) + (self.call or 0)

    def rates(self, read: int) -> tuple[int | None, int | None, int | None, int | None]:
        """The rates of a request that reads so many tokens, in the order of KINDS."""
        found: ModelPrice | Tier = self
        for tier in self.tiers:
            if read > tier.above:
                found = tier
        cache = (found.cache_read, found.cache_write)
        filled = [found.input if rate is None else rate for rate in cache]
        return found.input, found.output, filled[0], filled[1]
