"""An agent with a key of its own tries to get more than it was given: by other names, other claims, other times."""

from typing import Any

from audit.log import write
from governance import containment, policies, reviewers
from governance.memory import LABEL_SECONDS
from governance.models import AgentState, Approval
from tests.approving import decide
from tests.cast import Cast
from tests.gate.conftest import Bot
from workspaces import agents

MAIL = {"to": "ann@customers.test", "subject": "Hello", "body": "Hello"}
REPORT = {"path": "/srv/reports/q3.csv"}
REFUND = {"invoice": "7", "amount": 200}


def approval_in(answer: dict[str, Any]) -> Approval:
    return Approval.objects.select_related("workspace", "agent").get(public_id=answer["approval"]["id"])


def let_time_pass(seconds: float) -> None:
    """Move what agents are remembered by into the past."""
    for state in AgentState.objects.all():
        state.labels = {label: at - seconds for label, at in state.labels.items()}
        state.sessions = [at - seconds for at in state.sessions]
        state.save()


def test_a_session_over_the_ceiling_stays_refused(cast: Cast, reporter: Bot) -> None:
    agents.change_agent(cast.report_bot, sessions_per_hour=1, actor="system")
    assert reporter.check("files.read", REPORT, session="one")["decision"] == "allow"
    for _ in range(3):
        answer = reporter.check("files.read", REPORT, session="two")
        assert (answer["decision"], answer["code"]) == ("deny", "rate_limited")
    assert reporter.check("files.read", REPORT, session="one")["decision"] == "allow"


def test_a_denied_call_does_not_begin_a_session_for_later(cast: Cast, reporter: Bot) -> None:
    agents.change_agent(cast.report_bot, sessions_per_hour=1, actor="system")
    for session in ("one", "two", "three"):
        reporter.check("no.such.tool", session=session)
    codes = [
        reporter.check("files.read", REPORT, session=session)["code"] for session in ("one", "two", "three")
    ]
    assert codes == ["granted", "rate_limited", "rate_limited"]


def test_nobody_approves_what_is_then_done_in_their_name(cast: Cast, support: Bot, policy: None) -> None:
    """Rita may approve, because the agent says that it acts for nobody; then it acts for Rita."""
    approval = approval_in(support.check("billing.refund", REFUND))
    decide(approval, cast.rita)
    answer = support.check(
        "billing.refund", REFUND, approval=approval.public_id, on_behalf_of="rita@acme.test"
    )
    assert (answer["decision"], answer["code"]) == ("deny", "approval_mismatch")
    assert support.check("billing.refund", REFUND, approval=approval.public_id)["decision"] == "allow"


def test_an_owner_who_gives_the_agent_away_still_does_not_approve_its_call(
    cast: Cast, support: Bot, policy: None
) -> None:
    agents.change_agent(cast.support_bot, owner=cast.rita, acts_for=[], actor="system")
    approval = approval_in(support.check("billing.refund", REFUND))
    assert not reviewers.may_decide(cast.rita, approval, approval.created)
    agents.change_agent(cast.support_bot, owner=cast.otto, actor="system")
    assert not reviewers.may_decide(
        cast.rita, approval_in({"approval": {"id": approval.public_id}}), approval.created
    )


def test_a_session_keeps_the_labels_that_it_started_with(cast: Cast, support: Bot, policy: None) -> None:
    support.check("web.fetch", {"url": "https://x.test/"}, session="reads")
    assert support.check("files.read", REPORT, session="sends")["decision"] == "allow"
    let_time_pass(LABEL_SECONDS + 1)
    assert support.check("mail.send", MAIL, session="sends")["decision"] == "deny"


def test_labels_follow_from_a_session_that_goes_on(cast: Cast, support: Bot, policy: None) -> None:
    """It read something from outside long ago, and is still at it: a new name washes nothing off."""
    support.check("web.fetch", {"url": "https://x.test/"}, session="old")
    let_time_pass(LABEL_SECONDS + 1)
    support.check("files.read", REPORT, session="old")
    assert support.check("mail.send", MAIL, session="new")["decision"] == "deny"


def test_a_rest_of_an_hour_and_a_new_session_are_clean(cast: Cast, support: Bot, policy: None) -> None:
    support.check("web.fetch", {"url": "https://x.test/"}, session="old")
    let_time_pass(LABEL_SECONDS + 1)
    assert support.check("mail.send", MAIL, session="new")["decision"] == "allow"


def test_what_was_read_while_observed_still_labels(cast: Cast, reporter: Bot) -> None:
    """No grant, yet allowed because it is only observed: the content that came in is no cleaner for that."""
    with write(cast.acme.log_id):
        agents.set_agent_roles(cast.report_bot, {}, actor="system")
        containment.set_standing(
            cast.report_bot, "observe", reason="Onboarding", actor="cli:t@h", person=None
        )
    answer = reporter.check("web.fetch", {"url": "https://x.test/"})
    assert (answer["decision"], answer["would"]) == ("allow", "deny")
    assert "untrusted_output" in AgentState.objects.get(agent=cast.report_bot).labels


def test_an_empty_argument_is_the_same_call_again(cast: Cast, support: Bot) -> None:
    rules = [{"name": "No loops", "when": "session.repeats >= 2", "effect": "deny"}]
    policies.publish(policies.draft(cast.acme, rules, actor="system"), actor="system")
    answers = [support.check("files.read", REPORT | {f"x{number}": None}) for number in range(3)]
    assert [answer["decision"] for answer in answers] == ["allow", "allow", "deny"]


def test_a_rejected_call_is_not_had_by_its_id_or_key_again(cast: Cast, support: Bot, policy: None) -> None:
    more: dict[str, Any] = {"call_id": "c1", "headers": {"idempotency-key": "k1"}}
    approval = approval_in(support.check("billing.refund", REFUND, **more))
    decide(approval, cast.rita, approve=False)
    answer = support.check("billing.refund", REFUND, **more)
    assert (answer["decision"], answer["code"]) == ("deny", "approval_rejected")


def test_an_approval_does_not_serve_another_agent_amount_or_epoch(
    cast: Cast, support: Bot, reporter: Bot, policy: None
) -> None:
    approval = approval_in(support.check("billing.refund", REFUND))
    decide(approval, cast.rita)
    agents.set_agent_roles(cast.report_bot, dict.fromkeys(cast.roles.values()), actor="system")
    agents.change_agent(cast.report_bot, labels=["customer-facing"], actor="system")
    assert (
        reporter.check("billing.refund", REFUND, approval=approval.public_id)["code"] == "approval_mismatch"
    )
    dearer = REFUND | {"amount": 200.01}
    assert support.check("billing.refund", dearer, approval=approval.public_id)["code"] == "approval_mismatch"
    for standing in ("suspended", "active"):
        containment.set_standing(cast.support_bot, standing, reason="x", actor="cli:t@h", person=None)
    assert support.check("billing.refund", REFUND, approval=approval.public_id)["code"] == "approval_expired"


def test_an_allow_is_not_repeated_after_a_containment_step(cast: Cast, support: Bot, policy: None) -> None:
    more: dict[str, Any] = {"call_id": "c2", "headers": {"idempotency-key": "k2"}}
    assert support.check("files.read", REPORT, **more)["decision"] == "allow"
    containment.set_standing(cast.acme, "suspended", reason="x", actor="cli:t@h", person=None)
    assert support.check("files.read", REPORT, **more)["code"] == "contained"
