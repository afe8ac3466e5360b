"""Workspaces, people, agents and what they are given."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, PermissionsMixin
from django.db import models
from django.utils.crypto import salted_hmac
from guardian.models import GroupObjectPermissionBase, UserObjectPermissionBase
from knox.models import AbstractAuthToken

from audit.models import Log
from workspaces.declarations import Action, ResourceTemplate, Risk, ToolDeclaration
from workspaces.identifiers import public_id
from workspaces.permissions import PERMISSIONS

ACTIONS = [(action.value, action.value) for action in Action]
RISKS = [(risk.value, risk.value) for risk in Risk]
SHORTEST_RETENTION = 183  # days; six months, EU AI Act Art. 19 and 26


def id_field(prefix: str) -> "models.CharField[str, str]":
    """A public id column: prefixed, unguessable, never changed."""
    return models.CharField(max_length=40, unique=True, editable=False, default=partial(public_id, prefix))


class Standing(models.TextChoices):
    """The containment ladder, from loosest to strictest; the strictest of all scopes holds."""

    OBSERVE = "observe", "Observe: judged and recorded, not enforced"
    ACTIVE = "active", "Active"
    SUPERVISED = "supervised", "Supervised: everything but reads needs approval"
    READ_ONLY = "read_only", "Read only"
    SUSPENDED = "suspended", "Suspended"
    REVOKED = "revoked", "Revoked for good"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Agents are never users."""

    public_id = id_field("usr")
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    session_epoch = models.PositiveIntegerField(default=0, help_text="Raised to end every session at once.")
    created = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = "person"
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        """The name by which the portal's frame greets a person."""
        return self.name

    def get_session_auth_hash(self) -> str:
        """What a session must carry to be this person's: another password or epoch ends it."""
        return self.session_hash(settings.SECRET_KEY)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """The same under keys that were in use before; Django asks them so that a new key signs nobody out."""
        yield from (self.session_hash(key) for key in settings.SECRET_KEY_FALLBACKS)

    def session_hash(self, secret: str | bytes) -> str:
        """HMAC-SHA-256 over password hash and epoch, in hex."""
        value = f"{self.session_epoch}:{self.password}"
        return salted_hmac("workspaces.User.session", value, secret=secret, algorithm="sha256").hexdigest()

    @property
    def is_staff(self) -> bool:
        """Everybody works in the portal; what they see there is decided row by row."""
        return self.is_active


class SigninLink(models.Model):
    """A one-time link that signs one person in; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="signin_links")
    digest = models.BinaryField(unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user_id}"


class Installation(models.Model):
    """The one row that holds the whole installation's standing."""

    log = models.OneToOneField(Log, models.PROTECT)
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.ACTIVE)
    standing_reason = models.CharField(max_length=500, blank=True)
    observe_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"installation ({self.standing})"


class Workspace(models.Model):
    """A wall: nobody inside sees out, nobody outside sees in."""

    public_id = id_field("ws")
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    timezone = models.CharField(max_length=64, default="UTC")
    two_people = models.BooleanField(
        default=False, help_text="Policies and looser tools take effect when a second person publishes them."
    )
    log = models.OneToOneField(Log, models.PROTECT, editable=False)
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.ACTIVE)
    standing_reason = models.CharField(max_length=500, blank=True)
    observe_until = models.DateTimeField(null=True, blank=True)
    epoch = models.PositiveIntegerField(default=0, help_text="Bumped by each containment step.")
    retention_days = models.PositiveIntegerField(
        default=400,
        help_text="Days after which entries of decisions, and what was said in them, are deleted.",
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = PERMISSIONS
        constraints = [
            models.CheckConstraint(
                condition=models.Q(retention_days__gte=SHORTEST_RETENTION), name="retention_is_long_enough"
            )
        ]

    def __str__(self) -> str:
        return self.name or self.slug


class WorkspacePermission(UserObjectPermissionBase):
    """guardian's direct row: what one person may do in one workspace; derived from their roles."""

    content_object = models.ForeignKey(Workspace, models.CASCADE)


class LegalHold(models.Model):
    """While one stands, nothing of its workspace's log is pruned, and erasures wait."""

    public_id = id_field("hold")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="legal_holds")
    reason = models.CharField(max_length=500)
    started_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    started = models.DateTimeField()
    released_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    released = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"legal hold since {self.started:%F}"


class BrokenGlass(models.Model):
    """An operator of the installation looks into a workspace until a time, which ends it by itself."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="broken_glass")
    person = models.ForeignKey(User, models.CASCADE, related_name="broken_glass")
    reason = models.CharField(max_length=500)
    until = models.DateTimeField()

    class Meta:
        verbose_name_plural = "broken glass"
        indexes = [models.Index(fields=["person", "until"], name="broken_glass_by_person")]

    def __str__(self) -> str:
        return f"{self.person_id} in {self.workspace_id} until {self.until:%F %H:%M}"


class Membership(models.Model):
    """One role of one person in one workspace."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        COMPLIANCE_OFFICER = "compliance_officer", "Compliance officer"
        APPROVER = "approver", "Approver"
        OPERATOR = "operator", "Operator"
        DEVELOPER = "developer", "Developer"
        AUDITOR = "auditor", "Auditor"

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="memberships")
    person = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "person", "role"], name="one_membership_per_role")
        ]

    def __str__(self) -> str:
        return f"{self.person}: {self.role}"


class ReviewerGroup(models.Model):
    """People who may be named together as reviewers."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="reviewer_groups")
    name = models.SlugField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="one_reviewer_group_per_name")
        ]

    def __str__(self) -> str:
        return self.name


class ReviewerGroupMember(models.Model):
    """One person in one reviewer group."""

    reviewer_group = models.ForeignKey(ReviewerGroup, models.CASCADE, related_name="members")
    person = models.ForeignKey(User, models.CASCADE, related_name="reviewer_groups")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reviewer_group", "person"], name="one_seat_per_reviewer")
        ]

    def __str__(self) -> str:
        return f"{self.person} in {self.reviewer_group_id}"


class NamedList(models.Model):
    """A list of texts that conditions read as ``lists.<name>``."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="lists")
    name = models.CharField(max_length=100)
    members = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_list_per_name")]

    def __str__(self) -> str:
        return self.name


class Tool(models.Model):
    """What a tool declares of itself; what it declares wins over what a request claims."""

    public_id = id_field("tool")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="tools")
    name = models.CharField(max_length=200)
    action = models.CharField(max_length=10, choices=ACTIONS)
    risk = models.CharField(max_length=10, choices=RISKS, default=Risk.LOW.value)
    reversible = models.BooleanField(default=True)
    labels = models.JSONField(default=list, blank=True)
    schema = models.JSONField(null=True, blank=True, help_text="JSON Schema 2020-12 of the arguments.")
    templates = models.JSONField(
        default=list, blank=True, help_text='How resources are found: [{"template": …, "action": …}].'
    )
    default_scheme = models.CharField(max_length=20, blank=True)
    sensitive = models.JSONField(
        default=list, blank=True, help_text="JSON pointers to arguments that are never stored in clear."
    )
    cost_nanos = models.BigIntegerField(
        null=True, blank=True, help_text="Declared cost of a call, nano-US-dollars."
    )
    trust_reports = models.BooleanField(default=False, help_text="A reported cost may lower a charge.")

    class Meta:
        permissions = [("use", "Use the tool")]
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_tool_per_name")]

    def __str__(self) -> str:
        return self.name

    def declaration(self) -> ToolDeclaration:
        """The row as the value that decisions are made with."""
        return ToolDeclaration(
            name=self.name,
            action=Action(self.action),
            risk=Risk(self.risk),
            reversible=self.reversible,
            labels=frozenset(self.labels),
            schema=self.schema,
            templates=tuple(ResourceTemplate(t["template"], Action(t["action"])) for t in self.templates),
            default_scheme=self.default_scheme or None,
            sensitive=tuple(self.sensitive),
            cost_nanos=self.cost_nanos,
            trust_reports=self.trust_reports,
        )


class RemovedTool(models.Model):
    """What a tool declared when it was removed: where two people must agree, one of its name is no looser."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    name = models.CharField(max_length=200)
    declaration = models.JSONField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="one_removed_tool_per_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} (removed)"


class Resource(models.Model):
    """A named pattern of resources, such as ``s3://reports/2026/*``."""

    public_id = id_field("res")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="resources")
    name = models.CharField(max_length=200)
    pattern = models.CharField(max_length=1000)
    labels = models.JSONField(default=list, blank=True)

    class Meta:
        permissions = [(action.value, f"{action.value.capitalize()} the resource") for action in Action]
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_resource_per_name")]

    def __str__(self) -> str:
        return self.name


class Grant(GroupObjectPermissionBase):
    """guardian's direct row with an end. guardian stores it; ``decide`` judges the end."""

    expires_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    granted_by = models.CharField(max_length=200, blank=True, help_text="Actor who granted or renewed it.")

    class Meta(GroupObjectPermissionBase.Meta):
        abstract = True


class ToolGrant(Grant):
    """``use`` on a tool, for an agent's own group or a role's."""

    content_object = models.ForeignKey(Tool, models.CASCADE, related_name="grants")


class ResourceGrant(Grant):
    """One action on a resource, for an agent's own group or a role's."""

    content_object = models.ForeignKey(Resource, models.CASCADE, related_name="grants")


class Role(models.Model):
    """A bundle of grants for agents of one workspace; its grants hang on its group."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="roles")
    name = models.CharField(max_length=100)
    group = models.OneToOneField(Group, models.PROTECT, editable=False, related_name="role")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_role_per_name")]

    def __str__(self) -> str:
        return self.name


class Agent(models.Model):
    """Software that acts. Its guardian identity is a private group of its own."""

    public_id = id_field("agt")
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="agents")
    name = models.CharField(max_length=100)
    owner = models.ForeignKey(User, models.PROTECT, related_name="agents")
    purpose = models.CharField(max_length=500, blank=True)
    labels = models.JSONField(default=list, blank=True)
    risk_tier = models.CharField(max_length=10, choices=RISKS, default=Risk.LOW.value)
    group = models.OneToOneField(Group, models.PROTECT, editable=False, related_name="agent")
    isolated_runs = models.BooleanField(
        default=False, help_text="Labels of one session do not follow into the next."
    )
    acts_for = models.ManyToManyField(User, through="ActsFor", related_name="+")
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.ACTIVE)
    standing_reason = models.CharField(max_length=500, blank=True)
    observe_until = models.DateTimeField(null=True, blank=True)
    epoch = models.PositiveIntegerField(default=0, help_text="Bumped by each containment step.")
    sessions_per_hour = models.PositiveIntegerField(null=True, blank=True)
    ownerless_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its owner left; another owner ends it."
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_agent_per_name")]
        indexes = [
            models.Index(
                fields=["ownerless_since"],
                condition=models.Q(ownerless_since__isnull=False),
                name="agent_ownerless",
            )
        ]

    def __str__(self) -> str:
        return self.name


class ActsFor(models.Model):
    """A person whom an agent may name in ``on_behalf_of``."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="principals")
    person = models.ForeignKey(User, models.CASCADE, related_name="+")

    class Meta:
        verbose_name = "person acted for"
        verbose_name_plural = "people acted for"
        constraints = [models.UniqueConstraint(fields=["agent", "person"], name="one_acts_for_per_person")]

    def __str__(self) -> str:
        return f"{self.agent_id} for {self.person_id}"


class AgentRole(models.Model):
    """A role given to an agent, perhaps until a time."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="agent_roles")
    role = models.ForeignKey(Role, models.CASCADE, related_name="agent_roles")
    expires_at = models.DateTimeField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True, null=True)
    granted_by = models.CharField(max_length=200, blank=True, help_text="Actor who gave or renewed it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "role"], name="one_agent_role")]

    def __str__(self) -> str:
        return f"{self.agent_id}: {self.role_id}"


class AgentKey(models.Model):
    """A key of an agent. Its text was shown once; the SHA-256 is all that is kept."""

    public_id = id_field("key")
    agent = models.ForeignKey(Agent, models.CASCADE, related_name="keys")
    prefix = models.CharField(max_length=8, unique=True)
    digest = models.BinaryField()
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"csk_{self.prefix}…"


class KeyUse(models.Model):
    """When a key was last used, to the minute; apart from the key, because it is no configuration."""

    key = models.OneToOneField(AgentKey, models.CASCADE, primary_key=True, related_name="use")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key_id} at {self.at:%F %H:%M}"


class ApiToken(AbstractAuthToken):
    """A person's key to the portal's API. Its text was shown once; knox keeps the SHA-512 (``digest``), its first
    characters (``token_key``), whose it is (``user``) and until when it is good (``expiry``)."""

    class Scope(models.TextChoices):
        READ = "read", "Read only"
        WRITE = "write", "Read and write"

    objects: ClassVar[models.Manager["ApiToken"]] = models.Manager()
    SHOWN = 15  # characters of the text that are kept and shown; knox finds the row by them

    id = models.BigAutoField(primary_key=True)
    public_id = id_field("tok")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    digest = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.READ)
    workspace = models.ForeignKey(Workspace, models.CASCADE, null=True, blank=True, related_name="+")
    created = models.DateTimeField()
    expiry = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"


class ApiTokenUse(models.Model):
    """When a token was last used, to the minute; apart from the token, because it is no configuration."""

    token = models.OneToOneField(ApiToken, models.CASCADE, primary_key=True, related_name="use")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.token_id} at {self.at:%F %H:%M}"
