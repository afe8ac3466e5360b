"""Declarations are read with all their problems; arguments are judged in one form; secrets are withheld."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspaces.arguments import InvalidArguments, Tool
from workspaces.declarations import Action, DeclarationError, Derived, Risk, parse_declaration

REFUND: dict[str, Any] = {
    "name": "billing.refund",
    "action": "spend",
    "risk": "high",
    "reversible": False,
    "labels": ["money", "external_send"],
    "resource": "invoice://{invoice}",
    "sensitive": ["/card_number"],
    "cost_usd": "0.02",
    "schema": {
        "type": "object",
        "required": ["invoice", "amount"],
        "additionalProperties": False,
        "properties": {
            "invoice": {"type": "string"},
            "amount": {"type": "number", "exclusiveMinimum": 0},
            "currency": {"type": "string", "default": "EUR"},
            "card_number": {"type": "string"},
        },
    },
}


def tool(schema: dict[str, Any] | None = None, **fields: Any) -> Tool:
    return Tool(parse_declaration({"name": "a.tool", "action": "write", "schema": schema} | fields))


def judged(schema: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(arguments)
    result = tool(schema).judge_arguments(arguments)
    assert arguments == before, "judging changed its input"
    return result


def problems(raw: Any) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(DeclarationError) as error:
        parse_declaration(raw)
    return {problem.path: problem.message for problem in error.value.problems}


def test_a_declaration_is_read_as_written():
    declaration = parse_declaration(REFUND)
    assert (declaration.action, declaration.risk, declaration.reversible) == (Action.SPEND, Risk.HIGH, False)
    assert declaration.templates[0].action is Action.SPEND
    assert declaration.cost_nanos == 20_000_000


def test_a_declaration_survives_being_stored():
    declaration = parse_declaration(REFUND)
    assert parse_declaration(declaration.as_dict()) == declaration


def test_the_digest_knows_no_order_but_every_difference():
    digest = Tool(parse_declaration(REFUND)).digest
    assert (
        Tool(parse_declaration(dict(reversed(REFUND.items())) | {"labels": REFUND["labels"][::-1]})).digest
        == digest
    )
    differences: list[dict[str, Any]] = [
        {"risk": "low"},
        {"sensitive": []},
        {"cost_usd": "0.020000001"},
        {"metered": True},
        {"trust_reports": True},
    ]
    for difference in differences:
        assert Tool(parse_declaration(REFUND | difference)).digest != digest


def test_the_least_declaration_is_careful_about_nothing_it_was_not_told():
    declaration = parse_declaration({"name": "x", "action": "read"})
    assert (declaration.risk, declaration.reversible, declaration.cost_nanos) == (Risk.LOW, True, None)
    assert (declaration.schema, declaration.templates, declaration.labels) == (None, (), frozenset())


SCHEMA = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "n": {"type": "object"}, "l": {"type": "array"}},
}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"nmae": "x"}, ("nmae",)),
        ({"name": None}, ("name",)),
        ({"name": "a b"}, ("name",)),
        ({"name": "files.*"}, ("name",)),
        ({"name": "../x"}, ("name",)),
        ({"name": "x" * 129}, ("name",)),
        ({"action": None}, ("action",)),
        ({"action": "Read"}, ("action",)),
        ({"action": ["read"]}, ("action",)),
        ({"risk": "huge"}, ("risk",)),
        ({"reversible": "yes"}, ("reversible",)),
        ({"labels": "a"}, ("labels",)),
        ({"labels": ["ok", "not ok"]}, ("labels", 1)),
        ({"cost_usd": 0.1}, ("cost_usd",)),
        ({"cost_usd": "-1"}, ("cost_usd",)),
        ({"cost_usd": "1e3"}, ("cost_usd",)),
        ({"cost_usd": "0.0000000001"}, ("cost_usd",)),
        ({"cost_usd": "9223372037"}, ("cost_usd",)),
        ({"metered": "yes"}, ("metered",)),
        ({"trust_reports": 1}, ("trust_reports",)),
        ({"default_scheme": "https"}, None),
        ({"resource": "invoice://{to}", "default_scheme": "https"}, ("default_scheme",)),
        ({"resource": "{to}", "default_scheme": "tool"}, ("default_scheme",)),
        ({"resource": "{to}", "default_scheme": "HTTPS:"}, ("default_scheme",)),
        ({"resource": 1}, ("resource",)),
        ({"resource": ["mailto:{to}", "file:/{to}"]}, ("resource", 1)),
        ({"resource": [{"template": "mailto:{to}", "acton": "read"}]}, ("resource", 0, "acton")),
        ({"resource": [{"template": "mailto:{to}", "action": "peek"}]}, ("resource", 0, "action")),
        ({"resource": [{"action": "read"}]}, ("resource", 0, "template")),
        ({"resource": "mailto:{too}", "schema": SCHEMA}, ("resource",)),
        ({"resource": "mailto:{to.x}", "schema": SCHEMA}, None),
        ({"resource": "mailto:{n}", "schema": SCHEMA}, ("resource",)),
        ({"resource": "mailto:{to[]}", "schema": SCHEMA}, ("resource",)),
        ({"resource": "mailto:{l[]}", "schema": SCHEMA}, None),
        ({"resource": "mailto:{to}", "schema": {"additionalProperties": False}}, ("resource",)),
        ({"resource": "mailto:{to}", "schema": {"additionalProperties": {"type": "string"}}}, None),
        ({"resource": "mailto:{to}", "schema": {"type": "object"}}, None),
        ({"sensitive": ["card"]}, ("sensitive", 0)),
        ({"sensitive": [""]}, ("sensitive", 0)),
        ({"sensitive": ["/a~2"]}, ("sensitive", 0)),
        ({"sensitive": ["/too"], "schema": SCHEMA}, ("sensitive", 0)),
        ({"sensitive": ["/l/*/x", "/n"], "schema": SCHEMA}, None),
        ({"schema": []}, ("schema",)),
        ({"schema": {"type": "strin"}}, ("schema", "type")),
        ({"schema": {"properties": {"a": {"pattern": "("}}}}, ("schema", "properties", "a", "pattern")),
        ({"schema": {"$schema": "http://json-schema.org/draft-07/schema#"}}, ("schema", "$schema")),
        (
            {"schema": {"properties": {"a": {"$ref": "https://evil.test/x"}}}},
            ("schema", "properties", "a", "$ref"),
        ),
        ({"schema": {"$ref": "file:///etc/passwd"}}, ("schema", "$ref")),
        ({"schema": {"$ref": "#/$defs/none"}}, ("schema", "$ref")),
        ({"schema": {"items": {"$ref": 7}}}, ("schema", "items", "$ref")),
        ({"schema": {"$ref": "#/default", "default": {"type": 1}}}, ("schema", "$ref")),
        ({"schema": {"properties": {"a": {"$id": "https://x.test/"}}}}, ("schema", "properties", "a", "$id")),
        (
            {"schema": {"properties": {"a": {"type": "integer", "default": "x"}}}},
            ("schema", "properties", "a", "default"),
        ),
        (
            {"schema": {"properties": {"a": {"$ref": "#", "default": {}}}}},
            ("schema", "properties", "a", "default"),
        ),
        ({"schema": {"maximum": 2**60}}, ("schema",)),
        ({"schema": {"const": {1}}}, ("schema",)),
    ],
)
def test_each_problem_of_a_declaration_is_named_with_its_place(fields, path):
    raw = {"name": "a.tool", "action": "write"} | fields
    if path is None:
        parse_declaration(raw)
    else:
        found = problems(raw)
        assert list(found) == [path]
        assert len(found[path]) > 10


def test_all_problems_are_named_at_once():
    assert set(problems({"name": "", "action": "x", "y": 1})) == {("y",), ("action",), ("name",)}
    assert set(problems(["not", "an", "object"])) == {()}


def test_a_chain_of_defaults_that_doubles_at_every_step_is_refused():
    names = [f"s{number}" for number in range(40)]
    chain = {
        name: {"properties": {side: {"$ref": f"#/$defs/{after}", "default": {}} for side in "ab"}}
        for name, after in zip(names, [*names[1:], "end"], strict=True)
    }
    schema = {"$defs": chain | {"end": {}}, "properties": {"a": {"$ref": "#/$defs/s0", "default": {}}}}
    assert any("default" in path for path in problems({"name": "x", "action": "read", "schema": schema}))


def test_arguments_cannot_make_defaults_without_end():
    fields = {f"f{number}": {"default": number} for number in range(200)}
    greedy = tool({"properties": {"rows": {"items": {"properties": fields}}}})
    with pytest.raises(InvalidArguments):
        greedy.judge_arguments({"rows": [{}] * 1000})


def test_nulls_are_dropped_and_defaults_filled_in():
    declared = Tool(parse_declaration(REFUND))
    arguments = {"invoice": "7", "amount": 3, "card_number": None, "currency": None}
    assert declared.judge_arguments(arguments) == {"invoice": "7", "amount": 3.0, "currency": "EUR"}


def test_without_a_schema_only_nulls_are_dropped():
    assert tool().judge_arguments({"a": None, "b": {"c": None, "d": 1}, "e": [None, 2.0]}) == {
        "b": {"d": 1},
        "e": [None, 2.0],
    }


NESTED = {
    "$defs": {
        "page": {"type": "object", "properties": {"size": {"type": "integer", "default": 20}}},
        "tree": {
            "properties": {
                "weight": {"type": "number", "default": 1},
                "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            }
        },
        "named": {"$anchor": "named", "properties": {"name": {"default": "x"}}},
    },
    "allOf": [{"properties": {"mode": {"default": "fast"}}}, {"$ref": "#named"}],
    "properties": {
        "page": {"$ref": "#/$defs/page", "default": {}},
        "tree": {"$ref": "#/$defs/tree"},
        "maybe": {"anyOf": [{"$ref": "#/$defs/page"}, {"type": "null"}], "default": None},
        "pair": {"prefixItems": [{"type": "integer"}], "items": {"properties": {"a": {"default": []}}}},
        "open": {"additionalProperties": {"properties": {"on": {"default": True}}}},
        "either": {
            "oneOf": [{"properties": {"a": {"default": 1}}, "required": ["b"]}, {"properties": {"c": {}}}]
        },
    },
}
ALWAYS = {"mode": "fast", "name": "x", "page": {"size": 20}}


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, {}),
        ({"page": {}}, {}),
        ({"page": {"size": 5.0}}, {"page": {"size": 5}}),
        ({"mode": "slow"}, {"mode": "slow"}),
        ({"tree": {"children": [{}]}}, {"tree": {"weight": 1.0, "children": [{"weight": 1.0}]}}),
        ({"maybe": {}}, {"maybe": {"size": 20}}),
        ({"pair": [1.0, {}, {"a": [1]}]}, {"pair": [1, {"a": []}, {"a": [1]}]}),
        ({"open": {"x": {}, "y": {"on": False}}}, {"open": {"x": {"on": True}, "y": {"on": False}}}),
        ({"either": {"c": 1}}, {"either": {"c": 1}}),
        ({"extra": {"page": {}}}, {"extra": {"page": {}}}),
    ],
)
def test_defaults_are_filled_in_wherever_the_schema_surely_applies(given, filled):
    assert judged(NESTED, given) == ALWAYS | filled


def test_filled_in_defaults_are_not_shared_between_calls():
    listing = tool({"properties": {"tags": {"default": [[]]}}})
    listing.judge_arguments({})["tags"][0].append("mine")
    assert listing.judge_arguments({}) == {"tags": [[]]}


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        ({"type": "number"}, 3, 3.0),
        ({"type": "integer"}, 3.0, 3),
        ({"type": ["integer", "string"]}, 3.0, 3),
        ({"type": ["number", "null"]}, 3, 3.0),
        ({"type": ["integer", "number"]}, 3, 3.0),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 3.0, 3),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, 3, 3.0),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, 3.0, 3),
        ({"if": {}, "then": {"type": "number"}}, 3, 3.0),
        ({}, 3, 3),
        ({}, 3.0, 3.0),
        ({"type": "number"}, 2**60, 2**60),
        ({"type": "number"}, 0.5, 0.5),
        ({"type": ["number", "boolean"]}, True, True),
        ({"type": ["number", "string"]}, "3", "3"),
    ],
)
def test_numbers_come_in_the_form_that_the_schema_says(schema, value, expected):
    result = judged({"properties": {"x": schema}}, {"x": value})["x"]
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("arguments", "pointers"),
    [
        ({}, ["", ""]),
        ({"invoice": 7, "amount": 1}, ["/invoice"]),
        ({"invoice": "7", "amount": 0}, ["/amount"]),
        ({"invoice": "7", "amount": True}, ["/amount"]),
        ({"invoice": "7", "amount": 1, "extra": 1}, [""]),
        ({"invoice": None, "amount": 1}, ["/invoice"]),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_place(arguments, pointers):
    with pytest.raises(InvalidArguments) as error:
        Tool(parse_declaration(REFUND)).judge_arguments(arguments)
    assert [problem["pointer"] for problem in error.value.problems] == pointers


def test_a_refusal_repeats_no_value():
    with pytest.raises(InvalidArguments) as error:
        Tool(parse_declaration(REFUND)).judge_arguments({"invoice": "7", "amount": "4111-1111"})
    assert "4111" not in str(error.value)


def test_pointers_of_problems_are_escaped():
    with pytest.raises(InvalidArguments) as error:
        tool({"properties": {"a/b~": {"items": {"type": "string"}}}}).judge_arguments({"a/b~": ["x", 1]})
    assert error.value.problems[0]["pointer"] == "/a~1b~0/1"


def test_arguments_are_an_object():
    with pytest.raises(InvalidArguments):
        tool().judge_arguments([])  # type: ignore[arg-type]


def test_strict_function_calling_may_send_null_for_what_it_leaves_out():
    schema = {
        "required": ["to", "cc"],
        "properties": {
            "to": {"type": "string"},
            "cc": {"type": ["string", "null"]},
            "n": {"type": "integer"},
        },
    }
    assert judged(schema, {"to": "x", "cc": None, "n": None}) == {"to": "x"}
    with pytest.raises(InvalidArguments):
        judged(schema, {"to": None, "cc": None})
    with pytest.raises(InvalidArguments):
        judged(schema, {"to": "x"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a"]) | st.sampled_from([0.5, 2.0]),
    lambda child: (
        st.lists(child, max_size=3)
        | st.dictionaries(st.sampled_from(["page", "size", "tree"]), child, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["page", "tree", "maybe", "pair", "open", "x"]), JSON, max_size=4))
def test_judging_twice_changes_nothing_more(arguments):
    try:
        once = judged(NESTED, arguments)
    except InvalidArguments:
        return
    assert judged(NESTED, once) == once


def test_a_tool_without_a_template_is_its_own_resource():
    assert tool().derive({"path": "/etc/passwd"}) == [Derived("tool:a.tool", Action.WRITE)]


def test_each_template_has_its_action_and_each_resource_comes_once():
    copying = tool(resource=["file://{to}", {"template": "file://{from}", "action": "read"}, "file://{also}"])
    assert copying.derive({"from": "/a", "to": "/b", "also": ["/b", "/c"]}) == [
        Derived("file:///b", Action.WRITE),
        Derived("file:///a", Action.READ),
        Derived("file:///c", Action.WRITE),
    ]


def test_one_file_read_and_written_is_two_things():
    rewriting = tool(resource=["file://{path}", {"template": "file://{path}", "action": "read"}])
    assert [each.action for each in rewriting.derive({"path": "/a"})] == [Action.WRITE, Action.READ]


def test_a_call_that_names_nothing_is_judged_as_the_tool_itself():
    assert tool(resource="file://{path}").derive({}) == [Derived("tool:a.tool", Action.WRITE)]


def test_what_is_sensitive_is_withheld():
    hiding = tool(sensitive=["/card", "/people/*/pin", "/a~1b", "/list/1"])
    arguments = {
        "card": {"number": "4111"},
        "people": [{"pin": "1", "name": "A"}, {"name": "B"}, {"pin": "3"}],
        "a/b": "x",
        "list": ["shown", "hidden"],
    }
    before = copy.deepcopy(arguments)
    withheld = {"withheld": "declared sensitive"}
    assert hiding.redact(arguments) == (
        {
            "card": withheld,
            "people": [{"pin": withheld, "name": "A"}, {"name": "B"}, {"pin": withheld}],
            "a/b": withheld,
            "list": ["shown", withheld],
        },
        ["/card", "/people/0/pin", "/people/2/pin", "/a~1b", "/list/1"],
    )
    assert arguments == before


def test_nothing_sensitive_means_nothing_withheld():
    assert tool(sensitive=["/card"]).redact({"cart": 1, "list": ["card"]}) == (
        {"cart": 1, "list": ["card"]},
        [],
    )
