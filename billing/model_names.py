"""When two names mean the same model, so that no budget is evaded by another spelling of it."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from billing import public_list

MOST_NAMES = 8192  # agents choose names; so many are remembered


@lru_cache(MOST_NAMES)
def folded(name: str) -> str:
    """A name without what spellings of it differ by: case, spaces, full width, marks, kinds of dash, characters that
    nobody sees, and whether its provider stands before ``:`` or ``/``."""
    plain = []
    for character in unicodedata.normalize("NFKC", name):
        category = unicodedata.category(character)
        if category == "Pd":
            plain.append("-")
        elif category[0] not in "CMZ":
            plain.append(character)
    return "".join(plain).casefold().replace(":", "/")


def endings(name: str) -> list[str]:
    """A folded name, and what is left of it without the providers that stand before it."""
    parts = name.split("/")
    return ["/".join(parts[first:]) for first in range(len(parts)) if parts[first:] != [""]]


@lru_cache(MOST_NAMES)
def identity(name: str) -> str:
    """The model as ``provider:model`` of the public list, whichever of its names this is; empty where the list does not
    know it."""
    found = public_list.find(name) or public_list.find(folded(name))
    return f"{found[0].id}:{found[1].id}" if found else ""


def same_model(one: str, other: str) -> bool:
    """Whether both names mean one model. A name without a provider is that model of every provider."""
    return bool(NamedModels([one]).meant(other))


class NamedModels:
    """Names of models, found by whatever names calls give them, without looking at the others."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.by_name: dict[str, set[str]] = defaultdict(set)
        self.by_ending: dict[str, set[str]] = defaultdict(set)
        self.by_identity: dict[str, set[str]] = defaultdict(set)
        for name in names:
            self.by_name[folded(name)].add(name)
            for ending in endings(folded(name)):
                self.by_ending[ending].add(name)
            if known := identity(name):
                self.by_identity[known].add(name)

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def meant(self, name: str) -> frozenset[str]:
        """Those of the names that mean the model of this name."""
        if not name or not self.by_name:
            return frozenset()
        full = folded(name)
        found = [self.by_ending.get(full), self.by_identity.get(identity(name))]
        found += [self.by_name.get(ending) for ending in endings(full)]
        return frozenset().union(*(names for names in found if names))
