"""The assistant that sets an agent up: what kind it is, what it may do, how to connect it. Works without scripts."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path

from billing.budgets import NANOS
from governance import policies
from governance.admin.connect import ConnectPages
from governance.onboarding import Founded, Plan, found
from governance.starters import STARTERS, Starter, SuggestedResource, SuggestedRule, rules_for
from workspaces.access import get_workspace, holders, may, workspaces_for
from workspaces.access.admin import REFUSALS, person_of, sentences
from workspaces.admin.agents import UntilForm
from workspaces.admin.catalog import permissions_in_role
from workspaces.allowances import Need
from workspaces.declarations import DeclarationError
from workspaces.models import RISKS, Agent, User, Workspace
from workspaces.patterns import Pattern, PatternError

REFUSED: tuple[type[Exception], ...] = (*REFUSALS, DeclarationError, PatternError)
MANY = 300  # choices of one list


class SetupForm(forms.Form):
    """Everything about a new agent of one kind, prefilled with what its kind mostly needs."""

    name = forms.CharField(max_length=100, help_text="As rules and pages will call it: report-bot.")
    owner = forms.ModelChoiceField(
        User.objects.none(), help_text="Who answers for it, and sees what it sends where roles allow that."
    )
    purpose = forms.CharField(max_length=500, required=False, help_text="One line for whoever is on call.")
    risk_tier = forms.ChoiceField(
        choices=RISKS, label="Risk tier", help_text="Rules can select agents by it."
    )
    tools = forms.MultipleChoiceField(required=False)
    resources = forms.MultipleChoiceField(required=False)
    given = forms.MultipleChoiceField(
        required=False,
        label="What the workspace has already",
        widget=forms.SelectMultiple(attrs={"size": 8}),
        help_text="Hold Ctrl or ⌘ to choose several.",
    )
    rules = forms.MultipleChoiceField(required=False)
    reviewers = forms.ChoiceField(
        required=False, label="Who is asked", help_text="For the rules that wait for a person."
    )
    daily_usd = forms.DecimalField(
        required=False,
        min_value=0,
        max_value=10**9,
        decimal_places=9,
        label="US dollars a day",
        widget=forms.TextInput(attrs={"inputmode": "decimal"}),
        help_text="What its calls may cost in a day. Empty: no limit of its own.",
    )
    grants_until = forms.DateField(
        required=False,
        label="Last day of its grants",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Empty: they have no end.",
    )
    key_until = forms.DateField(
        required=False,
        label="Last day of its key",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Empty: it has no end.",
    )

    def __init__(self, data: Any, *, workspace: Workspace, starter: Starter, person: User) -> None:
        self.workspace, self.starter, self.person = workspace, starter, person
        super().__init__(
            data,
            initial={
                "owner": person.pk,
                "purpose": starter.purpose,
                "risk_tier": starter.risk_tier,
                "tools": [tool.name for tool in starter.tools],
                "resources": [str(number) for number in range(len(starter.resources))],
                "rules": [rule.key for rule in starter.rules],
                "daily_usd": starter.daily_usd,
            },
        )
        choices: dict[str, Any] = self.fields
        choices["owner"].queryset = (
            User.objects.filter(memberships__workspace=workspace, is_active=True).distinct().order_by("name")
        )
        self.suggested = [tool.name for tool in starter.tools]
        choices["tools"].choices = [(name, name) for name in self.suggested]
        choices["resources"].choices = [(str(n), str(n)) for n in range(len(starter.resources))]
        self.targets = dict(list(permissions_in_role(workspace).items())[:MANY])
        choices["given"].choices = [(key, label) for key, (label, *_) in self.targets.items()]
        choices["rules"].choices = [(rule.key, rule.key) for rule in starter.rules]
        choices["reviewers"].choices = reviewers_in(workspace)
        for number, resource in enumerate(starter.resources):
            self.fields[f"pattern-{number}"] = forms.CharField(
                max_length=1000, required=False, initial=resource.pattern, label="Pattern"
            )

    def ticked(self, name: str) -> set[str]:
        """What is ticked of a list: as posted, or as suggested."""
        return set(self[name].value() or ())

    @property
    def tool_rows(self) -> list[dict[str, Any]]:
        """The suggested tools; where the workspace has one of that name, that one, which stays as it is."""
        known = {
            tool.name: tool.declaration() for tool in self.workspace.tools.filter(name__in=self.suggested)
        }
        tools = [(known.get(tool.name, tool), tool.name in known) for tool in self.starter.tools]
        return [
            {"tool": tool, "ticked": tool.name in self.ticked("tools"), "known": is_known,
             "templates": [each.template for each in tool.templates]}
            for tool, is_known in tools
        ]  # fmt: skip

    @property
    def resource_rows(self) -> list[tuple[str, SuggestedResource, bool, Any]]:
        """Each suggested resource: its number, itself, whether it is ticked, and its pattern's field."""
        return [
            (str(number), resource, str(number) in self.ticked("resources"), self[f"pattern-{number}"])
            for number, resource in enumerate(self.starter.resources)
        ]

    @property
    def rule_rows(self) -> list[tuple[SuggestedRule, bool]]:
        """The suggested rules, and whether each is ticked."""
        return [(rule, rule.key in self.ticked("rules")) for rule in self.starter.rules]

    def needs(self) -> list[Need]:
        """The grants that are ticked; a pattern that cannot be read is the error of its field."""
        found = [Need("use", name) for name in self.cleaned_data["tools"]]
        for number in self.cleaned_data["resources"]:
            pattern = self.cleaned_data[f"pattern-{number}"]
            try:
                Pattern.parse(pattern)
            except PatternError as error:
                self.add_error(f"pattern-{number}", str(error))
                continue
            found += [Need(action, pattern) for action in self.starter.resources[int(number)].actions]
        return found

    def rules_made(self) -> list[dict[str, Any]]:
        """The rules that are ticked, about this agent."""
        values = self.cleaned_data
        ticked = [rule for rule in self.starter.rules if rule.key in values["rules"]]
        return rules_for(
            values["name"],
            ticked,
            tools=values["tools"],
            reviewers=[values["reviewers"]] if values["reviewers"] else [],
        )

    def end(self, name: str) -> datetime | None:
        """The end of a day that was given; one that is over is the error of its field."""
        try:
            return UntilForm({"until": self.cleaned_data[name]}).end(self.workspace)
        except ValidationError as error:
            self.add_error(name, error)
            return None

    def plan(self) -> Plan | None:
        """What is wanted, or None where a field has an error by now. The form must be valid."""
        values = dict(self.cleaned_data)
        needs, rules = self.needs(), self.rules_made()
        grants_until, key_until = self.end("grants_until"), self.end("key_until")
        usd = values["daily_usd"]
        if self.errors:
            return None
        return Plan(
            workspace=self.workspace,
            name=values["name"],
            owner=values["owner"],
            purpose=values["purpose"],
            risk_tier=values["risk_tier"],
            declare=tuple(tool for tool in self.starter.tools if tool.name in values["tools"]),
            needs=tuple(needs),
            given=tuple(self.targets[key][1:] for key in values["given"]),
            grants_until=grants_until,
            key_until=key_until,
            daily_nanos=None if usd is None else int(Decimal(usd) * NANOS),
            rules=tuple(rules),
        )

    def clean_name(self) -> str:
        """The name, which nobody here has yet."""
        name: str = self.cleaned_data["name"].strip()
        if Agent.objects.filter(workspace=self.workspace, name=name).exists():
            raise ValidationError(f"There is an agent called {name} here already.")
        return name

    def carry_out(self) -> Founded | None:
        """Make the agent; None, with errors at their fields, where something is refused."""
        if not self.is_valid():
            return None
        try:
            plan = self.plan()
            return found(plan, person=self.person) if plan else None
        except REFUSED as refusal:
            for field, sentence in sentences(refusal):
                self.add_error(field if field in self.fields else None, sentence)
            return None


def reviewers_in(workspace: Workspace) -> list[tuple[str, str]]:
    """Who can be asked: reviewer groups, then people who may decide."""
    groups = workspace.reviewer_groups.filter(members__isnull=False).distinct().order_by("name")
    people = holders(workspace, "decide").order_by("name")
    found = [(f"group:{group.name}", f"the group {group.name}") for group in groups]
    return found + [(person.email, str(person)) for person in people[:MANY]]


class SetupPages(ConnectPages):
    """The page ``setup/``: choose a kind of agent, then say what it may do; the answer is how to connect it."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.setup_view)
        return [path("setup/", view, name="workspaces_agent_setup"), *super().get_urls()]

    def setup_view(self, request: HttpRequest) -> HttpResponse:
        """One page for each step; the address says which, so that nothing is kept between them."""
        person = person_of(request)
        places = [
            each
            for each in workspaces_for(person, "manage_agents").order_by("name")
            if may(person, "manage_tools", each)
        ]
        if not places:
            raise Http404("There is no workspace in which you may set up an agent.")
        starter = STARTERS.get(request.GET.get("starter", ""))
        slug = request.GET.get("workspace") or (places[0].slug if len(places) == 1 else "")
        context = {**self.admin_site.each_context(request), "title": "Set up an agent"}
        if starter is None or not slug:
            context |= {"places": places, "starters": STARTERS.values(), "slug": slug}
            return render(request, "admin/workspaces/agent_setup.html", context)
        workspace = get_workspace(person, slug, "manage_agents")
        get_workspace(person, slug, "manage_tools")
        form = self.form_of(request, workspace, starter=starter, person=person)
        if request.method == "POST" and (answer := self.carry_out(request, form)):
            return answer
        context |= {
            "form": form,
            "starter": starter,
            "workspace": workspace,
            "asks": any(rule.asks for rule in starter.rules),
            "may_budget": may(person, "manage_budgets", workspace),
            "may_publish": policies.may_publish_alone(person, workspace),
        }
        return render(request, "admin/workspaces/agent_setup_form.html", context)

    def form_of(
        self, request: HttpRequest, workspace: Workspace, *, starter: Starter, person: User
    ) -> SetupForm:
        """The form of a new agent of this kind."""
        return SetupForm(request.POST or None, workspace=workspace, starter=starter, person=person)

    def carry_out(self, request: HttpRequest, form: SetupForm) -> HttpResponse | None:
        """Do what a posted form says and show what came of it; None where something is refused."""
        founded = form.carry_out()
        if founded is None:
            return None
        more = {"founded": True, "key": founded.key, "text": founded.text,
                "remaining": founded.remaining, "version": founded.version}  # fmt: skip
        return self.connect_page(request, founded.agent, **more)
