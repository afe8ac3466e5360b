"""How to connect an agent: lines to paste, filled in with a call that it may make, and a light for its first call."""

import json
import keyword
import re
import shlex
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils import timezone

from audit.log import newest
from governance.models import DecisionRecord
from governance.naming import recent
from governance.readings import CHECKS, VERDICTS
from workspaces.access import grants_of
from workspaces.access.admin import ScopedAdmin
from workspaces.models import Agent, Tool

LINES = (
    ("curl", "Command line (curl)"),
    ("client", "Python: the client"),
    ("langchain", "LangChain and LangGraph"),
    ("openai", "OpenAI Agents SDK"),
    ("anthropic", "Anthropic: a loop over tool_use"),
    ("requests", "Python: plain requests"),
)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
NOT_A_NAME = re.compile(r"\W+")
SAMPLES = {"string": "example", "number": 1, "integer": 1, "boolean": True, "array": [], "object": {}}


class ConnectPages(ScopedAdmin):
    """The pages ``<pk>/connect/`` and, fetched anew as the log grows, ``<pk>/first/``."""

    def get_urls(self) -> list[URLPattern]:
        pages = [self.beside("connect", self.connect_view), self.beside("first", self.first_view)]
        return pages + super().get_urls()

    def connect_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The lines to paste, without a key: that is shown once, where it is made."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        agent = self.find(request, object_id)
        self.require(request, "manage_agents", agent)
        return self.connect_page(request, agent)

    def first_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The light alone."""
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        agent = self.find(request, object_id)
        response = render(request, "admin/workspaces/agent_first.html", first_call(agent))
        response["Cache-Control"] = "no-store, private"
        return response

    def connect_page(self, request: HttpRequest, agent: Agent, **more: Any) -> HttpResponse:
        """The page; ``more`` may bring the text of a new key, and what remains to be done."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"Connect {agent.name}",
            "page": self.page_of(agent),
            "lines": lines_for(agent),
            "public_url": settings.PUBLIC_URL,
            "grown_to": newest(agent.workspace.log_id) - 1,
            **first_call(agent),
            **more,
        }
        response = render(request, "admin/workspaces/agent_connect.html", context)
        response["Cache-Control"] = "no-store, private"
        return response


def first_call(agent: Agent) -> dict[str, Any]:
    """The newest check of an agent, if it made one."""
    checks = DecisionRecord.objects.filter(
        log_id=agent.workspace.log_id, agent=agent.public_id, type__in=CHECKS
    )
    found = recent(checks.order_by("-index"), 1)
    entry = found[0] if found else None
    return {"agent": agent, "call": entry, "verdict": VERDICTS[entry.type] if entry else None}


def lines_for(agent: Agent) -> list[tuple[str, str, str]]:
    """(key, title, lines) for each way to ask, all about one call that the agent may make, if there is one."""
    tool, arguments = example(agent)
    call = {"tool": tool, "arguments": arguments}
    names = [name_of(name) for name in arguments]
    context = {
        "url": settings.PUBLIC_URL,
        "agent": NOT_A_NAME.sub(" ", agent.name),
        "tool": tool,
        "function": name_of(tool),
        "description": f"Use {tool}.",
        "parameters": ", ".join(names),
        "typed": ", ".join(
            f"{name}: {type(value).__name__}" for name, value in zip(names, arguments.values(), strict=True)
        ),
        "forward": ", ".join(names),
        "call": ", ".join(f"{name}={value!r}" for name, value in zip(names, arguments.values(), strict=True)),
        "body_shell": shlex.quote(json.dumps(call, ensure_ascii=False)),
        "body_python": repr(call),
    }
    return [(key, title, written(key, context)) for key, title in LINES]


def written(key: str, context: dict[str, Any]) -> str:
    """The lines of one way; they are text, and escaped where a page shows them."""
    return render_to_string(f"admin/workspaces/lines/{key}.txt", context).strip()


def name_of(text: str) -> str:
    """A name that Python accepts, from a tool's or an argument's."""
    name = NOT_A_NAME.sub("_", text).strip("_") or "tool"
    return f"_{name}" if name[0].isdigit() or keyword.iskeyword(name) else name


def example(agent: Agent) -> tuple[str, dict[str, Any]]:
    """A tool that the agent may use, and arguments that fit its schema and touch what the agent was granted, as far
    as that can be guessed."""
    now = timezone.now()
    held = [line for line in grants_of(agent) if line.expires_at is None or line.expires_at > now]
    tools = [line.target for line in held if isinstance(line.target, Tool)]
    patterns = [(line.permission, line.target.pattern) for line in held if not isinstance(line.target, Tool)]
    if not tools:
        return "files.read", {"path": "/srv/example"}
    found = [(tool, *arguments_for(tool, patterns)) for tool in tools[:20]]
    tool, arguments, _ = max(found, key=lambda each: each[2])
    return tool.name, arguments


def arguments_for(tool: Tool, patterns: list[tuple[str, str]]) -> tuple[dict[str, Any], bool]:
    """Arguments of one tool, and whether they touch something that one of the (action, pattern)s covers."""
    schema = tool.schema or {}
    required = schema.get("required") or []
    properties = schema.get("properties") or {}
    arguments = {name: sample(properties.get(name)) for name in required}
    for template in tool.templates:
        for action, pattern in patterns:
            values = values_in(template["template"], pattern) if action == template["action"] else None
            if values is not None:
                return {**arguments, **values}, True
    return arguments, not tool.templates


def sample(schema: Any) -> Any:
    """A value of a property's type."""
    kind = schema.get("type", "string") if isinstance(schema, dict) else "string"
    return SAMPLES.get(kind[0] if isinstance(kind, list) else kind, "example")


def values_in(template: str, pattern: str) -> dict[str, str] | None:
    """What the placeholders of a template stand for in a resource that a pattern covers; None where they do not
    meet, or a placeholder lies deeper in the arguments."""
    names = PLACEHOLDER.findall(template)
    if any(not name.isidentifier() for name in names):
        return None
    before, at, domain = pattern.partition("@")
    resource = before.replace("*", "example") + at + domain.replace("*", "example.com")
    pieces = [re.escape(piece) for piece in PLACEHOLDER.split(template)[::2]]
    match = re.fullmatch("(.+)".join(pieces), resource)
    return dict(zip(names, match.groups(), strict=True)) if match else None
