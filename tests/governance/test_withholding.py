"""What is withheld from the arguments does not come back in resources, reasons or kept answers; agents get it whole."""

from typing import Any

import pytest

from governance.models import Call, Idempotency
from tests.cast import ACTOR, Cast, declare
from tests.details import content_of
from tests.governance.test_verify_log import caller, check, findings, fresh_process
from tests.portal import body_of, latest
from workspaces import access, catalog
from workspaces.declarations import Action

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db

HOOK = "https://hooks.slack.com/services/{team}/{room}/{hook}"
PARTS = {"team": "T0ABC0ABC", "room": "B0ABC0ABC", "hook": "abcdefghijklmnopqrstuvwx"}


@pytest.fixture
def told(cast: Cast) -> Cast:
    """A tool whose template names a sensitive argument, and one that joins three arguments to a secret."""
    for name, template, sensitive in (
        ("vault.read", "vault://box/{number}", ("/number",)),
        ("chat.post", HOOK, ()),
        ("url.read", "{url}", ("/url",)),
    ):
        declaration = declare(name, Action.READ, template, sensitive=sensitive)
        tool = catalog.set_tool(cast.acme, declaration=declaration, actor=ACTOR).row
        access.grant(cast.support_bot, permission="use", obj=tool, actor=ACTOR)
    vault = catalog.set_resource(cast.acme, name="vault", pattern="vault://*/*", labels=[], actor=ACTOR).row
    access.grant(cast.support_bot, permission="read", obj=vault, actor=ACTOR)
    return cast


def ask(
    cast: Cast, tool: str, arguments: dict[str, Any], **more: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer, and the values in the entry's Detail."""
    answer = check(caller(cast.support_bot, cast.support_bot_key), tool, arguments, **more)
    detail = content_of(cast.acme.log_id, latest(cast.acme).index)
    return answer, {name: sealed["value"] for name, sealed in detail.items()}


def test_a_sensitive_argument_is_not_kept_in_the_resource(told: Cast) -> None:
    answer, detail = ask(told, "vault.read", {"number": "4711-0815-secret"})
    assert answer["resources"] == ["vault://box/4711-0815-secret"]
    assert detail["resources"] == ["vault://box/withheld"]
    assert "4711-0815" not in str(detail)
    assert findings() == []


def test_nor_in_the_reasons_of_a_refusal(told: Cast) -> None:
    catalog.remove_resource(told.acme.resources.get(name="vault"), actor=ACTOR)
    answer, detail = ask(told, "vault.read", {"number": "4711-0815-secret"})
    assert "vault://box/4711-0815-secret" in answer["reasons"][0]["message"]
    assert detail["reasons"][0]["missing"] == [{"permission": "read", "resource": "vault://box/withheld"}]
    assert "4711-0815" not in str(detail)


@pytest.mark.parametrize(
    "url", ["https://4711-0815.example/x", "https://user:4711-0815@example.com/", "no address 4711-0815"]
)
def test_nor_where_no_resource_can_be_told(told: Cast, url: str) -> None:
    _, detail = ask(told, "url.read", {"url": url})
    assert "4711-0815" not in str(detail)


def test_a_secret_that_only_joining_makes_is_withheld_in_all_its_parts(told: Cast) -> None:
    answer, detail = ask(told, "chat.post", PARTS)
    assert PARTS["hook"] in answer["resources"][0]
    assert body_of(latest(told.acme))["data"]["withheld"] == ["slack-webhook"]
    for part in PARTS.values():
        assert part not in str(detail)


def test_a_repeated_call_gets_its_answer_whole_and_the_rows_hold_none_of_it(told: Cast) -> None:
    again = {"call_id": "c1", "idempotency_key": "k1", "body_digest": b"d"}
    first, _ = ask(told, "vault.read", {"number": "4711-0815-secret"}, **again)
    second, _ = ask(told, "vault.read", {"number": "4711-0815-secret"}, **again)
    assert second == first
    assert second["resources"] == ["vault://box/4711-0815-secret"]
    for row in (Call.objects.get(), Idempotency.objects.get()):
        assert b"4711-0815" not in bytes(row.answer)
        assert first["id"].encode() not in bytes(row.answer)
    third, _ = ask(told, "vault.read", {"number": "4711-0815-secret"}, call_id="c1")
    assert third == first


def test_what_holds_nothing_of_the_kind_is_kept_as_it_is(told: Cast) -> None:
    _, detail = ask(told, "mail.send", {"to": "ann@customers.test", "subject": "x", "body": "y"})
    assert detail["resources"] == ["mailto:ann@customers.test"]
