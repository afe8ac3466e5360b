"""Agents ask for what they were denied; owner and steward grant it for a time, to that agent alone."""

import json
from datetime import timedelta
from typing import Any

import pytest

from audit import canonical
from audit.details import read_detail
from audit.models import Owed
from governance import access_requests, checks, containment, proposals, snapshot
from governance.access_requests import AccessRefused
from governance.models import Proposal
from governance.proposals import NotADecider, NotReady
from governance.requests import Caller, CheckRequest
from tests.cast import ACTOR, Cast, employ
from tests.portal import body_of, latest
from workspaces import access, agents, catalog
from workspaces.identifiers import key_digest
from workspaces.models import Agent, Resource, Standing, User

pytestmark = pytest.mark.django_db(transaction=True)
Status = Proposal.Status


class Newcomer:
    """An agent of olga's that was given nothing, and asks."""

    def __init__(self, cast: Cast, name: str = "newcomer") -> None:
        snapshot.forget()
        self.agent = agents.create_agent(cast.acme, name, owner=cast.olga, actor=ACTOR)
        _, text = agents.create_key(self.agent, actor=ACTOR)
        self.caller = Caller(cast.acme.log_id, self.agent.pk, text[4:12], key_digest(text))

    def call(self, tool: str, **arguments: Any) -> str:
        """The code of one call's answer."""
        named = canonical.encode({"tool": tool, "arguments": arguments})
        (answer,) = checks.admit(self.caller.log_id, [CheckRequest(self.caller, tool, arguments, named[:32])])
        assert isinstance(answer, bytes)
        return str(json.loads(answer)["code"])


@pytest.fixture
def bot(cast: Cast) -> Newcomer:
    return Newcomer(cast)


@pytest.fixture
def stella(cast: Cast) -> User:
    """The steward of acme's reports, who is an auditor and nothing else."""
    stella = employ(cast.acme, "stella@acme.test", "Stella Steward", "auditor")
    reports = cast.resources["reports"]
    catalog.set_resource(
        cast.acme, name="reports", pattern=reports.pattern, labels=reports.labels, steward=stella, actor=ACTOR
    )
    return stella


def work() -> list[str]:
    rows = list(Owed.objects.filter(kind=proposals.START, done_at=None))
    Owed.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return [access_requests.start_proposal(row.payload) for row in rows]


def asked(bot: Newcomer, **wanted: Any) -> Proposal:
    row = access_requests.request(
        bot.agent, **{"tool": "files.read", "hours": 2, "reason": "for the report", **wanted}
    )
    work()
    return proposals.read(row)


def test_owner_and_steward_grant_it_for_a_time_to_the_agent_alone(
    cast: Cast, bot: Newcomer, stella: User
) -> None:
    assert bot.call("files.read", path="/srv/reports/q3.csv") == "no_permission"
    proposal = asked(bot)
    assert [wanted["who"] for wanted in proposal.requirements] == [
        "newcomer's owner",
        "the steward of reports",
    ]
    for person in (cast.rita, cast.otto, cast.sam):
        with pytest.raises(NotADecider):
            proposals.decide(proposal, person=person, approve=True)
    assert proposals.decide(proposal, person=cast.olga, approve=True).status == Status.PENDING
    assert bot.call("files.read", path="/srv/reports/q3.csv") == "no_permission"
    settled = proposals.decide(proposal, person=stella, approve=True)
    assert settled.status == Status.APPROVED
    assert bot.call("files.read", path="/srv/reports/q3.csv") == "granted"
    assert bot.call("files.read", path="/etc/passwd") == "no_permission"
    lines = access.grants_of(bot.agent)
    assert {(line.permission, str(line.target)) for line in lines} == {
        ("use", "files.read"),
        ("read", "reports"),
    }
    entry = cast.acme.log.entries.get(type="governance.proposal.settled")
    for line in lines:
        assert line.expires_at is not None
        assert line.expires_at - entry.time <= timedelta(hours=2)
    assert body_of(entry)["data"]["approved_by"] == [cast.olga.public_id, stella.public_id]
    other = Newcomer(cast, "another")
    assert other.call("files.read", path="/srv/reports/q3.csv") == "no_permission"


def test_only_what_was_denied_lately_can_be_asked_for(cast: Cast, bot: Newcomer) -> None:
    with pytest.raises(AccessRefused, match="was denied to this agent"):
        asked(bot)
    bot.call("files.read", path="/srv/reports/q3.csv")
    for wanted in (
        {"tool": "mail.send"},
        {"action": "write", "resource": "file:///srv/reports/q3.csv"},
        {"action": "read", "resource": "file:///etc/passwd"},
    ):
        with pytest.raises(AccessRefused) as refused:
            asked(bot, **wanted)
        assert refused.value.code == "not_denied"
    neighbor = Newcomer(cast, "neighbor")
    with pytest.raises(AccessRefused):
        asked(neighbor)
    for hours in (0, 721):
        with pytest.raises(AccessRefused, match="1 to 720 hours"):
            asked(bot, hours=hours)
    assert asked(bot, action="read", resource="file:///srv/reports/q3.csv").status == Status.PENDING


def test_what_the_agent_says_is_kept_out_of_rows_and_bodies(cast: Cast, bot: Newcomer) -> None:
    bot.call("mail.send", to="ann@customers.test", subject="s", body="b")
    proposal = asked(bot, tool="mail.send", reason="Ann asked; sk-ant-api03-" + "a" * 95)
    everything = str(vars(proposal)) + str(
        body_of(cast.acme.log.entries.get(type="governance.proposal.opened"))
    )
    assert "ann@customers.test" not in everything
    detail = read_detail(cast.acme.log_id, proposal.content["entry"])
    assert "Ann asked" in detail["reason"]
    assert "sk-ant" not in detail["reason"]
    assert {"permission": "send", "of": "mailto:ann@customers.test"} in detail["needs"]
    told = access_requests.told(proposal)
    assert {"permission": "send", "resource": "mailto:ann@customers.test"} in told["needs"]


def test_without_a_steward_another_owner_agrees(cast: Cast, bot: Newcomer) -> None:
    omar = employ(cast.acme, "omar@acme.test", "Omar Owner", "owner")
    bot.call("files.read", path="/srv/reports/q3.csv")
    proposal = asked(bot)
    assert proposals.decide(proposal, person=cast.olga, approve=True).status == Status.PENDING
    assert proposals.decide(proposal, person=omar, approve=True).status == Status.APPROVED


def test_an_owner_who_is_the_steward_answers_once(cast: Cast, bot: Newcomer) -> None:
    reports = cast.resources["reports"]
    catalog.set_resource(
        cast.acme,
        name="reports",
        pattern=reports.pattern,
        labels=reports.labels,
        steward=cast.olga,
        actor=ACTOR,
    )
    bot.call("files.read", path="/srv/reports/q3.csv")
    assert proposals.decide(asked(bot), person=cast.olga, approve=True).status == Status.APPROVED


def test_what_no_resource_covers_takes_somebody_who_manages_resources(cast: Cast, bot: Newcomer) -> None:
    dora = employ(cast.acme, "dora@acme.test", "Dora Dev", "developer")
    bot.call("files.read", path="/home/ann/notes.txt")
    proposal = asked(bot)
    assert proposal.content["needs"][0]["on"] == "new" or proposal.content["needs"][1]["on"] == "new"
    assert proposals.decide(proposal, person=cast.olga, approve=True).status == Status.PENDING
    assert not Resource.objects.filter(pattern="file:///home/ann/notes.txt").exists()
    assert proposals.decide(proposal, person=dora, approve=True).status == Status.APPROVED
    assert Resource.objects.filter(workspace=cast.acme, pattern="file:///home/ann/notes.txt").exists()
    assert bot.call("files.read", path="/home/ann/notes.txt") == "granted"
    assert bot.call("files.read", path="/home/ann/other.txt") == "no_permission"


def test_the_same_is_asked_once_and_five_at_most(cast: Cast, bot: Newcomer) -> None:
    for number in range(6):
        bot.call("files.read", path=f"/srv/reports/{number}.csv")
    first = asked(bot, action="read", resource="file:///srv/reports/0.csv")
    assert asked(bot, action="read", resource="file:///srv/reports/0.csv") == first
    for number in range(1, 5):
        asked(bot, action="read", resource=f"file:///srv/reports/{number}.csv")
    with pytest.raises(AccessRefused) as refused:
        asked(bot, action="read", resource="file:///srv/reports/5.csv")
    assert (refused.value.code, refused.value.status) == ("too_many_requests", 429)
    assert Proposal.objects.count() == 5


def test_a_contained_agent_asks_for_nothing(cast: Cast, bot: Newcomer) -> None:
    bot.call("files.read", path="/srv/reports/q3.csv")
    containment.set_standing(bot.agent, Standing.SUSPENDED, reason="odd", actor="cli:otto@host", person=None)
    with pytest.raises(AccessRefused) as refused:
        asked(bot)
    assert refused.value.code == "contained"


def test_a_resource_that_means_something_else_by_now_is_not_granted(cast: Cast, bot: Newcomer) -> None:
    bot.call("files.read", path="/srv/reports/q3.csv")
    proposal = asked(bot)
    catalog.set_resource(cast.acme, name="reports", pattern="file:///srv/*", actor=ACTOR)
    settled = proposals.decide(proposal, person=cast.olga, approve=True)
    assert settled.status == Status.CANCELLED
    assert "means something else" in settled.outcome
    assert access.grants_of(bot.agent) == []


def test_an_agent_finds_its_own_requests_only(cast: Cast, bot: Newcomer) -> None:
    bot.call("files.read", path="/srv/reports/q3.csv")
    proposal = asked(bot)
    assert access_requests.find(bot.agent, proposal.public_id) == proposal
    assert access_requests.find(Agent.objects.get(pk=cast.report_bot.pk), proposal.public_id) is None
    assert latest(cast.acme).type == "governance.proposal.opened"


def test_whom_a_gate_names_as_deciders_counts_for_nothing(cast: Cast, bot: Newcomer) -> None:
    bot.call("files.read", path="/srv/reports/q3.csv")
    row = access_requests.request(bot.agent, tool="files.read")
    forged = [{"who": "otto", "people": [cast.otto.pk], "permission": "view_workspace", "quorum": 1}]
    Proposal.objects.filter(pk=row.pk).update(requirements=forged, content={**row.content, "hours": 10**6})
    with pytest.raises(NotReady):
        proposals.decide(row, person=cast.otto, approve=True)
    work()
    with pytest.raises(NotADecider):
        proposals.decide(row, person=cast.otto, approve=True)
    assert proposals.read(row).content["hours"] == 720
    Proposal.objects.filter(pk=row.pk).update(requirements=forged, kind="tool")
    with pytest.raises(NotADecider):
        proposals.decide(row, person=cast.otto, approve=True)
