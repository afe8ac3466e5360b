"""Agents, what is said of them, and their keys."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from audit.models import Entry
from tests.cast import ACTOR, Cast
from tests.workspaces.journal import Journal
from workspaces import agents, catalog, identifiers
from workspaces.changes import Change, OtherWorkspace
from workspaces.models import Agent, AgentKey, Standing

pytestmark = pytest.mark.django_db

SOON = datetime(2030, 1, 1, tzinfo=UTC)


def test_an_agent_has_a_private_group_and_may_do_nothing_yet(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    bot = agents.create_agent(cast.acme, "new-bot", owner=cast.olga, labels=["b", "a"], actor=ACTOR)
    assert bot.group.name == f"agent:{bot.public_id}"
    assert not bot.group.user_set.exists()
    assert (bot.labels, bot.standing) == (["a", "b"], Standing.ACTIVE)
    (body,) = journal.new()
    assert (body["type"], body["agent"]) == ("workspaces.agent.created", bot.public_id)


def test_a_name_is_taken_once_in_a_workspace(cast: Cast) -> None:
    agents.create_agent(cast.globex, "report-bot", owner=cast.gina, actor=ACTOR)
    journal = Journal(cast.acme.log_id)
    with pytest.raises(ValidationError):
        agents.create_agent(cast.acme, "report-bot", owner=cast.olga, actor=ACTOR)
    with pytest.raises(ValidationError):
        agents.create_agent(cast.acme, "label:internal", owner=cast.olga, actor=ACTOR)
    assert journal.new() == []


def test_an_agents_people_belong_to_its_workspace(cast: Cast) -> None:
    with pytest.raises(OtherWorkspace):
        agents.create_agent(cast.acme, "new-bot", owner=cast.gina, actor=ACTOR)
    with pytest.raises(OtherWorkspace):
        agents.change_agent(cast.report_bot, acts_for=[cast.sam], actor=ACTOR)
    assert not Agent.objects.filter(name="new-bot").exists()


def test_only_what_is_given_changes(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    assert agents.change_agent(cast.support_bot, labels=["customer-facing"], actor=ACTOR).unchanged
    agents.change_agent(cast.support_bot, purpose="Refunds", risk_tier="high", actor=ACTOR)
    bot = Agent.objects.get(pk=cast.support_bot.pk)
    assert (bot.purpose, bot.risk_tier, bot.labels) == ("Refunds", "high", ["customer-facing"])
    assert list(bot.acts_for.all()) == [cast.rita]
    assert journal.types() == ["workspaces.agent.changed"]


def test_a_risk_tier_that_is_none_is_refused(cast: Cast) -> None:
    with pytest.raises(ValidationError):
        agents.change_agent(cast.support_bot, risk_tier="enormous", actor=ACTOR)


def test_whom_an_agent_acts_for_is_set_as_a_whole(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    agents.change_agent(cast.support_bot, acts_for=[cast.otto, cast.olga], actor=ACTOR)
    assert set(cast.support_bot.acts_for.all()) == {cast.otto, cast.olga}
    (body,) = journal.new()
    assert [row["state"] is None for row in body["data"]["rows"]] == [False, False, True]


def test_a_change_does_not_undo_a_containment_it_did_not_know_of(cast: Cast, tampering: None) -> None:
    Agent.objects.filter(pk=cast.report_bot.pk).update(standing=Standing.SUSPENDED, epoch=3)
    agents.change_agent(cast.report_bot, purpose="Daily reports", actor=ACTOR)
    bot = Agent.objects.get(pk=cast.report_bot.pk)
    assert (bot.standing, bot.epoch, bot.purpose) == (Standing.SUSPENDED, 3, "Daily reports")


def test_an_agents_roles_are_authoritative(cast: Cast) -> None:
    analyst, support = cast.roles["analyst"], cast.roles["support"]
    journal = Journal(cast.acme.log_id)
    assert agents.set_agent_roles(cast.support_bot, {support: SOON}, actor=ACTOR) is Change.CHANGED
    assert agents.set_agent_roles(cast.support_bot, {support: SOON}, actor=ACTOR) is Change.UNCHANGED
    assert dict(cast.support_bot.agent_roles.values_list("role", "expires_at")) == {support.pk: SOON}
    (body,) = journal.new()
    assert body["data"]["roles"] == ["support"]
    foreign = catalog.set_role(cast.globex, name="ledger", bundle=[], actor=ACTOR).row
    with pytest.raises(OtherWorkspace):
        agents.set_agent_roles(cast.support_bot, {analyst: None, foreign: None}, actor=ACTOR)


# Keys


def test_a_keys_text_is_shown_once_and_kept_as_a_digest(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    key, text = agents.create_key(cast.report_bot, created_by=cast.olga, expires_at=SOON, actor=ACTOR)
    assert identifiers.key_prefix(text) == key.prefix
    assert bytes(AgentKey.objects.get(pk=key.pk).digest) == identifiers.key_digest(text)
    (body,) = journal.new()
    assert (body["type"], body["agent"]) == ("workspaces.key.created", cast.report_bot.public_id)
    assert text[12:] not in json.dumps(body)


def test_an_agent_has_two_live_keys_at_most(cast: Cast) -> None:
    second, _ = agents.create_key(cast.report_bot, actor=ACTOR)
    journal = Journal(cast.acme.log_id)
    with pytest.raises(agents.TooManyKeys, match="revoke the one"):
        agents.create_key(cast.report_bot, actor=ACTOR)
    assert journal.new() == []
    agents.revoke_key(second, actor=ACTOR)
    agents.create_key(cast.report_bot, actor=ACTOR)


@pytest.mark.django_db(transaction=True)
def test_keys_made_at_once_are_still_two(cast: Cast) -> None:
    def attempt(_: int) -> bool:
        try:
            agents.create_key(Agent.objects.get(pk=cast.report_bot.pk), actor=ACTOR)
        except agents.TooManyKeys:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(attempt, range(4))) == 1
    assert cast.report_bot.keys.count() == 2


def test_an_expired_key_makes_room(cast: Cast) -> None:
    past = timezone.now() - timedelta(seconds=1)
    agents.create_key(cast.report_bot, expires_at=past, actor=ACTOR)
    agents.create_key(cast.report_bot, actor=ACTOR)


def test_a_key_is_revoked_once(cast: Cast) -> None:
    key = cast.report_bot.keys.get()
    journal = Journal(cast.acme.log_id)
    assert agents.revoke_key(key, actor=ACTOR) is Change.CHANGED
    assert agents.revoke_key(key, actor=ACTOR) is Change.UNCHANGED
    assert AgentKey.objects.get(pk=key.pk).revoked_at is not None
    assert journal.types() == ["workspaces.key.revoked"]


def test_a_revoked_agent_gets_no_key_again(cast: Cast, tampering: None) -> None:
    Agent.objects.filter(pk=cast.report_bot.pk).update(standing=Standing.REVOKED)
    with pytest.raises(agents.AgentRevoked):
        agents.create_key(cast.report_bot, actor=ACTOR)


def test_no_keys_text_is_in_any_entry(cast: Cast) -> None:
    bodies = b"".join(bytes(body) for body in Entry.objects.values_list("body", flat=True)).decode()
    for text in (cast.report_bot_key, cast.support_bot_key, cast.globex_bot_key):
        assert text[12:-6] not in bodies
