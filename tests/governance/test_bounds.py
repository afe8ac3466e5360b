"""Bounds on arguments: what is within them, and that nothing else is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import bounds
from governance.bounds import BadBounds, checked, exact, narrowest, outside

PLAIN = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=3)
VALUES = st.recursive(
    PLAIN,
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=2), each, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)
CALL = {"to": "ann@customers.test", "amount": 20, "lines": [{"sku": "a/b", "count": 1}], "note": {}}

WITHIN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (exact(CALL), CALL),
    (exact(CALL), CALL | {"amount": 20.0}),
    (exact(CALL) | {"/amount": {"min": 1, "max": 20}}, CALL),
    (exact(CALL) | {"/amount": {"max": 20.5}}, CALL | {"amount": -3}),
    (exact(CALL) | {"/to": {"in": ["bob@customers.test", "ann@customers.test"]}}, CALL),
    (exact(CALL) | {"/to": {"any": True}}, CALL | {"to": ["a", {"b": 1}]}),
    (exact(CALL) | {"/to": {"any": True}}, {name: value for name, value in CALL.items() if name != "to"}),
    ({**exact(CALL), "/cc": {"any": True}}, CALL),
    ({"/a/0": {"is": 1}}, {"a": [1]}),
    ({"/a": {"is": {"0": 1}}, "/1": {"max": 2}}, {"a": {"0": 1}, "1": 2}),
]
WITHOUT: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (exact(CALL), CALL | {"amount": 21}, "/amount"),
    (exact(CALL), CALL | {"amount": "20"}, "/amount"),
    (exact(CALL), CALL | {"cc": "x"}, "/cc"),
    (exact(CALL), CALL | {"cc": {}}, "/cc"),
    (exact(CALL), CALL | {"note": {"a": []}}, "/note"),
    (exact(CALL), {name: value for name, value in CALL.items() if name != "note"}, "/note"),
    (exact(CALL) | {"/amount": {"min": 20, "max": 30}}, CALL | {"amount": 19.99}, "/amount"),
    (exact(CALL) | {"/amount": {"min": 0, "max": 30}}, CALL | {"amount": True}, "/amount"),
    (exact(CALL) | {"/amount": {"is": 1}}, CALL | {"amount": True}, "/amount"),
    (exact(CALL) | {"/to": {"in": ["bob@customers.test"]}}, CALL, "/to"),
    ({"/a/b": {"is": 1}}, {"a": {"b": 1, "c": 2}}, "/a/c"),
    ({"/a/0": {"is": 1}}, {"a": [1, 2]}, "/a/1"),
    ({"/a/0": {"is": 1}}, {"a": {"0": 1}}, "/a/0"),
    ({"/a/0": {"any": True}}, {"a": {"0": 1}}, "/a"),
    ({"/a/0": {"is": 1}, "/a/b": {"any": True}}, {"a": {"0": 1, "b": 2}}, "/a/0"),
    ({"/a~1b": {"is": 1}}, {"a/b": 2}, "/a~1b"),
    ({}, {"": 1}, "/"),
]
DEAD: list[Any] = [
    {"/a": {"in": []}}, {"/a": {"min": 2, "max": 1}}, {"/a": {"min": "x"}}, {"/a": {"max": True}}, {"/a": {}},
    {"/a": {"any": False}}, {"/a": {"is": 1, "any": True}}, {"/a": 1}, {"a": {"is": 1}}, {"": {"any": True}},
    {f"/{number}": {"any": True} for number in range(bounds.MOST_BOUNDS + 1)},
    {"/a": {"in": list(range(bounds.MOST_VALUES + 1))}},
]  # fmt: skip


@pytest.mark.parametrize(("limits", "arguments"), WITHIN)
def test_within(limits: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert outside(limits, arguments) is None


@pytest.mark.parametrize(("limits", "arguments", "pointer"), WITHOUT)
def test_outside(limits: dict[str, Any], arguments: dict[str, Any], pointer: str) -> None:
    assert outside(limits, arguments) == pointer


@pytest.mark.parametrize("limits", DEAD)
def test_bounds_that_make_no_sense_are_refused(limits: Any) -> None:
    with pytest.raises(BadBounds):
        checked(limits)


@given(ARGUMENTS, ARGUMENTS)
def test_exact_bounds_allow_that_call_and_no_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert outside(exact(one), one) is None
    assert (outside(exact(one), other) is None) == bounds.same(one, other)


@given(st.lists(st.fixed_dictionaries({"a": VALUES, "b": st.integers(0, 9)}), min_size=1, max_size=4))
def test_the_narrowest_bounds_allow_each_of_the_calls(calls: list[dict[str, Any]]) -> None:
    found = narrowest(calls)
    assert found is not None
    assert all(outside(checked(found), call) is None for call in calls)
    assert found["/b"].get("max", found["/b"].get("is")) == max(call["b"] for call in calls)


def test_calls_with_other_names_have_no_bounds_in_common() -> None:
    assert narrowest([{"a": 1}, {"b": 1}]) is None
    assert narrowest([]) is None
    assert narrowest([{"a": "x"}, {"a": "y"}]) == {"/a": {"in": ["x", "y"]}}
