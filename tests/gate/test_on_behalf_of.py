"""Calls that an agent makes for a person."""

import hashlib

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from governance import checks
from governance.models import Approval
from governance.requests import Caller, CheckRequest
from tests.cast import ACTOR, Cast
from tests.gate.conftest import REFUND, Bot
from workspaces import people
from workspaces.identifiers import key_digest

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = {"invoice": "17", "amount": 250}


def test_the_person_whom_a_call_is_made_for_does_not_review_it(
    policy: None, support: Bot, cast: Cast
) -> None:
    answer = support.check(REFUND, LARGE, on_behalf_of="Rita@Acme.test")
    assert answer["decision"] == "pending"
    assert Approval.objects.get(public_id=answer["approval"]["id"]).on_behalf_of == cast.rita


def test_an_agent_speaks_for_nobody_who_did_not_let_it(support: Bot) -> None:
    for email in ("otto@acme.test", "nobody@acme.test"):
        answer = support.check(REFUND, {"invoice": "17", "amount": 5}, on_behalf_of=email)
        assert (answer["decision"], answer["code"]) == ("deny", "no_permission")


def test_an_agent_speaks_for_nobody_who_has_left(support: Bot, cast: Cast) -> None:
    people.deactivate(cast.rita, actor=ACTOR)
    answer = support.check(REFUND, {"invoice": "17", "amount": 5}, on_behalf_of="rita@acme.test")
    assert (answer["decision"], answer["code"]) == ("deny", "no_permission")


def test_a_batch_asks_once_whom_its_calls_are_made_for(cast: Cast) -> None:
    key = cast.support_bot_key
    caller = Caller(cast.acme.log_id, cast.support_bot.pk, key[4:12], key_digest(key))
    asked = [
        CheckRequest(
            caller=caller,
            tool=REFUND,
            arguments={"invoice": str(number), "amount": 5},
            digest=hashlib.sha256(b"%d" % number).digest(),
            on_behalf_of=email,
        )
        for number, email in enumerate(["rita@acme.test", "otto@acme.test", "rita@acme.test"])
    ]
    with CaptureQueriesContext(connection) as queries:
        answers = checks.admit(cast.acme.log_id, asked)
    assert [b'"allow"' in answer for answer in answers if isinstance(answer, bytes)] == [True, False, True]
    assert sum("workspaces_actsfor" in query["sql"] for query in queries) == 1
