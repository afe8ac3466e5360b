"""The desk: what needs attention, for whom, and what is going on."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

from django.urls import reverse
from django.utils import timezone

from audit import log
from audit.models import Entry, Head
from billing import limits
from billing.budgets import window_start
from billing.models import Account
from governance import approvals, containment
from governance.models import Decision
from tests import approving
from tests.cast import Cast
from tests.portal import enter, page, queries
from workspaces import access, agents, people
from workspaces.models import Agent


def decide(agent: Agent, outcome: str, times: int = 1, tool: str = "files.read") -> None:
    """Entries as checks write them."""
    with log.write(agent.workspace.log_id) as entries:
        for _ in range(times):
            entries.append(
                f"governance.check.{outcome}",
                actor=f"agent:{agent.public_id}",
                agent=agent.public_id,
                tool=tool,
                outcome="no_permission" if outcome == "denied" else "granted",
            )


def leave_unreported(agent: Agent, tool: str = "mail.send") -> None:
    now = timezone.now()
    Decision.objects.create(
        public_id=f"dec_{tool}",
        workspace=agent.workspace,
        agent=agent,
        outcome="unreported",
        tool=tool,
        entry_index=0,
        created=now,
        expires_at=now,
        lease_until=now,
    )


def fill(cast: Cast) -> None:
    """One of everything that needs attention."""
    approving.ask(cast.report_bot, [approving.requirement(cast.rita)], tool="mail.send")
    containment.set_standing(cast.support_bot, "suspended", reason="Odd mails", actor="cli:test", person=None)
    decide(cast.report_bot, "denied", 3, tool="web.fetch")
    leave_unreported(cast.report_bot)
    agents.create_key(cast.report_bot, expires_at=timezone.now() + timedelta(days=3), actor="system")
    access.grant(
        cast.report_bot,
        permission="use",
        obj=cast.tools["web.fetch"],
        expires_at=timezone.now() + timedelta(days=5),
        actor="system",
    )
    budget = limits.set_budget(cast.acme, agent=None, window="day", limit_amount=10**9, actor="system").row
    start = window_start("day", timezone.now(), cast.acme.timezone)
    Account.objects.create(budget=budget, key=start, limit_amount=10**9, spent=9 * 10**8)


def titles(shown: str) -> list[str]:
    """The keys of the lists on a desk, in their order; ``|`` stands where those for others begin."""
    parts = shown.split('id="desk-')
    keys: list[str] = []
    for before, part in pairwise(parts):
        if "For others to act on" in before:
            keys.append("|")
        keys.append(part.partition('"')[0])
    return keys


def test_everything_that_needs_attention_is_listed_and_what_one_can_act_on_first(cast: Cast) -> None:
    fill(cast)
    olga = page(enter(cast.olga), "index")
    assert titles(olga) == ["contained", "denied", "unreported", "spending", "ending", "|", "waiting"]
    assert "Odd mails" in olga
    assert "<strong>3 ×</strong>" in olga
    assert "90 %" in olga
    assert "use web.fetch" in olga
    otto = page(enter(cast.otto), "index")
    assert titles(otto) == ["contained", "unreported", "|", "waiting", "denied", "spending", "ending"]
    assert "Waiting for you" in page(enter(cast.rita), "index")


def test_a_budget_near_its_limit_is_told_in_its_unit_and_as_it_stands_now(cast: Cast) -> None:
    today = window_start("day", timezone.now(), cast.acme.timezone)
    tokens = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", unit="tokens", limit_amount=2_000_000, actor="system"
    ).row
    Account.objects.create(budget=tokens, key=today, limit_amount=2_000_000, spent=1_875_000)
    raised = limits.set_budget(cast.acme, window="day", limit_amount=10**9, actor="system").row
    account = Account.objects.create(
        budget=raised, key=today, limit_amount=2 * 10**9, raised=10**9, spent=10**9
    )
    shown = page(enter(cast.olga), "index").partition('id="desk-spending"')[2]
    assert "125,000 tokens" in shown
    assert "The whole workspace" not in shown.partition("</section>")[0]
    assert reverse("spend", args=["acme"]) in shown
    Account.objects.filter(pk=account.pk).update(spent=19 * 10**8)
    assert "The whole workspace" in page(enter(cast.olga), "index")
    limits.reset(raised, actor="system", reason="A wrong price.")
    limits.reset(tokens, actor="system", reason="A wrong price.")
    assert "desk-spending" not in page(enter(cast.olga), "index")


def test_an_observed_agent_is_red_on_the_desk(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.rita, roles=["owner"], actor="system")
    containment.set_standing(cast.report_bot, "observe", reason="New", actor="cli:test", person=None)
    shown = page(enter(cast.rita), "index")
    assert "Observed, not enforced" in shown
    assert '<span class="portal-badge danger">observe</span>' in shown


def test_a_quiet_desk_says_so_and_what_would_stand_there(cast: Cast) -> None:
    shown = page(enter(cast.otto), "index")
    assert titles(shown) == []
    assert "All quiet here" in shown
    assert "The red button on top of every page stops one." in shown
    people.set_roles(cast.acme, cast.sam, roles=["approver"], actor="system")
    assert "The red button" not in page(enter(cast.sam), "index")  # who has none


def test_nobodys_desk_shows_the_workspace_next_door(cast: Cast) -> None:
    fill(cast)
    shown = page(enter(cast.gina), "index")
    assert titles(shown) == []
    for text in ("report-bot", "support-bot", "Acme", "web.fetch"):
        assert text not in shown


def test_few_denials_are_listed_and_are_nothing_to_worry_about(cast: Cast) -> None:
    decide(cast.report_bot, "denied", 2)
    shown = page(enter(cast.olga), "index")
    assert titles(shown) == ["denied"]
    assert "2 ×" in shown
    assert "no grant for it" in shown
    assert "<strong>2 ×" not in shown


def test_old_denials_are_not_on_the_desk(cast: Cast) -> None:
    decide(cast.report_bot, "denied", 3)
    Entry.objects.filter(type="governance.check.denied").update(time=timezone.now() - timedelta(hours=7))
    assert titles(page(enter(cast.olga), "index")) == []


def pulse(person: Any, slug: str = "acme", status: int = 200) -> Any:
    answer = enter(person).get(reverse("pulse", args=[slug]))
    assert answer.status_code == status
    return answer.json() if status == 200 else None


def test_the_last_hour_is_counted_by_outcome_and_by_agent(cast: Cast) -> None:
    decide(cast.report_bot, "allowed", 4)
    decide(cast.report_bot, "denied", 1)
    decide(cast.support_bot, "pending", 2)
    told = pulse(cast.otto)
    assert told["totals"] == {"allowed": 4, "waits": 2, "denied": 1}
    assert sum(told["minutes"]["allowed"][-2:]) == 4
    assert len(told["minutes"]["denied"]) == 60
    assert told["agents"][0] == [
        "report-bot",
        cast.report_bot.public_id,
        {"allowed": 4, "waits": 0, "denied": 1},
    ]
    assert not told["partial"]
    assert '<td class="number" id="pulse-allowed">4</td>' in page(enter(cast.otto), "index")


def test_the_pulse_is_for_people_of_the_workspace_alone(cast: Cast) -> None:
    pulse(cast.gina, status=404)
    pulse(cast.sam, status=404)
    assert pulse(cast.gina, "globex")["totals"]["allowed"] == 0


def test_the_sidebar_counts_what_waits_for_this_person(cast: Cast) -> None:
    for _ in range(2):
        approvals.start(approving.ask(cast.report_bot, [approving.requirement(cast.rita)]))
    badge = "font-semibold h-[18px]"
    assert badge in page(enter(cast.rita), "workspaces_agent_changelist")
    assert badge not in page(enter(cast.olga), "workspaces_agent_changelist")


def test_the_desk_costs_the_same_however_much_there_is(cast: Cast) -> None:
    fill(cast)
    client = enter(cast.olga)
    before = queries(client, "index")
    for number in range(12):
        bot = agents.create_agent(cast.acme, f"bot-{number}", owner=cast.olga, actor="system")
        containment.set_standing(bot, "suspended", reason="x", actor="cli:test", person=None)
        agents.create_key(bot, expires_at=timezone.now() + timedelta(days=3), actor="system")
        decide(bot, "denied", 3)
        leave_unreported(bot, tool=f"tool-{number}")
        approving.ask(bot, [approving.requirement(cast.rita)])
    assert queries(client, "index") == before


def test_a_halted_log_is_the_first_thing_that_is_said(cast: Cast) -> None:
    client = enter(cast.rita)
    assert "was halted" not in page(client, "index")
    Head.objects.filter(log_id=cast.acme.log_id).update(halted="It has 3 entries, and 5 were signed.")
    for name in ("index", "audit_entry_changelist"):
        shown = page(client, name)
        assert "was halted: nothing is recorded in it, so its agents are refused" in shown, name
        assert "It has 3 entries, and 5 were signed." in shown, name
    assert "was halted" not in page(enter(cast.sam), "index")
