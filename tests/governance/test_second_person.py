"""Where two people guard a workspace, nobody gets around the second one by changing what rules rest on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from governance import policies
from tests.cast import Cast
from tests.portal import enter, latest, page, press
from workspaces import agents, catalog, people, tenancy
from workspaces.changes import Change, Guarded
from workspaces.declarations import Risk
from workspaces.models import Resource, Tool, User

RULES: list[dict[str, Any]] = [
    {"name": "No invoices at night", "resources": ["invoices"], "when": "now.getHours() < 6", "effect": "deny"},
    {"name": "Customers are watched", "agents": ["label:customer-facing"], "tools": ["web.fetch"], "effect": "deny"},
    {"name": "Nothing internal leaves", "tools": ["mail.send"], "effect": "deny",
     "when": '"internal" in session.labels'},
]  # fmt: skip


@pytest.fixture
def dora(cast: Cast) -> User:
    """A developer of acme, which two people guard and in which RULES are in force."""
    policies.publish(policies.draft(cast.acme, RULES, actor="system"), actor="system")
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    dora = people.create_person("dora@acme.test", name="Dora Dev", actor="system").row
    people.set_roles(cast.acme, dora, roles=["developer"], actor="system")
    return dora


def test_a_removed_tool_does_not_come_back_looser(cast: Cast, dora: User) -> None:
    refund, actor = cast.tools["billing.refund"].declaration(), people.actor_of(dora)
    catalog.remove_tool(cast.tools["billing.refund"], actor=actor)
    for looser in (
        replace(refund, risk=Risk.LOW),
        replace(refund, sensitive=()),
        replace(refund, schema=None),
    ):
        with pytest.raises(Guarded, match="more room"):
            catalog.set_tool(cast.acme, declaration=looser, actor=actor)
    again = catalog.set_tool(cast.acme, declaration=replace(refund, risk=Risk.CRITICAL), actor=actor)
    assert again.change is Change.CREATED
    catalog.remove_tool(again.row, actor=actor)
    with pytest.raises(Guarded, match="risk"):
        catalog.set_tool(cast.acme, declaration=refund, actor=actor)


def test_the_page_says_so_and_keeps_the_form(cast: Cast, dora: User) -> None:
    client = enter(dora)
    press(client, "workspaces_tool_delete", cast.tools["billing.refund"].pk, post="yes")
    fields = {"workspace": cast.acme.pk, "name": "billing.refund", "action": "spend", "risk": "low"}
    told = press(client, "workspaces_tool_add", **fields, resource="invoice://{invoice}")
    assert "more room by its" in told
    assert not Tool.objects.filter(workspace=cast.acme, name="billing.refund").exists()


def resource(cast: Cast, name: str, **changes: Any) -> Callable[[str], Any]:
    row = cast.resources[name]
    fields = {"pattern": row.pattern, "labels": row.labels} | changes
    return lambda actor: catalog.set_resource(cast.acme, name=name, actor=actor, **fields)


@pytest.mark.parametrize(
    "change",
    [
        lambda cast: resource(cast, "invoices", pattern="invoice://1*"),
        lambda cast: resource(cast, "reports", labels=[]),
        lambda cast: resource(cast, "reports", pattern="file:///srv/other/*"),
        lambda cast: resource(cast, "web", labels=["internal"]),
        lambda cast: lambda actor: agents.change_agent(cast.support_bot, labels=[], actor=actor),
        lambda cast: (
            lambda actor: agents.change_agent(
                cast.report_bot, labels=["internal", "customer-facing"], actor=actor
            )
        ),
        lambda cast: lambda actor: agents.change_agent(cast.report_bot, isolated_runs=True, actor=actor),
    ],
    ids=["pattern", "label", "labeled-pattern", "new-label", "agent-out", "agent-in", "isolated"],
)
def test_what_rules_rest_on_changes_by_who_may_publish(cast: Cast, dora: User, change: Any) -> None:
    apply, before = change(cast), latest(cast.acme).index
    for actor in (people.actor_of(dora), "cli:dora@host"):
        with pytest.raises(Guarded, match="owner or a compliance officer"):
            apply(actor)
    assert latest(cast.acme).index == before
    apply(people.actor_of(cast.rita))
    assert latest(cast.acme).index == before + 1


@pytest.mark.parametrize(
    "change",
    [
        lambda cast: resource(cast, "web", pattern="https://*.test/*"),
        lambda cast: lambda actor: agents.change_agent(cast.report_bot, labels=["other"], actor=actor),
        lambda cast: lambda actor: agents.change_agent(cast.report_bot, purpose="Reports", actor=actor),
    ],
    ids=["unnamed-pattern", "unnamed-label", "purpose"],
)
def test_what_no_rule_rests_on_stays_the_developers(cast: Cast, dora: User, change: Any) -> None:
    change(cast)(people.actor_of(dora))
    assert latest(cast.acme).actor == people.actor_of(dora)


def test_without_two_people_a_developer_changes_all_of_it(cast: Cast, dora: User) -> None:
    tenancy.change_workspace(cast.acme, two_people=False, actor="system")
    resource(cast, "invoices", pattern="invoice://1*")(people.actor_of(dora))
    agents.change_agent(cast.support_bot, labels=[], actor=people.actor_of(dora))


def test_a_resource_that_the_policy_in_force_names_is_not_removed(cast: Cast, dora: User) -> None:
    """Without it the policy could not be read, and every call would be refused."""
    client, row = enter(cast.olga), cast.resources["invoices"]
    told = press(client, "workspaces_resource_delete", row.pk, post="yes")
    assert "publish a policy without it first" in told
    assert Resource.objects.filter(pk=row.pk).exists()
    policies.publish(policies.draft(cast.acme, RULES[1:], actor="system"), actor="person:usr_rita")
    press(client, "workspaces_resource_delete", row.pk, post="yes")
    assert not Resource.objects.filter(pk=row.pk).exists()


def test_the_agents_page_says_whom_to_ask(cast: Cast, dora: User) -> None:
    client, bot = enter(dora), cast.support_bot
    fields = {"owner": cast.olga.pk, "risk_tier": bot.risk_tier, "labels": ""}
    assert "Ask an owner or a compliance officer" in press(
        client, "workspaces_agent_change", bot.pk, **fields, acts_for=[cast.rita.pk]
    )
    bot.refresh_from_db()
    assert bot.labels == ["customer-facing"]
    assert "customer-facing" in page(client, "workspaces_agent_change", bot.pk)
