"""Form fields for lists of texts, for limits of loops, and for JSON that people edit."""

import json
from dataclasses import asdict
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from workspaces.loop_limits import DEFAULTS


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": 4}))
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        lines = (line.strip() for line in super().clean(value).splitlines())
        return list(dict.fromkeys(line for line in lines if line))


class LabelsField(forms.CharField):
    """Labels, separated by commas."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("help_text", "Separated by commas.")
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget())
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return sorted({label.strip() for label in super().clean(value).split(",") if label.strip()})


class DocumentField(forms.JSONField):
    """A JSON document over several lines, in a monospaced box."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false"}))
        super().__init__(**kwargs)
        self.widget.attrs["class"] += " portal-code"

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else "" if value is None else json.dumps(value, indent=2)


class LoopLimitsField(LinesField):
    """What of loops differs from the defaults: ``repeats: 6``, one a line, and ``repeats of jobs.status: 0`` for a
    tool of its own. Whether it makes sense is known by ``workspaces.loop_limits``."""

    OF = "repeats of "

    def __init__(self, **kwargs: Any) -> None:
        known = {name: value for name, value in asdict(DEFAULTS).items() if name != "tools"}
        kwargs.setdefault("label", "Loops")
        kwargs.setdefault(
            "help_text",
            "When its calls count as a loop, as far as it differs; one a line, such as “repeats: 6”. Otherwise: "
            + ", ".join(f"{name} {value}" for name, value in known.items())
            + ". 0 switches one off; “repeats of jobs.status: 0” is for one tool.",
        )
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        own = [f"{name}: {number}" for name, number in value.items() if name != "tools"]
        tools = [f"{self.OF}{name}: {number}" for name, number in value.get("tools", {}).items()]
        return "\n".join([*own, *tools])

    def clean(self, value: Any) -> Any:
        limits: dict[str, Any] = {}
        for line in super().clean(value):
            name, colon, written = (part.strip() for part in line.rpartition(":"))
            if not colon or not written:
                message = f"“{line}” is no limit; write a name, a colon and a value, such as “repeats: 6”."
                raise forms.ValidationError(message, code="invalid_loop_limits")
            number = (
                int(written) if written.isascii() and written.isdecimal() and len(written) < 10 else written
            )
            if name.startswith(self.OF):
                limits.setdefault("tools", {})[name.removeprefix(self.OF).strip()] = number
            else:
                limits[name] = number
        return limits
