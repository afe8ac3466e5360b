"""What is in the database of a served installation, with the secrets by which tests get in."""

from dataclasses import replace
from typing import Any

from governance import policies
from tests.cast import Cast, assemble, employ
from tests.isolation.names import is_secret, listed, values
from tests.isolation.routes import django_routes
from tests.isolation.world import Side, raise_side
from tests.portal import enter
from workspaces import agents, catalog, people
from workspaces.declarations import Risk
from workspaces.models import User

ACTOR = "system"
LINKS = 6  # sign-ins of each person
RULES = [
    {
        "name": "Refunds above 100 need finance",
        "tools": ["billing.refund"],
        "when": "args.amount > 100",
        "effect": "require_approval",
        "approval": {"reviewers": ["group:finance"], "expires_in": "1h"},
        "message": "Finance countersigns refunds above 100.",
        "ask": "Is this refund owed, and is the amount on the invoice?",
    }
]
FLEET = ("refund-bot", "night-bot", "audit-bot")  # each story stops or changes one of its own


def seed() -> dict[str, Any]:
    """The cast in acme with a policy and an agent for each story; in shop one of everything, and who sees it all."""
    cast = assemble()
    dana = employ(cast.acme, "dana@acme.test", "Dana Dismissed", "operator")
    # Of high risk it would take a second factor, which test_approval_desk has.
    refund = replace(cast.tools["billing.refund"].declaration(), risk=Risk.MEDIUM)
    catalog.set_tool(cast.acme, declaration=refund, actor=ACTOR)
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR, note="First rules"), actor=ACTOR)
    shop = raise_side("shop", "corner")
    people.set_operator(shop.everyone, True, actor=ACTOR)
    folk = {"olga": cast.olga, "rita": cast.rita, "otto": cast.otto, "sam": cast.sam, "dana": dana}
    folk["everyone"] = shop.everyone
    return {
        "agent": cast.report_bot.public_id,
        "keys": fleet(cast) | {"report-bot": cast.report_bot_key, "support-bot": cast.support_bot_key},
        # Who has a second factor would be asked for it at each link; this session showed it.
        "sessions": {"everyone": enter(shop.everyone).cookies["sessionid"].value},
        "links": {name: links_of(person) for name, person in folk.items()},
        "pages": sorted(addresses(shop)),
        "open": [f"/signin/{shop.tokens['sign_in']}/", f"/a/{shop.tokens['approval-link']}/"],
    }


def links_of(person: User) -> list[str]:
    """Tokens that sign this person in, each once."""
    return [people.signin_link(person, actor=ACTOR) for _ in range(LINKS)]


def fleet(cast: Cast) -> dict[str, str]:
    """One more agent for each story, which may refund; its key by its name."""
    keys = {}
    for name in FLEET:
        agent = agents.create_agent(
            cast.acme, name, owner=cast.olga, purpose="Answers customers, pays refunds", actor=ACTOR
        )
        agents.set_agent_roles(agent, {cast.roles["support"]: None}, actor=ACTOR)
        keys[name] = agents.create_key(agent, actor=ACTOR)[1]
    return keys


def addresses(side: Side) -> set[str]:
    """Every address of the portal that a browser may open, filled with what is the side's."""
    found: set[str] = set()
    for route in django_routes():
        if is_secret(route) or route.pattern.startswith(("api/", "static/")):
            continue
        known = listed(route)
        if known is None and not route.expression:
            known = [route.address(values(route, side))]
        found.update(known or ())
    return found
