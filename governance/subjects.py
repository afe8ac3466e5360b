"""Who asks and with what, as decisions see them: plain values compiled from configuration rows."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workspaces.arguments import Tool
from workspaces.loop_limits import DEFAULTS, LoopLimits

if TYPE_CHECKING:
    from governance.ruleset import CompiledRule

LADDER = ("observe", "active", "supervised", "read_only", "suspended", "revoked")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key as judged: its hash, its end, and whether it was revoked."""

    id: int
    digest: bytes
    expires_at: datetime | None
    revoked: bool


@dataclass(slots=True)
class AgentEntry:
    """An agent as judged. ``tools`` maps tool ids, ``resources`` (resource id, action), to when the grant ends."""

    id: int
    public_id: str
    name: str
    owner_id: int
    labels: frozenset[str]
    standing: str
    observe_until: datetime | None
    epoch: int
    isolated_runs: bool
    sessions_per_hour: int | None
    keys: dict[str, KeyEntry]
    groups: frozenset[int]
    tools: dict[int, datetime | None]
    resources: dict[tuple[int, str], datetime | None]
    view: dict[str, Any]
    most_waiting: int | None = None
    cost_center: str = ""
    loop_limits: LoopLimits = DEFAULTS
    candidates: dict[str, list["CompiledRule"]] = field(default_factory=dict)
    generation: int = -1


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """A tool as judged: its row's key, its compiled declaration and what conditions see of it."""

    id: int
    compiled: Tool
    view: dict[str, Any]


def effective_standing(now: datetime, *scopes: tuple[str, datetime | None]) -> str:
    """The standing that holds over (standing, end of observation) of agent, workspace and installation.

    The strictest wins; ``active`` is every scope's ordinary state, so a scope that observes is heard when no
    other asks for more than ``active``. An observation that has ended counts as active.
    """
    standings = [
        "active" if standing == "observe" and (until is None or until <= now) else standing
        for standing, until in scopes
    ]
    strictest = max(standings, key=LADDER.index)
    return "observe" if strictest == "active" and "observe" in standings else strictest
