"""Tools, resources, roles for agents and named lists."""

import dataclasses

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from tests.cast import ACTOR, TOOLS, Cast
from tests.workspaces.journal import Journal
from workspaces import access, catalog
from workspaces.changes import Change, OtherWorkspace
from workspaces.declarations import DeclarationError, Risk
from workspaces.models import NamedList, RemovedTool, Resource, ResourceGrant, Role, Tool, ToolGrant, User
from workspaces.resources import PatternError

Bundle = list[tuple[str, Tool | Resource]]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("declaration", TOOLS, ids=[declaration.name for declaration in TOOLS])
def test_a_tool_is_what_it_declared_and_declaring_it_again_writes_nothing(cast: Cast, declaration) -> None:
    tool = Tool.objects.get(workspace=cast.acme, name=declaration.name)
    assert tool.declaration() == declaration
    journal = Journal(cast.acme.log_id)
    assert catalog.set_tool(cast.acme, declaration=declaration, actor=ACTOR).unchanged
    assert journal.new() == []


def test_a_changed_tool_is_an_entry_with_its_new_state(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    riskier = dataclasses.replace(TOOLS[0], risk=Risk.CRITICAL)
    assert catalog.set_tool(cast.acme, declaration=riskier, actor=ACTOR).change is Change.CHANGED
    (body,) = journal.new()
    assert (body["type"], body["tool"]) == ("workspaces.tool.changed", "files.read")
    assert body["data"]["rows"][0]["state"]["risk"] == "critical"
    assert journal.bumped()


def test_a_removed_tool_takes_its_grants_into_the_entry(cast: Cast) -> None:
    tool = cast.tools["files.read"]
    keys = {("workspaces.toolgrant", grant.pk) for grant in tool.grants.all()} | {
        ("workspaces.tool", tool.pk),
    }
    journal = Journal(cast.acme.log_id)
    catalog.remove_tool(tool, actor=ACTOR)
    keys.add(("workspaces.removedtool", RemovedTool.objects.get(name="files.read").pk))
    (body,) = journal.new()
    assert {(row["kind"], row["key"]) for row in body["data"]["rows"]} == keys
    assert len(keys) == 4
    assert not ToolGrant.objects.filter(
        permission__codename="use", content_object__name="files.read"
    ).exists()


def test_the_same_name_next_door_is_another_tool(cast: Cast) -> None:
    assert catalog.set_tool(cast.globex, declaration=TOOLS[0], actor=ACTOR).change is Change.CREATED


@pytest.mark.parametrize("name", ["files.*", "label:x", " files", "a?", "", "x[1]", "a\nb"])
def test_a_name_that_a_selector_would_misread_is_refused(cast: Cast, name: str) -> None:
    journal = Journal(cast.acme.log_id)
    with pytest.raises(ValidationError):
        catalog.set_role(cast.acme, name=name, bundle=[], actor=ACTOR)
    with pytest.raises(ValidationError):
        catalog.set_resource(cast.acme, name=name, pattern="https://x.test/*", actor=ACTOR)
    assert journal.new() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "files.*"},
        {"sensitive": ("card",)},
        {"schema": {"type": "strin"}},
        {"labels": frozenset("*")},
    ],
)
def test_a_declaration_that_cannot_stand_is_refused(cast: Cast, wrong) -> None:
    journal = Journal(cast.acme.log_id)
    with pytest.raises(DeclarationError):
        catalog.set_tool(cast.acme, declaration=dataclasses.replace(TOOLS[0], **wrong), actor=ACTOR)
    assert journal.new() == []


def test_a_resource_changes_its_pattern_and_labels(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    same = catalog.set_resource(
        cast.acme, name="reports", pattern="file:///srv/reports/*", labels=["internal"], actor=ACTOR
    )
    other = catalog.set_resource(cast.acme, name="reports", pattern="file:///srv/reports/2026/*", actor=ACTOR)
    assert (same.change, other.change) == (Change.UNCHANGED, Change.CHANGED)
    (body,) = journal.new()
    assert body["resource"] == cast.resources["reports"].public_id
    assert f"workspaces.resource:{other.row.pk}:pattern" in body["detail"]


def test_a_steward_is_somebody_of_the_workspace(cast: Cast) -> None:
    def steward(person: User) -> Resource:
        reports = cast.resources["reports"]
        return catalog.set_resource(
            cast.acme,
            name="reports",
            pattern=reports.pattern,
            labels=["internal"],
            steward=person,
            actor=ACTOR,
        ).row

    assert steward(cast.rita).steward == cast.rita
    for stranger in (cast.sam, cast.gina):
        with pytest.raises(OtherWorkspace):
            steward(stranger)
    assert Resource.objects.get(pk=cast.resources["reports"].pk).steward == cast.rita


def test_a_pattern_that_can_never_match_is_refused(cast: Cast) -> None:
    with pytest.raises(PatternError):
        catalog.set_resource(cast.acme, name="broken", pattern="no scheme", actor=ACTOR)


def test_a_removed_resource_is_granted_to_nobody(cast: Cast) -> None:
    web = cast.resources["web"]
    catalog.remove_resource(web, actor=ACTOR)
    assert not ResourceGrant.objects.filter(content_object__name="web").exists()
    assert {action for _, action in access.load_agent(cast.report_bot.pk).resources} == {"read"}
    assert len(access.load_agent(cast.report_bot.pk).resources) == 1


def test_a_roles_bundle_is_authoritative(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    bundle: Bundle = [("use", cast.tools["web.fetch"]), ("send", cast.resources["customers"])]
    assert catalog.set_role(cast.acme, name="analyst", bundle=bundle, actor=ACTOR).change is Change.CHANGED
    assert catalog.set_role(cast.acme, name="analyst", bundle=bundle, actor=ACTOR).unchanged
    assert journal.types() == ["workspaces.role.changed"]
    grants = access.load_agent(cast.report_bot.pk)
    assert set(grants.resources) == {(cast.resources["customers"].pk, "send")}


def test_a_removed_role_is_had_by_no_agent(cast: Cast) -> None:
    role = cast.roles["analyst"]
    journal = Journal(cast.acme.log_id)
    catalog.remove_role(role, actor=ACTOR)
    (body,) = journal.new()
    kinds = [row["kind"] for row in body["data"]["rows"]]
    assert (kinds.count("workspaces.agentrole"), kinds.count("workspaces.role")) == (2, 1)
    assert not Role.objects.filter(name="analyst").exists()
    assert not Group.objects.filter(name__endswith=":analyst").exists()
    assert set(access.load_agent(cast.report_bot.pk).tools) == {cast.tools["files.read"].pk}


def test_a_named_list_is_set_and_removed(cast: Cast) -> None:
    journal = Journal(cast.acme.log_id)
    partners = ["orders@partner.test", "help@partner.test"]
    assert catalog.set_list(cast.acme, name="partners", members=partners, actor=ACTOR).unchanged
    empty = catalog.set_list(cast.acme, name="partners", members=[], actor=ACTOR)
    assert empty.row.members == []
    catalog.remove_list(empty.row, actor=ACTOR)
    assert journal.types() == ["workspaces.list.changed"] * 2
    assert not NamedList.objects.exists()


def test_a_list_is_named_as_conditions_can_read_it(cast: Cast) -> None:
    for name in ("our-partners", "1st", "a.b", ""):
        with pytest.raises(ValidationError):
            catalog.set_list(cast.acme, name=name, members=[], actor=ACTOR)
