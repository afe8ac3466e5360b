"""What a public id or an entry's index names, among what the person may see."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from django.db.models import F, Func, IntegerField, Model, Q, QuerySet, Value
from django.urls import reverse

from audit.models import Entry
from governance.admin.attention import newest_entries
from governance.models import Approval, Decision, DecisionRecord
from governance.presentation import visible
from governance.readings import CHECKS, VERDICTS
from workspaces.access import readable, workspaces_for
from workspaces.access.scoping import Visitor
from workspaces.models import Agent, Resource, Tool, User, Workspace

INDEX = re.compile(r"#?(\d{1,18})")
SHOWN = 8
# Denials keep their id in the entry's body alone, which no index reaches: only the newest are looked through.
LOOKED_THROUGH = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """One thing: what it is called, of which kind it is, and the address of its page."""

    title: str
    kind: str
    link: str


class Position(Func):
    """Where a text begins in a column of bytes, from 1; 0 where it is not. Arguments: the text, the column."""

    function = "position"
    arg_joiner = " in "
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        needle, column = self.source_expressions
        swapped = Func(column, needle, function="instr", output_field=IntegerField())
        return swapped.as_sql(compiler, connection, **context)


def find(person: Visitor, term: str) -> list[Found]:
    """What the term names exactly: a public id of any kind, or an entry's index such as ``#1841``."""
    if not isinstance(person, User):
        return []
    if match := INDEX.fullmatch(term):
        return entries_at(person, int(match[1]))
    kind = term.partition("_")[0]
    return LOOKS[kind](person, term) if kind in LOOKS else []


Look: TypeAlias = Callable[[User, str], list[Found]]


def named(model: type[Model], kind: str, path: str = "workspace__in") -> Look:
    """A look for rows of a model by public id, in the workspaces that the person sees."""

    def look(person: User, term: str) -> list[Found]:
        visible_ones = {path: workspaces_for(person).values("pk")}
        rows = model._default_manager.filter(public_id=term, **visible_ones).distinct()
        page = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
        return [Found(visible(str(row)), kind, reverse(page, args=[row.pk])) for row in rows]

    return look


def decisions(person: User, term: str) -> list[Found]:
    """The decision of this id: allowed, waiting, or among the newest that were denied."""
    workspaces = workspaces_for(person)
    places = [
        *Decision.objects.filter(public_id=term, workspace__in=workspaces.values("pk")).values_list(
            "workspace__log_id", "entry_index"
        ),
        *Approval.objects.filter(decision=term, workspace__in=workspaces.values("pk")).values_list(
            "workspace__log_id", "entry_index"
        ),
    ]
    if places:
        at = Q(pk__in=[])
        for log_id, index in places:
            at |= Q(log_id=log_id, index=index)
        return pages(DecisionRecord.objects.filter(at))
    logs = list(workspaces.values_list("log_id", flat=True))
    recent = DecisionRecord.objects.filter(newest_entries(logs, LOOKED_THROUGH), type__in=CHECKS)
    holding = recent.annotate(at=Position(Value(term.encode()), F("body"))).filter(at__gt=0)
    return pages(holding.order_by("-index"))


def entries_at(person: User, index: int) -> list[Found]:
    """The entries of this index in the logs that the person may read: whole, or as a decision."""
    whole = {log_id for log_id, agents in readable(person).items() if agents is None}
    partly = set(workspaces_for(person).values_list("log_id", flat=True)) - whole
    rows = Entry.objects.filter(
        Q(log_id__in=whole, index=index) | Q(log_id__in=partly, index=index, type__in=CHECKS)
    )
    return pages(rows)


def pages(rows: QuerySet[Any]) -> list[Found]:
    """Entries as what is found; a decision's page tells more than the entry's."""
    return [found_entry(row) for row in told(rows.defer("body")[:SHOWN])]


def told(rows: Iterable[Any]) -> list[Any]:
    """Entries with the name of their workspace, in one more query."""
    entries = list(rows)
    names = {row.log_id: row for row in Workspace.objects.filter(log_id__in={row.log_id for row in entries})}
    for entry in entries:
        entry.workspace = names.get(entry.log_id)
    return entries


def found_entry(entry: Any) -> Found:
    """One entry with the address of its page."""
    if entry.type in VERDICTS:
        title = f"#{entry.index} {VERDICTS[entry.type][0]}: {visible(entry.tool)}"
        page = "admin:governance_decisionrecord_change"
    else:
        title, page = f"#{entry.index} {entry.type}", "admin:audit_entry_change"
    return Found(title, f"Entry of {entry.workspace}", reverse(page, args=[entry.pk]))


LOOKS: dict[str, Look] = {
    "agt": named(Agent, "Agent"),
    "apr": named(Approval, "Approval"),
    "tool": named(Tool, "Tool"),
    "res": named(Resource, "Resource"),
    "usr": named(User, "Person", "memberships__workspace__in"),
    "dec": decisions,
}
