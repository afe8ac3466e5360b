"""The approvals inbox and the page on which a reviewer decides."""

from datetime import timedelta

from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from governance.models import Approval, Vote
from tests import approving
from tests.cast import Cast
from tests.portal import body_of, enter, latest, page, press, queries


def order(shown: str, *tools: str) -> list[str]:
    """The tools in the order of the page."""
    return sorted(tools, key=lambda tool: shown.index(f">{tool}<"))


def test_what_waits_for_me_comes_first_and_the_oldest_deadline_on_top(cast: Cast) -> None:
    mine, others = approving.requirement(cast.rita), approving.requirement(cast.otto)
    for tool, asked, hours in (("late", mine, 5), ("soon", mine, 2), ("not-mine", others, 1)):
        approving.ask(cast.support_bot, [asked], tool=tool, expires_in=timedelta(hours=hours))
    shown = page(enter(cast.rita), "governance_approval_changelist")
    assert order(shown, "late", "soon", "not-mine") == ["soon", "late", "not-mine"]
    assert shown.count("waits for you") == 2
    assert "waits for you" not in page(enter(cast.otto), "governance_approval_changelist")


def test_settled_ones_are_listed_when_asked_for_and_one_that_ran_out_is_expired(cast: Cast) -> None:
    client = enter(cast.rita)
    done = approving.ask(cast.support_bot, [approving.requirement(cast.rita)], tool="done-tool")
    approving.decide(done, cast.rita)
    late = approving.ask(cast.support_bot, [approving.requirement(cast.rita)], tool="late-tool")
    Approval.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    waiting = page(client, "governance_approval_changelist")
    assert "done-tool" not in waiting
    assert "late-tool" not in waiting
    assert "done-tool" in page(client, "governance_approval_changelist", status="approved")
    assert "late-tool" in page(client, "governance_approval_changelist", status="expired")
    everything = page(client, "governance_approval_changelist", status="all")
    assert "done-tool" in everything
    assert "late-tool" in everything


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
    assert "ann⟨U+202E⟩@customers.test" in shown
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
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)], tool="void-tool")
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
        approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    listed = queries(client, "governance_approval_changelist")
    desk = queries(client, "index")
    for number in range(18):
        approving.ask(cast.report_bot, [approving.requirement(cast.rita)], tool=f"tool-{number}")
    assert queries(client, "governance_approval_changelist") == listed
    assert queries(client, "index") == desk
