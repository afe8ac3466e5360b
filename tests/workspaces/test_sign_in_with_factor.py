"""Signing in: whoever has a second factor is nobody before it was given."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from audit import log
from audit.models import Entry
from tests.cast import Cast
from tests.factors import code, enroll
from tests.portal import body_of
from workspaces import factors, people, sessions
from workspaces.models import CodeGuesses, User

PASSWORD = "correct horse battery staple"


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


def give_password(client: Client, person: User, then: str = "") -> str:
    """Give the right password; where it leads."""
    people.set_password(person, password=PASSWORD, actor="system")
    address = reverse("admin:login") + (f"?next={then}" if then else "")
    answer = client.post(address, {"username": person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return answer["location"]


def is_in(client: Client) -> bool:
    return client.get(reverse("own_factors")).status_code == 200


def test_after_the_password_the_code_is_asked_for_and_then_they_are_where_they_wanted(cast: Cast) -> None:
    secret, client = enroll(cast.rita), Client()
    asked = give_password(client, cast.rita, "/admin/tokens/")
    assert asked == reverse("sign_in_code")
    assert not is_in(client)
    assert "_auth_user_id" not in client.session
    wrong = client.post(asked, {"code": "000 000"})
    assert "wrong" in wrong.content.decode()
    assert not is_in(client)
    assert client.post(asked, {"code": code(secret)})["location"] == "/admin/tokens/"
    assert is_in(client)
    entry = body_of(newest())
    assert entry["type"] == "workspaces.person.signed_in"
    assert (entry["data"]["known_by"], entry["data"]["second_factor"]) == ("password", "totp")


def test_a_one_time_link_asks_for_the_code_too(cast: Cast) -> None:
    secret, client = enroll(cast.rita), Client()
    token = people.signin_link(cast.rita, actor="system")
    asked = client.post(reverse("sign_in", args=[token]))["location"]
    assert asked == reverse("sign_in_code")
    assert not is_in(client)
    assert newest().type != "workspaces.person.signed_in"
    assert client.post(asked, {"code": code(secret)})["location"] == reverse("admin:index")
    assert body_of(newest())["data"]["known_by"] == "link"
    assert sessions.BY_LINK in client.session


def test_a_link_signs_in_who_has_no_second_factor(cast: Cast) -> None:
    client = Client()
    client.post(reverse("sign_in", args=[people.signin_link(cast.olga, actor="system")]))
    entry = newest()
    assert (entry.type, entry.actor) == ("workspaces.person.signed_in", f"person:{cast.olga.public_id}")
    assert is_in(client)


def test_a_recovery_code_signs_in_once(cast: Cast) -> None:
    enroll(cast.rita)
    recovery = factors.make_recovery_codes(cast.rita, actor="system")[0]
    for expected in (True, False):
        client = Client()
        client.post(give_password(client, cast.rita), {"code": recovery})
        assert is_in(client) is expected


def test_five_wrong_codes_end_it_even_for_who_begins_again(cast: Cast) -> None:
    secret, client = enroll(cast.rita), Client()
    asked = give_password(client, cast.rita)
    codes = [client.post(asked, {"code": "1"}).status_code for _ in range(6)]
    assert codes == [200, 200, 200, 200, 200, 429]
    other = Client()
    assert other.post(give_password(other, cast.rita), {"code": code(secret)}).status_code == 429
    assert not is_in(other)
    guesses = CodeGuesses.objects.get(person=cast.rita)
    CodeGuesses.objects.filter(pk=guesses.pk).update(last=guesses.last - timedelta(hours=1))
    assert other.post(asked, {"code": code(secret)}).status_code == 302


@pytest.mark.parametrize("change", ["password", "deactivated", "reset", "late"])
def test_what_changes_between_password_and_code_ends_it(cast: Cast, change: str) -> None:
    secret, client = enroll(cast.rita), Client()
    asked = give_password(client, cast.rita)
    if change == "password":
        people.set_password(cast.rita, password=PASSWORD[::-1], actor="system")
    elif change == "deactivated":
        people.deactivate(cast.rita, actor="system")
    elif change == "reset":
        factors.reset(cast.rita, actor="system")
    else:
        session = client.session
        session[sessions.GOING_ON]["at"] -= sessions.PATIENCE
        session.save()
    answer = client.post(asked, {"code": code(secret)})
    assert answer["location"] == reverse("admin:login")
    assert not is_in(client)


def test_the_page_for_codes_is_nobodys_without_a_password_before(cast: Cast) -> None:
    enroll(cast.rita)
    assert Client().get(reverse("sign_in_code"))["location"] == reverse("admin:login")


def test_the_session_before_the_code_is_not_the_one_after_it(cast: Cast) -> None:
    secret, client = enroll(cast.rita), Client()
    client.get(reverse("admin:login"))
    session = client.session
    session["planted"] = "before"
    session.save()
    client.cookies["sessionid"] = str(session.session_key)
    asked = give_password(client, cast.rita)
    between = client.session.session_key
    assert "planted" not in client.session
    client.post(asked, {"code": code(secret)})
    assert client.session.session_key not in (between, session.session_key)


@pytest.mark.parametrize("then", ["https://evil.test/", "//evil.test/"])
def test_signing_in_leads_nowhere_else(cast: Cast, then: str) -> None:
    secret, client = enroll(cast.rita), Client()
    asked = give_password(client, cast.rita, then)
    assert client.post(asked, {"code": code(secret)})["location"] == reverse("admin:index")
