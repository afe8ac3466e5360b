"""What an agent's page tells of it, and how a denial or an observation becomes a grant."""

from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from audit import log
from audit.models import Entry
from billing import limits
from governance import containment
from tests.billing.charges import charge, held
from tests.cast import Cast, employ
from tests.portal import enter, latest, page, press, queries
from workspaces import access
from workspaces.models import Agent, Resource


def refuse(agent: Agent, *paths: str, kind: str = "denied", tool: str = "files.read") -> list[int]:
    """Calls for files without a grant, as admission records them; their indexes."""
    found = []
    for path in paths:
        missing = [{"permission": "use", "tool": tool}, {"permission": "read", "resource": f"file://{path}"}]
        reasons = [{"code": "no_permission", "effect": "deny", "missing": missing}]
        detail: dict[str, Any] = {"arguments": {"path": path}, "reasons": reasons}
        with log.write(agent.workspace.log_id) as entries:
            entry = entries.append(
                f"governance.check.{kind}",
                actor=f"agent:{agent.public_id}",
                agent=agent.public_id,
                tool=tool,
                outcome="no_permission" if kind == "denied" else "observed",
                session="run-7",
                data={"decision": "dec_1", "reasons": []},
                detail=detail,
            )
        found.append(entry.index)
    return found


def test_a_denial_becomes_exactly_the_ticked_grants_for_a_week(cast: Cast) -> None:
    client, bot = enter(cast.olga), cast.support_bot
    _, index = refuse(bot, "/srv/other", "/srv/a%2Ab")
    shown = page(client, "workspaces_agent_change", bot.pk)
    assert "Grant this" in shown
    assert "/srv/other" not in shown
    answer = client.get(reverse("admin:workspaces_agent_denied", args=[bot.pk]), {"entry": index})
    proposed = {each["value"]: each["ticked"] for each in answer.context["exact"]}
    assert proposed == {
        "read file:///srv/a%2Ab": True,
        "read file:///srv/other": False,
    }  # it may use the tool
    assert latest(cast.acme).type == "governance.observation.read"
    ticked = ["read file:///srv/a%2Ab", "read file:///etc/*", "delete file:///srv/a%2Ab"]
    until = (timezone.now() + timedelta(days=7)).date().isoformat()
    told = press(client, "workspaces_agent_denied", bot.pk, entry=index, need=ticked, until=until)
    assert "has 1 new grant, until" in told
    made = Resource.objects.latest("pk")
    assert made.pattern == "file:///srv/a%2Ab"
    (line,) = [line for line in access.grants_of(bot) if line.target == made]
    assert (line.permission, line.through) == ("read", None)
    assert line.expires_at is not None
    types = Entry.objects.filter(log_id=cast.acme.log_id).order_by("-index").values_list("type", "actor")[:2]
    assert [kind for kind, _ in types] == ["workspaces.grant.added", "workspaces.resource.changed"]
    assert {actor for _, actor in types} == {f"person:{cast.olga.public_id}"}
    answer = client.get(reverse("admin:workspaces_agent_denied", args=[bot.pk]), {"entry": index})
    assert [each["value"] for each in answer.context["exact"]] == ["read file:///srv/other"]


def test_a_tool_that_is_not_there_is_not_granted(cast: Cast) -> None:
    (index,) = refuse(cast.globex_bot, "/srv/other")
    ticked = ["use files.read", "read file:///srv/other"]
    told = press(enter(cast.gina), "workspaces_agent_denied", cast.globex_bot.pk, entry=index, need=ticked)
    assert "The workspace has no tool files.read" in told
    assert access.grants_of(cast.globex_bot) == []
    assert not Resource.objects.filter(workspace=cast.globex).exists()


def test_nothing_is_granted_that_was_not_ticked_or_for_a_day_that_is_over(cast: Cast) -> None:
    client, bot = enter(cast.olga), cast.support_bot
    (index,) = refuse(bot, "/srv/other")
    count = len(access.grants_of(bot))
    assert "Tick what the agent is to have" in press(client, "workspaces_agent_denied", bot.pk, entry=index)
    need = "read file:///srv/other"
    assert "That day is over" in press(
        client, "workspaces_agent_denied", bot.pk, entry=index, need=need, until="2020-01-01"
    )
    assert len(access.grants_of(bot)) == count


def test_the_draft_is_for_who_may_see_what_was_sent_and_may_grant(cast: Cast) -> None:
    """A developer sees what their own agents send, and an operator may see but not grant."""
    dana = employ(cast.acme, "dana@acme.test", "Dana Developer", "developer")
    (index,) = refuse(cast.report_bot, "/srv/other")
    address = reverse("admin:workspaces_agent_denied", args=[cast.report_bot.pk])
    for person, status in (
        (cast.olga, 200),
        (dana, 403),
        (cast.otto, 403),
        (cast.rita, 403),
        (cast.gina, 404),
    ):
        answer = enter(person).get(address, {"entry": index})
        assert answer.status_code == status, person
        assert ("/srv/other" in answer.content.decode()) == (status == 200), person
    assert "Grant this" not in page(enter(dana), "workspaces_agent_change", cast.report_bot.pk)
    foreign = refuse(cast.globex_bot, "/srv/secret")[0]
    answer = enter(cast.olga).get(address, {"entry": foreign})
    assert "/srv/secret" not in answer.content.decode()
    assert enter(cast.olga).get(address).status_code == 404


def test_an_observed_agent_is_flagged_and_drafted_for(cast: Cast) -> None:
    client, bot = enter(cast.olga), cast.support_bot
    containment.set_standing(bot, "observe", reason="test", actor="cli:test", person=None)
    refuse(bot, "/in/a", "/in/b", "/in/c", kind="allowed", tool="web.fetch")
    assert "Observed: nothing is enforced" in page(client, "workspaces_agent_change", bot.pk)
    answer = client.get(reverse("admin:workspaces_agent_observed", args=[bot.pk]))
    assert all(each["ticked"] for each in answer.context["exact"])
    assert [each["of"] for each in answer.context["wider"]] == ["file:///in/*"]
    press(client, "workspaces_agent_observed", bot.pk, need=["read file:///in/*", "read file:///in/a"])
    made = Resource.objects.latest("pk")
    assert (made.pattern, made.name) == ("file:///in/*", "file/in/all")


def test_denials_sessions_and_last_uses_are_told(cast: Cast) -> None:
    bot = cast.report_bot
    refuse(bot, "/srv/a", "/srv/b", "/srv/c")
    shown = page(enter(cast.otto), "workspaces_agent_activity", bot.pk)
    assert '<td class="number" data-label="Times:">3</td>' in shown
    assert "run-7" in shown
    assert "Grant this" not in shown
    address = reverse("admin:workspaces_agent_activity", args=[bot.pk])
    assert enter(cast.gina).get(address).status_code == 404
    assert enter(cast.otto).post(address).status_code == 405


def test_budgets_are_bars_of_what_was_spent_and_held(cast: Cast) -> None:
    budget = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="ever", limit_amount=10 * 10**9, actor="system"
    ).row
    budget.accounts.create(key="ever", limit_amount=10 * 10**9, spent=7 * 10**9, held=10**9)
    shown = page(enter(cast.otto), "workspaces_agent_change", cast.report_bot.pk)
    assert "$7.00 spent and $1.00 held of $10.00" in shown
    assert '<span class="portal-badge warning">80 %</span>' in shown


def test_what_it_spent_and_its_last_charges_stand_on_its_page(cast: Cast) -> None:
    now = timezone.now()
    row = charge(cast.report_bot, 250, at=now, tool="mail.send", model="large")
    charge(cast.support_bot, 999, at=now)
    held(cast.report_bot, 40, at=now)
    for name in ("workspaces_agent_change", "workspaces_agent_activity"):
        shown = page(enter(cast.otto), name, cast.report_bot.pk)
        for told in ("$2.50", "$0.40 held", "mail.send", f"/admin/billing/hold/{row.pk}/change/"):
            assert told in shown
        assert "$9.99" not in shown


def test_the_page_costs_the_same_whatever_the_agent_did(cast: Cast) -> None:
    client, bot = enter(cast.olga), cast.report_bot
    refuse(bot, "/srv/a")
    shown = queries(client, "workspaces_agent_change", bot.pk)
    part = queries(client, "workspaces_agent_activity", bot.pk)
    refuse(bot, *(f"/srv/{number}" for number in range(30)))
    assert queries(client, "workspaces_agent_change", bot.pk) == shown
    assert queries(client, "workspaces_agent_activity", bot.pk) == part
