"""A workspace's configuration in the words of a workspace file, and what became different between two of
them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, TypeAlias

from billing.budgets import dollars
from billing.models import Budget, Price
from billing.price_table import AMOUNTS
from governance import policies
from workspaces.access.grants import USE
from workspaces.models import (
    Agent,
    AgentRole,
    Membership,
    NamedList,
    Resource,
    ResourceGrant,
    ReviewerGroup,
    ReviewerGroupMember,
    Role,
    Standing,
    Tool,
    ToolGrant,
    Workspace,
)

# Kind → name → field → value. Fields that map names to ends hold ISO times, or None for ever.
Configuration: TypeAlias = dict[str, dict[str, dict[str, Any]]]
Ends: TypeAlias = dict[str, str | None]

WITH_ENDS = ("roles", "grants")
LONGEST = 120  # a change that is told in more characters is only said to be one


def configuration_of(workspace: Workspace) -> Configuration:
    """The workspace as it is now, in a dozen queries whatever its size. Revoked agents are history and not
    in it."""
    lists = NamedList.objects.filter(workspace=workspace).order_by("pk")
    tools = Tool.objects.filter(workspace=workspace).order_by("pk")
    roles = Role.objects.filter(workspace=workspace).order_by("pk")
    resources = Resource.objects.filter(workspace=workspace).order_by("pk")
    grants = grants_by_group(workspace)
    people = people_of(workspace)
    return {
        "workspace": {
            workspace.slug: {
                "name": workspace.name,
                "timezone": workspace.timezone,
                "two_people": workspace.two_people,
                "retention_days": workspace.retention_days,
            }
        },
        "person": people,
        "group": groups_of(workspace),
        "list": {row.name: {"members": row.members} for row in lists},
        "tool": {row.name: row.declaration().as_dict() for row in tools},
        "resource": {
            row.name: {
                "pattern": row.pattern,
                "labels": row.labels,
                "steward": row.steward.email if row.steward and row.steward.email in people else "",
            }
            for row in resources.select_related("steward")
        },
        "role": {row.name: {"grants": grants[row.group_id]} for row in roles},
        "agent": agents_of(workspace, grants),
        "budget": budgets_of(workspace),
        "price": prices_of(workspace),
        "rule": rules_of(workspace),
    }


def people_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    rows = Membership.objects.filter(workspace=workspace).select_related("person").order_by("person", "role")
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row.person.email, {"name": row.person.name, "roles": []})["roles"].append(row.role)
    return found


def groups_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {
        row.name: {"people": []} for row in ReviewerGroup.objects.filter(workspace=workspace).order_by("pk")
    }
    seats = ReviewerGroupMember.objects.filter(reviewer_group__workspace=workspace)
    for name, email in seats.order_by("person__email").values_list("reviewer_group__name", "person__email"):
        found[name]["people"].append(email)
    return found


def grants_by_group(workspace: Workspace) -> dict[int, Ends]:
    """The grants on each group, as “use files.read” or “read reports”, with their ends."""
    found: dict[int, Ends] = defaultdict(dict)
    columns = ("group_id", "content_object__name", "permission__codename", "expires_at")
    for group, tool, _, end in ToolGrant.objects.filter(content_object__workspace=workspace).values_list(
        *columns
    ):
        found[group][f"{USE} {tool}"] = written(end)
    rows = ResourceGrant.objects.filter(content_object__workspace=workspace)
    for group, resource, action, end in rows.values_list(*columns):
        found[group][f"{action} {resource}"] = written(end)
    return found


def agents_of(workspace: Workspace, grants: Mapping[int, Ends]) -> dict[str, dict[str, Any]]:
    roles: dict[int, Ends] = defaultdict(dict)
    given = AgentRole.objects.filter(agent__workspace=workspace)
    for agent_id, role, end in given.values_list("agent_id", "role__name", "expires_at"):
        roles[agent_id][role] = written(end)
    rows = Agent.objects.filter(workspace=workspace).exclude(standing=Standing.REVOKED)
    return {
        row.name: {
            "owner": row.owner.email,
            "purpose": row.purpose,
            "labels": row.labels,
            "risk_tier": row.risk_tier,
            "acts_for": sorted(principal.person.email for principal in row.principals.all()),
            "isolated_runs": row.isolated_runs,
            "sessions_per_hour": row.sessions_per_hour,
            "cost_center": row.cost_center,
            "loop_limits": row.loop_limits,
            "roles": roles[row.pk],
            "grants": grants.get(row.group_id, {}),
        }
        for row in rows.select_related("owner").order_by("pk").prefetch_related("principals__person")
    }


def budgets_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    rows = Budget.objects.filter(workspace=workspace).select_related("agent").order_by("pk")
    return {name_of(row): terms_of(row) for row in rows}


def terms_of(budget: Budget) -> dict[str, Any]:
    """What a budget allows and does, beside whom and what it is for."""
    tokens = budget.unit == Budget.Unit.TOKENS
    limit = {"limit_tokens": budget.limit_amount} if tokens else {"limit_usd": dollars(budget.limit_amount)}
    told = ("hard", "when_short", "downgrade_to", "warn_at")
    return limit | {name: getattr(budget, name) for name in told}


def name_of(budget: Budget) -> str:
    """The name under which people find a budget."""
    agent = budget.agent.name if budget.agent else None
    per_session = budget.scope == Budget.Scope.SESSION
    return budget_name(agent, per_session, budget.window, budget.tool, budget.model, budget.unit)


def budget_name(
    agent: str | None,
    per_session: bool,
    window: str,
    tool: str = "",
    model: str = "",
    unit: str = Budget.Unit.USD,
) -> str:
    """How people tell a budget from the others; one name for one budget."""
    whom = f"of agent {agent}" if agent is not None else "of the workspace"
    only = f"{f', tool {tool}' if tool else ''}{f', model {model}' if model else ''}"
    in_tokens = ", in tokens" if unit == Budget.Unit.TOKENS else ""
    return f"{whom}, {'each session, ' if per_session else ''}{window}{only}{in_tokens}"


def latest(workspace: Workspace) -> list[Price]:
    """The price of each model and day that holds, by day: those taken back are in it only where they end another."""
    rows = Price.objects.filter(workspace=workspace).select_related("workspace").order_by("starts", "pk")
    found = {(row.model, row.starts): row for row in rows}
    priced: set[str] = set()
    kept = []
    for (model, _), row in found.items():
        said = any(getattr(row, name) is not None for name in AMOUNTS)
        if said or model in priced:
            kept.append(row)
        priced = priced | {model} if said else priced - {model}
    return kept


def prices_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    return {price_name(row.model, row.starts): amounts_of(row) for row in latest(workspace)}


def amounts_of(price: Price) -> dict[str, Any]:
    """What is said of a model's price, in US dollars a million tokens or a call."""
    said = {name: getattr(price, name) for name in AMOUNTS}
    return {
        name.replace("_nanos", "_usd"): dollars(value) for name, value in said.items() if value is not None
    }


def price_name(model: str, starts: date) -> str:
    """How people tell a price from the others."""
    return f"of {model} from {starts}"


def rules_of(workspace: Workspace) -> dict[str, dict[str, Any]]:
    version = policies.in_force(workspace)
    return {rule["name"]: rule for rule in version.content} if version else {}


def written(end: datetime | None) -> str | None:
    """An end as people read it."""
    if end is None:
        return None
    return end.isoformat(timespec="auto" if end.second or end.microsecond else "minutes")


def differences(before: Configuration, after: Configuration) -> list[str]:
    """What changed, a line each: ``+ tool web.fetch``, ``~ agent bot: roles +analyst``, ``- list
    partners``."""
    lines = []
    for kind, found in after.items():
        known = before.get(kind, {})
        lines += [f"+ {kind} {name}" for name in found if name not in known]
        for name, fields in found.items():
            if name in known and (changes := changed_fields(known[name], fields)):
                lines.append(f"~ {kind} {name}: {'; '.join(changes)}")
        lines += [f"- {kind} {name}" for name in known if name not in found]
    return lines


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Each field that differs, with what came and went where that is short enough to read."""
    return [
        f"{name} {changed_value(name, before.get(name), after.get(name))}"
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def changed_value(name: str, before: Any, after: Any) -> str:
    """How the value of a field changed: ``low → high``, or ``+analyst -support`` for what has members."""
    if name in WITH_ENDS and isinstance(before, dict) and isinstance(after, dict):
        renewed = [f"{key} until {after[key] or 'taken back'}" for key in after
                   if key in before and before[key] != after[key]]  # fmt: skip
        return " ".join([*came_and_went(before, after), *renewed])
    if is_texts(before) and is_texts(after):
        return " ".join(came_and_went(before, after)) or "in another order"
    if isinstance(before, dict | list) or isinstance(after, dict | list):
        return "changed"
    told = f"{shown(before)} → {shown(after)}"
    return told if len(told) <= LONGEST else "changed"


def came_and_went(before: Collection[str], after: Collection[str]) -> list[str]:
    return [f"+{text}" for text in after if text not in before] + [
        f"-{text}" for text in before if text not in after
    ]


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def shown(value: Any) -> str:
    """A value as the file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value in (None, "") else str(value)
