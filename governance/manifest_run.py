"""One run of ``apply`` under way: what is wanted, the rows of its names, and what is to be told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError

from audit.log import Writer
from governance.manifest import USE, GrantEntry, Manifest
from governance.manifest_fields import End, Problems, Reference
from governance.manifest_file import Place
from workspaces.access import NoSuchPermission
from workspaces.access.grants import Target
from workspaces.changes import Guarded, OtherWorkspace
from workspaces.models import Agent, Resource, Role, Tool, User, Workspace
from workspaces.patterns import PatternError

Row = TypeVar("Row")


@dataclass(slots=True)
class Report:
    """What a run did, or with ``dry_run`` would do: lines for people, how many keys it made, and the
    revision that it led to."""

    changes: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    keys: int = 0
    revision: int = 0
    dry_run: bool = False


@dataclass(slots=True)
class Run:
    """One run under way: what is wanted, and the rows of its names as they come to be."""

    manifest: Manifest
    workspace: Workspace
    actor: str
    prune: bool
    two_people: bool
    created: bool
    entries: Writer = field(init=False)
    problems: Problems = field(init=False)
    report: Report = field(default_factory=Report)
    people: dict[str, User] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.problems = self.manifest.problems

    @property
    def complete(self) -> bool:
        """Whether all that the file describes for rules to name is there; what could not be read is not."""
        names = self.manifest.names
        return (
            names["people"] <= self.people.keys()
            and names["tools"] <= self.tools.keys()
            and names["resources"] <= self.resources.keys()
            and names["agents"] <= self.agents.keys()
        )

    @property
    def changed(self) -> bool:
        """Whether anything was written to the logs so far, beside the creation of the workspace."""
        return any(head.entries for head in self.entries.heads.values())

    @contextmanager
    def asking(self, place: Place) -> Iterator[None]:
        """Turn what a change function refuses into a problem at the place that asked for it."""
        try:
            yield
        except ValidationError as error:
            self.problems.add(place, " ".join(error.messages))
        except (PatternError, NoSuchPermission, OtherWorkspace, Guarded) as error:
            self.problems.add(place, str(error))

    def find(self, section: str, rows: Mapping[str, Row], reference: Reference, what: str) -> Row | None:
        """The row of a name. None where there is none: a problem, unless the file describes it and that is
        one already."""
        row = rows.get(reference.name)
        described = self.manifest.names[section]
        if reference.name in described or (row is not None and not self.prune):
            return row
        known = described if self.prune else {*described, *rows}
        removed = " (--prune removes what is not in it)" if row is not None else ""
        self.problems.unknown(reference, known, what, f"describe it in this file{removed}")
        return None

    def person(self, reference: Reference) -> User | None:
        return self.find("people", self.people, reference, "person here with the address")

    def target(self, entry: GrantEntry) -> Target | None:
        if entry.permission == USE:
            return self.tool(entry.target)
        return self.find("resources", self.resources, entry.target, "resource")

    def tool(self, reference: Reference) -> Tool | None:
        return self.find("tools", self.tools, reference, "tool")

    def role(self, reference: Reference) -> Role | None:
        return self.find("roles", self.roles, reference, "role for agents")

    def agent(self, reference: Reference) -> Agent | None:
        return self.find("agents", self.agents, reference, "agent")

    def time(self, end: End) -> datetime | None:
        """An end in the workspace's time zone."""
        return end.time(ZoneInfo(self.workspace.timezone))
