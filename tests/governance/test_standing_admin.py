"""The stop button and the other steps, on the pages of agents, workspaces and the installation."""

import pytest
from django.urls import reverse

from audit import log
from audit.models import Entry
from tests.cast import Cast
from tests.portal import enter, latest, page, press
from workspaces import people, tenancy
from workspaces.models import User


def stop(client, scope: str, pk: int, **fields: str) -> str:
    return press(
        client, f"workspaces_{scope}_stand", pk, **{"standing": "suspended", "reason": "Odd"} | fields
    )


def test_two_clicks_and_a_reason_stop_an_agent(cast: Cast) -> None:
    client = enter(cast.otto)
    shown = page(client, "workspaces_agent_change", cast.report_bot.pk)
    assert "Stop report-bot" in shown
    assert 'name="standing" value="suspended"' in shown
    assert "Requested" in stop(client, "agent", cast.report_bot.pk)
    cast.report_bot.refresh_from_db()
    assert (cast.report_bot.standing, cast.report_bot.standing_reason) == ("suspended", "Odd")
    entry = latest(cast.acme)
    assert (entry.type, entry.outcome) == ("governance.containment.changed", "suspended")
    assert entry.actor == f"person:{cast.otto.public_id}"
    assert "stood there already" in stop(client, "agent", cast.report_bot.pk)


def test_without_a_reason_nothing_is_stopped(cast: Cast) -> None:
    assert "Reason: This field is required." in stop(enter(cast.otto), "agent", cast.report_bot.pk, reason="")
    cast.report_bot.refresh_from_db()
    assert cast.report_bot.standing == "active"


def test_who_tightens_does_not_loosen_and_is_told_whom_to_ask(cast: Cast) -> None:
    stop(enter(cast.otto), "agent", cast.report_bot.pk)
    told = stop(enter(cast.otto), "agent", cast.report_bot.pk, standing="active", reason="Better")
    assert "Only an owner of the workspace loosens" in told
    told = stop(enter(cast.olga), "agent", cast.report_bot.pk, standing="active", reason="Better")
    assert "an agent of their own" in told
    cast.report_bot.refresh_from_db()
    assert cast.report_bot.standing == "suspended"


def test_who_stopped_it_reads_who_lets_it_go_on_and_finds_the_step_open(cast: Cast) -> None:
    stop(enter(cast.otto), "agent", cast.report_bot.pk)
    assert "Only an owner of the workspace loosens" in page(
        enter(cast.otto), "workspaces_agent_change", cast.report_bot.pk
    )
    own = page(enter(cast.olga), "workspaces_agent_change", cast.report_bot.pk)
    assert "ask another owner of the workspace" in own
    assert "Let it go on" not in own
    people.set_roles(cast.acme, cast.rita, roles=["owner"], actor="system")
    others = page(enter(cast.rita), "workspaces_agent_change", cast.report_bot.pk)
    assert "Let it go on, or take another step" in others
    assert "ask another owner of the workspace" not in others


def test_what_holds_over_an_agent_is_shown_and_so_is_an_observation(cast: Cast) -> None:
    stop(enter(cast.otto), "workspace", cast.acme.pk)
    client = enter(cast.olga)
    assert "holds over this agent" in page(client, "workspaces_agent_change", cast.report_bot.pk)
    assert "suspended" in page(client, "workspaces_agent_changelist")
    assert "stands at" in page(client, "index")
    client = enter(cast.gina)
    stop(client, "agent", cast.globex_bot.pk, standing="observe", reason="New fleet", days="3")
    cast.globex_bot.refresh_from_db()
    assert cast.globex_bot.standing == "active"  # her own agent: nobody loosens that


def test_only_an_administrator_stops_everything_and_sees_no_workspace_by_it(cast: Cast) -> None:
    row = tenancy.install(actor="system")
    address = reverse("admin:workspaces_installation_stand", args=[row.pk])
    assert enter(cast.olga).post(address, {"standing": "suspended", "reason": "x"}).status_code == 404
    cast.sam.is_superuser = True
    cast.sam.save()
    with log.write(log.installation_log_id()) as entries:
        entries.record("workspaces.person.changed", actor="system", saved=[cast.sam])
    client = enter(User.objects.get(pk=cast.sam.pk))
    assert "2 workspaces" in page(client, "workspaces_installation_change", row.pk)
    assert client.get(reverse("admin:workspaces_installation_changelist")).status_code == 302
    shown = stop(client, "installation", row.pk)
    assert "Requested" in shown
    assert "Acme" not in shown
    row.refresh_from_db()
    assert row.standing == "suspended"
    entries_of = Entry.objects.filter(log_id=cast.acme.log_id, type="governance.containment.changed")
    assert entries_of.count() == 1


@pytest.mark.parametrize("scope", ["agent", "workspace"])
def test_a_step_is_never_taken_by_opening_an_address(cast: Cast, scope: str) -> None:
    pk = cast.report_bot.pk if scope == "agent" else cast.acme.pk
    address = reverse(f"admin:workspaces_{scope}_stand", args=[pk])
    assert enter(cast.otto).get(address, {"standing": "suspended", "reason": "x"}).status_code == 405
