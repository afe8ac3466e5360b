"""A new agent in one call, and what an agent lacked until now, as grants."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.problems import Exact
from billing.api.fields import DollarsField
from governance import observed, policies
from governance.onboarding import Plan, found
from workspaces import allowances
from workspaces.access import Forbidden, NotVisible, get_workspace, may
from workspaces.access.grants import ACTIONS, USE
from workspaces.allowances import Need
from workspaces.api.agents import MANAGE, AgentDocument, AgentView, NewKeyDocument
from workspaces.api.catalog import BundledGrant, ToolDocument
from workspaces.api.fields import MemberField, named_targets
from workspaces.api.views import WorkspaceView
from workspaces.declarations import Risk
from workspaces.models import RISKS, User, Workspace
from workspaces.resources import Pattern

TOOLS = "manage_tools"


class NeedDocument(Exact):
    """One permission: ``use`` of the tool of this name, or an action on what a pattern covers."""

    permission = serializers.ChoiceField([USE, *sorted(ACTIONS)])
    of = serializers.CharField(
        max_length=1000, help_text="A tool's name, or a pattern such as file:///srv/a/*."
    )


class SetupDocument(Exact):
    """A new agent with everything that it needs for its first call."""

    name = serializers.CharField(max_length=100)
    owner = MemberField(required=False, help_text="A person's id; who asks, where left out.")
    purpose = serializers.CharField(max_length=500, default="", allow_blank=True)
    risk_tier = serializers.ChoiceField(RISKS, default=Risk.LOW.value)
    tools = serializers.ListField(
        child=ToolDocument(), max_length=100, default=list,
        help_text="Declared unless the workspace has one of that name, which stays as it is.",
    )  # fmt: skip
    needs = serializers.ListField(
        child=NeedDocument(), max_length=500, default=list,
        help_text="Granted by name and pattern; a pattern that no resource has becomes one.",
    )  # fmt: skip
    grants = serializers.ListField(
        child=BundledGrant(),
        max_length=500,
        default=list,
        help_text="Granted on what the workspace has already.",
    )
    grants_until = serializers.DateTimeField(
        required=False, allow_null=True, help_text="Null: they have no end."
    )
    key_until = serializers.DateTimeField(required=False, allow_null=True, help_text="Null: it has no end.")
    daily_usd = DollarsField(required=False, allow_null=True, help_text="What its calls may cost in a day.")
    rules = serializers.ListField(
        child=serializers.JSONField(), max_length=100, default=list,
        help_text="Added to the policy in force, as far as you may; as under “policy” in a workspace file.",
    )  # fmt: skip


def plan_of(workspace: Workspace, person: User, values: dict[str, Any]) -> Plan:
    """The plan that a document's values come to. Raises PolicyRefused and ValidationError."""
    policies.read(values["rules"])
    for key in (end for end in ("grants_until", "key_until") if values.get(end)):
        if values[key] <= timezone.now():
            raise serializers.ValidationError({key: "Choose a time to come, or null."})
    return Plan(
        workspace=workspace,
        name=values["name"],
        owner=values.get("owner", person),
        purpose=values["purpose"],
        risk_tier=values["risk_tier"],
        declare=tuple(each["declaration"] for each in values["tools"]),
        needs=tuple(Need(**each) for each in values["needs"]),
        given=tuple(named_targets(workspace, values["grants"])),
        grants_until=values.get("grants_until"),
        key_until=values.get("key_until"),
        daily_nanos=values.get("daily_usd"),
        rules=tuple(values["rules"]),
    )


class FoundedDocument(serializers.Serializer[Any]):
    """What came of it."""

    agent = AgentDocument()
    key = NewKeyDocument()
    policy = serializers.IntegerField(
        source="version.number", default=None, allow_null=True, help_text="The version that holds the rules."
    )
    remaining = serializers.ListField(
        child=serializers.CharField(), help_text="What somebody still has to do, in sentences."
    )


class Setup(WorkspaceView):
    """A new agent in one call."""

    permission = {"POST": MANAGE}
    serializer_class = SetupDocument

    @extend_schema(responses={201: FoundedDocument})
    def post(self, request: Request, slug: str) -> Response:
        """Make an agent with tools, grants, budget, first key and rules. All but the rules is done or nothing is; the
        key's text is in this answer and nowhere else. It takes manage_tools too."""
        get_workspace(self.person, slug, TOOLS)
        plan = plan_of(self.workspace, self.person, self.read(request))
        founded: Any = found(plan, person=self.person)
        founded.key.text = founded.text
        return Response(FoundedDocument(founded, context=self.get_serializer_context()).data, status=201)


class ProposedGrantDocument(serializers.Serializer[Any]):
    """A grant that some of the calls lacked."""

    permission = serializers.CharField(source="need.permission")
    of = serializers.CharField(source="need.of")
    calls = serializers.IntegerField(help_text="That lacked it, or that a wider pattern covers.")
    resources = serializers.IntegerField(help_text="Different ones that it covers.")


class CodeCount(serializers.Serializer[Any]):
    """Calls that no grant helps."""

    tool = serializers.CharField()
    code = serializers.CharField()
    calls = serializers.IntegerField()


class DraftDocument(serializers.Serializer[Any]):
    """The least grants that would have allowed some calls."""

    exact = ProposedGrantDocument(many=True)
    wider = ProposedGrantDocument(many=True, help_text="Patterns that cover several of them.")
    calls = serializers.IntegerField(help_text="That the exact grants would have allowed.")
    unnamed = serializers.IntegerField(help_text="Calls whose resource cannot be written as a pattern.")
    others = CodeCount(many=True)
    since = serializers.DateTimeField(allow_null=True, help_text="How far back was read.")
    before = serializers.IntegerField(
        allow_null=True, help_text="Where older calls begin; null: that is all."
    )
    erased = serializers.IntegerField(help_text="Calls whose content is gone.")


class DraftView(AgentView):
    """Drafts of grants, which tell what was sent: who manages agents and tools and sees what this agent sends."""

    serializer_class: Any = DraftDocument

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises Forbidden."""
        super().initial(request, *args, **kwargs)
        get_workspace(self.person, kwargs["slug"], TOOLS)
        if not may(self.person, "view_content", self.agent):
            raise Forbidden(
                "What an agent lacked stands in what it sent, and your roles do not show that of "
                f"{self.agent.name}; ask its owner, or an owner of the workspace."
            )

    def drafted(self, reading: observed.Reading) -> Response:
        """What a reading comes to."""
        draft = observed.draft(reading.calls, observed.Holdings(self.agent, timezone.now()))
        others = [{"tool": tool, "code": code, "calls": calls} for tool, code, calls in draft.others]
        return self.shown(
            {
                "exact": draft.exact,
                "wider": draft.wider,
                "calls": draft.calls,
                "unnamed": draft.unnamed,
                "others": others,
                "since": reading.since,
                "before": reading.older,
                "erased": reading.erased,
            }
        )


class BeforeQuery(Exact):
    """Where to read on."""

    before = serializers.IntegerField(
        required=False, min_value=0, max_value=2**53, help_text="The before of the answer before."
    )


class Observed(DraftView):
    """What an observation let through."""

    permission = {"GET": MANAGE}
    query_class = BeforeQuery

    def get(self, request: Request, slug: str, agent: str) -> Response:
        """The least grants for the calls that the agent's observation let through. The reading is recorded."""
        before = self.asked_for(request).get("before")
        return self.drafted(observed.observed(self.agent, person=self.person, before=before))


class Denial(DraftView):
    """What a denial lacked."""

    permission = {"GET": MANAGE}

    def get(self, request: Request, slug: str, agent: str, index: int) -> Response:
        """The least grants for a denial for want of one, by its entry's index, and for the agent's earlier ones of
        the same tool. The reading is recorded."""
        reading = observed.denied(self.agent, person=self.person, index=index)
        if not reading.calls and not reading.erased:
            raise NotVisible("There is no such denial for want of a grant.")
        return self.drafted(reading)


class AllowDocument(Exact):
    """What an agent is to be granted."""

    needs = serializers.ListField(child=NeedDocument(), allow_empty=False, max_length=500)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="Null: never.")

    def validate_expires_at(self, value: Any) -> Any:
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("Choose a time to come, or null.")
        return value


class AllowedDocument(serializers.Serializer[Any]):
    """What an agent was granted: a grant that held as long already is not named."""

    given = NeedDocument(many=True)


class Allowances(AgentView):
    """Grants by name and pattern."""

    permission = {"POST": MANAGE}
    serializer_class = AllowDocument

    @extend_schema(responses={200: AllowedDocument})
    def post(self, request: Request, slug: str, agent: str) -> Response:
        """Grant what calls lacked, as a draft names it; a pattern that no resource has becomes one. All of it is
        granted or nothing. It takes manage_tools too."""
        get_workspace(self.person, slug, TOOLS)
        values = self.read(request)
        needs = [Need(**each) for each in values["needs"]]
        for need in needs:
            if not need.is_tool:
                Pattern.parse(need.of)
        given = allowances.allow(self.agent, needs, expires_at=values["expires_at"], actor=self.actor)
        return Response(AllowedDocument({"given": given}).data)
