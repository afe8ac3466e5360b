"""Arguments and schemas made to keep the gate busy. One committer judges everybody's calls, so that what one call
costs, all others wait for."""

from typing import Any

import pytest

from workspaces.arguments import InvalidArguments, Tool
from workspaces.declarations import DeclarationError, parse_declaration

Json = dict[str, Any]

ATTACHMENTS: Json = {
    "type": "object",
    "properties": {"attachments": {"type": "array", "items": {"type": "object", "required": ["path"]}}},
}
NODE: Json = {"type": "object", "required": ["op", "args"]}
GRAMMAR: Json = {
    "type": "object",
    "properties": {"filter": {"$ref": "#/$defs/expression"}},
    "$defs": {
        "expression": {"oneOf": [{"$ref": "#/$defs/and"}, {"$ref": "#/$defs/or"}, {"type": "string"}]},
        "and": NODE | {"properties": {"op": {"const": "and"}, "args": {"$ref": "#/$defs/list"}}},
        "or": NODE | {"properties": {"op": {"const": "or"}, "args": {"$ref": "#/$defs/list"}}},
        "list": {"type": "array", "items": {"$ref": "#/$defs/expression"}},
    },
}


def tool(schema: Json) -> Tool:
    return Tool(parse_declaration({"name": "mail.send", "action": "send", "schema": schema}))


def problems(schema: Json, arguments: Json) -> list[dict[str, str]]:
    with pytest.raises(InvalidArguments) as refused:
        tool(schema).judge_arguments(arguments)
    return refused.value.problems


def test_a_mebibyte_of_wrong_elements_is_refused_without_telling_each() -> None:
    """The validator finds every problem before it tells the first: 300,000 of them took nine seconds."""
    (problem,) = problems(ATTACHMENTS, {"attachments": [1] * 300_000})
    assert problem["pointer"] == ""
    assert "too large" in problem["message"]


def test_few_wrong_elements_are_told_with_their_place() -> None:
    found = problems(ATTACHMENTS, {"attachments": [1, {"path": "a"}, {}]})
    assert [problem["pointer"] for problem in found] == ["/attachments/0", "/attachments/2"]


def test_a_wrong_leaf_deep_in_a_grammar_is_refused_at_once() -> None:
    """Each level has its branches' problems within those of the level above: 2⁴⁰ of them."""
    deep: Any = 5
    for level in range(40):
        deep = {"op": "or" if level % 2 else "and", "args": [deep]}
    assert len(problems(GRAMMAR, {"filter": deep})) == 1


def test_a_good_leaf_deep_in_a_grammar_passes() -> None:
    deep: Any = "status = open"
    for level in range(20):
        deep = {"op": "or" if level % 2 else "and", "args": [deep]}
    assert tool(GRAMMAR).judge_arguments({"filter": deep}) == {"filter": deep}


@pytest.mark.parametrize("keyword", ["allOf", "anyOf", "oneOf"])
def test_references_that_multiply_are_refused_when_declared(keyword: str) -> None:
    doubled = {
        f"step{number}": {keyword: [{"$ref": f"#/$defs/step{number + 1}"}] * 2} for number in range(40)
    }
    bomb = {"$defs": {**doubled, "step40": {"type": "object"}}, "$ref": "#/$defs/step0"}
    with pytest.raises(DeclarationError, match="flatten"):
        tool(bomb)


def test_a_pattern_made_for_backtracking_denies_in_the_end() -> None:
    """The engine gives up after a million steps, and what it gave up on does not fit; neither does its opposite."""
    evil = {"pattern": "^(?=x?)(a|aa)+(?<=b)c"}
    for schema in (evil, {"not": evil}):
        assert problems({"type": "object", "properties": {"a": schema}}, {"a": "a" * 60 + "!"})
