"""Signing in at an OpenID provider, which here is a small real one."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client, override_settings
from django.urls import reverse

from audit import log
from audit.details import read_detail
from audit.models import Entry
from tests.cast import Cast
from tests.factors import code, enroll
from tests.portal import body_of, enter
from tests.workspaces.provider import CLIENT, SECRET, Provider, serving
from workspaces import factors, people
from workspaces.models import User

PUBLIC = "http://127.0.0.1:8000"
RITA: dict[str, Any] = {"email": "Rita@acme.test", "email_verified": True}


@pytest.fixture
def provider(cast: Cast) -> Iterator[Provider]:
    with serving(Provider(claims=dict(RITA))) as provider:
        settings = {
            "OIDC_URL": provider.url,
            "OIDC_CLIENT": CLIENT,
            "OIDC_SECRET": SECRET,
            "OIDC_NAME": "Acme ID",
        }
        with override_settings(**settings, PUBLIC_URL=PUBLIC):
            yield provider


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


def visit(client: Client, then: str = "/admin/tokens/") -> Any:
    """Go to the provider and back, as a browser does; the portal's answer to who comes back."""
    away = client.get(reverse("sso"), {"next": then})
    assert away.status_code == 302, away.content.decode()
    back = httpx.get(away["location"]).headers["location"]
    assert back.startswith(PUBLIC)
    return client.get(back.removeprefix(PUBLIC))


def is_in(client: Client) -> bool:
    return client.get(reverse("own_factors")).status_code == 200


def test_who_is_here_signs_in_by_the_verified_address(cast: Cast, provider: Provider) -> None:
    client = Client()
    assert "Sign in with Acme ID" in client.get(reverse("admin:login")).content.decode()
    assert visit(client)["location"] == "/admin/tokens/"
    assert client.session["_auth_user_id"] == str(cast.rita.pk)
    entry = body_of(newest())
    assert (entry["type"], entry["data"]["known_by"]) == ("workspaces.person.signed_in", "sso")
    assert provider.asked["code_challenge_method"] == "S256"
    for model in (EmailAddress, SocialAccount, SocialApp, SocialToken):
        assert not model.objects.exists()


def test_nobody_is_created_for_an_address_that_is_not_here(cast: Cast, provider: Provider) -> None:
    provider.claims["email"] = "new@acme.test"
    client, before = Client(), User.objects.count()
    refused = visit(client)
    assert refused.status_code == 403
    assert "nobody here has your address" in refused.content.decode()
    assert (User.objects.count(), is_in(client)) == (before, False)
    entry = newest()
    assert (entry.type, body_of(entry)["data"]["why"]) == ("workspaces.person.not_let_in", "unknown")
    assert read_detail(entry.log_id, entry.index)["address"] == "new@acme.test"


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_is_not_verified_is_nobodys(cast: Cast, provider: Provider, verified: Any) -> None:
    provider.claims["email_verified"] = verified
    assert visit(client := Client()).status_code == 403
    assert not is_in(client)
    assert body_of(newest())["data"]["why"] == "unverified"


def test_who_was_deactivated_does_not_come_in_by_the_provider(cast: Cast, provider: Provider) -> None:
    people.deactivate(cast.rita, actor="system")
    assert visit(client := Client()).status_code == 403
    assert not is_in(client)


def test_the_address_may_come_from_userinfo_about_the_same_person(cast: Cast, provider: Provider) -> None:
    provider.claims = {}
    provider.userinfo = {**RITA, "sub": "u1"}
    visit(client := Client())
    assert is_in(client)
    provider.userinfo = {**RITA, "sub": "u2"}
    visit(other := Client())
    assert not is_in(other)


@pytest.mark.parametrize(
    "change",
    [
        {"claims": {**RITA, "nonce": "another"}},
        {"claims": {**RITA, "aud": "somebody-else"}},
        {"claims": {**RITA, "iss": "https://elsewhere.test"}},
        {"claims": {**RITA, "exp": int(time.time()) - 3600}},
        {"published": rsa.generate_private_key(65537, 2048)},
        {"algorithm": "HS256"},
    ],
    ids=["nonce", "audience", "issuer", "expired", "signature", "algorithm"],
)
def test_a_token_that_is_not_for_us_now_is_refused(
    cast: Cast, provider: Provider, change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(provider, name, value)
    assert visit(client := Client()).status_code == 403
    assert not is_in(client)
    assert newest().type == "workspaces.person.not_let_in"


def test_an_answer_to_another_browser_signs_nobody_in(cast: Cast, provider: Provider) -> None:
    away = Client().get(reverse("sso"))["location"]
    back = httpx.get(away).headers["location"].removeprefix(PUBLIC)
    assert Client().get(back).status_code == 403


def test_an_answer_counts_once(cast: Cast, provider: Provider) -> None:
    client = Client()
    away = client.get(reverse("sso"))["location"]
    back = httpx.get(away).headers["location"].removeprefix(PUBLIC)
    assert client.get(back).status_code == 302
    client.logout()
    assert client.get(back).status_code == 403


def test_a_provider_that_does_not_answer_is_said_so(cast: Cast, provider: Provider) -> None:
    with override_settings(OIDC_URL="http://127.0.0.1:1"):
        refused = Client().get(reverse("sso"))
    assert refused.status_code == 403
    assert "did not answer" in refused.content.decode()


def test_without_a_provider_there_is_no_such_door(cast: Cast) -> None:
    assert Client().get(reverse("sso")).status_code == 404
    assert Client().get(reverse("sso_callback")).status_code == 404
    assert "sign-in/provider" not in Client().get(reverse("admin:login")).content.decode()


@pytest.mark.parametrize("then", ["https://evil.test/", "//evil.test/"])
def test_it_leads_nowhere_else(cast: Cast, provider: Provider, then: str) -> None:
    assert visit(Client(), then)["location"] == reverse("admin:index")


def test_a_second_factor_of_ours_is_asked_for_all_the_same(cast: Cast, provider: Provider) -> None:
    secret, client = enroll(cast.rita), Client()
    provider.claims |= {"amr": ["pwd", "mfa"], "auth_time": int(time.time())}
    assert visit(client)["location"] == reverse("sign_in_code")
    assert not is_in(client)
    assert client.post(reverse("sign_in_code"), {"code": code(secret)})["location"] == "/admin/tokens/"


def test_what_the_provider_was_shown_counts_where_the_settings_say_so(cast: Cast, provider: Provider) -> None:
    provider.claims |= {"amr": ["pwd", "mfa"], "auth_time": int(time.time())}
    visit(client := Client())
    assert known(client) == ""
    with override_settings(OIDC_FACTORS=["mfa"]):
        visit(client := Client())
        assert known(client) == "sso"
        assert provider.asked["max_age"] == "600"
        assert body_of(newest())["data"]["second_factor"] == "sso"
    assert known(client) == ""


@pytest.mark.parametrize("claims", [{}, {"amr": ["pwd"]}, {"amr": "mfa"}, {"acr": "mfa"}])
def test_a_word_that_does_not_count_or_of_long_ago_is_no_second_factor(
    cast: Cast, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.claims |= {**claims, "auth_time": int(time.time()) - 601}
    with override_settings(OIDC_FACTORS=["mfa"]):
        visit(client := Client())
        assert is_in(client)
        assert known(client) == ""


def test_who_has_no_password_confirms_at_the_provider(cast: Cast, provider: Provider) -> None:
    client, secret = enter(cast.rita), enroll(cast.rita)
    confirm = factors.confirm_address("/admin/tokens/")
    assert reverse("sso") in client.get(confirm).content.decode()
    assert visit(client, confirm)["location"] == reverse("sign_in_code")
    assert client.post(reverse("sign_in_code"), {"code": code(secret)})["location"] == confirm
    assert client.get(confirm)["location"] == "/admin/tokens/"


def known(client: Client) -> str:
    """What counts as a second factor in the session of this browser."""
    return factors.fresh(client.get(reverse("own_factors")).wsgi_request)
