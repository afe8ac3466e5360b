"""A workspace whose agent pays for what it looks up, and nobody set a budget yet."""

from dataclasses import replace
from typing import Any

from tests.cast import ACTOR, assemble, declare
from tests.portal import enter
from workspaces import access, catalog
from workspaces.declarations import Action


def seed() -> dict[str, Any]:
    """The cast, and a tool that costs 40 cents a call; what tests need to act as them."""
    cast = assemble()
    declared = replace(declare("web.research", Action.READ), cost_nanos=400_000_000)
    tool = catalog.set_tool(cast.acme, declaration=declared, actor=ACTOR).row
    access.grant(cast.support_bot, permission="use", obj=tool, actor=ACTOR)
    folk = {"rita": cast.rita, "olga": cast.olga}
    return {
        "sessions": {name: enter(person).cookies["sessionid"].value for name, person in folk.items()},
        "keys": {"support-bot": cast.support_bot_key},
    }
