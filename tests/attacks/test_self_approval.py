"""The matrix of self-approval: everybody who is two things at once, at every door.

Each person here is a pair of identities, and each has a call of their own that waits: asked by an agent that they own,
made in their name, with their key, under their rule, of a group that they left, and so on. Whoever had a part in asking
must find every door shut, however else they were named; and who had none must find them open.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from io import StringIO
from itertools import combinations_with_replacement
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoDbBlocker

from audit import log
from governance import absences, approvals, edits, links, policies, reviewers, snapshot, standing
from governance.approvals import NotAReviewer
from governance.edits import EditRefused
from governance.models import Approval, ApprovalLink, Vote
from governance.ruleset import digest_of_rule
from governance.standing import StandingRefused
from tests.approving import ARGUMENTS, ask
from tests.cast import ACTOR, Cast, assemble, employ
from tests.portal import enter
from workspaces import agents, people
from workspaces.access import may, tokens
from workspaces.models import ReviewerGroup, User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db

ASKED_FOR = ["owner", "principal", "key creator", "rule author"]  # who had a part in the asking
DEPUTIES = [f"deputy of {each}" for each in ASKED_FOR]
IDENTITIES = [
    *ASKED_FOR,
    *DEPUTIES,
    "superuser",  # named by the rule, with no role in the workspace
    "member",  # of the group that is asked
    "late member",  # joined it after the asking
    "former member",  # left it after the asking
    "former role holder",
    "outsider",  # an auditor whom nobody asks
    "reviewer",  # named by the rule
]
ROLELESS = {"superuser", "outsider", "former role holder"}
PAIRS = [frozenset(pair) for pair in combinations_with_replacement(IDENTITIES, 2)]
NAMED = [pair for pair in PAIRS if pair & {"reviewer", "member"}]
ALONE = [pair for pair in PAIRS if len(pair) == 1]
DAY = timedelta(days=1)


def name_of(pair: frozenset[str]) -> str:
    return " and ".join(sorted(pair))


def counts(pair: frozenset[str]) -> bool:
    """Whether the answer of somebody who is these two counts: they were asked and still are, hold the role, and had no
    part in the asking. Written apart from the code that it judges."""
    if pair & set(ASKED_FOR) or "former role holder" in pair or pair <= ROLELESS:
        return False
    asked_in_group = bool(pair & {"member", "former member"})
    in_group_now = "late member" in pair or ("member" in pair and "former member" not in pair)
    return bool(pair & {"reviewer", "superuser"}) or (asked_in_group and in_group_now)


@dataclass
class World:
    """acme with a person and a waiting call for each pair."""

    cast: Cast
    vera: User  # a reviewer of every call
    group: ReviewerGroup
    people: dict[frozenset[str], User] = field(default_factory=dict)
    calls: dict[frozenset[str], Approval] = field(default_factory=dict)

    def call(self, pair: frozenset[str]) -> Approval:
        return approvals.read(self.calls[pair])

    def join(self, *kinds: str, but: str = "") -> None:
        """Make the group those who are one of these kinds."""
        members = [who for pair, who in self.people.items() if pair & set(kinds) and pair != {"superuser"}]
        gone = [who for pair, who in self.people.items() if but in pair and "late member" not in pair]
        wanted = [who for who in members if who not in gone]
        people.set_reviewer_group(self.cast.acme, name="asked", people=wanted, actor=ACTOR)


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """Built once, in a transaction that never commits; each test works in a savepoint of its own."""
    with django_db_blocker.unblock(), transaction.atomic():
        snapshot.forget()
        yield build()
        transaction.set_rollback(True)
    snapshot.forget()


def build() -> World:
    cast = assemble()
    logs = (log.installation_log_id(), cast.acme.log_id)
    with log.write(*logs):
        vera = employ(cast.acme, "vera@acme.test", "Vera", "approver")
        group = people.set_reviewer_group(cast.acme, name="asked", people=[vera], actor=ACTOR).row
        world = World(cast, vera, group)
        for number, pair in enumerate(PAIRS):
            roles = () if pair == {"superuser"} else ("auditor",) if pair <= ROLELESS else ("approver",)
            person = employ(cast.acme, f"p{number}@acme.test", name_of(pair), *roles)
            if "superuser" in pair:
                people.set_operator(person, True, actor=ACTOR)
            world.people[pair] = person
        world.join("member", "former member")
    for number, pair in enumerate(PAIRS):
        with log.write(*logs):
            absent = away_for(world, number, pair)
        digest = drafted(world, number, pair, absent)
        with log.write(*logs):
            world.calls[pair] = open_call(world, pair, absent, digest)
    for call in world.calls.values():
        approvals.start(call)
    with log.write(*logs):
        world.join("member", "late member", but="former member")
        for pair, person in world.people.items():
            if "former role holder" in pair:
                people.set_roles(cast.acme, person, roles=["auditor"], actor=ACTOR)
    return world


def away_for(world: World, number: int, pair: frozenset[str]) -> dict[str, User]:
    """Who had a part in the asking, is a reviewer too, and is away with this person as their deputy; by which part."""
    found = {}
    for part in [each.removeprefix("deputy of ") for each in pair & set(DEPUTIES)]:
        absent = employ(world.cast.acme, f"{part[:3]}{number}@acme.test", f"absent {part}", "approver")
        now = timezone.now()
        absences.record(
            world.cast.acme,
            absent,
            starts=now,
            ends=now + DAY,
            deputy=world.people[pair] if pair - ROLELESS else None,
            actor=actor_of(absent),
        )
        found[part] = absent
    return found


def drafted(world: World, number: int, pair: frozenset[str], absent: dict[str, User]) -> str:
    """The digest of a rule that one of them wrote, empty where none of them did."""
    author = world.people[pair] if "rule author" in pair else absent.get("rule author")
    if author is None:
        return ""
    rule = {"name": f"Rule {number}", "tools": ["files.read"], "effect": "require_approval",
            "approval": {"reviewers": ["group:asked"]}}  # fmt: skip
    version = policies.draft(world.cast.acme, [rule], actor=actor_of(author))
    return digest_of_rule(policies.read(version.content)[0])


def open_call(world: World, pair: frozenset[str], absent: dict[str, User], digest: str) -> Approval:
    """The call that waits for vera and, as far as the pair says so, for its person."""
    person, bot = world.people[pair], world.cast.support_bot
    parts = {part: person if part in pair else absent.get(part) for part in ASKED_FOR}
    if (owner := parts["owner"]) is not None:
        bot = agents.create_agent(world.cast.acme, f"bot-{person.pk}", owner=owner, actor=ACTOR)
    key = ""
    if (creator := parts["key creator"]) is not None:
        row = agents.create_key(bot, actor=ACTOR, created_by=creator)[0]
        agents.revoke_key(row, actor=ACTOR)
        key = row.prefix
    named = [world.vera, *absent.values(), *([person] if pair & {"reviewer", "superuser"} else [])]
    members = list(world.group.members.order_by("person").values_list("person_id", flat=True))
    direct = sorted(each.pk for each in named)
    requirement = {
        "rule": "Mail is looked at",
        "digest": digest,
        "ask": "",
        "message": "",
        "reviewers": sorted({*direct, *members}),
        "direct": direct,
        "groups": {str(world.group.pk): members},
        "owner": absent["owner"].pk if "owner" in absent else bot.owner_id,
        "owner_counts": False,
        "quorum": 1,
        "veto": True,
        "escalate": [],
    }
    call = ask(bot, [requirement], on_behalf_of=parts["principal"])
    Approval.objects.filter(pk=call.pk).update(key=key)
    return call


# The doors. Each says whether the answer was taken.


def by_page(world: World, person: User, call: Approval) -> bool:
    browser, address = enter(person), reverse("admin:governance_approval_decide", args=[call.pk])
    answer = browser.post(address, {"decision": "approve"})
    assert answer.status_code in (302, 403, 404), answer.status_code
    return call.votes.exists()


def by_api_in_a_session(world: World, person: User, call: Approval) -> bool:
    return taken(call, enter(person))


def by_token(world: World, person: User, call: Approval) -> bool:
    _, text = tokens.create_token(person, name="script", scope="write", actor=actor_of(person))
    return taken(call, Client(headers={"authorization": f"Bearer {text}"}))


def taken(call: Approval, client: Client) -> bool:
    address = f"/api/v1/workspaces/acme/approvals/{call.public_id}/decide"
    answer = client.post(address, {"approve": True}, content_type="application/json")
    assert answer.status_code in (200, 403, 404), answer.content
    return call.votes.exists()


def by_link(world: World, person: User, call: Approval) -> bool:
    """With the link and code of a mail, even to somebody who should never have got one."""
    link, _ = ApprovalLink.objects.get_or_create(approval=call, person=person)
    issued = links.issue(link, now=timezone.now())
    answer = Client().post(f"/a/{issued.token}/", {"decision": "approve", "code": issued.code})
    assert answer.status_code in (200, 403, 410), answer.status_code
    return call.votes.exists()


def by_command(world: World, person: User, call: Approval) -> bool:
    options = {"stdout": StringIO(), "stderr": StringIO()}
    with suppress(CommandError):
        call_command("approvals", "approve", call.public_id, "--as", person.email, **options)
    return call.votes.exists()


def by_edit(world: World, person: User, call: Approval) -> bool:
    arguments = {**ARGUMENTS, "subject": "Edited"}
    try:
        edits.edit(call, person=person, arguments=arguments, comment="", actor=actor_of(person))
    except NotAReviewer:
        return False
    except EditRefused:
        return True  # it would have counted; what may be put in the call's place is another question
    return call.votes.exists()


def by_standing_approval(world: World, person: User, call: Approval) -> bool:
    try:
        standing.give(
            call,
            person=person,
            until=timezone.now() + DAY,
            max_uses=5,
            reason="It asks all the time.",
            actor=actor_of(person),
        )
    except NotAReviewer:
        return False
    except StandingRefused:
        return True  # the answer counted; what it asked for ahead is another question
    return True


def by_function(world: World, person: User, call: Approval) -> bool:
    now = timezone.now()
    why = reviewers.why_not(person, call, now)
    assert (why == "") == reviewers.may_decide(person, call, now)
    try:
        approvals.decide(
            call,
            person=person,
            approve=True,
            comment="",
            known_by=Vote.KnownBy.SESSION,
            actor=actor_of(person),
        )
    except NotAReviewer:
        return False
    return True


def by_inbox(world: World, person: User, call: Approval) -> bool:
    """Whether they are shown it as theirs to answer."""
    return reviewers.inbox(person, timezone.now()).filter(pk=call.pk).exists()


Door = Callable[[World, User, Approval], bool]
QUICK: list[Door] = [by_function, by_inbox, by_edit, by_standing_approval]
SLOW: list[Door] = [by_page, by_api_in_a_session, by_token, by_link, by_command]


def wrong(
    world: World,
    door: Door,
    expected: Callable[[frozenset[str]], bool],
    pairs: list[frozenset[str]] = PAIRS,
) -> list[str]:
    """The pairs for which a door opened and should not have, or the other way round."""
    found = []
    for pair in pairs:
        opened = door(world, User.objects.get(pk=world.people[pair].pk), world.call(pair))
        if opened != expected(pair):
            found.append(f"{name_of(pair)}: {'taken' if opened else 'refused'}")
    return found


def test_the_matrix_has_both_answers() -> None:
    yes = [name_of(pair) for pair in PAIRS if counts(pair)]
    assert len(PAIRS) == 120
    assert {"reviewer", "member", "member and reviewer", "outsider and reviewer"} <= set(yes)
    assert 15 <= len(yes) <= 40


@pytest.mark.parametrize("door", QUICK, ids=lambda door: door.__name__)
def test_no_door_takes_the_answer_of_who_had_a_part_in_asking(world: World, door: Any) -> None:
    assert wrong(world, door, counts) == []


@pytest.mark.parametrize("door", SLOW, ids=lambda door: door.__name__)
def test_no_way_in_takes_it_from_who_was_asked_besides(world: World, door: Any) -> None:
    """The ways that take a request each end in the function that every pair has tried: here, those who are named."""
    assert wrong(world, door, counts, NAMED) == []


def test_joining_the_group_after_the_asking_helps_nobody(world: World) -> None:
    world.join(*IDENTITIES)

    def expected(pair: frozenset[str]) -> bool:
        # Who was asked through the group and is in it again counts again.
        asked = pair & {"member", "former member", "reviewer", "superuser"}
        shut = pair & set(ASKED_FOR) or "former role holder" in pair or pair <= ROLELESS
        return bool(asked) and not shut

    concerned = [pair for pair in PAIRS if len(pair) == 1 or pair & {"member", "late member"}]
    assert wrong(world, by_function, expected, concerned) == []


def test_whoever_becomes_the_owner_after_the_asking_counts_no_more(world: World) -> None:
    def handed_over(world: World, person: User, call: Approval) -> bool:
        agents.change_agent(call.agent, owner=person, actor=ACTOR)
        return by_function(world, person, approvals.read(call))

    assert wrong(world, handed_over, lambda pair: False, NAMED) == []


def test_a_deputy_named_after_the_asking_counts_only_with_no_part_in_it(world: World) -> None:
    """vera, whom every call is asked of, goes away, and names one after the other."""

    def in_her_place(world: World, person: User, call: Approval) -> bool:
        now = timezone.now()
        if not may(person, "decide", world.cast.acme):
            return by_function(world, person, call)
        row = absences.record(
            world.cast.acme, world.vera, starts=now, ends=now + DAY, deputy=person, actor=actor_of(world.vera)
        )
        opened = by_function(world, person, approvals.read(call))
        absences.end(row, actor=actor_of(world.vera))
        return opened

    def expected(pair: frozenset[str]) -> bool:
        return not (pair & set(ASKED_FOR) or "former role holder" in pair or pair <= ROLELESS)

    assert wrong(world, in_her_place, expected, ALONE) == []
