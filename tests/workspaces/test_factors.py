"""Second factors: what is kept of them, when a code counts, and how long."""

import json
import re
import time
from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail, signing
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, override_settings
from django.urls import reverse

from audit import log, owed
from audit.models import Entry, Owed
from tests.cast import Cast
from tests.factors import PERIOD, code, code_at, confirm, enroll
from tests.portal import body_of, enter
from workspaces import factors, people
from workspaces.admin.factors import OFFER
from workspaces.models import CodeGuesses, User

PASSWORD = "correct horse battery staple"


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


def test_a_code_counts_once_whoever_gives_it(cast: Cast) -> None:
    secret = enroll(cast.rita)
    shown = code(secret)
    assert factors.check_code(cast.rita, f" {shown[:3]} {shown[3:]}") == "totp"
    entry = newest()
    assert (entry.type, body_of(entry)["data"]["purpose"]) == ("workspaces.factor.used", "api")
    assert factors.check_code(cast.rita, shown) == ""
    assert factors.check_code(cast.otto, code(secret)) == ""


def test_an_older_code_than_the_last_one_used_is_refused_too(cast: Cast) -> None:
    secret, now = enroll(cast.rita), time.time()
    assert factors.use_code(cast.rita, code_at(secret, now + PERIOD), purpose="api", now=now)
    assert factors.use_code(cast.rita, code_at(secret, now), purpose="api", now=now) is None


def test_a_code_of_long_ago_or_of_the_future_is_wrong(cast: Cast) -> None:
    secret, now = enroll(cast.rita), time.time()
    for away in (-2, 2):
        wrong = code_at(secret, now + away * PERIOD)
        assert factors.use_code(cast.rita, wrong, purpose="api", now=now) is None


def test_five_wrong_codes_lock_the_right_one_out_for_an_hour(cast: Cast) -> None:
    secret = enroll(cast.rita)
    assert [factors.check_code(cast.rita, "nonsense") for _ in range(5)] == [""] * 5
    assert body_of(newest())["data"]["locked"] is True
    with pytest.raises(factors.TooManyCodes):
        factors.check_code(cast.rita, code(secret))
    assert body_of(newest())["type"] == "workspaces.factor.refused"
    guesses = CodeGuesses.objects.get(person=cast.rita)
    CodeGuesses.objects.filter(pk=guesses.pk).update(last=guesses.last - timedelta(hours=1))
    assert factors.check_code(cast.rita, code(secret)) == "totp"


def test_a_right_code_ends_the_counting_and_no_code_is_no_guess(cast: Cast) -> None:
    secret = enroll(cast.rita)
    for _ in range(4):
        factors.check_code(cast.rita, "000")
        factors.check_code(cast.rita, "")
    assert factors.check_code(cast.rita, code(secret)) == "totp"
    assert not CodeGuesses.objects.exists()


def test_a_recovery_code_works_once_and_only_hashes_are_kept(cast: Cast) -> None:
    secret, now = factors.new_secret(), time.time()
    codes = factors.enroll_totp(cast.rita, secret=secret, code=code_at(secret, now), actor="system", now=now)
    assert len(set(codes)) == 10
    kept = json.dumps(list(Authenticator.objects.values("data")))
    assert secret not in kept
    assert not any(each in kept or each.replace("-", "") in kept for each in codes)
    assert factors.check_code(cast.rita, codes[3].upper()) == "recovery"
    assert factors.check_code(cast.rita, codes[3]) == ""
    assert factors.check_code(cast.rita, codes[4].replace("-", " ")) == "recovery"


def test_a_secret_that_was_put_at_another_person_does_not_open(cast: Cast) -> None:
    enroll(cast.rita)
    row = factors.of(cast.rita).get(type=factors.Type.TOTP)
    row.user = cast.otto
    with pytest.raises(RuntimeError, match="was changed, or moved there"):
        factors.secret_of(row)


def test_new_recovery_codes_end_the_old_and_stand_for_nothing_alone(cast: Cast) -> None:
    with pytest.raises(factors.FactorRefused):
        factors.make_recovery_codes(cast.rita, actor="system")
    enroll(cast.rita)
    old = factors.make_recovery_codes(cast.rita, actor="system")
    factors.make_recovery_codes(cast.rita, actor="system")
    assert factors.check_code(cast.rita, old[0]) == ""
    factors.remove(factors.of(cast.rita).get(type=factors.Type.TOTP), actor="system")
    assert not factors.of(cast.rita).exists()
    assert not factors.has_second_factor(cast.rita)


def test_entries_name_the_factor_and_hold_no_secret(cast: Cast) -> None:
    secret = enroll(cast.rita)
    factors.check_code(cast.rita, code(secret))
    for row in Entry.objects.filter(type__startswith="workspaces.factor."):
        assert secret not in bytes(row.body).decode()
        assert body_of(row)["data"]["person"] == cast.rita.public_id


def test_it_counts_for_ten_minutes_in_the_session_that_it_was_used_in(cast: Cast) -> None:
    client = enter(cast.rita)
    confirm(client, cast.rita)
    assert asked(client) == "totp"
    assert asked(enter(cast.rita)) == ""
    with override_settings(CONFIRM_FOR=timedelta(0)):
        assert asked(client) == ""
    factors.remove(factors.of(cast.rita).get(type=factors.Type.TOTP), actor="system")
    assert asked(client) == ""


def asked(client: Client) -> str:
    """What counts in the session of a request of this browser."""
    request = client.get(reverse("own_factors")).wsgi_request
    return factors.fresh(request)


def test_an_operator_resets_the_factors_of_who_lost_them(cast: Cast) -> None:
    enroll(cast.rita)
    client = enter(cast.rita)
    assert factors.reset(cast.rita, actor="cli:root") == 2
    assert not factors.of(cast.rita).exists()
    assert client.get(reverse("own_factors")).status_code == 302
    for row in Owed.objects.filter(kind=factors.MAIL):
        owed.performer_of(row.kind)(row.payload)
    assert "removed all second factors" in mail.outbox[-1].body
    assert mail.outbox[-1].to == [cast.rita.email]


def with_password(person: User) -> Client:
    """A browser in which this person signed in by a password just now."""
    people.set_password(person, password=PASSWORD, actor="system")
    client = Client()
    fields = {"username": person.email, "password": PASSWORD}
    assert client.post(reverse("admin:login"), fields).status_code == 302
    return client


def test_a_person_enrolls_an_app_on_their_page_and_sees_recovery_codes_once(cast: Cast) -> None:
    client = with_password(cast.rita)
    offered = client.post(reverse("add_app"), {"next": "/admin/tokens/"}).content.decode()
    assert "data:image/svg+xml;base64," in offered
    secret = re.search(r'id="secret">([A-Z2-7 ]+)<', offered)[1].replace(" ", "")  # type: ignore[index]
    offer = re.search(r'name="offer" value="([^"]+)"', offered)[1]  # type: ignore[index]
    assert secret not in offer
    assert not factors.of(cast.rita).exists()
    again = client.post(reverse("add_app"), {"offer": offer, "code": "12"}).content.decode()
    assert "not the code" in again
    assert secret[:4] in again
    fields = {"offer": offer, "code": code_at(secret, time.time()), "next": "/admin/tokens/"}
    shown = client.post(reverse("add_app"), fields)
    assert len(re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", shown.content.decode())) == 10
    assert 'href="/admin/tokens/"' in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert asked(client) == "totp"
    assert "10 left" in client.get(reverse("own_factors")).content.decode()


def test_an_offer_made_to_somebody_else_is_no_offer(cast: Cast) -> None:
    client = with_password(cast.rita)
    secret = factors.new_secret()
    offer = signing.dumps(factors.seal(cast.otto, secret), salt=OFFER)
    fields = {"offer": offer, "code": code_at(secret, time.time())}
    assert client.post(reverse("add_app"), fields).status_code == 200
    assert not factors.of(cast.rita).exists()


def test_a_session_of_long_ago_changes_no_factor(cast: Cast) -> None:
    client = enter(cast.rita)
    row = client.post(reverse("add_app"))
    assert row["location"] == factors.confirm_address(reverse("own_factors"))
    enroll(cast.rita)
    pk = factors.of(cast.rita).get(type=factors.Type.TOTP).pk
    assert client.post(reverse("factor_remove", args=[pk])).status_code == 302
    assert factors.has_second_factor(cast.rita)
    confirm(client, cast.rita)
    client.post(reverse("factor_remove", args=[pk]))
    assert not factors.has_second_factor(cast.rita)


def test_nobody_removes_a_factor_of_somebody_else(cast: Cast) -> None:
    client = enter(cast.rita)
    confirm(client, cast.rita)
    enroll(cast.otto)
    pk = factors.of(cast.otto).get(type=factors.Type.TOTP).pk
    assert client.post(reverse("factor_remove", args=[pk])).status_code == 404
    assert factors.has_second_factor(cast.otto)


def test_the_confirm_page_asks_for_password_and_code_and_leads_on(cast: Cast) -> None:
    people.set_password(cast.rita, password=PASSWORD, actor="system")
    client, secret = enter(cast.rita), enroll(cast.rita)
    address = factors.confirm_address("/admin/tokens/")
    assert 'name="password"' in client.get(address).content.decode()
    wrong = client.post(address, {"password": "wrong", "code": code_at(secret, time.time())})
    assert "not your password" in wrong.content.decode()
    assert newest().type == "workspaces.person.refused"
    assert "wrong" in client.post(address, {"password": PASSWORD, "code": "1"}).content.decode()
    assert 'name="password"' not in client.get(address).content.decode()
    assert client.post(address, {"code": code(secret)})["location"] == "/admin/tokens/"
    assert asked(client) == "totp"
    assert client.get(address)["location"] == "/admin/tokens/"


@pytest.mark.parametrize(
    "then", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)", ""]
)
def test_the_confirm_page_leads_nowhere_else(cast: Cast, then: str) -> None:
    client = enter(cast.rita)
    confirm(client, cast.rita)
    assert client.get(reverse("confirm"), {"next": then})["location"] == reverse("own_factors")


def test_who_has_no_factor_is_led_to_where_one_is_added(cast: Cast) -> None:
    client = with_password(cast.rita)
    led = client.get(factors.confirm_address("/admin/tokens/"))["location"]
    assert led == f"{reverse('own_factors')}?next=%2Fadmin%2Ftokens%2F"
    assert 'href="/admin/tokens/"' in client.get(led).content.decode()


def test_the_command_resets_who_is_named(cast: Cast) -> None:
    enroll(cast.rita)
    out = StringIO()
    call_command("reset_factors", "Rita@acme.test", stdout=out)
    assert "signed out everywhere" in out.getvalue()
    removed = Entry.objects.filter(type="workspaces.factor.removed")
    assert {row.actor.partition(":")[0] for row in removed} == {"cli"}
    for email in ("rita@acme.test", "nobody@acme.test"):
        with pytest.raises(CommandError):
            call_command("reset_factors", email)


def test_a_planted_or_exchanged_factor_is_named_by_the_verifier(cast: Cast) -> None:
    secret = enroll(cast.rita)
    factors.check_code(cast.rita, code(secret))
    assert findings() == []
    app = factors.of(cast.rita).get(type=factors.Type.TOTP)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mfa_authenticator (user_id, type, data, created_at) "
            "SELECT %s, type, data, created_at FROM mfa_authenticator WHERE id = %s",
            [cast.otto.pk, app.pk],
        )
        cursor.execute("UPDATE mfa_authenticator SET data = '{}' WHERE id = %s", [app.pk])
    planted, exchanged = sorted(findings(), key=lambda finding: f"{app.pk}:" in finding)
    assert "The log did not make this row." in planted
    assert f"mfa.authenticator {app.pk}:" in exchanged


def findings() -> list[str]:
    """What verify_log says of factors."""
    out = StringIO()
    with suppress(CommandError):
        call_command("verify_log", stdout=out)
    return [line for line in out.getvalue().splitlines() if "mfa.authenticator" in line]
