"""Breaking the glass: an operator of the installation sees a workspace for an hour, and its owners know."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from audit import log, owed
from audit.models import Entry, Owed
from tests import approving
from tests.cast import Cast
from tests.portal import body_of, enter, latest, page
from workspaces import access, emergencies, people
from workspaces.models import BrokenGlass, User


@pytest.fixture
def sam(cast: Cast) -> User:
    """sam, who operates the installation and belongs to no workspace."""
    people.set_operator(cast.sam, True, actor="system")
    return fresh(cast.sam)


def fresh(person: User) -> User:
    return User.objects.get(pk=person.pk)


def break_it(cast: Cast, sam: User) -> BrokenGlass:
    return emergencies.break_glass(cast.acme, sam, reason="Owner is away", actor="cli:root@host")


def let_the_hour_pass(row: BrokenGlass) -> None:
    """The end is moved with its entry, as if an hour had gone by."""
    with log.write(row.workspace.log_id) as entries:
        row.until = timezone.now() - timedelta(seconds=1)
        row.save()
        entries.record("workspaces.glass.broken", actor="system", saved=[row])


def test_an_operator_sees_what_an_owner_sees_and_changes_nothing(cast: Cast, sam: User) -> None:
    approving.ask(cast.report_bot, [approving.requirement(cast.rita)])
    client = enter(sam)
    assert client.get(reverse("admin:workspaces_agent_change", args=[cast.report_bot.pk])).status_code == 404
    break_it(cast, sam)
    assert "report-bot" in page(client, "workspaces_agent_change", cast.report_bot.pk)
    assert "ann@customers.test" in page(client, "governance_decisionrecord_change", latest_check(cast).pk)
    page(client, "audit_entry_changelist")
    stand = reverse("admin:workspaces_agent_stand", args=[cast.report_bot.pk])
    client.post(stand, {"standing": "suspended", "reason": "x"})
    cast.report_bot.refresh_from_db()
    assert cast.report_bot.standing == "active"
    assert client.get(reverse("live", args=["globex"])).status_code == 404


def latest_check(cast: Cast) -> Entry:
    return Entry.objects.filter(log_id=cast.acme.log_id, type="governance.check.pending").latest("index")


def test_it_ends_by_itself_for_pages_and_for_sockets(cast: Cast, sam: User) -> None:
    row = break_it(cast, sam)
    assert access.readable(fresh(sam)) == {cast.acme.log_id: None}
    let_the_hour_pass(row)
    assert access.readable(fresh(sam)) == {}
    assert not access.workspaces_for(fresh(sam)).exists()
    assert not access.may(fresh(sam), "view_content", cast.acme)
    assert enter(sam).get(reverse("live", args=["acme"])).status_code == 404


def test_it_ends_when_they_operate_no_more(cast: Cast, sam: User) -> None:
    break_it(cast, sam)
    people.set_operator(sam, False, actor="system")
    assert access.readable(fresh(sam)) == {}
    assert access.readable(sam) == {}
    assert not access.workspaces_for(fresh(sam)).exists()


def test_it_is_an_entry_in_both_logs_and_the_reason_in_neither_body(cast: Cast, sam: User) -> None:
    row = break_it(cast, sam)
    installation = Entry.objects.filter(log_id=log.installation_log_id()).latest("index")
    for entry in (latest(cast.acme), installation):
        assert (entry.type, entry.actor) == ("workspaces.glass.broken", "cli:root@host")
        assert body_of(entry)["data"]["person"] == sam.public_id
        assert body_of(entry)["data"]["until"] == log.stamp(row.until)
        assert "Owner is away" not in bytes(entry.body).decode()
    assert body_of(installation)["data"]["workspace"] == cast.acme.public_id


@pytest.mark.django_db(transaction=True)
def test_each_owner_gets_a_mail(cast: Cast, sam: User) -> None:
    people.set_roles(cast.acme, cast.otto, roles=["operator", "owner"], actor="system")
    break_it(cast, sam)
    due = owed.claim(10)
    assert {row.kind for row in due} == {emergencies.MAIL}
    assert all(owed.perform(row).done for row in due)
    assert {message.to[0] for message in mail.outbox} == {"olga@acme.test", "otto@acme.test"}
    text = mail.outbox[0].body
    assert "Owner is away" in text
    assert "sam@stranger.test" in text
    assert "workspace=acme" in text
    assert not Owed.objects.filter(done_at=None).exists()


def test_a_red_banner_stands_on_every_page_and_the_owners_see_who_looks_in(cast: Cast, sam: User) -> None:
    client = enter(sam)
    assert "portal-banner" not in page(client, "index")
    row = break_it(cast, sam)
    for name in ("index", "workspaces_agent_changelist"):
        assert "You broke the glass of <strong>Acme Support</strong>" in page(client, name)
    olga = page(enter(cast.olga), "index")
    assert "Sam Stranger, an operator of the installation, sees" in olga
    assert "portal-banner" not in olga
    let_the_hour_pass(row)
    assert "Sam Stranger" not in page(enter(cast.olga), "index")


def command(*arguments: str, **options: Any) -> None:
    call_command("break_glass", *arguments, **{"reason": "Owner is away"} | options)


def test_the_command_takes_the_only_operator_or_the_one_that_is_named(
    cast: Cast, sam: User, capsys: Any
) -> None:
    command("acme")
    assert "sam@stranger.test sees acme until" in capsys.readouterr().out
    people.set_operator(cast.gina, True, actor="system")
    with pytest.raises(CommandError, match="--as EMAIL"):
        command("acme")
    command("acme", email="gina@globex.test")
    assert BrokenGlass.objects.count() == 2


def test_the_command_refuses_others_and_no_reason(cast: Cast, sam: User) -> None:
    with pytest.raises(CommandError, match="no such operator"):
        command("acme", email="olga@acme.test")
    with pytest.raises(CommandError, match="no workspace"):
        command("umbrella")
    with pytest.raises(CommandError, match="reason"):
        command("acme", reason=" ")
    assert not BrokenGlass.objects.exists()
