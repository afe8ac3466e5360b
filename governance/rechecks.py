"""Recorded decisions judged once more by the rules that judged them, with the arguments that are still there.

A verdict can be derived from the log alone as far as the results of conditions are believed (`audit/verify.py` does);
here conditions are evaluated again. Where what a call rests on has changed since (its agent, its tool, resources or
lists), another result proves nothing, and is counted instead of told.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import orjson
from django.db.models import Max

from audit.details import read_details
from audit.models import Change, Entry
from governance import replays
from governance.rejudging import (
    CHANGED,
    ERASED,
    NotToBeJudged,
    Recorded,
    Rejudge,
    Standings,
    refuse_hidden,
    settled_elsewhere,
    underlying,
)
from governance.ruleset import RuleSet
from governance.snapshot import Snapshot
from workspaces.models import Workspace

BATCH = 500


@dataclass(slots=True)
class Rechecked:
    """What came out. ``unjudged`` counts decisions by why nothing can be said of them, ``first`` is the index of the
    first that differs, and ``how``."""

    decisions: int = 0
    conditions: int = 0
    elsewhere: int = 0
    differing: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)
    first: int | None = None
    how: str = ""


def recheck(workspace: Workspace, progress: Callable[[int, int], None] | None = None) -> Rechecked:
    """Judge every decision of a workspace's log again. Locks nothing."""
    found = Rechecked()
    recheck = Recheck(workspace.log_id, found)
    rows = Entry.objects.filter(log_id=workspace.log_id, type__in=replays.DECIDED)
    total = rows.count()
    for calls in batches(workspace.log_id):
        recheck.judge(calls)
        if progress is not None:
            progress(found.decisions, total)
    return found


def batches(log_id: int) -> Iterator[list[Recorded]]:
    """All decisions of a log in order."""
    position = 0
    while True:
        rows = Entry.objects.filter(log_id=log_id, index__gte=position, type__in=replays.DECIDED)
        columns = rows.order_by("index").values_list(
            "index", "pk", "time", "agent", "tool", "session", "body"
        )
        calls = [
            Recorded(index, key, at, agent, tool, session, orjson.loads(bytes(body))["data"])
            for index, key, at, agent, tool, session, body in columns[:BATCH]
        ]
        if not calls:
            return
        yield calls
        position = calls[-1].index + 1


class Recheck:
    """The configuration as it is now, and since when each part of it is so."""

    def __init__(self, log_id: int, found: Rechecked) -> None:
        self.log_id, self.found = log_id, found
        self.snapshot = Snapshot(log_id)
        standings = Standings(replays.standings_now(self.snapshot), replays.steps_since(log_id, 0))
        self.rejudge = Rejudge(self.snapshot, RuleSet([], {}), standings, {})
        changes = Change.objects.filter(log_id=log_id, kind__in=("agent", "tool", "resource", "list"))
        self.changed: dict[tuple[str, int], int] = {}
        for kind, key, revision in changes.values_list("kind", "key").annotate(Max("revision")):
            place = kind, key if kind in ("agent", "tool") else 0
            self.changed[place] = max(revision, self.changed.get(place, 0))

    def judge(self, calls: list[Recorded]) -> None:
        """Judge a batch."""
        self.found.decisions += len(calls)
        waiting = [call for call in calls if not settled_elsewhere(call.data)]
        self.found.elsewhere += len(calls) - len(waiting)
        details = dict(read_details(self.log_id, [call.index for call in waiting]))
        for call in waiting:
            try:
                how = self.differs(call, details.get(call.index, {}))
            except NotToBeJudged as reason:
                self.found.unjudged[str(reason)] += 1
                continue
            if how:
                self.found.differing += 1
                if self.found.first is None:
                    self.found.first, self.found.how = call.index, how

    def differs(self, call: Recorded, detail: dict[str, object]) -> str:
        """How the rules come to something else than was recorded; "" where they do not. Raises NotToBeJudged."""
        if not isinstance(detail.get("arguments"), dict):
            raise NotToBeJudged(ERASED)
        rules = self.rejudge.rules_for(call, draft=False)
        refuse_hidden(rules, detail)
        again = self.rejudge.verdict(call, detail, rules, rules)
        self.found.conditions += sum(rule.condition is not None for rule in rules)
        recorded, (decision, _) = call.data.get("rules", ""), underlying(call.data)
        if again.results == recorded and (again.decision == decision or self.rests_on_money(call)):
            return ""
        if self.is_changed_since(call):
            raise NotToBeJudged(CHANGED)
        return f"its rules came to {recorded or 'nothing'} ({decision}), and come to {again.results} ({again.decision})"

    def rests_on_money(self, call: Recorded) -> bool:
        """Whether something was short that no rule knows of."""
        return "short" in call.data

    def is_changed_since(self, call: Recorded) -> bool:
        """Whether anything that the rules look at was changed after the call was judged."""
        agent, tool = self.rejudge.agents[call.agent], self.snapshot.tools[call.tool]
        places = (("agent", agent.id), ("tool", tool.id), ("resource", 0), ("list", 0))
        return any(self.changed.get(place, 0) > call.data["revision"] for place in places)
