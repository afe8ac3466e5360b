"""A workspace in which calls wait for people: mails, queries, commands and refunds, each with a rule that asks."""

from typing import Any

from governance import policies
from tests import factors
from tests.cast import ACTOR, Cast, assemble, declare, employ
from tests.portal import enter
from workspaces import access, catalog, people
from workspaces.declarations import Action, Risk
from workspaces.models import Agent, Tool

RULES = [
    {
        "name": "Refunds above 100 need finance",
        "tools": ["billing.refund"],
        "when": "args.amount > 100",
        "effect": "require_approval",
        "approval": {"reviewers": ["group:finance"], "expires_in": "1h"},
        "message": "Finance countersigns refunds above 100.",
        "ask": "Is this refund owed, and is the amount on the invoice?",
    },
    {
        "name": "Mail is looked at",
        "tools": ["mail.send"],
        "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test", "ada@acme.test"], "expires_in": "4h"},
        "ask": "May this mail go out as it is?",
    },
    {
        "name": "Statements that change rows need two",
        "tools": ["db.query"],
        "when": '!args.sql.startsWith("SELECT") && session.calls >= 0',
        "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test", "ada@acme.test"], "quorum": 2, "expires_in": "2h"},
        "message": "Two people look at statements that change rows.",
        "ask": "Does this statement touch exactly the rows it should?",
    },
    {
        "name": "Commands are rare",
        "tools": ["shell.run"],
        "effect": "limit",
        "limit": {"calls": 1, "per": "1h", "by": "agent", "then": "require_approval"},
        "approval": {"reviewers": ["rita@acme.test"], "expires_in": "30m"},
        "ask": "Is this command safe to run on the server?",
    },
]
PASSWORD = "rita signed in this morning"


def seed() -> dict[str, Any]:
    """The cast with those rules, and a session of each person who decides; what tests need to act as them."""
    cast = assemble()
    ada = employ(cast.acme, "ada@acme.test", "Ada Approver", "approver")
    people.set_password(cast.rita, password=PASSWORD, actor=ACTOR)
    furnish(cast, cast.support_bot)
    people.set_reviewer_group(cast.acme, name="finance", people=[cast.rita, ada], actor=ACTOR)
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR, note="First rules"), actor=ACTOR)
    cast.rita.refresh_from_db()
    folk = {"rita": cast.rita, "ada": ada, "olga": cast.olga}
    return {
        "secret": factors.enroll(cast.rita),
        "sessions": {name: enter(person).cookies["sessionid"].value for name, person in folk.items()},
        "keys": {"support-bot": cast.support_bot_key, "report-bot": cast.report_bot_key},
    }


def furnish(cast: Cast, agent: Agent) -> None:
    """Tools for an operator's work, which the agent may use."""
    schema: dict[str, object] = {
        "type": "object",
        "required": ["sql"],
        "properties": {"sql": {"type": "string"}},
    }
    query = declare("db.query", Action.EXECUTE, risk=Risk.MEDIUM, reversible=False, schema=schema)
    shell = declare("shell.run", Action.EXECUTE, risk=Risk.LOW, labels=("shell",))
    tools: list[Tool] = [
        catalog.set_tool(cast.acme, declaration=each, actor=ACTOR).row for each in (query, shell)
    ]
    for tool in tools:
        access.grant(agent, permission="use", obj=tool, actor=ACTOR)
