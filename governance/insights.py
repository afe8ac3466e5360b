"""What a workspace's approvals teach: how long people take, who waves through, which rule asks most for nothing.

Bounded, however much happened: the newest approvals and decisions are read, and how far that reaches is told.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any

from django.db.models import Count, Q

from audit.log import newest
from governance import policies
from governance.models import Approval, Asking, DecisionRecord, Vote
from governance.pulse import OUTCOMES, Hour
from governance.rules import Effect
from workspaces.models import User, Workspace

SEEN_BY = "view_log"  # the permission that it takes: it tells how single people work
LOOKED_THROUGH = 20_000  # newest approvals, votes and decisions
GLANCE = timedelta(seconds=3)  # who approves sooner after opening has not read it
ALWAYS = 10  # asked so often and always approved, a rule had better ask less
FEW_VOTES = 5  # with fewer, a share says nothing
Status = Approval.Status


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from asking to the last answer: the median, and what nine of ten stay below. None where nothing was
    answered."""

    median: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class Reviewer:
    """How one person answers. ``waved`` counts approvals within GLANCE of opening, or without ever opening."""

    name: str
    public_id: str
    votes: int
    approved: int
    waved: int
    looked: float | None  # median seconds from opening to answer

    @property
    def waved_share(self) -> float:
        return self.waved / self.votes

    @property
    def is_conspicuous(self) -> bool:
        """Whether somebody should talk with them."""
        return self.votes >= FEW_VOTES and self.waved_share >= 0.5


@dataclass(frozen=True, slots=True)
class AskingRule:
    """What came of the calls that one rule asked about; ``in_force`` is whether it still asks."""

    rule: str
    asked: int
    approved: int
    rejected: int
    expired: int
    in_force: bool

    @property
    def suggestion(self) -> str:
        """What to do about it, "" where nothing."""
        if not self.in_force:
            return ""
        if self.asked >= ALWAYS and self.asked == self.approved:
            return f"All {self.asked} were approved. Give a standing approval for such calls, or narrow the rule."
        if self.asked >= ALWAYS and self.expired * 2 >= self.asked:
            return "Half of what it asks runs out unanswered. Name more reviewers, or let it escalate."
        return ""


@dataclass(frozen=True, slots=True)
class Insights:
    """A period of a workspace's approvals. ``partial``: there was more than is counted, ``begin`` is where that
    begins. ``alone``: the share of decisions that no person had to make; ``prompts``: approvals asked for in an hour
    of an agent's work (an hour in which it asked for anything); both None where nothing was decided."""

    begin: datetime
    partial: bool
    asked: int
    waiting: int
    by_status: dict[str, int]
    times: Times
    reviewers: list[Reviewer]
    rules: list[AskingRule]
    never: list[str]
    alone: float | None
    prompts: float | None
    agent_hours: int

    @property
    def suggestions(self) -> list[AskingRule]:
        """Rules about which something should be done, the loudest first."""
        return [rule for rule in self.rules if rule.suggestion]


def read(workspace: Workspace, *, days: int, now: datetime) -> Insights:
    """The last ``days`` days. About ten queries, whatever happened in them."""
    rows = Approval.objects.filter(workspace=workspace)
    begin, partial = reach(rows, now - timedelta(days=days))
    within = rows.filter(created__gte=begin)
    by_status = dict(within.order_by().values_list("status").annotate(Count("pk")))
    rules = asking_rules(workspace, begin)
    alone, prompts, hours = burden(workspace, begin)
    return Insights(
        begin=begin,
        partial=partial,
        asked=sum(by_status.values()),
        waiting=rows.filter(status=Status.PENDING, expires_at__gt=now).count(),
        by_status={str(status): by_status.get(status, 0) for status in Status},
        times=times(within),
        reviewers=reviewers(workspace, begin),
        rules=rules,
        never=sorted(asking_now(workspace) - {each.rule for each in rules}),
        alone=alone,
        prompts=prompts,
        agent_hours=hours,
    )


def reach(rows: Any, begin: datetime) -> tuple[datetime, bool]:
    """From when on approvals are counted, and whether that cuts the period short."""
    oldest = rows.order_by("-created").values_list("created", flat=True)[LOOKED_THROUGH : LOOKED_THROUGH + 1]
    first = next(iter(oldest), None)
    return (first, True) if first is not None and first > begin else (begin, False)


def times(rows: Any) -> Times:
    """How long people took for what they decided."""
    decided = rows.filter(status__in=[Status.APPROVED, Status.REJECTED], settled_at__isnull=False)
    seconds = [
        (settled - created).total_seconds()
        for created, settled in decided.order_by().values_list("created", "settled_at")
    ]
    return Times(middle(seconds), ninth(seconds))


def middle(seconds: Sequence[float]) -> float | None:
    return median(seconds) if seconds else None


def ninth(seconds: Sequence[float]) -> float | None:
    """The ninth decile."""
    if len(seconds) < 2:
        return middle(seconds)
    return quantiles(seconds, n=10, method="inclusive")[-1]


def reviewers(workspace: Workspace, begin: datetime) -> list[Reviewer]:
    """Who answered, those who wave through most first."""
    cast = Vote.objects.filter(approval__workspace=workspace, created__gte=begin).order_by("-pk")
    found: dict[int, list[tuple[bool, float | None]]] = defaultdict(list)
    columns = cast.values_list("person_id", "approve", "opened_at", "created")
    for person, approve, opened, created in columns[:LOOKED_THROUGH]:
        found[person].append((approve, None if opened is None else (created - opened).total_seconds()))
    people = User.objects.in_bulk(found)
    told = [reviewer(people[key], votes) for key, votes in found.items()]
    return sorted(told, key=lambda each: (-each.waved, -each.waved_share, each.name))


def reviewer(person: User, votes: Iterable[tuple[bool, float | None]]) -> Reviewer:
    """One person's votes, each with the seconds from opening to answer."""
    votes = list(votes)
    looked = [seconds for _, seconds in votes if seconds is not None]
    return Reviewer(
        name=str(person),
        public_id=person.public_id,
        votes=len(votes),
        approved=sum(approve for approve, _ in votes),
        waved=sum(approve and is_glance(seconds) for approve, seconds in votes),
        looked=middle(looked),
    )


def is_glance(seconds: float | None) -> bool:
    """Whether an answer came too soon after opening to have been read, or without opening."""
    return seconds is None or seconds <= GLANCE.total_seconds()


def asking_rules(workspace: Workspace, begin: datetime) -> list[AskingRule]:
    """What came of what each rule asked, those that ask most first."""
    current = asking_now(workspace)
    rows = Asking.objects.filter(workspace=workspace, created__gte=begin).order_by()
    counted = rows.values_list("rule").annotate(
        Count("pk"),
        **{
            str(status): Count("pk", filter=Q(approval__status=status))
            for status in (Status.APPROVED, Status.REJECTED, Status.EXPIRED)
        },
    )
    told = [
        AskingRule(rule, asked, approved, rejected, expired, rule in current)
        for rule, asked, approved, rejected, expired in counted
    ]
    return sorted(told, key=lambda each: (-each.asked, each.rule))


def asking_now(workspace: Workspace) -> set[str]:
    """Names of the rules in force that ask people."""
    version = policies.in_force(workspace)
    return {
        rule["name"]
        for rule in (version.content if version else ())
        if rule["effect"] == Effect.REQUIRE_APPROVAL
        or rule.get("limit", {}).get("then") == Effect.REQUIRE_APPROVAL
    }


def burden(workspace: Workspace, begin: datetime) -> tuple[float | None, float | None, int]:
    """The share of decisions without a person, prompts an agent-hour, and agent-hours, over the newest decisions."""
    log_id = workspace.log_id
    rows = DecisionRecord.objects.filter(
        log_id=log_id, index__gte=newest(log_id) - LOOKED_THROUGH, time__gte=begin, type__in=OUTCOMES
    )
    counted = rows.order_by().annotate(hour=Hour("time")).values_list("hour", "agent", "type")
    hours, decided, asked = set(), 0, 0
    for hour, agent, kind, count in counted.annotate(Count("pk")):
        hours.add((hour, agent))
        decided += count
        asked += count if OUTCOMES[kind] == "waits" else 0
    if not decided:
        return None, None, 0
    return (decided - asked) / decided, asked / len(hours), len(hours)


def spoken(seconds: float | None) -> str:
    """A span as people say it: ``4 s``, ``12 min``, ``3.5 h``."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
