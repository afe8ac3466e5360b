"""Conditions answer true, false, or fail; they read what the table says, and nothing that is too large."""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cel_expr_python import cel as google

from governance.conditions import (
    CLAIMS,
    FUNCTIONS,
    VARIABLES,
    Condition,
    ConditionFailed,
    Scope,
    compile_condition,
)  # fmt: skip
from governance.expressions import ConditionError, Macro, Name, Node, Select, children, parse
from governance.operators import SIGNATURES
from governance.shapes import shape_of
from tests.governance.cases import TOOLS
from tests.governance.test_dead_rules import LIVE

NOW = datetime(2026, 3, 6, 22, 30, tzinfo=UTC)
SCHEMAS = {tool["name"]: tool.get("schema") for tool in TOOLS}
DOCUMENT = Path(__file__).parents[2] / "docs" / "concepts" / "conditions.md"

REQUEST: dict[str, Any] = {
    "agent": {
        "id": "agt_1",
        "name": "support-bot",
        "labels": ["customer-facing"],
        "risk_tier": "high",
        "purpose": "Refunds",
    },
    "tool": {
        "name": "billing.refund",
        "action": "spend",
        "risk": "high",
        "reversible": False,
        "labels": ["external"],
    },
    "action": "spend",
    "resource": "https://10.0.0.7/x",
    "resource_labels": ("internal",),
    "args": {
        "amount": 120.0,
        "items": 3,
        "currency": "EUR",
        "note": "urgent",
        "lines": [{"price": 9.5}, {"price": 60.0}],
    },
    "session": {"tools": ["web.fetch"], "labels": ["untrusted_output"], "calls": 4, "repeats": 2},
    "spend": dict.fromkeys(VARIABLES["spend"], 6.0),
    "now": NOW,
    "lists": {"partners": ["orders@partner.test"], "empty": []},
    "context": {"ticket": "T-1"},
    "reason": "The customer asked.",
    "on_behalf_of": "rita@acme.test",
}


def scope(**changes: Any) -> Scope:
    return Scope(**{**REQUEST, **changes})


def answer(text: str, **changes: Any) -> bool:
    return compile_condition(text).evaluate(scope(**changes))


@pytest.mark.parametrize(
    "text",
    [
        "agent.name == 'support-bot' && 'customer-facing' in agent.labels && agent.risk_tier == 'high'",
        "tool.risk == 'high' && !tool.reversible && action == 'spend'",
        "is_private(resource) && 'internal' in resource_labels",
        "args.amount > 100 && args.items == 3 && args.lines.exists(l, l.price > 50)",
        "'untrusted_output' in session.labels && session.repeats >= 2 && 'web.fetch' in session.tools",
        "spend.agent_day > 5.0 && session.calls == 4",
        "now.getHours() == 22 && now.getDayOfWeek() == 5 && now > timestamp('2026-01-01T00:00:00Z')",
        "'orders@partner.test' in lists.partners && size(lists.empty) == 0",
        "context.ticket == 'T-1' && reason.contains('asked') && on_behalf_of == 'rita@acme.test'",
        "domain('https://Shop.test:8443/x') == 'shop.test' && domain('a@Mail.test') == 'mail.test'",
        "links({'a': ['see https://x.test/a.']}) == ['https://x.test/a']",
        "has(args.note) && !has(args.missing)",
        "size('é') == 2",
    ],
)
def test_a_condition_reads_the_whole_request(text: str) -> None:
    assert answer(text) is True
    assert answer(f"!({text})") is False


@pytest.mark.parametrize(
    "text",
    [
        "args.missing > 5",
        "args.amount",
        "args.note > 5",
        "args.amount * 2 > 5",
        "unknown == 5",
        "nothing(args.note)",
        "'a' + 1 == 'a1'",
        "args.items / 0 == 1",
        "args.lines[7].price > 1",
        "domain(args.note)",
        "is_private('http://exa mple.test')",
        "null",
        "args.note.matches('(')",
    ],
)
def test_a_condition_without_a_boolean_answer_fails(text: str) -> None:
    with pytest.raises(ConditionFailed):
        answer(text)


def test_a_function_that_fails_cannot_be_excused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConditionFailed, match="exactly one mail address"):
        answer("domain('a@x.test,b@y.test') == 'y.test' || true")
    assert capfd.readouterr() == ("", "")


def test_a_condition_is_asked_again_after_it_failed() -> None:
    condition = compile_condition("domain(resource) == 'x.test'")
    with pytest.raises(ConditionFailed):
        condition.evaluate(scope(resource="no domain"))
    assert condition.evaluate(scope(resource="https://x.test/"))


@pytest.mark.parametrize(
    ("text", "column"), [("args.amount >", 14), ("args.a && && args.b", 11), ("a.b('", 5)]
)
def test_what_is_no_cel_is_refused_with_its_place(text: str, column: int) -> None:
    with pytest.raises(ConditionError) as raised:
        compile_condition(text)
    assert (raised.value.line, raised.value.column) == (1, column)


def test_a_condition_has_at_most_a_thousand_characters() -> None:
    compile_condition("true" + " " * 996)
    with pytest.raises(ConditionError, match="1000"):
        compile_condition("true" + " " * 997)


@pytest.mark.parametrize("text", ["(" * 400 + "true" + ")" * 400, "[" * 480 + "]" * 480, "!" * 900 + "(("])
def test_deep_nesting_is_refused_and_harms_nothing(text: str) -> None:
    with pytest.raises(ConditionError):
        compile_condition(text)


def test_a_text_is_compiled_once() -> None:
    assert compile_condition("args.amount > 7") is compile_condition("args.amount > 7")


def test_a_condition_knows_which_claims_it_reads() -> None:
    assert compile_condition("reason == '' && args.a > 1").names & CLAIMS == {"reason"}
    assert compile_condition("args.reason == 'context'").names & CLAIMS == set()


# Size


@pytest.mark.parametrize(
    "value",
    ["x" * 70_000, "é" * 35_000, ["x"] * 1001, {"deep": [["x"] * 1001]}, [[0] * 100] * 30, {"k" * 70_000: 1}],
    ids=["text", "bytes", "list", "inner list", "many values", "key"],
)
@pytest.mark.parametrize(
    "text", ["has(args.big)", "size(links(args)) == 0", "args['big'] == 1", "'big' in args"]
)
def test_a_condition_that_reads_what_is_too_large_fails(value: Any, text: str) -> None:
    with pytest.raises(ConditionFailed, match="args"):
        answer(text, args={"big": value, "amount": 5.0})


def test_what_a_condition_does_not_read_may_be_large() -> None:
    assert answer("args.amount > 1.0 && !has(args.absent)", args={"big": "x" * 10**6, "amount": 5.0})


def test_values_up_to_the_limits_are_read() -> None:
    assert (
        answer("size(args.text) == 65000 && size(args.list) == 1000", args={"text": "x" * 65_000, "list": []})
        is False
    )
    assert answer("size(args.list) == 1000", args={"list": ["x"] * 1000})


@pytest.mark.parametrize("name", ["reason", "on_behalf_of", "context"])
def test_claims_are_measured_too(name: str) -> None:
    with pytest.raises(ConditionFailed, match=name):
        answer(f"{name} == 'x'", **{name: "x" * 70_000})


def test_a_large_value_fails_a_condition_whatever_was_read_before() -> None:
    request = scope(args={"one": "x" * 50_000, "two": "y" * 50_000})
    one, two = compile_condition("args.one == 'x'"), compile_condition("args.two == 'y'")
    both = compile_condition("args.one == args.two")
    for _ in range(2):
        assert one.evaluate(request) is False
        assert two.evaluate(request) is False
        with pytest.raises(ConditionFailed):
            both.evaluate(request)


# Conversion


class Watched(dict[str, Any]):
    """A mapping that counts how often its values are taken."""

    taken = 0

    def __getitem__(self, key: str) -> Any:
        self.taken += 1
        return super().__getitem__(key)


def test_nothing_is_converted_that_no_condition_reads() -> None:
    spend, args = Watched(REQUEST["spend"]), Watched(REQUEST["args"])
    assert answer("args.amount > 100", spend=spend, args=args)
    assert spend.taken == 0


def test_a_variable_is_converted_once_for_all_rules_and_resources_of_a_request() -> None:
    session = Watched(REQUEST["session"])
    request = scope(session=session)
    condition = compile_condition("session.repeats == 2 && resource == 'a:1'")
    assert condition.evaluate(request) is False
    taken = session.taken
    for resource in ("a:1", "b:2", "a:1"):
        assert condition.evaluate(request.for_resource(resource, "read")) is (resource == "a:1")
    assert session.taken == taken


def test_lists_stay_converted_from_one_request_to_the_next() -> None:
    lists = Watched(REQUEST["lists"])
    assert answer("'orders@partner.test' in lists.partners", lists=lists)
    taken = lists.taken
    assert answer("'orders@partner.test' in lists.partners", lists=lists)
    assert lists.taken == taken


def test_requests_do_not_see_each_others_values() -> None:
    condition = compile_condition("args.amount > 100 && action == 'spend' && 'x' in resource_labels")
    one = scope(resource_labels=("x",))
    other = scope(args={"amount": 1.0})
    for _ in range(3):
        assert condition.evaluate(one) is True
        assert condition.evaluate(other) is False
        assert condition.evaluate(one.for_resource("a:1", "read", ("x",))) is False
        assert condition.evaluate(one.for_resource("a:1", "spend", ())) is False


def test_an_absent_argument_is_not_taken_from_another_request() -> None:
    assert answer("has(args.amount)")
    assert not answer("has(args.amount)", args={})
    with pytest.raises(ConditionFailed):
        answer("args.amount > 1", args={})


def test_threads_do_not_share_values() -> None:
    condition = compile_condition("args.amount > 100")

    def run(amount: float) -> bool:
        request = scope(args={"amount": amount})
        return all(
            condition.evaluate(scope(args={"amount": amount})) is (amount > 100) for _ in range(200)
        ) and (condition.evaluate(request) is (amount > 100))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, [1.0, 200.0] * 8))


def test_numbers_are_of_the_kind_that_the_schema_says_however_they_were_written() -> None:
    shape = shape_of(SCHEMAS["billing.refund"])
    for amount, items in ((100, 2.0), (100.0, 2)):
        args = {"amount": amount, "items": items, "lines": [{"price": 5}]}
        assert answer("args.amount * 1.5 == 150.0 && args.items % 2 == 0", args=args, shape=shape)
        assert answer("args.lines.all(l, l.price / 2.0 == 2.5)", args=args, shape=shape)


def test_has_secret_recognizes_what_the_log_withholds() -> None:
    assert answer("has_secret(args)", args={"lines": [{"note": "AKIA" + "Q" * 16}]})
    assert not answer("has_secret(args)", args={"lines": [{"note": "AKIA"}]})


# The two engines, and the two ways of finding what a condition reads

CONDITIONS = sorted({rule["when"] for rule in LIVE if "when" in rule})


def google_answer(text: str) -> object:
    """What Google's engine answers, or "fails"."""
    types = {"now": google.Type.TIMESTAMP}
    environment = google.NewEnv(
        variables={name: types.get(name, google.Type.DYN) for name in VARIABLES},
        functions=[
            google.FunctionDecl(
                name, [google.Overload(name, google.Type.DYN, [google.Type.STRING], False, function)]
            )
            for name, function in FUNCTIONS.items()
        ],
    )
    data = {**REQUEST, "resource_labels": [*REQUEST["resource_labels"]]}
    result = environment.compile(text).eval(data=data).plain_value()
    return result if isinstance(result, bool) else "fails"


@pytest.mark.parametrize("text", CONDITIONS)
def test_both_engines_give_the_same_answer(text: str) -> None:
    try:
        ours: object = answer(text)
    except ConditionFailed:
        ours = "fails"
    assert ours == google_answer(text)


def reads_of(node: Node, hidden: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """(variable, field) of everything that a tree reads; ``*`` for a variable as a whole."""
    match node:
        case Select(operand=Name(name=name), field=field) if name in VARIABLES and name not in hidden:
            yield name, field
        case Name(name=name) if name in VARIABLES and name not in hidden:
            yield name, "*"
        case Macro(variable=variable):
            for child in children(node):
                yield from reads_of(child, hidden | {variable})
        case _:
            for child in children(node):
                yield from reads_of(child, hidden)


TRICKY = [
    "args . amount > 1",
    "args\n.amount > 1",
    "args.amount > 1 // and args.note",
    "'args.amount' == \"lists.x\" || reason == 'it\\'s' || args.note == \"\\\"args.b\"",
    "r'\\d' == 'x' || args.note == R\"\\d'\" || args.amount > 1",
    "'''args.a ' \"''' == args.note",
    "args['amount'] > 1",
    "links(args) == [] && args.amount > 1",
    "args.note.contains(args.currency)",
    "args.exists(k, k == 'amount')",
    "{'a': args.amount}.a > 1 && lists.args == []",
    "b'args.x' == b'y' || args.size() > 1",
    "args.lines.exists(reason, reason.price > 1)",
]


@pytest.mark.parametrize("text", [*CONDITIONS, *TRICKY])
def test_what_a_condition_reads_is_found_in_its_text(text: str) -> None:
    try:
        condition = compile_condition(text)
    except ConditionError:
        pytest.fail(f"{text} does not compile")
    for name, field in reads_of(parse(text)):
        assert (
            field in condition.reads[name] or condition.reads[name] == {"*"} or "*" in condition.reads[name]
        )


def test_reading_one_field_is_not_reading_the_whole() -> None:
    assert compile_condition("args.amount > 1 && lists.partners == []").reads == {
        "args": frozenset({"amount"}),
        "lists": frozenset({"partners"}),
    }


# The document


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the document."""
    section = DOCUMENT.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:3] == "| `"
    ]


def test_the_document_names_every_variable_with_its_type_and_nothing_else() -> None:
    expected: dict[str, str] = {}
    for name, kind in VARIABLES.items():
        if isinstance(kind, Mapping):
            expected.update({f"{name}.{field}": inner for field, inner in kind.items()})
        else:
            expected[name] = kind
    assert {cells[0].strip("`"): cells[1] for cells in table("What a condition reads")} == expected


def test_the_document_names_every_function_and_nothing_else() -> None:
    named = {
        re.sub(r"\(.*", "", name)
        for cells in table("Functions")
        for name in re.findall(r"`([^`]+)`", cells[0])
    }
    assert named == set(SIGNATURES)
    assert set(FUNCTIONS) <= named


SAMPLES = {
    "size": "size([1]) == 1 && 'ab'.size() == 2",
    "int": "int('5') == 5",
    "double": "double(5) == 5.0",
    "string": "string(5) == '5'",
    "timestamp": "timestamp('2026-01-01T00:00:00Z') < now",
    "duration": "duration('90s') > duration('1m')",
    "type": "type(args.items) == int && type(args.amount) == double && type(args.note) == string",
    "is_private": "is_private('http://localhost/')",
    "domain": "domain('a@b.test') == 'b.test'",
    "links": "links('x') == []",
    "matches": "args.note.matches('^urg')",
}


@pytest.mark.parametrize("name", sorted(set(SIGNATURES) - {"has_secret"}))
def test_the_engine_has_every_function_of_the_table(name: str) -> None:
    accessor = f"now.{name}() >= 0"
    text = f"args.note.{name}('urgent')"
    assert answer(SAMPLES.get(name) or (accessor if name.startswith("get") else text))


def test_the_variables_of_a_request_are_those_of_the_table() -> None:
    assert set(REQUEST) == set(VARIABLES)
    for name, fields in VARIABLES.items():
        if isinstance(fields, Mapping):
            assert set(REQUEST[name]) == set(fields)
            for field in fields:
                assert isinstance(compile_condition(f"{name}.{field} == {name}.{field}"), Condition)
                assert answer(f"has({name}.{field})")
