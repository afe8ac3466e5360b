"""What agents may be given: tools and resources."""

from django.db import models

from workspaces.declarations import Action, ResourceTemplate, Risk, ToolDeclaration
from workspaces.models.columns import id_field
from workspaces.models.people import User
from workspaces.models.tenancy import Workspace

ACTIONS = [(action.value, action.value) for action in Action]
RISKS = [(risk.value, risk.value) for risk in Risk]


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
    metered = models.BooleanField(
        default=False,
        help_text="A call costs money, and how much is not known before unless the cost is declared.",
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
            metered=self.metered,
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
    steward = models.ForeignKey(
        User,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="Decides, with an agent's owner, about requests for access to it.",
    )

    class Meta:
        permissions = [(action.value, f"{action.value.capitalize()} the resource") for action in Action]
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="one_resource_per_name")]

    def __str__(self) -> str:
        return self.name
