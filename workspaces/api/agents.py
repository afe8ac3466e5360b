"""Agents with their keys, roles and grants."""

from datetime import datetime, timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.pages import Whole
from audit.api.problems import Exact
from audit.api.views import Listing
from workspaces import access, agents, callbacks
from workspaces.api.fields import Labels, MemberField, named_error
from workspaces.api.views import VIEW, WorkspaceView, found
from workspaces.changes import Change
from workspaces.declarations import Risk
from workspaces.models import RISKS, Agent, AgentKey, Resource, Role, Standing, Tool

MANAGE = "manage_agents"


class Principals(serializers.ListField):
    """People whom an agent may name in ``on_behalf_of``."""

    child = MemberField()

    def get_attribute(self, instance: Agent) -> Any:
        return [row.person for row in instance.principals.all()]


@extend_schema_field({"type": "object", "additionalProperties": True})
class LoopLimitsField(serializers.DictField):
    """Loop limits by name; whether they make sense is known by ``workspaces.loop_limits``."""


class AgentDocument(Exact):
    """An agent."""

    id = serializers.CharField(source="public_id", read_only=True)
    name = serializers.CharField(max_length=100)
    owner = MemberField(required=False, help_text="A person's id; who creates the agent, where left out.")
    purpose = serializers.CharField(max_length=500, allow_blank=True, required=False)
    labels = Labels(required=False)
    risk_tier = serializers.ChoiceField(RISKS, default=Risk.LOW.value, required=False)
    isolated_runs = serializers.BooleanField(
        required=False, help_text="Labels of one session do not follow into the next."
    )
    sessions_per_hour = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, allow_null=True, required=False
    )
    most_waiting = serializers.IntegerField(
        min_value=1,
        max_value=1000,
        allow_null=True,
        required=False,
        help_text="Calls that may wait for people at once; null is 20.",
    )
    cost_center = serializers.CharField(
        max_length=100, allow_blank=True, required=False, help_text="Whose accounts its calls are booked to."
    )
    loop_limits = LoopLimitsField(
        required=False,
        help_text="What of loops differs from the defaults, as in a workspace file; {}: nothing.",
    )
    acts_for = Principals(required=False)
    standing = serializers.ChoiceField(Standing.choices, read_only=True)
    standing_reason = serializers.CharField(read_only=True)
    observe_until = serializers.DateTimeField(read_only=True, allow_null=True)
    created = serializers.DateTimeField(read_only=True)


class AgentFilter(django_filters.FilterSet):
    """Agents by what they are."""

    name = django_filters.CharFilter()
    standing = django_filters.ChoiceFilter(choices=Standing.choices)
    risk_tier = django_filters.ChoiceFilter(choices=RISKS)
    owner = django_filters.CharFilter(field_name="owner__public_id")

    class Meta:
        model = Agent
        fields: list[str] = []


class AgentRows(WorkspaceView):
    """The agents of the workspace."""

    serializer_class = AgentDocument

    def get_queryset(self) -> QuerySet[Agent]:
        rows = Agent.objects.filter(workspace=self.workspace).select_related("owner", "workspace")
        return rows.prefetch_related("principals__person")


class Agents(AgentRows, CreateModelMixin, Listing):
    """Agents by name, and new ones."""

    permission = {"GET": VIEW, "POST": MANAGE}
    filterset_class = AgentFilter
    order = cursor = "name"

    def post(self, request: Request, slug: str) -> Response:
        """Create an agent. It may do nothing yet."""
        values = self.read(request)
        owner = values.pop("owner", self.person)
        agent = agents.create_agent(self.workspace, owner=owner, actor=self.actor, **values)
        return self.shown(self.get_queryset().get(pk=agent.pk), created=True)


class OneAgent(AgentRows):
    """One agent."""

    permission = {"GET": VIEW, "PATCH": MANAGE}

    def get(self, request: Request, slug: str, agent: str) -> Response:
        """What is known of an agent."""
        return self.shown(self.agent())

    def patch(self, request: Request, slug: str, agent: str) -> Response:
        """Change what is given; ``labels`` and ``acts_for`` as a whole."""
        row = self.agent()
        agents.change_agent(row, actor=self.actor, **self.read(request, partial=True))
        return self.shown(self.agent())

    def agent(self) -> Agent:
        """The agent of the address. Raises NotVisible."""
        row: Agent = found(self.get_queryset().filter(public_id=self.kwargs["agent"]).first(), "agent")
        return row


class AgentView(WorkspaceView):
    """Something of one agent."""

    agent: Agent

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        rows = Agent.objects.filter(workspace=self.workspace).select_related("workspace", "owner", "group")
        self.agent = found(rows.filter(public_id=kwargs["agent"]).first(), "agent")


class CallbackDocument(Exact):
    """Where an agent is told what became of its approvals."""

    url = serializers.CharField(
        write_only=True, max_length=callbacks.LONGEST, help_text="A public https address."
    )
    address = serializers.SerializerMethodField(
        help_text="Without its query, and only the host for who may not change it; empty: there is none."
    )
    secret = serializers.SerializerMethodField(
        help_text="What signs messages, shown when it is set and never again."
    )

    def get_address(self, agent: Agent) -> str:
        return callbacks.address(agent, whole=bool(getattr(agent, "shown_whole", True)))

    def get_secret(self, agent: Agent) -> str:
        return str(getattr(agent, "shown_secret", ""))


class Callback(AgentView):
    """Where an agent is told what became of its approvals."""

    permission = {"GET": VIEW, "PUT": MANAGE, "DELETE": MANAGE}
    serializer_class = CallbackDocument

    def get(self, request: Request, slug: str, agent: str) -> Response:
        """The address, without its query; of it the host only for who may not change it."""
        row: Any = self.agent
        row.shown_whole = access.may(self.person, MANAGE, self.workspace)
        return self.shown(row)

    def put(self, request: Request, slug: str, agent: str) -> Response:
        """Set the address, and a new secret: it is in this answer and nowhere else."""
        row: Any = self.agent
        row.shown_secret = callbacks.set_callback(row, url=self.read(request)["url"], actor=self.actor)
        return self.shown(row)

    @extend_schema(responses={200: CallbackDocument})
    def delete(self, request: Request, slug: str, agent: str) -> Response:
        """Tell the agent at the gate alone."""
        callbacks.set_callback(self.agent, url="", actor=self.actor)
        return self.shown(self.agent)


class KeyDocument(Exact):
    """A key of an agent; its text is not kept."""

    id = serializers.CharField(source="public_id", read_only=True)
    prefix = serializers.CharField(read_only=True, help_text="csk_ and these characters begin its text.")
    created = serializers.DateTimeField(read_only=True)
    created_by = serializers.CharField(
        source="created_by.public_id", read_only=True, default=None, allow_null=True
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="Null: never.")
    revoked_at = serializers.DateTimeField(read_only=True, allow_null=True)
    last_used = serializers.DateTimeField(source="use.at", read_only=True, default=None, allow_null=True)

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("Choose a time to come, or null.")
        return value


class NewKeyDocument(KeyDocument):
    """A new key with its text, which is shown this once."""

    key = serializers.CharField(read_only=True, source="text")


class RotationDocument(KeyDocument):
    """When a new key takes an old one's place."""

    overlap_minutes = serializers.IntegerField(
        min_value=0, max_value=30 * 24 * 60, default=24 * 60, help_text="How long the old key still works."
    )


class KeyRows(AgentView):
    """The keys of an agent."""

    serializer_class = KeyDocument

    def get_queryset(self) -> QuerySet[AgentKey]:
        rows = AgentKey.objects.filter(agent=self.agent)
        return rows.select_related("use", "created_by", "agent__workspace")

    def new(self, key: AgentKey, text: str) -> Response:
        """A new key with its text."""
        row: Any = self.get_queryset().get(pk=key.pk)
        row.text = text
        return Response(NewKeyDocument(row).data, status=201)

    def key(self) -> AgentKey:
        """The key of the address. Raises NotVisible."""
        row: AgentKey = found(self.get_queryset().filter(public_id=self.kwargs["key"]).first(), "key")
        return row


class Keys(KeyRows, CreateModelMixin, Listing):
    """An agent's keys, the newest first, and new ones."""

    permission = {"GET": VIEW, "POST": MANAGE}
    order = "-pk"

    @extend_schema(responses={201: NewKeyDocument})
    def post(self, request: Request, slug: str, agent: str) -> Response:
        """Create a key. Its text is in this answer and nowhere else."""
        values = self.read(request)
        key, text = agents.create_key(
            self.agent, actor=self.actor, created_by=self.person, expires_at=values.get("expires_at")
        )
        return self.new(key, text)


class OneKey(KeyRows):
    """One key of an agent."""

    permission = {"DELETE": MANAGE}

    @extend_schema(responses={200: KeyDocument})
    def delete(self, request: Request, slug: str, agent: str, key: str) -> Response:
        """Revoke a key; calls under it are refused from the next one on."""
        agents.revoke_key(self.key(), actor=self.actor)
        return self.shown(self.key())


class KeyRotation(KeyRows):
    """A key that takes another one's place."""

    permission = {"POST": MANAGE}
    serializer_class = RotationDocument

    @extend_schema(responses={201: NewKeyDocument})
    def post(self, request: Request, slug: str, agent: str, key: str) -> Response:
        """Create a key, and end the old one after the overlap."""
        values = self.read(request)
        following, text = agents.rotate_key(
            self.key(),
            old_until=timezone.now() + timedelta(minutes=values["overlap_minutes"]),
            actor=self.actor,
            created_by=self.person,
            expires_at=values.get("expires_at"),
        )
        return self.new(following, text)


class GivenRole(Exact):
    """A role of an agent."""

    role = serializers.CharField(source="role.name", max_length=100)
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="Null: never.")


class GivenRoles(Exact):
    """All roles of an agent."""

    roles = serializers.ListField(child=GivenRole(), max_length=100)


class AgentRoles(AgentView):
    """The roles of an agent."""

    permission = {"GET": VIEW, "PUT": MANAGE}
    serializer_class = GivenRoles

    def get(self, request: Request, slug: str, agent: str) -> Response:
        """The roles that an agent has, with their ends."""
        return self.shown({"roles": self.agent.agent_roles.select_related("role").order_by("role__name")})

    def put(self, request: Request, slug: str, agent: str) -> Response:
        """Make these the agent's roles, and no others."""
        here = {role.name: role for role in Role.objects.filter(workspace=self.workspace)}
        wanted = {}
        for given in self.read(request)["roles"]:
            role = named_error(here.get(given["role"]["name"]), "role")
            wanted[role] = given.get("expires_at")
        agents.set_agent_roles(self.agent, wanted, actor=self.actor)
        return self.get(request, slug, agent)


class GrantDocument(Exact):
    """One permission of an agent on a tool or a resource."""

    permission = serializers.CharField(read_only=True)
    target = serializers.CharField(source="target.public_id", read_only=True)
    name = serializers.CharField(source="target.name", read_only=True)
    through = serializers.CharField(
        source="through.name",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="The role that gives it; null: its own.",
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, help_text="Null: never.")


class Grants(AgentView, Listing):
    """Everything that an agent was given: its own grants first, then those of its roles."""

    permission = {"GET": VIEW}
    serializer_class = GrantDocument
    pagination_class = Whole

    def get_queryset(self) -> Any:
        return access.grants_of(self.agent)

    def filter_queryset(self, queryset: Any) -> Any:
        return queryset


class OneGrant(AgentView):
    """One grant of an agent's own: ``permission`` is use, read, write, delete, execute, send or spend, and
    ``target`` the id of a tool or a resource."""

    permission = {"PUT": MANAGE, "DELETE": MANAGE}
    serializer_class = GrantDocument

    @extend_schema(responses={200: GrantDocument, 201: GrantDocument})
    def put(self, request: Request, slug: str, agent: str, permission: str, target: str) -> Response:
        """Grant it, or renew it with another end."""
        end = self.read(request).get("expires_at")
        on = self.target()
        applied = access.grant(self.agent, permission=permission, obj=on, expires_at=end, actor=self.actor)
        line = access.GrantLine(permission, on, None, applied.row.expires_at)
        return self.shown(line, created=applied.change is Change.CREATED)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, agent: str, permission: str, target: str) -> Response:
        """Take the grant back. What a role gives stays."""
        found(
            access.revoke(self.agent, permission=permission, obj=self.target(), actor=self.actor) or None,
            "grant",
        )
        return Response(status=204)

    def target(self) -> Tool | Resource:
        """What the address names. Raises NotVisible."""
        here = {"workspace": self.workspace, "public_id": self.kwargs["target"]}
        tool = Tool.objects.select_related("workspace").filter(**here).first()
        resource = Resource.objects.select_related("workspace").filter(**here).first()
        row: Tool | Resource = found(tool or resource, "tool or resource")
        return row
