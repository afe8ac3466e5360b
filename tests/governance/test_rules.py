"""Rules are read from a workspace file's policy, refused with every problem at once, and written back the
same."""

from decimal import Decimal
from typing import Any

import pytest

from governance.reading import Problem, parse_duration
from governance.rules import Effect, Limit, Review, RuleErrors, Rung, parse_rules
from governance.selection import Glob, compile_selector
from tests.governance.cases import approval, denial, limit


def problems_of(*rules: Any) -> list[Problem]:
    with pytest.raises(RuleErrors) as raised:
        parse_rules(list(rules))
    return raised.value.problems


def test_a_rule_is_read_with_its_defaults() -> None:
    (rule,) = parse_rules(
        [{"name": "Refunds", "effect": "require_approval", "approval": {"reviewers": ["owner"]}}]
    )
    assert rule.effect is Effect.REQUIRE_APPROVAL
    assert rule.approval == Review(reviewers=("owner",), quorum=1, expires_in=3600)
    assert (rule.tools, rule.agents, rule.when, rule.limit) == ((), (), None, None)


def test_a_sum_is_read_exactly() -> None:
    (rule,) = parse_rules([limit(sum="args.amount", max=0.1, per="1d", by="session")])
    assert rule.limit == Limit(None, "args.amount", Decimal("0.1"), 86400, "session", "deny")


@pytest.mark.parametrize(
    "raw",
    [
        denial(tools=["a", "b.*"], agents=["label:x"], actions=["send"], when="args.a > 1", message="No."),
        denial(resources=["web"], except_resources=["https://a.test/*"]),
        approval(
            approval={"reviewers": ["group:finance", "a@b.test"], "quorum": 2, "expires_in": "90s"}, ask="Ok?"
        ),
        limit(calls=20, per="1m", by="workspace"),
        {
            **limit(sum="args.amount", max="500.10", then="require_approval"),
            "approval": {"reviewers": ["owner"]},
        },
    ],
)
def test_what_is_written_reads_back_the_same(raw: dict[str, Any]) -> None:
    (rule,) = parse_rules([raw])
    assert parse_rules([rule.as_dict()]) == (rule,)


def test_the_written_form_is_plain_json_without_floats() -> None:
    (rule,) = parse_rules([limit(sum="args.amount", max=500.5, per="1d")])
    assert rule.as_dict() == {
        "name": "Rule",
        "effect": "limit",
        "limit": {"sum": "args.amount", "max": "500.5", "per": 86400, "by": "agent", "then": "deny"},
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h", 3600), ("1d", 86400), (60, 60)]
)
def test_durations_are_read_in_seconds(text: object, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "h", "1 h", "-1h", "0m", "1.5h", "1w", "１h", None, True, 0, 1.5, ["1h"]]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


STEP = {"after": "20m", "reviewers": ["group:leads"]}


def ladder(steps: Any) -> dict[str, Any]:
    """A rule whose approval has these steps."""
    return approval(approval={"reviewers": ["owner"], "escalate": steps})


BROKEN: list[tuple[Any, tuple[str | int, ...], str]] = [
    ("deny", (), "mapping"),
    ({"effect": "deny"}, ("name",), "name"),
    ({"name": "x" * 201, "effect": "deny"}, ("name",), "200"),
    ({"name": "R"}, ("effect",), "effect"),
    ({"name": "R", "effect": "allow"}, ("effect",), "deny, require_approval, limit"),
    (denial(tool=["a"]), ("tool",), "tools"),
    (denial(tools="mail.send"), ("tools",), "list"),
    (denial(tools=[]), ("tools",), "leave it out"),
    (denial(tools=["a", 5]), ("tools", 1), "5"),
    (denial(tools=["a", "a"]), ("tools", 1), "twice"),
    (denial(actions=["read", "look"]), ("actions", 1), "execute"),
    (denial(when=True), ("when",), "quotes"),
    (denial(when="  "), ("when",), "empty"),
    (denial(when="x" * 1001), ("when",), "1000"),
    (denial(message=5), ("message",), "quotes"),
    (denial(ask="Really?"), ("ask",), "Nobody"),
    (denial(approval={"reviewers": ["owner"]}), ("approval",), "Nothing here asks"),
    (denial(limit={"calls": 5, "per": "1m"}), ("limit",), "effect"),
    ({"name": "R", "effect": "require_approval"}, ("approval",), "who gives it"),
    (approval(approval={"quorum": 1}), ("approval", "reviewers"), "group:<name>"),
    (approval(approval={"reviewers": ["finance"]}), ("approval", "reviewers", 0), "group:<name>"),
    (approval(approval={"reviewers": ["owner"], "quorum": 0}), ("approval", "quorum"), "at least 1"),
    (approval(approval={"reviewers": ["owner"], "quorum": True}), ("approval", "quorum"), "whole number"),
    (approval(approval={"reviewers": ["owner"], "expires_in": "30s"}), ("approval", "expires_in"), "60 s"),
    (approval(approval={"reviewers": ["owner"], "expires_in": "31d"}), ("approval", "expires_in"), "30 days"),
    (approval(approval={"reviewers": ["owner"], "expires_in": "soon"}), ("approval", "expires_in"), "1h"),
    (approval(approval={"reviewers": ["owner"], "remind": "1h"}), ("approval", "remind"), "quorum"),
    (approval(approval={"reviewers": ["owner"], "veto": "no"}), ("approval", "veto"), "true or false"),
    (ladder("20m"), ("approval", "escalate"), "a list"),
    (ladder([]), ("approval", "escalate"), "a list"),
    (ladder([STEP] * 6), ("approval", "escalate"), "up to 5"),
    (ladder([{"reviewers": ["owner"]}]), ("approval", "escalate", 0, "after"), "how long"),
    (ladder([{"after": "20m"}]), ("approval", "escalate", 0, "reviewers"), "group:<name>"),
    (ladder([STEP, STEP]), ("approval", "escalate", 1, "after"), "later than the one before"),
    (ladder([{**STEP, "after": "1h"}]), ("approval", "escalate", 0, "after"), "the time to answer is over"),
    (ladder([{**STEP, "quorum": 1}]), ("approval", "escalate", 0, "quorum"), "after, reviewers"),
    ({"name": "R", "effect": "limit"}, ("limit",), "what it counts"),
    (limit(), ("limit", "calls"), "either calls"),
    (limit(calls=5, sum="args.a", max=5), ("limit", "calls"), "either calls"),
    (limit(calls=0), ("limit", "calls"), "at least 1"),
    (limit(calls="20"), ("limit", "calls"), "whole number"),
    (limit(sum="args.amount"), ("limit", "max"), "max"),
    (limit(calls=5, max=5), ("limit", "max"), "only a sum"),
    (limit(sum="amount", max=5), ("limit", "sum"), "args.<field>"),
    (limit(sum="args.amount", max=-5), ("limit", "max"), "above 0"),
    (limit(sum="args.amount", max="many"), ("limit", "max"), "above 0"),
    (limit(sum="args.amount", max=float("nan")), ("limit", "max"), "above 0"),
    (limit(calls=5, by="tool"), ("limit", "by"), "agent, session, workspace"),
    (limit(calls=5, then="warn"), ("limit", "then"), "require_approval"),
    (limit(calls=5, then="require_approval"), ("approval",), "who gives it"),
    ({**limit(calls=5), "limit": {"calls": 5}}, ("limit", "per"), "how long"),
]


@pytest.mark.parametrize(("raw", "where", "word"), BROKEN)
def test_a_rule_that_cannot_be_read_is_refused_at_the_place(
    raw: Any, where: tuple[str | int, ...], word: str
) -> None:
    problems = problems_of(raw)
    assert (0, *where) in [problem.path for problem in problems]
    assert word in " ".join(problem.message for problem in problems if problem.path == (0, *where))


def test_all_that_is_wrong_is_said_at_once() -> None:
    problems = problems_of(denial(tools="x", when=5), {"name": "S", "effect": "limit", "colour": 1})
    assert [problem.path for problem in problems] == [(0, "when"), (0, "tools"), (1, "colour"), (1, "limit")]


def test_a_ladder_and_a_veto_are_read_and_the_usual_is_left_unsaid() -> None:
    raw = approval(approval={"reviewers": ["owner"], "veto": False, "escalate": [STEP]})
    (rule,) = parse_rules([raw])
    assert rule.approval == Review(("owner",), veto=False, escalate=(Rung(1200, ("group:leads",)),))
    assert rule.approval.everybody == ("owner", "group:leads")
    assert parse_rules([rule.as_dict()]) == (rule,)
    (usual,) = parse_rules([approval(approval={"reviewers": ["owner"], "veto": True})])
    assert usual.as_dict()["approval"] == {"reviewers": ["owner"], "quorum": 1, "expires_in": 3600}


def test_two_rules_of_one_name_are_refused() -> None:
    assert [problem.path for problem in problems_of(denial(), denial())] == [(1, "name")]


def test_a_policy_that_is_no_list_is_refused() -> None:
    with pytest.raises(RuleErrors, match="list of rules"):
        parse_rules({"name": "x"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("mail.send", "mail.send", True),
        ("mail.send", "mail.Send", False),
        ("mail.*", "mail.send", True),
        ("mail.*", "mail.", True),
        ("mail.*", "mail", False),
        ("*.send", "mail.bulk.send", True),
        ("*", "", True),
        ("a*b*c", "aXbYc", True),
        ("a*b*c", "acb", False),
        ("a*a", "a", False),
        ("m?il.[s]end", "mail.send", False),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_does(glob: str, name: str, expected: bool) -> None:
    assert Glob(glob).matches(name) is expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("mail.*", "mail.send", True),
        ("mail.*", "mail.s*", True),
        ("*", "*", True),
        ("mail.s*", "mail.*", False),
    ],
)
def test_a_glob_covers_those_that_match_nothing_else(wide: str, narrow: str, expected: bool) -> None:
    assert Glob(wide).covers(Glob(narrow)) is expected


def test_agents_are_selected_by_name_glob_or_label() -> None:
    selector = compile_selector(["report-bot", "support-*", "label:internal"], with_labels=True)
    assert selector.exact == {"report-bot"}
    assert selector.matches("support-2")
    assert selector.matches("other", {"internal"})
    assert not selector.matches("other", {"external"})
    assert compile_selector([], with_labels=True).everything
