"""manage.py budgets --check names what does not add up."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import limits
from billing.models import Account, Budget, Hold
from tests.cast import ACTOR, Cast
from tests.gate.conftest import Bot
from tests.gate.test_settling import CENT, read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def day(cast: Cast, reporter: Bot) -> Budget:
    """A dollar a day, of which ten cents are spent and ten are held."""
    row = limits.set_budget(
        cast.acme, agent=cast.report_bot, window="day", limit_amount=100 * CENT, actor=ACTOR
    ).row
    reporter.report(read(reporter), status="succeeded")
    read(reporter)
    return row


def findings() -> list[str]:
    """What the command finds; its exit code is as its help says."""
    told = StringIO()
    try:
        call_command("budgets", "--check", "acme", "--json", stdout=told)
        code = 0
    except CommandError as error:
        code = error.returncode
    document = json.loads(told.getvalue())
    assert code == (0 if document["sound"] else 1)
    found: list[str] = document["findings"]
    return found


def test_what_agrees_is_summed_up(day: Budget) -> None:
    told = StringIO()
    call_command("budgets", "--check", "acme", stdout=told)
    assert told.getvalue() == (
        "acme: 2 charges of $0.10 and 0 tokens, in flight $0.10 and 0 tokens, 1 accounts: all agree\n"
    )


def test_an_account_that_was_changed_is_named(day: Budget) -> None:
    Account.objects.update(spent=10 * CENT - 1)
    (found,) = findings()
    assert day.public_id in found


def test_a_limit_that_is_not_the_budgets_is_named(day: Budget) -> None:
    Account.objects.update(limit_amount=101 * CENT)
    assert len(findings()) == 1


def test_a_charge_that_was_changed_disagrees_with_account_and_log(day: Budget) -> None:
    Hold.objects.filter(state="settled").update(charged_nanos=1)
    assert len(findings()) == 2


def test_a_charge_that_is_gone_is_missed_by_account_and_log(day: Budget) -> None:
    Hold.objects.filter(state="held").delete()
    assert len(findings()) == 2


def test_another_workspace_is_not_there(cast: Cast) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("budgets", "--check", "nowhere")
    assert refused.value.returncode == 2
