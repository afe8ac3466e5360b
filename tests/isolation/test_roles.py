"""Each role opens and changes what its column of the design's table says, and nothing else.

The table and what each page, button and method needs are written down here once more, by hand, and held against what
the portal does. A route that is not among them fails.
"""

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.urls import reverse

from audit.models import Entry, SavedView
from billing.models import Budget, Hold
from governance.models import Approval, DecisionRecord, PolicyVersion, StandingApproval
from tests import approving
from tests.cast import employ
from tests.factors import enroll
from tests.isolation import names
from tests.isolation.fields import body_names, document, documents, good
from tests.isolation.routes import Route, django_routes
from tests.isolation.visits import Visitor
from tests.isolation.world import Side, Wall
from workspaces import factors, people
from workspaces.access import tokens
from workspaces.access.roles import PERMISSIONS
from workspaces.models import (
    Agent,
    ApiToken,
    Installation,
    NamedList,
    Resource,
    ReviewerGroup,
    Role,
    Tool,
    User,
    Workspace,
)

pytestmark = pytest.mark.django_db

ROLES = ["owner", "compliance_officer", "approver", "operator", "developer", "auditor"]
# Columns as in ROLES; "own" is of one's own agents, "asked" of what one decides.
TABLE = """
view_workspace  ✓ ✓ ✓ ✓ ✓ ✓
view_content    ✓ ✓ asked - own -
decide          - - ✓ - - -
tighten         ✓ ✓ - ✓ own -
loosen          ✓ - - - - -
manage_agents   ✓ - - - ✓ -
manage_tools    ✓ - - - ✓ -
draft_policy    ✓ ✓ - - ✓ -
publish_policy  ✓ ✓ - - - -
manage_members  ✓ - - - - -
manage_budgets  ✓ - - - - -
view_log        ✓ ✓ - - - ✓
export_log      ✓ ✓ - - - ✓
legal_hold      - ✓ - - - -
erase           - ✓ - - - -
"""
CELLS = {
    line.split()[0]: dict(zip(ROLES, line.split()[1:], strict=True)) for line in TABLE.strip().splitlines()
}
VIEW, EVERYBODY, OPERATORS, ASKED = "view_workspace", "everybody", "operators", "asked"
NOBODY = "nobody"
REVOKE = "decide, or tighten"
# A replay tells what rules match, and a draft of grants what was sent: both need to read that.
REPLAY, GRANT, DETAIL = "replay", "grant", "detail"
TOGETHER = {
    REPLAY: ["draft_policy", "view_content"],
    GRANT: ["manage_agents", "manage_tools", "view_content"],
    DETAIL: ["view_log", "view_content"],
}
# What of a button's form is named otherwise than everywhere else.
FORMS = {"governance_policyversion_check": {"workspace": Workspace}}

# Model → what its list and pages, adding, changing and removing need; None is for nobody.
MODELS: dict[Any, tuple[str, str | None, str | None, str | None]] = {
    Agent: (VIEW, "manage_agents", "manage_agents", None),
    Approval: (VIEW, None, None, None),
    Budget: (VIEW, "manage_budgets", "manage_budgets", "manage_budgets"),
    DecisionRecord: (VIEW, None, None, None),
    Entry: ("view_log", None, None, None),
    Hold: (VIEW, None, None, None),
    Installation: (OPERATORS, None, None, None),
    NamedList: (VIEW, "publish_policy", "publish_policy", "publish_policy"),
    PolicyVersion: (VIEW, "draft_policy", None, None),
    Resource: (VIEW, "manage_tools", "manage_tools", "manage_tools"),
    ReviewerGroup: (VIEW, "manage_members", "manage_members", "manage_members"),
    Role: (VIEW, "manage_agents", "manage_agents", "manage_agents"),
    StandingApproval: (VIEW, None, None, None),
    Tool: (VIEW, "manage_tools", "manage_tools", "manage_tools"),
    User: (VIEW, "manage_members", None, None),
    Workspace: (VIEW, None, "manage_members", None),
}
# Buttons of the admin and pages of their own, by name.
PAGES: dict[str, str] = {
    "absences": VIEW,
    "governance_approval_call": ASKED,
    "absences_overview": EVERYBODY,
    "access": VIEW,
    "access_leave": "manage_members",
    "access_overview": EVERYBODY,
    "access_person": VIEW,
    "access_review": VIEW,
    "access_review_summary": VIEW,
    "access_reviews": VIEW,
    "api-docs": EVERYBODY,
    "api_tokens": EVERYBODY,
    "bill": VIEW,
    "bills": VIEW,
    "confirm": EVERYBODY,
    "own_factors": EVERYBODY,
    "erasure": "view_log",
    "export_progress": "export_log",
    "exports": "export_log",
    "exports_overview": "export_log",
    "leaver": OPERATORS,
    "insights": "view_log",
    "insights_overview": "view_log",
    "optimize": VIEW,
    "optimize_overview": EVERYBODY,
    "optimize_unused": "manage_agents",
    "live": VIEW,
    "log_entry": "view_log",
    "log_proof": "view_log",
    "log_timeline": VIEW,
    "log_tlog_proof": "view_log",
    "policy_replay": REPLAY,
    "policy_replay_progress": REPLAY,
    "policy_trial": "draft_policy",
    "prices": VIEW,
    "prices_overview": EVERYBODY,
    "privacy": "view_log",
    "privacy_overview": "view_log",
    "proposal": VIEW,
    "proposals": EVERYBODY,
    "pulse": VIEW,
    "reprice": VIEW,
    "spend": VIEW,
    "spend_overview": EVERYBODY,
    "spend_part": VIEW,
    "stop": EVERYBODY,
    "stream": "export_log",
    "streams": "export_log",
    "streams_overview": "export_log",
    "workspaces_agent_activity": VIEW,
    "workspaces_agent_connect": "manage_agents",
    "workspaces_agent_denied": GRANT,
    "workspaces_agent_first": VIEW,
    "workspaces_agent_observed": GRANT,
    "workspaces_agent_setup": "manage_agents",
}
BUTTONS: dict[str, str] = {
    "absence_end": "manage_members",  # somebody else's
    "access_csv": VIEW,
    "bill_csv": VIEW,
    "billing_budget_reset": "manage_budgets",
    "bill_upload": "manage_budgets",
    "erasure_cancel": "erase",
    "erasure_confirm": "erase",
    "erasure_start": "erase",
    "hold_place": "legal_hold",
    "hold_release": "legal_hold",
    "add_app": EVERYBODY,
    "add_passkey": EVERYBODY,
    "api_token_revoke": EVERYBODY,
    "factor_remove": EVERYBODY,
    "recovery_codes": EVERYBODY,
    "access_review_answer": VIEW,  # whose agents they are, the campaign asks
    "access_review_sign": VIEW,  # only who started it signs
    "export_file": NOBODY,  # only who asked for it
    "log_content": DETAIL,
    "policy_replay_cancel": REPLAY,
    "price_set": "manage_budgets",
    "reprice_start": "manage_budgets",
    "proposal_cancel": NOBODY,  # only who proposed it
    "proposal_decide": "publish_policy",
    "proposal_key": NOBODY,  # only who registered the agent
    "saved_view_remove": "view_log",  # their own
    "saved_view_save": "view_log",
    "spend_csv": VIEW,
    "stream_again": "publish_policy",
    "stream_create": "publish_policy",
    "stream_pause": "publish_policy",
    "stream_remove": "publish_policy",
    "stream_resume": "publish_policy",
    "stream_secret": "publish_policy",
    "stream_test": "publish_policy",
    "governance_policyversion_check": "draft_policy",
    "governance_approval_ahead": "decide",
    "governance_approval_answers": "decide",
    "governance_approval_ask": "decide",
    "governance_approval_decide": "decide",
    "governance_approval_edit": "decide",
    "governance_standingapproval_revoke": REVOKE,
    "governance_policyversion_propose": "draft_policy",
    "governance_policyversion_publish": "publish_policy",
    "governance_policyversion_replay": REPLAY,
    "governance_policyversion_roll_back": "draft_policy",
    "workspaces_agent_create_key": "manage_agents",
    "workspaces_agent_give_role": "manage_agents",
    "workspaces_agent_grant": "manage_agents",
    "workspaces_agent_revoke": "manage_agents",
    "workspaces_agent_set_callback": "manage_agents",
    "workspaces_agent_revoke_key": "manage_agents",
    "workspaces_agent_rotate_key": "manage_agents",
    "workspaces_agent_stand": "tighten",
    "workspaces_agent_take_role": "manage_agents",
    "workspaces_installation_stand": OPERATORS,
    "workspaces_user_roles": "manage_members",
    "workspaces_workspace_stand": "tighten",
}
# The API: (methods, how the address ends, what it needs); the first that fits counts, and reading needs VIEW.
API: list[tuple[str, str, str]] = [
    ("get post delete", r"^/api/v1/(tokens|me|inbox|workspaces|openapi.json)(/<str:token>)?$", EVERYBODY),
    ("get", r"/api/v1/search$", EVERYBODY),
    ("post", r"/absences(/<str:absence>/end)?$", "manage_members"),  # somebody else's
    ("get post", r"/installation/", OPERATORS),
    ("get", r"/logs$", EVERYBODY),
    ("get", r"/logs/", "view_log"),
    ("get", r"/insights$", "view_log"),
    ("get", r"^/ws/", "view_log"),
    ("get", r"/decisions/<int:index>/content$", "view_content"),
    ("get", r"/approvals/<str:approval>/content$", ASKED),
    ("post", r"/approvals/<str:approval>/(decide|edit|edit/preview|ask|standing)$", "decide"),
    ("post", r"/approval-answers$", "decide"),
    ("post", r"/standing-approvals/<str:standing_approval>/revoke$", REVOKE),
    ("post", r"/containment$", "tighten"),
    ("post", r"/policies/<int:number>/publish$", "publish_policy"),
    ("post", r"/policies(/<int:number>/(redraft|roll-back|replay|propose))?$", "draft_policy"),
    ("post", r"/proposals/<str:proposal>/decide$", "publish_policy"),
    ("post", r"/proposals/<str:proposal>/(cancel|key)$", NOBODY),  # only who proposed it
    ("post", r"/registrations$", "manage_agents"),
    ("post", r"/tools/<str:public_id>/propose$", "manage_tools"),
    ("post", r"/trial$", "draft_policy"),
    ("get", r"/replays$", "draft_policy"),
    ("get post", r"/replays/<str:replay>", REPLAY),
    ("post", r"/access/export$", VIEW),
    ("get post", r"/erasures(/<str:erasure>.*)?$", "erase"),
    ("get post", r"/holds(/<str:hold>/release)?$", "legal_hold"),
    ("post", r"/exports/<str:export>/file$", NOBODY),  # only who asked for it
    ("get post", r"/exports(/<str:export>)?$", "export_log"),
    ("get", r"/streams(/<str:stream>)?$", "export_log"),
    ("post delete", r"/streams(/<str:stream>.*)?$", "publish_policy"),
    ("post", r"/reviews$", "publish_policy"),
    (
        "post",
        r"/reviews/<str:review_id>/",
        NOBODY,
    ),  # an owner of the agents answers, and who started it signs
    ("get", r"/agents/<str:agent>/(observed|denials/<int:index>)$", GRANT),
    ("post", r"/setup$", "manage_agents"),
    ("get", r"/members/<str:person>/leave$", "manage_members"),
    ("post put delete", r"/lists(/<str:name>)?$", "publish_policy"),
    ("post put delete", r"/members(/<str:person>(/leave)?)?$", "manage_members"),
    ("post put delete", r"/reviewer-groups(/<str:name>)?$", "manage_members"),
    ("post put delete", r"/budgets(/<str:budget>(/reset)?)?$", "manage_budgets"),
    ("post", r"/(prices|repricings|bills)$", "manage_budgets"),
    ("post put delete", r"/(tools|resources)(/<str:public_id>)?$", "manage_tools"),
    (
        "post put patch delete",
        r"/agents(/<str:agent>(/(callback|keys|roles|grants|allowances)(/.*)?)?)?$",
        "manage_agents",
    ),
    ("post put delete", r"<slug:slug>/roles(/<path:name>)?$", "manage_agents"),
    ("patch", r"/workspaces/<slug:slug>$", "manage_members"),
    ("get", r"/workspaces/<slug:slug>", VIEW),
]


def holds(role: str, permission: str | None) -> bool:
    """What the table says of somebody with one role, who owns no agent and is asked about one approval."""
    if permission in (None, OPERATORS, NOBODY):
        return False
    if permission == EVERYBODY:
        return True
    if permission == ASKED:
        return CELLS["view_content"][role] in ("✓", ASKED)
    if permission == REVOKE:
        return holds(role, "decide") or holds(role, "tighten")
    if permission in TOGETHER:
        return all(holds(role, each) for each in TOGETHER[permission])
    return CELLS[str(permission)][role] == "✓"


def test_the_roles_are_those_of_the_table() -> None:
    for role, held in PERMISSIONS.items():
        column = {name: cells[role] for name, cells in CELLS.items()}
        assert {name for name, cell in column.items() if cell == "✓"} == {
            name for name in held if not name.endswith("_own_agents")
        }
        own = {name.removesuffix("_own_agents") for name in held if name.endswith("_own_agents")}
        assert {name for name, cell in column.items() if cell == "own"} == own


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Someone:
    """A person with one role in globex, whose answer one of its approvals waits for."""

    def __init__(self, wall: Wall, role: str) -> None:
        self.role, self.side = role, Side(**vars(wall.globex))
        self.person = employ(self.side.workspace, f"one-{role}@globex.test", f"One {role}", role)
        approval = approving.ask(
            self.side.fleet[0], [approving.requirement(self.person)], expires_in=timedelta(hours=2)
        )
        token, _ = tokens.create_token(self.person, name="mine", actor=people.actor_of(self.person))
        view = SavedView.objects.create(person=self.person, log=self.side.workspace.log, name="mine")
        enroll(self.person)
        factor = factors.of(self.person).first()
        self.side.rows = {
            **self.side.rows,
            Authenticator: factor,
            Approval: approval,
            ApiToken: token,
            SavedView: view,
        }
        denials = Entry.objects.filter(log_id=self.side.workspace.log_id, agent=self.side.fleet[0].public_id)
        self.denied = denials.filter(type="governance.check.denied").latest("index").index
        self.browser = Visitor(self.person)

    def address(self, route: Route) -> str:
        return route.address(names.values(route, self.side))


@pytest.fixture
def someone(wall: Wall, role: str) -> Someone:
    return Someone(wall, role)


def needed_in_admin(route: Route) -> str | None:
    """What the GET of a model's page needs."""
    assert route.pages is not None
    view, add, _, delete = MODELS[route.pages.model]
    return add if route.name.endswith("_add") else delete if route.name.endswith("_delete") else view


def test_only_the_models_of_the_table_have_pages() -> None:
    assert set(admin.site._registry) == set(MODELS)


def test_each_role_opens_the_pages_of_models_that_it_may(someone: Someone) -> None:
    for route in django_routes():
        if route.pages is None or not route.name.endswith(("_changelist", "_add", "_change", "_delete")):
            continue
        view = MODELS[route.pages.model][0]
        status = someone.browser.send("get", someone.address(route)).status
        if not holds(someone.role, view):
            assert status == 404, (someone.role, str(route), status)
        else:
            allowed = holds(someone.role, needed_in_admin(route))
            assert status == (200 if allowed else 403), (someone.role, str(route), status)


def is_page(route: Route) -> bool:
    """Whether it is a page of its own or a button, which no list of models knows."""
    asks = next((layer.asks for layer in route.layers if hasattr(layer, "asks")), "nothing")
    usual = route.name.endswith(("_changelist", "_add", "_change", "_delete")) or not route.name
    return not asks.startswith("nothing") or (route.pages is not None and not usual)


def test_each_role_opens_the_other_pages_that_it_may(someone: Someone) -> None:
    for route in django_routes():
        if not is_page(route) or route.name in BUTTONS:
            continue
        assert route.name in PAGES, f"{route}: say in PAGES or BUTTONS what {route.name!r} needs."
        needed = PAGES[route.name]
        status = someone.browser.send("get", someone.address(route), {"entry": someone.denied}).status
        refused = (
            (404,) if needed == OPERATORS else (403,) if route.parameters and needed != REPLAY else (403, 404)
        )
        expected = (200, 302) if holds(someone.role, needed) else refused
        assert status in expected, (someone.role, str(route), status)


def test_each_role_presses_the_buttons_that_it_may(someone: Someone) -> None:
    """With a good form. What is refused changes nothing, whatever it answers."""
    size = someone.side.size()
    for route in django_routes():
        if not is_page(route) or route.name in PAGES:
            continue
        assert route.name in BUTTONS, f"{route}: say in PAGES or BUTTONS what {route.name!r} needs."
        needed = BUTTONS[route.name]
        fields = body_names(route, someone.person, someone.side)
        kinds = fields | FORMS.get(route.name, {})
        body = {name: good(name, kind, someone.side) for name, kind in kinds.items()}
        answer = someone.browser.send(
            "post", someone.address(route), body, log_id=someone.side.workspace.log_id
        )
        if holds(someone.role, needed):
            assert answer.status in (200, 302), (someone.role, str(route), answer.status)
        else:
            assert answer.status in (302, 403, 404), (someone.role, str(route), answer.status)
            assert answer.size == size, (someone.role, str(route), "changed something")


CHANGES: list[tuple[str, dict[str, str], str]] = [
    ("workspaces_agent_change", {"risk_tier": "high", "purpose": "new"}, "manage_agents"),
    ("workspaces_tool_change", {"action": "read", "risk": "critical"}, "manage_tools"),
    ("workspaces_resource_change", {"pattern": "file:///new/*"}, "manage_tools"),
    ("workspaces_namedlist_change", {"members": "new"}, "publish_policy"),
    ("workspaces_reviewergroup_change", {}, "manage_members"),
    (
        "workspaces_workspace_change",
        {"name": "New", "timezone": "UTC", "retention_days": "400"},
        "manage_members",
    ),
    ("workspaces_agent_stand", {"standing": "suspended", "reason": "test"}, "tighten"),
    ("workspaces_workspace_stand", {"standing": "suspended", "reason": "test"}, "tighten"),
    ("workspaces_user_roles", {"workspace": "globex", "roles": "auditor"}, "manage_members"),
    ("billing_budget_change", {"limit_usd": "3.50", "warnings": ""}, "manage_budgets"),
    ("governance_policyversion_publish", {"note": "now"}, "publish_policy"),
    ("governance_approval_decide", {"decision": "approve", "comment": ""}, "decide"),
    ("workspaces_role_delete", {"post": "yes"}, "manage_agents"),
    ("workspaces_namedlist_delete", {"post": "yes"}, "publish_policy"),
    ("workspaces_tool_delete", {"post": "yes"}, "manage_tools"),
    ("billing_budget_delete", {"post": "yes"}, "manage_budgets"),
]


def test_each_role_changes_what_its_column_says_and_nothing_else(someone: Someone) -> None:
    """Forms that do change something, so that a role which may is seen to."""
    routes = {route.name: route for route in django_routes()}
    size = someone.side.size()
    for name, fields, needed in CHANGES:
        body = dict(fields)
        if name == "workspaces_agent_change":
            body["owner"] = str(someone.side.developers[0].pk)
        answer = someone.browser.send(
            "post", someone.address(routes[name]), body, log_id=someone.side.workspace.log_id
        )
        assert (answer.size > size) == holds(someone.role, needed), (someone.role, name, answer.status)


def needed_in_api(route: Route, method: str) -> str:
    """What a method of the API needs."""
    for methods, ending, needed in API:
        if method in methods.split() and re.search(ending, str(route)):
            return needed
    raise AssertionError(f"Say in API what {method.upper()} {route} needs.")


def test_each_role_does_in_the_api_what_it_may(someone: Someone) -> None:
    for route in django_routes():
        if route.view is None or route.expression:
            continue
        for method in route.methods:
            needed = needed_in_api(route, method)
            taken = documents(route, method) if method not in ("get", "delete") else []
            body = document(route, method, taken[0](), someone.side) if taken else None
            answer = someone.browser.send(
                method,
                someone.address(route),
                body,
                json=body is not None,
                log_id=someone.side.workspace.log_id,
            )
            where = (someone.role, method, str(route), answer.status, answer.text[-300:])
            if not holds(someone.role, needed):
                logs = needed == "view_log" and not str(route).endswith("/insights")
                hidden = (404,) if logs else (403, 404) if needed == REPLAY else (403,)
                assert answer.status in hidden, where
            elif method == "get":
                assert answer.status == 200, where
            else:
                assert answer.status not in (401, 403, 404), where
                assert answer.status < 500, where


def test_evidence_has_no_add_change_or_delete(wall: Wall) -> None:
    """Not even for who has every role."""
    visitor, side = Visitor(wall.globex.everyone), wall.globex
    size, fields = side.size(), {"status": "approved", "note": "x", "type": "x", "post": "yes"}
    for model in (Entry, DecisionRecord, Approval, PolicyVersion, Hold):
        prefix = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        page = [str(side.rows[model].pk)]
        doors = [reverse(f"{prefix}_change", args=page), reverse(f"{prefix}_delete", args=page)]
        doors += [] if model is PolicyVersion else [reverse(f"{prefix}_add")]
        for address in doors:
            answer = visitor.send("post", address, fields, log_id=side.workspace.log_id)
            read = 1 if answer.status == 200 else 0  # opening what was sent is an entry
            assert answer.size <= size + read, address


def test_nothing_is_done_in_bulk(wall: Wall) -> None:
    visitor = Visitor(wall.globex.everyone)
    for model in MODELS:
        listed = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        pressed = {
            "action": "delete_selected",
            "_selected_action": [wall.globex.rows[model].pk],
            "post": "yes",
        }
        answer = visitor.send("post", listed, pressed, log_id=wall.globex.workspace.log_id)
        assert answer.size == wall.globex.size()
