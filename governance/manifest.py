"""A workspace file as values: what its owners want, with the places that problems are told at."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from governance.manifest_fields import End, Problems, Reference
from governance.manifest_file import Document, Place
from governance.reading import Problem
from workspaces.declarations import Action, ToolDeclaration

USE = "use"
PERMISSIONS = (USE, *(action.value for action in Action))


@dataclass(frozen=True, slots=True)
class PersonEntry:
    """A person: ``name`` empty leaves the one they have."""

    email: Reference
    name: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class GroupEntry:
    name: Reference
    people: list[Reference]


@dataclass(frozen=True, slots=True)
class ListEntry:
    name: Reference
    members: list[str]


@dataclass(frozen=True, slots=True)
class ToolEntry:
    name: Reference
    declaration: ToolDeclaration


@dataclass(frozen=True, slots=True)
class ResourceEntry:
    name: Reference
    pattern: Reference
    labels: list[str]
    steward: Reference | None = None


@dataclass(frozen=True, slots=True)
class GrantEntry:
    """A permission on a tool (``use``) or a resource (the others)."""

    permission: str
    target: Reference
    end: End = field(default_factory=End)


@dataclass(frozen=True, slots=True)
class RoleEntry:
    name: Reference
    bundle: list[GrantEntry]


@dataclass(frozen=True, slots=True)
class AgentEntry:
    name: Reference
    owner: Reference
    purpose: str
    labels: list[str]
    risk_tier: str
    acts_for: list[Reference]
    isolated_runs: bool
    sessions_per_hour: int | None
    cost_center: str
    loop_limits: dict[str, Any]
    roles: list[tuple[Reference, End]]
    grants: list[GrantEntry]


@dataclass(frozen=True, slots=True)
class BudgetEntry:
    """``agent`` None: the whole workspace, or each session of any agent. ``tool`` None and ``model`` empty: every
    call. The limit is in the unit."""

    place: Place
    agent: Reference | None
    per_session: bool
    window: str
    tool: Reference | None
    model: str
    unit: str
    limit_amount: int
    hard: bool
    when_short: str
    downgrade_to: str
    warn_at: list[int]

    @property
    def key(self) -> tuple[str | None, bool, str, str, str, str]:
        """What tells it from the workspace's other budgets."""
        agent, tool = self.agent.name if self.agent else None, self.tool.name if self.tool else ""
        return agent, self.per_session, self.window, tool, self.model, self.unit


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """What a model costs from a day on; each in nano-US-dollars, None where it is not said."""

    place: Place
    model: str
    starts: date
    nanos: dict[str, int | None]
    note: str


@dataclass(slots=True)
class Manifest:
    """One workspace as its file wants it. ``digest`` is the file's SHA-256, in hex. ``policy`` is None where
    the file says nothing of one, and has only the rules that can be read, by ``rules`` their positions in the
    file; settings that are None are kept.

    A file with ``problems`` is never applied; it is still tried, so that all can be told. ``names`` has, by
    section, also the names of entries that could not be read, so that nothing else is blamed for them.
    """

    digest: str
    document: Document
    slug: Reference
    name: str | None = None
    timezone: str | None = None
    two_people: bool | None = None
    retention_days: int | None = None
    people: dict[str, PersonEntry] = field(default_factory=dict)
    groups: dict[str, GroupEntry] = field(default_factory=dict)
    lists: dict[str, ListEntry] = field(default_factory=dict)
    tools: dict[str, ToolEntry] = field(default_factory=dict)
    resources: dict[str, ResourceEntry] = field(default_factory=dict)
    roles: dict[str, RoleEntry] = field(default_factory=dict)
    agents: dict[str, AgentEntry] = field(default_factory=dict)
    policy: list[dict[str, Any]] | None = None
    rules: list[int] = field(default_factory=list)
    budgets: list[BudgetEntry] = field(default_factory=list)
    prices: list[PriceEntry] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    names: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def claim(self, section: str, name: Reference) -> bool:
        """Whether an entry is the first of its name; noted where it is not."""
        if name.name in self.names[section]:
            self.problems.add(
                name.place, f"“{name.name}” stands twice in “{section}”; give each entry a name of its own."
            )
            return False
        self.names[section].add(name.name)
        return True

    def place_of_setting(self, name: str) -> Place:
        """Where a field of the file's top level stands."""
        return self.document.root.keys.get(name, self.document.root.place)

    def place_in_policy(self, problem: Problem) -> Place:
        """Where a problem of a rule stands: inside the condition, where it says a column. Rules are counted
        as in the file."""
        return self.document.locate(("policy", *problem.path), problem.line, problem.column)
