"""The log's page: what is searched for, narrowed down, kept, and shown one below the other."""

from html import unescape
from re import findall
from typing import Any

import pytest
from django.urls import reverse

from audit import log
from audit.models import Entry, SavedView
from tests.cast import Cast
from tests.governance.test_decision_admin import decide
from tests.portal import enter, latest, page
from workspaces.models import Agent

LOG = "audit_entry_changelist"


@pytest.fixture
def worked(cast: Cast) -> Cast:
    """Decisions of both agents."""
    for number in range(3):
        decide(cast.report_bot, tool="files.read")
        decide(cast.support_bot, kind="allowed", tool=f"mail.send{number}")
    return cast


def results(shown: str) -> list[str]:
    """The sentences of the results."""
    return [unescape(text) for text in findall(r"data-result>([^<]*)<", shown)]


def note(agent: Agent, count: int) -> None:
    """So many entries about an agent, in one transaction."""
    with log.write(agent.workspace.log_id) as entries:
        for number in range(count):
            entries.append(
                "governance.outcome.unreported",
                actor="system",
                agent=agent.public_id,
                tool=f"tool-{number}",
                data={"decision": f"dec_{number}"},
            )


def test_words_names_and_facets_narrow_the_log_down(worked: Cast) -> None:
    client = enter(worked.rita)
    denied = "report-bot was denied files.read."
    assert results(page(client, LOG, q="report-bot denied")) == [denied] * 3
    assert results(page(client, LOG, q="files.read"))[:3] == [denied] * 3
    assert (
        results(page(client, LOG, agent=worked.report_bot.public_id, type="governance.check.denied"))
        == [denied] * 3
    )
    assert results(page(client, LOG, tool="mail.send1")) == ["support-bot was allowed to use mail.send1."]
    assert results(page(client, LOG, q="nobody-at-all")) == []
    both = client.get(reverse(f"admin:{LOG}"), {"tool": ["mail.send0", "mail.send2"]}).content.decode()
    assert len(results(both)) == 2


def test_facets_tell_counts_and_lead_on_and_chips_lead_back(worked: Cast) -> None:
    shown = page(enter(worked.rita), LOG, q="denied")
    counted = findall(r'href="\?([^"]*agent=[^"]*)">report-bot</a> <span class="portal-quiet">(\d+)', shown)
    assert [count for _, count in counted] == ["3"]
    assert "q=denied" in unescape(counted[0][0])
    chips = findall(r'class="log-chip" href="\?([^"]*)"', shown)
    assert [unescape(each) for each in chips] == ["workspace=acme", "workspace=acme"]


def test_older_pages_follow_on_each_other(cast: Cast) -> None:
    note(cast.report_bot, 120)
    client, seen, query = enter(cast.rita), [], "type=governance.outcome.unreported"
    while query:
        shown = client.get(f"{reverse(f'admin:{LOG}')}?{query}").content.decode()
        seen += results(shown)
        following = findall(r'href="\?([^"]*)" rel="next"', shown)
        query = unescape(following[0]) if following else ""
    assert [each.rpartition("-")[2] for each in seen] == [f"{number}." for number in reversed(range(120))]


def test_times_are_spans_days_or_moments(worked: Cast) -> None:
    client = enter(worked.rita)
    everything = len(results(page(client, LOG)))
    Entry.objects.filter(log_id=worked.acme.log_id, index__lt=3).update(time="2024-02-29T10:30:00Z")
    for since in ("day", "2024-03-01", "2024-02-29T10:31Z"):
        assert len(results(page(client, LOG, since=since))) == everything - 3, since
    assert len(results(page(client, LOG, until="2024-02-29T10:31"))) == 3
    shown = page(client, LOG, since="no time at all")
    assert "“no time at all” is no time. Write a day such as 2026-11-01" in shown
    assert results(shown) == []


def test_what_the_page_does_not_know_is_dropped_from_its_address(worked: Cast) -> None:
    client = enter(worked.rita)
    for name in ("id__exact", "workspace__name__startswith", "page"):
        answer = client.get(reverse(f"admin:{LOG}"), {name: "4", "type": "x"})
        assert answer.status_code == 302
        assert answer["Location"].endswith("?type=x")
    assert results(page(client, LOG, q="\0", tool="\0", before="x", since="\0")) == results(page(client, LOG))


def test_a_view_is_its_owners_alone(worked: Cast) -> None:
    rita, olga = enter(worked.rita), enter(worked.olga)
    query = "workspace=acme&q=denied"
    answer = rita.post(
        reverse("saved_view_save", args=["acme"]), {"title": "Denials", "query": query}, follow=True
    )
    assert "Denials" in answer.content.decode()
    assert answer.redirect_chain[-1][0].endswith(query)
    view = SavedView.objects.get()
    assert "Denials" not in page(olga, LOG)
    assert results(page(rita, LOG, q="denied")) == results(answer.content.decode())
    remove = reverse("saved_view_remove", args=["acme", view.public_id])
    assert olga.post(remove).status_code == 404
    rita.post(reverse("saved_view_save", args=["acme"]), {"title": "Denials", "query": "q=other"})
    assert [each.query for each in SavedView.objects.all()] == ["q=other"]
    assert rita.post(remove).status_code == 302
    assert not SavedView.objects.exists()


def test_saving_a_view_is_no_entry(worked: Cast) -> None:
    client, size = enter(worked.rita), latest(worked.acme).index
    client.post(reverse("saved_view_save", args=["acme"]), {"title": "Mine", "query": "q=x"})
    assert latest(worked.acme).index == size


def test_the_log_is_not_there_for_who_may_not_read_it(worked: Cast) -> None:
    for person in (worked.otto, worked.sam):
        assert enter(person).get(reverse(f"admin:{LOG}")).status_code == 404


def test_a_timeline_tells_what_an_agent_did_and_a_session_in_order(worked: Cast) -> None:
    client = enter(worked.otto)

    def told(**of: Any) -> list[str]:
        shown = client.get(reverse("log_timeline", args=["acme"]), of).content.decode()
        return [unescape(text) for text in findall(r'href="[^"]*decisionrecord[^"]*">([^<]*)<', shown)]

    assert told(agent=worked.report_bot.public_id) == ["report-bot was denied files.read."] * 3
    in_order = told(agent=worked.support_bot.public_id, session="run-7")
    assert in_order == [f"support-bot was allowed to use mail.send{number}." for number in range(3)]
    assert told(agent=worked.support_bot.public_id) == in_order[::-1]
    assert told(session="never") == []
    strange = client.get(reverse("log_timeline", args=["acme"]), {"agent": "agt_nobody"})
    assert strange.status_code == 404


def test_a_timeline_goes_on_where_it_ends(cast: Cast) -> None:
    note(cast.report_bot, 130)
    client, steps, query = enter(cast.rita), 0, f"?agent={cast.report_bot.public_id}"
    while query:
        shown = client.get(reverse("log_timeline", args=["acme"]) + query).content.decode()
        steps += shown.count("never reported")
        following = findall(r'href="(\?[^"]*)">Earlier<', shown)
        query = unescape(following[0]) if following else ""
    assert steps == 130
