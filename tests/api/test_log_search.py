"""Searching a log through the API: the facets and words of the portal's page, and counts."""

import pytest

from tests.api.caller import Caller
from tests.cast import Cast
from tests.governance.test_decision_admin import decide


@pytest.fixture
def entries(cast: Cast) -> str:
    """The address of acme's entries, with decisions among them."""
    for number in range(4):
        decide(cast.report_bot, tool=f"files.read{min(number, 1)}")
    decide(cast.support_bot, kind="allowed", tool="mail.send")
    return f"logs/{cast.acme.log.uuid}/entries"


def test_entries_are_found_by_words_and_by_what_stands_in_their_bodies(cast: Cast, entries: str) -> None:
    caller = Caller(cast.rita)
    denied = caller.get(entries, q="DENIED+files")["results"]
    assert [each["type"] for each in denied] == ["governance.check.denied"] * 4
    assert caller.get(entries, q=cast.support_bot.public_id, type="governance.check.allowed")["results"][0][
        "tool"
    ] == ("mail.send")
    assert len(caller.get(entries, call="dec_1")["results"]) == 5
    assert len(caller.get(entries, tool="files.read0&tool=files.read1")["results"]) == 4
    row = f"workspaces.agent:{cast.report_bot.pk}"
    assert {each["type"] for each in caller.get(entries, row=row)["results"]} >= {"workspaces.agent.created"}


def test_pages_of_a_search_follow_on_each_other(cast: Cast, entries: str) -> None:
    caller = Caller(cast.rita)
    everything = caller.get(entries, q="files")["results"]
    first = caller.get(entries, q="files", limit=3)
    rest = caller.get(entries, q="files", limit=3, after=first["next"])
    assert first["results"] + rest["results"] == everything
    assert rest["next"] is None


def test_facets_count_what_a_search_finds(cast: Cast, entries: str) -> None:
    told = Caller(cast.rita).get(entries.replace("entries", "facets"), q="denied+files", most=1)
    assert (told["total"], told["whole"]) == (4, True)
    assert told["facets"]["tool"] == [{"value": "files.read1", "count": 3}]
    assert told["facets"]["agent"] == [{"value": cast.report_bot.public_id, "count": 4}]


def test_what_no_search_takes_is_refused(cast: Cast, entries: str) -> None:
    caller = Caller(cast.rita)
    assert caller.get(entries, 400, tool="%00")["code"] == "invalid_request"
    assert caller.get(entries, 400, q="word+" * 20)["code"] == "invalid_request"
    assert caller.get(entries, 400, q="x" * 301)["code"] == "invalid_request"
    facets = entries.replace("entries", "facets")
    assert caller.get(facets, 400, nothing="x")["code"]
    assert caller.get(facets, 400, q="word+" * 20)["code"] == "invalid_request"
    assert Caller(cast.otto).get(facets, 404)["code"] == "not_found"
