"""What guards the sign-in page and every other page: counting, headers, and nothing inline."""

import json
import re

import pytest
from axes.models import AccessAttempt
from django.conf import settings
from django.http import HttpRequest
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse

from audit import log
from audit.details import read_detail
from audit.models import Entry
from tests.cast import Cast
from tests.portal import body_of, enter
from workspaces import people, signin

PASSWORD = "correct horse battery staple"
INLINE = re.compile(r"<style|<script(?![^>]*(\bsrc=|application/json))|\son[a-z]+=|javascript:")


def try_password(password: str, *, name: str = "olga@acme.test", address: str = "192.0.2.1") -> int:
    fields = {"username": name, "password": password}
    return Client(REMOTE_ADDR=address).post(reverse("admin:login"), fields).status_code


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


@pytest.fixture
def with_password(cast: Cast) -> Cast:
    people.set_password(cast.olga, password=PASSWORD, actor="system")
    return cast


def test_five_wrong_passwords_lock_this_person_at_this_address_and_nobody_else(with_password: Cast) -> None:
    assert [try_password("wrong") for _ in range(5)] == [200, 200, 200, 200, 429]
    assert try_password(PASSWORD) == 429
    assert try_password(PASSWORD, address="192.0.2.2") == 302
    people.set_password(with_password.otto, password=PASSWORD, actor="system")
    assert try_password(PASSWORD, name="otto@acme.test") == 302


def test_the_page_of_who_is_locked_out_says_what_to_do(with_password: Cast) -> None:
    for _ in range(4):
        try_password("wrong")
    fields = {"username": "olga@acme.test", "password": "wrong"}
    shown = Client(REMOTE_ADDR="192.0.2.1").post(reverse("admin:login"), fields)
    assert shown.status_code == 429
    assert "manage.py signin_link" in shown.content.decode()


def test_guessing_from_many_addresses_locks_too(with_password: Cast) -> None:
    codes = [try_password("wrong", address=f"192.0.2.{number}") for number in range(25)]
    assert codes == [200] * 24 + [429]
    assert try_password(PASSWORD, address="198.51.100.1") == 429


def test_a_link_still_signs_in_and_ends_the_lock(with_password: Cast) -> None:
    for _ in range(5):
        try_password("wrong")
    token = people.signin_link(with_password.olga, actor="system")
    client = Client(REMOTE_ADDR="192.0.2.1")
    assert client.post(reverse("sign_in", args=[token])).status_code == 302
    assert try_password(PASSWORD) == 302


def test_a_wrong_password_is_an_entry_without_it(with_password: Cast) -> None:
    try_password("wr0ng-but-close")
    entry = newest()
    assert (entry.type, entry.actor) == ("workspaces.person.refused", "anonymous")
    assert body_of(entry)["data"]["person"] == with_password.olga.public_id
    everything = bytes(entry.body).decode() + json.dumps(read_detail(entry.log_id, entry.index))
    assert "wr0ng" not in everything
    assert "olga@" not in everything
    assert "192.0.2.1" in json.dumps(read_detail(entry.log_id, entry.index))
    assert "192.0.2.1" not in bytes(entry.body).decode()


def test_the_lock_is_one_entry_however_often_they_go_on(with_password: Cast) -> None:
    for _ in range(5):
        try_password("wrong")
    entry = newest()
    assert entry.type == "workspaces.person.locked_out"
    try_password("wrong")
    assert newest().index == entry.index


def test_a_name_that_nobody_has_is_kept_only_if_it_may_be_an_address(cast: Cast) -> None:
    try_password("x", name="nobody@nowhere.test")
    assert read_detail(newest().log_id, newest().index)["address"] == "nobody@nowhere.test"
    try_password("x", name="my-secret-password")
    assert "my-secret-password" not in json.dumps(read_detail(newest().log_id, newest().index))


def test_the_counter_holds_no_name_and_no_password(with_password: Cast) -> None:
    try_password("wrong-secret")
    try_password("wrong-secret")
    kept = json.dumps(list(AccessAttempt.objects.values()), default=str)
    assert "olga" not in kept
    assert "wrong-secret" not in kept


def request_from(nearest: str, forwarded: str = "") -> HttpRequest:
    return RequestFactory().get("/", REMOTE_ADDR=nearest, HTTP_X_FORWARDED_FOR=forwarded)


def test_a_forwarded_address_is_believed_only_of_proxies_that_are_counted() -> None:
    assert signin.address_of(request_from("10.0.0.1", "6.6.6.6, 192.0.2.9")) == "10.0.0.1"
    with override_settings(PROXIES=1):
        assert signin.address_of(request_from("10.0.0.1", "6.6.6.6, 192.0.2.9")) == "192.0.2.9"
        assert signin.address_of(request_from("10.0.0.1")) == "10.0.0.1"
        assert signin.address_of(request_from("10.0.0.1", "rubbish")) == "10.0.0.1"
    assert signin.address_of(request_from("")) is None


def test_signing_in_begins_a_new_session_that_ends_by_itself(with_password: Cast) -> None:
    client = Client()
    client.get(reverse("admin:login"))
    session = client.session
    session["planted"] = "before"
    session.save()
    client.cookies["sessionid"] = str(session.session_key)
    client.post(reverse("admin:login"), {"username": "olga@acme.test", "password": PASSWORD})
    cookie = client.cookies["sessionid"]
    assert cookie.value != session.session_key
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert int(cookie["max-age"]) == settings.SESSION_COOKIE_AGE == 12 * 3600


def test_every_page_has_the_policy_and_the_other_headers(cast: Cast) -> None:
    for client, name in ((Client(), "admin:login"), (enter(cast.olga), "admin:index")):
        headers = client.get(reverse(name)).headers
        policy = headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "script-src 'self' 'unsafe-eval';", "frame-ancestors 'none'"):
            assert part in policy + ";", part
        assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "")
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "same-origin"


def test_no_page_carries_a_script_or_a_style_of_its_own(cast: Cast) -> None:
    client = enter(cast.olga)
    for name, arguments in (
        ("admin:index", []),
        ("admin:workspaces_agent_changelist", []),
        ("admin:workspaces_agent_change", [cast.report_bot.pk]),
        ("admin:workspaces_agent_add", []),
        ("admin:password_change", []),
        ("live", ["acme"]),
        ("stop", []),
    ):
        found = INLINE.search(client.get(reverse(name, args=arguments)).content.decode())
        assert found is None, (name, found)
    assert INLINE.search(Client().get(reverse("admin:login")).content.decode()) is None
