"""How rules name tools and agents: exact names, globs with ``*``, and ``label:<label>``."""

from collections.abc import Iterable
from dataclasses import dataclass, field

LABEL = "label:"


@dataclass(frozen=True, slots=True)
class Glob:
    """Text in which ``*`` stands for any characters, dots and none included; case matters."""

    text: str

    @property
    def exact(self) -> bool:
        return "*" not in self.text

    def matches(self, name: str) -> bool:
        """Linear in the name: each fixed part is looked for once, leftmost first."""
        first, *rest = self.text.split("*")
        if not rest:
            return name == first
        *middle, last = rest
        if not (name.startswith(first) and name.endswith(last) and len(name) >= len(first) + len(last)):
            return False
        at, end = len(first), len(name) - len(last)
        for part in middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    def covers(self, other: "Glob") -> bool:
        """Whether every name that ``other`` matches is matched here.

        A star of ``other`` is replaced by a character that no name has, so that only a star can match it.
        """
        return self.matches(other.text.replace("*", "\0"))


@dataclass(frozen=True, slots=True)
class Selector:
    """The compiled ``tools`` or ``agents`` of a rule. ``exact`` is what an index looks up."""

    exact: frozenset[str] = frozenset()
    globs: tuple[Glob, ...] = ()
    labels: frozenset[str] = frozenset()
    everything: bool = field(default=False)

    def matches(self, name: str, labels: Iterable[str] = ()) -> bool:
        """Whether this selects what has that name and these labels."""
        return (
            self.everything
            or name in self.exact
            or (bool(self.labels) and not self.labels.isdisjoint(labels))
            or any(glob.matches(name) for glob in self.globs)
        )


def compile_selector(texts: Iterable[str], *, with_labels: bool = False) -> Selector:
    """``with_labels`` is for agents: there ``label:<label>`` selects by label. No texts select everything."""
    exact: set[str] = set()
    labels: set[str] = set()
    globs: list[Glob] = []
    everything = True
    for text in texts:
        everything = False
        if with_labels and text.startswith(LABEL):
            labels.add(text.removeprefix(LABEL))
        elif "*" in text:
            globs.append(Glob(text))
        else:
            exact.add(text)
    return Selector(frozenset(exact), tuple(globs), frozenset(labels), everything or Glob("*") in globs)
