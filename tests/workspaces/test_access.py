"""Who may do what: grants with ends, roles of people, and what does not exist for a stranger."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser, Permission
from django.core.exceptions import PermissionDenied
from django.http import Http404

from audit.models import Log
from tests.cast import ACTOR, Cast, declare
from tests.workspaces.journal import Journal
from workspaces import access, agents, catalog, people
from workspaces.changes import Change, OtherWorkspace
from workspaces.declarations import Action
from workspaces.models import Membership, Resource, Tool, ToolGrant, User, Workspace

Wanted = dict[tuple[str, Tool | Resource], datetime | None]
pytestmark = pytest.mark.django_db

SOON = datetime(2030, 1, 1, tzinfo=UTC)
LATER = SOON + timedelta(days=30)

WORKSPACE_PERMISSIONS = {
    "view_workspace": "owner compliance_officer approver operator developer auditor",
    "view_content": "owner compliance_officer",
    "view_content_own_agents": "developer",
    "decide": "approver",
    "tighten": "owner compliance_officer operator",
    "tighten_own_agents": "developer",
    "loosen": "owner",
    "manage_agents": "owner developer",
    "manage_tools": "owner developer",
    "draft_policy": "owner compliance_officer developer",
    "publish_policy": "owner compliance_officer",
    "manage_members": "owner",
    "manage_budgets": "owner",
    "view_log": "owner compliance_officer auditor",
    "export_log": "owner compliance_officer auditor",
    "legal_hold": "compliance_officer",
    "erase": "compliance_officer",
}


def fresh(person: User) -> User:
    """The person as the next request would load them."""
    return User.objects.get(pk=person.pk)


@pytest.mark.parametrize("permission", WORKSPACE_PERMISSIONS)
def test_each_permission_belongs_to_the_roles_of_the_table(permission: str) -> None:
    holders = {role.value for role in Membership.Role if permission in access.permissions_for([role])}
    assert holders == set(WORKSPACE_PERMISSIONS[permission].split())


def test_every_permission_in_the_table_exists_on_the_workspace() -> None:
    declared = {codename for codename, _ in Workspace._meta.permissions} | {"view_workspace"}
    assert declared == set(WORKSPACE_PERMISSIONS) == set().union(*access.PERMISSIONS.values())


def test_an_unknown_role_gives_nothing_and_says_so() -> None:
    with pytest.raises(ValueError, match="emperor"):
        access.permissions_for(["emperor"])


def test_the_documented_table_is_the_one_that_holds() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "concepts" / "permissions.md").read_text()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.count("|") == 8
    ]
    roles = [name.replace(" ", "_") for name in rows[0][1:]]
    documented: dict[str, set[str]] = {role: set() for role in roles}
    for row in rows[2:]:
        for permission in re.findall(r"`(\w+)`", row[0]):
            for role, cell in zip(roles, row[1:], strict=True):
                if cell in ("✓", "own agents"):
                    documented[role].add(permission + ("_own_agents" if cell == "own agents" else ""))
    assert documented == {role.value: set(held) for role, held in access.PERMISSIONS.items()}


# Grants


def test_a_grant_is_an_entry_and_a_revision(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    tool = cast.tools["web.fetch"]
    applied = access.grant(cast.report_bot, permission="use", obj=tool, expires_at=SOON, actor="person:usr_1")
    assert applied.change is Change.CREATED
    (body,) = journal.new()
    assert (body["type"], body["actor"]) == ("workspaces.grant.added", "person:usr_1")
    assert (body["agent"], body["tool"]) == (cast.report_bot.public_id, "web.fetch")
    assert body["data"]["rows"][0]["state"]["expires_at"] == "2030-01-01T00:00:00.000000+00:00"
    assert journal.bumped()


def test_granting_again_renews_and_granting_the_same_writes_nothing(cast: Cast) -> None:
    tool = cast.tools["web.fetch"]
    access.grant(cast.report_bot, permission="use", obj=tool, expires_at=SOON, actor=ACTOR)
    journal = Journal(cast.acme.log_id)
    renewed = access.grant(cast.report_bot, permission="use", obj=tool, expires_at=LATER, actor=ACTOR)
    again = access.grant(cast.report_bot, permission="use", obj=tool, expires_at=LATER, actor=ACTOR)
    assert (renewed.change, again.change) == (Change.CHANGED, Change.UNCHANGED)
    assert journal.types() == ["workspaces.grant.added"]
    assert ToolGrant.objects.get(group=cast.report_bot.group, content_object=tool).expires_at == LATER


def test_revoking_takes_the_row_and_says_which_it_was(cast: Cast) -> None:
    tool = cast.tools["files.read"]
    row = ToolGrant.objects.get(group=cast.report_bot.group, content_object=tool)
    journal = Journal(cast.acme.log_id)
    assert access.revoke(cast.report_bot, permission="use", obj=tool, actor=ACTOR)
    assert not access.revoke(cast.report_bot, permission="use", obj=tool, actor=ACTOR)
    (body,) = journal.new()
    assert body["type"] == "workspaces.grant.revoked"
    assert body["data"]["rows"] == [{"kind": "workspaces.toolgrant", "key": row.pk, "state": None}]


def test_setting_grants_is_authoritative(cast: Cast) -> None:
    wanted: Wanted = {("read", cast.resources["web"]): SOON, ("use", cast.tools["mail.send"]): None}
    journal = Journal(cast.acme.log_id)
    assert access.set_grants(cast.report_bot, wanted, actor=ACTOR)
    assert journal.types() == ["workspaces.grant.added", "workspaces.grant.revoked"]
    own = {(line.permission, str(line.target)): line.expires_at
           for line in access.grants_of(cast.report_bot) if line.through is None}  # fmt: skip
    assert own == {("read", "web"): SOON, ("use", "mail.send"): None}
    assert not access.set_grants(cast.report_bot, wanted, actor=ACTOR)
    assert len(journal.types()) == 2


def test_a_tool_is_used_and_a_resource_is_not(cast: Cast) -> None:
    wrong: list[tuple[str, Tool | Resource]] = [
        ("read", cast.tools["web.fetch"]),
        ("use", cast.resources["web"]),
    ]
    for permission, obj in wrong:
        with pytest.raises(access.NoSuchPermission):
            access.grant(cast.report_bot, permission=permission, obj=obj, actor=ACTOR)


def test_nothing_is_granted_over_the_wall(cast: Cast) -> None:
    with pytest.raises(OtherWorkspace):
        access.grant(cast.globex_bot, permission="use", obj=cast.tools["web.fetch"], actor=ACTOR)
    assert access.load_agent(cast.globex_bot.pk) == access.AgentGrants({}, {})


def test_a_failed_change_leaves_neither_row_nor_entry(cast: Cast) -> None:
    foreign = catalog.set_tool(cast.globex, declaration=declare("x.y", Action.READ), actor=ACTOR).row
    journal = Journal(cast.acme.log_id)
    before = access.load_agent(cast.report_bot.pk)
    with pytest.raises(OtherWorkspace):
        access.set_grants(
            cast.report_bot, {("use", cast.tools["mail.send"]): None, ("use", foreign): None}, actor=ACTOR
        )
    assert (access.load_agent(cast.report_bot.pk), journal.new()) == (before, [])


# What the decision snapshot reads


def test_an_agent_has_its_own_grants_and_those_of_its_roles(cast: Cast) -> None:
    grants = access.load_agent(cast.report_bot.pk)
    assert grants.tools == {cast.tools["files.read"].pk: None, cast.tools["web.fetch"].pk: None}
    assert grants.resources == {
        (cast.resources["reports"].pk, "read"): None,
        (cast.resources["web"].pk, "read"): None,
    }


def test_on_one_path_the_earlier_end_counts(cast: Cast) -> None:
    analyst, web = cast.roles["analyst"], cast.tools["web.fetch"]
    access.grant(analyst, permission="use", obj=web, expires_at=SOON, actor=ACTOR)
    agents.set_agent_roles(cast.report_bot, {analyst: LATER}, actor=ACTOR)
    assert access.load_agent(cast.report_bot.pk).tools[web.pk] == SOON
    agents.set_agent_roles(cast.report_bot, {analyst: SOON - timedelta(days=1)}, actor=ACTOR)
    assert access.load_agent(cast.report_bot.pk).tools[web.pk] == SOON - timedelta(days=1)


def test_over_several_paths_the_latest_end_counts(cast: Cast) -> None:
    analyst, web = cast.roles["analyst"], cast.tools["web.fetch"]
    agents.set_agent_roles(cast.report_bot, {analyst: SOON}, actor=ACTOR)
    access.grant(cast.report_bot, permission="use", obj=web, expires_at=LATER, actor=ACTOR)
    assert access.load_agent(cast.report_bot.pk).tools[web.pk] == LATER
    access.grant(cast.report_bot, permission="use", obj=web, expires_at=None, actor=ACTOR)
    assert access.load_agent(cast.report_bot.pk).tools[web.pk] is None


def test_an_agent_loads_in_three_queries(cast: Cast, django_assert_num_queries) -> None:
    with django_assert_num_queries(3):
        access.load_agent(cast.support_bot.pk)


def test_an_unknown_agent_has_nothing(db: None) -> None:
    assert access.load_agent(123456) == access.AgentGrants({}, {})


# People


def test_people_see_the_workspaces_they_belong_to(cast: Cast) -> None:
    assert list(access.workspaces_for(cast.otto)) == [cast.acme]
    assert list(access.workspaces_for(cast.gina)) == [cast.globex]
    assert list(access.workspaces_for(cast.sam)) == []
    assert list(access.workspaces_for(AnonymousUser())) == []
    assert list(access.workspaces_for(cast.rita, "decide")) == [cast.acme]
    assert list(access.workspaces_for(cast.otto, "decide")) == []


def test_what_one_may_not_see_does_not_exist(cast: Cast) -> None:
    for stranger in (cast.sam, cast.gina, AnonymousUser()):
        with pytest.raises(access.NotVisible) as refused:
            access.get_workspace(stranger, "acme")
        assert isinstance(refused.value, Http404)
        with pytest.raises(access.NotVisible):
            access.get_agent(stranger, cast.report_bot.public_id)
    assert access.get_agent(cast.otto, cast.report_bot.public_id) == cast.report_bot


def test_what_one_sees_and_may_not_do_is_forbidden(cast: Cast) -> None:
    assert access.get_workspace(cast.olga, "acme", "manage_members") == cast.acme
    with pytest.raises(access.Forbidden) as refused:
        access.get_workspace(cast.otto, "acme", "manage_members")
    assert isinstance(refused.value, PermissionDenied)
    with pytest.raises(access.Forbidden):
        access.get_agent(cast.otto, cast.report_bot.public_id, "view_content")


def test_a_superuser_holds_no_workspace(cast: Cast) -> None:
    cast.sam.is_superuser = True
    assert not access.may(cast.sam, "view_workspace", cast.acme)
    assert list(access.workspaces_for(cast.sam)) == []
    assert access.readable(cast.sam) == {}


def test_a_model_level_permission_opens_no_workspace(cast: Cast) -> None:
    cast.sam.user_permissions.add(Permission.objects.get(codename="view_workspace"))
    sam = fresh(cast.sam)
    assert sam.has_perm("workspaces.view_workspace")
    assert not access.may(sam, "view_workspace", cast.acme)
    assert list(access.workspaces_for(sam)) == []


def test_who_is_no_longer_active_may_nothing(cast: Cast) -> None:
    people.deactivate(cast.olga, actor=ACTOR)
    olga = fresh(cast.olga)
    assert not access.may(olga, "view_workspace", cast.acme)
    assert list(access.workspaces_for(olga)) == []
    assert access.readable(olga) == {}


def test_a_developer_sees_into_and_stops_only_their_own_agents(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.sam, roles=["developer"], actor=ACTOR)
    agents.change_agent(cast.report_bot, owner=cast.sam, actor=ACTOR)
    for permission in ("view_content", "tighten"):
        assert access.may(cast.sam, permission, cast.report_bot)
        assert not access.may(cast.sam, permission, cast.support_bot)
        assert not access.may(cast.sam, permission, cast.acme)


def test_nobody_loosens_their_own_agent(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.rita, roles=["owner"], actor=ACTOR)
    assert access.may(cast.rita, "loosen", cast.report_bot)
    assert not access.may(cast.olga, "loosen", cast.report_bot)
    assert access.may(cast.olga, "loosen", cast.acme)
    assert access.may(cast.olga, "tighten", cast.report_bot)


def test_permissions_are_read_once_a_request(cast: Cast, django_assert_num_queries) -> None:
    otto = fresh(cast.otto)
    with django_assert_num_queries(1):
        assert access.may(otto, "tighten", cast.acme)
        assert not access.may(otto, "loosen", cast.acme)
        assert not access.may(otto, "tighten", cast.globex)


def test_a_log_is_read_whole_with_view_log_and_else_agent_by_agent(cast: Cast) -> None:
    bots = {cast.report_bot.public_id, cast.support_bot.public_id}
    assert access.readable(cast.olga) == {cast.acme.log_id: None}
    assert access.readable(cast.otto) == {cast.acme.log_id: bots}
    assert access.readable(cast.sam) == access.readable(AnonymousUser()) == {}
    installation = Log.objects.get(kind=Log.Kind.INSTALLATION)
    assert installation.pk not in access.readable(cast.olga)


def test_what_is_readable_follows_the_roles_at_once(cast: Cast) -> None:
    otto = fresh(cast.otto)
    assert access.readable(otto)
    people.set_roles(cast.acme, cast.otto, roles=[], actor=ACTOR)
    assert access.readable(otto) == {}


def test_a_grant_says_who_gave_it_and_who_renewed_it(cast: Cast) -> None:
    bot, tool = cast.report_bot, cast.tools["mail.send"]
    access.grant(bot, permission="use", obj=tool, actor="cli:root@host")
    assert tool.grants.get(group=bot.group).granted_by == "cli:root@host"
    access.grant(bot, permission="use", obj=tool, expires_at=SOON, actor=people.actor_of(cast.olga))
    assert tool.grants.get(group=bot.group).granted_by == f"person:{cast.olga.public_id}"
    assert cast.report_bot.agent_roles.get().granted_by == ACTOR
