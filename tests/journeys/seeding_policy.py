"""An installation in which two people guard acme, refunds are on record, and a stricter policy waits as a draft."""

import hashlib
from typing import Any

from audit import canonical
from governance import checks, policies, snapshot
from governance.requests import Caller, CheckRequest
from tests.cast import ACTOR, Cast, assemble
from tests.journeys.seeding import RULES, links_of
from workspaces import tenancy
from workspaces.identifiers import key_digest
from workspaces.people import actor_of

AMOUNTS = [20, 35, 60, 80, 95, 120, 150, 240, 600, 900]
NOW: list[dict[str, Any]] = [{**RULES[0], "name": "Refunds need finance"}]
STRICTER: list[dict[str, Any]] = [
    {**NOW[0], "when": "args.amount > 50 && args.amount <= 500"},
    {
        "name": "No refund above 500",
        "tools": ["billing.refund"],
        "when": "args.amount > 500",
        "effect": "deny",
        "message": "Refunds above 500 are paid by people.",
    },
]


def seed() -> dict[str, Any]:
    """The cast, refunds of AMOUNTS as version 1 decided them, and version 2 drafted by olga."""
    cast = assemble()
    policies.publish(policies.draft(cast.acme, NOW, actor=ACTOR, note="First rules"), actor=ACTOR)
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    record(cast)
    note = "Finance looks at refunds above 50; above 500 people pay."
    version = policies.draft(cast.acme, STRICTER, actor=actor_of(cast.olga), note=note)
    return {
        "version": version.pk,
        "links": {person.email.partition("@")[0]: links_of(person) for person in (cast.olga, cast.rita)},
    }


def record(cast: Cast) -> None:
    """One refund of each amount by support-bot."""
    snapshot.forget()
    text = cast.support_bot_key
    caller = Caller(cast.acme.log_id, cast.support_bot.pk, text[4:12], key_digest(text))
    for amount in AMOUNTS:
        arguments = {"invoice": f"INV-{amount}", "amount": amount}
        digest = hashlib.sha256(canonical.encode(arguments)).digest()
        checks.admit(caller.log_id, [CheckRequest(caller, "billing.refund", arguments, digest)])
