"""What another app must agree to before a tool, a resource or an agent changes. Asked under the lock, whoever calls."""

from typing import Any, Protocol

from django.db.models import Model


class Guard(Protocol):
    """Raises Guarded for a change that this actor may not make; None before is a new row, None after a removal."""

    def __call__(self, before: Any, after: Any, *, actor: str) -> None: ...


guards: dict[type[Model], Guard] = {}


def register(model: type[Model], guard: Guard) -> None:
    """Have this function asked before rows of a model change."""
    guards[model] = guard


def ask(before: Model | None, after: Model | None, *, actor: str) -> None:
    """Raise Guarded where the registered guard refuses; without one every change is allowed."""
    row = after if after is not None else before
    if row is not None and (guard := guards.get(type(row))):
        guard(before, after, actor=actor)
