"""What was proposed means something else by the time that somebody agrees to it."""

from collections.abc import Callable

import pytest

from governance import access_requests, proposals, registrations
from governance.models import Proposal
from governance.onboarding import Plan
from governance.risk_answers import QUESTIONS
from tests.asking import check, publish
from tests.cast import Cast, employ
from workspaces import catalog
from workspaces.allowances import Need
from workspaces.declarations import parse_declaration
from workspaces.models import Agent
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
MILD = {question.key: question.answers[0][0] for question in QUESTIONS}
DECLARED = {"name": "crm.read", "action": "read", "risk": "low"}


def widen_resource(cast: Cast, actor: str) -> None:
    catalog.set_resource(cast.acme, name="reports", pattern="file:///**", actor=actor)


def declare_otherwise(cast: Cast, actor: str) -> None:
    declaration = parse_declaration(DECLARED | {"action": "delete", "risk": "critical"})
    catalog.set_tool(cast.acme, declaration=declaration, actor=actor)


def loosen_named_tool(cast: Cast, actor: str) -> None:
    was = cast.tools["files.read"].declaration().as_dict()
    catalog.set_tool(cast.acme, declaration=parse_declaration(was | {"risk": "critical"}), actor=actor)


@pytest.mark.parametrize("change", [widen_resource, declare_otherwise, loosen_named_tool, None])
def test_a_new_agent_gets_what_its_approver_saw_or_nothing(
    cast: Cast, change: Callable[[Cast, str], None] | None
) -> None:
    dora = employ(cast.acme, "dora@acme.test", "Dora Dev", "developer")
    plan = Plan(
        workspace=cast.acme,
        name="crm-bot",
        owner=dora,
        declare=(parse_declaration(DECLARED),),
        needs=(Need("use", "crm.read"), Need("use", "files.read")),
        given=(("read", cast.resources["reports"]),),
    )
    proposal = registrations.register(plan, answers=MILD, person=dora)
    if change is not None:
        change(cast, actor_of(dora))
    settled = proposals.decide(proposal, person=cast.olga, approve=True)
    made = Agent.objects.filter(name="crm-bot").exists()
    if change is None:
        assert (settled.status, made) == (Proposal.Status.APPROVED, True)
    else:
        assert (settled.status, made) == (Proposal.Status.CANCELLED, False)
        assert "is another one by now" in settled.outcome


def test_an_agent_is_offered_the_narrowest_of_what_covers_its_need(cast: Cast) -> None:
    """Of two patterns the longer one may be the wider."""
    for name, pattern in (("odd", "file:///*e*t*c*/*"), ("etc", "file:///etc/*"), ("all", "file:///**")):
        catalog.set_resource(cast.acme, name=name, pattern=pattern, actor="system")
    publish(cast.acme, [])
    denied = check(cast.report_bot, cast.report_bot_key, "files.read", {"path": "/etc/passwd"})
    assert denied["code"] == "no_permission"
    wish = access_requests.request(cast.report_bot, tool="files.read")
    access_requests.start_proposal({"proposal": wish.public_id})
    assert [need["name"] for need in proposals.read(wish).content["needs"]] == ["etc"]
