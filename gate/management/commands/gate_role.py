"""manage.py gate_role ROLE: the SQL that gives the gate's own database role what it needs, and no more."""

import re
from argparse import ArgumentParser
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")
ALL: tuple[str, ...] = ()

# Tables by model, columns by name; ALL means every column. What is not named here is refused by PostgreSQL.
MAY_READ: dict[str, tuple[str, ...]] = {
    "audit.Log": ALL,
    "audit.Head": ALL,
    "audit.Change": ALL,
    "audit.DetailKey": ALL,  # wrapped; the installation's key is a file
    "audit.Detail": ALL,  # the reviewers' comments, which the agent is told
    # What an agent was denied, of which it may ask for a grant. No bodies.
    "audit.Entry": ("id", "log", "index", "time", "type", "agent", "tool", "outcome"),
    "workspaces.User": ("id", "public_id", "email", "is_active"),
    "governance.ApprovalLink": ("id", "approval", "person", "waiting"),
    **dict.fromkeys(
        (
            "workspaces.Installation",
            "workspaces.Workspace",
            "workspaces.Membership",
            "workspaces.WorkspacePermission",
            "workspaces.ReviewerGroup",
            "workspaces.ReviewerGroupMember",
            "workspaces.NamedList",
            "workspaces.Tool",
            "workspaces.Resource",
            "workspaces.ToolGrant",
            "workspaces.ResourceGrant",
            "workspaces.Role",
            "workspaces.Agent",
            "workspaces.ActsFor",
            "workspaces.AgentRole",
            "workspaces.AgentKey",
            "workspaces.KeyUse",
            "auth.Permission",
            "contenttypes.ContentType",
            "governance.PolicyVersion",
            "governance.AgentState",
            "governance.Session",
            "governance.Counter",
            "governance.Decision",
            "governance.Call",
            "governance.Idempotency",
            "governance.Approval",
            "governance.Vote",
            "governance.Overflow",
            "governance.StandingUse",
            "governance.StandingApproval",
            "governance.Remark",
            "governance.Proposal",
            "billing.Budget",
            "billing.Account",
            "billing.Hold",
            "billing.Price",
        ),
        ALL,
    ),
}
MAY_INSERT = (
    "audit.Entry",
    "audit.Detail",
    "audit.Owed",
    "workspaces.KeyUse",
    "governance.AgentState",
    "governance.Session",
    "governance.Counter",
    "governance.Decision",
    "governance.Call",
    "governance.Idempotency",
    "governance.Approval",
    "governance.Overflow",
    "governance.StandingUse",
    "governance.Remark",
    "governance.Proposal",
    "billing.Account",
    "billing.Hold",
)
MAY_UPDATE: dict[str, tuple[str, ...]] = {
    "audit.Head": ("size", "frontier", "revision", "time"),
    "workspaces.KeyUse": ("at",),
    "governance.AgentState": ALL,
    "governance.Session": ALL,
    "governance.Counter": ALL,
    "governance.Decision": ("outcome", "report", "lease_until"),
    "governance.Call": ALL,
    "governance.Idempotency": ALL,
    # An agent takes back what it asked for. Who may answer allow gains nothing by approving.
    "governance.Approval": ("used_by", "asks", "status", "version", "settled_at", "next_step_at"),
    "governance.ApprovalLink": ("waiting",),
    "governance.StandingUse": ("count", "last_at"),
    "governance.Overflow": ("count", "since", "last_at"),
    "billing.Account": ("limit_amount", "raised", "spent", "held", "overage", "warned"),
    "billing.Hold": (
        "accounts",
        "model",
        "held_nanos",
        "charged_nanos",
        "held_tokens",
        "charged_tokens",
        "basis",
        "price",
        "usage",
        "state",
        "settled_at",
    ),
}
# INSERT … RETURNING reads what it returns: the key, nothing else.
MAY_RETURN = {"audit.Owed": ("id",)}


class Command(BaseCommand):
    help = (
        "Print the SQL that lets an existing PostgreSQL role run the gate: it may add entries and answers, "
        "and may neither change the log nor read passwords, sessions or mail. Run it anew after each upgrade."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", help="the role's name, such as countersign_gate")

    def handle(self, *args: Any, **options: Any) -> None:
        role: str = options["role"]
        if not ROLE.fullmatch(role):
            raise CommandError(
                "A role's name has lower-case letters, digits and _ only, not a digit in front."
            )
        if connection.vendor != "postgresql":
            raise CommandError("SQLite knows no roles; set DATABASE_URL to a PostgreSQL database.")
        self.stdout.write("\n".join(["BEGIN;", *statements(role), "COMMIT;"]))


def statements(role: str) -> list[str]:
    """The statements, one a table and permission: first everything is taken, then what is needed is given."""
    given = [("SELECT", model, columns) for model, columns in (MAY_READ | MAY_RETURN).items()]
    given += [("INSERT", model, ALL) for model in MAY_INSERT]
    given += [("UPDATE", model, columns) for model, columns in MAY_UPDATE.items()]
    return [
        f'REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "{role}";',
        f'REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM "{role}";',
        f'GRANT USAGE ON SCHEMA public TO "{role}";',
        *(
            f'GRANT {verb}{listed(model, columns)} ON {table(model)} TO "{role}";'
            for verb, model, columns in given
        ),
    ]


def table(model: str) -> str:
    """The quoted table of a model, named as app.Model."""
    return connection.ops.quote_name(apps.get_model(model)._meta.db_table)


def listed(model: str, columns: tuple[str, ...]) -> str:
    """The quoted columns of these fields in parentheses, "" for the whole table."""
    if not columns:
        return ""
    fields = [apps.get_model(model)._meta.get_field(name) for name in columns]
    return " (" + ", ".join(connection.ops.quote_name(field.column) for field in fields) + ")"
