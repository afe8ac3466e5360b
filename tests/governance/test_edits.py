"""Another version of a call, put in its place by who reviews it."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from audit.details import read_detail
from audit.models import Entry, Owed
from governance import approvals, asking, bounds, edits
from governance.approvals import NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded
from governance.edits import EditRefused, changes
from governance.models import Approval, ApprovalLink, Asking, Vote
from tests.approving import decide
from tests.asking import check, publish, waiting
from tests.cast import ACTOR, Cast, employ
from workspaces import access
from workspaces.models import User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db

MAIL = {"to": "ann@customers.test", "subject": "Your refund", "body": "It is on its way."}
REFUND = {"invoice": "17", "amount": 20}
RULES: list[dict[str, Any]] = [
    {
        "name": "Mail is looked at",
        "tools": ["mail.send"],
        "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test", "bob@acme.test"], "quorum": 2, "expires_in": "1h"},
    },
    {
        "name": "Mail to strangers is looked at twice",
        "tools": ["mail.send"],
        "when": "!(resource.endsWith('@customers.test'))",
        "effect": "require_approval",
        "approval": {"reviewers": ["ann@acme.test"], "expires_in": "10m"},
    },
    {
        "name": "Nothing about lawsuits",
        "tools": ["mail.send"],
        "when": "args.body.contains('lawsuit')",
        "effect": "deny",
        "message": "The lawyers write those.",
    },
    {
        "name": "Refunds are looked at",
        "tools": ["billing.refund"],
        "effect": "require_approval",
        "approval": {"reviewers": ["rita@acme.test"]},
    },
]


class Desk:
    """support-bot asks; rita, bob and ann review."""

    def __init__(self, cast: Cast) -> None:
        self.cast, self.bot, self.rita = cast, cast.support_bot, cast.rita
        self.ann = employ(cast.acme, "ann@acme.test", "Ann Approver", "approver")
        self.bob = employ(cast.acme, "bob@acme.test", "Bob Approver", "approver")
        publish(cast.acme, RULES)

    def check(self, arguments: dict[str, Any], tool: str = "mail.send", **more: Any) -> dict[str, Any]:
        return check(self.bot, self.cast.support_bot_key, tool, arguments, **more)

    def ask(self, arguments: dict[str, Any] | None = None, tool: str = "mail.send", **more: Any) -> Approval:
        return waiting(self.check(MAIL if arguments is None else arguments, tool, **more))

    def edit(
        self, approval: Approval, arguments: dict[str, Any], person: User | None = None, **more: Any
    ) -> Approval:
        person = person or self.rita
        wanted = {"comment": "", "actor": actor_of(person)} | more
        return edits.edit(approval, person=person, arguments=arguments, **wanted)


@pytest.fixture
def desk(cast: Cast) -> Desk:
    return Desk(cast)


def detail_of(approval: Approval) -> dict[str, Any]:
    assert approval.edit_index is not None
    return read_detail(approval.workspace.log_id, approval.edit_index)


def test_the_edited_call_is_what_is_approved_and_nothing_else(desk: Desk) -> None:
    better = MAIL | {"body": "It was sent today."}
    approval = desk.ask()
    edited = desk.edit(approval, better)
    assert (edited.status, edited.round, edited.version) == ("pending", 2, 2)
    assert decide(edited, desk.bob).status == "approved"
    named = approval.public_id
    assert desk.check(MAIL, approval=named)["code"] == "approval_mismatch"
    assert desk.check(better, approval=named)["decision"] == "allow"
    assert desk.check(better, approval=named)["code"] == "approval_used"


def test_the_log_tells_who_changed_what(desk: Desk) -> None:
    edited = desk.edit(
        desk.ask(), MAIL | {"body": "Sent.", "cc": "bob@customers.test"}, comment="Say it plainly."
    )
    assert detail_of(edited) == {
        "arguments": MAIL | {"body": "Sent.", "cc": "bob@customers.test"},
        "tool": "mail.send",
        "resources": ["mailto:ann@customers.test", "mailto:bob@customers.test"],
        "changes": [
            {"path": "/body", "from": "It is on its way.", "to": "Sent."},
            {"path": "/cc", "to": "bob@customers.test"},
        ],
    }
    entry = Entry.objects.get(type=edits.EDITED)
    body = json.loads(bytes(entry.body))
    assert body["data"]["person"] == desk.rita.public_id
    assert (body["data"]["round"], body["data"]["rules"]) == (2, "m..")
    assert b"Sent." not in bytes(entry.body)
    assert b"customers" not in bytes(entry.body)
    voted = Entry.objects.filter(type="governance.approval.voted").latest("index")
    assert voted.index == entry.index + 1


def test_earlier_answers_lapse_and_the_editors_is_the_first_of_the_new_round(desk: Desk) -> None:
    approval = decide(desk.ask(), desk.bob)
    edited = desk.edit(approval, MAIL | {"body": "Sent."})
    assert edited.status == "pending"
    assert list(Vote.objects.order_by("pk").values_list("person__name", "round")) == [
        ("Bob Approver", 1),
        ("Rita Review", 2),
    ]
    assert ApprovalLink.objects.get(approval=edited, person=desk.bob).waiting
    mailed = [row.payload["person"] for row in Owed.objects.filter(kind=asking.MAIL).order_by("pk")]
    assert mailed.count(desk.bob.public_id) == 2
    with pytest.raises(NotAReviewer):
        decide(edited, desk.rita)
    assert decide(edited, desk.bob).status == "approved"


def test_rules_that_ask_about_the_edited_call_bring_their_own_people_and_time(desk: Desk) -> None:
    approval = desk.ask()
    edited = desk.edit(approval, MAIL | {"to": "ann@rival.test"})
    rules = [requirement["rule"] for requirement in edited.requirements]
    assert rules == ["Mail is looked at", "Mail to strangers is looked at twice"]
    assert len(edited.lifts) == 2
    assert edited.expires_at < approval.expires_at
    assert {link.deadline for link in edited.links.all()} == {edited.expires_at}
    assert Asking.objects.filter(approval=edited).count() == 2
    assert decide(edited, desk.bob).status == "pending"
    assert decide(edited, desk.ann).status == "approved"
    assert desk.check(MAIL | {"to": "ann@rival.test"}, approval=edited.public_id)["decision"] == "allow"


def test_another_tool_is_judged_by_its_own_rules_and_risk(desk: Desk) -> None:
    edit: dict[str, Any] = {"tool": "billing.refund", "comment": "A refund says more than a mail."}
    approval = desk.ask()
    with pytest.raises(SecondFactorNeeded):
        desk.edit(approval, REFUND, **edit)
    with pytest.raises(ReasonNeeded):
        desk.edit(approval, REFUND, **edit | {"comment": "", "second_factor": "totp"})
    assert not Entry.objects.filter(type=edits.EDITED).exists()
    edited = desk.edit(approval, REFUND, **edit, second_factor="totp")
    assert (edited.tool, edited.action, edited.risk) == ("billing.refund", "spend", "high")
    assert [requirement["rule"] for requirement in edited.requirements] == [
        "Mail is looked at",
        "Refunds are looked at",
    ]


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (MAIL | {"body": "The lawsuit is lost."}, {}, "edit_denied", "The lawyers write those."),
    ({"to": "ann@customers.test"}, {}, "edit_denied", "do not fit the tool's schema"),
    (MAIL | {"amount": 1}, {}, "edit_denied", "do not fit"),
    (MAIL | {"to": "nobody"}, {}, "edit_denied", "to"),
    ({"path": "/etc/shadow"}, {"tool": "files.read"}, "edit_denied", "no grant"),
    ({}, {"tool": "files.shred"}, "edit_denied", "no tool"),
    (dict(MAIL), {}, "nothing_changed", "approve it"),
    (MAIL | {"body": "[withheld: github-token]"}, {}, "arguments_withheld", "withheld"),
    (MAIL | {"body": {"withheld": "declared sensitive"}}, {}, "arguments_withheld", "withheld"),
    (MAIL | {"subject": 2**60}, {}, "number_out_of_range", ""),
    (MAIL | {"body": "x" * edits.LONGEST}, {}, "body_too_large", "1 MiB"),
]


def test_what_policy_denies_nobody_edits_in(desk: Desk) -> None:
    approval = desk.ask()
    for arguments, more, code, words in REFUSED:
        with pytest.raises(EditRefused) as refused:
            desk.edit(approval, arguments, **more)
        with pytest.raises(EditRefused) as foreseen:
            edits.preview(approval, person=desk.rita, arguments=arguments, **more)
        assert refused.value.code == foreseen.value.code == code, str(refused.value)
        assert words in str(refused.value) == str(foreseen.value)
    assert approvals.read(approval).round == 1
    assert not Entry.objects.filter(type=edits.EDITED).exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        "[" * 80 + "]" * 80,
        "[1]",
        "{",
        '{"a": 12345678901234567890}',
        "\ud800",
    ],
)
def test_arguments_are_read_as_strictly_as_at_the_gate(text: str) -> None:
    with pytest.raises(EditRefused) as refused:
        edits.parse(text)
    assert refused.value.status == 400


def test_only_who_may_decide_may_edit(desk: Desk) -> None:
    approval = desk.ask()
    for person in (desk.cast.otto, desk.cast.olga, desk.cast.sam, desk.ann):
        with pytest.raises(NotAReviewer):
            desk.edit(approval, MAIL | {"body": "Sent."}, person)
        with pytest.raises(NotAReviewer):
            edits.preview(approval, person=person, arguments=MAIL | {"body": "Sent."})
    decide(approval, desk.rita, approve=False)
    with pytest.raises(NotPending):
        desk.edit(approval, MAIL | {"body": "Sent."}, desk.bob)


def test_a_preview_writes_nothing(desk: Desk) -> None:
    approval = desk.ask()
    before = Entry.objects.count()
    seen = edits.preview(approval, person=desk.rita, arguments=MAIL | {"to": "ann@rival.test"})
    assert [each["path"] for each in seen.changes] == ["/to"]
    assert [each["rule"] for each in seen.asked] == ["Mail to strangers is looked at twice"]
    assert (Entry.objects.count(), approvals.read(approval).round) == (before, 1)


def test_secrets_and_what_is_sensitive_are_kept_by_nobody(desk: Desk) -> None:
    approval = desk.ask({**REFUND, "card_number": "4111 1111 1111 1111"}, "billing.refund")
    changed: dict[str, Any] = {"comment": "The smaller invoice.", "second_factor": "totp"}
    kept = read_detail(approval.workspace.log_id, approval.entry_index)["arguments"]
    with pytest.raises(EditRefused, match="withheld"):
        desk.edit(approval, kept | {"amount": 10}, **changed)
    edited = desk.edit(approval, {**REFUND, "amount": 10, "card_number": "5500 0000 0000 0004"}, **changed)
    assert edited.status == "approved"
    assert detail_of(edited)["arguments"]["card_number"] == {"withheld": "declared sensitive"}
    assert [each["path"] for each in detail_of(edited)["changes"]] == ["/amount"]
    token = "ghp_" + "a1B2" * 9
    mail = desk.edit(desk.ask(), MAIL | {"body": f"Use {token}."})
    assert token not in json.dumps(detail_of(mail))


def test_an_edited_call_may_be_edited_again(desk: Desk) -> None:
    once = desk.edit(desk.ask(), MAIL | {"body": "Sent."})
    twice = desk.edit(once, MAIL | {"body": "Sent today."}, desk.bob)
    assert (twice.round, twice.status) == (3, "pending")
    assert detail_of(twice)["changes"] == [{"path": "/body", "from": "Sent.", "to": "Sent today."}]
    assert decide(twice, desk.rita).status == "approved"


def test_what_is_not_granted_any_more_is_not_edited_either(desk: Desk) -> None:
    approval = desk.ask()
    for name in ("customers", "anyone"):
        access.revoke(
            desk.cast.roles["support"], permission="send", obj=desk.cast.resources[name], actor=ACTOR
        )
    with pytest.raises(EditRefused, match="no grant"):
        desk.edit(approval, MAIL | {"body": "Sent."})


def test_the_log_still_verifies(desk: Desk) -> None:
    decide(desk.edit(desk.ask(), MAIL | {"body": "Sent."}), desk.bob)
    call_command("verify_log", stdout=StringIO())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab/~", max_size=2),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), each, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_changes_tell_exactly_what_differs(before: Any, after: Any) -> None:
    found = changes(before, after)
    assert bool(found) == (not bounds.same(before, after))
    for change in found:
        if change["path"]:
            told = bounds.at(before, change["path"]), bounds.at(after, change["path"])
            assert told == (change.get("from", bounds.ABSENT), change.get("to", bounds.ABSENT))
    assert len({change["path"] for change in found}) == len(found)
