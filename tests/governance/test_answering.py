"""The other answers to a call that waits, on the portal's pages and by its API."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance import approvals, endings, standing
from governance.models import Approval, Remark, StandingApproval, Vote
from tests.api.caller import Caller
from tests.approving import ask, decide, requirement
from tests.asking import publish, waiting
from tests.cast import ACTOR, Cast
from tests.governance.test_standing_approvals import MAIL, RULE, WHY, Desk, desk  # noqa: F401
from tests.portal import enter, page, press, queries
from workspaces import access
from workspaces.models import User, Workspace

pytestmark = pytest.mark.django_db

PAGE = "governance_approval"
BETTER = json.dumps(MAIL | {"body": "Sent today."})
API = "/api/v1/workspaces/acme"


def seen_in(text: str) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', text)
    assert found, text[:500]
    return found[1]


def send(client: Client, address: str, **body: Any) -> Any:
    answer = client.post(f"{API}/{address}", body, content_type="application/json")
    return answer.status_code, answer.json()


def test_an_edit_is_shown_before_it_counts(desk: Desk) -> None:  # noqa: F811
    approval, rita = waiting(desk.check()), enter(desk.cast.rita)
    assert "It is on its way." in page(rita, f"{PAGE}_edit", approval.pk)
    fields = {"tool": "mail.send", "arguments": BETTER, "comment": ""}
    shown = press(rita, f"{PAGE}_edit", approval.pk, **fields)
    assert "/body" in shown
    assert "Sent today." in shown
    assert approvals.read(approval).round == 1
    seen = seen_in(shown)
    other = json.dumps(MAIL | {"body": "Something else."})
    again = press(rita, f"{PAGE}_edit", approval.pk, **fields | {"arguments": other}, seen=seen)
    assert "Something else." in again
    assert approvals.read(approval).round == 1
    done = press(rita, f"{PAGE}_edit", approval.pk, **fields, seen=seen)
    assert "You edited the call" in done
    assert (approvals.read(approval).round, approvals.read(approval).status) == (2, "approved")


def test_a_bad_edit_says_what_is_wrong(desk: Desk) -> None:  # noqa: F811
    approval, rita = waiting(desk.check()), enter(desk.cast.rita)
    for arguments, words in [
        ("{", "cannot be read"),
        ('{"to": 1}', "schema"),
        (json.dumps(MAIL), "This is the call"),
    ]:
        shown = press(rita, f"{PAGE}_edit", approval.pk, tool="mail.send", arguments=arguments)
        assert words in shown


def test_the_agent_is_asked_on_the_page(desk: Desk) -> None:  # noqa: F811
    approval, rita = waiting(desk.check()), enter(desk.cast.rita)
    assert "Ask the agent" in page(rita, f"{PAGE}_change", approval.pk)
    press(rita, f"{PAGE}_ask", approval.pk, question="Which one?")
    assert Remark.objects.get().person == desk.cast.rita
    otto = enter(desk.cast.otto)
    assert otto.post(f"/admin/governance/approval/{approval.pk}/ask/", {"question": "x"}).status_code == 403
    assert otto.get(f"/admin/governance/approval/{approval.pk}/edit/").status_code == 403
    assert otto.get(f"/admin/governance/approval/{approval.pk}/ahead/").status_code == 403


def test_more_calls_are_approved_ahead_on_the_page_and_revoked_in_the_ledger(desk: Desk) -> None:  # noqa: F811
    approval, rita = waiting(desk.check()), enter(desk.cast.rita)
    assert "mailto:ann@customers.test" in page(rita, f"{PAGE}_ahead", approval.pk)
    fields = {
        "resources": "mailto:*@customers.test", "span": "8", "uses": 5, "reason": "Each morning the same.",
        "how_0": "any", "value_0": "", "how_1": "in", "value_1": '"Your refund"\n"Your order"',
        "how_2": "any", "value_2": "",
    }  # fmt: skip
    refused = press(rita, f"{PAGE}_ahead", approval.pk, **fields | {"how_1": "range"})
    assert "ends of a range are numbers" in refused
    ledger = press(rita, f"{PAGE}_ahead", approval.pk, **fields)
    given = StandingApproval.objects.get()
    assert given.bounds["/subject"] == {"in": ["Your refund", "Your order"]}
    assert "0 of 5; 5 left" in ledger
    assert desk.verdict(MAIL | {"to": "bob@customers.test"}) == "allow"
    assert "in force" in page(rita, "governance_standingapproval_changelist")
    otto = enter(desk.cast.otto)
    assert "mailto:*@customers.test" not in page(otto, "governance_standingapproval_change", given.pk)
    assert "revoked" in press(otto, "governance_standingapproval_revoke", given.pk, reason="Enough.")
    assert desk.verdict(MAIL | {"to": "bob@customers.test"}) == "pending"


def test_the_ledger_says_why_each_has_ended_in_as_many_queries(desk: Desk) -> None:  # noqa: F811
    given = desk.give()
    rita = enter(desk.cast.rita)
    before = queries(rita, "governance_standingapproval_changelist")
    standing.revoke(desk.give(desk.check(MAIL | {"body": "1"})), actor=ACTOR)
    StandingApproval.objects.filter(pk=desk.give(desk.check(MAIL | {"body": "2"})).pk).update(
        expires_at=timezone.now()
    )
    assert queries(rita, "governance_standingapproval_changelist") == before
    rows = list(endings.ledger(Workspace.objects.all()).order_by("pk"))
    assert list(endings.statuses(rows, timezone.now()).values()) == [
        "in force",
        "revoked",
        "its time is over",
    ]
    for name in ("customers", "anyone"):
        access.revoke(
            desk.cast.roles["support"], permission="send", obj=desk.cast.resources[name], actor=ACTOR
        )
    assert endings.statuses(rows[:1], timezone.now()) == {given.pk: "a grant that it rests on is gone"}


def test_several_are_answered_in_the_inbox(cast: Cast, rita: User) -> None:
    low = [ask(cast.report_bot, [requirement(rita)], risk="low") for _ in range(2)]
    risky = ask(cast.report_bot, [requirement(rita)], risk="medium")
    for each in [*low, risky]:
        approvals.start(each)
    browser = enter(rita)
    listed = page(browser, f"{PAGE}_changelist")
    assert [f'value="{each.pk}-1"' in listed for each in [*low, risky]] == [True, True, False]
    ticks = [f"{each.pk}-{each.round}" for each in [*low, risky]]
    answer = browser.post(
        "/admin/governance/approval/answers/", {"approval": ticks, "decision": "approve"}, follow=True
    )
    assert "2 answered." in answer.content.decode()
    assert "is of medium risk; look at it alone." in answer.content.decode()
    assert [row.status for row in Approval.objects.order_by("pk")] == ["approved", "approved", "pending"]


def test_the_api_has_the_same_answers(desk: Desk) -> None:  # noqa: F811
    approval, rita = waiting(desk.check()), enter(desk.cast.rita)
    named = f"approvals/{approval.public_id}"
    edit = {"arguments": MAIL | {"body": "Sent today."}}
    status, foreseen = send(rita, f"{named}/edit/preview", **edit)
    assert (status, foreseen["changes"][0]["to"]) == (200, "Sent today.")
    assert send(rita, f"{named}/edit", arguments={"to": 1})[0] == 409
    assert send(rita, f"{named}/ask", text="Which one?")[0] == 200
    assert send(enter(desk.cast.otto), f"{named}/edit", **edit)[0] == 403
    assert send(rita, f"{named}/edit", **edit)[1]["status"] == "approved"
    until = (timezone.now() + timedelta(hours=1)).isoformat()
    gift = {"until": until, "max_uses": 3, "reason": "Each morning the same."}
    status, given = send(rita, f"{named}/standing", **gift)
    assert (status, given["status"], given["uses"]) == (201, "in force", 0)
    assert rita.get(f"{API}/standing-approvals").json()["results"][0]["id"] == given["id"]
    assert rita.get(f"{API}/standing-approvals/{given['id']}").json()["bounds"]["/body"] == {
        "is": "Sent today."
    }
    assert rita.get(f"{API}/standing-approval-suggestions").json()["results"] == []
    status, revoked = send(rita, f"standing-approvals/{given['id']}/revoke")
    assert (status, revoked["status"], revoked["bounds"] is None) == (200, "revoked", False)
    assert send(rita, f"standing-approvals/{given['id']}/revoke")[0] == 409


def test_the_api_answers_several(cast: Cast, rita: User) -> None:
    low = ask(cast.report_bot, [requirement(rita)], risk="low")
    gone = decide(ask(cast.report_bot, [requirement(rita)], risk="low"), rita)
    names = [low.public_id, gone.public_id, "apr_nothing"]
    status, told = send(enter(rita), "approval-answers", approvals=names, approve=True)
    assert (status, [each["code"] for each in told]) == (200, ["", "approval_settled"])


def test_an_answer_by_the_api_is_for_the_call_that_was_looked_at(desk: Desk) -> None:  # noqa: F811
    publish(
        desk.cast.acme, [RULE | {"approval": {"reviewers": ["rita@acme.test", "ann@acme.test"], "quorum": 2}}]
    )
    approval, rita, ann = waiting(desk.check()), enter(desk.cast.rita), enter(desk.ann)
    named = f"approvals/{approval.public_id}"
    assert ann.get(f"{API}/{named}/content").json()["round"] == 1
    edit = {"arguments": MAIL | {"body": "Sent today."}}
    assert send(rita, f"{named}/edit", **edit)[1]["round"] == 2
    gift = {"until": (timezone.now() + timedelta(hours=1)).isoformat(), "max_uses": 2, "reason": WHY}
    late: list[tuple[str, dict[str, Any]]] = [
        ("decide", {"approve": True}),
        ("decide", {"approve": False, "round": 1}),
        ("edit", {"arguments": MAIL | {"body": "Tomorrow."}}),
        ("standing", gift),
    ]
    for address, body in late:
        status, refused = send(ann, f"{named}/{address}", **body)
        assert (status, refused["code"]) == (409, "approval_edited"), address
        assert "round 2" in refused["detail"]
    assert ann.get(f"{API}/{named}/content").json()["round"] == 2
    assert send(ann, f"{named}/decide", approve=True, round=2)[1]["status"] == "approved"


def test_several_answers_by_the_api_name_the_calls_as_they_were_seen(desk: Desk) -> None:  # noqa: F811
    two = [requirement(desk.cast.rita, desk.ann, quorum=2)]
    kept, edited = (ask(desk.cast.support_bot, two, risk="low", tool=tool) for tool in ("one", "two"))
    Approval.objects.filter(pk=edited.pk).update(round=2)
    names = [kept.public_id, edited.public_id]
    _, said = send(enter(desk.ann), "approval-answers", approvals=names, approve=True)
    assert [each["code"] for each in said] == ["", "approval_edited"]
    rounds = {edited.public_id: 2}
    _, said = send(enter(desk.ann), "approval-answers", approvals=names[1:], approve=True, rounds=rounds)
    assert [each["code"] for each in said] == [""]


def test_answers_of_every_kind_by_a_token_say_so(desk: Desk) -> None:  # noqa: F811
    rita, edit = Caller(desk.cast.rita), {"arguments": MAIL | {"body": "Sent today."}}
    gift = {"until": (timezone.now() + timedelta(hours=1)).isoformat(), "max_uses": 2, "reason": WHY}
    low = ask(desk.cast.support_bot, [requirement(desk.cast.rita)], risk="low", tool="other")
    for address, body in [
        (f"approvals/{waiting(desk.check()).public_id}/edit", edit),
        (f"approvals/{waiting(desk.check(MAIL | {'body': 'Another.'})).public_id}/standing", gift),
        ("approval-answers", {"approvals": [low.public_id], "approve": True}),
    ]:
        rita.post(f"workspaces/acme/{address}", body, 201 if "standing" in address else 200)
    assert list(Vote.objects.values_list("known_by", flat=True)) == ["token"] * 3


def test_a_call_that_was_edited_since_is_shown_again_before_it_is_approved_ahead(desk: Desk) -> None:  # noqa: F811
    approval, rita = waiting(desk.check()), enter(desk.cast.rita)
    assert (
        'name="round" value="1"'
        in rita.get(f"/admin/governance/approval/{approval.pk}/ahead/").content.decode()
    )
    Approval.objects.filter(pk=approval.pk).update(round=2)
    fields = {"resources": "mailto:ann@customers.test", "span": "8", "uses": "5", "reason": WHY, "round": "1"}
    bounds = {f"how_{place}": "is" for place in range(3)}
    values = {f"value_{place}": json.dumps(value) for place, value in enumerate(MAIL.values())}
    refused = press(rita, f"{PAGE}_ahead", approval.pk, **fields, **bounds, **values)
    assert "Another reviewer changed this call" in refused
    assert not StandingApproval.objects.exists()


def test_a_call_that_is_over_under_its_call_id_says_how_to_ask_anew(desk: Desk) -> None:  # noqa: F811
    approvals.cancel(waiting(desk.check(call_id="call_1")), actor=ACTOR, reason="")
    again = desk.check(call_id="call_1")
    assert (again["decision"], again["code"]) == ("deny", "approval_expired")
    assert "under another call_id" in again["reasons"][0]["message"]
    assert desk.check(call_id="call_2")["decision"] == "pending"
