"""What is approved is what runs: another spelling of the same call is it, and nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from governance import approvals, policies
from governance.models import Approval
from tests.approving import decide
from tests.cast import ACTOR, Cast, declare
from tests.gate.conftest import Bot
from workspaces import access, agents, catalog
from workspaces.declarations import Action
from workspaces.models import Agent

pytestmark = pytest.mark.django_db(transaction=True)
TOOL = "notes.write"
RULE: dict[str, Any] = {
    "name": "Notes are looked at",
    "tools": [TOOL],
    "effect": "require_approval",
    "approval": {"reviewers": ["rita@acme.test"]},
}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
calls = st.dictionaries(texts.filter(bool), values, min_size=1, max_size=4)


@pytest.fixture
def writer(support: Bot, cast: Cast) -> Bot:
    """support-bot with a tool that takes anything, about which Rita is asked; it may ask as often as it likes."""
    tool = catalog.set_tool(cast.acme, declaration=declare(TOOL, Action.WRITE), actor=ACTOR).row
    access.grant(cast.support_bot, permission="use", obj=tool, actor=ACTOR)
    policies.publish(policies.draft(cast.acme, [RULE], actor=ACTOR), actor=ACTOR)
    return support


def send(bot: Bot, raw: str, **more: Any) -> Any:
    """The answer to a check whose arguments are written exactly so."""
    fields = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in more.items())
    body = f'{{"tool":{json.dumps(TOOL)},"arguments":{raw}{fields}}}'.encode()
    return bot.client.post("/v1/check", content=body, headers=bot.headers)


def approved(bot: Bot, cast: Cast, arguments: dict[str, Any]) -> str:
    """An approval of this call."""
    told = send(bot, json.dumps(arguments)).json()
    assert told["decision"] == "pending", told
    row = Approval.objects.select_related("workspace", "agent").get(public_id=told["approval"]["id"])
    approvals.start(row)
    assert decide(row, cast.rita).status == "approved"
    return str(row.public_id)


def spelled(value: Any, draw: Any) -> str:
    """The same value as another JSON text: keys in another order, white space, numbers and characters otherwise."""
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, dict):
        items = draw(st.permutations(list(value.items())))
        inside = ("," + space).join(
            f"{spelled(key, draw)}{space}:{spelled(each, draw)}" for key, each in items
        )
        return f"{{{space}{inside}{space}}}"
    if isinstance(value, list):
        return f"[{space}{(space + ',').join(spelled(each, draw) for each in value)}{space}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json.dumps(value)
    forms = [json.dumps(value)]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        forms += [str(int(value)), f"{int(value)}.0", f"{int(value)}e0"]
    if isinstance(value, int):
        forms += [f"{value}.0", f"{value}e0", f"{value}.00E+0"]
    form: str = draw(st.sampled_from(forms))
    return form


@pytest.mark.parametrize(
    "raw",
    [
        '{"b":[1.0,{"y":2,"x":"\\u00e9"}],"a":1e0}',
        '{ "a" : 1.0 ,\n "b":[10e-1,{"x":"é","y":2.0e0}] }',
    ],
)
def test_another_spelling_is_the_same_call(writer: Bot, cast: Cast, raw: str) -> None:
    approval = approved(writer, cast, {"a": 1, "b": [1, {"x": "é", "y": 2}]})
    told = send(writer, raw, approval=approval).json()
    assert (told["decision"], told["code"]) == ("allow", "granted")


def test_any_other_spelling_of_any_call_is_the_same(writer: Bot, cast: Cast) -> None:
    """Whether two texts fold into one approval is whether they are bound alike."""

    @settings(
        max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    @given(calls, st.data())
    def same(arguments: dict[str, Any], data: Any) -> None:
        first = send(writer, json.dumps(arguments))
        again = send(writer, spelled(arguments, data.draw))
        if first.status_code != 200:  # what is no check is so in every spelling
            assert again.json()["code"] == first.json()["code"]
            return
        assert again.json()["approval"]["id"] == first.json()["approval"]["id"]
        approvals.cancel(
            Approval.objects.select_related("workspace", "agent").get(
                public_id=first.json()["approval"]["id"]
            ),
            actor=ACTOR,
            reason="the next",
        )

    same()


BASE: dict[str, Any] = {
    "amount": 1, "flag": True, "name": "Zoë", "list": [1, 2], "inner": {"key": "value"}, "text": "1", "empty": "",
}  # fmt: skip
OTHER: dict[str, dict[str, Any]] = {
    "a bit": {"amount": 0},
    "a bit of a large number": {"amount": 1.0000000000000002},
    "a sign": {"amount": -1},
    "a number as text": {"amount": "1"},
    "text as a number": {"text": 1},
    "a boolean as a number": {"flag": 1},
    "a boolean as text": {"flag": "true"},
    "a Unicode form": {"name": "Zoe\u0308"},
    "another case": {"name": "zoë"},
    "a space behind": {"name": "Zoë "},
    "a zero-width character": {"name": "Zo\u200bë"},
    "a look-alike": {"name": "\u0396oë"},
    "the order of a list": {"list": [2, 1]},
    "a list for one of its elements": {"list": 1},
    "an element more": {"list": [1, 2, 2]},
    "a nested value": {"inner": {"key": "Value"}},
    "a nested key": {"inner": {"Key": "value"}},
    "a field more": {"more": False},
    "a field less": {"empty": None},
}


def test_every_other_change_of_the_arguments_is_refused(writer: Bot, cast: Cast) -> None:
    approval = approved(writer, cast, BASE)
    told = {
        name: send(writer, json.dumps({**BASE, **change}), approval=approval).json()["code"]
        for name, change in OTHER.items()
    }
    assert told == dict.fromkeys(OTHER, "approval_mismatch")
    assert not Approval.objects.get(public_id=approval).used_by
    assert send(writer, json.dumps(BASE), approval=approval).json()["decision"] == "allow"


def test_any_flipped_bit_of_a_text_is_refused(writer: Bot, cast: Cast) -> None:
    approval = approved(writer, cast, {"text": "pay 10"})

    @settings(
        max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    @given(st.integers(0, 5), st.integers(0, 6))
    def refused(place: int, bit: int) -> None:
        flipped = "".join(chr(ord(c) ^ (1 << bit)) if n == place else c for n, c in enumerate("pay 10"))
        told = send(writer, json.dumps({"text": flipped}), approval=approval).json()
        assert (told["decision"], told["code"]) == ("deny", "approval_mismatch")

    refused()
    assert send(writer, '{"text":"pay 10"}', approval=approval).json()["decision"] == "allow"


def test_another_declaration_of_the_tool_is_refused(writer: Bot, cast: Cast) -> None:
    approval = approved(writer, cast, BASE)
    changed = declare(TOOL, Action.WRITE, labels=("external_send",))
    catalog.set_tool(cast.acme, declaration=changed, actor=ACTOR)
    assert send(writer, json.dumps(BASE), approval=approval).json()["code"] == "approval_mismatch"


def test_another_tool_of_the_same_declaration_is_refused(writer: Bot, cast: Cast) -> None:
    approval = approved(writer, cast, BASE)
    other = catalog.set_tool(cast.acme, declaration=declare("notes.add", Action.WRITE), actor=ACTOR).row
    access.grant(cast.support_bot, permission="use", obj=other, actor=ACTOR)
    rule = {**RULE, "tools": [TOOL, "notes.add"]}
    policies.publish(policies.draft(cast.acme, [rule], actor=ACTOR), actor=ACTOR)
    told = writer.check("notes.add", BASE, approval=approval)
    assert told["code"] == "approval_mismatch"


def test_another_person_acted_for_is_refused(writer: Bot, cast: Cast) -> None:
    approval = approved(writer, cast, BASE)
    told = send(writer, json.dumps(BASE), approval=approval, on_behalf_of="rita@acme.test").json()
    assert told["code"] == "approval_mismatch"


@pytest.mark.parametrize("where", ["the same workspace", "another workspace"])
def test_another_agent_is_refused(writer: Bot, gate: Any, cast: Cast, where: str) -> None:
    approval = approved(writer, cast, BASE)
    if where == "the same workspace":
        twin: Agent = agents.create_agent(
            cast.acme, "twin", owner=cast.olga, labels=["customer-facing"], actor=ACTOR
        )
        tool = cast.acme.tools.get(name=TOOL)
    else:
        tool = catalog.set_tool(cast.globex, declaration=declare(TOOL, Action.WRITE), actor=ACTOR).row
        twin = cast.globex_bot
        rule = {**RULE, "approval": {"reviewers": ["gina@globex.test"]}}
        policies.publish(policies.draft(cast.globex, [rule], actor=ACTOR), actor=ACTOR)
    access.grant(twin, permission="use", obj=tool, actor=ACTOR)
    bot = Bot(gate, agents.create_key(twin, actor=ACTOR)[1])
    told = send(bot, json.dumps(BASE), approval=approval).json()
    assert told["code"] == "approval_mismatch"
    assert send(writer, json.dumps(BASE), approval=approval).json()["decision"] == "allow"
