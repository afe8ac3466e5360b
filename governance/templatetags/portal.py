"""What templates need beyond Django's own."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django import template
from django.urls import reverse
from django.utils.html import format_html, format_html_join, json_script
from django.utils.safestring import SafeString, mark_safe

from billing import spending
from governance import containment, presentation
from governance.insights import spoken
from governance.readings import WHY
from workspaces.models import Agent, Workspace

register = template.Library()

SHAPES = {
    "minute": "%Y-%m-%d %H:%M",
    "second": "%Y-%m-%d %H:%M:%S",
    "exact": "%Y-%m-%d %H:%M:%S.%f",
    "day": "%Y-%m-%d",
}


@register.filter
def visible(text: object) -> str:
    """Text of an agent's with what a font would hide spelled out."""
    return presentation.visible(str(text))


@register.filter
def pretty(value: Any) -> str:
    """A JSON value as it is written, hidden characters spelled out."""
    return presentation.pretty(value)


@register.filter
def breakable(text: str) -> SafeString:
    """A dotted name that a narrow column breaks behind its dots."""
    return format_html_join(mark_safe(".<wbr>"), "{}", ((part,) for part in text.split(".")))


@register.filter
def why(code: str) -> str:
    """A decision's code in words."""
    return WHY.get(code, code)


@register.filter
def thousands(number: int) -> str:
    """A whole number with commas."""
    return f"{number:,}"


@register.filter
def usd(nanos: int) -> str:
    """Nano-dollars for people."""
    return spending.spoken(nanos)


@register.filter
def moment(time: datetime | None, shape: str = "minute") -> SafeString | str:
    """A time in UTC that the browser shows in its own zone, with UTC on hover. ``shape``: a key of SHAPES."""
    if time is None:
        return ""
    utc = time.astimezone(UTC)
    stamp = utc.isoformat(timespec="microseconds").replace("+00:00", "Z")
    text = utc.strftime(SHAPES[shape])
    return format_html('<time datetime="{}" data-shape="{}">{} UTC</time>', stamp, shape, text)


@register.filter
def span(seconds: float | None) -> str:
    """A span as people say it."""
    return spoken(seconds)


@register.filter
def as_json(value: Any, element_id: str) -> SafeString:
    """A dataclass as JSON in a script element that no browser runs."""
    return json_script(asdict(value), element_id)


@register.simple_tag(takes_context=True)
def stop_address(context: dict[str, Any]) -> str:
    """Where the stop button of this page leads, naming what the page is about; empty for who may stop nothing."""
    request = context.get("request")
    if request is None or not containment.may_stop_something(request.user):
        return ""
    query = urlencode(subject(context))
    return reverse("stop") + (f"?{query}" if query else "")


def subject(context: dict[str, Any]) -> dict[str, str]:
    """The agent or workspace that a page is about, as a query."""
    approval = context.get("approval")
    for each in (context.get("original"), context.get("agent"), getattr(approval, "agent", None)):
        if isinstance(each, Agent):
            return {"agent": each.public_id}
    for each in (context.get("original"), context.get("workspace")):
        if isinstance(each, Workspace):
            return {"workspace": each.slug}
    return {}
