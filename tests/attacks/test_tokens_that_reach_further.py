"""Somebody has got hold of a token that its person confined to one workspace."""

import pytest

from tests.api.caller import Caller
from tests.cast import ACTOR, Cast
from tests.portal import enter
from workspaces import people
from workspaces.access import tokens

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_both(cast: Cast) -> None:
    """Rita works in globex too."""
    people.set_roles(cast.globex, cast.rita, roles=["auditor"], actor=ACTOR)


def test_it_tells_of_no_other_workspace_by_the_tokens_for_it(cast: Cast) -> None:
    stolen = Caller(cast.rita, workspace=cast.acme)
    beside = Caller(cast.rita, workspace=cast.globex)
    everywhere = Caller(cast.rita)
    assert [each["id"] for each in stolen.get("tokens")["results"]] == [stolen.token.public_id]
    for token in (beside.token, everywhere.token):
        stolen.delete(f"tokens/{token.public_id}", 404)
    assert beside.get("me")["id"] == cast.rita.public_id
    assert len(everywhere.get("tokens")["results"]) == 3
    stolen.delete(f"tokens/{stolen.token.public_id}")


def test_nor_by_anything_else(cast: Cast) -> None:
    stolen = Caller(cast.rita, workspace=cast.acme)
    assert [each["slug"] for each in stolen.get("workspaces")["results"]] == ["acme"]
    assert len(stolen.get("logs")["results"]) == 1
    for address in ("workspaces/globex", "workspaces/globex/members", f"logs/{cast.globex.log.uuid}/entries"):
        stolen.get(address, 404)
    assert "globex" not in stolen.ask("GET", "inbox").content.decode()


def test_a_token_makes_no_token_and_opens_no_page(cast: Cast) -> None:
    stolen = Caller(cast.rita)
    stolen.post("tokens", {"name": "more"}, 403)
    header = {"authorization": f"Bearer {stolen.text}"}
    assert stolen.client.get("/admin/", headers=header).status_code == 302
    assert stolen.client.get("/admin/tokens/", headers=header).status_code == 302
    reading = Caller(cast.rita, scope="read")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert reading.ask(method, f"tokens/{stolen.token.public_id}").status_code == 403
    assert tokens.revoke_tokens(cast.rita, actor=ACTOR) == 2
    stolen.get("me", 401)


def test_a_session_changes_nothing_without_its_csrf_token(cast: Cast) -> None:
    browser = enter(cast.rita)
    browser.handler.enforce_csrf_checks = True
    body = {"name": "from elsewhere"}
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = browser.generic("POST", "/api/v1/tokens", str(body).encode(), content_type=kind)
        assert answer.status_code == 403, kind
