"""Budgets as configuration: one limit a window, changed with an entry, holding at once."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from audit.models import Entry, Head
from billing import limits
from billing.budgets import NANOS
from billing.models import Account, Budget
from tests.cast import ACTOR
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
