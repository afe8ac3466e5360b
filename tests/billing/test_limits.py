"""Budgets as configuration: one limit a window, changed with an entry, holding at once."""

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from audit.models import Entry, Head
from billing import limits
from billing.budgets import NANOS
from billing.models import Account, Budget
from tests.cast import ACTOR, Cast
from workspaces.changes import Change, OtherWorkspace
from workspaces.models import Agent, Workspace


def entries(workspace: Workspace) -> list[str]:
    return list(
        Entry.objects.filter(log_id=workspace.log_id).order_by("index").values_list("type", flat=True)
    )


def test_a_budget_is_created_changed_and_left_alone(acme: Workspace, support_bot: Agent) -> None:
    before = len(entries(acme))
    created = limits.set_budget(acme, agent=support_bot, window="day", limit_amount=5 * NANOS, actor=ACTOR)
    changed = limits.set_budget(
        acme, agent=support_bot, window="day", limit_amount=6 * NANOS, warn_at=[80, 50, 80], actor=ACTOR
    )
    same = limits.set_budget(
        acme, agent=support_bot, window="day", limit_amount=6 * NANOS, warn_at=[50, 80], actor=ACTOR
    )
    assert [each.change for each in (created, changed, same)] == [*Change]
    assert entries(acme)[before:] == ["billing.budget.changed"] * 2
    assert Budget.objects.get().warn_at == [50, 80]


def test_each_scope_and_window_has_a_budget_of_its_own(acme: Workspace, support_bot: Agent) -> None:
    for agent in (None, support_bot):
        for per_session in (False, True):
            for window in ("day", "month"):
                limits.set_budget(
                    acme, agent=agent, per_session=per_session, window=window, limit_amount=1, actor=ACTOR
                )
    found = Budget.objects.values_list("scope", "agent__name", "window")
    assert len(set(found)) == len(found) == 8


def test_the_database_keeps_a_second_budget_of_a_window_out(acme: Workspace, support_bot: Agent) -> None:
    for agent in (None, support_bot):
        limits.set_budget(acme, agent=agent, window="day", limit_amount=1, actor=ACTOR)
    for each in Budget.objects.all():
        each.pk, each.public_id = None, f"bud_{each.pk}"
        with pytest.raises(IntegrityError, match=r"(?i)unique"), transaction.atomic():
            each.save(force_insert=True)


def test_a_lowered_limit_leaves_nothing_and_a_raised_one_forgives_nothing(acme: Workspace) -> None:
    budget = limits.set_budget(acme, window="day", limit_amount=10, actor=ACTOR).row
    account = Account.objects.create(budget=budget, key="2026-01-01", limit_amount=10, spent=6, held=2)

    limits.set_budget(acme, window="day", limit_amount=5, actor=ACTOR)
    account.refresh_from_db()
    assert (account.limit_amount, account.overage) == (5, 3)

    limits.set_budget(acme, window="day", limit_amount=20, actor=ACTOR)
    account.refresh_from_db()
    assert (account.limit_amount, account.overage) == (20, 0)


def test_a_budget_is_removed_with_its_accounts_and_an_entry(acme: Workspace) -> None:
    budget = limits.set_budget(acme, window="month", limit_amount=10, actor=ACTOR).row
    Account.objects.create(budget=budget, key="2026-01-01", limit_amount=10)
    revision = Head.objects.get(log_id=acme.log_id).revision
    limits.remove_budget(budget, actor=ACTOR)
    assert not Budget.objects.exists()
    assert not Account.objects.exists()
    assert entries(acme)[-1] == "billing.budget.removed"
    assert Head.objects.get(log_id=acme.log_id).revision == revision + 1


def test_no_budget_is_negative_or_for_another_workspace(
    acme: Workspace, globex: Workspace, support_bot: Agent
) -> None:
    before = entries(acme), entries(globex)
    with pytest.raises(ValidationError):
        limits.set_budget(acme, window="day", limit_amount=-1, actor=ACTOR)
    with pytest.raises(ValidationError):
        limits.set_budget(acme, window="fortnight", limit_amount=1, actor=ACTOR)
    with pytest.raises(OtherWorkspace):
        limits.set_budget(globex, agent=support_bot, window="day", limit_amount=1, actor=ACTOR)
    assert (entries(acme), entries(globex)) == before
    assert not Budget.objects.exists()


def test_budgets_of_a_tool_a_model_and_in_tokens_stand_beside_each_other(cast: Cast) -> None:
    refund: dict[str, Any] = {"tool": "billing.refund"}
    for narrowed in ({}, refund, {"model": "small"}, {"unit": "tokens"}, refund | {"model": "small"}):
        made = limits.set_budget(cast.acme, window="day", limit_amount=5, actor=ACTOR, **narrowed)
        again = limits.set_budget(cast.acme, window="day", limit_amount=5, actor=ACTOR, **narrowed)
        assert (made.change, again.change) == (Change.CREATED, Change.UNCHANGED)
    assert Budget.objects.count() == 5


def last(workspace: Workspace) -> dict[str, Any]:
    """The data of the newest entry."""
    entry = Entry.objects.filter(log_id=workspace.log_id).latest("index")
    found: dict[str, Any] = json.loads(bytes(entry.body))["data"]
    return found


def test_raising_and_lowering_are_entries_that_people_can_read(acme: Workspace) -> None:
    limits.set_budget(acme, window="day", limit_amount=5 * NANOS, actor=ACTOR)
    assert (last(acme)["before"], last(acme)["after"]["limit"]) == (None, "5.00")
    limits.set_budget(acme, window="day", limit_amount=8 * NANOS, hard=False, actor=ACTOR)
    assert [last(acme)[when]["limit"] for when in ("before", "after")] == ["5.00", "8.00"]
    assert [last(acme)[when]["hard"] for when in ("before", "after")] == [True, False]
    tokens = limits.set_budget(acme, window="day", unit="tokens", limit_amount=70_000, actor=ACTOR).row
    assert last(acme)["after"]["limit"] == 70_000
    limits.remove_budget(tokens, actor=ACTOR)
    assert last(acme)["before"]["limit"] == 70_000


def test_a_changed_limit_keeps_what_approvals_raised_a_window_by(acme: Workspace) -> None:
    budget = limits.set_budget(acme, window="day", limit_amount=10, actor=ACTOR).row
    account = Account.objects.create(budget=budget, key="2026-01-01", limit_amount=14, raised=4, spent=14)
    limits.set_budget(acme, window="day", limit_amount=5, actor=ACTOR)
    account.refresh_from_db()
    assert (account.limit_amount, account.raised, account.overage) == (9, 4, 5)


def test_a_reset_begins_anew_and_says_why(acme: Workspace) -> None:
    budget = limits.set_budget(acme, window="day", limit_amount=10, actor=ACTOR).row
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(ValidationError, match="Give a reason"):
            limits.reset(budget, actor=ACTOR, reason=reason)
    revision = Head.objects.get(log_id=acme.log_id).revision
    assert limits.reset(budget, actor=ACTOR, reason="a wrong price").generation == 1
    assert limits.reset(budget, actor=ACTOR, reason="once more").generation == 2
    assert entries(acme)[-2:] == ["billing.budget.reset"] * 2
    assert (last(acme)["budget"], last(acme)["generation"]) == (budget.public_id, 2)
    assert Head.objects.get(log_id=acme.log_id).revision == revision + 2


@pytest.mark.parametrize(
    ("terms", "field", "code"),
    [
        ({"limit_amount": 10**18}, "limit_amount", "limit_out_of_range"),
        ({"limit_amount": 10**15 + 1, "unit": "tokens"}, "limit_amount", "limit_out_of_range"),
        ({"warn_at": [0]}, "warn_at", "bad_percent"),
        ({"tool": "no.such"}, "tool", "unknown_tool"),
        ({"model": " small"}, "model", "bad_name"),
        ({"model": "sm\u202eall"}, "model", "bad_name"),
        ({"hard": False, "when_short": "ask"}, "when_short", "never_short"),
        ({"when_short": "downgrade"}, "downgrade_to", "downgrade_missing"),
        ({"downgrade_to": "small"}, "downgrade_to", "downgrade_unused"),
        ({"when_short": "downgrade", "downgrade_to": "big", "model": "big"}, "downgrade_to", "same_model"),
        (
            {"when_short": "downgrade", "downgrade_to": "small", "unit": "tokens"},
            "when_short",
            "no_fewer_tokens",
        ),
        ({"when_short": "never"}, "when_short", "invalid_choice"),
        ({"unit": "eur"}, "unit", "invalid_choice"),
    ],
)
def test_terms_that_make_no_sense_are_refused_by_a_code(
    acme: Workspace, terms: dict[str, Any], field: str, code: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        limits.set_budget(acme, window="day", actor=ACTOR, **({"limit_amount": 1} | terms))
    assert [error.code for error in refused.value.error_dict[field]] == [code]
    assert not Budget.objects.exists()
