"""The stop button that stands on every page."""

from django.test import Client
from django.urls import reverse

from audit import log
from tests.cast import Cast
from tests.portal import enter, latest, page
from workspaces import agents, people, tenancy
from workspaces.models import Agent, User

STOP = "admin/stop/"


def ask(client: Client, expected: int = 200, /, **fields: str) -> str:
    answer = client.post(reverse("stop"), {"reason": "Odd"} | fields)
    assert answer.status_code == expected, answer.status_code
    return answer.content.decode()


def standing(agent: Agent) -> str:
    agent.refresh_from_db()
    return agent.standing


def operator(cast: Cast) -> Client:
    people.set_operator(cast.sam, True, actor="system")
    return enter(User.objects.get(pk=cast.sam.pk))


def test_every_page_has_the_button_and_an_agents_page_names_the_agent(cast: Cast) -> None:
    client = enter(cast.otto)
    for name in ("index", "workspaces_agent_changelist", "governance_decisionrecord_changelist"):
        assert f'href="{reverse("stop")}"' in page(client, name)
    about = f"{reverse('stop')}?agent={cast.report_bot.public_id}"
    assert f'href="{about}"' in page(client, "workspaces_agent_change", cast.report_bot.pk)
    shown = client.get(about).content.decode()
    assert f'value="agent:{cast.report_bot.public_id}" checked' in shown
    live = client.get(reverse("live", args=["acme"])).content.decode()
    assert f"{reverse('stop')}?workspace=acme" in live


def test_two_clicks_and_a_reason_stop_it_and_say_when_it_held(cast: Cast) -> None:
    told = ask(enter(cast.otto), what=f"agent:{cast.report_bot.public_id}")
    assert "report-bot is stopped" in told
    assert "Requested" in told
    assert "Confirmed" in told
    assert (standing(cast.report_bot), cast.report_bot.standing_reason) == ("suspended", "Odd")
    assert f"#{latest(cast.acme).index}" in told
    assert f'href="{reverse("admin:workspaces_agent_change", args=[cast.report_bot.pk])}"' in told
    assert "was stopped already" in ask(enter(cast.otto), what=f"agent:{cast.report_bot.public_id}")


def test_an_agent_is_stopped_by_its_name(cast: Cast) -> None:
    assert "is stopped" in ask(enter(cast.otto), what="named", name="support-bot")
    assert standing(cast.support_bot) == "suspended"
    assert "No agent of this name" in ask(enter(cast.otto), 400, what="named", name="globex-bot")
    assert standing(cast.globex_bot) == "active"


def test_a_name_that_two_workspaces_know_needs_its_workspace(cast: Cast) -> None:
    people.set_roles(cast.globex, cast.otto, roles=["operator"], actor="system")
    twin = agents.create_agent(cast.globex, "report-bot", owner=cast.gina, actor="system")
    client = enter(cast.otto)
    assert "write workspace/name" in ask(client, 400, what="named", name="report-bot")
    ask(client, what="named", name="globex/report-bot")
    assert (standing(twin), standing(cast.report_bot)) == ("suspended", "active")


def test_without_a_reason_nothing_is_stopped(cast: Cast) -> None:
    told = ask(enter(cast.otto), 400, what="workspace:acme", reason="")
    assert "Reason: This field is required." in told
    assert 'value="workspace:acme" checked' in told


def test_a_workspace_is_stopped_by_those_who_may_tighten_it(cast: Cast) -> None:
    assert "is stopped" in ask(enter(cast.otto), what="workspace:acme")
    cast.acme.refresh_from_db()
    assert cast.acme.standing == "suspended"
    ask(enter(cast.gina), 404, what="workspace:acme")


def test_everything_is_for_operators_of_the_installation_who_see_no_workspace_by_it(cast: Cast) -> None:
    ask(enter(cast.olga), 404, what="installation")
    client = operator(cast)
    shown = client.get(reverse("stop")).content.decode()
    assert "every agent of this installation" in shown
    assert "Acme" not in shown
    assert "The whole installation is stopped" in ask(client, what="installation")
    assert tenancy.install(actor="system").standing == "suspended"
    ask(client, 404, what=f"agent:{cast.report_bot.public_id}")


def test_a_developer_stops_own_agents_only(cast: Cast) -> None:
    dana = people.create_person("dana@acme.test", name="Dana", actor="system").row
    people.set_roles(cast.acme, dana, roles=["developer"], actor="system")
    own = agents.create_agent(cast.acme, "own-bot", owner=dana, actor="system")
    client = enter(dana)
    shown = client.get(reverse("stop")).content.decode()
    assert "own-bot" in shown
    assert "report-bot" not in shown
    ask(client, 403, what=f"agent:{cast.report_bot.public_id}")
    ask(client, what=f"agent:{own.public_id}")
    assert (standing(own), standing(cast.report_bot)) == ("suspended", "active")


def test_who_may_stop_nothing_has_no_button_and_is_told_whom_to_ask(cast: Cast) -> None:
    client = enter(cast.sam)
    assert STOP not in page(client, "index")
    assert "Ask one of them, now" in client.get(reverse("stop")).content.decode()


def test_opening_the_page_stops_nothing_and_needs_a_session(cast: Cast) -> None:
    size = log.newest(cast.acme.log_id)
    query = {"what": f"agent:{cast.report_bot.public_id}", "reason": "x", "agent": cast.report_bot.public_id}
    assert enter(cast.otto).get(reverse("stop"), query).status_code == 200
    assert log.newest(cast.acme.log_id) == size
    assert Client().get(reverse("stop")).status_code == 302
    strange = enter(cast.gina).get(reverse("stop"), {"agent": cast.report_bot.public_id})
    assert strange.status_code == 404


def test_the_dialog_gets_the_same_form_without_the_frame(cast: Cast) -> None:
    shown = enter(cast.otto).get(reverse("stop"), headers={"X-Part": "dialog"}).content.decode()
    assert "stop-title" in shown
    assert "<html" not in shown
