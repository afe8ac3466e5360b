"""Approvals in advance: what they lift, what ends them, and what a log must not tell of them."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit import verify
from audit.models import Entry
from governance import containment, policies, snapshot, standing
from governance.approvals import NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded
from governance.bounds import BadBounds
from governance.conduct import Conduct
from governance.coverage import StandingRefused
from governance.models import Approval, StandingApproval
from tests.approving import decide
from tests.asking import admit, check, publish, request, waiting
from tests.cast import ACTOR, TOOLS, Cast, employ
from workspaces import access, agents, catalog, people
from workspaces.declarations import Risk
from workspaces.models import AgentKey, User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db

RULE = {
    "name": "Mail is looked at",
    "tools": ["mail.send"],
    "effect": "require_approval",
    "approval": {"reviewers": ["rita@acme.test", "ann@acme.test"]},
}
REFUNDS = {**RULE, "name": "Refunds are looked at", "tools": ["billing.refund"]}
OTHER = {"name": "Not on Sundays", "tools": ["files.read"], "effect": "deny"}
MAIL = {"to": "ann@customers.test", "subject": "Your refund", "body": "It is on its way."}
WHY = "The same mail goes out each morning."


class Desk:
    """support-bot asks, rita and ann answer."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.ann = employ(cast.acme, "ann@acme.test", "Ann Approver", "approver")
        publish(cast.acme, [RULE, REFUNDS])

    def check(
        self, arguments: dict[str, Any] | None = None, tool: str = "mail.send", **more: Any
    ) -> dict[str, Any]:
        given = MAIL if arguments is None else arguments
        return check(self.cast.support_bot, self.cast.support_bot_key, tool, given, **more)

    def give(
        self, answer: dict[str, Any] | None = None, person: User | None = None, **more: Any
    ) -> StandingApproval:
        return self.give_from(waiting(answer or self.check()), person, **more)

    def give_from(self, approval: Approval, person: User | None = None, **more: Any) -> StandingApproval:
        person = person or self.cast.rita
        wanted: dict[str, Any] = {
            "until": timezone.now() + timedelta(hours=1),
            "max_uses": 2,
            "reason": WHY,
            "actor": actor_of(person),
        }
        return standing.give(approval, person=person, **wanted | more)

    def verdict(self, arguments: dict[str, Any] | None = None, **more: Any) -> str:
        return str(self.check(arguments, **more)["decision"])


@pytest.fixture
def desk(cast: Cast) -> Desk:
    return Desk(cast)


def test_what_was_approved_ahead_is_allowed_as_often_as_was_said(desk: Desk) -> None:
    given = desk.give()
    first = desk.check()
    assert (first["decision"], first["standing_approval"]) == ("allow", given.public_id)
    assert desk.verdict() == "allow"
    assert desk.verdict() == "pending"
    assert given.use.count == 0
    given.use.refresh_from_db()
    assert given.use.count == 2
    entry = Entry.objects.filter(type="governance.check.allowed").latest("index")
    data = json.loads(bytes(entry.body))["data"]
    assert (data["standing_approval"], data["lifted"]) == (given.public_id, ["Mail is looked at"])


def test_the_uses_of_one_batch_are_counted(desk: Desk) -> None:
    desk.give()
    asked = [request(desk.cast.support_bot, desk.cast.support_bot_key, "mail.send", MAIL) for _ in range(4)]
    assert [answer["decision"] for answer in admit(*asked)] == ["allow", "allow", "pending", "pending"]


def test_giving_approves_the_call_that_waits(desk: Desk) -> None:
    asked = desk.check()
    given = desk.give(asked)
    assert waiting(asked).status == "approved"
    assert given.resources == ["mailto:ann@customers.test"]
    assert desk.verdict(approval=asked["approval"]["id"]) == "allow"
    given.use.refresh_from_db()
    assert given.use.count == 0  # the approval itself lifted that one


def test_without_bounds_it_is_for_exactly_that_call(desk: Desk) -> None:
    desk.give(max_uses=9)
    others: list[dict[str, Any]] = [
        {"body": "Another text."}, {"to": "bob@customers.test"}, {"cc": "ann@customers.test"}, {"attachments": []},
        {"to": ["ann@customers.test"]},
    ]  # fmt: skip
    assert {desk.verdict(MAIL | other) for other in others} == {"pending"}
    assert desk.verdict() == "allow"


def test_bounds_and_patterns_say_how_far_it_goes(desk: Desk) -> None:
    open_text = {
        "/to": {"any": True},
        "/subject": {"in": ["Your refund", "Your order"]},
        "/body": {"any": True},
    }
    desk.give(resources=["mailto:*@customers.test"], bounds=open_text, max_uses=9)
    assert desk.verdict(MAIL | {"to": "bob@customers.test", "body": "Else."}) == "allow"
    assert desk.verdict(MAIL | {"subject": "Your order"}) == "allow"
    assert desk.verdict(MAIL | {"subject": "Your house"}) == "pending"
    assert desk.verdict(MAIL | {"to": "bob@rival.test"}) == "pending"
    assert desk.verdict(MAIL | {"to": ["ann@customers.test", "bob@rival.test"]}) == "pending"


def test_it_may_be_for_one_session_only(desk: Desk) -> None:
    desk.give(desk.check(session="monday"), session="monday")
    assert desk.verdict(session="tuesday") == "pending"
    assert desk.verdict() == "pending"
    assert desk.verdict(session="monday") == "allow"


def test_for_another_person_it_is_asked_anew(desk: Desk) -> None:
    """The agent may act for rita, who gave it, and whom nobody asks about calls on her own behalf."""
    desk.give()
    assert desk.verdict(on_behalf_of="rita@acme.test") == "pending"
    assert desk.verdict() == "allow"


def ended_by_its_time(desk: Desk, given: StandingApproval) -> None:
    StandingApproval.objects.filter(pk=given.pk).update(expires_at=timezone.now())


def ended_by_revoking(desk: Desk, given: StandingApproval) -> None:
    standing.revoke(given, actor=ACTOR, reason="Enough.")


def ended_by_another_policy(desk: Desk, given: StandingApproval) -> None:
    publish(desk.cast.acme, [RULE, REFUNDS, OTHER])


def ended_by_another_policy_and_back(desk: Desk, given: StandingApproval) -> None:
    """The same rules again have the same name, and are another version all the same."""
    publish(desk.cast.acme, [RULE, REFUNDS, OTHER])
    publish(desk.cast.acme, [RULE, REFUNDS])
    assert policies.in_force(desk.cast.acme).digest == given.policy  # type: ignore[union-attr]


def ended_by_containment(desk: Desk, given: StandingApproval) -> None:
    contain(desk, "read_only")
    contain(desk, "active")


def contain(desk: Desk, step: str) -> None:
    olivia = User.objects.filter(email="olivia@acme.test").first()
    olivia = olivia or employ(desk.cast.acme, "olivia@acme.test", "Olivia Owner", "owner")
    containment.set_standing(
        desk.cast.support_bot, step, reason="a drill", actor=actor_of(olivia), person=olivia
    )


def ended_by_a_grant(desk: Desk, given: StandingApproval) -> None:
    """The grant that it rests on is replaced by a wider one."""
    cast = desk.cast
    access.revoke(cast.roles["support"], permission="send", obj=cast.resources["customers"], actor=ACTOR)
    access.revoke(cast.roles["support"], permission="send", obj=cast.resources["anyone"], actor=ACTOR)
    access.grant(cast.support_bot, permission="send", obj=cast.resources["anyone"], actor=ACTOR)


def ended_by_a_role(desk: Desk, given: StandingApproval) -> None:
    """The role is taken, and given again."""
    bot, roles = desk.cast.support_bot, dict.fromkeys(desk.cast.roles.values())
    agents.set_agent_roles(bot, {}, actor=ACTOR)
    agents.set_agent_roles(bot, roles, actor=ACTOR)


def ended_by_another_declaration(desk: Desk, given: StandingApproval) -> None:
    declare_anew(desk, labels=frozenset())


def declare_anew(desk: Desk, **changes: Any) -> None:
    tool = next(each for each in TOOLS if each.name == "mail.send")
    catalog.set_tool(desk.cast.acme, declaration=replace(tool, **changes), actor=ACTOR)
    snapshot.forget()


def ended_by_leaving(desk: Desk, given: StandingApproval) -> None:
    people.set_roles(desk.cast.acme, desk.cast.rita, roles=["auditor"], actor=ACTOR)


def ended_by_owning(desk: Desk, given: StandingApproval) -> None:
    agents.change_agent(desk.cast.support_bot, owner=desk.cast.rita, actor=ACTOR)


def ended_by_a_key(desk: Desk, given: StandingApproval) -> None:
    AgentKey.objects.filter(agent=desk.cast.support_bot).update(created_by=desk.cast.rita)


ENDS: list[Callable[[Desk, StandingApproval], None]] = [
    ended_by_its_time, ended_by_revoking, ended_by_another_policy, ended_by_another_policy_and_back,
    ended_by_containment, ended_by_a_grant, ended_by_a_role, ended_by_another_declaration, ended_by_leaving,
    ended_by_owning, ended_by_a_key,
]  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_with_what_it_rests_on(desk: Desk, end: Callable[[Desk, StandingApproval], None]) -> None:
    given = desk.give()
    assert desk.verdict() == "allow"
    end(desk, given)
    snapshot.forget()
    assert desk.verdict() == "pending"


def test_a_supervised_agent_is_looked_at_each_time(desk: Desk) -> None:
    contain(desk, "supervised")
    with pytest.raises(StandingRefused) as refused:
        desk.give()
    assert refused.value.code == "supervised"


def test_what_needs_two_people_one_cannot_give(desk: Desk) -> None:
    two = {**RULE, "approval": {**RULE["approval"], "quorum": 2}}  # type: ignore[dict-item]
    publish(desk.cast.acme, [two])
    asked = desk.check()
    with pytest.raises(StandingRefused) as refused:
        desk.give(asked)
    assert refused.value.code == "not_approved"
    assert not waiting(asked).votes.exists()  # the answer is undone with it
    decide(waiting(asked), desk.ann)
    with pytest.raises(StandingRefused) as refused:
        desk.give(asked)
    assert refused.value.code == "not_yours_alone"


def test_only_who_answered_alone_may_give_more(desk: Desk) -> None:
    asked = desk.check()
    with pytest.raises(NotAReviewer):
        desk.give(asked, desk.cast.otto)
    decide(waiting(asked), desk.cast.rita)
    with pytest.raises(StandingRefused) as refused:
        desk.give(asked, desk.ann)
    assert refused.value.code == "not_yours_alone"
    assert desk.give(asked).given_by == desk.cast.rita


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"resources": ["mailto:*@*"], "bounds": {}}, "bad_bounds"),
    ({"bounds": {"/to": {"any": True}}}, "bad_bounds"),
    ({"bounds": {f"/{name}": {"is": "x"} for name in MAIL}}, "bad_bounds"),
    ({"bounds": {f"/{name}": {"in": []} for name in MAIL}}, "bad_bounds"),
    ({"resources": ["mailto:bob@customers.test"]}, "call_outside"),
    ({"resources": []}, "call_outside"),
    ({"resources": ["mailto:ann@customers.test", "file:///srv/*"]}, "beyond_grants"),
    ({"resources": ["mailto:ann@customers.test", "nonsense"]}, "bad_pattern"),
    ({"max_uses": 0}, "bad_uses"),
    ({"max_uses": standing.MOST_USES + 1}, "bad_uses"),
    ({"until": timezone.now() - timedelta(hours=1)}, "bad_end"),
    ({"until": timezone.now() + timedelta(days=31)}, "bad_end"),
    ({"reason": "because"}, "reason_needed"),
]


def test_what_makes_no_sense_is_refused(desk: Desk) -> None:
    asked = desk.check()
    for wanted, code in REFUSED:
        with pytest.raises((StandingRefused, BadBounds, ReasonNeeded)) as refused:
            desk.give(asked, **wanted)
        assert getattr(refused.value, "code", "") == code, wanted
        assert str(refused.value).endswith(".")
    assert waiting(asked).status == "pending"


def test_a_bound_keeps_no_secret(desk: Desk) -> None:
    secret = {f"/{name}": {"in": [value, "ghp_" + "a1B2" * 9]} for name, value in MAIL.items()}
    with pytest.raises(BadBounds, match="secret"):
        desk.give(bounds=secret)


def test_risk_asks_for_a_second_factor_and_what_is_sensitive_stays_open(desk: Desk) -> None:
    refund = {"invoice": "17", "amount": 20, "card_number": "no card"}
    asked = desk.check(refund, tool="billing.refund")
    with pytest.raises(SecondFactorNeeded):
        desk.give(asked)
    with pytest.raises(BadBounds, match="withheld"):
        desk.give(asked, second_factor="totp")
    limits = {"/invoice": {"is": "17"}, "/amount": {"min": 0, "max": 20}, "/card_number": {"any": True}}
    desk.give(asked, second_factor="totp", bounds=limits)
    assert desk.verdict(refund | {"amount": 5, "card_number": "another"}, tool="billing.refund") == "allow"
    assert desk.verdict(refund | {"amount": 20.01}, tool="billing.refund") == "pending"


def test_nothing_critical_is_given_ahead(desk: Desk) -> None:
    declare_anew(desk, risk=Risk.CRITICAL)
    with pytest.raises(StandingRefused) as refused:
        desk.give(second_factor="totp")
    assert refused.value.code == "critical_risk"


def test_what_was_rejected_or_voided_gives_nothing(desk: Desk) -> None:
    rejected, voided = desk.check(), desk.check(MAIL | {"body": "Else."})
    decide(waiting(rejected), desk.cast.rita, approve=False)
    with pytest.raises(StandingRefused):
        desk.give(rejected)
    decide(waiting(voided), desk.cast.rita)
    contain(desk, "supervised")
    with pytest.raises(NotPending):
        desk.give(voided)


def test_it_is_revoked_once(desk: Desk) -> None:
    given = desk.give()
    standing.revoke(given, actor=ACTOR, reason="It was too much.")
    with pytest.raises(standing.AlreadyRevoked):
        standing.revoke(given, actor=ACTOR)
    kinds = list(Entry.objects.filter(type__startswith="governance.standing_approval.").order_by("index"))
    assert [entry.type.rpartition(".")[2] for entry in kinds] == ["given", "revoked"]
    assert "customers.test" not in "".join(bytes(entry.body).decode() for entry in kinds)


@pytest.fixture
def told(desk: Desk) -> list[dict[str, Any]]:
    """The bodies of a log in which one was given and used once; the use is last."""
    desk.give(max_uses=1)
    assert desk.verdict() == "allow"
    entries = Entry.objects.filter(log_id=desk.cast.acme.log_id).order_by("index")
    return [json.loads(bytes(entry.body)) for entry in entries]


def planted(body: dict[str, Any], bodies: list[dict[str, Any]]) -> dict[str, Any]:
    given = next(each for each in bodies if each["type"] == standing.GIVEN)
    state: dict[str, Any] = given["data"]["rows"][0]["state"]
    return state


PLANTS: list[tuple[str, Callable[[dict[str, Any], list[dict[str, Any]]], Any]]] = [
    ("never given", lambda use, all_: use["data"].update(standing_approval="sta_x")),
    ("another agent", lambda use, all_: planted(use, all_).update(tool="mail.read")),
    ("another agent", lambda use, all_: planted(use, all_).update(declaration="0")),
    ("another policy", lambda use, all_: planted(use, all_).update(policy="pol_x")),
    ("another session", lambda use, all_: planted(use, all_).update(any_session=False, session="monday")),
    ("all of that", lambda use, all_: planted(use, all_).update(lifts=[])),
    ("ended", lambda use, all_: planted(use, all_).update(expires_at=use["time"])),
    ("used up", lambda use, all_: planted(use, all_).update(max_uses=0)),
    ("has ended", lambda use, all_: all_.insert(-1, revocation(all_))),
    ("has ended", lambda use, all_: all_.insert(-1, step(all_, "agent"))),
    ("has ended", lambda use, all_: all_.insert(-1, step(all_, "workspace"))),
    ("has ended", lambda use, all_: all_.insert(-1, publication(all_))),
]


def revocation(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    found = deepcopy(next(each for each in bodies if each["type"] == standing.GIVEN))
    found["type"] = standing.REVOKED
    found["data"]["rows"][0]["state"]["revoked_at"] = found["time"]
    return found


def publication(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    found = deepcopy(next(each for each in bodies if each["type"] == "governance.policy.published"))
    found["data"]["revision"] = bodies[-1]["data"]["revision"]
    return found


def step(bodies: list[dict[str, Any]], scope: str) -> dict[str, Any]:
    return {**bodies[-1], "type": "governance.containment.changed", "data": {"scope": scope, "to": "active"}}


def problems(bodies: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """What the two readers of a log say of these bodies."""
    ours, theirs = Conduct(), verify.Conduct()
    said = [finding.message for body in bodies for finding in ours.read(body, {})]
    return said, [problem for body in bodies for problem in theirs.read(body)]


def test_both_readers_of_a_log_accept_what_was_given(told: list[dict[str, Any]]) -> None:
    assert problems(told) == ([], [])


def test_both_readers_of_a_log_name_what_was_planted(told: list[dict[str, Any]]) -> None:
    for words, plant in PLANTS:
        bodies = deepcopy(told)
        plant(bodies[-1], bodies)
        ours, theirs = problems(bodies)
        assert len(ours) == 1, (words, ours)
        assert words in ours[0], (words, ours)
        assert len(theirs) == 1, (words, theirs)
        assert words in theirs[0], (words, theirs)
