"""No page asks the database more often because there is more to show: as many queries at 10,000 rows as at ten.

Every page, list and answer of the API that has an address is opened, by who has every role.
"""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.isolation import names
from tests.isolation.crowd import Crowd
from tests.isolation.routes import django_routes
from tests.isolation.visits import Visitor
from tests.isolation.world import Wall

pytestmark = pytest.mark.django_db

FEW, MANY = 10, 10_000
# Pages that gather what fills them in rounds, and how many queries the rounds may add at most.
ROUNDS = {"access": 30, "api-access": 30}


def addresses(wall: Wall) -> dict[str, str]:
    """Everything that has a page, for who works in globex: address → the route's name."""
    return {
        route.address(names.values(route, wall.globex)): route.name
        for route in django_routes()
        if "get" in route.methods and not route.expression and not names.is_secret(route)
    }


def queries(visitor: Visitor, address: str) -> int:
    """How often a page asks the database."""
    with CaptureQueriesContext(connection) as captured:
        assert visitor.send("get", address).status < 500, address
    return len(captured)


@pytest.mark.timeout(300)
def test_no_page_asks_more_often_of_more_rows(wall: Wall) -> None:
    visitor, pages = Visitor(wall.globex.everyone), addresses(wall)
    Crowd(wall.globex, FEW, 0).gather()
    for address in pages:
        visitor.send("get", address)  # once, so that nothing is asked for the first time
    before = {address: queries(visitor, address) for address in pages}
    Crowd(wall.globex, MANY, FEW).gather()
    more = []
    for address, count in before.items():
        after = queries(visitor, address)
        if after > count + ROUNDS.get(pages[address], 0):
            more.append(f"{address}: {count} queries at {FEW} rows, {after} at {MANY}")
    assert not more, more
