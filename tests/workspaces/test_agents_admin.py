"""The pages of agents: keys shown once, roles and grants with an end, and a change is an entry."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from tests.cast import REPEATING, Cast, employ
from tests.portal import body_of, enter, latest, page, press, queries
from workspaces import agents, callbacks
from workspaces.models import Agent, AgentKey
from workspaces.people import actor_of


def test_a_key_is_shown_in_the_answer_and_kept_nowhere(cast: Cast) -> None:
    client = enter(cast.olga)
    answer = client.post(reverse("admin:workspaces_agent_create_key", args=[cast.report_bot.pk]))
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    key = AgentKey.objects.latest("pk")
    text = answer.context["text"]
    assert text.startswith(f"csk_{key.prefix}")
    assert text in answer.content.decode()
    assert key.created_by == cast.olga
    assert text not in page(client, "workspaces_agent_change", cast.report_bot.pk)
    assert all(text not in str(session.get_decoded()) for session in Session.objects.all())
    assert text not in str(client.cookies)
    entry = latest(cast.acme)
    assert (entry.type, entry.actor) == ("workspaces.key.created", f"person:{cast.olga.public_id}")
    assert text.encode() not in bytes(entry.body)


def test_a_third_key_is_refused_with_its_sentence(cast: Cast) -> None:
    client = enter(cast.olga)
    agents.create_key(cast.report_bot, actor="system")
    assert "has 2 live keys already" in press(client, "workspaces_agent_create_key", cast.report_bot.pk)


def test_keys_end_with_a_day_of_the_workspace_and_are_revoked(cast: Cast) -> None:
    client = enter(cast.olga)
    day = (timezone.now() + timedelta(days=30)).date()
    press(client, "workspaces_agent_create_key", cast.report_bot.pk, until=day.isoformat())
    key = AgentKey.objects.latest("pk")
    assert key.expires_at is not None
    assert key.expires_at.isoformat()[11:16] in ("22:00", "23:00")  # midnight in Berlin
    press(client, "workspaces_agent_revoke_key", cast.report_bot.pk, key=key.public_id)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert "That day is over" in press(
        client, "workspaces_agent_create_key", cast.report_bot.pk, until="2020-01-01"
    )


def test_a_rotated_key_lives_on_until_the_chosen_time(cast: Cast) -> None:
    client, old = enter(cast.olga), cast.report_bot.keys.get()
    address = reverse("admin:workspaces_agent_rotate_key", args=[cast.report_bot.pk])
    answer = client.post(address, {"key": old.public_id, "overlap": "60"})
    text = answer.context["text"]
    old.refresh_from_db()
    new = AgentKey.objects.latest("pk")
    assert text.startswith(f"csk_{new.prefix}")
    assert new.expires_at is None
    assert old.expires_at is not None
    assert timedelta(minutes=59) < old.expires_at - timezone.now() <= timedelta(hours=1)
    data = body_of(latest(cast.acme))["data"]
    assert data["replaces"] == old.public_id
    assert {row["key"] for row in data["rows"]} == {old.pk, new.pk}
    assert (
        client.post(address, {"key": cast.globex_bot.keys.get().public_id, "overlap": "0"}).status_code == 404
    )
    told = press(client, "workspaces_agent_rotate_key", cast.report_bot.pk, key=new.public_id, overlap="0")
    assert "has 2 live keys already" in told


def test_a_key_that_is_over_is_not_rotated(cast: Cast) -> None:
    key = cast.report_bot.keys.get()
    agents.revoke_key(key, actor="system")
    told = press(
        enter(cast.olga), "workspaces_agent_rotate_key", cast.report_bot.pk, key=key.public_id, overlap="0"
    )
    assert "over already" in told
    assert cast.report_bot.keys.count() == 1


def test_only_its_owner_or_an_owner_of_the_workspace_hands_an_agent_over(cast: Cast) -> None:
    """Who owns an agent reads what it sends, so a developer may not take one."""
    dana = employ(cast.acme, "dana@acme.test", "Dana Developer", "developer")
    bot, settings = cast.report_bot, {"risk_tier": "low", "purpose": "Mine now"}
    press(enter(dana), "workspaces_agent_change", bot.pk, owner=dana.pk, **settings)
    bot.refresh_from_db()
    assert (bot.owner, bot.purpose) == (cast.olga, "Mine now")
    with pytest.raises(agents.NotYoursToGive):
        agents.change_agent(bot, owner=dana, actor=actor_of(dana))
    press(enter(cast.olga), "workspaces_agent_change", bot.pk, owner=dana.pk, **settings)
    bot.refresh_from_db()
    assert bot.owner == dana
    press(enter(dana), "workspaces_agent_change", bot.pk, owner=cast.rita.pk, **settings)
    bot.refresh_from_db()
    assert bot.owner == cast.rita


def test_the_key_of_another_agent_is_not_revoked_through_this_one(cast: Cast) -> None:
    key = cast.globex_bot.keys.get()
    address = reverse("admin:workspaces_agent_revoke_key", args=[cast.report_bot.pk])
    assert enter(cast.olga).post(address, {"key": key.public_id}).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_roles_and_grants_are_given_with_an_end_and_taken(cast: Cast) -> None:
    client, bot = enter(cast.olga), cast.report_bot
    until = (timezone.now() + timedelta(days=3)).date().isoformat()
    press(client, "workspaces_agent_give_role", bot.pk, role="support", until=until)
    given = bot.agent_roles.get(role__name="support")
    assert given.expires_at is not None
    assert bot.agent_roles.count() == 2
    press(client, "workspaces_agent_take_role", bot.pk, role="support")
    assert [row.role.name for row in bot.agent_roles.all()] == ["analyst"]
    permission = f"send:{cast.resources['anyone'].public_id}"
    assert "mailto:*@*" in press(client, "workspaces_agent_grant", bot.pk, permission=permission, until=until)
    entry = latest(cast.acme)
    assert (entry.type, entry.actor) == ("workspaces.grant.added", f"person:{cast.olga.public_id}")
    press(client, "workspaces_agent_revoke", bot.pk, permission=permission)
    assert latest(cast.acme).type == "workspaces.grant.revoked"


def test_only_what_the_workspace_has_can_be_granted(cast: Cast) -> None:
    client = enter(cast.gina)
    foreign = f"use:{cast.tools['files.read'].public_id}"
    told = press(client, "workspaces_agent_grant", cast.globex_bot.pk, permission=foreign)
    assert "Choose a permission" in told
    assert "Choose a role" in press(client, "workspaces_agent_give_role", cast.globex_bot.pk, role="analyst")


def test_an_agent_is_added_and_changed_through_the_noun_module(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "name": "new-bot", "owner": cast.otto.pk, "risk_tier": "low"}
    press(client, "workspaces_agent_add", **fields, purpose="Tries things", labels="b, a, b")
    agent = Agent.objects.get(name="new-bot")
    assert (agent.labels, agent.owner) == (["a", "b"], cast.otto)
    assert latest(cast.acme).type == "workspaces.agent.created"
    press(
        client,
        "workspaces_agent_change",
        agent.pk,
        owner=cast.otto.pk,
        risk_tier="high",
        acts_for=[cast.rita.pk],
        sessions_per_hour="9",
        cost_center="Research",
        loop_limits="repeats: 6\nthen: ask\nrepeats of web.fetch: 0",
    )
    agent.refresh_from_db()
    assert (agent.risk_tier, agent.sessions_per_hour, agent.cost_center) == ("high", 9, "Research")
    assert agent.loop_limits == {"repeats": 6, "then": "ask", "tools": {"web.fetch": 0}}
    assert "repeats of web.fetch: 0" in page(client, "workspaces_agent_change", agent.pk)
    assert [row.person for row in agent.principals.all()] == [cast.rita]
    assert body_of(latest(cast.acme))["actor"] == f"person:{cast.olga.public_id}"


def test_limits_of_loops_that_make_no_sense_are_told_why(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"owner": cast.otto.pk, "risk_tier": "low"}
    for written, told in (
        ("much", "is no limit"),
        ("repeats: 1", "from 2 to 64"),
        ("often: 3", "no loop limit"),
    ):
        refused = press(client, "workspaces_agent_change", cast.report_bot.pk, **fields, loop_limits=written)
        assert told in refused
    cast.report_bot.refresh_from_db()
    assert cast.report_bot.loop_limits == REPEATING


def test_what_the_noun_module_refuses_stands_at_its_field(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "owner": cast.olga.pk, "risk_tier": "low"}
    assert "cannot be called" in press(client, "workspaces_agent_add", **fields, name="label:x")
    assert "called report-bot here already" in press(
        client, "workspaces_agent_add", **fields, name="report-bot"
    )
    assert Agent.objects.filter(workspace=cast.acme).count() == 2


def test_the_list_and_the_page_cost_the_same_whatever_there_is(cast: Cast) -> None:
    client = enter(cast.olga)
    listed = queries(client, "workspaces_agent_changelist")
    shown = queries(client, "workspaces_agent_change", cast.report_bot.pk)
    for number in range(20):
        bot = agents.create_agent(cast.acme, f"bot-{number}", owner=cast.olga, actor="system")
        agents.create_key(bot, actor="system")
        key = agents.create_key(cast.report_bot, actor="system")[0]
        agents.revoke_key(key, actor="system")
    agents.set_agent_roles(cast.report_bot, dict.fromkeys(cast.roles.values()), actor="system")
    assert queries(client, "workspaces_agent_changelist") == listed
    assert queries(client, "workspaces_agent_change", cast.report_bot.pk) == shown


def test_the_secret_of_callbacks_is_shown_in_the_answer_and_kept_sealed(cast: Cast) -> None:
    client = enter(cast.olga)
    address = reverse("admin:workspaces_agent_set_callback", args=[cast.report_bot.pk])
    answer = client.post(address, {"url": "https://hooks.example.com/agents?token=T0K3N"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert answer.context["text"].startswith("whsec_")
    told = page(client, "workspaces_agent_change", cast.report_bot.pk)
    assert "https://hooks.example.com/agents" in told
    assert "T0K3N" not in told
    assert answer.context["text"] not in told
    assert "an address inside" in press(
        client, "workspaces_agent_set_callback", cast.report_bot.pk, url="https://127.0.0.1/"
    )
    assert "at the gate alone" in press(client, "workspaces_agent_set_callback", cast.report_bot.pk)


def test_who_manages_no_agents_sees_the_host_only_and_sets_nothing(cast: Cast) -> None:
    callbacks.set_callback(cast.report_bot, url="https://hooks.example.com/S3CR3T", actor="system")
    client = enter(cast.otto)
    told = page(client, "workspaces_agent_change", cast.report_bot.pk)
    assert "https://hooks.example.com/…" in told
    assert "S3CR3T" not in told
    address = reverse("admin:workspaces_agent_set_callback", args=[cast.report_bot.pk])
    assert client.post(address, {"url": "https://other.example.com/"}).status_code == 403
