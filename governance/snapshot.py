"""A workspace's configuration in memory: compiled, indexed, and never stale.

The head row that a decision locks anyway carries the revision; a snapshot that is behind reads the changes
since its own and drops what they touched, in the same transaction. Expensive changes (a new policy) raise
Behind, so that the caller compiles them outside the lock.
"""

from collections import defaultdict
from datetime import datetime

from django.db.models import Q

from audit.log import HeadState
from audit.models import Change, Head
from billing.budgets import BudgetBook, load_budgets
from billing.prices import PriceList, load_prices
from governance.expressions import ConditionError
from governance.models import PolicyVersion
from governance.rules import RuleErrors
from governance.ruleset import CompiledRule, RuleSet
from governance.subjects import AgentEntry, KeyEntry, ToolEntry, effective_standing
from workspaces.access import grants
from workspaces.arguments import Tool as CompiledTool
from workspaces.loop_limits import read_loop_limits
from workspaces.models import (
    Agent,
    AgentKey,
    AgentRole,
    Installation,
    NamedList,
    Resource,
    Tool,
    Workspace,
)
from workspaces.patterns import PatternError
from workspaces.resources import PatternSet

MANY_CHANGES = 200


class UnreadableRules(ValueError):
    """A version whose rules make no sense in the workspace as it is now; the message says what to do."""


class Behind(Exception):
    """The snapshot must be brought up to date outside the lock first."""


class Snapshot:
    """The configuration of one workspace at one revision. Used by one thread at a time, under the head's lock."""

    def __init__(self, log_id: int) -> None:
        self.log_id = log_id
        self.revision = Head.objects.values_list("revision", flat=True).get(log_id=log_id)
        self.generation = 0
        self.agents: dict[int, AgentEntry] = {}
        self.load_workspace()
        self.tools: dict[str, ToolEntry] = {}
        self.tool_names: dict[int, str] = {}
        for tool in Tool.objects.filter(workspace_id=self.workspace_id):
            self.put_tool(tool)
        self.load_resources()
        self.load_lists()
        self.load_policy()
        self.budgets: BudgetBook = load_budgets(self.workspace_id)
        self.prices: PriceList = load_prices(self.workspace_id)

    def load_workspace(self) -> None:
        row = Workspace.objects.get(log_id=self.log_id)
        self.workspace_id = row.pk
        self.public_id = row.public_id
        self.timezone = row.timezone
        self.standing = row.standing
        self.observe_until = row.observe_until
        self.epoch = row.epoch
        installation = Installation.objects.first()
        self.installation_standing = installation.standing if installation else "active"
        self.installation_observe_until = installation.observe_until if installation else None

    def put_tool(self, row: Tool) -> None:
        declaration = row.declaration()
        self.tools[row.name] = ToolEntry(
            row.pk,
            CompiledTool(declaration),
            {
                "name": declaration.name,
                "action": declaration.action.value,
                "risk": declaration.risk.value,
                "reversible": declaration.reversible,
                "labels": sorted(declaration.labels),
            },
        )
        self.tool_names[row.pk] = row.name

    def load_resources(self) -> None:
        self.patterns: PatternSet[int] = PatternSet()
        self.resource_labels: dict[int, frozenset[str]] = {}
        self.resource_public_ids: dict[int, str] = {}
        self.resource_patterns: dict[str, str] = {}
        for row in Resource.objects.filter(workspace_id=self.workspace_id):
            self.patterns.add(row.pk, row.pattern)
            self.resource_labels[row.pk] = frozenset(row.labels)
            self.resource_public_ids[row.pk] = row.public_id
            self.resource_patterns[row.name] = row.pattern

    def load_lists(self) -> None:
        rows = NamedList.objects.filter(workspace_id=self.workspace_id)
        self.lists: dict[str, list[str]] = {row.name: list(row.members) for row in rows}

    def load_policy(self) -> None:
        row = PolicyVersion.objects.filter(workspace_id=self.workspace_id, status="in_force").first()
        self.policy = row.digest if row else ""
        self.rules = RuleSet(row.content if row else [], self.resource_patterns)
        self.generation += 1

    def rules_of(self, version: PolicyVersion) -> RuleSet:
        """The rules of any version as they would judge here. Raises UnreadableRules."""
        try:
            return RuleSet(version.content, self.resource_patterns)
        except (RuleErrors, PatternError, ConditionError) as error:
            raise UnreadableRules(
                f"Version {version.number} cannot be read in this workspace: {error} Draft it anew and correct that."
            ) from error

    def standing_of(self, agent: AgentEntry, now: datetime) -> str:
        """The agent's standing, over all three scopes."""
        return effective_standing(
            now,
            (agent.standing, agent.observe_until),
            (self.standing, self.observe_until),
            (self.installation_standing, self.installation_observe_until),
        )

    def agent(self, agent_id: int) -> AgentEntry | None:
        """An agent of this workspace, from memory or, at its first call, from the database."""
        entry = self.agents.get(agent_id)
        if entry is None:
            row = Agent.objects.filter(pk=agent_id, workspace_id=self.workspace_id).first()
            if row is None:
                return None
            entry = self.agents[agent_id] = load_agent(row)
        return entry

    def candidates(self, agent: AgentEntry, tool: str) -> list[CompiledRule]:
        """The rules whose tools and agents match, in policy order; found once per agent, tool and policy."""
        if agent.generation != self.generation:
            agent.candidates = {}
            agent.generation = self.generation
        found = agent.candidates.get(tool)
        if found is None:
            found = agent.candidates[tool] = self.rules.candidates(tool, agent.name, agent.labels)
        return found

    def catch_up(self, head: HeadState) -> None:
        """Apply what changed since this snapshot's revision; raises Behind when that is too much to do here."""
        if head.revision != self.revision:
            changes = changes_since(self.log_id, self.revision)
            if len(changes) > MANY_CHANGES or any(kind in ("policy", "resource") for kind, _ in changes):
                raise Behind
            self.apply(changes, head.revision)

    def refresh(self) -> None:
        """Apply what changed, however much it is. Called without the lock."""
        revision = Head.objects.values_list("revision", flat=True).get(log_id=self.log_id)
        self.apply(changes_since(self.log_id, self.revision), revision)

    def apply(self, changes: list[tuple[str, int]], revision: int) -> None:
        """Read again what the changes touched."""
        touched: dict[str, set[int]] = defaultdict(set)
        for kind, key in changes:
            touched[kind].add(key)
        if "workspace" in touched:
            self.load_workspace()
        for key in touched["tool"]:
            self.tools.pop(self.tool_names.pop(key, ""), None)
        for tool in Tool.objects.filter(pk__in=touched["tool"]) if touched["tool"] else ():
            self.put_tool(tool)
        if touched["resource"]:
            self.load_resources()
        if touched["policy"] or touched["resource"]:
            self.load_policy()
        if touched["list"]:
            self.load_lists()
        if touched["budget"]:
            self.budgets.read_again(touched["budget"])
        if touched["price"]:
            self.prices = load_prices(self.workspace_id)
        self.forget_agents(touched["agent"], touched["group"])
        self.revision = revision

    def forget_agents(self, agent_ids: set[int], groups: set[int]) -> None:
        """Drop agents that changed, or whose groups' grants did; they load again at their next call."""
        for agent_id in agent_ids:
            self.agents.pop(agent_id, None)
        if groups:
            for agent_id in [
                key for key, agent in self.agents.items() if not groups.isdisjoint(agent.groups)
            ]:
                del self.agents[agent_id]


def changes_since(log_id: int, revision: int) -> list[tuple[str, int]]:
    """What changed after a revision, as (kind, key), oldest first."""
    rows = Change.objects.filter(Q(log_id=log_id), revision__gt=revision).order_by("revision", "pk")
    return list(rows.values_list("kind", "key"))


def load_agent(row: Agent) -> AgentEntry:
    """Read an agent with its keys, roles and grants: five queries, once per agent and change."""
    granted = grants.load_agent(row.pk)
    roles = AgentRole.objects.filter(agent=row).values_list("role__group_id", flat=True)
    keys = {
        key.prefix: KeyEntry(key.pk, bytes(key.digest), key.expires_at, key.revoked_at is not None)
        for key in AgentKey.objects.filter(agent=row)
    }
    groups = frozenset([row.group_id, *roles])
    return entry_of(row, tools=granted.tools, resources=granted.resources, keys=keys, groups=groups)


def entry_of(
    row: Agent,
    *,
    tools: dict[int, datetime | None],
    resources: dict[tuple[int, str], datetime | None],
    keys: dict[str, KeyEntry] | None = None,
    groups: frozenset[int] = frozenset(),
) -> AgentEntry:
    """An agent's row as judged, with these grants."""
    return AgentEntry(
        id=row.pk,
        public_id=row.public_id,
        name=row.name,
        owner_id=row.owner_id,
        labels=frozenset(row.labels),
        standing=row.standing,
        observe_until=row.observe_until,
        epoch=row.epoch,
        isolated_runs=row.isolated_runs,
        sessions_per_hour=row.sessions_per_hour,
        most_waiting=row.most_waiting,
        cost_center=row.cost_center,
        loop_limits=read_loop_limits(row.loop_limits),
        keys=keys or {},
        groups=groups,
        tools=tools,
        resources=resources,
        view={
            "id": row.public_id,
            "name": row.name,
            "labels": sorted(row.labels),
            "risk_tier": row.risk_tier,
            "purpose": row.purpose,
        },
    )


snapshots: dict[int, Snapshot] = {}


def prepare(log_id: int, *, refresh: bool = False) -> Snapshot:
    """The process's snapshot of a workspace, loaded (or refreshed) without holding its lock.
    One thread per workspace at a time; the admission queue sees to that."""
    snapshot = snapshots.get(log_id)
    if snapshot is None:
        snapshot = snapshots[log_id] = Snapshot(log_id)
    elif refresh:
        snapshot.refresh()
    return snapshot


def forget() -> None:
    """Drop every snapshot, as a new process would."""
    snapshots.clear()
