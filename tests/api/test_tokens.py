"""People's tokens: what they open, and when they stop."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from audit import log
from audit.models import Entry
from tests.api.caller import Caller, body_of
from tests.cast import ACTOR, Cast
from tests.portal import body_of as entry_body
from tests.portal import enter
from workspaces import people
from workspaces.access import tokens
from workspaces.models import ApiToken, ApiTokenUse, User

pytestmark = pytest.mark.django_db


def newest() -> Entry:
    return Entry.objects.filter(log_id=log.installation_log_id()).latest("index")


def test_a_token_is_shown_once_and_its_text_is_nowhere(cast: Cast) -> None:
    token, text = tokens.create_token(cast.olga, name="ci", actor=ACTOR)
    assert text.startswith("cst_")
    assert len(text) == 4 + 64
    assert text not in str(vars(ApiToken.objects.get(pk=token.pk)))
    body = entry_body(newest())
    assert (body["type"], body["data"]["token"]) == ("workspaces.token.created", token.public_id)
    assert text not in str(body)


def test_a_token_lets_in_as_its_person_and_says_so(cast: Cast) -> None:
    olga = Caller(cast.olga)
    me = olga.get("me")
    assert (me["email"], me["token"]) == ("olga@acme.test", olga.token.public_id)
    assert [row["slug"] for row in olga.get("workspaces")["results"]] == ["acme"]


def test_who_is_not_known_gets_a_problem(cast: Cast) -> None:
    client = Client()
    for headers in ({}, {"authorization": "Bearer cst_x"}, {"authorization": "Bearer"}):
        response = client.get("/api/v1/me", headers=headers)
        assert response.headers["www-authenticate"] == "Bearer"
        body_of(response, 401)
    refused = client.get("/api/v1/me", headers={"authorization": "Bearer cst_x"})
    assert body_of(refused, 401)["code"] == "authentication_failed"
    refused = client.get("/api/v1/me", headers={"authorization": "Basic eDp5"})
    assert body_of(refused, 401)["code"] == "not_authenticated"


def test_a_token_to_read_changes_nothing(cast: Cast) -> None:
    olga = Caller(cast.olga, scope="read")
    olga.get("workspaces/acme")
    assert olga.patch("workspaces/acme", {"name": "x"}, 403)["code"] == "read_only_token"
    assert olga.post("workspaces/acme/containment", {}, 403)["code"] == "read_only_token"


def test_a_token_for_one_workspace_sees_no_other(cast: Cast) -> None:
    people.set_roles(cast.globex, cast.olga, roles=["owner"], actor=ACTOR)
    people.set_operator(cast.olga, True, actor=ACTOR)
    olga = Caller(User.objects.get(pk=cast.olga.pk), workspace=cast.globex)
    assert [row["slug"] for row in olga.get("workspaces")["results"]] == ["globex"]
    olga.get("workspaces/globex/agents")
    assert olga.get("workspaces/acme", 404) == olga.get("workspaces/none", 404)
    assert [row["kind"] for row in olga.get("logs")["results"]] == ["workspace"]
    olga.get(f"logs/{cast.acme.log.uuid}/entries", 404)
    step = {"standing": "suspended", "reason": "It behaves oddly."}
    olga.post("workspaces/acme/containment", step, 404)
    assert olga.post("installation/containment", step, 403)["code"] == "permission_denied"


def test_a_token_gives_no_more_than_its_person_has_now(cast: Cast) -> None:
    olga = Caller(cast.olga)
    people.set_roles(cast.acme, cast.olga, roles=["auditor"], actor=ACTOR)
    olga.get("workspaces/acme")
    olga.patch("workspaces/acme", {"name": "x"}, 403)
    people.set_roles(cast.acme, cast.olga, roles=[], actor=ACTOR)
    olga.get("workspaces/acme", 404)
    people.deactivate(cast.olga, actor=ACTOR)
    olga.get("me", 401)


def test_a_token_ends_when_it_is_over_or_revoked(cast: Cast, tampering: None) -> None:
    first, second, over = Caller(cast.olga), Caller(cast.olga), Caller(cast.olga)
    ApiToken.objects.filter(pk=over.token.pk).update(expiry=timezone.now())
    first.delete(f"tokens/{second.token.public_id}")
    second.get("me", 401)
    assert newest().type == "workspaces.token.revoked"
    first.delete(f"tokens/{second.token.public_id}", 404)
    over.get("me", 401)
    assert ApiToken.objects.filter(pk=over.token.pk).exists()
    assert [row["id"] for row in first.get("tokens")["results"]] == [first.token.public_id]


def test_a_token_lives_a_year_at_most(cast: Cast) -> None:
    now = timezone.now()
    for end in (now - timedelta(days=1), now + timedelta(days=366)):
        with pytest.raises(ValidationError):
            tokens.create_token(cast.olga, name="x", expires_at=end, actor=ACTOR)
    with pytest.raises(ValidationError):
        tokens.create_token(cast.olga, name="x", workspace=cast.globex, actor=ACTOR)
    with pytest.raises(ValidationError):
        tokens.create_token(cast.olga, name=" ", actor=ACTOR)
    token, _ = tokens.create_token(cast.olga, name="x", actor=ACTOR)
    assert token.expiry - token.created == timedelta(days=90)


def test_one_person_has_so_many_tokens(cast: Cast) -> None:
    for _ in range(tokens.LIVE_TOKENS):
        token, _ = tokens.create_token(cast.olga, name="x", actor=ACTOR)
    with pytest.raises(tokens.TooManyTokens):
        tokens.create_token(cast.olga, name="x", actor=ACTOR)
    tokens.revoke_token(token, actor=ACTOR)
    tokens.create_token(cast.olga, name="x", actor=ACTOR)


def test_a_session_makes_a_token_and_a_token_makes_none(cast: Cast) -> None:
    assert Caller(cast.olga).post("tokens", {"name": "x"}, 403)["code"] == "needs_session"
    made = body_of(
        enter(cast.olga).post(
            "/api/v1/tokens", {"name": "x", "workspace": "acme"}, content_type="application/json"
        ),
        201,
    )
    assert (made["scope"], made["workspace"]) == ("read", "acme")
    used = Client().get("/api/v1/me", headers={"authorization": f"Bearer {made['token']}"})
    assert body_of(used, 200)["token"] == made["id"]


def test_use_is_noted_once_a_minute(cast: Cast) -> None:
    olga = Caller(cast.olga)
    olga.get("me")
    first = ApiTokenUse.objects.get(token=olga.token).at
    olga.get("me")
    assert ApiTokenUse.objects.get(token=olga.token).at == first
    ApiTokenUse.objects.filter(token=olga.token).update(at=first - timedelta(minutes=2))
    olga.get("me")
    assert ApiTokenUse.objects.get(token=olga.token).at >= first
    assert olga.get("tokens")["results"][0]["last_used"] is not None
