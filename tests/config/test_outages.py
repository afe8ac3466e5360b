"""A database that somebody else holds, or that is away: pages and API answer 503 and say what to do."""

import sqlite3
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.api.caller import Caller
from tests.cast import Cast
from tests.portal import enter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def clients(cast: Cast) -> tuple[Client, Caller]:
    """otto's browser and his program, signed in before anything happens."""
    return enter(cast.otto), Caller(cast.otto)


@pytest.fixture
def held(clients: tuple[Client, Caller]) -> Iterator[None]:
    """Another process is writing; this one waits 50 ms for it."""
    outside = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    outside.execute("BEGIN IMMEDIATE")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 50")
    yield
    outside.close()
    connection.close()


def test_a_page_says_that_it_may_not_have_been_done(
    cast: Cast, clients: tuple[Client, Caller], held: None
) -> None:
    browser, _ = clients
    fields = {"what": f"agent:{cast.report_bot.public_id}", "reason": "Odd"}
    answer = browser.post(reverse("stop"), fields)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert answer["Content-Security-Policy"]
    assert "may not have been done" in answer.content.decode()
    cast.report_bot.refresh_from_db()
    assert cast.report_bot.standing == "active"
    assert browser.get(reverse("admin:index")).status_code == 200  # who only reads is not held


def test_the_api_says_so_with_a_code(cast: Cast, clients: tuple[Client, Caller], held: None) -> None:
    _, caller = clients
    path = f"workspaces/acme/agents/{cast.report_bot.public_id}/containment"
    answer = caller.ask("POST", path, {"standing": "suspended", "reason": "Odd"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer["Content-Type"] == "application/problem+json"
    assert int(answer["Retry-After"]) > 0


def test_the_page_itself_asks_the_database_nothing(
    cast: Cast, clients: tuple[Client, Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    with monkeypatch.context() as away:
        away.setitem(connection.settings_dict, "NAME", "/nowhere/at/all.sqlite3")
        answer = clients[0].get(reverse("admin:index"))
    connection.close()
    assert answer.status_code == 503
    assert "manage.py contain" in answer.content.decode()
