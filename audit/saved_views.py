"""Searches of a log that a person keeps for themselves: no configuration, and nobody else's business."""

from typing import Any

from audit.models import SavedView

MOST = 50  # views of one person in one log


class TooManyViews(ValueError):
    """The person keeps as many as there may be; the message says what to do."""


def of_person(person: Any, log_id: int) -> list[SavedView]:
    """The person's own views of a log, by name."""
    return list(SavedView.objects.filter(person=person, log_id=log_id).order_by("name")[:MOST])


def save(person: Any, log_id: int, *, name: str, query: str) -> SavedView:
    """Keep a search under a name; one of that name is replaced. Raises TooManyViews."""
    own = SavedView.objects.filter(person=person, log_id=log_id)
    if own.exclude(name=name).count() >= MOST:
        raise TooManyViews(f"You keep {MOST} views of this log already; remove one first.")
    return own.update_or_create(person=person, log_id=log_id, name=name, defaults={"query": query})[0]


def remove(person: Any, log_id: int, public_id: str) -> bool:
    """Forget a view of one's own; False where there is none of this id."""
    return bool(SavedView.objects.filter(person=person, log_id=log_id, public_id=public_id).delete()[0])
