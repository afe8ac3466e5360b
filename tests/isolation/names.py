"""What the names in addresses, forms, filters and bodies stand for. A name that is not here fails the sweep: add it.

``SEGMENTS`` and ``COLUMNS`` fill addresses, ``NAMES`` whatever names something of a workspace, and ``PLAIN`` gives a
good value of everything that names nothing.
"""

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator

from audit.models import Entry, Erasure, Export, Log, SavedView, Stream
from billing.models import BillCheck, Budget, Hold
from governance.models import (
    Absence,
    AccessReview,
    Approval,
    DecisionRecord,
    PolicyVersion,
    Proposal,
    Replay,
    StandingApproval,
)
from tests.isolation.routes import Route
from tests.isolation.world import Kind, Side
from workspaces.models import (
    Agent,
    AgentKey,
    ApiToken,
    Installation,
    LegalHold,
    NamedList,
    Resource,
    ReviewerGroup,
    Role,
    Tool,
    User,
    Workspace,
)

# The segment before a parameter → what the parameter names.
SEGMENTS: dict[str, Kind] = {
    "absences": Absence,
    "access": Workspace,
    "agent": Agent,
    "agents": Agent,
    "approval": Approval,
    "approvals": Approval,
    "bills": BillCheck,
    "budget": Budget,
    "budgets": Budget,
    "decisionrecord": DecisionRecord,
    "decisions": DecisionRecord,
    "entries": Entry,
    "entry": Entry,
    "erasures": Erasure,
    "exports": Export,
    "hold": Hold,
    "holds": LegalHold,
    "insights": Workspace,
    "installation": Installation,
    "keys": AgentKey,
    "lists": NamedList,
    "live": Workspace,
    "log": Workspace,
    "logs": Log,
    "members": User,
    "optimize": Workspace,
    "people": User,
    "namedlist": NamedList,
    "policies": PolicyVersion,
    "policy": Workspace,
    "policyversion": PolicyVersion,
    "proposals": Proposal,
    "prices": Workspace,
    "pulse": Workspace,
    "requests": Workspace,
    "replays": Replay,
    "resource": Resource,
    "resources": Resource,
    "reviews": AccessReview,
    "reviewer-groups": ReviewerGroup,
    "reviewergroup": ReviewerGroup,
    "role": Role,
    "roles": Role,
    "sign-in": Authenticator,
    "spend": Workspace,
    "unused": Agent,
    "standing-approvals": StandingApproval,
    "standingapproval": StandingApproval,
    "streams": Stream,
    "tokens": ApiToken,
    "tool": Tool,
    "tools": Tool,
    "user": User,
    "views": SavedView,
    "workspace": Workspace,
    "workspaces": Workspace,
    "ws": Log,
}
# A parameter's name → the column that it is matched with.
COLUMNS = {
    "absence": "public_id",
    "agent": "public_id",
    "approval": "public_id",
    "bill": "public_id",
    "budget": "public_id",
    "erasure": "public_id",
    "hold": "public_id",
    "export": "public_id",
    "index": "index",
    "key": "public_id",
    "name": "name",
    "number": "number",
    "object_id": "pk",
    "person": "public_id",
    "pk": "pk",
    "public_id": "public_id",
    "proposal": "public_id",
    "replay": "public_id",
    "review_id": "public_id",
    "slug": "slug",
    "standing_approval": "public_id",
    "stream": "public_id",
    "token": "public_id",
    "uuid": "uuid",
}


def denied(side: Side) -> int:
    """The index of a denial of the side's first agent for want of a grant."""
    denials = Entry.objects.filter(log_id=side.workspace.log_id, agent=side.fleet[0].public_id)
    return denials.filter(type="governance.check.denied").latest("index").index


# Parameters that are not one column of one row.
SPECIAL: dict[tuple[str, str], Callable[[Side], str]] = {
    ("denials", "index"): lambda side: str(denied(side)),
    ("items", "number"): lambda side: "1",
    ("installation", "uuid"): lambda side: str(Log.objects.get(kind=Log.Kind.INSTALLATION).uuid),
    ("<>", "resource"): lambda side: "tile/0/000.p/1",
    ("grants", "permission"): lambda side: "use",
    ("<>", "target"): lambda side: str(side.rows[Tool].public_id),  # type: ignore[attr-defined]
}
# Secrets: whoever has one may. They are nobody's to guess, and no names of rows.
SECRETS = {("signin", "token"), ("a", "token")}
# Addresses of patterns that are regular expressions, by the pattern's name or text.
EXPRESSIONS: dict[str, list[str]] = {
    "app_list": [
        "/admin/workspaces/",
        "/admin/billing/",
        "/admin/governance/",
        "/admin/audit/",
    ],
    "admin/(?P<url>.*)$": ["/admin/nothing/here/"],
    "api/v1/": ["/api/v1/nothing/here"],
}
# Pages of the admin's site that are no model's, and what opens them.
SITE: dict[str, str] = {
    "index": "to be signed in",
    "login": "nothing: it is where one signs in",
    "logout": "to be signed in",
    "search": "to be signed in",
    "password_change": "to be signed in",
    "password_change_done": "to be signed in",
    "autocomplete": "the permission to view what it completes",
    "jsi18n": "to be signed in",
    "app_list": "to be signed in",
}

# What names something of a workspace, in a query, a form or a body → the texts that name it on one side.
Naming = Callable[[Side], list[str]]


def any_of(kind: Kind, *columns: str) -> Naming:
    """Every text by which that kind of row may be named: by these columns, or by its primary key."""
    return lambda side: [str(getattr(side.rows[kind], each)) for each in (*columns, "pk")]


AGENT, PERSON, PLACE = (
    any_of(Agent, "public_id", "name"),
    any_of(User, "public_id"),
    any_of(Workspace, "slug"),
)
ROLE, TOOL = any_of(Role, "name"), any_of(Tool, "public_id", "name")


def permission(side: Side) -> list[str]:
    """Permissions on a tool and on a resource, as forms name them."""
    tool, resource = side.rows[Tool], side.rows[Resource]
    return [f"use:{tool.public_id}", f"write:{resource.public_id}"]  # type: ignore[attr-defined]


def ticked(side: Side) -> list[str]:
    """An approval that was ticked in a list, with the round that was seen."""
    return [f"{side.rows[Approval].pk}-1"]


NAMES: dict[str, Naming] = {
    "acts_for": PERSON,
    "approval": ticked,
    "against": any_of(PolicyVersion),
    "deputy": any_of(User, "public_id", "email"),
    "person": any_of(User, "public_id", "email"),
    "agent": AGENT,
    "agents": AGENT,
    "bundle": permission,
    "from": any_of(PolicyVersion),
    "given": ROLE,
    "key": any_of(AgentKey, "public_id"),
    "on_behalf_of": PERSON,
    "owner": PERSON,
    "people": PERSON,
    "permission": permission,
    "q": AGENT,
    "resources": any_of(Resource, "public_id", "name"),
    "reviewers": PERSON,
    "role": ROLE,
    "steward": PERSON,
    "approvals": any_of(Approval, "public_id"),
    "s": AGENT,
    "session": lambda side: [f"{side.fleet[0].name.partition('-')[0]}-run"],
    "target": TOOL,
    "tool": TOOL,
    "tools": TOOL,
    "what": AGENT,
    "workspace": PLACE,
}
PLAIN: dict[str, str] = {
    "cache_read": "",
    "cache_write": "",
    "column_cost": "",
    "column_currency": "",
    "column_date": "",
    "column_input": "",
    "column_model": "",
    "column_output": "",
    "csv": "date,model,cost\n2026-11-01,large,1\n",
    "day": "2026-11-01",
    "day_first": "",
    "decimal": ".",
    "file": "",
    "input": "1",
    "output": "1",
    "zone": "UTC",
    "input_usd": "1",
    "output_usd": "1",
    "cache_read_usd": "1",
    "cache_write_usd": "1",
    "call_usd": "1",
    "columns": "{}",
    "currency": "",
    "date": "",
    "model": "large",
    "state": "held",
    "unit": "tokens",
    "period": "7",
    "by": "agent",
    "codes": "words",
    "most_waiting": "20",
    "types": "",
    "after": "",
    "before": "4",
    "call": "",
    "of": "file:///new/*",
    "expiring": "1",
    "unused": "30",
    "action": "read",
    "actor": "system",
    "arguments": "{}",
    "back": "inbox",
    "basis": "words",
    "comment": "words",
    "code": "123456",
    "context": "{}",
    "cost_center": "",
    "cost": "cost",
    "cost_usd": "0.01",
    "cursor": "",
    "daily_usd": "1",
    "days": "1",
    "decision": "approve",
    "default_scheme": "",
    "due": "2030-01-01",
    "confirmed": "1",
    "downgrade_to": "",
    "grant": "use files.read",
    "hard": "yes",
    "when_short": "wait",
    "limit_tokens": "1000",
    "loop_limits": "",
    "ends": "2030-01-01T12:00",
    "starts": "2029-12-31T12:00",
    "email": "new@person.test",
    "expires_at": "",
    "extended": "1",
    "facts": "1",
    "field": "reason",
    "last": "9",
    "first": "1",
    "first_day": "2026-01-01",
    "format": "jsonl",
    "from_start": "",
    "grants_until": "",
    "isolated_runs": "",
    "key_until": "",
    "last_day": "2026-12-31",
    "kind": "block",
    "labels": "word",
    "limit": "10",
    "limit_usd": "1",
    "members": "word",
    "metered": "",
    "most": "10",
    "name": "a_new_name",
    "need": "1",
    "next": "",
    "note": "words",
    "offer": "",
    "outcome": "granted",
    "overlap": "1",
    "owner_left": "1",
    "page": "1",
    "passkey": "",
    "password": "words",
    "pattern": "file:///new/*",
    "permission": "use",
    "max_uses": "2",
    "purpose": "words",
    "propose": "1",
    "question": "words",
    "seen": "",
    "span": "8",
    "this_session": "",
    "uses": "2",
    "query": "type=governance.check.allowed",
    "reason": "words",
    "repeats": "0",
    "resource": "",
    "retention_days": "500",
    "return": "",
    "reversible": "on",
    "risk": "low",
    "risk_tier": "low",
    "roles": "approver",
    "round": "1",
    "row": "",
    "rules": "",
    "schema": "",
    "scope": "workspace",
    "sensitive": "",
    "sessions_per_hour": "",
    "since": "day",
    "sink": "webhook",
    "size": "1",
    "standing": "supervised",
    "starter": "analyst",
    "status": "all",
    "text": "",
    "title": "words",
    "timezone": "UTC",
    "to": "1",
    "trust_reports": "",
    "two_people": "",
    "type": "governance.check.allowed",
    "undecided": "keep",
    "until": "",
    "url": "https://siem.example.com/",
    "verdict": "allowed",
    "view": "all",
    "version": "",
    "warnings": "50",
    "whole": "1",
    "window": "week",
}
# Values of fields that take any JSON.
JSON: dict[str, Any] = {"resource": ["file://{path}"], "schema": None, "rules": []}


class Unknown(AssertionError):
    """A route or a name that the sweep does not know how to fill."""


def kind_of(route: Route, segment: str, name: str) -> Kind:
    """What a parameter of a route names. Raises Unknown."""
    if segment not in SEGMENTS or name not in COLUMNS:
        raise Unknown(
            f"{route}: what does <{name}> after {segment!r} name? Add the segment to SEGMENTS and the parameter to"
            " COLUMNS in tests/isolation/names.py, and a row of its kind to both sides in tests/isolation/world.py."
        )
    return SEGMENTS[segment]


def values(route: Route, side: Side) -> dict[str, str]:
    """The route's parameters, filled with what is the side's. Raises Unknown."""
    filled = {}
    for segment, name in route.parameters:
        if special := SPECIAL.get((segment, name)):
            filled[name] = special(side)
            continue
        kind = kind_of(route, segment, name)
        if kind not in side.rows:
            raise Unknown(f"{route}: no side has a {kind.__name__}; make one in tests/isolation/world.py.")
        filled[name] = str(getattr(side.rows[kind], COLUMNS[name]))
    return filled


def listed(route: Route) -> list[str] | None:
    """The addresses of a regular expression that are tried, if somebody has listed any."""
    return EXPRESSIONS.get(route.name or route.pattern)


def is_secret(route: Route) -> bool:
    """Whether the address itself is the right to open it."""
    return any(each in SECRETS for each in route.parameters)
