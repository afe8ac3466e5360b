"""The decision as a pure function: properties that hold for any configuration and any question."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.decide import Facts, Question, Verdict, decide
from governance.rules import parse_rules
from governance.ruleset import compile_rule
from governance.subjects import AgentEntry, ToolEntry
from workspaces.arguments import Tool
from workspaces.declarations import parse_declaration
from workspaces.resources import PatternSet

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
REFUND = parse_declaration(
    {
        "name": "billing.refund",
        "action": "spend",
        "risk": "high",
        "resource": "invoice://{invoice}",
        "schema": {
            "type": "object",
            "required": ["invoice", "amount"],
            "additionalProperties": False,
            "properties": {
                "invoice": {"type": "string"},
                "amount": {"type": "number"},
                "note": {"type": "string"},
            },
        },
    }
)
TOOL = ToolEntry(7, Tool(REFUND), {"name": "billing.refund", "action": "spend", "risk": "high",
                                   "reversible": True, "labels": []})  # fmt: skip
SEVERITY = {"allow": 0, "pending": 1, "deny": 2}


def agent(
    tools: dict[int, datetime | None] | None = None,
    resources: dict[tuple[int, str], datetime | None] | None = None,
) -> AgentEntry:
    """support-bot, granted the refund tool and every invoice unless told otherwise."""
    return AgentEntry(
        id=1,
        public_id="agt_1",
        name="support-bot",
        owner_id=1,
        labels=frozenset(["customer-facing"]),
        standing="active",
        observe_until=None,
        epoch=0,
        isolated_runs=False,
        sessions_per_hour=None,
        keys={},
        groups=frozenset(),
        tools={7: None} if tools is None else tools,
        resources={(3, "spend"): None} if resources is None else resources,
        view={"name": "support-bot", "labels": ["customer-facing"], "risk_tier": "low"},
    )


def question(rules: Sequence[dict[str, Any]] = (), **changes: Any) -> Question:
    patterns: PatternSet[int] = PatternSet()
    patterns.add(3, "invoice://*")
    compiled = [compile_rule(index, rule, {}) for index, rule in enumerate(parse_rules(list(rules)))]
    asked = Question(
        agent=agent(),
        standing="active",
        tool_name="billing.refund",
        tool=TOOL,
        arguments={"invoice": "17", "amount": 40},
        rules=compiled,
        patterns=patterns,
        resource_labels={3: frozenset()},
        lists={"partners": ["a@b.test"]},
    )
    return replace(asked, **changes)


def rule(effect: str, when: str | None = None, name: str = "rule", **more: Any) -> dict[str, Any]:
    """A rule in the file's form."""
    plain: dict[str, Any] = {"name": name, "effect": effect, **more}
    if when:
        plain["when"] = when
    if effect == "require_approval":
        plain["approval"] = {"reviewers": ["rita@acme.test"]}
    if effect == "limit":
        plain["limit"] = {"calls": 2, "per": "1m"}
    return plain


CONDITIONS = st.sampled_from(
    [None, "args.amount > 10", "args.amount > 100", "args.invoice == '17'", "args.nothing == 1", "has(args.note)",
     "session.repeats > 1", "'seen' in session.labels", "1 / 0 == 1", "args.amount"]
)  # fmt: skip
RULES = st.lists(
    st.builds(rule, st.sampled_from(["deny", "require_approval", "limit"]), CONDITIONS), max_size=6
).map(lambda rules: [{**each, "name": f"rule {number}"} for number, each in enumerate(rules)])
FACTS = st.builds(
    Facts,
    now=st.just(NOW),
    labels=st.frozensets(st.sampled_from(["seen", "other"])),
    repeats=st.integers(0, 3),
    used=st.dictionaries(st.integers(0, 5), st.integers(0, 4)),
)
STANDINGS = st.sampled_from(["active", "read_only", "supervised", "suspended", "revoked"])
AMOUNTS = st.sampled_from([5, 40, 250])


def rank(verdict: Verdict) -> int:
    return SEVERITY[verdict.decision]


def told(verdict: Verdict) -> tuple[str, list[tuple[str, str]]]:
    """What must not depend on the rules' order."""
    return verdict.decision, sorted((r["effect"], r.get("rule", "")) for r in verdict.reasons)


def matching(rules: Sequence[dict[str, Any]], facts: Facts, amount: int) -> list[int]:
    """How severe the answer of each rule is, judged alone."""
    ranks = []
    for index, each in enumerate(rules):
        alone = decide(question([each], arguments={"invoice": "17", "amount": amount}),
                       replace(facts, used={0: facts.used.get(index, 0)}))  # fmt: skip
        ranks.append(rank(alone))
    return ranks


@given(RULES, FACTS, AMOUNTS)
def test_the_most_severe_of_all_matching_rules_wins(
    rules: list[dict[str, Any]], facts: Facts, amount: int
) -> None:
    verdict = decide(question(rules, arguments={"invoice": "17", "amount": amount}), facts)
    alone = matching(rules, facts, amount)
    assert rank(verdict) == max(alone, default=0)


@given(st.data(), RULES, FACTS, AMOUNTS)
def test_the_order_of_rules_never_matters(
    data: st.DataObject, rules: list[dict[str, Any]], facts: Facts, amount: int
) -> None:
    order = data.draw(st.permutations(range(len(rules))))
    arguments = {"invoice": "17", "amount": amount}
    shuffled = replace(facts, used={new: facts.used.get(old, 0) for new, old in enumerate(order)})
    first = decide(question(rules, arguments=arguments), facts)
    second = decide(question([rules[old] for old in order], arguments=arguments), shuffled)
    assert told(first) == told(second)


@given(RULES, RULES, FACTS, AMOUNTS, STANDINGS)
def test_adding_rules_never_widens(
    rules: list[dict[str, Any]], more: list[dict[str, Any]], facts: Facts, amount: int, standing: str
) -> None:
    more = [{**each, "name": f"more {number}"} for number, each in enumerate(more)]
    arguments = {"invoice": "17", "amount": amount}
    few = decide(question(rules, arguments=arguments, standing=standing), facts)
    many = decide(question(rules + more, arguments=arguments, standing=standing), facts)
    assert rank(many) >= rank(few)


@given(RULES, FACTS, STANDINGS)
def test_no_grant_means_deny(rules: list[dict[str, Any]], facts: Facts, standing: str) -> None:
    for bare in (agent(tools={}), agent(resources={}), agent(resources={(3, "read"): None})):
        assert decide(question(rules, agent=bare, standing=standing), facts).decision == "deny"
    assert decide(question(rules, tool=None, standing=standing), facts).decision == "deny"


@given(FACTS, st.sampled_from(["1 / 0 == 1", "args.nothing == 1", "args.amount", "args.invoice > 3"]))
def test_an_evaluation_error_never_allows(facts: Facts, condition: str) -> None:
    denied = decide(question([rule("deny", condition)]), facts)
    asked = decide(question([rule("require_approval", condition)]), facts)
    assert (denied.decision, asked.decision) == ("deny", "pending")
    assert denied.results == asked.results == "e"
    assert denied.reasons[0]["condition"] == "failed"


@given(st.timedeltas(min_value=timedelta(days=-9), max_value=timedelta(days=9)), st.booleans())
def test_expiry_is_honored(until_end: timedelta, of_tool: bool) -> None:
    ends = NOW + until_end
    holder = agent(tools={7: ends}) if of_tool else agent(resources={(3, "spend"): ends})
    verdict = decide(question(agent=holder), Facts(NOW))
    assert verdict.decision == ("allow" if ends > NOW else "deny")


@given(RULES, FACTS)
def test_observe_allows_and_says_what_it_would_have_said(rules: list[dict[str, Any]], facts: Facts) -> None:
    enforced = decide(question(rules), facts)
    observed = decide(question(rules, standing="observe"), facts)
    assert observed.decision == "allow"
    assert observed.would == ("" if enforced.decision == "allow" else enforced.decision)
    assert observed.code == ("granted" if enforced.decision == "allow" else "observed")


@given(RULES, FACTS, STANDINGS)
def test_a_lifted_rule_lifts_itself_and_nothing_else(
    rules: list[dict[str, Any]], facts: Facts, standing: str
) -> None:
    asked = question(rules, standing=standing)
    before = decide(asked, facts)
    lifted = frozenset(each.digest for each in before.asks)
    after = decide(asked, replace(facts, lifted=lifted))
    if before.decision == "deny":
        assert after.decision == "deny"
    elif standing == "active" and before.decision == "pending":
        assert after.decision == "allow"
        assert {each.digest for each in after.lifted} == lifted


@pytest.mark.parametrize("standing", ["suspended", "revoked", "read_only"])
def test_a_contained_agent_is_denied_as_contained(standing: str) -> None:
    verdict = decide(question(standing=standing), Facts(NOW))
    assert (verdict.decision, verdict.code) == ("deny", "contained")


def test_a_supervised_agent_asks_for_everything_but_reads() -> None:
    verdict = decide(question(standing="supervised"), Facts(NOW))
    assert verdict.decision == "pending"
    assert verdict.supervised
    assert "ask again with its id" in verdict.reasons[0]["message"]


def test_an_agent_that_must_wait_is_told_to_ask_again_with_the_approval() -> None:
    """The same call without it would ask a person again, for ever."""
    verdict = decide(question([rule("require_approval")]), Facts(NOW))
    assert verdict.decision == "pending"
    assert "ask again with its id" in verdict.reasons[0]["message"]


def test_a_limit_counts_up_to_its_ceiling_and_then_denies() -> None:
    limited = [rule("limit")]
    below = decide(question(limited), Facts(NOW, used={0: 1}))
    above = decide(question(limited), Facts(NOW, used={0: 2}))
    assert below.decision == "allow"
    assert [amount for _, amount in below.consumes] == [1]
    assert (above.decision, above.code) == ("deny", "rate_limited")


def test_a_limit_by_sum_counts_in_millionths_and_may_ask() -> None:
    limited = [
        {
            "name": "At most 500 a day",
            "effect": "limit",
            "limit": {"sum": "args.amount", "max": 500, "per": "1d", "then": "require_approval"},
            "approval": {"reviewers": ["rita@acme.test"]},
        }
    ]
    fits = decide(
        question(limited, arguments={"invoice": "1", "amount": 0.5}), Facts(NOW, used={0: 499_500_000})
    )
    exceeds = decide(
        question(limited, arguments={"invoice": "1", "amount": 0.6}), Facts(NOW, used={0: 499_500_000})
    )
    assert [amount for _, amount in fits.consumes] == [500_000]
    assert fits.decision == "allow"
    assert exceeds.decision == "pending"


def test_what_the_tool_declares_wins_over_what_the_request_claims() -> None:
    claims: list[dict[str, Any]] = [{"action": "read"}, {"resource": "invoice://99"}]
    for claim in claims:
        verdict = decide(question(**claim), Facts(NOW))
        assert (verdict.decision, verdict.code) == ("deny", "invalid_arguments")
    agreeing = decide(question(action="spend", resource="invoice://17"), Facts(NOW))
    assert agreeing.decision == "allow"


def test_a_refused_approval_is_a_denial_that_says_so() -> None:
    asked = question([rule("require_approval")])
    verdict = decide(asked, Facts(NOW, refused="approval_used"))
    assert (verdict.decision, verdict.code) == ("deny", "approval_used")
