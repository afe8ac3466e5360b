"""Any split of a sequence of checks into batches gives the same answers."""

import hashlib
import itertools
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import canonical
from billing import limits, price_table
from billing.models import Account, Hold
from governance import checks, policies, snapshot
from governance.requests import Caller, CheckRequest, Problem
from tests.cast import Cast
from tests.gate.conftest import REFUND, RULES
from workspaces import access, agents
from workspaces.identifiers import key_digest

BORN = itertools.count()
pytestmark = pytest.mark.django_db(transaction=True)

CALLS = st.builds(
    lambda tool, amount, session, call_id, key, cost, model: {
        "tool": tool,
        "arguments": ARGUMENTS[tool] | ({"amount": amount} if tool == REFUND else {}),
        "session": session,
        "call_id": call_id,
        "idempotency_key": key,
        "estimated_nanos": cost,
        "model": model,
        "estimated_usage": {"input_tokens": 30} if model else None,
    },
    st.sampled_from([REFUND, "mail.send", "web.fetch", "nothing"]),
    st.sampled_from([5, 250]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["", "", "c1", "c2"]),
    st.sampled_from(["", "", "k1"]),
    st.sampled_from([None, 40, 70]),
    st.sampled_from(["", "ours", "cheap", "nobody-knows"]),
)
BUDGETS: list[dict[str, Any]] = [
    {"limit_amount": 160, "warn_at": [50]},
    {"limit_amount": 90, "per_session": True, "when_short": "deny"},
    {"limit_amount": 100, "tool": REFUND, "when_short": "ask"},
    {"limit_amount": 70, "model": "ours", "when_short": "downgrade", "downgrade_to": "cheap"},
    {"limit_amount": 100, "unit": "tokens", "window": "day"},
    {"limit_amount": 10, "hard": False, "window": "month"},
]
ARGUMENTS: dict[str, dict[str, Any]] = {
    REFUND: {"invoice": "17"},
    "mail.send": {"to": "ann@customers.test", "subject": "x", "body": "y"},
    "web.fetch": {"url": "https://example.test/"},
    "nothing": {},
}


def request(caller: Caller, call: dict[str, Any]) -> CheckRequest:
    named = canonical.encode({"tool": call["tool"], "arguments": call["arguments"]})
    body = canonical.encode({**call, "idempotency_key": ""})
    return CheckRequest(
        caller=caller,
        digest=hashlib.sha256(named).digest(),
        body_digest=hashlib.sha256(body).digest(),
        **call,
    )


def twin(cast: Cast, number: int) -> Caller:
    """One more agent like support-bot, with budgets of its own for a few calls: of a session, a tool, a model, in
    tokens, and one that only warns."""
    bot = agents.create_agent(
        cast.acme, f"twin-{number}", owner=cast.olga, labels=["customer-facing"], actor="system"
    )
    agents.set_agent_roles(bot, dict.fromkeys(cast.roles.values()), actor="system")
    for terms in BUDGETS:
        limits.set_budget(cast.acme, **{"agent": bot, "window": "ever", **terms}, actor="system")
    _, text = agents.create_key(bot, actor="system")
    return Caller(cast.acme.log_id, bot.pk, text[4:12], key_digest(text))


def told(answer: bytes | Problem) -> Any:
    """What an answer says, without what is random or bound to one agent."""
    if isinstance(answer, Problem):
        return answer
    body = json.loads(answer)
    reasons = [
        {name: value for name, value in each.items() if name not in ("budget", "loop")}
        for each in body["reasons"]
    ]
    return (body["decision"], body["code"], body["agent_seq"], body["resources"], reasons,
            bool(body["approval"]), body["budget"], body.get("downgrade"))  # fmt: skip


@pytest.fixture
def ready(cast: Cast) -> Cast:
    """acme with its rules, support-bot's twins not yet born."""
    policies.publish(policies.draft(cast.acme, RULES, actor="system"), actor="system")
    access.grant(cast.roles["support"], permission="use", obj=cast.tools["web.fetch"], actor="system")
    for model, nanos in (("ours", 2 * 10**6), ("cheap", 10**6)):
        price_table.set_price(
            cast.acme, model=model, starts=date(2026, 1, 1), input_nanos=nanos, actor="system"
        )
    snapshot.forget()
    return cast


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CALLS, min_size=2, max_size=12), st.integers(1, 11))
def test_any_split_gives_the_same_answers(ready: Cast, calls: list[dict[str, Any]], cut: int) -> None:
    log_id = ready.acme.log_id
    alone, together, split = (twin(ready, next(BORN)) for _ in range(3))
    singly = [checks.admit(log_id, [request(alone, call)])[0] for call in calls]
    at_once = checks.admit(log_id, [request(together, call) for call in calls])
    in_two = checks.admit(log_id, [request(split, call) for call in calls[:cut]])
    in_two += checks.admit(log_id, [request(split, call) for call in calls[cut:]]) if calls[cut:] else []
    expected = [told(answer) for answer in singly]
    assert [told(answer) for answer in at_once] == expected
    assert [told(answer) for answer in in_two] == expected
    assert money(alone) == money(together) == money(split)


def money(caller: Caller) -> Any:
    """What the accounts of an agent's budgets hold, and what was held for each of its calls."""
    amounts = "held", "spent", "overage", "raised", "limit_amount", "warned"
    # Which session's account was made first is a batch's own affair.
    of_budgets = Account.objects.filter(budget__agent=caller.agent_id).order_by("budget", *amounts)
    of_calls = Hold.objects.filter(agent=caller.agent_id).order_by("pk")
    return (
        list(of_budgets.values_list(*amounts)),
        list(of_calls.values_list("held_nanos", "held_tokens", "basis", "price", "tool", "session", "model")),
    )
