"""Drafts of policies as text: read with every problem at its line, and checked as somebody types."""

import threading
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import yaml
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model
from unfold.widgets import UnfoldAdminTextareaWidget

from governance import lint, policies
from governance.differences import with_spans
from governance.manifest_file import Document, FileProblem, FileRefused, Place, read
from governance.matches import Match, matches
from governance.models import PolicyVersion
from governance.policies import PolicyRefused, WorkspaceChanging
from governance.reading import Problem
from workspaces.access.admin import REFUSALS, ActingForm
from workspaces.models import Workspace

MOST_TYPED = 256 * 1024  # characters that are checked as somebody types; more is checked when asked
MOST_RULES = 300  # likewise rules
SHOWN = 100  # rules for which the page says what they would match
FIRST_RULES = """\
# One rule after the other, as in a workspace file. For example:
# - name: Refunds above 100 need finance
#   tools: [billing.refund]
#   when: args.amount > 100
#   effect: require_approval
#   approval: {reviewers: ["group:finance"], quorum: 1, expires_in: 1h}
"""

# One check at a time in this process: it is work for the processor, and the portal may share that with the gate.
checking = threading.Lock()


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


def written(content: list[dict[str, Any]]) -> str:
    """Rules as people edit them."""
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 100}
    spoken = [with_spans(rule) for rule in content]
    return str(yaml.dump(spoken, Dumper=RuleDumper, **options)) if spoken else FIRST_RULES


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


@dataclass(slots=True)
class Examination:
    """What was found in a text: problems, each with the line it is about, and what each rule would match, with the
    line where it begins."""

    problems: list[tuple[FileProblem, str]] = field(default_factory=list)
    rules: list[tuple[Match, int]] = field(default_factory=list)
    count: int = 0
    skipped: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON for the editor's script."""
        return {
            "count": self.count,
            "skipped": self.skipped,
            "problems": [
                {**asdict(problem.place), "message": problem.message} for problem, _ in self.problems
            ],
            "rules": [{**asdict(match), "line": line} for match, line in self.rules],
        }


def examine(workspace: Workspace, text: str, *, typed: bool) -> Examination:
    """Read and check a text against the workspace as it is. Nothing is saved. ``typed``: only as much as may be done
    at every pause of somebody who types."""
    found = Examination()
    if typed and len(text) > MOST_TYPED:
        found.skipped = "This is too long to be checked while you type; press Check."
        return found
    document = None
    try:
        document, raw = rules_in(text)
        parsed = policies.read(raw)
        found.count = len(parsed)
        if typed and len(parsed) > MOST_RULES:
            found.skipped = f"{len(parsed)} rules are too many to be checked while you type; press Check."
            return found
        catalog = policies.catalog(workspace)
        for match in matches(parsed, catalog, most=SHOWN):
            place = document.locate((match.index,), None, None) if document else Place(1, 1)
            found.rules.append((match, place.line))
        problems = lint.check(parsed, catalog)
    except FileRefused as refused:
        found.problems = told(refused.problems, text)
        return found
    except PolicyRefused as refused:
        problems = refused.problems
    found.problems = told(placed(document, problems), text)
    return found


def placed(document: Document | None, problems: list[Problem]) -> list[FileProblem]:
    """Problems of rules at their places."""
    return [
        located(document, problem) if document else FileProblem(Place(1, 1), problem.message)
        for problem in problems
    ]


def told(problems: list[FileProblem], text: str) -> list[tuple[FileProblem, str]]:
    """Problems in order, each once and with the line that it is about."""
    lines = text.splitlines()
    return [
        (problem, lines[problem.place.line - 1] if problem.place.line <= len(lines) else "")
        for problem in sorted(set(problems))
    ]


class DraftForm(ActingForm):
    """A draft as text. ``examination`` is what was found in it, where it was not saved."""

    text = forms.CharField(
        label="Rules",
        required=False,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 26, "spellcheck": "false"}),
        help_text="YAML or JSON, as under “policy” in a workspace file. Write the whole policy: rules "
        "that are not here are not in the version.",
    )
    start: ClassVar[str] = ""
    as_one = False
    refusals = (*REFUSALS, WorkspaceChanging)

    class Meta:
        model = PolicyVersion
        fields = ["workspace", "note"]
        help_texts = {"note": "What changes, and why; whoever publishes reads it."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examination: Examination | None = None
        if "text" in self.fields:
            self.fields["text"].widget.attrs["class"] += " portal-code"
            self.fields["text"].widget.attrs["aria-describedby"] = "policy-findings"
            self.initial["text"] = self.start

    def apply(self, values: dict[str, Any]) -> Model:
        text, workspace = values["text"], values["workspace"]
        if "_check" in self.data:
            self.examination = examine(workspace, text, typed=False)
            raise ValidationError("Nothing was saved: the rules were only checked. Save drafts them.")
        try:
            _, rules = rules_in(text)
            return policies.draft(workspace, rules, actor=self.actor, note=values["note"])
        except (FileRefused, PolicyRefused):
            self.examination = examine(workspace, text, typed=False)
        raise ValidationError({"text": "Nothing was drafted: see what is wrong above, line by line."})
