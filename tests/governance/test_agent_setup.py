"""The assistant: from a kind of agent to one that may make its first call, as far as the person's roles go."""

import json
import shlex
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from billing.models import Budget
from governance import policies
from governance.admin.connect import lines_for
from governance.starters import STARTERS
from tests.cast import Cast, employ
from tests.governance.test_decision_admin import decide
from tests.portal import enter, latest, page, queries
from workspaces import access, tenancy
from workspaces.models import Agent, Resource, User, Workspace


def fill(client: Client, workspace: Workspace, starter: str, owner: User, **changes: Any) -> Any:
    """Post the assistant's form as it is prefilled, but for the changes."""
    address = f"{reverse('admin:workspaces_agent_setup')}?workspace={workspace.slug}&starter={starter}"
    form = client.get(address).context["form"]
    fields = {name: form[name].value() for name in form.fields}
    fields |= {"name": f"new-{starter}", "owner": owner.pk, "reviewers": "group:finance", **changes}
    posted = {name: value for name, value in fields.items() if value not in (None, "", [])}
    return client.post(address, posted)


@pytest.mark.parametrize("starter", STARTERS)
def test_each_kind_as_suggested_gets_all_it_says(cast: Cast, starter: str) -> None:
    answer = fill(enter(cast.olga), cast.acme, starter, cast.olga)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    agent = Agent.objects.get(name=f"new-{starter}")
    assert answer.context["text"] in answer.content.decode()
    assert answer.context["remaining"] == []
    kind = STARTERS[starter]
    granted = access.grants_of(agent)
    assert {str(line.target) for line in granted if line.permission == "use"} == {
        tool.name for tool in kind.tools
    }
    touched = [(line.target, line.permission) for line in granted]
    assert {(thing.pattern, action) for thing, action in touched if isinstance(thing, Resource)} == {
        (resource.pattern, action) for resource in kind.resources for action in resource.actions
    }
    version = policies.in_force(cast.acme)
    assert version is not None
    assert len(version.content) == len(kind.rules)
    assert all(rule["agents"] == [agent.name] for rule in version.content)
    assert Budget.objects.filter(agent=agent).exists() == bool(kind.daily_usd)


def test_rules_are_added_to_those_in_force(cast: Cast) -> None:
    rules = [{"name": "Nothing is refunded", "tools": ["billing.refund"], "effect": "deny"}]
    policies.publish(policies.draft(cast.acme, rules, actor="system"), actor="system")
    fill(enter(cast.olga), cast.acme, "analyst", cast.olga)
    version = policies.in_force(cast.acme)
    assert version is not None
    assert [rule["name"] for rule in version.content] == [
        "Nothing is refunded",
        "new-analyst: at most 120 calls a minute",
    ]


def test_what_the_person_may_not_do_is_said_and_left(cast: Cast) -> None:
    dana = employ(cast.acme, "dana@acme.test", "Dana Developer", "developer")
    answer = fill(enter(dana), cast.acme, "support", dana)
    told = " ".join(answer.context["remaining"])
    assert "ask an owner of the workspace to limit new-support to $5.00 a day" in told
    assert "waits as a draft" in told
    assert policies.in_force(cast.acme) is None
    assert not Budget.objects.exists()


def test_two_people_publish_together(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    answer = fill(enter(cast.olga), cast.acme, "coding", cast.olga)
    assert "Propose it" in answer.content.decode()
    assert not Agent.objects.filter(name="new-coding").exists()
    assert policies.in_force(cast.acme) is None


def test_a_mistake_stands_at_its_field_and_leaves_nothing_behind(cast: Cast) -> None:
    client = enter(cast.olga)
    size = latest(cast.acme).index
    for changes, told in (
        ({"name": "report-bot"}, "There is an agent called report-bot here already."),
        ({"name": "label:x"}, "cannot be called"),
        ({"pattern-0": "srv/reports/*"}, "A pattern begins with a scheme"),
        ({"key_until": "2020-01-01"}, "That day is over"),
        ({"risk_tier": "unheard of"}, "Select a valid choice"),
    ):
        answer = fill(client, cast.acme, "analyst", cast.olga, **changes)
        assert told in answer.content.decode(), changes
    answer = fill(client, cast.acme, "analyst", cast.gina)
    assert "Select a valid choice" in answer.content.decode()
    assert latest(cast.acme).index == size
    assert not Agent.objects.filter(purpose=STARTERS["analyst"].purpose).exists()


def test_only_who_manages_agents_gets_in(cast: Cast) -> None:
    address = f"{reverse('admin:workspaces_agent_setup')}?workspace=acme&starter=analyst"
    assert enter(cast.otto).get(address).status_code == 404
    assert enter(cast.gina).get(address).status_code == 404
    assert "Something else" in page(enter(cast.gina), "workspaces_agent_setup")


def test_the_lines_name_a_call_that_would_be_allowed(cast: Cast) -> None:
    fill(enter(cast.olga), cast.acme, "support", cast.olga, tools=["mail.send"], rules=[])
    lines = {key: text for key, _, text in lines_for(Agent.objects.get(name="new-support"))}
    *_, body = shlex.split(lines["curl"].replace("\\\n", " "))
    assert json.loads(body) == {
        "tool": "mail.send",
        "arguments": {"to": "example@example.com", "subject": "example", "body": "example"},
    }
    for key in ("client", "langchain", "openai", "anthropic", "requests"):
        compile(lines[key], key, "exec")
        assert "mail.send" in lines[key]
        assert "&" not in lines[key]


def test_the_client_is_had_from_the_installation_without_its_source(cast: Cast) -> None:
    assert f"curl -O {settings.PUBLIC_URL}{reverse('client')}" in page(
        enter(cast.olga), "workspaces_agent_connect", cast.report_bot.pk
    )
    answer = Client().get(reverse("client"))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="countersign.py"'
    assert b"class Countersign" in b"".join(answer)


def test_the_light_turns_green_with_the_first_call(cast: Cast) -> None:
    client, bot = enter(cast.olga), cast.report_bot
    assert "Waiting for its first call" in page(client, "workspaces_agent_connect", bot.pk)
    assert 'data-called="no"' in page(client, "workspaces_agent_first", bot.pk)
    before = queries(client, "workspaces_agent_first", bot.pk)
    decide(bot, kind="allowed")
    shown = page(client, "workspaces_agent_first", bot.pk)
    assert 'data-called="yes"' in shown
    assert "report-bot was allowed to use files.read." in shown
    assert queries(client, "workspaces_agent_first", bot.pk) <= before + 1
    assert enter(cast.gina).get(reverse("admin:workspaces_agent_first", args=[bot.pk])).status_code == 404
    assert enter(cast.otto).get(reverse("admin:workspaces_agent_connect", args=[bot.pk])).status_code == 403
