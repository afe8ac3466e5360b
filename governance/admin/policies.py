"""Policy versions: read as rules, drafted as text, compared, published."""

import difflib
from typing import Any, ClassVar

import yaml
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextareaWidget

from audit.admin.pages import display
from governance import policies
from governance.admin.naming import actor, names_of
from governance.manifest_file import Document, FileProblem, FileRefused, Place, read
from governance.models import PolicyVersion
from governance.policies import NeedsSecondPerson, NotADraft, PolicyRefused
from governance.rules import Problem
from workspaces.access.admin import ActingForm, ScopedAdmin, act, actor_in, filled

STATUS_LABELS = {"draft": "warning", "in_force": "success", "retired": "default"}
EFFECTS = {"deny": "danger", "require_approval": "warning", "limit": "info"}
FIRST_RULES = """\
# One rule after the other, as in a workspace file. For example:
# - name: Refunds above 100 need finance
#   tools: [billing.refund]
#   when: args.amount > 100
#   effect: require_approval
#   approval: {reviewers: ["group:finance"], quorum: 1, expires_in: 1h}
"""


class RuleDumper(yaml.SafeDumper):
    """Rules as people write them: short lists on one line, conditions in double quotes where they quote."""


def dump_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    """A list of names on one line, one of rules over several."""
    plain = all(isinstance(item, str) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=plain)


def dump_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Text, in double quotes where single ones would have to be doubled."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "'" in text else None)


RuleDumper.add_representer(list, dump_list)
RuleDumper.add_representer(str, dump_text)


def written(content: Any) -> str:
    """Rules as people edit them."""
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
    return str(yaml.dump(content, Dumper=RuleDumper, **options)) if content else FIRST_RULES


def rules_in(text: str) -> tuple[Document | None, list[Any]]:
    """The rules that a text holds, and the document that knows where they stand; nothing is no rules. Raises
    FileRefused."""
    lines = (line.strip() for line in text.splitlines())
    if all(not line or line.startswith("#") for line in lines):
        return None, []
    document = read(text.encode())
    if document.problems:
        raise FileRefused(document.problems)
    return document, document.root.plain()


def located(document: Document, problem: Problem) -> FileProblem:
    """A rule's problem at its place in the text."""
    return FileProblem(document.locate(problem.path, problem.line, problem.column), problem.message)


class DraftForm(ActingForm):
    """A draft as text. ``problems`` are what is wrong with it, each with its line."""

    text = forms.CharField(
        label="Rules",
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 26, "spellcheck": "false"}),
        help_text="YAML or JSON, as under “policy” in a workspace file. Write the whole policy: rules "
        "that are not here are not in the version.",
    )
    start: ClassVar[str] = ""

    class Meta:
        model = PolicyVersion
        fields = ["workspace", "note"]
        help_texts = {"note": "What changes, and why; whoever publishes reads it."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.problems: list[tuple[FileProblem, str]] = []
        if "text" in self.fields:
            self.fields["text"].widget.attrs["class"] += " portal-code"
            self.initial["text"] = self.start

    def apply(self, values: dict[str, Any]) -> Model:
        text = values["text"]
        document = None
        try:
            document, rules = rules_in(text)
            return policies.draft(values["workspace"], rules, actor=self.actor, note=values["note"])
        except FileRefused as refused:
            found = refused.problems
        except PolicyRefused as refused:
            found = [
                located(document, problem) if document else FileProblem(Place(1, 1), problem.message)
                for problem in refused.problems
            ]
        lines = text.splitlines()
        self.problems = [
            (problem, lines[problem.place.line - 1] if problem.place.line <= len(lines) else "")
            for problem in sorted(set(found))
        ]
        raise ValidationError({"text": "Nothing was drafted: see what is wrong above, line by line."})


class PublishForm(forms.Form):
    """A note with the publication; it takes the draft's place."""

    note = forms.CharField(required=False, max_length=500)


@admin.register(PolicyVersion)
class PolicyAdmin(ScopedAdmin):
    """Versions of policies. They never change: a new one is drafted and published."""

    form = DraftForm
    add_permission = "draft_policy"
    list_display = [
        "shown_number",
        "workspace",
        "shown_status",
        "rule_count",
        "note",
        "drafter",
        "published_at",
    ]
    list_select_related = ["workspace"]
    ordering = ["workspace__name", "-number"]
    fields = ["workspace", "text", "note"]
    add_form_template = "admin/portal/draft.html"

    @display(description="Version", ordering="number")
    def shown_number(self, version: PolicyVersion) -> str:
        return f"Version {version.number}"

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def shown_status(self, version: PolicyVersion) -> tuple[str, str]:
        return version.status, version.get_status_display()

    @display(description="Rules")
    def rule_count(self, version: PolicyVersion) -> int:
        return len(version.content)

    @display(description="Drafted by")
    def drafter(self, version: Any) -> str:
        return str(version.drafter)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        names = names_of(row.drafted_by for row in rows)
        for row in rows:
            row.drafter = actor(row.drafted_by, names)
        changelist.result_list = rows
        return changelist

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """A draft begins with the rules of the version it is made from, or of the one in force."""
        form = super().get_form(request, obj, change, **kwargs)
        origin = self.origin(request)
        form.start = written(origin.content if origin else [])
        return form

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        origin = self.origin(request)
        return {"workspace": origin.workspace_id} if origin else {}

    def origin(self, request: HttpRequest) -> PolicyVersion | None:
        """The visible version that ``?from=`` names, or the one in force where there is only one."""
        rows: QuerySet[PolicyVersion] = self.get_queryset(request)
        if (key := request.GET.get("from", "")).isdecimal():
            return rows.filter(pk=int(key)).first()
        versions: list[PolicyVersion] = list(rows.filter(status=PolicyVersion.Status.IN_FORCE)[:2])
        return versions[0] if len(versions) == 1 else None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.find(request, object_id)
        current = policies.in_force(version.workspace)
        names = names_of([version.drafted_by, version.published_by])
        draft = version.status == PolicyVersion.Status.DRAFT
        problems = policies.review(version) if draft else []
        context = {
            **self.admin_site.each_context(request),
            "title": f"Version {version.number}",
            "subtitle": str(version.workspace),
            "opts": self.opts,
            "version": version,
            "color": STATUS_LABELS[version.status],
            "drafted_by": actor(version.drafted_by, names),
            "published_by": actor(version.published_by, names),
            "rules": [readable(rule, index, problems) for index, rule in enumerate(version.content)],
            "problems": problems,
            "current": current,
            "difference": difference(current, version) if current and current.pk != version.pk else [],
            "may_draft": self.allows(request, "draft_policy", version),
            "may_publish": draft and self.allows(request, "publish_policy", version),
            "own_draft": version.workspace.two_people and version.drafted_by == actor_in(request),
        }
        return TemplateResponse(request, "admin/portal/policy.html", context)

    @act("publish", PolicyRefused, NeedsSecondPerson, NotADraft)
    def publish(self, request: HttpRequest, version: PolicyVersion) -> None:
        """Put the draft in force."""
        self.require(request, "publish_policy", version)
        note = filled(PublishForm(request.POST))["note"]
        policies.publish(version, actor=actor_in(request), note=note)
        messages.success(request, f"Version {version.number} is in force, from the next decision on.")


def readable(rule: dict[str, Any], index: int, problems: list[Problem]) -> dict[str, Any]:
    """A rule as its page shows it."""
    selectors = ("tools", "agents", "actions", "resources", "except_resources")
    words = {"tools": "Tools", "agents": "Agents", "actions": "Actions", "resources": "Resources",
             "except_resources": "Except resources"}  # fmt: skip
    rows = [(words[name], ", ".join(rule[name])) for name in selectors if rule.get(name)]
    if approval := rule.get("approval"):
        people = ", ".join(approval["reviewers"])
        rows.append(("Reviewers", f"{approval['quorum']} of {people}, within {span(approval['expires_in'])}"))
    if limit := rule.get("limit"):
        measure = f"{limit['max']} of {limit['sum']}" if limit.get("sum") else f"{limit['calls']} calls"
        rows.append(("At most", f"{measure} in {span(limit['per'])} by {limit['by']}, then {limit['then']}"))
    return {
        "name": rule["name"],
        "effect": rule["effect"].replace("_", " "),
        "color": EFFECTS.get(rule["effect"], "default"),
        "when": rule.get("when", ""),
        "rows": rows,
        "message": rule.get("message", ""),
        "ask": rule.get("ask", ""),
        "problems": [problem.message for problem in problems if problem.path[:1] == (index,)],
    }


def span(seconds: int) -> str:
    """A length of time as it is written in rules."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def difference(before: PolicyVersion, after: PolicyVersion) -> list[tuple[str, str]]:
    """(kind, line) of what the later version takes away and adds; kind is add, remove, place or same."""
    one, other = (written(each.content).splitlines() if each.content else [] for each in (before, after))
    kinds = {"+": "add", "-": "remove", "@": "place"}
    lines = list(difflib.unified_diff(one, other, lineterm="", n=3))[2:]
    return [(kinds.get(line[:1], "same"), line) for line in lines]
