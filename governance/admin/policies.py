"""Policy versions: read as rules, drafted as text, compared, published, gone back to."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_POST

from audit.admin.pages import display
from governance import policies, policy_changes, replays
from governance.admin.drafts import DraftForm, checking, examine, written
from governance.admin.replays import ReplayForm, of_version
from governance.differences import differences, span, told_rung
from governance.matches import Match, matches
from governance.models import PolicyVersion, Proposal
from governance.naming import actor, names_of
from governance.policies import NeedsSecondPerson, NotADraft, PolicyRefused, WorkspaceChanging
from governance.proposals import NobodyElse
from governance.reading import Problem
from governance.replays import ReplayRefused
from workspaces.access import Forbidden, may, workspaces_for
from workspaces.access.admin import ScopedAdmin, act, actor_in, filled, person_of

STATUS_LABELS = {"draft": "warning", "in_force": "success", "retired": "default"}
EFFECTS = {"deny": "danger", "require_approval": "warning", "limit": "info"}
CHANGES = {"added": "success", "removed": "danger", "changed": "warning", "renamed": "default"}
RULES_A_PAGE = 100
CHANGES_SHOWN = 200
VERSIONS_OFFERED = 50


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
        "publisher",
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

    @display(description="Published by")
    def publisher(self, version: Any) -> str:
        return str(version.publisher) or "–"

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        names = names_of(text for row in rows for text in (row.drafted_by, row.published_by))
        for row in rows:
            row.drafter = actor(row.drafted_by, names)
            row.publisher = actor(row.published_by, names)
        changelist.result_list = rows
        return changelist

    def get_urls(self) -> list[URLPattern]:
        check = path(
            "check/",
            self.admin_site.admin_view(require_POST(self.check_text)),
            name="governance_policyversion_check",
        )
        return [check, *super().get_urls()]

    def check_text(self, request: HttpRequest) -> HttpResponse:
        """What is wrong with a text, as JSON; nothing is saved. 503 while another text is being checked. Raises
        Http404 and Forbidden."""
        key = request.POST.get("workspace", "")
        workspace = workspaces_for(request.user).filter(pk=key if key.isdecimal() else 0).first()
        if workspace is None:
            raise Http404("There is no such workspace.")
        if not may(request.user, "draft_policy", workspace):
            raise Forbidden("Your roles do not let you draft policies here; ask an owner of the workspace.")
        if not checking.acquire(blocking=False):
            return JsonResponse({"busy": True}, status=503, headers={"Retry-After": "1"})
        try:
            text = request.POST.get("text", "")
            return JsonResponse(examine(workspace, text, typed=True).as_json())
        finally:
            checking.release()

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
        rows = self.get_queryset(request)
        if (key := request.GET.get("from", "")).isdecimal():
            found: PolicyVersion | None = rows.filter(pk=int(key)).first()
            return found
        versions: list[PolicyVersion] = list(rows.filter(status=PolicyVersion.Status.IN_FORCE)[:2])
        return versions[0] if len(versions) == 1 else None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.find(request, object_id)
        current = policies.in_force(version.workspace)
        others = PolicyVersion.objects.filter(workspace=version.workspace).exclude(pk=version.pk)
        offered = list(others.defer("content").order_by("-number")[:VERSIONS_OFFERED])
        base = self.base(request, version)
        names = names_of([version.drafted_by, version.published_by])
        draft = version.status == PolicyVersion.Status.DRAFT
        problems = policies.review(version) if draft else []
        changed = differences(base.content, version.content) if base else []
        may_draft = self.allows(request, "draft_policy", version)
        may_publish = draft and self.allows(request, "publish_policy", version)
        own_draft = version.workspace.two_people and version.drafted_by == actor_in(request)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Version {version.number}",
            "subtitle": str(version.workspace),
            "opts": self.opts,
            "version": version,
            "color": STATUS_LABELS[version.status],
            "drafted_by": actor(version.drafted_by, names),
            "published_by": actor(version.published_by, names),
            "problems": problems,
            "current": current,
            "base": base,
            "offered": offered,
            "changed": [(each, CHANGES[each.kind]) for each in changed[:CHANGES_SHOWN]],
            "changed_more": max(0, len(changed) - CHANGES_SHOWN),
            "may_draft": may_draft,
            "may_publish": may_publish,
            "own_draft": own_draft,
            "proposed": policy_changes.pending(version.workspace, Proposal.Kind.POLICY, version=version)
            if draft
            else None,
            "may_propose": draft and may_draft and not problems and (own_draft or not may_publish),
            "replays": of_version(request, version) if may_draft else [],
            "most_calls": replays.MOST_CALLS,
            "goes_back_at_once": policies.may_publish_alone(person_of(request), version.workspace),
            **rules_page(request, version, problems),
        }
        return TemplateResponse(request, "admin/portal/policy.html", context)

    def base(self, request: HttpRequest, version: PolicyVersion) -> PolicyVersion | None:
        """What a version is compared with: the version that ``?against=`` names, or the usual one."""
        if (key := request.GET.get("against", "")).isdecimal():
            others = PolicyVersion.objects.filter(workspace=version.workspace).exclude(pk=version.pk)
            return others.filter(number=int(key)).first()
        return policies.compared_with(version)

    @act("publish", PolicyRefused, NotADraft, WorkspaceChanging, NobodyElse)
    def publish(self, request: HttpRequest, version: PolicyVersion) -> HttpResponse | None:
        """Put the draft in force; where a second person does that, ask them."""
        self.require(request, "publish_policy", version)
        note = filled(PublishForm(request.POST))["note"]
        try:
            policies.publish(version, actor=actor_in(request), note=note)
        except NeedsSecondPerson:
            return self.propose(request, version)
        messages.success(request, f"Version {version.number} is in force, from the next decision on.")
        return None

    @act("propose", PolicyRefused, NotADraft, NobodyElse)
    def propose(self, request: HttpRequest, version: PolicyVersion) -> HttpResponse:
        """Ask a second person to publish the draft."""
        self.require(request, "draft_policy", version)
        note = filled(PublishForm(request.POST))["note"]
        row = policy_changes.propose_version(version, person=person_of(request), note=note)
        return redirect("proposal", version.workspace.slug, row.public_id)

    @act("replay", ReplayRefused)
    def replay(self, request: HttpRequest, version: PolicyVersion) -> HttpResponse:
        """Have the worker judge recorded calls by this version."""
        self.require(request, "draft_policy", version)
        form = ReplayForm(request.POST)
        filled(form)
        started = replays.start(version, person=person_of(request), **form.chosen(version))
        return redirect("policy_replay", version.workspace.slug, started.public_id)

    @act("roll_back", PolicyRefused, NeedsSecondPerson, WorkspaceChanging)
    def roll_back(self, request: HttpRequest, version: PolicyVersion) -> HttpResponse:
        """Draft the rules of an earlier version again, and publish them where one person may."""
        self.require(request, "draft_policy", version)
        note = filled(PublishForm(request.POST))["note"]
        at_once = policies.may_publish_alone(person_of(request), version.workspace)
        again = policies.go_back(version, at_once=at_once, actor=actor_in(request), note=note)
        if again.status == PolicyVersion.Status.IN_FORCE:
            told = f"Version {again.number} is in force, with the rules of version {version.number}."
        else:
            told = (
                f"Version {again.number} holds the rules of version {version.number}. It is a draft: somebody "
                "else who may publish policies puts it in force."
            )
        messages.success(request, told)
        return HttpResponseRedirect(self.page_of(again))


def rules_page(request: HttpRequest, version: PolicyVersion, problems: list[Problem]) -> dict[str, Any]:
    """One page of the rules, and what each would match."""
    pages = Paginator(version.content, RULES_A_PAGE)
    page = pages.get_page(request.GET.get("page"))
    first = (page.number - 1) * RULES_A_PAGE
    try:
        parsed = policies.read(list(page.object_list))
        found = matches(parsed, policies.catalog(version.workspace), most=RULES_A_PAGE)
        notes = policies.authors_shut_out(version, parsed)
    except PolicyRefused:
        found, notes = [], []
    rules = [
        readable(rule, first + place, problems, found[place] if found else None)
        for place, rule in enumerate(page.object_list)
    ]
    for rule, (sentence, alone) in zip(rules, notes, strict=False):
        if alone:
            rule["problems"].append(sentence)
        elif sentence:
            rule["rows"].append(("Author", sentence))
    return {"page": page, "rule_count": pages.count, "rules": rules}


def readable(
    rule: dict[str, Any], index: int, problems: list[Problem], match: Match | None
) -> dict[str, Any]:
    """A rule as its page shows it."""
    selectors = ("tools", "agents", "actions", "resources", "except_resources")
    words = {"tools": "Tools", "agents": "Agents", "actions": "Actions", "resources": "Resources",
             "except_resources": "Except resources"}  # fmt: skip
    rows = [(words[name], ", ".join(rule[name])) for name in selectors if rule.get(name)]
    if approval := rule.get("approval"):
        people = ", ".join(approval["reviewers"])
        rows.append(("Reviewers", f"{approval['quorum']} of {people}, within {span(approval['expires_in'])}"))
        rows += [("Asked later", told_rung(rung)) for rung in approval.get("escalate", ())]
        if not approval.get("veto", True):
            rows.append(("Rejections", "one does not end it while enough others can still approve"))
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
        "match": match,
        "tool": match.tools.first[0] if match and match.tools.first else "",
        "agent": match.agents.first[0] if match and match.agents.first else "",
    }
