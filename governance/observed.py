"""What an agent's calls lacked, read from its decisions, and the least grants that would have allowed them.

A denial for want of a grant names in its Detail every permission that was missing; under ``observe`` the same stands
beside a call that was let through. Nothing is guessed: a call is allowed by the grants of exactly these.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit import log
from audit.details import uuid_of, values_of
from audit.envelopes import open_envelope
from audit.models import Detail, Entry
from workspaces.access import grants_of, may
from workspaces.access.scoping import Visitor
from workspaces.allowances import Need, exactly
from workspaces.declarations import Action
from workspaces.models import Agent, User
from workspaces.people import actor_of
from workspaces.resources import Parts, Pattern, PatternError, PatternSet, parts

LOOKED_THROUGH = 5_000  # entries of an agent in one reading
READ_AT_MOST = 32 * 2**20  # bytes of Details in one reading
CHUNK = 400
SIBLINGS = 3  # resources that make a folder, a host or a mail domain worth offering
OFFERED = 30
ALLOWED, DENIED = "governance.check.allowed", "governance.check.denied"
LACKING = {"no_permission"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was, or but for an observation would have been, refused. ``needs`` are the permissions it
    lacked; without any, no grant would have helped."""

    index: int
    tool: str
    code: str
    needs: tuple[Need, ...]


@dataclass(slots=True)
class Reading:
    """Calls of one agent, newest first. ``older`` is the index below which there is more to read; ``erased`` are
    calls whose content is gone."""

    calls: list[Call] = field(default_factory=list)
    since: datetime | None = None
    older: int | None = None
    erased: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A need, how many of the calls have it (or, for a wider pattern, are covered by it), and how many different
    resources of the calls it covers."""

    need: Need
    calls: int
    resources: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """The least grants for some calls: exact ones, and wider patterns that cover several of them. ``unnamed`` counts
    calls whose resource cannot be written as a pattern, ``others`` maps codes to calls that no grant helps."""

    exact: list[Proposal]
    wider: list[Proposal]
    calls: int
    unnamed: int
    others: list[tuple[str, str, int]]

    def holds(self, need: Need) -> bool:
        """Whether this need is one that the draft proposes."""
        return any(need == each.need for each in (*self.exact, *self.wider))


def may_draft(person: Visitor, agent: Agent) -> bool:
    """Whether a person may see what an agent lacked, which stands in what it sent, and grant it."""
    return (
        may(person, "manage_agents", agent.workspace)
        and may(person, "manage_tools", agent.workspace)
        and may(person, "view_content", agent)
    )


def observed(agent: Agent, *, person: User, before: int | None = None) -> Reading:
    """What the agent's observation let through, since it began; the reading is an entry by ``person``."""
    return read(agent, person=person, before=before, types={ALLOWED}, outcomes={"observed"})


def denied(agent: Agent, *, person: User, index: int) -> Reading:
    """The denial of this index and the agent's earlier ones of the same tool for want of a grant; the reading is an
    entry. Empty where there is no such denial."""
    here = Entry.objects.filter(
        log_id=agent.workspace.log_id, index=index, agent=agent.public_id, type=DENIED
    )
    tool = here.filter(outcome__in=LACKING).values_list("tool", flat=True).first()
    if tool is None:
        return Reading()
    return read(agent, person=person, before=index + 1, types={DENIED}, outcomes=LACKING, tool=tool)


def read(
    agent: Agent,
    *,
    person: User,
    before: int | None,
    types: set[str],
    outcomes: set[str],
    tool: str | None = None,
) -> Reading:
    """The agent's calls of these types and outcomes among the latest entries below ``before``."""
    log_id = agent.workspace.log_id
    rows = Entry.objects.filter(log_id=log_id, agent=agent.public_id).order_by("-index")
    if before is not None:
        rows = rows.filter(index__lt=before)
    seen = list(rows.values_list("index", "type", "outcome", "tool", "time")[:LOOKED_THROUGH])
    reading = Reading(older=seen[-1][0] if len(seen) == LOOKED_THROUGH else None)
    chosen = {}
    for index, kind, outcome, name, time in seen:
        if kind == "governance.containment.changed" and outcome == "observe" and "observed" in outcomes:
            reading.older = None
            break
        if kind in types and outcome in outcomes and tool in (None, name):
            chosen[index] = name
        reading.since = time
    found = 0
    uuid = uuid_of(log_id)
    for index, envelope in contents(log_id, list(chosen)):
        if envelope is None:
            reading.older = index + 1
            break
        values = values_of(open_envelope(log_id, uuid, index, envelope))
        reading.calls.append(call_of(index, chosen[index], values))
        found += 1
    else:
        reading.erased = len(chosen) - found
    if found:
        with log.write(log_id) as entries:
            entries.append(
                "governance.observation.read",
                actor=actor_of(person),
                agent=agent.public_id,
                data={"entries": found, "first": reading.calls[-1].index, "last": reading.calls[0].index},
            )
    return reading


def contents(log_id: int, indexes: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
    """(index, sealed Detail) newest first; once too much was read, None for the next one."""
    budget = READ_AT_MOST
    for start in range(0, len(indexes), CHUNK):
        rows = Detail.objects.filter(log_id=log_id, index__in=indexes[start : start + CHUNK])
        for index, content in rows.order_by("-index").values_list("index", "content").iterator(chunk_size=50):
            if budget < 0:
                yield index, None
                return
            budget -= len(content)
            yield index, bytes(content)


def call_of(index: int, tool: str, values: dict[str, Any]) -> Call:
    """What a Detail says of its call's refusal."""
    reasons = values.get("reasons") or [{}]
    first = reasons[0]
    needs = {
        Need(each["permission"], each.get("resource") or each["tool"]) for each in first.get("missing", ())
    }
    return Call(index, tool, str(first.get("code", "")), tuple(sorted(needs)))


class Holdings:
    """What an agent is granted at a time, to be asked whether it has what a call needs."""

    def __init__(self, agent: Agent, now: datetime) -> None:
        self.tools: set[str] = set()
        self.patterns: dict[str, PatternSet[int]] = defaultdict(PatternSet)
        for line in grants_of(agent):
            if line.expires_at is not None and line.expires_at <= now:
                continue
            pattern = getattr(line.target, "pattern", None)
            if pattern is None:
                self.tools.add(line.target.name)
            else:
                self.patterns[line.permission].add(line.target.pk, pattern)

    def have(self, need: Need) -> bool:
        if need.is_tool:
            return need.of in self.tools
        return bool(self.patterns[need.permission].match(need.of))


def draft(calls: Iterable[Call], holdings: Holdings) -> Draft:
    """The least grants that allow these calls beside what the agent holds already. Rules still guard them."""
    counted: Counter[Need] = Counter()
    others: Counter[tuple[str, str]] = Counter()
    open_calls = []
    unnamed = 0
    for call in calls:
        needs = [need for need in call.needs if not holdings.have(need)]
        if not call.needs:
            others[call.tool, call.code] += 1
        elif any(not need.is_tool and exactly(need.of) is None for need in needs):
            unnamed += 1
        elif needs:
            open_calls.append(needs)
            counted.update(needs)
    exact = [Proposal(need, count) for need, count in sorted(counted.items(), key=order)]
    return Draft(
        exact,
        wider(open_calls),
        len(open_calls),
        unnamed,
        [(tool, code, count) for (tool, code), count in others.most_common(OFFERED)],
    )


def order(item: tuple[Need, int]) -> tuple[bool, str, str]:
    """Tools before resources, then by name."""
    need, _ = item
    return not need.is_tool, need.of, need.permission


def wider(calls: Sequence[Sequence[Need]]) -> list[Proposal]:
    """Patterns over a folder, host or mail domain in which the calls touched several resources; of two that cover
    the same of them the narrower."""
    covered: dict[Need, set[str]] = defaultdict(set)
    for needs in calls:
        for need in needs:
            for pattern in () if need.is_tool else above(need.of):
                covered[Need(need.permission, pattern)].add(need.of)
    narrow: dict[tuple[str, frozenset[str]], Need] = {}
    for need, resources in covered.items():
        if len(resources) >= SIBLINGS and covers(need.of, resources):
            key = need.permission, frozenset(resources)
            narrow[key] = max(need, narrow.get(key, need), key=lambda each: len(each.of))
    proposals = [
        Proposal(need, sum(any(each.of in resources for each in needs if each.permission == action) for needs in calls),
                 len(resources))
        for (action, resources), need in narrow.items()
    ]  # fmt: skip
    proposals.sort(key=lambda each: (-each.resources, -len(each.need.of), each.need))
    return proposals[:OFFERED]


def above(resource: str) -> Iterator[str]:
    """Patterns of the folders that a resource lies in, the narrowest first; of a mailbox its domain."""
    of = parts(resource)
    if of.scheme == "mailto":
        yield f"mailto:*@{of.host}"
        return
    base = prefix(of)
    folders = of.path.split("/")[:-1]
    for depth in range(len(folders), 0, -1):
        folder = "/".join(folders[:depth])
        if of.host or folder.strip("/"):
            yield f"{of.scheme}:{base}{folder}/*"


def prefix(of: Parts) -> str:
    """What of an address stands between its scheme and its path."""
    if not of.host:
        return "//" if of.path.startswith("/") else ""
    user = f"{of.user}@" if of.user else ""
    return f"//{user}{of.host}" + (f":{of.port}" if of.port else "")


def covers(text: str, resources: Iterable[str]) -> bool:
    """Whether a pattern that was put together is one, and covers these resources."""
    try:
        pattern = Pattern.parse(text)
    except PatternError:
        return False
    return all(pattern.matches(resource) for resource in resources)


def chosen(draft: Draft, ticked: Iterable[Need]) -> list[Need]:
    """What of the draft was ticked, without what a wider ticked pattern covers already."""
    kept = [need for need in dict.fromkeys(ticked) if draft.holds(need)]
    wide = [(need.permission, Pattern.parse(need.of)) for need in kept if "*" in need.of]
    return [
        need
        for need in kept
        if need.is_tool
        or "*" in need.of
        or not any(permission == need.permission and pattern.matches(need.of) for permission, pattern in wide)
    ]


ACTIONS = frozenset(action.value for action in Action)


def need_of(text: str) -> Need | None:
    """A need as a form names it: ``read file:///srv/a``. None for what is none."""
    permission, _, of = text.partition(" ")
    return Need(permission, of) if of and (permission == "use" or permission in ACTIONS) else None
