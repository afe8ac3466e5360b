"""The lists of decisions and of the log's entries, and the page of each."""

from datetime import timedelta
from typing import Any

import pytest

from audit import log
from audit.admin import pages
from audit.log import index_at
from audit.models import Entry
from governance import policies
from tests.cast import Cast
from tests.portal import body_of, enter, latest, page, press, queries
from workspaces.models import Agent

FACTS = {"labels": ["untrusted_output"], "tools": [], "calls": 4, "repeats": 0, "used": {}, "spend": {}}


def decide(agent: Agent, *, kind: str = "denied", tool: str = "files.read", **data: Any) -> Entry:
    """A decision's entry, as admission writes it."""
    with log.write(agent.workspace.log_id) as entries:
        appended = entries.append(
            f"governance.check.{kind}",
            actor=f"agent:{agent.public_id}",
            agent=agent.public_id,
            tool=tool,
            outcome="rule" if kind == "denied" else "granted",
            session="run-7",
            data={"decision": "dec_1", "revision": 3, "facts": FACTS, "reasons": [], **data},
            detail={
                "arguments": {"path": "/srv/secret\u202ex"},
                "reason": "I must",
                "resources": ["file:///srv/s"],
            },
        )
    return Entry.objects.get(log_id=agent.workspace.log_id, index=appended.index)


def test_the_page_explains_a_decision_to_everybody_of_the_workspace(cast: Cast) -> None:
    rules: list[dict[str, Any]] = [
        {"name": "Nothing is read", "tools": ["files.read"], "when": "args.path == '/srv'", "effect": "deny"},
        {"name": "At most nine", "tools": ["files.*"], "effect": "limit", "limit": {"calls": 9, "per": "1m"}},
    ]
    version = policies.publish(policies.draft(cast.acme, rules, actor="system"), actor="system")
    reasons = [{"code": "rule", "rule": "Nothing is read", "effect": "deny"}]
    entry = decide(cast.report_bot, policy=version.digest, rules="em", reasons=reasons)
    size = latest(cast.acme).index
    shown = page(enter(cast.otto), "governance_decisionrecord_change", entry.pk)
    assert "report-bot was denied files.read." in shown
    assert "its condition failed, which counts as matched" in shown
    assert "At most nine" in shown
    assert "untrusted_output" in shown
    assert bytes(entry.leaf).hex() in shown
    assert "/srv/secret" not in shown
    assert "I must" not in shown
    assert "file:///srv/s" not in shown
    assert latest(cast.acme).index == size


def test_content_is_shown_to_who_may_see_it_and_each_view_is_one_entry(cast: Cast) -> None:
    entry = decide(cast.report_bot)
    client = enter(cast.olga)
    shown = page(client, "governance_decisionrecord_change", entry.pk)
    assert "/srv/secret⟨U+202E⟩x" in shown
    assert "I must" in shown
    read = latest(cast.acme)
    assert (read.type, read.agent) == ("governance.detail.read", cast.report_bot.public_id)
    assert body_of(read)["data"] == {"entry": entry.index, "fields": ["arguments", "reason", "resources"]}
    page(client, "governance_decisionrecord_change", entry.pk)
    assert latest(cast.acme).index == read.index + 1
    page(client, "governance_decisionrecord_changelist")
    assert latest(cast.acme).index == read.index + 1


def test_filters_find_decisions(cast: Cast) -> None:
    decide(cast.report_bot, tool="one.tool")
    decide(cast.support_bot, kind="allowed", tool="two.tool")
    client = enter(cast.otto)

    def listed(**query: str) -> tuple[bool, bool]:
        shown = page(client, "governance_decisionrecord_changelist", **query)
        return ">one.tool<" in shown, ">two.tool<" in shown

    assert listed() == (True, True)
    assert listed(agent=cast.report_bot.public_id) == (True, False)
    assert listed(type="governance.check.allowed") == (False, True)
    assert listed(outcome="rule", session="run-7", since="hour") == (True, False)
    assert listed(tool="two.tool") == (False, True)
    assert listed(workspace="globex") == (False, False)


def test_the_log_shows_every_entry_with_its_body_and_leaf_and_takes_none(cast: Cast) -> None:
    client = enter(cast.rita)
    assert "Acme" in page(client, "index")
    shown = page(client, "audit_entry_changelist")
    assert "created the agent support-bot." in shown
    entry = Entry.objects.filter(log_id=cast.acme.log_id, type="workspaces.agent.created").latest("index")
    shown = page(client, "audit_entry_change", entry.pk)
    assert bytes(entry.leaf).hex() in shown
    assert body_of(entry)["rand"] in shown
    filtered = page(client, "audit_entry_changelist", type="workspaces.tool.changed")
    assert "changed the tool mail.send." in filtered
    assert "created the agent" not in filtered


def test_a_time_is_found_as_an_index(cast: Cast) -> None:
    entries = list(Entry.objects.filter(log_id=cast.acme.log_id).order_by("index"))
    for entry in entries:
        first = next(each for each in entries if each.time >= entry.time)
        assert index_at(cast.acme.log_id, entry.time) == first.index
    assert index_at(cast.acme.log_id, entries[-1].time + timedelta(seconds=1)) == len(entries)
    assert index_at(cast.acme.log_id, entries[0].time - timedelta(days=1)) == 0


def test_lists_stop_counting_at_a_bound(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "COUNTED", 3)
    for _ in range(5):
        decide(cast.report_bot)
    assert "3 decisions" in " ".join(page(enter(cast.rita), "governance_decisionrecord_changelist").split())


def test_lists_and_pages_cost_the_same_whatever_there_is(cast: Cast) -> None:
    for agent in (cast.report_bot, cast.support_bot):
        entry = decide(agent)
    client = enter(cast.olga)
    shown = queries(client, "governance_decisionrecord_change", entry.pk)
    counted = {
        name: queries(client, name)
        for name in ("governance_decisionrecord_changelist", "audit_entry_changelist", "index")
    }
    for number in range(18):
        decide(cast.report_bot, tool=f"tool-{number}")
    assert {name: queries(client, name) for name in counted} == counted
    assert queries(client, "governance_decisionrecord_change", entry.pk) == shown


def test_hostile_names_are_spelled_out_in_lists(cast: Cast) -> None:
    decide(cast.report_bot, tool="pay\u202ement<script>")
    shown = page(enter(cast.otto), "governance_decisionrecord_changelist")
    assert "pay⟨U+202E⟩ment&lt;script&gt;" in shown
    assert "\u202e" not in shown
    assert "\u202e" not in page(enter(cast.otto), "index")
    press(enter(cast.otto), "workspaces_agent_stand", cast.report_bot.pk, standing="suspended", reason="x")
