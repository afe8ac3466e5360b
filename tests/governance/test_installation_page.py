"""The operators' page: how the installation is, and whose it is not to see."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit import heartbeats, owed
from audit.models import Owed, Worker
from governance import health
from tests.cast import Cast
from tests.portal import enter, page
from workspaces import people, tenancy
from workspaces.models import User


@pytest.fixture
def operator(cast: Cast) -> Client:
    people.set_operator(cast.sam, True, actor="system")
    return enter(User.objects.get(pk=cast.sam.pk))


def found(name: str) -> health.Finding:
    return next(each for each in health.findings(timezone.now()) if each.name == name)


def test_the_page_tells_every_part_and_names_no_workspace(cast: Cast, operator: Client) -> None:
    shown = page(operator, "workspaces_installation_change", tenancy.install(actor="system").pk)
    for name in health.LOOKS:
        assert f"<strong>{name}</strong>" in shown
    assert "2 workspaces" in shown
    assert "Acme" not in shown
    assert "acme" not in shown


def test_a_worker_is_known_by_its_beats(cast: Cast) -> None:
    assert found("Worker").state == "danger"
    assert "none was ever heard of" in found("Worker").said
    heartbeats.Pulse().beat()
    assert found("Worker") == health.Finding("Worker", "success", "1 running, nothing overdue.")
    Worker.objects.update(seen=timezone.now() - timedelta(minutes=2))
    assert found("Worker").state == "danger"
    assert "last heard of" in found("Worker").said


@pytest.mark.django_db(transaction=True)
def test_the_command_beats(cast: Cast) -> None:
    call_command("work", "--once", "--quiet")
    assert Worker.objects.count() == 1


def test_a_worker_that_is_long_gone_is_forgotten(cast: Cast) -> None:
    long_ago = timezone.now() - timedelta(days=2)
    Worker.objects.create(name="old", started=long_ago, seen=long_ago)
    heartbeats.Pulse().beat()
    assert not Worker.objects.filter(name="old").exists()


def test_work_that_waits_means_behind(cast: Cast) -> None:
    heartbeats.Pulse().beat()
    owed.owe("x.y", [{}], due=timezone.now() - timedelta(minutes=5))
    assert found("Worker").state == "warning"
    assert "1 overdue, the oldest for 5 minutes" in found("Worker").said


def test_mail_that_fails_is_told_without_anybodys_address(cast: Cast) -> None:
    assert found("Mail").state == "success"
    owed.owe("governance.approval.mail", [{}], due=timezone.now())
    Owed.objects.update(attempts=3, error="SMTPRecipientsRefused: {'rita@acme.test': (550, b'no')}")
    assert found("Mail").state == "danger"
    assert "SMTPRecipientsRefused" in found("Mail").said
    assert "rita" not in found("Mail").said


def test_logs_disk_and_database_are_told(cast: Cast) -> None:
    assert "entries in 3 logs" in found("Logs").said
    assert "MB free" in found("Disk").said
    assert found("Database").state == "success"


def test_nobody_else_sees_the_page(cast: Cast) -> None:
    row = tenancy.install(actor="system")
    address = reverse("admin:workspaces_installation_change", args=[row.pk])
    assert enter(cast.olga).get(address).status_code == 404
