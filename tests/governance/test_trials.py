"""“Test this call”: what would be decided, what each rule says, and that nothing comes of it."""

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from governance import policies
from governance.models import AgentState, Counter, PolicyVersion, Session
from governance.trials import Call, Trial, TrialRefused, attempt
from tests.cast import Cast
from tests.portal import enter, page
from workspaces import access, catalog
from workspaces.models import NamedList, User

RULES: list[dict[str, Any]] = [
    {"name": "Refunds above 100", "tools": ["billing.refund"], "effect": "require_approval",
     "when": "args.amount > 100", "approval": {"reviewers": ["group:finance"]}},
    {"name": "None after the web", "tools": ["billing.*"], "effect": "deny",
     "when": "'untrusted_output' in session.labels"},
    {"name": "Claims a reason", "tools": ["billing.refund"], "effect": "deny", "when": "reason.contains('urgent')"},
    {"name": "Not of refunds", "tools": ["web.fetch"], "effect": "deny"},
]  # fmt: skip


def publish(cast: Cast, rules: list[dict[str, Any]]) -> PolicyVersion:
    return policies.publish(policies.draft(cast.acme, rules, actor="system"), actor="system")


def refund(cast: Cast, amount: Any = 50, **more: Any) -> Call:
    return Call(cast.support_bot, "billing.refund", {"invoice": "17", "amount": amount}, **more)


def tried(call: Call, version: PolicyVersion | None) -> tuple[str, str]:
    """Decision, and one letter a candidate rule."""
    trial = attempt(call, version=version, now=timezone.now())
    return trial.verdict.decision, letters(trial)


def letters(trial: Trial) -> str:
    return "".join(rule.letter or "-" for rule in trial.rules)


def test_every_candidate_rule_says_whether_it_matches(cast: Cast) -> None:
    version = publish(cast, RULES)
    assert tried(refund(cast), version) == ("allow", "...")
    assert tried(refund(cast, 500), version) == ("pending", "m..")
    assert tried(refund(cast, labels=frozenset(["untrusted_output"])), version) == ("deny", ".m.")
    assert tried(refund(cast, reason="it is urgent"), version) == ("deny", "..m")
    trial = attempt(refund(cast, 500), version=version, now=timezone.now())
    assert [rule.claims for rule in trial.rules] == [(), (), ("reason",)]
    assert (trial.others, trial.verdict.reasons[0]["rule"]) == (1, "Refunds above 100")


def test_a_draft_is_tried_before_it_is_in_force(cast: Cast) -> None:
    publish(cast, [])
    assert tried(refund(cast, 500), policies.in_force(cast.acme)) == ("allow", "")
    draft = policies.draft(cast.acme, RULES, actor="system")
    assert tried(refund(cast, 500), draft) == ("pending", "m..")
    assert tried(refund(cast, 500), None) == ("allow", "")


def test_a_condition_that_fails_says_why(cast: Cast) -> None:
    catalog.set_list(cast.acme, name="vips", members=["1"], actor="system")
    version = publish(
        cast,
        [
            {
                "name": "Vips",
                "tools": ["billing.refund"],
                "effect": "deny",
                "when": "args.invoice in lists.vips",
            }
        ],
    )
    catalog.remove_list(NamedList.objects.get(name="vips"), actor="system")
    trial = attempt(refund(cast), version=version, now=timezone.now())
    (rule,) = trial.rules
    assert (trial.verdict.decision, rule.letter) == ("deny", "e")
    assert "vips" in rule.failure


def test_what_refuses_before_the_rules_is_told_and_they_are_not_asked(cast: Cast) -> None:
    version = publish(cast, RULES)
    assert tried(refund(cast, "much"), version) == ("deny", "---")
    stranger = Call(cast.report_bot, "billing.refund", {"invoice": "1", "amount": 5})
    trial = attempt(stranger, version=version, now=timezone.now())
    assert (trial.verdict.code, trial.rules[0].result) == ("no_permission", "not asked")
    assert tried(Call(cast.report_bot, "no.such", {}), version)[0] == "deny"
    for person in ("nobody@x.test", cast.otto.email):
        trial = attempt(refund(cast, on_behalf_of=person), version=version, now=timezone.now())
        assert trial.verdict.code == "no_permission"
    assert tried(refund(cast, on_behalf_of=cast.rita.email.upper()), version)[0] == "allow"


def test_a_version_that_cannot_be_read_says_what_to_do(cast: Cast) -> None:
    rules = [{"name": "R", "resources": ["invoices"], "effect": "deny"}]
    version = policies.draft(cast.acme, rules, actor="system")
    catalog.remove_resource(cast.resources["invoices"], actor="system")
    with pytest.raises(TrialRefused, match="Draft it anew"):
        attempt(refund(cast), version=version, now=timezone.now())


def counted() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Entry, Session, Counter, AgentState))


def press(client: Client, cast: Cast, **fields: Any) -> str:
    """POST the page's form and return what it shows."""
    values = {"agent": "support-bot", "tool": "billing.refund", **fields}
    answer = client.post(reverse("policy_trial", args=["acme"]), values)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_the_page_shows_the_decision_and_writes_nothing(cast: Cast) -> None:
    limit = {"name": "Nine an hour", "tools": ["billing.refund"], "effect": "limit",
             "limit": {"calls": 9, "per": "1h"}}  # fmt: skip
    version = publish(cast, [*RULES, limit])
    before, client = counted(), enter(cast.olga)
    arguments = json.dumps({"invoice": "17", "amount": 500})
    shown = press(client, cast, arguments=arguments)
    assert "a person is asked" in shown
    assert "args.amount &gt; 100" in shown
    assert f"version {version.number}</a>" in shown
    assert "invoice://17" in shown
    shown = press(client, cast, arguments=arguments, labels="untrusted_output", tools="web.fetch")
    assert "denied</span>" in shown
    shown = press(client, cast, agent="report-bot", arguments=arguments)
    assert "Missing: use billing.refund" in shown
    assert "Missing: spend invoice://17" in shown
    assert "/amount" in press(client, cast, arguments='{"invoice": "17", "amount": 0}')
    assert counted() == before


def test_the_form_says_what_is_wrong_with_it(cast: Cast) -> None:
    client = enter(cast.olga)
    assert "no JSON that the gate accepts" in press(client, cast, arguments='{"a": 1, "a": 2}')
    assert "Write a JSON object" in press(client, cast, arguments="[]")
    assert "There is no agent of this name here" in press(client, cast, agent="globex-bot", arguments="{}")
    assert "at most 65536 characters" in press(client, cast, arguments='"' + "x" * 70_000 + '"')


def test_links_fill_in_what_they_are_about(cast: Cast) -> None:
    client = enter(cast.olga)
    address = reverse("policy_trial", args=["acme"])
    shown = client.get(address, {"tool": "billing.refund", "agent": "support-bot"}).content.decode()
    assert 'value="support-bot"' in shown
    assert "&quot;invoice&quot;: &quot;&quot;" in shown
    for name, key in (("workspaces_tool_change", cast.tools["mail.send"].pk),
                      ("workspaces_agent_change", cast.support_bot.pk)):  # fmt: skip
        assert address in page(client, name, key)
    assert address not in page(enter(cast.otto), "workspaces_tool_change", cast.tools["mail.send"].pk)


@pytest.mark.parametrize(("who", "status"), [("olga", 200), ("rita", 200), ("otto", 403), ("gina", 404)])
def test_who_may_draft_may_try(cast: Cast, who: str, status: int) -> None:
    person: User = getattr(cast, who)
    assert enter(person).get(reverse("policy_trial", args=["acme"])).status_code == status
    assert enter(person).post(reverse("policy_trial", args=["acme"]), {}).status_code == status
    assert access.may(person, "draft_policy", cast.acme) == (status == 200)
