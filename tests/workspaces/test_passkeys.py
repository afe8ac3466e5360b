"""Passkeys: made on one's own page, used at sign-in and to confirm, for this origin, once each time."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from audit import log
from audit.models import Entry
from tests.cast import Cast
from tests.portal import body_of
from tests.workspaces.authenticator import SecurityKey
from workspaces import factors, people
from workspaces.models import CodeGuesses, User

ORIGIN, HOST = "https://portal.test", "portal.test"
PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def named(cast: Cast) -> Iterator[None]:
    with override_settings(PUBLIC_URL=ORIGIN):
        yield


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


def give_password(person: User) -> Client:
    if not person.has_usable_password():
        people.set_password(person, password=PASSWORD, actor="system")
        person.refresh_from_db()
    client = Client()
    client.post(reverse("admin:login"), {"username": person.email, "password": PASSWORD})
    return client


def enrolled(person: User, key: SecurityKey) -> Client:
    """A browser in which this person has just made a passkey."""
    client = give_password(person)
    answer = key.make(client.post(reverse("add_passkey")).json())
    client.post(reverse("add_passkey"), {"name": "Blue key", "passkey": answer})
    return client


def options(client: Client) -> Any:
    return client.post(reverse("passkey_options")).json()


def is_in(client: Client) -> bool:
    return client.get(reverse("own_factors")).status_code == 200


def test_a_passkey_is_made_and_signs_in_after_the_password(cast: Cast) -> None:
    key = SecurityKey(ORIGIN, HOST)
    client = enrolled(cast.rita, key)
    assert "Passkey Blue key" in client.get(reverse("own_factors")).content.decode()
    assert factors.of(cast.rita).filter(type=factors.Type.RECOVERY_CODES).exists()
    client = give_password(cast.rita)
    assert not is_in(client)
    asked = options(client)
    assert len(asked["publicKey"]["allowCredentials"]) == 1
    assert client.post(reverse("sign_in_code"), {"passkey": key.sign(asked)}).status_code == 302
    assert is_in(client)
    assert body_of(newest())["data"]["second_factor"] == "webauthn"
    assert factors.fresh(client.get(reverse("own_factors")).wsgi_request) == "webauthn"


def test_an_answer_counts_once(cast: Cast) -> None:
    key = SecurityKey(ORIGIN, HOST)
    enrolled(cast.rita, key)
    client = give_password(cast.rita)
    answer = key.sign(options(client))
    other = give_password(cast.rita)
    options(other)
    for each, expected in ((other, False), (client, True), (client, True)):
        each.post(reverse("sign_in_code"), {"passkey": answer})
        assert is_in(each) is expected
    again = give_password(cast.rita)
    again.post(reverse("sign_in_code"), {"passkey": answer})
    assert not is_in(again)


@pytest.mark.parametrize("change", ["origin", "host", "key", "id", "nonsense", "list"])
def test_what_another_key_or_page_signed_is_refused_and_counted(cast: Cast, change: str) -> None:
    key = SecurityKey(ORIGIN, HOST)
    enrolled(cast.rita, key)
    client = give_password(cast.rita)
    forged = {
        "origin": SecurityKey("https://portal.test.evil.test", HOST, private=key.private),
        "host": SecurityKey(ORIGIN, "evil.test", private=key.private),
        "key": SecurityKey(ORIGIN, HOST),
        "id": SecurityKey(ORIGIN, HOST, private=key.private, id=b"another"),
    }.get(change)
    asked = options(client)
    answer = forged.sign(asked) if forged else {"nonsense": "{", "list": "[]"}[change]
    client.post(reverse("sign_in_code"), {"passkey": answer})
    assert not is_in(client)
    assert newest().type == "workspaces.factor.refused"
    assert CodeGuesses.objects.get().count == 1


def test_a_counter_that_goes_back_is_a_copy(cast: Cast) -> None:
    key = SecurityKey(ORIGIN, HOST, counter=7)
    enrolled(cast.rita, key)
    for counter, expected in ((8, True), (8, False), (3, False), (0, False), (9, True)):
        key.counter = counter
        client = give_password(cast.rita)
        client.post(reverse("sign_in_code"), {"passkey": key.sign(options(client))})
        assert is_in(client) is expected, counter


def test_it_is_made_only_by_who_has_just_shown_who_they_are(cast: Cast) -> None:
    client = Client()
    client.force_login(cast.rita, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(reverse("add_passkey"))["location"].startswith(reverse("confirm"))
    assert not factors.of(cast.rita).exists()


@pytest.mark.parametrize("origin", ["http://portal.test", "https://evil.test"])
def test_a_passkey_made_for_another_origin_is_not_taken(cast: Cast, origin: str) -> None:
    enrolled(cast.rita, SecurityKey(origin, HOST))
    assert not factors.of(cast.rita).exists()


def test_an_offer_of_before_makes_no_passkey_twice(cast: Cast) -> None:
    key = SecurityKey(ORIGIN, HOST)
    client = give_password(cast.rita)
    answer = key.make(client.post(reverse("add_passkey")).json())
    for name in ("First", "Second"):
        client.post(reverse("add_passkey"), {"name": name, "passkey": answer})
    assert factors.of(cast.rita).filter(type=factors.Type.WEBAUTHN).count() == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://portal.test", "https://[::1]"])
def test_none_is_offered_where_browsers_take_none(cast: Cast, address: str) -> None:
    client = give_password(cast.rita)
    with override_settings(PUBLIC_URL=address):
        assert "Add a passkey" not in client.get(reverse("own_factors")).content.decode()
        assert client.post(reverse("add_passkey")).status_code == 302
        assert Client().post(reverse("passkey_options")).status_code == 404


def test_what_the_script_is_told_is_json(cast: Cast) -> None:
    client = give_password(cast.rita)
    offered = client.post(reverse("add_passkey"))
    assert offered["Content-Type"] == "application/json"
    assert json.loads(offered.content)["publicKey"]["rp"]["id"] == HOST
