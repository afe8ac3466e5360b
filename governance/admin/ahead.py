"""The form of an approval in advance: for each argument of the approved call a bound."""

import json
from typing import Any

from django import forms

from governance import approvals, bounds, edits, presentation, standing
from governance.bounds import BadBounds
from governance.edits import EditRefused
from workspaces.arguments import is_withheld

SPANS = {"1": "an hour", "8": "eight hours", "24": "a day", "168": "a week", "720": "30 days"}
HOW = {
    "is": "exactly this",
    "in": "one of these, one a line",
    "range": "from … to …, one a line",
    "any": "anything",
}


class StandingForm(forms.Form):
    """An approval in advance; one choice and one text for each argument of the approved call."""

    resources = forms.CharField(
        required=False,
        label="What it may touch: one pattern a line",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    session = forms.BooleanField(required=False, label="Only in this session of the agent")
    span = forms.ChoiceField(label="For how long", choices=list(SPANS.items()), initial="8")
    uses = forms.IntegerField(
        label="How many times at most", min_value=1, max_value=standing.MOST_USES, initial=5
    )
    round = forms.IntegerField(required=False, min_value=1, max_value=10_000)
    reason = forms.CharField(
        label=f"Why? At least {approvals.SHORTEST_REASON} characters",
        max_length=standing.LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, limits: bounds.Bounds, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pointers = list(limits)
        for place, pointer in enumerate(self.pointers):
            how, text = written(limits[pointer])
            self.fields[f"how_{place}"] = forms.ChoiceField(
                label=f"{presentation.visible(pointer[1:])} is", choices=list(HOW.items()), initial=how
            )
            self.fields[f"value_{place}"] = forms.CharField(
                required=False,
                label=f"{presentation.visible(pointer[1:])}, as JSON",
                initial=text,
                strip=False,
                widget=forms.Textarea(attrs={"rows": min(6, text.count("\n") + 1)}),
            )

    def wanted(self) -> dict[str, Any]:
        """The bounds as they were filled in. Raises BadBounds."""
        values = self.cleaned_data
        return {
            pointer: read(pointer, values[f"how_{place}"], values[f"value_{place}"])
            for place, pointer in enumerate(self.pointers)
        }

    @property
    def arguments(self) -> list[tuple[Any, Any]]:
        """The two fields of each argument."""
        return [(self[f"how_{place}"], self[f"value_{place}"]) for place in range(len(self.pointers))]


def written(bound: bounds.Bound) -> tuple[str, str]:
    """A bound as the form shows it: how, and its values as JSON, one a line."""
    if "any" in bound:
        return "any", ""
    if "is" in bound:
        return (
            ("any", "") if is_withheld(bound["is"]) else ("is", json.dumps(bound["is"], ensure_ascii=False))
        )
    how, values = ("in", bound["in"]) if "in" in bound else ("range", [bound["min"], bound["max"]])
    return how, "\n".join(json.dumps(value, ensure_ascii=False) for value in values)


def read(pointer: str, how: str, text: str) -> bounds.Bound:
    """A bound from what was filled in. Raises BadBounds."""
    if how == "any":
        return {"any": True}
    try:
        values = [
            edits.value_of(line) for line in ([text] if how == "is" else text.splitlines()) if line.strip()
        ]
    except EditRefused as refused:
        raise BadBounds(pointer, f"write JSON, with texts in quotation marks. {refused}") from refused
    if how == "is" and len(values) == 1:
        return {"is": values[0]}
    if how == "range" and len(values) == 2:
        return {"min": values[0], "max": values[1]}
    if how == "in":
        return {"in": values}
    raise BadBounds(pointer, "a range has two lines, and an exact value is one.")
