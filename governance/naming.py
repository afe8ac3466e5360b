"""Names for the public ids by which entries speak of people and agents."""

from collections.abc import Iterable
from typing import Any

from audit import registry
from audit.models import Entry
from governance.presentation import visible
from workspaces.models import Agent, User


def names_of(ids: Iterable[str]) -> dict[str, str]:
    """Display name by public id, in two queries at most; actors such as ``person:usr_…`` are taken apart."""
    bare = {text.rpartition(":")[2] for text in ids}
    people = {text for text in bare if text.startswith("usr_")}
    agents = {text for text in bare if text.startswith("agt_")}
    names: dict[str, str] = {}
    if people:
        names |= {person.public_id: str(person) for person in User.objects.filter(public_id__in=people)}
    if agents:
        names |= dict(Agent.objects.filter(public_id__in=agents).values_list("public_id", "name"))
    return names


def actor(text: str, names: dict[str, str]) -> str:
    """An actor in words: the person's or agent's name, or what else it says, such as ``cli:user@host``. Whoever
    answered for a person from the command line is named beside them."""
    through, _, who = text.rpartition(" as ")
    name = names.get(who.rpartition(":")[2], who)
    return f"{name} ({through})" if through else name


def annotate(entries: Iterable[Any]) -> None:
    """Give each entry ``agent_name``, ``actor_name`` and ``sentence``, with two queries for all of them."""
    rows = list(entries)
    names = names_of(text for row in rows for text in (row.agent, row.actor))
    for row in rows:
        row.agent_name = visible(names.get(row.agent, row.agent))
        row.actor_name = visible(actor(row.actor, names))
        row.sentence = told(row)


def told(entry: Any) -> str:
    """What an entry says, with names."""
    kind = registry.entry_types.get(entry.type)
    if kind is None:
        return str(entry.type)
    columns = {name: visible(getattr(entry, name)) for name in ("tool", "resource", "outcome", "session")}
    return kind.sentence.format_map(
        {**columns, "actor": entry.actor_name, "agent": entry.agent_name or "every agent"}
    )


def recent(entries: Any, most: int) -> list[Entry]:
    """The first ``most`` entries of a query, annotated."""
    rows: list[Entry] = list(entries.defer("body")[:most])
    annotate(rows)
    return rows
