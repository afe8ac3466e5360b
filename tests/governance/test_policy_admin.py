"""The pages of policies: drafted as text, compared, published."""

from governance import policies
from governance.models import PolicyVersion
from tests.cast import Cast
from tests.portal import enter, latest, page, press, queries
from workspaces import people, tenancy

RULES = """\
- name: Refunds need finance
  tools: [billing.refund]
  when: args.amount > 100
  effect: require_approval
  approval: {reviewers: ["group:finance"], expires_in: 1h}
"""
DENY = [{"name": "No fetching", "tools": ["web.fetch"], "effect": "deny"}]


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
    assert '<span class="remove">-  tools: [web.fetch]</span>' in shown
    assert '<span class="add">+  actions: [read]</span>' in shown
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
    assert "You drafted version 1" in told
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
