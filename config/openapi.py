"""What the generator cannot know of the API's document: the gate's half, and how requests are refused."""

import json
from pathlib import Path
from typing import Any

from config.openapi_examples import EXAMPLES

GATE = Path(__file__).resolve().parent.parent / "gate/openapi.json"
CHANGING = ("post", "put", "patch", "delete")
REFUSALS = {
    400: "The body or a parameter is wrong; errors names what.",
    401: "No token and no session, or one that is not good any more.",
    403: "You see it, but your roles or your token do not reach this.",
    404: "There is no such thing, or it is not yours to see.",
    405: "Another method.",
    409: "It cannot be done as things stand; the code and the detail say why.",
    413: "The body is too large.",
    415: "The body is no application/json.",
    503: "The database is busy or does not answer; look whether it was done, and try again in a moment.",
}
ERROR = {
    "type": "object",
    "required": ["path", "message", "code"],
    "properties": {
        "path": {"type": "array", "items": {"type": ["string", "integer"]}},
        "message": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z][a-z_]*$"},
    },
}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457. code is for programs, detail says what to do; errors has, for a body that is "
    "wrong, each mistake: its place (fields and positions) and a stable code of its own.",
    "required": ["type", "title", "status", "code", "detail"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z][a-z_]*$"},
        "detail": {"type": "string", "pattern": "\\.$"},
        "errors": {"type": "array", "items": ERROR},
    },
}

PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/PortalProblem"}}}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's last hook: requests closed, refusals described, examples and the gate's document put in."""
    schemas = result["components"]["schemas"]
    close_requests(schemas)
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            operation["responses"] |= refusals(path, method, operation)
    schemas["PortalProblem"] = PROBLEM
    return merged(result, json.loads(GATE.read_text()))


def close_requests(schemas: dict[str, Any]) -> None:
    """Say that bodies take the described fields and no others."""
    for name, schema in schemas.items():
        if name.endswith("Request") and schema.get("type") == "object":
            schema["additionalProperties"] = False


def refusals(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """The problems with which an operation may answer."""
    statuses = {401, 403, 405, 503}
    if "{" in path:
        statuses.add(404)
    if method in CHANGING:
        statuses |= {400, 409}
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        statuses.add(400)
    if "requestBody" in operation:
        statuses |= {413, 415}
    return {str(status): {"$ref": f"#/components/responses/Refusal{status}"} for status in sorted(statuses)}


def merged(portal: dict[str, Any], gate: dict[str, Any]) -> dict[str, Any]:
    """One document of both. Schemas of the same name in both would be a mistake."""
    schemas, of_gate = portal["components"]["schemas"], gate["components"]["schemas"]
    if twice := schemas.keys() & of_gate.keys():
        raise ValueError(f"Portal and gate both describe {', '.join(sorted(twice))}; rename one.")
    for operations in gate["paths"].values():
        for operation in operations.values():
            operation.setdefault("security", gate["security"])
            operation["tags"] = ["gate"]
    securities = portal["components"]["securitySchemes"] | gate["components"]["securitySchemes"]
    return {
        "openapi": gate["openapi"],
        "info": gate["info"]
        | {
            "title": "Countersign",
            "summary": "What agents ask before they act, and what people do in the portal.",
        },
        "servers": gate["servers"],
        "paths": gate["paths"] | portal["paths"],
        "components": {
            "securitySchemes": securities,
            "schemas": of_gate | schemas,
            "responses": {
                f"Refusal{status}": {"description": description, "content": PROBLEM_CONTENT}
                for status, description in REFUSALS.items()
            },
        },
    }
