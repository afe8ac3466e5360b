"""Policy versions: named by content, never changed, published by a second person where that is asked."""

import re
from typing import Any

import pytest

from audit.models import Entry, Head
from governance import policies
from governance.models import ImmutableVersion, PolicyVersion
from tests.cast import ACTOR, Cast
from workspaces import catalog, tenancy
from workspaces.models import Workspace

Status = PolicyVersion.Status
OLGA, RITA = "person:usr_olga", "person:usr_rita"
REFUNDS: dict[str, Any] = {
    "name": "Refunds above 100 need finance",
    "tools": ["billing.refund"],
    "when": "args.amount > 100",
    "effect": "require_approval",
    "approval": {"reviewers": ["group:finance"], "expires_in": "1h"},
}
NO_MAIL: dict[str, Any] = {"name": "No mail", "tools": ["mail.send"], "effect": "deny"}


def log_of(workspace: Workspace) -> tuple[int, int]:
    """Entries and revision so far."""
    head = Head.objects.get(log_id=workspace.log_id)
    return head.size, head.revision


def last_entry(workspace: Workspace) -> Entry:
    return Entry.objects.filter(log_id=workspace.log_id).latest("index")


def test_a_draft_is_numbered_and_named_by_its_content(acme: Workspace) -> None:
    version = policies.draft(acme, [REFUNDS], actor=OLGA, note="First try")
    assert (version.number, version.status, version.drafted_by) == (1, Status.DRAFT, OLGA)
    assert version.digest == policies.digest_of(version.content)
    assert version.content[0]["approval"] == {"reviewers": ["group:finance"], "quorum": 1, "expires_in": 3600}
    assert policies.in_force(acme) is None
    assert last_entry(acme).type == "governance.policy.drafted"


def test_the_same_rules_written_differently_have_one_name(acme: Workspace) -> None:
    written = dict(reversed(REFUNDS.items())) | {
        "approval": {"reviewers": ["group:finance"], "expires_in": 3600}
    }
    first = policies.draft(acme, [REFUNDS], actor=OLGA)
    before = log_of(acme)
    assert policies.draft(acme, [written], actor=RITA) == first
    assert log_of(acme) == before


def test_reviewers_addresses_stand_in_no_entry(acme: Workspace) -> None:
    rule = REFUNDS | {"approval": {"reviewers": ["rita@acme.test"]}}
    policies.draft(acme, [rule], actor=OLGA, note="as Rita asked")
    body = bytes(last_entry(acme).body)
    assert not re.search(rb"\brita\b", body, re.IGNORECASE)
    assert policies.digest_of(policies.draft(acme, [rule], actor=OLGA).content).encode() in body


def test_publishing_retires_the_version_in_force_in_the_same_entry(acme: Workspace) -> None:
    first = policies.publish(policies.draft(acme, [REFUNDS], actor=OLGA), actor=OLGA)
    size, revision = log_of(acme)
    second = policies.publish(
        policies.draft(acme, [REFUNDS, NO_MAIL], actor=OLGA), actor=RITA, note="Incident 7"
    )
    first.refresh_from_db()
    assert (first.status, second.status, second.number) == (Status.RETIRED, Status.IN_FORCE, 2)
    assert (second.published_by, second.note) == (RITA, "Incident 7")
    assert policies.in_force(acme) == second
    assert log_of(acme) == (size + 2, revision + 2)  # one draft, one publication
    assert b"retired" in bytes(last_entry(acme).body)


def test_what_is_in_force_is_neither_drafted_nor_published_again(acme: Workspace) -> None:
    version = policies.publish(policies.draft(acme, [REFUNDS], actor=OLGA), actor=OLGA)
    before = log_of(acme)
    assert policies.draft(acme, [REFUNDS], actor=RITA) == version
    assert policies.publish(version, actor=RITA).published_by == OLGA
    assert log_of(acme) == before


def test_going_back_means_drafting_again(acme: Workspace) -> None:
    old = policies.publish(policies.draft(acme, [REFUNDS], actor=OLGA), actor=OLGA)
    policies.publish(policies.draft(acme, [NO_MAIL], actor=OLGA), actor=OLGA)
    with pytest.raises(policies.NotADraft):
        policies.publish(old, actor=OLGA)
    again = policies.draft(acme, [REFUNDS], actor=OLGA)
    assert (again.number, again.digest) == (3, old.digest)


def test_two_people_means_two(acme: Workspace) -> None:
    tenancy.change_workspace(acme, two_people=True, actor=ACTOR)
    version = policies.draft(acme, [REFUNDS], actor=OLGA)
    before = log_of(acme)
    with pytest.raises(policies.NeedsSecondPerson, match="somebody else"):
        policies.publish(version, actor=OLGA)
    assert log_of(acme) == before
    assert policies.publish(version, actor=RITA).status == Status.IN_FORCE


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (REFUNDS | {"tools": ["billing.refunds"]}, (0, "tools", 0)),
        (REFUNDS | {"when": "args.amout > 100"}, (0, "when")),
        (REFUNDS | {"approval": {"reviewers": ["group:finances"]}}, (0, "approval", "reviewers", 0)),
        (REFUNDS | {"approval": {"reviewers": ["sam@stranger.test"]}}, (0, "approval", "reviewers", 0)),
        (REFUNDS | {"effect": "forbid"}, (0, "effect")),
    ],
)
def test_dead_and_broken_rules_are_refused_with_their_place(
    acme: Workspace, rule: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    before = log_of(acme)
    with pytest.raises(policies.PolicyRefused) as refused:
        policies.draft(acme, [rule], actor=OLGA)
    assert path in [problem.path for problem in refused.value.problems]
    assert log_of(acme) == before
    assert not PolicyVersion.objects.exists()


def test_a_draft_that_the_workspace_has_outgrown_is_not_published(cast: Cast) -> None:
    version = policies.draft(cast.acme, [NO_MAIL], actor=OLGA)
    catalog.remove_tool(cast.tools["mail.send"], actor=ACTOR)
    assert policies.review(version)
    with pytest.raises(policies.PolicyRefused, match=r"mail\.send"):
        policies.publish(version, actor=RITA)
    assert policies.in_force(cast.acme) is None


def test_the_catalog_is_the_workspaces_own_and_leaves_out_who_left(cast: Cast) -> None:
    from workspaces import people

    people.deactivate(cast.olga, actor=ACTOR)
    found = policies.catalog(cast.acme)
    assert found.agents.keys() == {"report-bot", "support-bot"}
    assert found.groups == {"finance": frozenset({"rita@acme.test"})}
    assert found.people == {"rita@acme.test", "otto@acme.test"}
    assert found.lists == {"partners": ("orders@partner.test", "help@partner.test")}
    assert found.tools["files.read"] == cast.tools["files.read"].declaration()
    assert found.resource_labels["reports"] == {"internal"}


def test_what_a_version_says_never_changes(acme: Workspace) -> None:
    version = policies.draft(acme, [REFUNDS], actor=OLGA)
    version.content = [NO_MAIL]
    with pytest.raises(ImmutableVersion):
        version.save()
    version.refresh_from_db()
    version.number = 7
    with pytest.raises(ImmutableVersion):
        version.save()
    version.refresh_from_db()
    assert version.content[0]["name"] == REFUNDS["name"]


def test_no_rules_are_a_policy_too(acme: Workspace) -> None:
    policies.publish(policies.draft(acme, [NO_MAIL], actor=OLGA), actor=OLGA)
    empty = policies.publish(policies.draft(acme, [], actor=OLGA), actor=OLGA)
    assert policies.in_force(acme) == empty
    assert empty.content == []
