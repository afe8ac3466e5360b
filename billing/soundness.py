"""Whether a workspace's accounts, charges and log say the same of its money, to the nano-dollar. Reads, and locks
nothing."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from audit.models import Entry, Head
from audit.verification import one_moment
from billing.models import Account, Budget, Hold
from workspaces.models import Workspace

ALLOWED = "governance.check.allowed"
OUTCOMES = ("governance.outcome.reported", "governance.outcome.unreported")
REPRICED = "billing.charges.repriced"
READ_AT_ONCE = 2000
MOST_FINDINGS = 100


@dataclass(slots=True)
class Amounts:
    """What one call comes to: nano-dollars and tokens, held and charged. ``charged`` is None while nothing is, and
    where the price is not known."""

    held: int = 0
    held_tokens: int = 0
    charged: int | None = None
    tokens: int = 0

    def __str__(self) -> str:
        charged = "nothing that is known" if self.charged is None else self.charged
        return f"held {self.held} and {self.held_tokens} tokens, charged {charged} and {self.tokens} tokens"


@dataclass(slots=True)
class Sums:
    """Sums over all calls, in nano-dollars and tokens. ``held`` is what calls in flight hold."""

    calls: int = 0
    held: int = 0
    held_tokens: int = 0
    charged: int = 0
    tokens: int = 0

    def add(self, amounts: Amounts, *, in_flight: bool) -> None:
        """Add one call."""
        self.calls += 1
        self.held += amounts.held if in_flight else 0
        self.held_tokens += amounts.held_tokens if in_flight else 0
        self.charged += amounts.charged or 0
        self.tokens += amounts.tokens


@dataclass(slots=True)
class Soundness:
    """What was added up, and each disagreement as a sentence; of more than a hundred the rest is counted."""

    charges: Sums = field(default_factory=Sums)
    log: Sums = field(default_factory=Sums)
    accounts: int = 0
    findings: list[str] = field(default_factory=list)
    more_findings: int = 0

    @property
    def sound(self) -> bool:
        return not self.findings

    def note(self, finding: str) -> None:
        """Keep a disagreement, or count it."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.more_findings += 1


def examine(workspace: Workspace) -> Soundness:
    """Add up a workspace's accounts, charges and entries as they were at one moment, and compare them."""
    found = Soundness()
    with one_moment():
        told, whole = told_by_log(workspace.log_id)
        expected: dict[int, tuple[int, int, int, int]] = defaultdict(lambda: (0, 0, 0, 0))
        holds = Hold.objects.filter(workspace=workspace).order_by("pk")
        for hold in holds.iterator(chunk_size=READ_AT_ONCE):
            amounts = amounts_of(hold)
            in_flight = hold.state == Hold.State.HELD
            found.charges.add(amounts, in_flight=in_flight)
            said = told.pop(hold.decision, None)
            if said is None and (whole or not amounts.held):
                said = Amounts()
            if said is not None:
                found.log.add(said, in_flight=in_flight)
                compare(found, hold, amounts, said)
            for key in hold.accounts:
                expected[key] = plus(expected[key], amounts, in_flight=in_flight)
        for decision, said in told.items():
            found.note(f"The log says of the call {decision} that it {said}; there is no charge of it.")
        for account in Account.objects.filter(budget__workspace=workspace).select_related("budget"):
            found.accounts += 1
            judge_account(found, account, expected[account.pk])
    if whole and found.charges != found.log and found.sound:
        found.note("The sums over charges and log differ.")
    return found


def told_by_log(log_id: int) -> tuple[dict[str, Amounts], bool]:
    """What the log says that each call came to, by its decision, and whether the log is whole: what was pruned says
    nothing any more."""
    told: dict[str, Amounts] = {}
    for type, data in money_entries(log_id):
        if type == REPRICED:
            for each in data["charges"]:
                told.setdefault(each["decision"], Amounts()).charged = each["charged"]
            continue
        decision, tokens = data["decision"], data.get("tokens") or 0
        if type == ALLOWED:
            if data.get("held") or tokens:
                told[decision] = Amounts(data.get("held") or 0, tokens)
        elif "held" in data:
            amounts = told.setdefault(decision, Amounts())
            amounts.held, amounts.held_tokens = data["held"], tokens
        elif "charged" in data or tokens or (decision in told and data["outcome"] != "running"):
            amounts = told.setdefault(decision, Amounts())
            amounts.charged, amounts.tokens = data.get("charged"), tokens
    size = Head.objects.values_list("size", flat=True).get(log_id=log_id)
    return told, Entry.objects.filter(log_id=log_id).count() == size


def money_entries(log_id: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries that say what calls come to, oldest first: their type and data."""
    rows = Entry.objects.filter(log_id=log_id, type__in=(ALLOWED, *OUTCOMES, REPRICED)).order_by("index")
    for type, outcome, body in rows.values_list("type", "outcome", "body").iterator(READ_AT_ONCE):
        yield type, {**orjson.loads(bytes(body))["data"], "outcome": outcome}


def amounts_of(hold: Hold) -> Amounts:
    """What a charge says of its call."""
    return Amounts(hold.held_nanos, hold.held_tokens, hold.charged_nanos, hold.charged_tokens or 0)


def compare(found: Soundness, hold: Hold, amounts: Amounts, said: Amounts) -> None:
    """Note where a charge and the log disagree."""
    if amounts != said:
        found.note(f"The charge of {hold.decision} says {amounts}; the log says {said}.")
    if hold.state == Hold.State.HELD and (hold.charged_nanos is not None or hold.charged_tokens):
        found.note(f"The call {hold.decision} is in flight and charged already.")


def plus(sums: tuple[int, int, int, int], amounts: Amounts, *, in_flight: bool) -> tuple[int, int, int, int]:
    """An account's sums with one more call: nano-dollars held and spent, tokens held and spent."""
    if in_flight:
        return sums[0] + amounts.held, sums[1], sums[2] + amounts.held_tokens, sums[3]
    return sums[0], sums[1] + (amounts.charged or 0), sums[2], sums[3] + amounts.tokens


def judge_account(found: Soundness, account: Account, sums: Iterable[int]) -> None:
    """Note where an account is not the sum of its calls, or its limit and overage do not follow from it."""
    held, spent, held_tokens, spent_tokens = sums
    budget = account.budget
    if budget.unit == Budget.Unit.TOKENS:
        held, spent = held_tokens, spent_tokens
    name = f"The account {account.key} of {budget.public_id}"
    if (account.held, account.spent) != (held, spent):
        found.note(
            f"{name} says held {account.held} and spent {account.spent}; its calls come to {held} and {spent}."
        )
    limit = budget.limit_amount + account.raised
    if account.limit_amount != limit:
        found.note(f"{name} has the limit {account.limit_amount}; its budget's, raised, is {limit}.")
    over = max(0, account.spent + account.held - account.limit_amount)
    if account.overage != over:
        found.note(f"{name} has the overage {account.overage}; by its amounts it is {over}.")
