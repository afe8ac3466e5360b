"""The approvals inbox and the page on which a reviewer decides."""

import html
import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from governance import approvals
from governance.admin import inbox
from governance.models import Approval, Overflow, Vote
from tests import approving, factors
from tests.cast import ACTOR, Cast
from tests.portal import body_of, enter, latest, page, press, queries
from workspaces import people
from workspaces.models import Agent


def waits(agent: Agent, *requirements: dict[str, Any], **options: Any) -> Approval:
    """A call whose reviewers have been asked."""
    approval = approving.ask(agent, requirements, **options)
    approvals.start(approval)
    return Approval.objects.select_related("workspace", "agent").get(pk=approval.pk)


def order(shown: str, *tools: str) -> list[str]:
    """The tools in the order of the page."""
    return sorted(tools, key=lambda tool: shown.index(f">{tool}<"))


def test_what_waits_for_me_is_listed_with_the_oldest_deadline_on_top(cast: Cast) -> None:
    mine, others = approving.requirement(cast.rita), approving.requirement(cast.otto)
    for tool, asked, hours in (("late", mine, 5), ("soon", mine, 2), ("not-mine", others, 1)):
        waits(cast.support_bot, asked, tool=tool, expires_in=timedelta(hours=hours))
    client = enter(cast.rita)
    shown = page(client, "governance_approval_changelist")
    assert order(shown, "late", "soon") == ["soon", "late"]
    assert "not-mine" not in shown
    assert shown.count("waits for you") == 2
    everything = page(client, "governance_approval_changelist", view="all")
    assert order(everything, "late", "soon", "not-mine") == ["not-mine", "soon", "late"]
    empty = page(enter(cast.otto), "governance_approval_changelist")
    assert "Nothing waits for you." in empty


def test_what_came_through_a_group_is_listed_by_itself(cast: Cast) -> None:
    group = cast.acme.reviewer_groups.get()
    asked = approving.requirement(cast.rita) | {"direct": [], "groups": {str(group.pk): [cast.rita.pk]}}
    waits(cast.support_bot, asked, tool="for-the-group")
    waits(cast.support_bot, approving.requirement(cast.rita), tool="for-rita")
    client = enter(cast.rita)
    mine = page(client, "governance_approval_changelist")
    assert "for-the-group" in mine
    assert "for-rita" in mine
    groups = page(client, "governance_approval_changelist", view="groups")
    assert "for-the-group" in groups
    assert "for-rita" not in groups


def test_settled_ones_are_listed_when_asked_for_and_one_that_ran_out_is_expired(cast: Cast) -> None:
    client = enter(cast.rita)
    done = waits(cast.support_bot, approving.requirement(cast.rita), tool="done-tool")
    approving.decide(done, cast.rita)
    late = waits(cast.support_bot, approving.requirement(cast.rita), tool="late-tool")
    Approval.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    for view in ("mine", "all"):
        waiting = page(client, "governance_approval_changelist", view=view)
        assert "done-tool" not in waiting
        assert "late-tool" not in waiting
    assert "done-tool" in page(client, "governance_approval_changelist", status="approved")
    assert "late-tool" in page(client, "governance_approval_changelist", status="expired")
    everything = page(client, "governance_approval_changelist", status="all")
    assert "done-tool" in everything
    assert "late-tool" in everything


def test_many_calls_of_one_agent_and_tool_are_one_line_and_the_refused_ones_are_told(cast: Cast) -> None:
    for _ in range(4):
        waits(cast.support_bot, approving.requirement(cast.rita))
    waits(cast.report_bot, approving.requirement(cast.rita))
    now = timezone.now()
    Overflow.objects.create(agent=cast.support_bot, count=57, since=now, last_at=now)
    shown = page(enter(cast.rita), "governance_approval_changelist")
    assert shown.count("inbox-unfold") == 1
    assert "4 calls of <bdi>mail.send</bdi>" in shown
    assert "57 further calls were refused because 20 of it wait already" in shown


def test_the_list_goes_on_from_where_a_page_ends(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "PAGE", 2)
    now = timezone.now()
    for number in range(5):
        approval = waits(cast.support_bot, approving.requirement(cast.rita), tool=f"tool-{number}")
        # Two with the same deadline on either side of a page's end.
        due = now + timedelta(minutes=10 + number // 2)
        Approval.objects.filter(pk=approval.pk).update(expires_at=due)
        approval.links.update(deadline=due)
    client = enter(cast.rita)
    for view in ("mine", "all"):
        query, seen = {"view": view}, []
        for _ in range(3):
            shown = page(client, "governance_approval_changelist", **query)
            seen += re.findall(r">(tool-\d)<", shown)
            further = re.search(r'href="\?([^"]+)">Further', shown)
            query = dict(parse_qsl(html.unescape(further[1]))) if further else {}
        assert seen == [f"tool-{number}" for number in range(5)], view
        assert not query


def test_a_script_gets_the_list_alone(cast: Cast) -> None:
    waits(cast.support_bot, approving.requirement(cast.rita))
    address = reverse("admin:governance_approval_changelist")
    part = enter(cast.rita).get(address, headers={"X-Part": "rows"}).content.decode()
    assert "mail.send" in part
    assert "<html" not in part


def test_the_page_shows_the_call_with_nothing_hidden_and_its_reading_is_an_entry(cast: Cast) -> None:
    approval = approving.ask(
        cast.support_bot,
        [approving.requirement(cast.rita, cast.otto, quorum=2)],
        arguments={"to": "ann\u202e@customers.test"},
        reason="urgent\u200b!\nsecond line",
    )
    client = enter(cast.rita)
    size = latest(cast.acme).index
    shown = page(client, "governance_approval_change", approval.pk)
    assert 'ann<mark class="spelled" title="right-to-left override">⟨U+202E⟩</mark>@customers.test' in shown
    assert "urgent⟨U+200B⟩!\nsecond line" in shown
    assert "they may not be true" in shown
    assert "May this mail go out?" in shown
    assert "0 of 2" in shown
    assert "Rita Review" in shown
    read = list(Entry.objects.filter(log_id=cast.acme.log_id, index__gt=size))
    assert [entry.type for entry in read] == ["governance.detail.read"]
    assert read[0].actor == f"person:{cast.rita.public_id}"
    assert body_of(read[0])["data"]["entry"] == approval.entry_index


def test_who_may_not_see_content_sees_that_it_waits_and_nothing_is_read(cast: Cast) -> None:
    approval = approving.ask(
        cast.support_bot, [approving.requirement(cast.rita)], arguments={"to": "secret-x"}
    )
    size = latest(cast.acme).index
    shown = page(enter(cast.otto), "governance_approval_change", approval.pk)
    assert "secret-x" not in shown
    assert "the customer asked" not in shown
    assert "ann@customers.test" not in shown
    assert "not what it sends" in shown
    assert latest(cast.acme).index == size


def test_a_reviewer_approves_with_a_comment(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    client = enter(cast.rita)
    shown = press(
        client, "governance_approval_decide", approval.pk, decision="approve", comment="Fine by me."
    )
    assert "You approved. Nothing else is needed" in shown
    assert "“Fine by me.”" in shown
    vote = Vote.objects.get()
    assert (vote.person, vote.approve, vote.known_by) == (cast.rita, True, "session")
    approval.refresh_from_db()
    assert approval.status == "approved"
    assert "Your answer" not in shown


def test_a_second_answer_and_one_that_comes_too_late_are_told_so(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    client = enter(cast.rita)
    press(client, "governance_approval_decide", approval.pk, decision="reject")
    told = press(client, "governance_approval_decide", approval.pk, decision="approve")
    assert "rejected" in told
    assert Vote.objects.count() == 1


def test_the_agents_owner_sees_the_call_and_has_no_buttons(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita, cast.olga)])
    client = enter(cast.olga)
    assert "Approve this call once" not in page(client, "governance_approval_change", approval.pk)
    address = reverse("admin:governance_approval_decide", args=[approval.pk])
    assert client.post(address, {"decision": "approve"}).status_code == 403
    assert not Vote.objects.exists()


def test_nothing_is_decided_by_opening_and_an_answer_is_one_of_two(cast: Cast) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    client = enter(cast.rita)
    address = reverse("admin:governance_approval_decide", args=[approval.pk])
    assert client.get(address, {"decision": "approve"}).status_code == 405
    assert "not one of the available choices" in press(
        client, "governance_approval_decide", approval.pk, decision="maybe"
    )
    assert not Vote.objects.exists()


def test_what_a_containment_step_voided_waits_no_more(cast: Cast) -> None:
    approval = waits(cast.support_bot, approving.requirement(cast.rita), tool="void-tool")
    press(
        enter(cast.otto),
        "workspaces_agent_stand",
        cast.support_bot.pk,
        standing="read_only",
        reason="Careful",
    )
    client = enter(cast.rita)
    assert "void-tool" not in page(client, "governance_approval_changelist")
    assert "void-tool" in page(client, "governance_approval_changelist", status="cancelled")
    shown = page(client, "governance_approval_change", approval.pk)
    assert "cancelled" in shown
    assert "Your answer" not in shown
    assert "Waits for people" not in page(client, "workspaces_agent_change", cast.support_bot.pk)


def test_the_inbox_costs_the_same_whatever_waits(cast: Cast) -> None:
    client = enter(cast.rita)
    for _ in range(2):
        waits(cast.support_bot, approving.requirement(cast.rita))
    listed = queries(client, "governance_approval_changelist")
    desk = queries(client, "index")
    for number in range(18):
        waits(cast.report_bot, approving.requirement(cast.rita), tool=f"tool-{number}")
    assert queries(client, "governance_approval_changelist") == listed
    assert queries(client, "index") == desk


def test_an_approvals_page_costs_the_same_however_much_surrounds_it(cast: Cast) -> None:
    approval = waits(cast.support_bot, approving.requirement(cast.rita))
    client = enter(cast.rita)
    waits(cast.support_bot, approving.requirement(cast.rita))
    few = queries(client, "governance_approval_change", approval.pk)
    for _ in range(10):
        waits(cast.support_bot, approving.requirement(cast.rita))
    assert queries(client, "governance_approval_change", approval.pk) == few


def test_risky_calls_take_a_reason_and_a_second_factor(cast: Cast) -> None:
    approval = waits(cast.support_bot, approving.requirement(cast.rita), risk="high")
    client = enter(cast.rita)
    shown = page(client, "governance_approval_change", approval.pk)
    assert "confirm who you are</a>" in shown
    assert re.search(r'value="approve"[^>]* disabled', shown)
    address = approval.pk
    said = {"decision": "approve", "comment": "I called the customer."}
    assert "second factor" in press(client, "governance_approval_decide", address, **said)
    factors.confirm(client, cast.rita)
    assert "confirm who you are</a>" not in page(client, "governance_approval_change", approval.pk)
    assert "at least 10 characters" in press(
        client, "governance_approval_decide", address, decision="approve", comment="ok"
    )
    assert not Vote.objects.exists()
    assert "You approved" in press(client, "governance_approval_decide", address, **said)
    vote = Vote.objects.get()
    assert vote.second_factor == "totp"
    assert vote.opened_at is not None


def test_what_comes_next_is_told_before(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.otto, roles=["approver"], actor=ACTOR)
    approval = waits(cast.support_bot, approving.requirement(cast.rita, cast.otto, quorum=2))
    shown = page(enter(cast.rita), "governance_approval_change", approval.pk)
    assert "You are the first of 2: “Mail is looked at” then needs 1 more of Otto Oncall." in shown
    assert "It ends here: the agent is told no" in shown
    approving.decide(approval, cast.rita)
    shown = page(enter(cast.otto), "governance_approval_change", approval.pk)
    assert "Nobody else is needed: the agent may make this one call, once, within 15 minutes." in shown


def test_without_a_veto_a_rejection_ends_it_only_where_the_quorum_is_out_of_reach(cast: Cast) -> None:
    people.set_roles(cast.acme, cast.otto, roles=["approver"], actor=ACTOR)
    asked = approving.requirement(cast.rita, cast.otto) | {"veto": False}
    shown = page(enter(cast.rita), "governance_approval_change", waits(cast.support_bot, asked).pk)
    assert "others can still reach the quorum" in shown
    both = waits(cast.support_bot, asked | {"quorum": 2})
    shown = page(enter(cast.rita), "governance_approval_change", both.pk)
    assert "those who are left cannot reach the quorum" in shown


def test_a_long_value_is_cut_with_its_size_and_shown_whole_on_demand(cast: Cast) -> None:
    long = "x" * 4_000 + "the end"
    approval = waits(cast.support_bot, approving.requirement(cast.rita), arguments={"body": long})
    client = enter(cast.rita)
    shown = page(client, "governance_approval_change", approval.pk)
    assert "text, 4,007 characters, first 4,000 shown" in shown
    assert "the end" not in shown
    assert "the end" in page(client, "governance_approval_change", approval.pk, whole="1")


def test_the_call_is_had_as_a_file_by_who_may_see_it_and_that_is_an_entry(cast: Cast) -> None:
    arguments = {"to": "ann\u202e@customers.test", "n": 1}
    approval = waits(cast.support_bot, approving.requirement(cast.rita), arguments=arguments)
    address = reverse("admin:governance_approval_call", args=[approval.pk])
    size = latest(cast.acme).index
    answer = enter(cast.rita).get(address)
    assert answer.json()["arguments"] == arguments
    assert answer.json()["resources"] == ["mailto:ann@customers.test"]
    assert "attachment" in answer["Content-Disposition"]
    assert latest(cast.acme).index == size + 1
    assert latest(cast.acme).type == "governance.detail.read"
    assert enter(cast.otto).get(address).status_code == 403
    assert enter(cast.sam).get(address).status_code == 404


def test_a_decision_from_the_list_leads_back_to_it(cast: Cast) -> None:
    approval = waits(cast.support_bot, approving.requirement(cast.rita))
    shown = press(
        enter(cast.rita), "governance_approval_decide", approval.pk, decision="approve", back="inbox"
    )
    assert "You approved." in shown
    assert "Nothing waits for you." in shown


def test_an_answer_to_a_call_that_was_edited_since_is_refused(cast: Cast) -> None:
    approval = waits(cast.support_bot, approving.requirement(cast.rita))
    client = enter(cast.rita)
    shown = re.search(r'name="round" value="(\d+)"', page(client, "governance_approval_change", approval.pk))
    assert shown
    Approval.objects.filter(pk=approval.pk).update(round=2)
    answer = {"decision": "approve", "round": shown[1]}
    assert "changed this call after you opened it" in press(
        client, "governance_approval_decide", approval.pk, **answer
    )
    assert not Vote.objects.exists()
    press(client, "governance_approval_decide", approval.pk, **(answer | {"round": "2"}))
    assert Vote.objects.get().round == 2
