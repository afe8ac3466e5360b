"""The matrix of grants, access reviews, and people who leave, through the API."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import approving
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast
from tests.portal import latest
from workspaces import access, people
from workspaces.models import Agent, AgentRole, User

pytestmark = pytest.mark.django_db

REVIEWS = "workspaces/acme/reviews"


def test_the_matrix_says_who_can_do_what(cast: Cast) -> None:
    otto = Caller(cast.otto)
    lines = otto.get("workspaces/acme/access")
    assert lines["next"] is None
    assert {
        (line["agent_name"], line["permission"], line["name"], line["through"]) for line in lines["results"]
    } >= {
        ("report-bot", "use", "files.read", None),
        ("report-bot", "read", "reports", "analyst"),
        ("support-bot", "spend", "invoices", "support"),
    }
    reports = otto.get("workspaces/acme/access", resource="reports", agent="report")["results"]
    assert [(line["target"], line["pattern"], line["tools"]) for line in reports] == [
        (cast.resources["reports"].public_id, "file:///srv/reports/*", ["files.read", "web.fetch"])
    ]
    assert otto.get("workspaces/acme/access", role="support", expiring=9)["results"] == []
    for wrong in ({"tool": "none"}, {"unused": 0}, {"color": "red"}):
        assert otto.get("workspaces/acme/access", 400, **wrong)["errors"][0]["path"] == list(wrong)
    Caller(cast.gina).get("workspaces/acme/access", 404)


def test_the_matrix_goes_on_after_an_agent(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("governance.matrix.PAGE", 1)
    otto = Caller(cast.otto)
    first = otto.get("workspaces/acme/access")
    assert ({line["agent_name"] for line in first["results"]}, first["next"]) == (
        {"report-bot"},
        "report-bot",
    )
    rest = otto.get("workspaces/acme/access", after=first["next"])
    assert ({line["agent_name"] for line in rest["results"]}, rest["next"]) == ({"support-bot"}, None)


def test_the_matrix_is_taken_along_as_a_file_after_its_entry(cast: Cast) -> None:
    answer = Caller(cast.otto).ask("POST", "workspaces/acme/access/export")
    assert (answer.status_code, answer["content-type"]) == (200, "text/csv; charset=utf-8")
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith('"agent","agent id","action",')
    assert "support-bot" in text
    assert "globex" not in text
    entry = latest(cast.acme)
    assert (entry.type, entry.actor) == ("governance.access.exported", f"person:{cast.otto.public_id}")


def test_a_review_is_started_answered_and_signed(cast: Cast) -> None:
    olga, rita, otto = Caller(cast.olga), Caller(cast.rita), Caller(cast.otto)
    body = {
        "title": "Third quarter",
        "due": (timezone.now() + timedelta(days=9)).isoformat(),
        "undecided": "revoke",
        "agents": [cast.report_bot.public_id],
    }
    otto.post(REVIEWS, body, 403)
    assert rita.post(REVIEWS, body | {"agents": [cast.globex_bot.public_id]}, 400)["errors"]
    review = rita.post(REVIEWS, body)
    assert (review["items"], review["answered"]) == (3, 0)
    address = f"{REVIEWS}/{review['id']}"
    whole = rita.get(address)
    owner = {"person": cast.olga.public_id, "name": "Olga Owner", "items": 3, "answered": 0}
    assert (whole["owners"], whole["may_sign"]) == ([owner], True)
    first = otto.get(f"{address}/items", limit=1)
    rest = otto.get(f"{address}/items", after=first["next"])
    items = first["results"] + rest["results"]
    assert [(item["number"], item["kind"], item["outcome"]) for item in items] == [
        (1, "tool", "open"),
        (2, "role", "open"),
        (3, "key", "open"),
    ]
    assert rita.post(f"{address}/items/1/answer", {"keep": True}, 403)["code"] == "not_yours"
    assert rita.post(f"{address}/sign", {}, 409)["code"] == "review_settled"
    assert olga.post(f"{address}/items/1/answer", {"keep": True}, 200)["outcome"] == "kept"
    assert olga.post(f"{address}/items/2/answer", {"keep": False}, 200)["outcome"] == "revoked"
    assert not AgentRole.objects.filter(agent=cast.report_bot).exists()
    assert olga.post(f"{address}/items/2/answer", {"keep": True}, 409)["code"] == "review_settled"
    olga.post(f"{address}/items/4/answer", {"keep": True}, 404)
    olga.post(f"{address}/items/0/answer", {"keep": True}, 404)
    assert [item["number"] for item in otto.get(f"{address}/items", outcome="open")["results"]] == [3]
    olga.post(f"{address}/items/3/answer", {"keep": True}, 200)
    signed = rita.post(f"{address}/sign", {}, 200)
    assert (signed["signed_by"], signed["answered"], signed["may_sign"]) == (cast.rita.public_id, 3, False)
    assert [row["id"] for row in otto.get(REVIEWS)["results"]] == [review["id"]]
    for path in ("", "/items"):
        Caller(cast.gina).get(f"{address}{path}", 404)
        Caller(cast.gina).get(f"{address}{path}".replace("acme", "globex"), 404)


def test_the_questions_of_a_list_do_not_grow_with_its_rows(cast: Cast) -> None:
    rita = Caller(cast.rita)
    counts = []
    for every in (False, True):
        if every:
            for bot in (cast.report_bot, cast.support_bot):
                for tool in cast.tools.values():
                    access.grant(bot, permission="use", obj=tool, actor=ACTOR)
        due = (timezone.now() + timedelta(days=9)).isoformat()
        review = rita.post(REVIEWS, {"title": "All", "due": due, "undecided": "keep"})
        pages = [
            REVIEWS,
            f"{REVIEWS}/{review['id']}",
            f"{REVIEWS}/{review['id']}/items",
            "workspaces/acme/access",
        ]
        counts.append([asked(rita, page) for page in pages])
    assert counts[0] == counts[1]


def asked(caller: Caller, page: str) -> int:
    """How many questions a page asks the database."""
    with CaptureQueriesContext(connection) as queries:
        caller.get(page)
    return len(queries)


def test_it_is_told_what_leaving_does_before_it_is_done(cast: Cast) -> None:
    olga = Caller(cast.olga)
    approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    address = f"workspaces/acme/members/{cast.rita.public_id}/leave"
    size = latest(cast.acme).index
    told = olga.get(address)
    assert [call["then"] for call in told["waiting"]] == ["ends"]
    assert (told["agents"], told["headless"], latest(cast.acme).index) == ([], False, size)
    Caller(cast.otto).get(address, 403)
    olga.get(address.replace(cast.rita.public_id, cast.gina.public_id), 404)


def test_operators_let_people_leave_the_installation_and_come_back(cast: Cast) -> None:
    root = people.set_operator(people.create_person("root@x.test", actor=ACTOR).row, True, actor=ACTOR).row
    operator, olga = Caller(root), Caller(cast.olga)
    told = operator.post("installation/leave/preview", {"email": "olga@acme.test"}, 200)
    assert (told["workspaces"], told["agents"], told["headless"], told["tokens"]) == (1, 2, 1, 1)
    olga.post("installation/leave", {"email": "rita@acme.test", "reason": "x"}, 403)
    done = operator.post("installation/leave", {"email": "Olga@acme.test", "reason": "Left."}, 200)
    assert done == told
    assert Agent.objects.filter(ownerless_since=None, workspace=cast.acme).count() == 0
    assert olga.get("me", 401)["code"] == "authentication_failed"
    assert (
        operator.post("installation/leave", {"email": "olga@acme.test", "reason": "x"}, 409)["code"]
        == "cannot_leave"
    )
    operator.post("installation/leave", {"email": "root@x.test", "reason": "x"}, 400)
    operator.post("installation/leave", {"email": "no@body.test", "reason": "x"}, 400)
    operator.post("installation/return", {"email": "olga@acme.test"}, 204)
    assert User.objects.get(pk=cast.olga.pk).is_active
