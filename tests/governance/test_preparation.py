"""Large arguments are judged before the head is locked, and the answer is the one they would have got under it."""

import json
from typing import Any

import pytest

from audit.details import read_detail
from gate import bodies
from gate.app import parse_large
from governance import checks, snapshot
from governance.requests import Caller
from tests.cast import ACTOR, Cast, declare
from workspaces import access, catalog
from workspaces.declarations import Action
from workspaces.identifiers import key_digest

pytestmark = pytest.mark.django_db(transaction=True)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "note": {"type": "string"},
        "copies": {"type": "integer", "default": 1},
        "pin": {"type": "string"},
        "more": {"type": "array"},
    },
}


@pytest.fixture
def caller(cast: Cast) -> Caller:
    """support-bot, which may use notes.write; the process knows the workspace already."""
    tool = catalog.set_tool(
        cast.acme,
        declaration=declare("notes.write", Action.WRITE, schema=SCHEMA, sensitive=("/pin",)),
        actor=ACTOR,
    ).row
    access.grant(cast.support_bot, permission="use", obj=tool, actor=ACTOR)
    key = cast.support_bot.keys.get()
    asking = Caller(
        cast.acme.log_id, cast.support_bot.pk, key.prefix, bytes(key_digest(cast.support_bot_key))
    )
    snapshot.prepare(cast.acme.log_id)
    return asking


def ask(caller: Caller, arguments: dict[str, Any], *, large: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer, and the Detail of its entry."""
    raw = json.dumps({"tool": "notes.write", "arguments": arguments}).encode()
    request = parse_large(raw, caller, "") if large else bodies.parse_check(raw, caller, "")
    assert (request.prepared is not None) == large
    (told,) = checks.admit(caller.log_id, [request])
    assert isinstance(told, bytes)
    answer = json.loads(told)
    return answer, read_detail(caller.log_id, answer["receipt"]["index"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"note": "short", "pin": "1234", "more": [{"a": None, "b": 1.0}]},
        {"note": "sk_live_" + "a1" * 12},
        {"note": 7},
    ],
    ids=["defaults, nulls and what is sensitive", "a secret", "of the wrong type"],
)
def test_prepared_arguments_are_answered_and_kept_like_others(
    caller: Caller, arguments: dict[str, Any]
) -> None:
    usual, kept = ask(caller, arguments, large=False)
    early, kept_early = ask(caller, arguments, large=True)
    for answer in (usual, early):
        for name in ("id", "agent_seq", "receipt", "expires_at"):
            answer.pop(name)
    assert early == usual
    assert kept_early == kept


def test_a_tool_that_changed_meanwhile_judges_anew(cast: Cast, caller: Caller) -> None:
    raw = json.dumps({"tool": "notes.write", "arguments": {"note": "short", "pin": "1234"}}).encode()
    request = parse_large(raw, caller, "")
    stricter = SCHEMA | {"required": ["title"]}
    catalog.set_tool(
        cast.acme, declaration=declare("notes.write", Action.WRITE, schema=stricter), actor=ACTOR
    )
    (told,) = checks.admit(caller.log_id, [request])
    assert isinstance(told, bytes)
    answer = json.loads(told)
    assert answer["code"] == "invalid_arguments"
    # Nor is anything sensitive any more: what is kept follows the declaration that judged.
    assert read_detail(caller.log_id, answer["receipt"]["index"])["arguments"]["pin"] == "1234"


def test_of_an_unknown_tool_nothing_is_prepared(caller: Caller) -> None:
    raw = json.dumps({"tool": "nothing", "arguments": {}}).encode()
    assert parse_large(raw, caller, "").prepared is None
