"""The workspace and the rules that the tests of policies share."""

from typing import Any

from governance.lint import Catalog
from workspaces.declarations import parse_declaration

TOOLS: list[dict[str, Any]] = [
    {
        "name": "files.read",
        "action": "read",
        "risk": "low",
        "resource": "file://{path}",
        "labels": ["private_data"],
    },
    {
        "name": "web.fetch",
        "action": "read",
        "risk": "low",
        "resource": "{url}",
        "default_scheme": "https",
        "labels": ["untrusted_output"],
    },
    {
        "name": "mail.send",
        "action": "send",
        "risk": "medium",
        "resource": [
            "mailto:{to}",
            "mailto:{cc}",
            {"template": "file://{attachments[].path}", "action": "read"},
        ],
        "labels": ["external_send"],
        "schema": {
            "type": "object",
            "required": ["to", "subject", "body"],
            "additionalProperties": False,
            "properties": {
                "to": {"type": ["string", "array"]},
                "cc": {"type": ["string", "array"]},
                "attachments": {
                    "type": "array",
                    "maxItems": 50,
                    "items": {
                        "type": "object",
                        "required": ["path"],
                        "properties": {"path": {"type": "string"}},
                    },
                },
                "subject": {"type": "string"},
                "body": {"type": "string"},
            },
        },
    },
    {
        "name": "billing.refund",
        "action": "spend",
        "risk": "high",
        "reversible": False,
        "resource": "invoice://{invoice}",
        "sensitive": ["/card_number"],
        "schema": {
            "type": "object",
            "required": ["invoice", "amount", "currency"],
            "additionalProperties": False,
            "properties": {
                "invoice": {"type": "string"},
                "amount": {"type": "number", "exclusiveMinimum": 0, "maximum": 10000},
                "currency": {"enum": ["EUR", "USD"]},
                "items": {"type": "integer", "minimum": 1},
                "note": {"type": "string", "maxLength": 200},
                "lines": {
                    "type": "array",
                    "maxItems": 20,
                    "items": {
                        "type": "object",
                        "required": ["price"],
                        "properties": {"price": {"type": "number"}, "sku": {"type": "string"}},
                    },
                },
                "card_number": {"type": "string"},
            },
        },
    },
    {"name": "shell.run", "action": "execute", "risk": "critical", "labels": ["untrusted_output"]},
]

CATALOG = Catalog(
    tools={tool["name"]: parse_declaration(tool) for tool in TOOLS},
    resources={
        "reports": "file:///srv/reports/*",
        "web": "https://*/*",
        "customers": "mailto:*@customers.test",
        "anyone": "mailto:*@*",
        "invoices": "invoice://*",
        "buckets": "s3://reports/*",
    },
    resource_labels={"reports": frozenset({"internal"})},
    agents={
        "report-bot": frozenset({"internal"}),
        "support-bot": frozenset({"customer-facing"}),
        "report-archiver": frozenset(),
    },
    people=frozenset({"olga@acme.test", "rita@acme.test", "otto@acme.test"}),
    groups={"finance": frozenset({"rita@acme.test", "olga@acme.test"}), "legal": frozenset()},
    budgets=frozenset({"workspace_month"}),
    lists={"partners": ("orders@partner.test", "help@partner.test"), "nobody": ()},
)


def denial(**fields: Any) -> dict[str, Any]:
    """A rule that denies, as in a workspace file."""
    return {"name": "Rule", "effect": "deny", **fields}


def approval(**fields: Any) -> dict[str, Any]:
    """A rule that requires approval; the reviewers are the finance group's unless it names others."""
    return {
        "name": "Rule",
        "effect": "require_approval",
        "approval": {"reviewers": ["group:finance"]},
        **fields,
    }


def limit(**fields: Any) -> dict[str, Any]:
    """A rule that limits; ``fields`` are the limit's, but for the rule's own ``tools`` and the like."""
    own: dict[str, Any] = {
        name: fields.pop(name) for name in ("tools", "agents", "when", "actions") if name in fields
    }
    return {"name": "Rule", "effect": "limit", "limit": {"per": "1h", **fields}, **own}
