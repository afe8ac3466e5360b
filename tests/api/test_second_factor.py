"""Approving what is risky: by a code beside a token, or in a session in which the second factor was just used."""

import pytest
from django.test import Client
from django.urls import reverse

from governance.models import Approval, Vote
from tests import approving
from tests.api.caller import Caller
from tests.cast import Cast
from tests.factors import code, confirm, enroll
from tests.portal import enter

pytestmark = pytest.mark.django_db

APPROVE = {"approve": True, "comment": "It is owed to them."}


@pytest.fixture
def risky(cast: Cast) -> Approval:
    return approving.ask(cast.report_bot, [approving.requirement(cast.rita)], risk="high")


def address(approval: Approval) -> str:
    return f"workspaces/acme/approvals/{approval.public_id}/decide"


def test_a_token_needs_a_code_with_it_to_approve_what_is_risky(cast: Cast, risky: Approval) -> None:
    secret, rita = enroll(cast.rita), Caller(cast.rita)
    refused = rita.post(address(risky), APPROVE, 403)
    assert refused["code"] == "second_factor_needed"
    assert reverse("confirm") in refused["detail"]
    assert rita.post(address(risky), {**APPROVE, "code": "123456"}, 403)["code"] == "second_factor_needed"
    assert not Vote.objects.exists()
    shown = code(secret)
    assert rita.post(address(risky), {**APPROVE, "code": shown}, 200)["status"] == "approved"
    assert Vote.objects.get().second_factor == "totp"
    another = approving.ask(cast.report_bot, [approving.requirement(cast.rita)], risk="high")
    rita.post(address(another), {**APPROVE, "code": shown}, 403)


def test_a_code_of_somebody_else_is_none(cast: Cast, risky: Approval) -> None:
    enroll(cast.rita)
    rita = Caller(cast.rita)
    rita.post(address(risky), {**APPROVE, "code": code(enroll(cast.otto))}, 403)


def test_too_many_codes_are_said_so(cast: Cast, risky: Approval) -> None:
    secret, rita = enroll(cast.rita), Caller(cast.rita)
    for _ in range(5):
        rita.post(address(risky), {**APPROVE, "code": "123456"}, 403)
    answer = rita.ask("POST", address(risky), {**APPROVE, "code": code(secret)})
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_codes")
    assert answer["Retry-After"] == "3600"


def test_saying_no_takes_a_reason_and_no_code(cast: Cast, risky: Approval) -> None:
    rita = Caller(cast.rita)
    assert rita.post(address(risky), {"approve": False, "comment": "no"}, 400)["code"] == "reason_needed"
    said = rita.post(address(risky), {"approve": False, "comment": "Nobody asked for it."}, 200)
    assert said["status"] == "rejected"


def test_a_session_in_which_it_was_just_used_needs_no_code(cast: Cast, risky: Approval) -> None:
    client = enter(cast.rita)
    path = f"/api/v1/{address(risky)}"
    assert post(client, path) == 403
    confirm(client, cast.rita)
    assert post(client, path) == 200


def post(client: Client, path: str) -> int:
    return client.post(path, APPROVE, content_type="application/json").status_code


def test_a_token_beside_a_confirmed_session_is_not_confirmed(cast: Cast, risky: Approval) -> None:
    rita = Caller(cast.rita)
    rita.client = enter(cast.rita)
    confirm(rita.client, cast.rita)
    rita.post(address(risky), APPROVE, 403)


def test_the_portals_button_asks_for_it_too(cast: Cast, risky: Approval) -> None:
    client, button = enter(cast.rita), reverse("admin:governance_approval_decide", args=[risky.pk])
    fields = {"decision": "approve", "comment": APPROVE["comment"]}
    client.post(button, fields)
    assert not Vote.objects.exists()
    confirm(client, cast.rita)
    client.post(button, fields)
    assert Vote.objects.get().second_factor == "totp"
