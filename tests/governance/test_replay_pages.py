"""The pages of replays: started from a version, watched, read and cancelled by who may."""

import json
from typing import Any

import pytest
from django.urls import reverse

from governance import replays
from governance.models import PolicyVersion, Replay
from tests.cast import Cast
from tests.governance.test_replays import READ, draft, fresh_process, publish, read, work
from tests.portal import enter, page, press, queries
from workspaces.models import User

__all__ = ["fresh_process"]


@pytest.fixture
def version(cast: Cast) -> PolicyVersion:
    """A draft that would block one of two recorded calls."""
    publish(cast)
    read(cast, "/srv/reports/a")
    read(cast, "/srv/reports/secret")
    return draft(cast, READ)


def start(person: User, version: PolicyVersion, **fields: Any) -> str:
    """Press the button on the version's page."""
    return press(enter(person), "governance_policyversion_replay", version.pk, **{"most": 10_000, **fields})


def address(name: str, replay: Replay, slug: str = "acme") -> str:
    return reverse(name, args=[slug, replay.public_id])


def test_a_replay_is_started_watched_and_read(cast: Cast, version: PolicyVersion) -> None:
    shown = start(cast.olga, version)
    assert "Waiting for the worker" in shown
    replay = Replay.objects.get()
    client = enter(cast.olga)
    told = json.loads(client.get(address("policy_replay_progress", replay)).content)
    assert (told["status"], told["percent"]) == ("waiting", 0)
    work()
    told = json.loads(client.get(address("policy_replay_progress", replay)).content)
    assert (told["status"], told["open"], told["percent"], told["counts"]["block"]) == ("done", False, 100, 1)
    shown = client.get(address("policy_replay", replay)).content.decode()
    assert "report-bot" in shown
    assert "denied by Nothing secret" in " ".join(shown.split())
    assert (
        reverse("admin:governance_decisionrecord_change", args=[replay.differences.get().entry_key]) in shown
    )
    assert "/srv/reports/secret" not in shown
    assert (
        "None: every call" in client.get(address("policy_replay", replay), {"kind": "ask"}).content.decode()
    )
    assert address("policy_replay", replay) in page(client, "governance_policyversion_change", version.pk)


def test_what_cannot_be_started_says_why(cast: Cast, version: PolicyVersion) -> None:
    assert "no agent called nobody" in start(cast.olga, version, agent="nobody")
    assert "less than or equal to 100000" in start(cast.olga, version, most=200_000)
    start(cast.olga, version)
    assert "Another replay is under way" in start(cast.olga, version)
    assert Replay.objects.count() == 1


def test_a_replay_is_seen_and_cancelled_by_who_may(cast: Cast, version: PolicyVersion) -> None:
    replay = replays.start(version, person=cast.olga)
    for name in ("policy_replay", "policy_replay_progress"):
        assert enter(cast.rita).get(address(name, replay)).status_code == 200
        assert enter(cast.otto).get(address(name, replay)).status_code == 403
        assert enter(cast.gina).get(address(name, replay)).status_code == 404
        assert enter(cast.gina).get(address(name, replay, "globex")).status_code == 404
    assert enter(cast.gina).post(address("policy_replay_cancel", replay, "globex")).status_code == 404
    assert enter(cast.olga).get(address("policy_replay_cancel", replay)).status_code == 405
    answer = enter(cast.rita).post(address("policy_replay_cancel", replay), follow=True)
    assert "what it found so far stays" in answer.content.decode()
    replay.refresh_from_db()
    assert replay.status == Replay.Status.CANCELLED


def test_pages_cost_the_same_however_much_was_found(cast: Cast, version: PolicyVersion) -> None:
    replays.start(version, person=cast.olga)
    work()
    client = enter(cast.olga)
    first = queries(client, "governance_policyversion_change", version.pk)
    for number in range(12):
        read(cast, f"/srv/reports/secret-{number}")
    for _ in range(3):
        replays.start(version, person=cast.olga)
        work()
    assert queries(client, "governance_policyversion_change", version.pk) == first
