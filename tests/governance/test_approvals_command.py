"""manage.py approvals: the same answers, from the command line."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.actors import command_line
from governance import approvals
from governance.models import Approval, Vote
from governance.naming import annotate
from tests import approving, factors
from tests.cast import Cast
from tests.portal import body_of, latest


def run(capsys: Any, *arguments: str) -> str:
    """What the command says."""
    call_command("approvals", *arguments)
    said: str = capsys.readouterr().out
    return said


def refused(*arguments: str) -> tuple[int, str]:
    """The exit code and message of a command that does nothing."""
    with pytest.raises(CommandError) as error:
        call_command("approvals", *arguments)
    return error.value.returncode, str(error.value)


@pytest.fixture
def waiting(cast: Cast) -> Approval:
    """A mail that waits for rita."""
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)])
    approvals.start(approval)
    return approval


def test_what_waits_is_listed_for_everybody_or_one_person(waiting: Approval, cast: Cast, capsys: Any) -> None:
    assert waiting.public_id in run(capsys, "list")
    assert waiting.public_id in run(capsys, "list", "--as", cast.rita.email, "--workspace", "acme")
    assert run(capsys, "list", "--as", cast.otto.email) == "Nothing waits.\n"
    assert run(capsys, "list", "--workspace", "globex") == "Nothing waits.\n"


def test_a_call_is_shown_to_who_may_see_it_and_that_is_recorded(
    waiting: Approval, cast: Cast, capsys: Any
) -> None:
    said = run(capsys, "show", waiting.public_id, "--as", cast.rita.email)
    assert '"to": "ann@customers.test"' in said
    assert "Resource: mailto:ann@customers.test" in said
    assert "If approved: Nobody else is needed" in said
    assert latest(cast.acme).type == "governance.detail.read"
    assert refused("show", waiting.public_id, "--as", cast.otto.email)[0] == 3


def test_an_answer_names_the_person_and_who_typed(waiting: Approval, cast: Cast, capsys: Any) -> None:
    said = run(capsys, "approve", waiting.public_id, "--as", cast.rita.email, "--reason", "Fine")
    assert json.loads(said) == {"approval": waiting.public_id, "status": "approved"}
    vote = Vote.objects.get()
    assert (vote.person, vote.known_by) == (cast.rita, "command")
    entry = cast.acme.log.entries.get(type="governance.approval.voted")
    assert entry.actor == f"{command_line()} as person:{cast.rita.public_id}"
    assert body_of(entry)["data"]["known_by"] == "command"
    annotate([entry])
    assert getattr(entry, "actor_name") == f"Rita Review ({command_line()})"  # noqa: B009 - no column


def test_a_settled_call_and_who_was_not_asked_have_exit_codes_of_their_own(
    waiting: Approval, cast: Cast, capsys: Any
) -> None:
    code, said = refused("approve", waiting.public_id, "--as", cast.olga.email)
    assert code == 3
    assert "You were not asked" in said
    run(capsys, "reject", waiting.public_id, "--as", cast.rita.email, "--reason", "No")
    assert Approval.objects.get().status == "rejected"
    assert refused("approve", waiting.public_id, "--as", cast.rita.email)[0] == 4
    assert refused("approve", "apr_nothing", "--as", cast.rita.email)[0] == 1
    assert refused("approve", waiting.public_id, "--as", "nobody@acme.test")[0] == 1


def test_risky_calls_take_a_reason_and_a_code_of_the_persons_own(cast: Cast, capsys: Any) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita)], risk="critical")
    secret = factors.enroll(cast.rita)
    words = ["approve", approval.public_id, "--as", cast.rita.email]
    reason = ["--reason", "The customer called, I saw the invoice."]
    assert refused(*words, *reason)[0] == 5
    assert refused(*words, *reason, "--code", "000000")[0] == 5
    assert refused(*words, "--code", factors.code(secret))[0] == 5
    assert not Vote.objects.exists()
    run(capsys, *words, *reason, "--code", factors.code(secret))
    assert Vote.objects.get().second_factor == "totp"


def test_a_call_that_a_reviewer_edited_is_looked_at_again(waiting: Approval, cast: Cast, capsys: Any) -> None:
    Approval.objects.update(round=2)
    code, said = refused("approve", waiting.public_id, "--as", cast.rita.email)
    assert code == 4
    assert "in round 2" in said
    assert "--round" in said
    assert "answer with --round 2" in run(capsys, "show", waiting.public_id, "--as", cast.rita.email)
    run(capsys, "approve", waiting.public_id, "--as", cast.rita.email, "--round", "2")
    assert Approval.objects.get().status == "approved"
