"""Who asks, their tokens, their workspaces, and the people and reviewer groups of these."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.pages import Whole
from audit.api.problems import Exact
from audit.api.views import Listing
from workspaces import people, tenancy
from workspaces.access import tokens, workspaces_for
from workspaces.access.scoping import permissions_in
from workspaces.api.fields import MemberField
from workspaces.api.views import SIGNED_IN, VIEW, NamedListing, OneNamed, PersonView, WorkspaceView, found
from workspaces.models import (
    SHORTEST_RETENTION,
    ApiToken,
    Membership,
    ReviewerGroup,
    Standing,
    User,
    Workspace,
)

MANAGE = "manage_members"


class WorkspaceDocument(Exact):
    """A workspace, and what you may do in it."""

    id = serializers.CharField(source="public_id", read_only=True)
    slug = serializers.CharField(read_only=True)
    name = serializers.CharField(max_length=200)
    timezone = serializers.CharField(max_length=64, help_text="Such as Europe/Berlin.")
    two_people = serializers.BooleanField()
    retention_days = serializers.IntegerField(
        min_value=SHORTEST_RETENTION,
        max_value=tenancy.LONGEST_RETENTION,
        help_text="Days after which what the log keeps of decisions is deleted.",
    )
    standing = serializers.ChoiceField(Standing.choices, read_only=True)
    standing_reason = serializers.CharField(read_only=True)
    log = serializers.UUIDField(source="log.uuid", read_only=True)
    permissions = serializers.SerializerMethodField(help_text="Yours, here.")

    def get_permissions(self, workspace: Workspace) -> list[str]:
        """From the person's roles, by name."""
        person = self.context["view"].person
        return sorted(permissions_in(person, workspace.pk))


class Workspaces(PersonView, Listing):
    """The workspaces that you are in, by slug."""

    permission = {"GET": SIGNED_IN}
    serializer_class = WorkspaceDocument
    order = cursor = "slug"

    def get_queryset(self) -> QuerySet[Workspace]:
        return workspaces_for(self.person).select_related("log")


class OneWorkspace(WorkspaceView):
    """One workspace."""

    permission = {"GET": VIEW, "PATCH": MANAGE}
    serializer_class = WorkspaceDocument

    def get(self, request: Request, slug: str) -> Response:
        """What is known of a workspace."""
        return self.shown(self.workspace)

    def patch(self, request: Request, slug: str) -> Response:
        """Change the settings that are given."""
        values: Any = self.read(request, partial=True)
        return self.shown(tenancy.change_workspace(self.workspace, actor=self.actor, **values).row)


class PersonDocument(serializers.Serializer[Any]):
    """Who asks."""

    id = serializers.CharField(source="public_id")
    email = serializers.EmailField()
    name = serializers.CharField()
    token = serializers.SerializerMethodField(
        help_text="The id of the token that was sent; null with a session."
    )

    def get_token(self, person: User) -> str | None:
        """The public id, for finding it on the page of tokens."""
        token = self.context["request"].auth
        return token.public_id if isinstance(token, ApiToken) else None


class Me(PersonView):
    """Who you are, as the API knows you."""

    permission = {"GET": SIGNED_IN}
    serializer_class = PersonDocument

    def get(self, request: Request) -> Response:
        """Your id, address and name."""
        return self.shown(self.person)


class TokenDocument(Exact):
    """A token for the API; its text is not kept."""

    id = serializers.CharField(source="public_id", read_only=True)
    name = serializers.CharField(max_length=100)
    prefix = serializers.CharField(source="token_key", read_only=True, help_text="How its text begins.")
    scope = serializers.ChoiceField(ApiToken.Scope.choices, default=ApiToken.Scope.READ)
    workspace = serializers.SlugField(
        source="workspace.slug",
        default=None,
        allow_null=True,
        help_text="The only one it sees; null: all yours.",
    )
    created = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(
        source="expiry", required=False, help_text="Within 365 days; 90 days where left out."
    )
    last_used = serializers.DateTimeField(source="use.at", read_only=True, default=None, allow_null=True)


class NewTokenDocument(TokenDocument):
    """A new token with its text, which is shown this once."""

    token = serializers.CharField(read_only=True, source="text")


class TokenRows(PersonView):
    """The tokens of who asks that are good; with a token for one workspace, those for that one."""

    serializer_class = TokenDocument

    def get_queryset(self) -> QuerySet[ApiToken]:
        rows = tokens.live_tokens(self.person, now=timezone.now())
        only = getattr(self.request.auth, "workspace_id", None)
        return rows if only is None else rows.filter(workspace=only)


class Tokens(TokenRows, CreateModelMixin, Listing):
    """Your tokens, the newest first, and new ones."""

    permission = {"GET": SIGNED_IN, "POST": SIGNED_IN}
    pagination_class = Whole

    @extend_schema(responses={201: NewTokenDocument})
    def post(self, request: Request) -> Response:
        """Create a token, when signed in: a token makes no other. Its text is in this answer and nowhere else."""
        if isinstance(request.auth, ApiToken):
            raise PermissionDenied(
                "A token makes no other token; sign in to the portal for that.", "needs_session"
            )
        values = self.read(request)
        slug = (values.get("workspace") or {}).get("slug")
        workspace = workspaces_for(self.person).filter(slug=slug).first() if slug else None
        if slug and workspace is None:
            raise ValidationError({"workspace": "Choose a workspace that you are in."})
        expires_at: datetime | None = values.get("expiry")
        token, text = tokens.create_token(
            self.person,
            name=values["name"],
            scope=values["scope"],
            workspace=workspace,
            expires_at=expires_at,
            actor=self.actor,
        )
        shown: Any = token
        shown.text = text
        return Response(NewTokenDocument(shown).data, status=201)


class OneToken(TokenRows):
    """One of your tokens."""

    permission = {"DELETE": SIGNED_IN}

    def delete(self, request: Request, token: str) -> Response:
        """Revoke a token; it is refused from the next request on."""
        tokens.revoke_token(
            found(self.get_queryset().filter(public_id=token).first(), "token"), actor=self.actor
        )
        return Response(status=204)


class RolesField(serializers.MultipleChoiceField):
    """Roles of a person, in a settled order."""

    def get_attribute(self, instance: Any) -> Any:
        return [row.role for row in instance.here]

    def to_representation(self, value: Any) -> Any:
        return sorted(super().to_representation(value))


class MemberDocument(Exact):
    """A person of the workspace with their roles in it."""

    id = serializers.CharField(source="public_id", read_only=True)
    email = serializers.EmailField()
    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    is_active = serializers.BooleanField(read_only=True)
    roles = RolesField(choices=Membership.Role.choices, allow_empty=False)


class MemberRoles(Exact):
    """All roles that a person is to have."""

    roles = RolesField(choices=Membership.Role.choices, allow_empty=False)


class MemberRows(WorkspaceView):
    """The people of the workspace."""

    serializer_class: Any = MemberDocument

    def get_queryset(self) -> QuerySet[User]:
        here = Membership.objects.filter(workspace=self.workspace)
        rows = User.objects.filter(pk__in=here.values("person"))
        return rows.prefetch_related(Prefetch("memberships", here, to_attr="here"))

    def member(self) -> User:
        """The person of the address. Raises NotVisible."""
        row: User = found(self.get_queryset().filter(public_id=self.kwargs["person"]).first(), "person")
        return row


class Members(MemberRows, CreateModelMixin, Listing):
    """The people of the workspace by address."""

    permission = {"GET": VIEW, "POST": MANAGE}
    order = cursor = "email"

    def post(self, request: Request, slug: str) -> Response:
        """Give somebody roles, beside those they have here. Who is new to the installation is created."""
        values = self.read(request)
        person = people.create_person(values["email"], name=values.get("name", ""), actor=self.actor).row
        held = Membership.objects.filter(workspace=self.workspace, person=person).values_list(
            "role", flat=True
        )
        people.set_roles(self.workspace, person, roles={*values["roles"], *held}, actor=self.actor)
        return self.shown(self.get_queryset().get(pk=person.pk), created=True)


class OneMember(MemberRows):
    """One person of the workspace."""

    permission = {"GET": VIEW, "PUT": MANAGE}

    def get(self, request: Request, slug: str, person: str) -> Response:
        """Who they are here."""
        return self.shown(self.member())

    @extend_schema(request=MemberRoles)
    def put(self, request: Request, slug: str, person: str) -> Response:
        """Make these their roles, and no others."""
        roles = self.read(request, MemberRoles)["roles"]
        people.set_roles(self.workspace, self.member(), roles=roles, actor=self.actor)
        return self.shown(self.member())


class Seats(serializers.ListField):
    """The people of a group."""

    child = MemberField()

    def get_attribute(self, instance: ReviewerGroup) -> Any:
        return [seat.person for seat in instance.members.all()]


class GroupDocument(Exact):
    """People who may be named together as reviewers."""

    name = serializers.SlugField(max_length=100)
    people = Seats(max_length=1000, help_text="Their ids. They have a role in the workspace.")


class GroupRows:
    """How reviewer groups are changed."""

    model, what = ReviewerGroup, "reviewer group"
    serializer_class: Any = GroupDocument
    workspace: Any
    actor: str

    def get_queryset(self) -> QuerySet[ReviewerGroup]:
        rows = ReviewerGroup.objects.filter(workspace=self.workspace).select_related("workspace")
        return rows.prefetch_related("members__person")

    def apply(self, name: str, values: dict[str, Any]) -> ReviewerGroup:
        """Raises ValidationError."""
        return people.set_reviewer_group(
            self.workspace, name=name, people=values["people"], actor=self.actor
        ).row

    def remove(self, row: ReviewerGroup) -> None:
        """Rules that name it must be changed first."""
        people.remove_reviewer_group(row, actor=self.actor)


class ReviewerGroups(GroupRows, NamedListing):
    """The workspace's reviewer groups by name."""

    permission = {"GET": VIEW, "POST": MANAGE}


class OneReviewerGroup(GroupRows, OneNamed):
    """One reviewer group."""

    permission = {"GET": VIEW, "PUT": MANAGE, "DELETE": MANAGE}
