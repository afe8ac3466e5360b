"""Examples in the API's document: what a body says that the API takes."""

from typing import Any

TOOL: dict[str, Any] = {
    "name": "billing.refund",
    "action": "spend",
    "risk": "high",
    "reversible": False,
    "resource": ["invoice://{invoice}"],
    "sensitive": ["/card_number"],
    "schema": {
        "type": "object",
        "required": ["invoice", "amount"],
        "additionalProperties": False,
        "properties": {
            "invoice": {"type": "string"},
            "amount": {"type": "number"},
            "card_number": {"type": "string"},
        },
    },
}
RULE: dict[str, Any] = {
    "name": "Refunds above 100 need finance",
    "tools": ["billing.refund"],
    "when": "args.amount > 100",
    "effect": "require_approval",
    "approval": {"reviewers": ["group:finance"], "quorum": 1, "expires_in": "1h"},
    "message": "Finance countersigns refunds above 100.",
}
EXAMPLES: dict[str, Any] = {
    "AgentDocumentRequest": {
        "name": "support-bot",
        "purpose": "Answers customers",
        "labels": ["customer-facing"],
        "risk_tier": "medium",
        "sessions_per_hour": 60,
    },
    "PatchedAgentDocumentRequest": {"labels": ["customer-facing", "pilot"]},
    "KeyDocumentRequest": {"expires_at": "2027-06-30T00:00:00Z"},
    "RotationDocumentRequest": {"overlap_minutes": 60},
    "GivenRolesRequest": {"roles": [{"role": "support", "expires_at": "2027-06-30T00:00:00Z"}]},
    "GrantDocumentRequest": {"expires_at": "2027-01-31T00:00:00Z"},
    "ToolDocumentRequest": TOOL,
    "ResourceDocumentRequest": {
        "name": "reports",
        "pattern": "file:///srv/reports/*",
        "labels": ["internal"],
    },
    "WholeRoleDocumentRequest": {
        "name": "analyst",
        "grants": [
            {"permission": "use", "target": "tool_3hQ9sVYpXr0ZkTnJ2bWcLe"},
            {"permission": "read", "target": "res_8mKd4RfTqWz1YxVbNc7LpA"},
        ],
    },
    "ListDocumentRequest": {"name": "partners", "members": ["orders@partner.test"]},
    "GroupDocumentRequest": {"name": "finance", "people": ["usr_5tGhYuJkLoPqWeRtZxCvBn"]},
    "MemberDocumentRequest": {"email": "rita@acme.test", "name": "Rita Review", "roles": ["approver"]},
    "MemberRolesRequest": {"roles": ["approver", "compliance_officer"]},
    "PatchedWorkspaceDocumentRequest": {"timezone": "Europe/Berlin"},
    "WholePolicyDocumentRequest": {"rules": [RULE], "note": "Finance asked for it."},
    "TrialDocumentRequest": {
        "agent": "agt_6yHnJmKlPqRsTuVwXyZ012",
        "tool": "billing.refund",
        "arguments": {"invoice": "inv_7", "amount": 250},
        "labels": ["untrusted_output"],
        "version": 12,
    },
    "ReplayDocumentRequest": {"most": 10000, "days": 30},
    "ReviewDocumentRequest": {
        "title": "Third quarter",
        "due": "2027-01-31T23:00:00Z",
        "undecided": "revoke",
    },
    "AnswerToItemRequest": {"keep": False},
    "SetupDocumentRequest": {
        "name": "refund-bot",
        "purpose": "Refunds broken orders",
        "tools": [TOOL],
        "needs": [
            {"permission": "use", "of": "billing.refund"},
            {"permission": "spend", "of": "invoice://*"},
        ],
        "daily_usd": "5.00",
        "rules": [RULE],
    },
    "AllowDocumentRequest": {
        "needs": [{"permission": "read", "of": "file:///srv/reports/q3.csv"}],
        "expires_at": "2027-01-31T00:00:00Z",
    },
    "DepartureDocumentRequest": {"email": "rita@acme.test", "reason": "Left the company."},
    "WhoDocumentRequest": {"email": "rita@acme.test"},
    "LeaveDocumentRequest": {"reason": "Moved to another team."},
    "NoteDocumentRequest": {"note": "Agreed on Monday."},
    "AnswerDocumentRequest": {"approve": True, "comment": "It is owed."},
    "BudgetDocumentRequest": {"window": "month", "limit_usd": "200.00", "warn_at": [50, 80]},
    "BudgetChangeRequest": {"limit_usd": "250.00", "warn_at": [80]},
    "StepDocumentRequest": {"standing": "suspended", "reason": "It mails strangers."},
    "ErasureDocumentRequest": {
        "text": "ann@customers.example",
        "basis": "GDPR Art. 17(1)(b)",
        "reason": "She withdrew her consent.",
    },
    "HoldDocumentRequest": {"reason": "Miller against Acme"},
    "ExportDocumentRequest": {
        "format": "csv",
        "since": "2026-07-01T00:00:00Z",
        "until": "2026-10-01T00:00:00Z",
        "only": {"type": "governance.check.denied"},
    },
    "StreamDocumentRequest": {
        "name": "siem",
        "sink": "webhook",
        "url": "https://siem.example.com/countersign",
        "format": "ocsf",
    },
    "TokenDocumentRequest": {"name": "nightly export", "scope": "read", "workspace": "acme"},
}
