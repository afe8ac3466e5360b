"""Everybody's own page of API tokens."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.cast import ACTOR, Cast
from tests.portal import enter
from workspaces.access import tokens
from workspaces.models import ApiToken

pytestmark = pytest.mark.django_db

PAGE = "/admin/tokens/"


def test_a_token_is_made_shown_once_and_revoked(cast: Cast) -> None:
    olga = enter(cast.olga)
    assert "You have none" in olga.get(PAGE).content.decode()
    day = (timezone.now() + timedelta(days=7)).date().isoformat()
    answer = olga.post(PAGE, {"name": "nightly", "scope": "read", "workspace": "acme", "until": day})
    token = ApiToken.objects.get()
    text = answer.content.decode().partition('id="token-text">')[2].partition("<")[0]
    assert text.startswith("cst_")
    assert answer.headers["cache-control"] == "no-store, private"
    assert (token.user, token.workspace, token.scope) == (cast.olga, cast.acme, "read")
    assert token.expiry.date() == (timezone.now() + timedelta(days=8)).date()
    used = Client().get("/api/v1/workspaces", headers={"authorization": f"Bearer {text}"})
    assert [row["slug"] for row in used.json()["results"]] == ["acme"]
    assert text not in olga.get(PAGE).content.decode()
    olga.post(reverse("api_token_revoke", args=[token.public_id]))
    assert Client().get("/api/v1/me", headers={"authorization": f"Bearer {text}"}).status_code == 401


def test_what_is_wrong_is_said_and_what_was_typed_stays(cast: Cast) -> None:
    olga = enter(cast.olga)
    asked = {"name": "nightly", "scope": "write", "workspace": "globex", "until": "2020-01-01"}
    text = olga.post(PAGE, asked).content.decode()
    assert 'role="alert"' in text
    assert 'value="nightly"' in text
    text = olga.post(PAGE, {"name": "nightly", "scope": "write", "until": "2020-01-01"}).content.decode()
    assert "within the next 365 days" in text
    assert not ApiToken.objects.exists()


def test_nobody_sees_or_ends_the_tokens_of_somebody_else(cast: Cast) -> None:
    token, _ = tokens.create_token(cast.olga, name="canary4711", actor=ACTOR)
    rita = enter(cast.rita)
    assert "canary4711" not in rita.get(PAGE).content.decode()
    assert rita.post(reverse("api_token_revoke", args=[token.public_id])).status_code == 404
    assert rita.get(reverse("api_token_revoke", args=[token.public_id])).status_code == 405
    assert Client().get(PAGE).status_code == 302
    token.refresh_from_db()
    assert token.revoked_at is None
