"""The pages of policies: drafted as text, checked as it is typed, compared, published, gone back to."""

import json
import re
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from audit.models import Entry
from governance import policies
from governance.models import PolicyVersion
from tests.cast import Cast
from tests.portal import enter, latest, page, press, queries
from workspaces import people, tenancy
from workspaces.models import Workspace

RULES = """\
- name: Refunds need finance
  tools: [billing.refund]
  when: args.amount > 100
  effect: require_approval
  approval: {reviewers: ["group:finance"], expires_in: 1h}
"""
DENY = [{"name": "No fetching", "tools": ["web.fetch"], "effect": "deny"}]


def cells(shown: str, field: str) -> list[str]:
    """What a field was and is, as the table of changes says."""
    found = re.search(rf'<th scope="row">{field}</th>(.*?)</tr>', shown, re.DOTALL)
    assert found, f"no row for {field}"
    texts = re.findall(r"<td>(.*?)</td>", found[1], re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split()) for text in texts]


def check(client: Client, workspace: Workspace, text: str) -> dict[str, Any]:
    """What the editor's script is told."""
    answer = client.post(
        reverse("admin:governance_policyversion_check"), {"workspace": workspace.pk, "text": text}
    )
    assert answer.status_code == 200, answer.status_code
    told: dict[str, Any] = json.loads(answer.content)
    return told


def test_a_draft_is_made_from_text_and_read_as_rules(cast: Cast) -> None:
    client = enter(cast.olga)
    shown = press(
        client, "governance_policyversion_add", workspace=cast.acme.pk, text=RULES, note="Money first"
    )
    version = PolicyVersion.objects.get()
    assert (version.status, version.note) == ("draft", "Money first")
    assert latest(cast.acme).actor == f"person:{cast.olga.public_id}"
    shown = page(client, "governance_policyversion_change", version.pk)
    assert "args.amount &gt; 100" in shown
    assert "1 of group:finance, within 1h" in shown
    assert "Olga Owner" in shown


def test_what_is_wrong_is_told_line_by_line_and_the_text_stays(cast: Cast) -> None:
    client = enter(cast.olga)
    text = RULES.replace("args.amount", "args.amuont") + "- name: Second\n  effect: forbid\n"
    shown = press(client, "governance_policyversion_add", workspace=cast.acme.pk, text=text)
    assert "Line 7, column 3:" in shown
    assert "effect" in shown
    assert "args.amuont &gt; 100" in shown
    text = RULES.replace("args.amount", "args.amuont")
    shown = press(client, "governance_policyversion_add", workspace=cast.acme.pk, text=text)
    assert "Line 3, column " in shown
    assert "amount" in shown
    shown = press(client, "governance_policyversion_add", workspace=cast.acme.pk, text="- name: [")
    assert "This is not YAML" in shown
    assert not PolicyVersion.objects.exists()


def test_publishing_puts_the_draft_in_force_and_shows_the_difference_before(cast: Cast) -> None:
    first = policies.publish(policies.draft(cast.acme, DENY, actor="system"), actor="system")
    wider = [{"name": "No fetching", "actions": ["read"], "effect": "deny"}]
    second = policies.draft(cast.acme, wider, actor="system")
    client = enter(cast.rita)
    shown = page(client, "governance_policyversion_change", second.pk)
    assert "What changes from version 1, which is in force" in shown
    assert cells(shown, "Tools") == ["web.fetch", "all"]
    assert cells(shown, "Actions") == ["all", "read"]
    press(client, "governance_policyversion_publish", second.pk, note="Wider")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status, second.note) == ("retired", "in_force", "Wider")
    assert latest(cast.acme).actor == f"person:{cast.rita.public_id}"
    assert "was in force before" in press(client, "governance_policyversion_publish", first.pk, note="")


def test_a_draft_that_has_gone_stale_is_not_published(cast: Cast) -> None:
    version = policies.draft(cast.acme, DENY, actor="system")
    cast.tools["web.fetch"].refresh_from_db()
    client = enter(cast.olga)
    press(client, "workspaces_tool_delete", cast.tools["web.fetch"].pk, post="yes")
    assert "cannot be published as it is" in page(client, "governance_policyversion_change", version.pk)
    assert "web.fetch" in press(client, "governance_policyversion_publish", version.pk, note="")
    version.refresh_from_db()
    assert version.status == "draft"


def test_where_two_people_guard_the_drafter_does_not_publish(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    version = policies.draft(cast.acme, DENY, actor=people.actor_of(cast.olga))
    client = enter(cast.olga)
    assert "somebody else publishes it" in page(client, "governance_policyversion_change", version.pk)
    told = press(client, "governance_policyversion_publish", version.pk, note="")
    assert "Publish version 1 of the policy" in told
    assert "see the request" in page(client, "governance_policyversion_change", version.pk)
    press(enter(cast.rita), "governance_policyversion_publish", version.pk, note="")
    version.refresh_from_db()
    assert version.status == "in_force"


def test_a_new_draft_begins_with_the_rules_of_another_version(cast: Cast) -> None:
    version = policies.draft(cast.acme, DENY, actor="system")
    client = enter(cast.olga)
    assert "tools: [web.fetch]" in page(client, "governance_policyversion_add", **{"from": version.pk})
    assert "web.fetch" not in page(enter(cast.gina), "governance_policyversion_add", **{"from": version.pk})
    text = "# nothing\n"
    press(client, "governance_policyversion_add", workspace=cast.acme.pk, text=text)
    assert PolicyVersion.objects.latest("number").content == []


def test_the_list_costs_the_same_whatever_there_is(cast: Cast) -> None:
    client = enter(cast.olga)
    for number in range(2):
        policies.draft(cast.acme, [DENY[0] | {"name": f"Rule {number}"}], actor=people.actor_of(cast.olga))
    listed = queries(client, "governance_policyversion_changelist")
    for number in range(2, 20):
        policies.draft(cast.acme, [DENY[0] | {"name": f"Rule {number}"}], actor=people.actor_of(cast.olga))
    assert queries(client, "governance_policyversion_changelist") == listed


def test_what_is_typed_is_checked_and_nothing_is_saved(cast: Cast) -> None:
    client, entries = enter(cast.olga), Entry.objects.count()
    told = check(client, cast.acme, RULES)
    assert (told["count"], told["problems"]) == (1, [])
    (match,) = told["rules"]
    assert (match["line"], match["tools"]["first"], match["tools"]["count"]) == (1, ["billing.refund"], 1)
    assert match["agents"] == {"count": 2, "first": ["report-bot", "support-bot"], "everything": True}
    assert match["resources"]["first"] == ["invoices"]
    told = check(client, cast.acme, RULES.replace("args.amount", "args.amuont"))
    assert [problem["line"] for problem in told["problems"]] == [3]
    assert "amount" in told["problems"][0]["message"]
    assert "not YAML" in check(client, cast.acme, "- name: [")["problems"][0]["message"]
    assert not PolicyVersion.objects.exists()
    assert Entry.objects.count() == entries


def test_a_rule_that_reads_claims_is_marked(cast: Cast) -> None:
    text = RULES.replace("args.amount > 100", "'reason.contains(\"please\") || args.amount > 100'")
    assert check(enter(cast.olga), cast.acme, text)["rules"][0]["claims"] == ["reason"]
    press(enter(cast.olga), "governance_policyversion_add", workspace=cast.acme.pk, text=text)
    shown = page(enter(cast.otto), "governance_policyversion_change", PolicyVersion.objects.get().pk)
    assert "reads claims: reason" in shown


def test_what_is_too_much_to_check_while_typing_says_so(cast: Cast) -> None:
    client = enter(cast.olga)
    many = "".join(f"- {{name: Rule {n}, tools: [web.fetch], effect: deny}}\n" for n in range(301))
    assert "press Check" in check(client, cast.acme, many)["skipped"]
    assert "press Check" in check(client, cast.acme, "#" * 300_000)["skipped"]


def test_the_check_button_works_without_a_script(cast: Cast) -> None:
    client, fields = enter(cast.olga), {"workspace": cast.acme.pk, "_check": "1"}
    shown = press(client, "governance_policyversion_add", text=RULES, **fields)
    assert "Nothing is wrong with these 1 rules." in shown
    assert "2 agents: report-bot, support-bot" in shown
    assert "Line 3, column " in press(
        client, "governance_policyversion_add", text=RULES.replace("args.amount", "args.amuont"), **fields
    )
    assert not PolicyVersion.objects.exists()


def test_who_may_not_draft_has_nothing_checked(cast: Cast) -> None:
    address = reverse("admin:governance_policyversion_check")
    body = {"workspace": cast.acme.pk, "text": RULES}
    assert enter(cast.otto).post(address, body).status_code == 403
    assert enter(cast.gina).post(address, body).status_code == 404
    assert enter(cast.gina).post(address, body | {"workspace": "x"}).status_code == 404
    assert enter(cast.olga).get(address).status_code == 405


def test_changes_are_told_rule_by_rule_whatever_their_order(cast: Cast) -> None:
    before: list[dict[str, Any]] = [
        {"name": "Reads", "tools": ["web.fetch", "files.read"], "effect": "deny", "when": "session.repeats > 3"},
        {"name": "Refunds", "tools": ["billing.refund"], "effect": "require_approval",
         "approval": {"reviewers": ["group:finance"], "quorum": 1}},
        {"name": "Mail", "tools": ["mail.send"], "effect": "limit", "limit": {"calls": 3, "per": "1h"}},
    ]  # fmt: skip
    first = policies.publish(policies.draft(cast.acme, before, actor="system"), actor="system")
    after: list[dict[str, Any]] = [
        {"name": "Letters", "tools": ["mail.send"], "effect": "limit", "limit": {"calls": 3, "per": "1h"}},
        {"name": "Refunds", "tools": ["billing.refund"], "effect": "require_approval",
         "approval": {"reviewers": ["group:finance"], "quorum": 2}},
        {"name": "Reads", "tools": ["files.read", "mail.send"], "effect": "deny", "when": "session.repeats > 3"},
    ]  # fmt: skip
    second = policies.draft(cast.acme, after, actor="system")
    shown = page(enter(cast.otto), "governance_policyversion_change", second.pk)
    assert cells(shown, "Quorum") == ["1", "2"]
    assert cells(shown, "Tools") == ["− web.fetch", "+ mail.send"]
    assert "was called Mail" in shown
    assert '<th scope="row">When</th>' not in shown
    turned = [{**rule, "tools": rule["tools"][::-1]} for rule in after[::-1]]
    shuffled = policies.draft(cast.acme, turned, actor="system")
    shown = page(enter(cast.otto), "governance_policyversion_change", shuffled.pk, against=second.number)
    assert "Nothing: the rules are the same." in shown
    assert "The first version that was published" in page(
        enter(cast.otto), "governance_policyversion_change", first.pk
    )


def test_going_back_drafts_the_old_rules_again_and_publishes_them_where_one_may(cast: Cast) -> None:
    first = policies.publish(policies.draft(cast.acme, DENY, actor="system"), actor="system")
    policies.publish(policies.draft(cast.acme, [], actor="system"), actor="system")
    told = press(enter(cast.rita), "governance_policyversion_roll_back", first.pk, note="")
    assert "Version 3 is in force, with the rules of version 1." in told
    again = policies.in_force(cast.acme)
    assert again is not None
    assert (again.number, again.content, again.note) == (3, first.content, "Back to version 1.")
    assert again.drafted_by == again.published_by == people.actor_of(cast.rita)
    assert press_status(cast.otto, first) == 403
    assert press_status(cast.gina, first) == 404


def press_status(person: Any, version: PolicyVersion) -> int:
    address = reverse("admin:governance_policyversion_roll_back", args=[version.pk])
    return enter(person).post(address, {"note": ""}).status_code


def test_going_back_waits_for_the_second_person_where_two_are_wanted(cast: Cast) -> None:
    first = policies.publish(policies.draft(cast.acme, DENY, actor="system"), actor="system")
    policies.publish(policies.draft(cast.acme, [], actor="system"), actor="system")
    tenancy.change_workspace(cast.acme, two_people=True, actor="system")
    told = press(enter(cast.rita), "governance_policyversion_roll_back", first.pk, note="Too open")
    assert "It is a draft" in told
    again = PolicyVersion.objects.get(number=3)
    assert "Publish version 3 of the policy" in press(
        enter(cast.rita), "governance_policyversion_publish", again.pk, note=""
    )
    press(enter(cast.olga), "governance_policyversion_publish", again.pk, note="")
    again.refresh_from_db()
    assert (again.status, again.note) == ("in_force", "Too open")


def test_many_rules_are_shown_page_by_page(cast: Cast) -> None:
    rules = [{"name": f"Rule {n:03}", "tools": ["web.fetch"], "effect": "deny", "when": f"session.calls > {n}"}
             for n in range(150)]  # fmt: skip
    version = policies.draft(cast.acme, rules, actor="system")
    client = enter(cast.otto)
    assert "Rule 099" in page(client, "governance_policyversion_change", version.pk)
    shown = page(client, "governance_policyversion_change", version.pk, page=2)
    assert "Rule 149" in shown
    assert "Rule 099" not in shown


def test_who_wrote_a_rule_that_asks_them_reads_that_they_do_not_count(cast: Cast) -> None:
    alone = RULES.replace("Refunds", "All refunds").replace("group:finance", "olga@acme.test")
    press(enter(cast.olga), "governance_policyversion_add", workspace=cast.acme.pk, text=RULES + alone)
    rita = enter(cast.rita)
    shown = page(rita, "governance_policyversion_change", PolicyVersion.objects.get().pk)
    assert shown.count("Olga Owner wrote this rule, so their answer does not count.") == 2
    assert shown.count("Nobody else could answer") == 1
    # Somebody else's version with the same rule does not make it theirs.
    press(rita, "governance_policyversion_add", workspace=cast.acme.pk, text=alone)
    later = page(rita, "governance_policyversion_change", PolicyVersion.objects.latest("number").pk)
    assert "Olga Owner wrote this rule" in later
    assert "Rita Review wrote" not in later
