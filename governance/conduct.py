"""What a log must not tell of its agents: allowed while contained, out of order, or more than was approved.

A reader of `audit.verification`: it follows standings, keys, revisions and approvals through the entries of a
log, and judges each decision against what the log itself had said before. Whoever rewrites entries and every
hash after them still has to tell a story in which all of this fits.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeAlias

from audit.findings import COMPARE, Finding, short
from audit.models import Log
from audit.verification import Body, Sealed
from governance.models import PolicyVersion, StandingApproval
from governance.recall import APPROVAL_USE
from governance.records import ENTRY_TYPES
from governance.standing import GIVEN, LONGEST
from governance.subjects import LADDER, effective_standing
from workspaces.models import Agent, AgentKey, Installation, Workspace

AGENT, KEY, WORKSPACE, INSTALLATION, POLICY, STANDING = (
    model._meta.label_lower
    for model in (Agent, AgentKey, Workspace, Installation, PolicyVersion, StandingApproval)
)
ALLOWED = ENTRY_TYPES["allow"]
SIMULATED = "governance.check.simulated"
NUMBERED = frozenset(ENTRY_TYPES.values())
FINAL = ("suspended", "revoked")

Standing: TypeAlias = tuple[str, datetime | None]


class Conduct:
    """Follows one log, entry by entry. Memory grows with the configuration; decisions' ids are on disk."""

    def __init__(self) -> None:
        self.agents: dict[str, Standing] = {}
        self.workspace: Standing = ("active", None)
        self.installation: Standing = ("active", None)
        self.keys: dict[str, tuple[str | None, str | None]] = {}
        self.sequence: dict[str, int] = {}
        self.revision = 0
        self.approved: dict[str, tuple[datetime, str]] = {}
        self.ahead: dict[str, Ahead] = {}
        self.decisions = Identifiers()
        self.unnumbered: set[str] = set()
        self.skipped = False
        self.gap_at: datetime | None = None
        self.logs: dict[str, int] = {}
        self.readers: dict[str, Callable[[Body], Iterator[str]]] = {
            **dict.fromkeys(NUMBERED, self.judge),
            SIMULATED: self.judge_revision,
            "governance.containment.changed": self.contain,
            "governance.approval.settled": self.settle,
            "governance.approval.edited": self.judge_revision,
            GIVEN: self.give,
            "workspaces.workspace.created": self.found,
        }

    def read(self, body: Body, detail: Sealed) -> Iterable[Finding]:
        """Judge one entry by those before it."""
        if self.skipped:
            self.skipped = False
            self.gap_at = datetime.fromisoformat(body["time"])
        if rows := body["data"].get("rows"):
            self.follow(rows, body["data"].get("revision"))
        reader = self.readers.get(body["type"])
        if reader is None:
            return ()
        try:
            return [Finding("conduct", f"{problem} {COMPARE}", body["index"]) for problem in reader(body)]
        except (KeyError, TypeError, ValueError, AttributeError):
            return [
                Finding("conduct", f"Its data lacks what a {body['type']} tells. {COMPARE}", body["index"])
            ]

    def skip(self) -> None:
        """Where entries were pruned, how far an agent had counted is unknown, and what was approved just before."""
        self.unnumbered |= self.agents.keys()
        self.sequence.clear()
        self.skipped = True

    def conclude(self) -> Iterator[Finding]:
        """Whether every log that this one tells of is there."""
        self.decisions.close()
        there = {str(uuid) for uuid in Log.objects.values_list("uuid", flat=True)}
        for uuid, index in self.logs.items():
            if uuid not in there:
                yield Finding("log_missing", f"It tells of the log {uuid}, which is gone. {COMPARE}", index)

    def follow(self, rows: list[Any], revision: Any) -> None:
        """Take over standings and keys from rows that an entry saved; odd rows are the rebuild's to name."""
        if type(revision) is int:
            self.revision = revision
        for row in rows:
            state = row.get("state") if type(row) is dict else None
            if type(state) is not dict:
                continue
            if row.get("kind") == KEY:
                self.keys[state.get("prefix", "")] = (state.get("revoked_at"), state.get("expires_at"))
            elif row.get("kind") in (AGENT, WORKSPACE, INSTALLATION) and state.get("standing") in LADDER:
                self.stand(row["kind"], state)
            elif row.get("kind") == POLICY and state.get("status") == "in_force":
                self.ahead.clear()
            elif row.get("kind") == STANDING and state.get("revoked_at") is not None:
                self.ahead.pop(state.get("public_id", ""), None)

    def stand(self, kind: str, state: dict[str, Any]) -> None:
        until = state.get("observe_until")
        standing = state["standing"], datetime.fromisoformat(until) if until else None
        if kind == AGENT:
            self.agents[state.get("public_id", "")] = standing
        elif kind == WORKSPACE:
            self.workspace = standing
        else:
            self.installation = standing

    def judge(self, body: Body) -> Iterator[str]:
        """Problems of a decision that was numbered: allowed, denied or pending."""
        agent, data = body["agent"], body["data"]
        yield from self.judge_revision(body)
        expected = self.sequence.get(agent, 0) + 1
        number = self.sequence[agent] = int(data["seq"])
        if agent in self.unnumbered:
            self.unnumbered.discard(agent)
        elif number != expected:
            yield f"It is decision {number} of {agent}, and the next one is {expected}."
        if body["type"] != ALLOWED:
            return
        earlier = self.decisions.add(str(data["decision"]), body["index"])
        if earlier is not None:
            yield f"The decision {data['decision']} was allowed by entry {earlier} already."
        yield from self.judge_standing(body)
        yield from self.judge_key(body)
        yield from self.judge_approval(body)

    def judge_revision(self, body: Body) -> Iterator[str]:
        """A decision is judged by the configuration as it is, never by an older one."""
        judged_at = body["data"]["revision"]
        if judged_at != self.revision:
            yield f"It was judged at revision {judged_at}, and the configuration was at {self.revision}."

    def judge_standing(self, body: Body) -> Iterator[str]:
        """Nothing is allowed against the strictest standing of agent, workspace and installation."""
        agent, data = body["agent"], body["data"]
        if agent not in self.agents:
            yield f"The log knows no agent {short(agent)}."
            return
        scopes = self.agents[agent], self.workspace, self.installation
        now = datetime.fromisoformat(body["time"])
        standing = effective_standing(now, *scopes)
        writes = data["action"] != "read" or bool(data.get("writes"))
        if standing in FINAL or (standing == "read_only" and writes):
            yield f"It allows {agent}, which is {standing} since an earlier entry, to {data['action']}."
        elif standing == "supervised" and writes and "supervised" not in data.get("lifted", ()):
            yield f"It allows {agent}, which is supervised, to {data['action']} without an approval."
        # The end of an observation of the whole installation stands in the installation's log only.
        elif data.get("would") and standing != "observe" and self.installation[0] != "observe":
            yield f"It allows what would be {data['would']}, and {agent} is {standing} and not observed."

    def judge_key(self, body: Body) -> Iterator[str]:
        """Only a key that the log knows, and that is neither revoked nor expired, gets an allow."""
        prefix = body["data"]["key"]
        if prefix not in self.keys:
            yield f"It was asked with the key {short(prefix)}, which the log does not know."
            return
        revoked, expires = self.keys[prefix]
        if revoked is not None:
            yield f"It was asked with the key {prefix}, which was revoked."
        elif expires is not None and datetime.fromisoformat(expires) <= datetime.fromisoformat(body["time"]):
            yield f"It was asked with the key {prefix}, which had expired."

    def judge_approval(self, body: Body) -> Iterator[str]:
        """What an approval lifts is lifted by one that people gave to this agent, lately, and only once."""
        data = body["data"]
        if "standing_approval" in data:
            yield from self.judge_ahead(body)
            return
        if not data.get("lifted") and not data.get("facts", {}).get("lifted"):
            return
        used = data["used_approval"]
        settled, agent = self.approved.pop(used, (None, ""))
        now = datetime.fromisoformat(body["time"])
        if settled is None and self.gap_at is not None and now < self.gap_at + APPROVAL_USE:
            return
        if settled is None or agent != body["agent"] or settled + APPROVAL_USE <= now:
            yield (
                f"It uses the approval {short(used)}, which was not approved for {body['agent']} in the "
                f"{APPROVAL_USE.seconds // 60} minutes before, or was used or void already."
            )

    def give(self, body: Body) -> Iterator[str]:
        """Remember what was approved in advance, as its rows say."""
        for row in body["data"]["rows"]:
            if row["kind"] == STANDING:
                self.ahead[row["state"]["public_id"]] = Ahead(body["agent"], row["state"])
        yield from ()

    def judge_ahead(self, body: Body) -> Iterator[str]:
        """What an approval in advance lifts is lifted by one that the log gave and did not end."""
        used = body["data"]["standing_approval"]
        given = self.ahead.get(used)
        if given is None:
            if self.gap_at is None or datetime.fromisoformat(body["time"]) >= self.gap_at + LONGEST:
                yield f"It uses the standing approval {short(used)}, which was never given, or has ended."
        elif problem := given.use(body):
            yield f"It uses the standing approval {short(used)}, which {problem}."

    def settle(self, body: Body) -> Iterator[str]:
        """Remember an approval as long as it can be used."""
        now = datetime.fromisoformat(body["time"])
        for approval, (settled, _) in list(self.approved.items()):
            if settled + APPROVAL_USE > now:
                break
            del self.approved[approval]
        if body["outcome"] == "approved":
            self.approved[body["data"]["approval"]] = now, body["agent"]
        yield from ()

    def contain(self, body: Body) -> Iterator[str]:
        """Take over the installation's standing, and void the approvals that the step voids."""
        scope, standing = body["data"]["scope"], body["data"]["to"]
        if scope == "installation" and self.installation[0] != standing:
            self.installation = standing, None
        if scope == "agent":
            self.approved = {key: each for key, each in self.approved.items() if each[1] != body["agent"]}
            self.ahead = {key: each for key, each in self.ahead.items() if each.agent != body["agent"]}
        else:
            self.approved.clear()
            self.ahead.clear()
        saved = {"agent": self.agents.get(body["agent"]), "workspace": self.workspace}.get(scope)
        if standing not in LADDER or (saved is not None and saved[0] != standing):
            yield f"It says that the standing became {short(standing)}, and its rows say otherwise."

    def found(self, body: Body) -> Iterator[str]:
        """Remember the log of a new workspace, which the installation's log tells of."""
        if "log" in body["data"]:
            self.logs[body["data"]["log"]] = body["index"]
        yield from ()


class Ahead:
    """A standing approval as the log gave it, and how often it was used since."""

    def __init__(self, agent: str, state: dict[str, Any]) -> None:
        self.agent = agent
        self.state = state
        self.uses = 0

    def use(self, body: Body) -> str:
        """Count a use; what speaks against it, or nothing."""
        data, state = body["data"], self.state
        self.uses += 1
        if (body["agent"], body["tool"], data["declaration"]) != (
            self.agent,
            state["tool"],
            state["declaration"],
        ):
            return "is for another agent or tool"
        if not state["any_session"] and body["session"] != state["session"]:
            return "is for another session"
        if data["policy"] != state["policy"]:
            return "rests on another policy"
        if not set(data["facts"]["lifted"]) <= set(state["lifts"]):
            return "does not lift all of that"
        if datetime.fromisoformat(body["time"]) >= datetime.fromisoformat(state["expires_at"]):
            return "had ended"
        return "was used up" if self.uses > state["max_uses"] else ""


class Identifiers:
    """Ids seen so far, in a private database that goes to a temporary file when it grows."""

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("PRAGMA cache_size = -16000")  # KiB
        self.database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, entry INTEGER) WITHOUT ROWID")
        self.database.execute("BEGIN")

    def add(self, identifier: str, index: int) -> int | None:
        """Remember an id; the index of the entry that had it before, or None."""
        added = self.database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (identifier, index))
        if added.rowcount:
            return None
        row = self.database.execute("SELECT entry FROM seen WHERE id = ?", (identifier,)).fetchone()
        return int(row[0])

    def close(self) -> None:
        self.database.close()
