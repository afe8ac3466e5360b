"""What a budget's warning says to people: read from its entry, with names as they are now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.urls import reverse

from audit.models import Entry
from billing.models import Budget
from billing.warnings import WARNED
from governance.presentation import visible
from workspaces.models import Agent, Workspace

WINDOWS = {"day": "daily", "week": "weekly", "month": "monthly", "ever": "whole"}


@dataclass(frozen=True, slots=True)
class BudgetNotice:
    """One warning. ``anonymous`` names the budget without the session's name, which an agent chose;
    ``outcome`` is such as ``80% spent``, or ``exhausted`` where a call was refused; ``agent_id`` is
    None where the budget is the workspace's; ``url`` is empty where the budget is gone."""

    index: int
    budget: str
    anonymous: str
    outcome: str
    share: int
    spent: str
    limit: str
    agent_id: int | None
    session: str
    url: str

    @property
    def used(self) -> str:
        return f"{self.spent} of {self.limit}"


def read(workspace: Workspace, indexes: Iterable[int]) -> list[BudgetNotice]:
    """The warnings that stand at these places of the workspace's log, the newest first; three queries."""
    rows = Entry.objects.filter(log_id=workspace.log_id, index__in=list(indexes), type=WARNED)
    bodies = [orjson.loads(bytes(body)) for body in rows.order_by("-index").values_list("body", flat=True)]
    return of_bodies(workspace, bodies)


def of_bodies(workspace: Workspace, bodies: Sequence[Mapping[str, Any]]) -> list[BudgetNotice]:
    """The warnings that these bodies of entries are, in their order; two queries."""
    named = {body["data"]["budget"] for body in bodies}
    budgets = {row.public_id: row for row in Budget.objects.filter(workspace=workspace, public_id__in=named)}
    speak = {body["agent"] for body in bodies}
    agents = {row.public_id: row for row in Agent.objects.filter(workspace=workspace, public_id__in=speak)}
    return [notice(body, budgets.get(body["data"]["budget"]), agents.get(body["agent"])) for body in bodies]


def notice(body: Mapping[str, Any], budget: Budget | None, agent: Agent | None) -> BudgetNotice:
    """One entry's body in words."""
    data = body["data"]
    return BudgetNotice(
        index=body["index"],
        budget=name_of(budget, agent, f"session {visible(body['session'])}" if body["session"] else ""),
        anonymous=name_of(budget, agent, "a session" if body["session"] else ""),
        outcome=body["outcome"],
        share=data["share"],
        spent=amount(data["unit"], data["spent"]),
        limit=amount(data["unit"], data["limit"]),
        agent_id=agent.pk if agent else None,
        session=body["session"],
        url=address(budget),
    )


def name_of(budget: Budget | None, agent: Agent | None, session: str) -> str:
    """A budget as people speak of it: ``the daily budget of session run-1 of report-bot for web.search``."""
    whose = visible(agent.name) if agent else "the workspace"
    if session:
        whose = f"{session} of {whose}"
    if budget is None:
        return f"a budget of {whose} that was removed since"
    only = "".join(f" for {visible(name)}" for name in (budget.tool, budget.model) if name)
    return f"the {WINDOWS[budget.window]} budget of {whose}{only}"


def amount(unit: str, value: str | int) -> str:
    """An amount as an entry has it, for people."""
    return f"{value:,} tokens" if unit == Budget.Unit.TOKENS else f"${value}"


def address(budget: Budget | None) -> str:
    """The budget's page in the portal, where it still has one."""
    if budget is None:
        return ""
    page = reverse("admin:billing_budget_change", args=[budget.pk])
    return f"{settings.PUBLIC_URL}{page}"
