"""The pages of tools, resources, roles and named lists."""

import json

from tests.cast import Cast
from tests.portal import enter, latest, page, press
from workspaces import tenancy
from workspaces.access.grants import own_grants
from workspaces.models import NamedList, Resource, Role, Tool

REFUND = {"action": "spend", "risk": "high", "resource": "invoice://{invoice}", "schema": ""}


def test_a_tool_is_declared_field_by_field(cast: Cast) -> None:
    client = enter(cast.olga)
    press(
        client,
        "workspaces_tool_add",
        workspace=cast.acme.pk,
        name="db.copy",
        action="write",
        risk="medium",
        labels="private_data",
        resource="db://{to}\ndb://{from} => read",
        cost_usd="0.02",
        schema='{"type": "object", "properties": {"to": {"type": "string"}, "from": {"type": "string"}}}',
    )
    tool = Tool.objects.get(name="db.copy")
    assert tool.templates == [
        {"template": "db://{to}", "action": "write"},
        {"template": "db://{from}", "action": "read"},
    ]
    assert (tool.cost_nanos, tool.reversible) == (20_000_000, False)
    assert (latest(cast.acme).type, latest(cast.acme).tool) == ("workspaces.tool.changed", "db.copy")
    shown = page(client, "workspaces_tool_change", tool.pk)
    assert "db://{from} =&gt; read" in shown
    assert "0.02" in shown


def test_a_broken_declaration_is_told_at_its_field_and_nothing_changes(cast: Cast) -> None:
    client, tool = enter(cast.olga), cast.tools["billing.refund"]
    entries = latest(cast.acme).index
    shown = press(client, "workspaces_tool_change", tool.pk, **REFUND | {"resource": "{nonsense"})
    assert "errorlist" in shown or "text-red" in shown
    assert "single { or }" in shown
    assert "Dollars as a string" in press(
        client, "workspaces_tool_change", tool.pk, **REFUND, cost_usd="much"
    )
    assert "Enter a valid JSON" in press(
        client, "workspaces_tool_change", tool.pk, **REFUND | {"schema": "{"}
    )
    assert latest(cast.acme).index == entries


def test_a_new_tool_does_not_take_the_place_of_one_with_its_name(cast: Cast) -> None:
    fields = {"workspace": cast.acme.pk, "name": "files.read", "action": "delete", "risk": "low"}
    assert "called files.read here already" in press(enter(cast.olga), "workspaces_tool_add", **fields)
    assert Tool.objects.get(workspace=cast.acme, name="files.read").action == "read"


def test_where_two_people_guard_one_gives_no_tool_more_room(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    client, tool = enter(cast.olga), cast.tools["billing.refund"]
    keep = {"labels": "", "sensitive": "/card_number", "schema": json.dumps(tool.schema)}
    told = press(client, "workspaces_tool_change", tool.pk, **REFUND | keep | {"risk": "low"})
    assert "more room by its risk" in told
    tool.refresh_from_db()
    assert tool.risk == "high"
    press(client, "workspaces_tool_change", tool.pk, **REFUND | keep | {"risk": "critical"})
    tool.refresh_from_db()
    assert tool.risk == "critical"


def test_a_resource_with_a_bad_pattern_says_why(cast: Cast) -> None:
    client = enter(cast.olga)
    fields = {"workspace": cast.acme.pk, "name": "odd"}
    assert "absolute path" in press(client, "workspaces_resource_add", **fields, pattern="file://relative")
    press(client, "workspaces_resource_add", **fields, pattern="file:///odd/*", labels="x")
    assert Resource.objects.get(name="odd").labels == ["x"]


def test_a_role_bundles_what_is_chosen(cast: Cast) -> None:
    client = enter(cast.olga)
    press(client, "workspaces_role_add", workspace=cast.acme.pk, name="reader")
    role = Role.objects.get(name="reader")
    chosen = [f"use:{cast.tools['files.read'].public_id}", f"read:{cast.resources['reports'].public_id}"]
    press(client, "workspaces_role_change", role.pk, bundle=chosen)
    assert [row.permission.codename for row in own_grants(role)] == ["use", "read"]
    press(client, "workspaces_role_change", role.pk, bundle=chosen[:1])
    assert len(own_grants(role)) == 1
    press(client, "workspaces_role_delete", role.pk, post="yes")
    assert not Role.objects.filter(pk=role.pk).exists()
    assert latest(cast.acme).type == "workspaces.role.removed"


def test_a_named_list_keeps_its_order_and_drops_repeats(cast: Cast) -> None:
    client, named = enter(cast.rita), NamedList.objects.get(name="partners")
    press(client, "workspaces_namedlist_change", named.pk, members="z@x.test\na@x.test\nz@x.test\n")
    named.refresh_from_db()
    assert named.members == ["z@x.test", "a@x.test"]
    assert latest(cast.acme).actor == f"person:{cast.rita.public_id}"
