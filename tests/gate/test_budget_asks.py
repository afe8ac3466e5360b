"""A budget that asks: a call that does not fit waits for who manages budgets, who raise it once, for this call."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from audit.models import Entry
from billing import limits
from billing.models import Account, Budget
from governance import containment, edits, policies, reviewers, standing
from governance.approvals import NotAReviewer
from governance.coverage import StandingRefused
from governance.models import Approval
from tests.api.caller import Caller
from tests.approving import decide
from tests.cast import ACTOR, Cast, employ
from tests.gate.conftest import Bot
from workspaces import people

pytestmark = pytest.mark.django_db(transaction=True)

DOLLAR = 10**9
MAIL = {"to": "ann@customers.test", "subject": "Your refund", "body": "It is on its way."}


def budget(cast: Cast, dollars: int = 1, **terms: Any) -> Budget:
    """A budget of support-bot that asks."""
    known: dict[str, Any] = {"window": "month", "when_short": "ask", "agent": cast.support_bot}
    known["limit_amount"] = dollars * DOLLAR
    return limits.set_budget(cast.acme, **known | terms, actor=ACTOR).row


def send(bot: Bot, cost: str, body: str = "It is on its way.", **more: Any) -> dict[str, Any]:
    return bot.check("mail.send", MAIL | {"body": body}, estimated_cost_usd=cost, **more)


def asked(bot: Bot, cost: str, body: str = "It is on its way.", **more: Any) -> str:
    """The approval that a mail of this cost waits for."""
    answer = send(bot, cost, body, **more)
    assert (answer["decision"], answer["code"]) == ("pending", "budget_exhausted"), answer
    found: str = answer["approval"]["id"]
    return found


def spend(bot: Bot, cost: str) -> None:
    """Have the bot send a mail of this cost, and say so."""
    bot.report(send(bot, cost, f"For {cost}.")["id"], status="succeeded")


def agree(approval: str, person: Any, approve: bool = True) -> Approval:
    row = Approval.objects.select_related("workspace", "agent").get(public_id=approval)
    return decide(row, person, approve)


def account(of: Budget) -> Account:
    return Account.objects.get(budget=of)


def bodies(kind: str) -> list[dict[str, Any]]:
    rows = Entry.objects.filter(type=kind).order_by("index").values_list("body", flat=True)
    return [json.loads(bytes(body))["data"] for body in rows]


def test_a_call_that_does_not_fit_is_raised_for_by_exactly_what_it_is_short_of(
    support: Bot, cast: Cast
) -> None:
    monthly = budget(cast)
    spend(support, "0.70")
    answer = send(support, "0.50")
    reason = answer["reasons"][0]
    assert (answer["decision"], reason["effect"], reason["budget"]) == (
        "pending",
        "require_approval",
        monthly.public_id,
    )
    approval = answer["approval"]["id"]
    assert send(support, "0.50", approval=approval)["approval"]["id"] == approval
    agree(approval, cast.olga)
    row = account(monthly)
    assert (row.raised, row.spent, row.held) == (0, 700_000_000, 0), (
        "Nothing is raised or held before it is used."
    )

    answer = send(support, "0.50", approval=approval)
    assert answer["decision"] == "allow", answer
    row = account(monthly)
    assert (row.limit_amount, row.raised, row.held, row.overage) == (
        1_200_000_000,
        200_000_000,
        500_000_000,
        0,
    )
    raised = bodies("billing.budget.raised")
    assert [each["amount"] for each in raised] == [200_000_000]
    assert (
        raised[0] | {"approval": approval, "decision": answer["id"], "budget": monthly.public_id} == raised[0]
    )
    assert bodies("governance.check.allowed")[-1]["raised"] == {monthly.public_id: 200_000_000}
    support.report(answer["id"], status="succeeded")
    assert send(support, "0.50", approval=approval)["code"] == "approval_used"
    call_command("verify_log")


def test_while_only_calls_in_flight_are_in_the_way_nobody_is_asked(support: Bot, cast: Cast) -> None:
    budget(cast)
    assert send(support, "0.70", "first")["decision"] == "allow"
    answer = send(support, "0.50")
    assert (answer["decision"], answer["code"], answer["retry_after"]) == ("deny", "budget_busy", 1)
    assert not Approval.objects.exists()


def test_who_manages_budgets_is_asked_and_who_decides_calls_is_not(support: Bot, cast: Cast) -> None:
    budget(cast)
    row = Approval.objects.select_related("workspace", "agent").get(public_id=asked(support, "2"))
    now = timezone.now()
    assert [list(reviewers.inbox(each, now)) for each in (cast.olga, cast.rita, cast.otto)] == [[row], [], []]
    with pytest.raises(NotAReviewer):
        decide(row, cast.rita)
    assert reviewers.is_reachable(row, now)
    people.set_roles(cast.acme, cast.olga, roles=("approver",), actor=ACTOR)
    assert not reviewers.is_reachable(row, now)
    with pytest.raises(NotAReviewer):
        decide(row, cast.olga)


def test_who_manages_budgets_later_was_not_asked(support: Bot, cast: Cast) -> None:
    budget(cast)
    approval = asked(support, "2")
    late = employ(cast.acme, "lena@acme.test", "Lena Late", "owner")
    with pytest.raises(NotAReviewer):
        agree(approval, late)


def test_whom_a_call_is_made_for_does_not_raise_a_budget_for_it(support: Bot, cast: Cast) -> None:
    budget(cast)
    people.set_roles(cast.acme, cast.rita, roles=("owner",), actor=ACTOR)
    approval = asked(support, "2", on_behalf_of="rita@acme.test")
    with pytest.raises(NotAReviewer):
        agree(approval, cast.rita)
    assert agree(approval, cast.olga).status == Approval.Status.APPROVED


def test_a_no_is_a_no(support: Bot, cast: Cast) -> None:
    monthly = budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga, approve=False)
    assert send(support, "2", approval=approval)["code"] == "approval_rejected"
    assert not Account.objects.filter(budget=monthly, raised__gt=0).exists()


def test_a_costlier_call_is_not_raised_for(support: Bot, cast: Cast) -> None:
    budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    assert send(support, "2.01", approval=approval)["code"] == "approval_mismatch"
    assert send(support, "20", approval=approval)["code"] == "approval_mismatch"
    assert send(support, "2", "another mail", approval=approval)["code"] == "approval_mismatch"
    assert send(support, "2", approval=approval)["decision"] == "allow"
    call_command("verify_log")


def test_a_cheaper_call_is_raised_for_by_what_it_needs(support: Bot, cast: Cast) -> None:
    monthly = budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    assert send(support, "1.50", approval=approval)["decision"] == "allow"
    assert account(monthly).raised == DOLLAR // 2


def test_what_fits_after_all_uses_up_nothing(support: Bot, cast: Cast) -> None:
    monthly = budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    budget(cast, 5)
    assert send(support, "2", approval=approval)["decision"] == "allow"
    assert account(monthly).raised == 0
    assert not Approval.objects.get().used_by


def test_what_others_spend_meanwhile_is_raised_for_up_to_the_calls_own_cost(support: Bot, cast: Cast) -> None:
    monthly = budget(cast)
    approval = asked(support, "1.25")
    agree(approval, cast.olga)
    assert send(support, "0.80", "another mail")["decision"] == "allow"
    assert send(support, "1.25", approval=approval)["decision"] == "allow"
    row = account(monthly)
    assert (row.raised, row.limit_amount) == (1_050_000_000, row.held)


def test_two_budgets_are_asked_about_at_once_and_raised_together(support: Bot, cast: Cast) -> None:
    monthly, weekly = budget(cast), budget(cast, 2, window="week")
    answer = send(support, "3")
    approval = answer["approval"]["id"]
    row = Approval.objects.get(public_id=approval)
    assert len(row.requirements) == 2
    assert {each["digest"] for each in row.requirements} == set(row.lifts) == set(row.raises)
    agree(approval, cast.olga)
    assert send(support, "3", approval=approval)["decision"] == "allow"
    assert (account(monthly).raised, account(weekly).raised) == (2 * DOLLAR, DOLLAR)
    call_command("verify_log")


def test_a_budget_that_does_not_ask_says_no_for_all(support: Bot, cast: Cast) -> None:
    monthly = budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    budget(cast, 1, window="week", when_short="deny")
    answer = send(support, "2", approval=approval)
    assert (answer["decision"], answer["code"]) == ("deny", "budget_exhausted")
    assert not Account.objects.filter(budget=monthly, raised__gt=0).exists()
    assert not Approval.objects.get().used_by


def test_rules_and_budgets_are_asked_about_together(support: Bot, cast: Cast) -> None:
    rule = {
        "name": "Mail is looked at",
        "tools": ["mail.send"],
        "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test"]},
    }
    policies.publish(policies.draft(cast.acme, [rule], actor=ACTOR), actor=ACTOR)
    monthly = budget(cast)
    first = send(support, "2")
    assert (first["decision"], first["code"]) == ("pending", "rule")
    agree(first["approval"]["id"], cast.rita)
    second = asked(support, "2", approval=first["approval"]["id"])
    assert agree(second, cast.olga).status == Approval.Status.PENDING
    agree(second, cast.rita)
    assert send(support, "2", approval=first["approval"]["id"])["decision"] == "pending"
    assert send(support, "2", approval=second)["decision"] == "allow"
    assert account(monthly).raised == DOLLAR
    call_command("verify_log")


def test_of_many_at_once_one_uses_an_approval(support: Bot, cast: Cast) -> None:
    monthly = budget(cast, 3)
    spend(support, "2")
    approval = asked(support, "2")
    agree(approval, cast.olga)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(support, "2", approval=approval), range(8)))
    codes = {each["code"] for each in answers}
    assert [each["decision"] for each in answers].count("allow") == 1
    assert codes <= {"granted", "budget_busy", "approval_used"}
    assert account(monthly).raised == DOLLAR
    assert len(bodies("billing.budget.raised")) == 1


def test_a_yes_is_for_the_window_and_the_limit_that_were_seen(support: Bot, cast: Cast) -> None:
    monthly = budget(cast, 3)
    spend(support, "2")
    approval = asked(support, "2")
    agree(approval, cast.olga)
    budget(cast, 2)
    assert send(support, "2", approval=approval)["code"] == "approval_expired"
    budget(cast, 3)
    limits.reset(monthly, actor=ACTOR, reason="A new customer begins.")
    spend(support, "2")
    assert send(support, "2", approval=approval)["code"] == "approval_expired"
    assert not Account.objects.filter(raised__gt=0).exists()


def test_a_yes_of_yesterday_raises_nothing_today(support: Bot, cast: Cast) -> None:
    budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    row = Approval.objects.get()
    for raised in row.raises.values():
        day = timezone.now() - timedelta(days=1)
        raised["account"] = f"{day:%Y-%m-%d}"
    row.save()
    assert send(support, "2", approval=approval)["code"] == "approval_expired"


def test_people_are_asked_no_longer_than_the_window_runs(support: Bot, cast: Cast) -> None:
    budget(cast)
    asked(support, "2")
    row = Approval.objects.get()
    (raised,) = row.raises.values()
    assert row.expires_at <= datetime.fromisoformat(raised["ends"])


def test_a_containment_step_voids_it(support: Bot, cast: Cast) -> None:
    budget(cast)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    for step in ("read_only", "active"):
        containment.set_standing(
            cast.support_bot, step, reason="Looking into it.", actor="cli:a@b", person=None
        )
    assert send(support, "2", approval=approval)["code"] == "approval_expired"


def test_the_same_call_folds_and_a_costlier_one_does_not(support: Bot, cast: Cast) -> None:
    budget(cast)
    first = asked(support, "2")
    assert asked(support, "2", session="b") == first
    assert asked(support, "1.50") == first
    assert asked(support, "3") != first


def test_a_call_id_goes_on_by_itself(support: Bot, cast: Cast) -> None:
    budget(cast)
    approval = asked(support, "2", call_id="call_7")
    assert asked(support, "2", call_id="call_7") == approval
    agree(approval, cast.olga)
    assert send(support, "2", call_id="call_7")["decision"] == "allow"


def test_nothing_is_raised_ahead_and_nothing_edited(support: Bot, cast: Cast) -> None:
    budget(cast)
    people.set_roles(cast.acme, cast.olga, roles=("owner", "approver"), actor=ACTOR)
    approval = asked(support, "2")
    row = Approval.objects.select_related("workspace", "agent").get(public_id=approval)
    with pytest.raises(NotAReviewer, match="asked about a budget"):
        edits.edit(row, person=cast.olga, arguments=MAIL | {"body": "x"}, comment="", actor=ACTOR)
    agree(approval, cast.olga)
    with pytest.raises(StandingRefused, match="one call"):
        standing.give(
            row,
            person=cast.olga,
            until=timezone.now() + timedelta(days=1),
            max_uses=3,
            reason="It is right, always.",
            actor=ACTOR,
        )


def test_a_dry_run_asks_nobody_and_raises_nothing(support: Bot, cast: Cast) -> None:
    budget(cast)
    answer = send(support, "2", dry_run=True)
    assert (answer["decision"], answer["code"], answer["approval"]) == ("pending", "budget_exhausted", None)
    approval = asked(support, "2")
    agree(approval, cast.olga)
    assert send(support, "2", approval=approval, dry_run=True)["decision"] == "allow"
    assert not Account.objects.filter(raised__gt=0).exists()
    assert not Approval.objects.get().used_by
    call_command("verify_log")


def test_it_binds_who_is_only_observed(support: Bot, cast: Cast) -> None:
    budget(cast)
    containment.set_standing(
        cast.support_bot, "observe", reason="Onboarding.", actor="cli:a@b", person=None,
        until=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    approval = asked(support, "2")
    agree(approval, cast.olga)
    assert send(support, "2", approval=approval)["decision"] == "allow"
    call_command("verify_log")


def test_its_agent_and_its_reviewers_see_what_would_be_raised(support: Bot, cast: Cast) -> None:
    monthly, tokens = budget(cast), budget(cast, unit="tokens", limit_amount=10)
    spend(support, "0.70")
    answer = send(support, "0.50", model="gpt-4o", estimated_usage={"input_tokens": 25})
    approval = answer["approval"]["id"]
    asked_about = support.client.get(f"/v1/approvals/{approval}", headers=support.headers).json()
    told = {each["budget"]: each for each in asked_about["raises"]}
    assert told.keys() == {monthly.public_id, tokens.public_id}
    found = told[monthly.public_id]
    assert (found["unit"], found["needs_usd"], found["most_usd"]) == ("usd", "0.50", "0.50")
    assert found["title"] == "Budget of this agent per month"
    assert datetime.fromisoformat(found["ends"]) > timezone.now()
    assert (told[tokens.public_id]["needs_tokens"], told[tokens.public_id]["most_tokens"]) == (25, 25)

    seen = Caller(cast.olga).get(f"workspaces/acme/approvals/{approval}")["raises"]
    whole = {each["budget"]: each for each in seen}
    amounts = [whole[monthly.public_id][f"{name}_usd"] for name in ("limit", "spent", "held", "needs", "now")]
    assert amounts == ["1.00", "0.70", "0.00", "0.50", "0.20"]
    assert (whole[tokens.public_id]["now_tokens"], whole[tokens.public_id]["now_usd"]) == (15, None)
    assert not whole[monthly.public_id]["over"]
    limits.remove_budget(monthly, actor=ACTOR)
    gone = Caller(cast.olga).get(f"workspaces/acme/approvals/{approval}")["raises"]
    assert [(each["limit_usd"], each["over"]) for each in gone if each["unit"] == "usd"] == [(None, True)]
