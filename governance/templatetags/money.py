"""What the log says about money: which calls were refused for it, and what became of a budget and by whom."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import template
from django.db.models import Prefetch
from django.urls import reverse
from django.utils.http import urlencode

from audit import search
from audit.models import Entry
from audit.postings import ROW
from billing.models import Budget
from billing.spending import spoken
from governance.models import Approval, Vote
from governance.naming import annotate
from governance.presentation import visible
from governance.raises import RAISED
from workspaces.access import may
from workspaces.models import Workspace

register = template.Library()

DENIED = "governance.check.denied"
REFUSED = ("budget_exhausted", "budget_busy", "unknown_price")
CHANGED, RESET = "billing.budget.changed", "billing.budget.reset"
SHOWN = 8
LOOKED_THROUGH = 200  # newest raises of the workspace, or of the budget's agent
TERMS = {
    "limit": "limit",
    "hard": "hard",
    "when_short": "when short",
    "downgrade_to": "cheaper model",
    "warn_at": "warnings at",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that became of a budget: ``what`` in words, ``who`` did it, and the approval that it rests on."""

    entry: Entry
    what: str
    who: str
    approval: Approval | None = None


@register.inclusion_tag("admin/portal/spend_refused.html", takes_context=True)
def refused_for_money(context: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """The newest calls that were denied because of money; where all of them are listed, for who may read the log."""
    facets = {"type": [DENIED], "outcome": REFUSED}
    entries = read(workspace, search.search(workspace.log_id, facets=facets, limit=SHOWN).indexes)
    query = urlencode({"workspace": workspace.slug, **facets}, doseq=True)
    listed = f"{reverse('admin:audit_entry_changelist')}?{query}"
    may_read = may(context["request"].user, "view_log", workspace)
    return {"entries": entries, "workspace": workspace, "listed": listed if may_read else ""}


@register.inclusion_tag("admin/portal/budget_history.html", takes_context=True)
def history_of(context: dict[str, Any], budget: Budget) -> dict[str, Any]:
    """Who set, changed, reset and raised a budget, newest first, for who may read the log."""
    may_read = may(context["request"].user, "view_log", budget.workspace)
    return {"may_read": may_read, "events": events(budget) if may_read else []}


def events(budget: Budget) -> list[Event]:
    """What became of a budget, newest first."""
    workspace = budget.workspace
    own = {"type": [CHANGED, RESET], ROW: [f"billing.budget:{budget.pk}"]}
    raises = {"type": [RAISED], "agent": [budget.agent.public_id] if budget.agent else []}
    indexes = [
        *search.search(workspace.log_id, facets=own, limit=SHOWN).indexes,
        *search.search(workspace.log_id, facets=raises, limit=LOOKED_THROUGH).indexes,
    ]
    rows = [(entry, data_of(entry)) for entry in read(workspace, indexes)]
    found = [(entry, data) for entry, data in rows if data.get("budget") == budget.public_id][:SHOWN]
    approved = approvals(workspace, [data["approval"] for _, data in found if data.get("approval")])
    return [event(budget, entry, data, approved) for entry, data in found]


def read(workspace: Workspace, indexes: Sequence[int]) -> list[Any]:
    """These entries of a workspace's log, newest first, with names and sentences."""
    rows = list(Entry.objects.filter(log_id=workspace.log_id, index__in=indexes).order_by("-index"))
    annotate(rows)
    return rows


def data_of(entry: Entry) -> dict[str, Any]:
    """What an entry's body says besides its columns."""
    data: dict[str, Any] = json.loads(bytes(entry.body))["data"]
    return data


def approvals(workspace: Workspace, ids: Iterable[str]) -> dict[str, Approval]:
    """Approvals by their public ids, with who approved."""
    yes = Vote.objects.filter(approve=True).select_related("person").order_by("pk")
    rows = Approval.objects.filter(workspace=workspace, public_id__in=ids)
    return {row.public_id: row for row in rows.prefetch_related(Prefetch("votes", yes, to_attr="approving"))}


def event(budget: Budget, entry: Any, data: dict[str, Any], approved: dict[str, Approval]) -> Event:
    """One entry as a line."""
    if entry.type == RESET:
        return Event(entry, "Reset: it began anew with nothing spent", entry.actor_name)
    if entry.type == CHANGED:
        return Event(entry, change(budget, data), entry.actor_name)
    approval = approved.get(data["approval"])
    people = [visible(str(vote.person)) for vote in getattr(approval, "approving", ())]
    tokens = budget.unit == Budget.Unit.TOKENS
    by = f"{data['amount']:,} tokens" if tokens else spoken(data["amount"])
    what = f"Raised by {by} for one call of {entry.agent_name}"
    return Event(entry, what, ", ".join(dict.fromkeys(people)) or "–", approval)


def change(budget: Budget, data: dict[str, Any]) -> str:
    """What was set, or what of it is different now."""
    before, after = data.get("before") or {}, data["after"]
    if not before:
        return f"Set to {limit(budget, after['limit'])}"
    told = [
        f"{label} {term(budget, name, before[name])} → {term(budget, name, after[name])}"
        for name, label in TERMS.items()
        if name in before and name in after and before[name] != after[name]
    ]
    return f"Changed: {', '.join(told)}" if told else "Changed"


def term(budget: Budget, name: str, value: Any) -> str:
    """One of a budget's terms for people."""
    if name == "limit":
        return limit(budget, value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"{percent} %" for percent in value) or "none"
    return visible(str(value)) or "none"


def limit(budget: Budget, value: str | int) -> str:
    """A limit of an entry with its unit."""
    return f"{int(value):,} tokens" if budget.unit == Budget.Unit.TOKENS else f"${Decimal(value):,}"
