"""A version of the policy replayed over recorded decisions: what it would newly block, ask or allow.

The worker judges a slice, stores where it stands in one transaction that only succeeds from where it stood before, and
owes itself the next slice. So a worker that is killed repeats one batch at most, two workers never count a call twice,
and mail waits for one slice and not for the whole.

Who starts a replay gets to know which calls a condition matches, and so something of their arguments. A replay
therefore judges the calls of those agents only whose content that person may see.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from audit import log, owed
from audit.details import read_details
from audit.models import Entry, Head
from governance.models import PolicyVersion, Replay, ReplayDifference
from governance.rejudging import Difference, NotToBeJudged, Recorded, Rejudge, Standings, settled_elsewhere
from governance.ruleset import RuleSet
from governance.snapshot import Snapshot, UnreadableRules
from workspaces.access import may
from workspaces.models import Agent, User, Workspace
from workspaces.people import actor_of

SLICE = "governance.replay"
MOST_CALLS = 100_000
LONGEST_DAYS = 366
BATCH = 2_000  # entries read and stored at once
SLICE_SECONDS = 10.0  # then mail gets its turn; well below the lease
KEPT = 1_000  # differing calls that are listed, of each kind
DECIDED = ("governance.check.allowed", "governance.check.denied", "governance.check.pending")
WORKER = "system"
CONTAINED = "governance.containment.changed"
Status = Replay.Status
OPEN = (Status.WAITING, Status.RUNNING)


class ReplayRefused(ValueError):
    """A replay that cannot be started; the message says what to do."""

    code, status = "replay_refused", 409


@dataclass(slots=True)
class Progress:
    """What one batch adds to a replay."""

    position: int
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[ReplayDifference] = field(default_factory=list)


def start(
    version: PolicyVersion,
    *,
    person: User,
    days: int | None = None,
    most: int = MOST_CALLS,
    agent: Agent | None = None,
) -> Replay:
    """Have the worker judge the latest ``most`` calls, of the last ``days`` days where given, by a version.

    Calls of agents whose content the person may not see are left out. Raises ReplayRefused.
    """
    if not 1 <= most <= MOST_CALLS or (days is not None and not 1 <= days <= LONGEST_DAYS):
        raise ReplayRefused(
            f"Choose 1 to {MOST_CALLS:,} calls, and 1 to {LONGEST_DAYS} days where you choose days."
        )
    workspace = version.workspace
    compile_draft(version, Snapshot(workspace.log_id))
    agents = whose_calls(person, workspace, agent)
    try:
        with log.write(workspace.log_id) as entries:
            replay = Replay.objects.create(
                workspace=workspace,
                version=version,
                started_by=person,
                agents=agents,
                days=days,
                most=most,
                end=entries.head(workspace.log_id).size,
                created=entries.now,
            )
            data = {"replay": replay.public_id, **naming(version), "most": most}
            data |= {"days": days} if days else {}
            data |= {"agents": len(agents)} if agents is not None else {}
            entries.append(
                "governance.replay.started", actor=actor_of(person), data=data, log_id=workspace.log_id
            )
            owed.owe(SLICE, [{"replay": replay.pk}], due=entries.now)
    except IntegrityError as error:
        raise ReplayRefused(
            "Another replay is under way in this workspace; wait for its result, or cancel it."
        ) from error
    return replay


def whose_calls(person: User, workspace: Workspace, agent: Agent | None) -> list[str] | None:
    """Public ids of the agents whose calls a person may have judged; None for all. Raises ReplayRefused."""
    if agent is None and may(person, "view_content", workspace):
        return None
    own = [agent] if agent else list(Agent.objects.filter(workspace=workspace, owner=person))
    seen = [each.public_id for each in own if may(person, "view_content", each)]
    if not seen:
        raise ReplayRefused(
            "Which calls a rule matches tells what they hold, and there is no agent here whose calls you may read. "
            "Ask an owner or a compliance officer to replay this version."
        )
    return sorted(seen)


def visible_to(person: User, workspace: Workspace) -> QuerySet[Replay]:
    """The replays whose result a person may see: their own, and all for who may see every agent's content."""
    rows = Replay.objects.filter(workspace=workspace).select_related("version", "started_by", "workspace")
    return rows if may(person, "view_content", workspace) else rows.filter(started_by=person)


def share(replay: Replay) -> int:
    """How much was read, in percent."""
    if replay.status == Status.DONE:
        return 100
    return 100 * (replay.position - replay.first) // max(1, replay.end - replay.first)


def may_cancel(person: User, replay: Replay) -> bool:
    """Whether a person may stop a replay: who started it, and who may publish policies."""
    return replay.started_by_id == person.pk or may(person, "publish_policy", replay.workspace)


def cancel(replay: Replay) -> bool:
    """Stop a replay; False when it was over already. What was found so far stays."""
    rows = Replay.objects.filter(pk=replay.pk, status__in=OPEN)
    return bool(rows.update(status=Status.CANCELLED, finished_at=timezone.now(), state=b""))


def go_on(payload: dict[str, Any]) -> str | None:
    """Judge the next slice of a replay; the worker calls this for a row of the kind ``governance.replay``."""
    replay = Replay.objects.filter(pk=payload["replay"], status__in=OPEN).select_related("version").first()
    if replay is None:
        return "over already"
    until = time.monotonic() + SLICE_SECONDS
    try:
        runner = Runner(replay)
    except ReplayRefused as refused:
        close(replay, Status.FAILED, error=str(refused))
        return str(refused)
    while runner.step():
        if time.monotonic() >= until:
            owed.owe(SLICE, [payload], due=log.database_time())
            break
    return f"{replay.public_id}: entry {replay.position:,} of {replay.end:,}"


class Runner:
    """One slice: the configuration as it is now, and the replay as it stands."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        snapshot = Snapshot(replay.version.workspace.log_id)
        draft = compile_draft(replay.version, snapshot)
        if replay.status == Status.WAITING:
            begin(replay, snapshot)
        self.state: dict[str, Any] = orjson.loads(bytes(replay.state))
        standings = Standings(self.state["now"], [tuple(step) for step in self.state["steps"]])
        self.rejudge = Rejudge(snapshot, draft, standings, self.state["counters"])

    def step(self) -> bool:
        """Judge and store one batch; False when there is no more, or the replay is over for another reason."""
        replay = self.replay
        calls, position = read(replay)
        progress = Progress(position)
        self.judge(calls, progress)
        done = position >= replay.end
        before = Replay.objects.filter(pk=replay.pk, status=Status.RUNNING, position=replay.position)
        counts = dict(Counter(replay.counts) + progress.counts)
        with transaction.atomic():
            state = b"" if done else orjson.dumps(self.state)
            if not before.update(position=position, counts=counts, state=state):
                return False  # cancelled, or another worker went on
            ReplayDifference.objects.bulk_create(progress.differences)
        replay.position, replay.counts = position, counts
        if done:
            close(replay, Status.DONE)
        return not done

    def judge(self, calls: Sequence[Recorded], progress: Progress) -> None:
        """Judge the calls of a batch in order. Details are read only of those for which the rules differ."""
        differing = []
        for call in calls:
            progress.counts["calls"] += 1
            if settled_elsewhere(call.data):
                progress.counts["elsewhere"] += 1
                continue
            try:
                if self.rejudge.needs_detail(call):
                    differing.append(call)
                else:
                    progress.counts["same"] += 1
            except NotToBeJudged as reason:
                progress.counts[f"not: {reason}"] += 1
        details = dict(read_details(self.replay.version.workspace.log_id, [call.index for call in differing]))
        for call in differing:
            try:
                difference = self.rejudge.judge(call, details.get(call.index, {}))
            except NotToBeJudged as reason:
                progress.counts[f"not: {reason}"] += 1
                continue
            self.note(call, difference, progress)

    def note(self, call: Recorded, difference: Difference | None, progress: Progress) -> None:
        """Count a judged call, and keep it where it differs and not too many were kept."""
        if difference is None:
            progress.counts["same"] += 1
            return
        progress.counts[difference.kind] += 1
        if self.replay.counts.get(difference.kind, 0) + progress.counts[difference.kind] <= KEPT:
            progress.differences.append(
                ReplayDifference(
                    replay=self.replay,
                    kind=difference.kind,
                    index=call.index,
                    entry_key=call.entry_id,
                    time=call.time,
                    agent=call.agent,
                    tool=call.tool[:200],
                    before=difference.before,
                    after=difference.after,
                    rules_before=difference.rules_before[:20],
                    rules_after=difference.rules_after[:20],
                )
            )


def compile_draft(version: PolicyVersion, snapshot: Snapshot) -> RuleSet:
    """The version's rules as they would judge. Raises ReplayRefused where they cannot be read."""
    try:
        return snapshot.rules_of(version)
    except UnreadableRules as error:
        raise ReplayRefused(str(error)) from error


def begin(replay: Replay, snapshot: Snapshot) -> None:
    """Find where to begin, and how agents stood: once, by whichever worker comes first."""
    log_id, entries = snapshot.log_id, decided(replay)
    first = 0
    if replay.days is not None:
        first = min(log.index_at(log_id, replay.created - timedelta(days=replay.days)), replay.end)
    oldest = entries.filter(index__gte=first).order_by("-index").values_list("index", flat=True)
    first = max(first, next(iter(oldest[replay.most - 1 : replay.most]), first))
    state = {"steps": steps_since(log_id, first), "now": standings_now(snapshot), "counters": {}}
    changed = {
        "first": first,
        "position": first,
        "revision": snapshot.revision,
        "status": Status.RUNNING,
        "state": orjson.dumps(state),
    }
    Replay.objects.filter(pk=replay.pk, status=Status.WAITING).update(**changed)
    replay.refresh_from_db()


def close(replay: Replay, status: Status, *, error: str = "") -> None:
    """Finish a replay once, with the entry that says what came out."""
    workspace = Workspace.objects.get(pk=replay.workspace_id)
    with log.write(workspace.log_id) as entries:
        open_one = Replay.objects.filter(pk=replay.pk, status__in=OPEN)
        if not open_one.update(status=status, finished_at=entries.now, error=error[:500], state=b""):
            return
        counts = replay.counts
        told = {name: counts.get(name, 0) for name in ("calls", "same", "block", "ask", "allow")}
        told["unjudged"] = unjudged(counts)
        data = {"replay": replay.public_id, **naming(replay.version), **told}
        entries.append(
            "governance.replay.finished",
            actor=WORKER,
            outcome=status.value,
            data=data,
            log_id=workspace.log_id,
        )


def unjudged(counts: dict[str, int]) -> int:
    """How many calls could not be judged."""
    return sum(count for name, count in counts.items() if name.startswith("not: "))


def naming(version: PolicyVersion) -> dict[str, Any]:
    """Which version an entry is about."""
    return {"policy": version.digest, "number": version.number}


def decided(replay: Replay) -> QuerySet[Entry]:
    """The entries that a replay reads."""
    log_id = replay.version.workspace.log_id
    rows = Entry.objects.filter(log_id=log_id, index__lt=replay.end, type__in=DECIDED)
    return rows if replay.agents is None else rows.filter(agent__in=replay.agents)


def read(replay: Replay) -> tuple[list[Recorded], int]:
    """The next batch of calls, and the index at which the one after it begins."""
    rows = decided(replay).filter(index__gte=replay.position).order_by("index")
    columns = rows.values_list("index", "pk", "time", "agent", "tool", "session", "body")
    calls = [
        Recorded(index, key, at, agent, tool, session, orjson.loads(bytes(body))["data"])
        for index, key, at, agent, tool, session, body in columns[:BATCH]
    ]
    return calls, calls[-1].index + 1 if len(calls) == BATCH else replay.end


def steps_since(log_id: int, first: int) -> list[tuple[int, str, str, str]]:
    """(index, scope, from, to) of every containment step since an entry, as ``Standings`` reads them."""
    rows = Entry.objects.filter(log_id=log_id, index__gte=first, type=CONTAINED).order_by("index")
    steps = []
    for index, agent, body in rows.values_list("index", "agent", "body"):
        data = orjson.loads(bytes(body))["data"]
        steps.append((index, agent or data["scope"], data["from"], data["to"]))
    return steps


def standings_now(snapshot: Snapshot) -> dict[str, str]:
    """How workspace, installation and every agent that is not plainly active stand."""
    agents = Agent.objects.filter(~Q(standing="active"), workspace_id=snapshot.workspace_id)
    return {
        "workspace": snapshot.standing,
        "installation": snapshot.installation_standing,
        **dict(agents.values_list("public_id", "standing")),
    }


def changed_since(replay: Replay) -> bool:
    """Whether the workspace's configuration is another one than the replay judged by."""
    return Head.objects.get(log_id=replay.workspace.log_id).revision != replay.revision
