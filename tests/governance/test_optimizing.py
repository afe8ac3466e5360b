"""The Optimize page: what could be had for less or with less, and one thing to do about each."""

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit import log
from audit.models import Entry
from billing import limits
from billing.budgets import NANOS
from billing.models import Account, Hold, SpendDay
from billing.prices import PriceList
from billing.public_list import siblings
from billing.rates import ModelPrice, Tier
from billing.spending import today
from governance import narrowing, optimizing
from governance.models import GrantUse
from governance.optimizing import Finding
from tests.cast import ACTOR, Cast
from tests.portal import enter
from workspaces import access, people
from workspaces.access.grants import own_grants
from workspaces.models import Agent, Workspace

pytestmark = pytest.mark.django_db


def found(workspace: Workspace, *kinds: str) -> list[Finding]:
    rows = optimizing.findings(workspace, timezone.now())
    return [each for each in rows if each.kind in kinds]


def spent(
    workspace: Workspace, dimension: str, value: Any, dollars: float, *, ago: int = 0, **more: int
) -> None:
    """What a day's charges add up to."""
    SpendDay.objects.create(
        workspace=workspace, dimension=dimension, value=str(value), day=day(workspace, ago),
        nanos=round(dollars * NANOS), **{"calls": 1, **more},
    )  # fmt: skip


def day(workspace: Workspace, ago: int) -> date:
    return today(workspace, timezone.now()) - timedelta(days=ago)


def age(agent: Agent, days: int = 60) -> None:
    """Have the agent's own grants be older."""
    for row in own_grants(agent):
        type(row)._default_manager.filter(pk=row.pk).update(created=timezone.now() - timedelta(days=days))


def test_agents_that_spend_without_a_budget_are_named(cast: Cast) -> None:
    spent(cast.acme, "agent", cast.report_bot.pk, 3)
    spent(cast.acme, "agent", cast.support_bot.pk, 2)
    limits.set_budget(cast.acme, agent=cast.support_bot, window="day", limit_amount=NANOS, actor=ACTOR)
    (one,) = found(cast.acme, optimizing.UNBOUND)
    assert one.title == "report-bot spends without a budget"
    assert "$3.00 in 30 days" in one.rests
    limits.set_budget(cast.acme, agent=None, window="month", limit_amount=NANOS, actor=ACTOR)
    assert not found(cast.acme, optimizing.UNBOUND)


def test_models_and_tools_without_a_price_are_named(cast: Cast) -> None:
    spent(cast.acme, "model", "house-model", 0, unpriced=4, calls=9)
    spent(cast.acme, "tool", "web.fetch", 0, unpriced=1)
    model, tool = found(cast.acme, optimizing.UNPRICED)
    assert model.title == "The price of model house-model is not known"
    assert "4 of 9 calls" in model.rests
    assert (model.needs, tool.needs) == ("manage_budgets", "manage_tools")


def test_sessions_that_cost_more_and_more_are_shown(cast: Cast) -> None:
    for number in range(12):
        spent(cast.acme, "session", f"{cast.report_bot.pk}|run-{number}", 1 + number, ago=20 - number)
        spent(cast.acme, "session", f"{cast.support_bot.pk}|run-{number}", 5, ago=20 - number)
    (one,) = found(cast.acme, optimizing.GROWING)
    assert one.agent == cast.report_bot
    assert list(one.series) == [(1 + number) * NANOS for number in range(12)]
    assert "from $2.00 to $10.00" in one.rests


def test_a_cheaper_model_of_the_same_generation_is_a_hint(cast: Cast) -> None:
    assert "openai:gpt-4o-mini" in siblings("gpt-4o")
    assert not siblings("house-model")
    spent(cast.acme, "model", "gpt-4o", 50)
    Hold.objects.create(
        workspace=cast.acme, agent=cast.report_bot, decision="dec_1", accounts=[], model="gpt-4o", held_nanos=0,
        usage={"input_tokens": 10_000, "output_tokens": 1_000}, created=timezone.now(),
    )  # fmt: skip
    (one,) = found(cast.acme, optimizing.MODEL)
    assert one.title.startswith("openai:gpt-4o-mini would cost ")
    assert "The tokens of its last call at" in one.rests
    assert "of $50.00 in 30 days" in one.saves


def test_calls_that_loop_often_are_named(cast: Cast) -> None:
    with log.write(cast.acme.log_id) as entries:
        for tool, times in (("web.fetch", 3), ("files.read", 2)):
            for _ in range(times):
                entries.append(
                    "governance.check.denied", actor="a", agent=cast.report_bot.public_id, tool=tool,
                    outcome="loop_detected",
                )  # fmt: skip
    (one,) = found(cast.acme, optimizing.LOOPING)
    assert one.title == "report-bot calls web.fetch in a loop, often"
    assert one.rests.startswith("3 calls")


def test_budgets_that_are_never_near_their_limit_offer_a_lower_one(cast: Cast) -> None:
    wide = limits.set_budget(cast.acme, agent=None, window="day", limit_amount=100 * NANOS, actor=ACTOR).row
    fits = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", limit_amount=12 * NANOS, actor=ACTOR
    ).row
    for budget in (wide, fits):
        for ago in range(4):
            Account.objects.create(
                budget=budget, key=day(cast.acme, ago).isoformat(), limit_amount=budget.limit_amount,
                spent=(5 + ago) * NANOS,
            )  # fmt: skip
    (one,) = found(cast.acme, optimizing.WIDE)
    assert one.address.endswith(f"/budget/{wide.pk}/change/?limit=16.00")
    assert "$8.00 of $100.00" in one.rests
    page = enter(cast.olga).get(one.address).content.decode()
    assert 'value="16.00"' in page


def test_grants_that_lay_unused_are_counted_and_taken_after_a_look(cast: Cast) -> None:
    bot = cast.report_bot
    assert not found(cast.acme, optimizing.UNUSED)  # they are new
    age(bot)
    (one,) = found(cast.acme, optimizing.UNUSED)
    assert one.title == "report-bot has 1 grant that it does not use"
    browser = enter(cast.olga)
    page = browser.get(one.address).content.decode()
    key = f"use:{cast.tools['files.read'].public_id}"
    assert f'value="{key}" checked' in page
    assert len(own_grants(bot)) == 1  # looking changes nothing
    told = browser.post(one.address, {"grant": key}, follow=True).content.decode()
    assert "report-bot has lost 1 grant: use on files.read" in told
    assert not own_grants(bot)
    entry = Entry.objects.filter(log_id=cast.acme.log_id).latest("index")
    assert (entry.type, entry.tool) == ("workspaces.grant.revoked", "files.read")


def test_what_was_used_meanwhile_stays(cast: Cast) -> None:
    bot = cast.report_bot
    age(bot)
    (row,) = narrowing.unused(bot, days=30)
    GrantUse.objects.create(agent=bot, tool="files.read", at=timezone.now())
    assert narrowing.narrow(bot, [narrowing.key_of(row)], days=30, actor=ACTOR) == []
    assert len(own_grants(bot)) == 1
    assert not found(cast.acme, optimizing.UNUSED)


def test_who_may_not_act_is_told_who_may(cast: Cast) -> None:
    spent(cast.acme, "agent", cast.report_bot.pk, 3)
    address = "/admin/optimize/acme/"
    assert "Set a budget<" in enter(cast.olga).get(address).content.decode()
    page = enter(cast.otto).get(address).content.decode()
    assert "Set a budget: for who holds" in page
    assert enter(cast.otto).get(f"{address}unused/{cast.report_bot.public_id}/").status_code == 403
    assert enter(cast.gina).get(address).status_code == 404
    theirs = f"{address}unused/{cast.globex_bot.public_id}/"
    assert enter(cast.olga).get(theirs).status_code == 404


def test_nothing_to_improve_says_so(cast: Cast) -> None:
    assert "Nothing to improve" in enter(cast.olga).get("/admin/optimize/acme/").content.decode()


def test_the_number_of_queries_does_not_grow(cast: Cast, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        spent(cast.acme, "session", f"{cast.report_bot.pk}|run-{number}", 1 + number, ago=20 - number)
        spent(cast.acme, "model", f"m-{number}", 1, unpriced=1)
    spent(cast.acme, "agent", cast.report_bot.pk, 3)
    for agent in (cast.report_bot, cast.support_bot):
        age(agent)
    with django_assert_max_num_queries(24):
        assert len(optimizing.findings(cast.acme, timezone.now())) > 10


def test_the_api_tells_the_same(cast: Cast) -> None:
    spent(cast.acme, "agent", cast.report_bot.pk, 3)
    answer = enter(cast.otto).get("/api/v1/workspaces/acme/findings")
    (one,) = answer.json()["findings"]
    assert (one["kind"], one["agent"], one["needs"]) == (
        "no_budget",
        cast.report_bot.public_id,
        "manage_budgets",
    )
    assert one["url"].startswith("http")


def test_what_is_not_ticked_stays(cast: Cast) -> None:
    bot = cast.report_bot
    access.grant(bot, permission="use", obj=cast.tools["web.fetch"], actor=ACTOR)
    age(bot)
    ticked = f"use:{cast.tools['web.fetch'].public_id}"
    assert len(narrowing.unused(bot, days=30)) == 2
    narrowing.narrow(bot, [ticked], days=30, actor=ACTOR)
    assert [row.content_object.name for row in own_grants(bot)] == ["files.read"]


def test_an_agent_is_narrowed_below_its_own_workspace_alone(cast: Cast) -> None:
    people.set_roles(cast.globex, cast.olga, roles=["owner"], actor=ACTOR)
    browser = enter(cast.olga)
    bot = cast.globex_bot.public_id
    assert browser.get(f"/admin/optimize/globex/unused/{bot}/").status_code == 200
    assert browser.get(f"/admin/optimize/acme/unused/{bot}/").status_code == 404


def test_each_call_is_priced_by_itself() -> None:
    """A call that reads more than a tier's threshold is dearer; many small ones together are not one large one."""
    tier = Tier(1000, 5 * 10**6, None, None, None)
    prices = PriceList({"m": ([date(2026, 1, 1)], [ModelPrice("v", input=10**6, tiers=(tier,))])})
    day = date(2026, 2, 1)
    assert optimizing.priced(prices, "m", [{"input_tokens": 600}] * 2, day) == 1200
    assert optimizing.priced(prices, "m", [{"input_tokens": 1200}], day) == 6000
    assert optimizing.priced(prices, "m", [{"input_tokens": 1}, {"output_tokens": 1}], day) is None
    assert optimizing.priced(prices, "house-model", [{"input_tokens": 1}], day) is None
