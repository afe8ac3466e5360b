"""“Test this call”: a form for one call, and what would be decided on it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from audit import canonical
from governance import policies, presentation
from governance.admin.standing import BADGES
from governance.models import PolicyVersion
from governance.trials import Call, Trial, TrialRefused, attempt
from workspaces.access.pages import workspace_page
from workspaces.models import Agent, Tool, Workspace

LONGEST = 64 * 1024  # characters of arguments
OFFERED = 500  # names that a field suggests
VERSIONS = 50
COLORS = {"allow": "success", "deny": "danger", "pending": "warning"}
WORDS = {"allow": "allowed", "deny": "denied", "pending": "a person is asked"}
EXAMPLES: dict[str, Any] = {
    "string": "", "number": 0, "integer": 0, "boolean": False, "array": [], "object": {}
}  # fmt: skip


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


class JsonField(forms.CharField):
    """A JSON object as the gate reads one."""

    widget = forms.Textarea

    def clean(self, value: Any) -> dict[str, Any]:
        text = super().clean(value).strip()
        try:
            found = canonical.decode(text.encode()) if text else {}
        except canonical.ParseError as error:
            raise ValidationError(f"This is no JSON that the gate accepts: {error}") from error
        if not isinstance(found, dict):
            raise ValidationError("Write a JSON object, such as {}.")
        return found


class TrialForm(forms.Form):
    """One call and what its session has behind it."""

    version = forms.ChoiceField(label="Judged by")
    agent = forms.CharField(max_length=100, widget=forms.TextInput(attrs={"list": "trial-agents"}))
    tool = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"list": "trial-tools"}))
    arguments = JsonField(
        required=False,
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 8, "class": "portal-code", "spellcheck": "false"}),
        help_text="A JSON object, as the agent would send it.",
    )
    labels = forms.CharField(
        required=False,
        max_length=2000,
        label="Labels in its session",
        help_text="What earlier calls brought in, separated by commas, such as untrusted_output.",
    )
    tools = forms.CharField(
        required=False,
        max_length=4000,
        label="Tools used before",
        help_text="In its session, in order, separated by commas.",
    )
    repeats = forms.IntegerField(
        required=False,
        min_value=0,
        max_value=1000,
        label="Repeats",
        help_text="How often this very call was made lately.",
    )
    session = forms.CharField(
        required=False,
        max_length=200,
        help_text="Its name, for limits and budgets that count by session. They are as they stand now.",
    )
    on_behalf_of = forms.CharField(
        required=False,
        max_length=200,
        label="On behalf of",
        help_text="A person's address. A claim of the agent's.",
    )
    reason = forms.CharField(
        required=False, max_length=2000, help_text="What the agent says why. A claim of the agent's."
    )
    context = JsonField(
        required=False,
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 2, "class": "portal-code", "spellcheck": "false"}),
        help_text="A JSON object. A claim of the agent's.",
    )

    def __init__(self, workspace: Workspace, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace
        rows = PolicyVersion.objects.filter(workspace=workspace).defer("content").order_by("-number")
        listed = [(str(row.number), f"version {row.number}, {row.get_status_display().lower()}")
                  for row in rows[:VERSIONS]]  # fmt: skip
        self.fields["version"].choices = [("", "the policy in force"), *listed]  # type: ignore[attr-defined]
        self.fields["version"].required = False

    def clean_agent(self) -> Agent:
        found = Agent.objects.filter(workspace=self.workspace, name=self.cleaned_data["agent"].strip())
        if (agent := found.select_related("workspace").first()) is None:
            raise ValidationError("There is no agent of this name here; choose one from the list.")
        return agent

    def call(self) -> Call:
        """The call that the fields describe."""
        values = self.cleaned_data
        tools = names(values["tools"])
        return Call(
            agent=values["agent"],
            tool=values["tool"].strip(),
            arguments=values["arguments"],
            session=values["session"],
            labels=frozenset(names(values["labels"])),
            tools=tools,
            calls=len(tools),
            repeats=values["repeats"] or 0,
            reason=values["reason"],
            on_behalf_of=values["on_behalf_of"].strip(),
            context=values["context"],
        )

    def chosen(self) -> PolicyVersion | None:
        """The version to judge by; None where the workspace has published none."""
        if number := self.cleaned_data["version"]:
            return PolicyVersion.objects.filter(workspace=self.workspace, number=number).first()
        return policies.in_force(self.workspace)


@workspace_page("draft_policy")
@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Try one call. The answer writes nothing; it is a POST so that arguments stand in no address."""
    trial: Trial | None = None
    version: PolicyVersion | None = None
    if request.method == "POST":
        form = TrialForm(workspace, request.POST)
        if form.is_valid():
            version = form.chosen()
            try:
                trial = attempt(form.call(), version=version, now=timezone.now())
            except TrialRefused as refused:
                form.add_error("version", str(refused))
    else:
        form = TrialForm(workspace, initial=asked_for(request, workspace))
    context = {
        **admin.site.each_context(request),
        "title": "Test a call",
        "subtitle": str(workspace),
        "workspace": workspace,
        "form": form,
        "agents": workspace.agents.order_by("name").values_list("name", flat=True)[:OFFERED],
        "tools": workspace.tools.order_by("name").values_list("name", flat=True)[:OFFERED],
        "trial": trial,
        "version": version,
        **(shown(trial) if trial else {}),
    }
    return render(request, "admin/portal/policy_trial.html", context)


def asked_for(request: HttpRequest, workspace: Workspace) -> dict[str, Any]:
    """What an address fills in: ``agent``, ``tool`` and ``version``, and arguments as the tool would take them."""
    found = {name: request.GET[name] for name in ("agent", "tool", "version") if name in request.GET}
    tool = Tool.objects.filter(workspace=workspace, name=found.get("tool", "")).first()
    return {**found, "arguments": presentation.pretty(example(tool))}


def example(tool: Tool | None) -> dict[str, Any]:
    """Arguments to begin with: an empty value for each field that the tool's schema requires."""
    schema = (tool.schema if tool else None) or {}
    fields, filled = schema.get("properties", {}), {}
    for name in schema.get("required", ()):
        kind = fields.get(name, {}).get("type", "string") if isinstance(fields.get(name), dict) else "string"
        filled[name] = EXAMPLES.get(kind[0] if isinstance(kind, list) and kind else str(kind), "")
    return filled


def shown(trial: Trial) -> dict[str, Any]:
    """What the page says of a trial."""
    verdict = trial.verdict
    decided = verdict.would or verdict.decision
    return {
        "color": COLORS[decided],
        "decided": WORDS[decided],
        "observed": bool(verdict.would),
        "standing_color": BADGES.get(trial.standing, "default"),
        "reasons": verdict.reasons,
        "resources": [presentation.visible(item.resource) for item in verdict.derived],
        "arguments": presentation.pretty(verdict.arguments) if verdict.arguments else "",
    }
