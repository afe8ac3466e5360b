"""What the decision path remembers between calls: agents' sequence and labels, sessions, limit counters.

One object a batch: loaded with one query a table for whoever is in the batch, changed in memory call by call, stored
with one statement a table. Statements are hand-written because they are in every decision's path.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from audit.log import adapt
from governance import windows
from governance.loops import Pace, Seen
from governance.ruleset import CompiledRule

LABEL_SECONDS = 3600
CALLS_KEPT = 16
TOOLS_KEPT = 64

encode = msgspec.json.encode
decode = msgspec.json.decode
read_recent = msgspec.json.Decoder(list[Seen]).decode
read_pace = msgspec.json.Decoder(Pace).decode


@dataclass(slots=True)
class AgentMemory:
    """``labels`` maps a label to the second of the last allowed call of a session that carries it; ``recent`` are its
    allowed calls of late in all sessions, and ``pace`` is what it costs an hour, for loops."""

    id: int
    seq: int = 0
    labels: dict[str, float] = field(default_factory=dict)
    sessions: list[float] = field(default_factory=list)
    recent: list[Seen] = field(default_factory=list)
    pace: Pace = field(default_factory=Pace)
    changed: bool = False


@dataclass(slots=True)
class SessionMemory:
    """One session: labels and tools of its allowed calls, and the digests of its latest calls."""

    agent_id: int
    name: str
    labels: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    allowed: int = 0
    started: Any = None
    new: bool = True
    changed: bool = False


class Memory:
    """What is remembered of the callers of one batch, at one time."""

    def __init__(self, workspace_id: int, now: datetime) -> None:
        self.workspace_id = workspace_id
        self.now = now
        self.seconds = now.timestamp()
        self.milliseconds = windows.milliseconds(now)
        self.agents: dict[int, AgentMemory] = {}
        self.sessions: dict[tuple[int, str], SessionMemory] = {}
        self.counters: dict[str, list[list[int]]] = {}
        self.changed_counters: set[str] = set()

    def load(self, callers: Iterable[tuple[int, str]], counters: Iterable[str]) -> None:
        """Read agents, (agent id, session) pairs and counters, one query each."""
        pairs = list(dict.fromkeys(callers))
        agents = list(dict.fromkeys(agent_id for agent_id, _ in pairs))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT agent_id, seq, labels, sessions, recent, pace FROM governance_agentstate"
                f" WHERE agent_id IN ({marks(agents)})",
                agents,
            )
            for agent_id, seq, labels, sessions, recent, pace in cursor.fetchall():
                self.agents[agent_id] = AgentMemory(
                    agent_id, seq, decode(labels), decode(sessions), read_recent(recent), read_pace(pace)
                )
            cursor.execute(
                "SELECT agent_id, name, labels, tools, calls, allowed, started FROM governance_session"
                f" WHERE (agent_id, name) IN (VALUES {marks(pairs, '(%s, %s)')})",
                [value for pair in pairs for value in pair],
            )
            for agent_id, name, labels, tools, calls, allowed, started in cursor.fetchall():
                self.sessions[agent_id, name] = SessionMemory(
                    agent_id, name, decode(labels), decode(tools), decode(calls), allowed, started, new=False
                )
            self.load_counters(cursor, list(dict.fromkeys(counters)))
        for agent_id in agents:
            self.agents.setdefault(agent_id, AgentMemory(agent_id))
        for pair in pairs:
            self.sessions.setdefault(pair, SessionMemory(*pair))

    def load_counters(self, cursor: Any, keys: Sequence[str]) -> None:
        if not keys:
            return
        cursor.execute(f"SELECT key, buckets FROM governance_counter WHERE key IN ({marks(keys)})", keys)
        for key, buckets in cursor.fetchall():
            self.counters[key] = decode(buckets)

    def labels(self, agent_id: int, session: str, *, isolated: bool) -> frozenset[str]:
        """Labels that weigh on this call: the session's, and, unless runs are isolated, those of all the agent's
        sessions in the last hour, so that a new session name washes nothing off."""
        own = self.sessions[agent_id, session].labels
        if isolated:
            return frozenset(own)
        since = self.seconds - LABEL_SECONDS
        return frozenset(own).union(label for label, at in self.agents[agent_id].labels.items() if at > since)

    def sessions_begun(self, agent_id: int) -> int:
        """How many sessions the agent began in the last hour."""
        since = self.seconds - LABEL_SECONDS
        return sum(at > since for at in self.agents[agent_id].sessions)

    def used(self, key: str, per: int) -> int:
        """What a limit's window holds now."""
        return windows.used(self.counters.get(key, []), per, self.milliseconds)

    def count(self, key: str, per: int, amount: int) -> None:
        """Add to a limit's window."""
        self.counters[key] = windows.add(self.counters.get(key, []), per, self.milliseconds, amount)
        self.changed_counters.add(key)

    def note_call(self, agent_id: int, session: str, digest: str, *, labels: frozenset[str]) -> int:
        """Number the decision; remember that this very call was asked for. Returns the agent's sequence number.

        A new session starts with the labels that weigh on its first call, and keeps them."""
        memory = self.sessions[agent_id, session]
        memory.calls = [*memory.calls[1 - CALLS_KEPT :], digest]
        memory.changed = True
        agent = self.agents[agent_id]
        agent.seq += 1
        agent.changed = True
        if memory.new:
            memory.new = False
            memory.labels = sorted(labels)
        return agent.seq

    def note_allowed(self, agent_id: int, session: str, tool: str, labels: frozenset[str]) -> None:
        """Remember an allowed call's tool and labels. A session begins with its first allowed call, and its
        labels, the earlier ones too, follow the agent for an hour from each."""
        memory = self.sessions[agent_id, session]
        agent = self.agents[agent_id]
        since = self.seconds - LABEL_SECONDS
        if not memory.allowed:
            agent.sessions = [at for at in agent.sessions[-999:] if at > since] + [round(self.seconds, 3)]
        memory.allowed += 1
        if tool not in memory.tools:
            memory.tools = [*memory.tools[1 - TOOLS_KEPT :], tool]
        if not labels.issubset(memory.labels):
            memory.labels = sorted({*memory.labels, *labels})
        if memory.labels:
            kept = {label: at for label, at in agent.labels.items() if at > since}
            agent.labels = kept | dict.fromkeys(memory.labels, round(self.seconds, 3))

    def repeats(self, agent_id: int, session: str, digest: str) -> int:
        """How often this very call was asked for lately in this session."""
        return self.sessions[agent_id, session].calls.count(digest)

    def store(self) -> None:
        """Write what changed."""
        now = adapt(self.now)
        with connection.cursor() as cursor:
            agents = [agent for agent in self.agents.values() if agent.changed]
            upsert(cursor, "governance_agentstate", "agent_id", "seq labels sessions recent pace",
                   [(a.id, a.seq, text(a.labels), text(a.sessions), text(a.recent), text(a.pace))
                    for a in agents])  # fmt: skip
            upsert(cursor, "governance_session", "agent_id name", "labels tools calls allowed started last_at",
                   [(s.agent_id, s.name, text(s.labels), text(s.tools), text(s.calls), s.allowed, s.started or now, now)
                    for s in self.sessions.values() if s.changed])  # fmt: skip
            upsert(cursor, "governance_counter", "key", "buckets",
                   [(key, text(self.counters[key])) for key in self.changed_counters])  # fmt: skip


def upsert(cursor: Any, table: str, keys: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows or update the columns of those that are there; values in the order keys, columns."""
    if not rows:
        return
    names = [*keys.split(), *columns.split()]
    changes = ", ".join(f"{name} = excluded.{name}" for name in columns.split())
    cursor.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks(names)})"
        f" ON CONFLICT ({', '.join(keys.split())}) DO UPDATE SET {changes}",
        rows,
    )


def counter_key(workspace_id: int, rule: CompiledRule, agent_id: int, session: str) -> str:
    """The counter of a limit rule for this caller. A rule keeps it while its name and measure stay."""
    by = rule.rule.limit.by if rule.rule.limit else "agent"
    scope = {"agent": str(agent_id), "session": f"{agent_id}/{session}", "workspace": ""}[by]
    return hashlib.sha256(f"{workspace_id}|{rule.rule.name}|{rule.measure}|{scope}".encode()).hexdigest()


def marks(values: Sequence[Any], mark: str = "%s") -> str:
    """Placeholders for as many values."""
    return ", ".join([mark] * len(values))


def text(value: Any) -> str:
    """JSON text for a JSON column."""
    return encode(value).decode()
