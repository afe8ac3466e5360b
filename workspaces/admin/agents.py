"""Agents: their settings, keys, roles and grants. Governance adds how they stand, and registers the pages."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from audit import destinations
from audit.admin.pages import display
from workspaces import access, agents, callbacks
from workspaces.access.admin import REFUSALS, act, actor_in, filled, person_of
from workspaces.access.grants import NoSuchPermission
from workspaces.admin.catalog import RISK_LABELS, NamedAdmin, NamedForm, permissions_in_role
from workspaces.admin.fields import LabelsField, LoopLimitsField
from workspaces.models import Agent, AgentKey, KeyUse, Role, User, Workspace


class AgentForm(NamedForm):
    """What may be said of an agent; owner and people acted for have a role in its workspace."""

    refusals = (*REFUSALS, agents.NotYoursToGive, agents.ContainedAgent)

    labels = LabelsField(help_text="Separated by commas. Rules name agents by them: label:customer-facing.")
    loop_limits = LoopLimitsField()
    acts_for = forms.ModelMultipleChoiceField(
        User.objects.none(),
        required=False,
        label="Acts for",
        widget=UnfoldAdminSelectMultipleWidget(attrs={"size": 5}),
        help_text="People whom it may name in on_behalf_of.",
    )

    class Meta:
        model = Agent
        fields = ["workspace", "name", "owner", "purpose", "labels", "risk_tier", "isolated_runs",
                  "sessions_per_hour", "most_waiting", "cost_center"]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agent = self.instance
        if "owner" not in self.fields:
            return  # to be read only
        if agent.pk is not None:
            members = User.objects.filter(memberships__workspace=agent.workspace).distinct().order_by("name")
            for name in ("owner", "acts_for"):
                self.fields[name].queryset = members  # type: ignore[attr-defined]
            self.initial["acts_for"] = [row.person_id for row in agent.principals.all()]
            if not agents.may_hand_over(agent, actor=self.actor):
                self.fields["owner"].disabled = True
                self.fields["owner"].help_text = "Its owner, or an owner of the workspace, hands it over."
        else:
            self.initial.setdefault("owner", self.person.pk)

    def apply(self, values: dict[str, Any]) -> Model:
        workspace, name = self.place(values)
        settings: Any = {
            "owner": values["owner"],
            "purpose": values["purpose"],
            "labels": values["labels"],
            "risk_tier": values["risk_tier"],
            "isolated_runs": values["isolated_runs"],
            "sessions_per_hour": values["sessions_per_hour"],
            "most_waiting": values["most_waiting"],
            "cost_center": values["cost_center"],
            "loop_limits": values["loop_limits"],
        }
        if self.instance.pk is None:
            return agents.create_agent(workspace, name, actor=self.actor, **settings)
        settings["acts_for"] = values["acts_for"]
        return agents.change_agent(self.instance, actor=self.actor, **settings).row


class UntilForm(forms.Form):
    """The last day on which something holds, in the workspace's time zone; none is for ever."""

    until = forms.DateField(required=False)

    def end(self, workspace: Workspace) -> datetime | None:
        """The end of that day. Raises ValidationError for a day that is over."""
        day: date | None = filled(self)["until"]
        if day is None:
            return None
        midnight = time(tzinfo=ZoneInfo(workspace.timezone))
        end = datetime.combine(day + timedelta(days=1), midnight)
        if end <= timezone.now():
            raise ValidationError("That day is over; choose a later one, or none.")
        return end


class RotationForm(UntilForm):
    """How long the old key still works beside the one that takes its place."""

    OVERLAPS = {"0": "at once", "60": "in an hour", "1440": "in a day", "10080": "in a week"}
    overlap = forms.ChoiceField(choices=list(OVERLAPS.items()), label="The old key ends")

    def old_until(self) -> datetime:
        """When the old key ends. Raises ValidationError."""
        return timezone.now() + timedelta(minutes=int(filled(self)["overlap"]))


class AgentPages(NamedAdmin):
    """Agents with their keys, roles and grants."""

    form = AgentForm
    add_permission = change_permission = "manage_agents"
    search_fields = ["name", "purpose", "public_id"]
    list_select_related = ["workspace", "owner"]
    change_form_template = "admin/workspaces/agent.html"
    rows_shown = 100

    def get_queryset(self, request: HttpRequest) -> Any:
        """With when any key was last used, by a query inside: joining keys and grouping made other columns cost as
        often as an agent has keys."""
        used = KeyUse.objects.filter(key__agent=OuterRef("pk")).order_by("-at").values("at")
        return super().get_queryset(request).annotate(last_seen=Subquery(used[:1]))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["workspace", "name", "owner", "purpose", "labels", "risk_tier", "isolated_runs"]
        fields += ["sessions_per_hour", "most_waiting", "cost_center", "loop_limits"]
        return [*fields, "acts_for"] if obj else fields

    @display(description="Last seen", ordering="last_seen")
    def seen(self, agent: Any) -> datetime | str:
        return agent.last_seen or "never"

    @display(description="Risk tier", ordering="risk_tier", label=RISK_LABELS)
    def shown_risk(self, agent: Agent) -> str:
        return agent.risk_tier

    @display(description="Acts for")
    def acts_for(self, agent: Agent) -> str:
        return ", ".join(str(row.person) for row in agent.principals.select_related("person")) or "nobody"

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = timezone.now()
        keys = list(obj.keys.select_related("use", "created_by").order_by("-created")[: self.rows_shown])
        for key in keys:
            key.live = key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
        live = sum(key.live for key in keys)
        may_manage = self.allows(request, "manage_agents", obj)
        shown: dict[str, Any] = {
            "may_manage": may_manage,
            "now": now,
            "keys": keys,
            "live_keys": live,
            "overlaps": RotationForm.OVERLAPS.items(),
            "may_add_key": may_manage and obj.standing != "revoked" and live < agents.LIVE_KEYS,
            "given_roles": obj.agent_roles.select_related("role").order_by("role__name"),
            "grants": access.grants_of(obj),
            "callback": callbacks.address(obj, whole=may_manage),
        }
        if may_manage:
            shown["roles_to_give"] = Role.objects.filter(workspace=obj.workspace).order_by("name")
            shown["permissions_to_grant"] = [
                (key, label) for key, (label, *_) in permissions_in_role(obj.workspace).items()
            ]
        return shown

    @act("create_key", agents.TooManyKeys, agents.AgentRevoked)
    def create_key(self, request: HttpRequest, agent: Agent) -> HttpResponse:
        """Make a key and show its text in this very answer: it is kept nowhere, not in the session either."""
        self.require(request, "manage_agents", agent)
        key, text = agents.create_key(
            agent,
            actor=actor_in(request),
            created_by=person_of(request),
            expires_at=UntilForm(request.POST).end(agent.workspace),
        )
        return self.shown_once(request, agent, key, text)

    @act("rotate_key", agents.TooManyKeys, agents.AgentRevoked, agents.KeyOver)
    def rotate_key(self, request: HttpRequest, agent: Agent) -> HttpResponse:
        """Make the key that takes another's place; the old one ends after the chosen time."""
        self.require(request, "manage_agents", agent)
        form = RotationForm(request.POST)
        key, text = agents.rotate_key(
            self.key(request, agent),
            old_until=form.old_until(),
            actor=actor_in(request),
            created_by=person_of(request),
            expires_at=form.end(agent.workspace),
        )
        return self.shown_once(request, agent, key, text)

    def shown_once(self, request: HttpRequest, agent: Agent, key: AgentKey, text: str) -> HttpResponse:
        """The page with a key's text, which is never shown again."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"A key for {agent.name}",
            "opts": self.opts,
            "agent": agent,
            "key": key,
            "text": text,
            "page": self.page_of(agent),
        }
        response = render(request, "admin/workspaces/key.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    @act("set_callback", destinations.NotAllowed)
    def set_callback(self, request: HttpRequest, agent: Agent) -> HttpResponse | None:
        """Set where the agent is told of its approvals, or end that; the secret stands in this very answer alone."""
        self.require(request, "manage_agents", agent)
        secret = callbacks.set_callback(agent, url=request.POST.get("url", ""), actor=actor_in(request))
        if not secret:
            messages.success(request, f"{agent.name} is told of its approvals at the gate alone.")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"Callbacks of {agent.name}",
            "opts": self.opts,
            "agent": agent,
            "address": callbacks.address(agent, whole=True),
            "text": secret,
            "page": self.page_of(agent),
        }
        response = render(request, "admin/workspaces/callback.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    @act("revoke_key")
    def revoke_key(self, request: HttpRequest, agent: Agent) -> None:
        self.require(request, "manage_agents", agent)
        key = self.key(request, agent)
        agents.revoke_key(key, actor=actor_in(request))
        messages.success(request, f"The key {key} is revoked; calls under it are refused from now on.")

    def key(self, request: HttpRequest, agent: Agent) -> AgentKey:
        """The posted key of the agent. Raises Http404."""
        keys = agent.keys.filter(public_id=request.POST.get("key", ""))
        key = keys.select_related("agent__workspace").first()
        if key is None:
            raise Http404("This agent has no such key.")
        return key

    @act("give_role")
    def give_role(self, request: HttpRequest, agent: Agent) -> None:
        self.require(request, "manage_agents", agent)
        role = self.role(request, agent)
        held = {row.role: row.expires_at for row in agent.agent_roles.select_related("role")}
        until = UntilForm(request.POST).end(agent.workspace)
        agents.set_agent_roles(agent, {**held, role: until}, actor=actor_in(request))
        messages.success(request, f"{agent.name} has the role {role.name}.")

    @act("take_role")
    def take_role(self, request: HttpRequest, agent: Agent) -> None:
        self.require(request, "manage_agents", agent)
        role = self.role(request, agent)
        rows = agent.agent_roles.exclude(role=role).select_related("role")
        agents.set_agent_roles(agent, {row.role: row.expires_at for row in rows}, actor=actor_in(request))
        messages.success(request, f"{agent.name} no longer has the role {role.name}.")

    def role(self, request: HttpRequest, agent: Agent) -> Role:
        """The posted role of the agent's workspace. Raises ValidationError."""
        role = Role.objects.filter(workspace=agent.workspace, name=request.POST.get("role", "")).first()
        if role is None:
            raise ValidationError("Choose a role of this workspace.")
        return role

    @act("grant", NoSuchPermission)
    def grant(self, request: HttpRequest, agent: Agent) -> None:
        self.require(request, "manage_agents", agent)
        permission, target = self.permission(request, agent)
        until = UntilForm(request.POST).end(agent.workspace)
        access.grant(agent, permission=permission, obj=target, expires_at=until, actor=actor_in(request))
        messages.success(request, f"{agent.name} may {permission} {target}.")

    @act("revoke", NoSuchPermission)
    def revoke(self, request: HttpRequest, agent: Agent) -> None:
        self.require(request, "manage_agents", agent)
        permission, target = self.permission(request, agent)
        access.revoke(agent, permission=permission, obj=target, actor=actor_in(request))
        messages.success(request, f"{agent.name} no longer may {permission} {target} by a grant of its own.")

    def permission(self, request: HttpRequest, agent: Agent) -> tuple[str, Any]:
        """The posted permission and what it is on. Raises ValidationError."""
        found = permissions_in_role(agent.workspace).get(request.POST.get("permission", ""))
        if found is None:
            raise ValidationError("Choose a permission on a tool or a resource of this workspace.")
        return found[1:]
