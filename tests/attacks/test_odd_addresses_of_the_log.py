"""Addresses of the log that nobody would write by hand: numbers without end, days before and after all others."""

import pytest

from audit.models import Log
from audit.publishing import publish
from tests.api.caller import Caller
from tests.cast import Cast
from tests.portal import enter

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def published(cast: Cast) -> None:
    publish(cast.acme.log)


def status(caller: Caller, address: str) -> int:
    found: int = caller.client.get(address, headers={"authorization": f"Bearer {caller.text}"}).status_code
    return found


def test_a_tile_of_an_endless_number_is_not_there(cast: Cast) -> None:
    caller = Caller(cast.olga)
    for number in ("x999/" * 1500, "x" + "9" * 9000 + "/", "x001/" * 6):
        assert status(caller, f"/ws/{cast.acme.log.uuid}/tile/0/{number}001") == 404


@pytest.mark.parametrize(
    "time",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01", "9999-12-31", "2026-13-45"],
)
def test_a_day_before_or_after_all_others_breaks_no_page(cast: Cast, time: str) -> None:
    browser, caller = enter(cast.olga), Caller(cast.olga)
    browser.raise_request_exception = caller.client.raise_request_exception = False
    found = {}
    for name in ("since", "until"):
        found[f"page, {name}"] = browser.get("/admin/audit/entry/", {"workspace": "acme", name: time})
        for what in ("entries", "facets"):
            address = f"logs/{cast.acme.log.uuid}/{what}"
            found[f"{what}, {name}"] = caller.ask("GET", address, **{name: time.replace("+", "%2B")})
        body = {"format": "jsonl", name: time}
        found[f"API, {name}"] = caller.ask("POST", "workspaces/acme/exports", body)
    for name in ("first_day", "last_day"):
        found[name] = browser.post("/admin/log/acme/exports/", {"format": "jsonl", name: time[:10]})
    assert [name for name, answer in found.items() if answer.status_code >= 500] == []


def test_no_prefix_opens_another_log(cast: Cast) -> None:
    """The installation's log by a workspace's address, a workspace's by the installation's, and either with a token
    that is for less."""
    cast.olga.is_superuser = True
    cast.olga.save()
    own = Log.objects.get(kind=Log.Kind.INSTALLATION)
    publish(own)
    here, there, up = (f"{log.uuid}/checkpoint" for log in (cast.acme.log, cast.globex.log, own))
    free, confined, beside = Caller(cast.olga), Caller(cast.olga, workspace=cast.acme), Caller(cast.gina)
    addresses = [f"/ws/{here}", f"/ws/{there}", f"/ws/{up}", f"/installation/{here}", f"/installation/{up}"]
    assert [status(free, each) for each in addresses] == [200, 404, 404, 404, 200]
    assert [status(confined, each) for each in addresses] == [200, 404, 404, 403, 403]
    assert [status(beside, each) for each in addresses] == [404, 404, 404, 403, 403]
