"""What a workspace has and its file does not name: kept and told, or removed."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from billing import limits
from billing.models import Budget, Price
from billing.price_table import set_price
from governance import containment
from governance.configuration import budget_name, latest, name_of, price_name
from governance.manifest_run import Run
from workspaces import agents, catalog, people
from workspaces.access import set_grants
from workspaces.models import Agent, NamedList, ReviewerGroup, Standing, User

REASON = "Not in the workspace file that was applied with --prune."


def remove_unnamed(run: Run) -> None:
    """Remove what the file does not name, or only tell of it. What points at other things goes first."""
    workspace, names = run.workspace, run.manifest.names
    budgets = Budget.objects.filter(workspace=workspace).select_related("agent")
    wanted = {budget_name(*entry.key) for entry in run.manifest.budgets}
    prices = {price_name(price.model, price.starts): price for price in latest(workspace)}
    priced = {price_name(entry.model, entry.starts) for entry in run.manifest.prices}
    standing = {name: agent for name, agent in run.agents.items() if agent.standing != Standing.REVOKED}
    groups = {group.name: group for group in ReviewerGroup.objects.filter(workspace=workspace)}
    lists = {named.name: named for named in NamedList.objects.filter(workspace=workspace)}

    def leave(person: User, *, actor: str) -> None:
        people.set_roles(workspace, person, roles=(), actor=actor)

    kinds: list[tuple[str, Mapping[str, Any], Collection[str], Callable[..., None]]] = [
        ("budget", {name_of(budget): budget for budget in budgets}, wanted, limits.remove_budget),
        ("price", prices, priced, take_back),
        ("agent", standing, names["agents"], retire),
        ("role", run.roles, names["roles"], catalog.remove_role),
        ("group", groups, names["groups"], people.remove_reviewer_group),
        ("resource", run.resources, names["resources"], catalog.remove_resource),
        ("tool", run.tools, names["tools"], catalog.remove_tool),
        ("list", lists, names["lists"], catalog.remove_list),
        ("person", run.people, names["people"], leave),
    ]
    for kind, rows, named, remove in kinds:
        for name in sorted(rows.keys() - set(named)):
            if run.prune:
                remove(rows[name], actor=run.actor)
            else:
                run.report.kept.append(f"kept: {kind} {name} (not in the file)")


def take_back(price: Price, *, actor: str) -> None:
    """Let a model cost from that day on what the public list says. What was set stays, for charges rest on it."""
    set_price(price.workspace, model=price.model, starts=price.starts, actor=actor)


def retire(agent: Agent, *, actor: str) -> None:
    """Take all from an agent that it was given, and revoke it for good: its history stays, and its name with
    it."""
    agents.set_agent_roles(agent, {}, actor=actor)
    set_grants(agent, {}, actor=actor)
    containment.set_standing(agent, Standing.REVOKED, reason=REASON, actor=actor, person=None)
