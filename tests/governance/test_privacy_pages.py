"""The privacy page and its API: erasing from search to entry, legal holds, and who may do which."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Entry, Erasure
from governance import erasure
from tests.cast import ACTOR, Cast, employ
from tests.details import opened
from tests.governance.test_verify_log import caller, check, findings, fresh_process
from tests.portal import enter
from workspaces import holds
from workspaces.models import LegalHold
from workspaces.people import actor_of

__all__ = ["fresh_process"]
pytestmark = pytest.mark.django_db
ANN = "ann@customers.test"
WHY: dict[str, Any] = {"basis": "GDPR Art. 17", "reason": "She asked."}


@pytest.fixture
def told(cast: Cast) -> Cast:
    check(
        caller(cast.support_bot, cast.support_bot_key), "mail.send", {"to": ANN, "subject": "x", "body": "y"}
    )
    return cast


def post(client: Client, name: str, *more: str, **fields: str) -> str:
    answer = client.post(reverse(name, args=["acme", *more]), fields, follow=True)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def text_of(client: Client, name: str, *more: str) -> str:
    answer = client.get(reverse(name, args=["acme", *more]))
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def test_an_officer_finds_looks_confirms_and_sees_it_erased(told: Cast) -> None:
    rita = enter(told.rita)
    assert "400 days" in text_of(rita, "privacy")
    assert "Looking for what is to be erased" in post(rita, "erasure_start", text=ANN, **WHY)
    row = Erasure.objects.get()
    erasure.go_on({"erasure": row.public_id})
    shown = text_of(rita, "erasure", row.public_id)
    assert "Erase from 1 entry<" in shown
    assert ANN not in shown
    assert "the worker erases it" in post(rita, "erasure_confirm", row.public_id)
    erasure.go_on({"erasure": row.public_id})
    assert "Erased" in text_of(rita, "erasure", row.public_id)
    assert not any(ANN.encode() in content for content in opened(told.acme.log_id))
    assert Erasure.objects.get().actor == actor_of(told.rita)
    assert "It is over already" in post(rita, "erasure_cancel", row.public_id)
    assert row.public_id in text_of(rita, "privacy")
    assert findings() == []


def test_an_entry_says_what_of_it_was_erased(told: Cast) -> None:
    rita = enter(told.rita)
    entry = Entry.objects.filter(log_id=told.acme.log_id, tool="mail.send").latest("index")
    for page in ("log_entry", "admin:governance_decisionrecord_change"):
        args = [entry.pk] if page.startswith("admin") else ["acme", entry.index]
        assert "Gone:" not in rita.get(reverse(page, args=args), follow=True).content.decode()
    row = erasure.start(told.acme, text=ANN, actor=ACTOR, **WHY)
    erasure.run(row)
    erasure.confirm(row, actor=ACTOR)
    erasure.run(row)
    shown = rita.get(reverse("log_entry", args=["acme", entry.index]), follow=True).content.decode()
    assert "Gone: <code>arguments</code>, <code>resources</code>" in shown
    assert "type=governance.data.erased" in shown
    decided = rita.get(reverse("admin:governance_decisionrecord_change", args=[entry.pk])).content.decode()
    assert "Nothing is kept of it: it was erased, or pruned in its time." in decided


def test_a_form_that_cannot_be_accounted_for_comes_back(told: Cast) -> None:
    rita = enter(told.rita)
    for fields in ({"text": "", **WHY}, {"text": ANN, "basis": "", "reason": "x"}, {"text": "a", **WHY}):
        answer = rita.post(reverse("erasure_start", args=["acme"]), fields)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.content.decode()
    assert rita.post(reverse("hold_place", args=["acme"]), {"reason": ""}).status_code == 400
    assert not Erasure.objects.exists()


def test_a_hold_is_placed_and_released(told: Cast) -> None:
    rita = enter(told.rita)
    assert "A legal hold stands" in post(rita, "hold_place", reason="Litigation.")
    hold = LegalHold.objects.get()
    assert "A legal hold stands" not in post(rita, "hold_release", hold.public_id)
    assert not holds.standing(told.acme.log_id).exists()


def test_owners_and_auditors_look_and_change_nothing(told: Cast) -> None:
    audrey = employ(told.acme, "audrey@acme.test", "Audrey", "auditor")
    row = erasure.start(told.acme, text=ANN, actor=ACTOR, **WHY)
    erasure.run(row)
    for person in (told.olga, audrey):
        client = enter(person)
        assert "Look for it" not in text_of(client, "privacy")
        assert "Erase from" not in text_of(client, "erasure", row.public_id)
        for name, more in (("erasure_start", ()), ("erasure_confirm", (row.public_id,)), ("hold_place", ())):
            assert client.post(reverse(name, args=["acme", *more]), {"text": ANN, **WHY}).status_code == 403
    assert enter(told.otto).get(reverse("privacy", args=["acme"])).status_code == 403
    assert enter(told.gina).get(reverse("privacy", args=["acme"])).status_code == 404
    assert "set in the workspace's settings" in text_of(enter(told.olga), "privacy").replace("&#x27;", "'")


def test_the_same_by_the_api(told: Cast) -> None:
    rita = enter(told.rita)
    place = "/api/v1/workspaces/acme"

    def send(path: str, body: object = None, status: int = 200) -> dict[str, object]:
        answer = rita.post(f"{place}/{path}", body or {}, content_type="application/json")
        assert answer.status_code == status, answer.content
        told: dict[str, object] = answer.json()
        return told

    made = send("erasures", {"text": ANN, **WHY}, 201)
    assert (made["status"], "text" in made, "reason" in made) == ("searching", False, False)
    erasure.go_on({"erasure": made["id"]})
    assert send(f"erasures/{made['id']}/confirm")["status"] == "waiting"
    assert send(f"erasures/{made['id']}/confirm", status=409)["code"] == "erasure_refused"
    erasure.go_on({"erasure": made["id"]})
    done = rita.get(f"{place}/erasures/{made['id']}").json()
    assert (done["status"], done["erased"]) == ("done", 1)
    assert send("erasures", {"first": 3, **WHY}, 201)["end"] == 4
    assert send("erasures", dict(WHY), 400)["code"] == "invalid_request"
    assert len(rita.get(f"{place}/erasures").json()["results"]) == 2
    hold = send("holds", {"reason": "Litigation."}, 201)
    assert send(f"holds/{hold['id']}/release")["released"] is not None
    assert enter(told.olga).get(f"{place}/erasures").status_code == 403
    assert enter(told.gina).get(f"{place}/holds").status_code == 404
