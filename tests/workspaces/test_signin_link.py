"""manage.py signin_link: how the first owner of an installation gets in."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from audit.models import Entry
from tests.cast import Cast
from workspaces import people

pytestmark = pytest.mark.django_db


def test_the_printed_address_signs_that_person_in_once(cast: Cast) -> None:
    out = StringIO()
    call_command("signin_link", "Olga@acme.test", stdout=out)
    address = out.getvalue().strip()
    assert address.startswith("http://127.0.0.1:8000/signin/")
    path = address.removeprefix("http://127.0.0.1:8000")
    client = Client()
    assert client.post(path).headers["location"] == reverse("admin:index")
    assert client.session["_auth_user_id"] == str(cast.olga.pk)
    assert Client().post(path).status_code == 410
    made = Entry.objects.get(type="workspaces.link.created")
    assert made.actor.startswith("cli:")


@pytest.mark.parametrize("minutes", [0, 1441])
def test_a_link_for_ever_is_refused(cast: Cast, minutes: int) -> None:
    with pytest.raises(CommandError, match="1 to 1440 minutes"):
        call_command("signin_link", "olga@acme.test", minutes=minutes)


def test_nobody_gets_in_who_is_not_here(cast: Cast) -> None:
    people.deactivate(cast.sam, actor="system")
    for email in ("nobody@acme.test", "sam@stranger.test"):
        with pytest.raises(CommandError, match="no active person"):
            call_command("signin_link", email)
