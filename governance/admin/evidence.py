"""What the page of an entry shows: what it says in tables, what it changed, where it leads, and what proves it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from audit import details
from audit.absences import ERASED
from audit.histories import changes
from audit.inclusions import inclusion_of
from audit.models import Entry
from audit.postings import CALL, CALL_IDS
from governance import presentation
from governance.models import Approval, Decision, PolicyVersion
from governance.naming import annotate
from governance.readings import VERDICTS, judged, named_resources
from workspaces.models import Agent, Workspace

FACTS = {
    "labels": "Labels of the session",
    "tools": "Tools used before in the session",
    "calls": "Calls before in the session",
    "repeats": "Times this very call was made before",
    "used": "Counted by limits, by the rule's place",
    "spend": "Spent",
}
TOLD_APART = frozenset(["rows", "revision"])


def evidence(entry: Any, workspace: Workspace) -> dict[str, Any]:
    """The page's content for one entry, its Detail left out."""
    annotate([entry])
    body = json.loads(bytes(entry.body))
    data = body["data"]
    agent = (
        Agent.objects.filter(public_id=entry.agent, workspace=workspace).select_related("workspace").first()
    )
    changed, count = changes(entry, body)
    committed = sorted(body.get("detail", ()))
    missing = details.gone(entry.log_id, entry.index, committed)
    return {
        "title": f"Entry {entry.index}",
        "subtitle": entry.type,
        "sentence": entry.sentence,
        "workspace": workspace,
        "agent": agent,
        "judgment": judgment(entry, data, agent, workspace) if entry.type in VERDICTS else None,
        "told": [(name, text_of(value)) for name, value in data.items() if name not in TOLD_APART],
        "revision": data.get("revision"),
        "changes": changed,
        "change_count": count,
        "kept": [name for name in committed if name not in missing],
        "gone": missing,
        "erasures": found(workspace, type=ERASED),
        "body": presentation.pretty(body),
        "leaf": bytes(entry.leaf).hex(),
        "inclusion": inclusion_of(entry),
        **neighbors(entry, data, workspace),
    }


def judgment(
    entry: Entry, data: Mapping[str, Any], agent: Agent | None, workspace: Workspace
) -> dict[str, Any]:
    """A decision in words: verdict, rules, facts, and links to what it rests on and what became of it."""
    policy = PolicyVersion.objects.filter(workspace=workspace, digest=data.get("policy", "")).first()
    return {
        "verdict": VERDICTS[entry.type],
        "data": data,
        "rules": judged(dict(data), entry, agent, workspace),
        "facts": facts(data.get("facts", {})),
        "resources": named_resources(dict(data), workspace),
        "policy": policy,
        "done": Decision.objects.filter(public_id=data.get("decision", ""), workspace=workspace).first(),
        "approval": Approval.objects.filter(public_id=data.get("approval", ""), workspace=workspace).first(),
    }


def facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what it is, value) of the facts that a decision was judged by."""
    return [(FACTS.get(name, name), text_of(value)) for name, value in values.items()]


def text_of(value: Any) -> str:
    """A JSON value as a line of text, hidden characters spelled out."""
    if isinstance(value, str):
        return presentation.visible(value)
    if isinstance(value, list):
        return ", ".join(map(text_of, value)) or "none"
    if isinstance(value, dict):
        return (
            ", ".join(f"{presentation.visible(name)}: {text_of(each)}" for name, each in value.items())
            or "none"
        )
    return presentation.visible(json.dumps(value))


def neighbors(entry: Entry, data: Mapping[str, Any], workspace: Workspace) -> dict[str, Any]:
    """The entries before and after, and searches for those of the same call, session and agent."""
    beside = Entry.objects.filter(log_id=entry.log_id, index__in=[entry.index - 1, entry.index + 1])
    keys = dict(beside.values_list("index", "pk"))
    ids = list(dict.fromkeys(str(data[name]) for name in CALL_IDS if data.get(name)))
    return {
        "previous": keys.get(entry.index - 1),
        "next": keys.get(entry.index + 1),
        "same_call": found(workspace, **{CALL: ids}) if ids else "",
        "same_session": timeline(workspace, agent=entry.agent, session=entry.session)
        if entry.session
        else "",
        "same_agent": timeline(workspace, agent=entry.agent) if entry.agent else "",
    }


def found(workspace: Workspace, **facets: Any) -> str:
    """The address of a search of the workspace's log."""
    query = urlencode({"workspace": workspace.slug, **facets}, doseq=True)
    return f"{reverse('admin:audit_entry_changelist')}?{query}"


def timeline(workspace: Workspace, **of: str) -> str:
    """The address of the timeline of an agent, or of one of its sessions."""
    return f"{reverse('log_timeline', args=[workspace.slug])}?{urlencode(of)}"
