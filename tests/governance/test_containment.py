"""The containment ladder: who may take which step, what it writes, and the three doors to it."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from audit.models import Entry
from governance import containment, subjects
from governance.containment import AlreadyRevoked, BadStanding, NotAllowed, effective, set_standing
from tests.cast import Cast, employ
from tests.details import content_of
from workspaces import agents, people, tenancy
from workspaces.models import Agent, AgentKey, Installation, Standing, User, Workspace
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db

LADDER = ["observe", "active", "supervised", "read_only", "suspended", "revoked"]


@pytest.fixture
def oscar(cast: Cast) -> User:
    """A second owner of acme, who owns no agent."""
    return employ(cast.acme, "oscar@acme.test", "Oscar Other", "owner")


@pytest.fixture
def dora(cast: Cast) -> User:
    """A developer of acme, who owns dora-bot."""
    dora = employ(cast.acme, "dora@acme.test", "Dora Developer", "developer")
    agents.create_agent(cast.acme, "dora-bot", owner=dora, actor="system")
    return dora


def put(scope: containment.Scope, standing: str, person: User | None = None, **more: Any) -> containment.Step:
    actor = actor_of(person) if person else "cli:root@console"
    return set_standing(scope, standing, reason="Because of a test.", actor=actor, person=person, **more)


def steps(log_id: int) -> list[dict[str, Any]]:
    rows = Entry.objects.filter(log_id=log_id, type="governance.containment.changed").order_by("index")
    return [json.loads(bytes(row.body)) for row in rows]


def refused(scope: containment.Scope, standing: str, person: User) -> str:
    with pytest.raises(NotAllowed) as refusal:
        put(scope, standing, person)
    return str(refusal.value)


def test_a_step_changes_the_row_bumps_its_epoch_and_is_one_entry(cast: Cast) -> None:
    step = put(cast.report_bot, "suspended", cast.otto)
    agent = Agent.objects.get(pk=cast.report_bot.pk)
    assert (agent.standing, agent.standing_reason, agent.epoch) == ("suspended", "Because of a test.", 1)
    assert step.changed
    assert step.requested_at <= step.confirmed_at
    (entry,) = steps(cast.acme.log_id)
    assert entry["index"] == step.index
    assert (entry["actor"], entry["agent"], entry["outcome"]) == (
        actor_of(cast.otto),
        cast.report_bot.public_id,
        "suspended",
    )
    assert {key: entry["data"][key] for key in ("scope", "from", "to")} == {
        "scope": "agent",
        "from": "active",
        "to": "suspended",
    }
    assert entry["data"]["requested_at"]


def test_the_reason_stands_in_the_detail_and_never_in_the_body(cast: Cast) -> None:
    step = put(cast.report_bot, "suspended", cast.otto)
    assert step.index is not None
    row = Entry.objects.get(log_id=cast.acme.log_id, index=step.index)
    assert b"Because of a test" not in bytes(row.body)
    detail = content_of(row.log_id, row.index)
    assert detail["reason"]["value"] == "Because of a test."


def test_the_standing_it_has_already_is_no_step(cast: Cast) -> None:
    put(cast.report_bot, "suspended", cast.otto)
    again = put(cast.report_bot, "suspended", cast.rita)
    assert (again.changed, again.index, again.after) == (False, None, Standing.SUSPENDED)
    assert len(steps(cast.acme.log_id)) == 1
    assert Agent.objects.get(pk=cast.report_bot.pk).epoch == 1


@pytest.mark.parametrize("who", ["olga", "rita", "otto"])
def test_owners_compliance_officers_and_operators_tighten(cast: Cast, who: str) -> None:
    person = getattr(cast, who)
    for standing in LADDER[2:5]:
        assert put(cast.support_bot, standing, person).changed
    assert put(cast.acme, "read_only", person).changed


def test_a_developer_tightens_agents_of_their_own_and_no_others(cast: Cast, dora: User) -> None:
    own = Agent.objects.get(name="dora-bot")
    assert put(own, "suspended", dora).changed
    assert "ask an operator" in refused(cast.report_bot, "suspended", dora)
    assert "ask an operator" in refused(cast.acme, "suspended", dora)
    assert "of their own" in refused(own, "active", dora)


def test_only_an_owner_who_is_not_the_agents_owner_loosens(cast: Cast, oscar: User) -> None:
    put(cast.report_bot, "suspended", cast.otto)
    assert "of their own" in refused(cast.report_bot, "supervised", cast.olga)
    for person in (cast.otto, cast.rita):
        assert "Only an owner" in refused(cast.report_bot, "supervised", person)
    assert put(cast.report_bot, "supervised", oscar).changed
    assert put(cast.report_bot, "active", oscar).changed


def test_people_of_other_workspaces_and_strangers_may_do_nothing(cast: Cast) -> None:
    for person in (cast.sam, cast.gina):
        refused(cast.report_bot, "suspended", person)
        refused(cast.acme, "suspended", person)
    assert steps(cast.acme.log_id) == []


def test_a_permission_that_was_just_taken_away_does_not_count(cast: Cast) -> None:
    assert put(cast.report_bot, "read_only", cast.otto).changed
    same_person = User.objects.get(pk=cast.otto.pk)
    people.set_roles(cast.acme, same_person, roles=[], actor="system")
    refused(cast.report_bot, "suspended", cast.otto)


def test_a_superuser_holds_no_workspace(cast: Cast) -> None:
    cast.sam.is_superuser = True
    refused(cast.acme, "suspended", cast.sam)


def test_an_owner_does_not_loosen_own_agents_by_observing_the_workspace(cast: Cast, oscar: User) -> None:
    assert "agents of your own" in refused(cast.acme, "observe", cast.olga)
    assert put(cast.acme, "observe", oscar).changed


def test_revoked_is_final_and_takes_the_keys(cast: Cast, oscar: User) -> None:
    put(cast.report_bot, "revoked", cast.otto)
    assert all(key.revoked_at for key in AgentKey.objects.filter(agent=cast.report_bot))
    assert not any(key.revoked_at for key in AgentKey.objects.filter(agent=cast.support_bot))
    (entry,) = steps(cast.acme.log_id)
    assert [row["kind"] for row in entry["data"]["rows"]] == ["workspaces.agent", "workspaces.agentkey"]
    for person in (oscar, None):
        with pytest.raises(AlreadyRevoked):
            put(cast.report_bot, "active", person)
    assert not put(cast.report_bot, "revoked", cast.otto).changed


def test_a_revoked_workspace_takes_the_keys_of_all_its_agents(cast: Cast) -> None:
    put(cast.acme, "revoked", cast.olga)
    assert not AgentKey.objects.filter(agent__workspace=cast.acme, revoked_at=None).exists()
    assert AgentKey.objects.filter(agent__workspace=cast.globex, revoked_at=None).exists()


def test_an_observation_ends_within_14_days(cast: Cast, oscar: User) -> None:
    now = timezone.now()
    for until in (now + timedelta(days=14, hours=1), now - timedelta(seconds=1)):
        with pytest.raises(BadStanding, match="14 days"):
            put(cast.report_bot, "observe", oscar, until=until)
    with pytest.raises(BadStanding, match="Only an observation"):
        put(cast.report_bot, "suspended", oscar, until=now + timedelta(days=1))
    step = put(cast.report_bot, "observe", oscar)
    assert isinstance(step.row, Agent)
    assert step.row.observe_until is not None
    assert timedelta(days=13, hours=23) < step.row.observe_until - now <= timedelta(days=14, minutes=1)
    assert put(cast.report_bot, "active", cast.otto).changed  # tightening
    assert Agent.objects.get(pk=cast.report_bot.pk).observe_until is None


def test_an_observation_that_ended_counts_as_active(cast: Cast, oscar: User) -> None:
    put(cast.report_bot, "observe", oscar)
    Agent.objects.filter(pk=cast.report_bot.pk).update(observe_until=timezone.now() - timedelta(minutes=1))
    refused(cast.report_bot, "observe", cast.otto)
    step = put(cast.report_bot, "observe", oscar)
    assert (step.before, step.changed) == (Standing.ACTIVE, True)


@pytest.mark.parametrize("standing", ["", "Suspended", "dead", "observe "])
def test_an_unknown_standing_is_refused_with_the_known_ones(cast: Cast, standing: str) -> None:
    with pytest.raises(BadStanding, match="observe, active, supervised, read_only, suspended, revoked"):
        put(cast.report_bot, standing, cast.otto)


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_step_needs_a_reason(cast: Cast, reason: str) -> None:
    with pytest.raises(BadStanding, match="reason"):
        set_standing(cast.acme, "suspended", reason=reason, actor="cli:a@b", person=None)


@pytest.mark.parametrize("actor", ["agent:agt_x", "system", "person:usr_x"])
def test_nobody_in_particular_may_do_nothing(cast: Cast, actor: str) -> None:
    with pytest.raises(NotAllowed):
        set_standing(cast.acme, "suspended", reason="r", actor=actor, person=None)


def test_an_installation_wide_step_is_an_entry_in_every_log_and_bumps_every_workspace(cast: Cast) -> None:
    installation = tenancy.install(actor="system")
    step = put(installation, "suspended")
    assert Installation.objects.get().standing == "suspended"
    logs = [installation.log_id, cast.acme.log_id, cast.globex.log_id]
    bodies = [body for log_id in logs for body in steps(log_id)]
    assert [body["data"]["scope"] for body in bodies] == ["installation"] * 3
    assert len({body["data"]["requested_at"] for body in bodies}) == 1
    assert bodies[0]["index"] == step.index
    assert list(Workspace.objects.values_list("epoch", "standing")) == [(1, "active")] * 2


def test_revoking_the_installation_tells_each_workspace_of_its_own_keys_only(cast: Cast) -> None:
    put(tenancy.install(actor="system"), "revoked")
    assert not AgentKey.objects.filter(revoked_at=None).exists()
    (acme,) = steps(cast.acme.log_id)
    keys = {row["key"] for row in acme["data"]["rows"] if row["kind"] == "workspaces.agentkey"}
    assert keys == set(AgentKey.objects.filter(agent__workspace=cast.acme).values_list("pk", flat=True))


def test_only_administrators_contain_the_installation(cast: Cast) -> None:
    installation = tenancy.install(actor="system")
    assert "administrator" in refused(installation, "suspended", cast.olga)
    cast.sam.is_superuser = True
    assert put(installation, "suspended", cast.sam).changed
    assert put(installation, "active", cast.sam).changed


def test_the_rungs_are_judged_in_the_order_in_which_people_choose_them() -> None:
    assert list(subjects.LADDER) == LADDER == Standing.values


@pytest.mark.parametrize("agent", LADDER)
@pytest.mark.parametrize("workspace", LADDER)
@pytest.mark.parametrize("installation", LADDER)
def test_the_strictest_scope_holds(agent: str, workspace: str, installation: str) -> None:
    now = timezone.now()
    until = now + timedelta(days=1)
    held = effective(
        Agent(standing=agent, observe_until=until),
        Workspace(standing=workspace, observe_until=until),
        Installation(standing=installation, observe_until=until),
        now=now,
    )
    strictest = max(LADDER.index(standing) for standing in (agent, workspace, installation))
    # "active" is what a scope is that says nothing, so an observation elsewhere is heard.
    wanted = (
        "observe" if strictest == 1 and "observe" in (agent, workspace, installation) else LADDER[strictest]
    )
    assert held == wanted


# The command line


def contain(*arguments: str) -> str:
    out = StringIO()
    call_command("contain", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_line_contains_and_releases(cast: Cast) -> None:
    said = contain("--workspace", "acme", "--agent", "report-bot", "suspended", "--reason", "It went wild.")
    (entry,) = steps(cast.acme.log_id)
    assert f"report-bot: active -> suspended, entry {entry['index']}, requested " in said
    assert "confirmed " in said
    assert entry["actor"].startswith("cli:")
    assert "@" in entry["actor"]
    assert "nothing was written" in contain(
        "--workspace", "acme", "--agent", "report-bot", "suspended", "--reason", "Again."
    )
    contain("--workspace", "acme", "--agent", cast.report_bot.public_id, "active", "--reason", "Tamed.")
    assert Agent.objects.get(pk=cast.report_bot.pk).standing == "active"


def test_the_command_line_contains_every_agent_the_workspace_or_everything(cast: Cast) -> None:
    assert contain("--workspace", "acme", "--all-agents", "read_only", "--reason", "r").count("entry") == 2
    contain("--workspace", "acme", "supervised", "--reason", "r")
    contain("--installation", "suspended", "--reason", "r")
    assert list(cast.acme.agents.values_list("standing", flat=True)) == ["read_only"] * 2
    assert Workspace.objects.get(slug="acme").standing == "supervised"
    assert Installation.objects.get().standing == "suspended"


def test_the_command_line_says_what_it_cannot_find(cast: Cast) -> None:
    with pytest.raises(CommandError, match="no workspace 'nowhere'"):
        contain("--workspace", "nowhere", "suspended", "--reason", "r")
    with pytest.raises(CommandError, match="no agent 'globex-bot' in acme"):
        contain("--workspace", "acme", "--agent", "globex-bot", "suspended", "--reason", "r")
    with pytest.raises(CommandError, match="14 days"):
        contain("--workspace", "acme", "observe", "--days", "15", "--reason", "r")


# The API


def post(person: User | None, path: str, body: Any = None) -> Any:
    client = Client()
    if person is not None:
        client.force_login(person)
    body = {"standing": "suspended", "reason": "From the API."} if body is None else body
    return client.post(f"/api/v1/{path}", body, content_type="application/json")


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == "about:blank"
    assert (document["status"], document["code"]) == (status, code)
    assert document["title"]
    assert document["detail"].endswith(".")
    return document


def test_the_api_contains_an_agent_and_a_workspace(cast: Cast) -> None:
    answer = post(cast.otto, f"workspaces/acme/agents/{cast.report_bot.public_id}/containment")
    assert answer.status_code == 200
    (entry,) = steps(cast.acme.log_id)
    said = answer.json()
    assert (said["scope"], said["previous"], said["standing"], said["changed"], said["entry"]) == (
        "agent",
        "active",
        "suspended",
        True,
        entry["index"],
    )
    assert said["requested_at"] <= said["confirmed_at"]
    assert post(cast.otto, "workspaces/acme/containment").json()["scope"] == "workspace"


def test_what_a_person_may_not_see_is_not_there(cast: Cast) -> None:
    agent = cast.report_bot.public_id
    for person, path in [
        (cast.sam, "workspaces/acme/containment"),
        (cast.gina, "workspaces/acme/containment"),
        (cast.otto, "workspaces/nowhere/containment"),
        (cast.sam, f"workspaces/acme/agents/{agent}/containment"),
        (cast.gina, f"workspaces/globex/agents/{agent}/containment"),
        (cast.otto, f"workspaces/globex/agents/{agent}/containment"),
        (cast.otto, f"workspaces/acme/agents/{cast.globex_bot.public_id}/containment"),
    ]:
        assert_problem(post(person, path), 404, "not_found")
    assert steps(cast.acme.log_id) == []


def test_refusals_of_the_api_are_problem_documents(cast: Cast) -> None:
    path = "workspaces/acme/containment"
    assert_problem(post(None, path), 401, "not_authenticated")
    assert_problem(post(cast.olga, "installation/containment"), 403, "permission_denied")
    post(cast.otto, path)
    loosen = {"standing": "active", "reason": "r"}
    assert_problem(post(cast.otto, path, loosen), 403, "not_allowed")
    post(cast.olga, path, {"standing": "revoked", "reason": "r"})
    assert_problem(post(cast.olga, path, loosen), 409, "already_revoked")
    bad = assert_problem(post(cast.olga, path, {"standing": "dead", "force": True}), 400, "invalid_request")
    assert {error["path"][0] for error in bad["errors"]} == {"standing", "reason"}
    bad = assert_problem(post(cast.olga, path, {**loosen, "force": True}), 400, "invalid_request")
    assert {error["path"][0] for error in bad["errors"]} == {"force"}
    late = {"standing": "observe", "reason": "r", "until": "2999-01-01T00:00:00Z"}
    assert_problem(post(cast.olga, path, late), 400, "bad_standing")


def test_malformed_requests_are_problem_documents(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.otto)
    path = "/api/v1/workspaces/acme/containment"
    assert_problem(client.post(path, "{}", content_type="application/json"), 403, "permission_denied")
    client = Client()
    client.force_login(cast.otto)
    assert_problem(client.post(path, "{", content_type="application/json"), 400, "parse_error")
    assert_problem(client.post(path, "x", content_type="text/plain"), 415, "unsupported_media_type")
    assert_problem(client.post(path, "[]", content_type="application/json"), 400, "invalid_request")
    assert_problem(client.get(path), 405, "method_not_allowed")
    assert_problem(client.get("/api/v1/nothing/here"), 404, "not_found")
    assert_problem(client.delete("/api/v1/"), 404, "not_found")


def test_an_administrator_contains_the_installation_over_the_api(cast: Cast) -> None:
    User.objects.filter(pk=cast.sam.pk).update(is_superuser=True)
    answer = post(cast.sam, "installation/containment")
    assert (answer.status_code, answer.json()["scope"]) == (200, "installation")
    assert_problem(post(cast.sam, "workspaces/acme/containment"), 404, "not_found")


def test_who_may_only_tighten_opens_no_way_for_writes(cast: Cast) -> None:
    """From read_only to supervised is loosening: a write that was refused could then be approved."""
    put(cast.report_bot, "read_only", cast.otto)
    with pytest.raises(containment.NotAllowed):
        put(cast.report_bot, "supervised", cast.otto)


def test_a_supervised_workspace_takes_no_agent_out_of_read_only(cast: Cast) -> None:
    now = timezone.now()
    cast.report_bot.standing, cast.acme.standing = "read_only", "supervised"
    assert containment.effective(cast.report_bot, cast.acme, None, now=now) == "read_only"
