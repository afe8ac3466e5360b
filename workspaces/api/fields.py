"""Fields that name people, tools and resources of the view's workspace by their public ids."""

from typing import Any

from rest_framework import serializers

from workspaces.models import Agent, Resource, Tool, User, Workspace


class MemberField(serializers.CharField):
    """The public id of a person with a role in the workspace."""

    default_error_messages = {"unknown": "Nobody here has this id; give the person a role first."}

    def to_internal_value(self, data: Any) -> Any:
        workspace: Workspace = self.context["view"].workspace
        people = User.objects.filter(memberships__workspace=workspace)
        person = people.filter(public_id=super().to_internal_value(data)).first()
        if person is None:
            self.fail("unknown")
        return person

    def to_representation(self, value: Any) -> Any:
        return value.public_id


class AgentField(serializers.CharField):
    """The public id of an agent of the workspace."""

    default_error_messages = {"unknown": "No agent here has this id."}

    def to_internal_value(self, data: Any) -> Any:
        workspace: Workspace = self.context["view"].workspace
        agents = Agent.objects.filter(workspace=workspace).select_related("workspace", "owner")
        agent = agents.filter(public_id=super().to_internal_value(data)).first()
        if agent is None:
            self.fail("unknown")
        return agent

    def to_representation(self, value: Any) -> Any:
        return value.public_id


class Labels(serializers.ListField):
    """Short texts by which rules find things."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.CharField(max_length=64), max_length=50, **options)


def named_targets(workspace: Workspace, wanted: list[dict[str, str]]) -> list[tuple[str, Tool | Resource]]:
    """(permission, tool or resource) of each ``{permission, target}``, in two queries. Raises ValidationError."""
    here: dict[str, Any] = {
        "workspace": workspace,
        "public_id__in": [each["target"] for each in wanted],
    }
    known: dict[str, Tool | Resource] = {row.public_id: row for row in Tool.objects.filter(**here)}
    known |= {row.public_id: row for row in Resource.objects.filter(**here)}
    return [(each["permission"], named_error(known.get(each["target"]), "target")) for each in wanted]


def named_error(row: Any, what: str) -> Any:
    """The row again. Raises ValidationError, as for a field, for none."""
    if row is None:
        raise serializers.ValidationError({what: f"There is no such {what} here."})
    return row
