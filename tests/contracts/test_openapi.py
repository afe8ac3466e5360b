"""gate/openapi.json is what the gate does: its paths, its request fields, and every answer it gives here."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from httpx2 import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from billing import limits
from gate import bodies
from gate.app import LONGEST_WAIT, router
from governance import approvals, containment
from governance.models import Approval, Vote
from tests.cast import ACTOR, Cast
from tests.gate.conftest import REFUND, Bot, gate, policy, reporter, support
from workspaces import agents

__all__ = ["gate", "policy", "reporter", "support"]  # fixtures of the gate's own tests
pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "gate/openapi.json").read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
TYPES = {"string": str, "object": dict, "array": list, "boolean": bool, "integer": int}


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator of a schema that may refer to the document's components."""
    return jsonschema_rs.Draft202012Validator(
        {**schema, "components": DOCUMENT["components"]}, validate_formats=True
    )


def conforms(response: Response, path: str) -> Any:
    """The answer's body, after holding it against the document: path, method, status, media type, schema."""
    operation = DOCUMENT["paths"][path][response.request.method.lower()]
    described = operation["responses"][str(response.status_code)]
    media = response.headers["content-type"]
    validator(described["content"][media]["schema"]).validate(response.json())
    for header, description in described.get("headers", {}).items():
        assert header in response.headers
        if description["schema"].get("type") == "integer":
            assert response.headers[header].isdigit()
    return response.json()


def asked(bot: Bot, tool: str, arguments: dict[str, Any], **fields: Any) -> Any:
    """A check whose body and answer both fit the document; the decision."""
    body = {"tool": tool, "arguments": arguments, **fields}
    validator({"$ref": "#/components/schemas/Check"}).validate(body)
    return conforms(bot.client.post("/v1/check", json=body, headers=bot.headers), "/v1/check")


def test_its_paths_and_methods_are_those_of_the_gate() -> None:
    documented = {(path, tuple(operations)) for path, operations in DOCUMENT["paths"].items()}
    posted = ("/v1/check", "/outcome", "/cancel", "/reply", "/v1/access-requests")
    routes = [route.path for route in router.routes if isinstance(route, Route)]
    assert documented == {(path, ("post" if path.endswith(posted) else "get",)) for path in routes}


@pytest.mark.parametrize(
    ("schema", "fields"),
    [
        ("Check", "CHECK_FIELDS"),
        ("Report", "OUTCOME_FIELDS"),
        ("Cancel", "CANCEL_FIELDS"),
        ("Reply", "REPLY_FIELDS"),
        ("AccessWish", "ACCESS_FIELDS"),
    ],
)
def test_request_fields_have_the_types_and_bounds_that_the_gate_enforces(schema: str, fields: str) -> None:
    properties = SCHEMAS[schema]["properties"]
    known = getattr(bodies, fields)
    assert properties.keys() == known.keys()
    for name, (kind, longest) in known.items():
        described = properties[name]
        if "anyOf" in described or "enum" in described:  # amounts and statuses are narrower than their length
            continue
        types = described["type"]
        assert TYPES[types if isinstance(types, str) else types[0]] is kind, name
        if kind is str:
            assert described["maxLength"] == longest, name
    assert SCHEMAS["Report"]["properties"]["status"]["enum"] == list(bodies.STATUSES)
    assert SCHEMAS["Amount"]["pattern"].strip("^$") == bodies.AMOUNT.pattern


def test_the_longest_wait_is_as_documented() -> None:
    parameters = DOCUMENT["paths"]["/v1/approvals/{approval}"]["get"]["parameters"]
    assert parameters[1]["schema"]["maximum"] == LONGEST_WAIT


def test_decisions_fit(policy: None, support: Bot, cast: Cast) -> None:
    limits.set_budget(cast.acme, agent=cast.support_bot, window="day", limit_amount=5 * 10**9, actor=ACTOR)
    report = {"path": "/srv/reports/q3.csv"}
    answers = {
        "allowed": asked(support, "files.read", report, estimated_cost_usd="0.02", session="s", call_id="c"),
        "rehearsed": asked(support, "files.read", report, dry_run=True),
        "outside": asked(support, "files.read", {"path": "/etc/passwd"}),
        "unknown": asked(support, "files.shred", {}),
        "misfit": asked(support, REFUND, {"invoice": 7}),
        "ambiguous": asked(support, "files.read", {"path": "/srv/reports/%2e%2e/x"}),
        "waiting": asked(support, REFUND, {"invoice": "inv_7", "amount": 250}, reason="It broke."),
        "dear": asked(support, "files.read", report, estimated_cost_usd="6"),
    }
    models = {"model": "gpt-4o", "estimated_usage": {"input_tokens": 10**6}}
    more: dict[str, Any] = {"limit_amount": 10**9, "when_short": "downgrade", "downgrade_to": "gpt-4o-mini"}
    limits.set_budget(cast.acme, agent=cast.support_bot, window="ever", model="gpt-4o", **more, actor=ACTOR)
    limits.set_budget(
        cast.acme, agent=cast.support_bot, window="ever", unit="tokens", limit_amount=10**7, actor=ACTOR
    )
    answers["cheaper"] = asked(support, "files.read", report, **models)
    answers["unpriced"] = asked(support, "files.read", report, model="nobody-knows", estimated_usage={})
    answers["in tokens"] = asked(
        support, "files.read", report, model="gpt-4o-mini", estimated_usage={"input_tokens": 7}, retry_count=0
    )
    codes = {name: answer["code"] for name, answer in answers.items()}
    assert codes == {
        "allowed": "granted",
        "rehearsed": "granted",
        "outside": "no_permission",
        "unknown": "unknown_tool",
        "misfit": "invalid_arguments",
        "ambiguous": "ambiguous_resource",
        "waiting": "rule",
        "dear": "budget_exhausted",
        "cheaper": "budget_exhausted",
        "unpriced": "unknown_price",
        "in tokens": "granted",
    }
    assert answers["cheaper"]["downgrade"]["model"] == "gpt-4o-mini"
    assert answers["waiting"]["approval"]["url"].endswith(answers["waiting"]["approval"]["id"])


def test_outcomes_approvals_and_the_agents_own_standing_fit(policy: None, support: Bot, cast: Cast) -> None:
    waiting = asked(support, REFUND, {"invoice": "inv_7", "amount": 250})["approval"]["id"]
    path = "/v1/approvals/{approval}"
    get = support.client.get
    assert conforms(get(f"/v1/approvals/{waiting}", headers=support.headers), path)["status"] == "pending"
    approvals.decide(
        Approval.objects.get(public_id=waiting),
        person=cast.rita,
        approve=True,
        comment="It is owed.",
        known_by=Vote.KnownBy.SESSION,
        actor=ACTOR,
        second_factor="totp",
    )
    settled = conforms(get(f"/v1/approvals/{waiting}?wait=5", headers=support.headers), path)
    assert (settled["status"], settled["comments"]) == ("approved", ["It is owed."])
    allowed = asked(support, REFUND, {"invoice": "inv_7", "amount": 250}, approval=waiting)["id"]
    for status in ("running", "succeeded", "failed"):
        body = {"status": status, "summary": "Paid.", "cost_usd": "0.018"}
        validator({"$ref": "#/components/schemas/Report"}).validate(body)
        url = f"/v1/decisions/{allowed}/outcome"
        told = conforms(
            support.client.post(url, json=body, headers=support.headers), "/v1/decisions/{decision}/outcome"
        )
    assert told["code"] == "outcome_already_reported"
    assert conforms(get("/v1/me", headers=support.headers), "/v1/me")["tools"] != []


def test_health_and_problems_fit(gate: TestClient, support: Bot, cast: Cast) -> None:
    assert conforms(gate.get("/healthz"), "/healthz") == {"status": "ok"}
    assert conforms(gate.get("/readyz"), "/readyz") == {"status": "ready"}
    assert conforms(gate.get("/v1/me"), "/v1/me")["code"] == "missing_key"
    for sent, code in ((b"{}", "missing_field"), (b"x" * 2**20 + b"x", "body_too_large")):
        refused = gate.post("/v1/check", content=sent, headers=support.headers)
        assert conforms(refused, "/v1/check")["code"] == code
    for path in ("/v1/approvals/{approval}", "/v1/decisions/{decision}/outcome"):
        (method,) = DOCUMENT["paths"][path]
        url = path.format(approval="apr_none", decision="dec_none")
        body = {"json": {"status": "failed"}} if method == "post" else {}
        missing = gate.request(method, url, headers=support.headers, **body)  # type: ignore[arg-type]
        assert conforms(missing, path)["code"] == "not_found"


def test_a_contained_agent_may_ask_how_it_stands(reporter: Bot, cast: Cast) -> None:
    containment.set_standing(
        cast.report_bot, "suspended", reason="It behaves oddly.", actor="cli:test@host", person=None
    )
    denied = asked(reporter, "files.read", {"path": "/srv/reports/q3.csv"})
    assert (denied["decision"], denied["code"]) == ("deny", "contained")
    me = reporter.client.get("/v1/me", headers=reporter.headers)
    assert conforms(me, "/v1/me")["standing"] == "suspended"


def test_a_key_without_rights_gets_an_empty_standing_that_fits(gate: TestClient, cast: Cast) -> None:
    idle = agents.create_agent(cast.acme, "idle-bot", owner=cast.olga, actor=ACTOR)
    _, key = agents.create_key(idle, actor=ACTOR)
    me = conforms(gate.get("/v1/me", headers={"authorization": f"Bearer {key}"}), "/v1/me")
    assert (me["tools"], me["permissions"], me["budgets"]) == ([], {}, [])
