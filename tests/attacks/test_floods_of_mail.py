"""An agent that asks what nobody can answer, takes it back, and asks the next, to bury its owner in mail."""

import pytest
from django.core import mail as outgoing
from django.utils import timezone

from governance import approvals, mail
from governance.models import Approval
from tests.approving import ask, requirement
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def test_an_owner_hears_of_a_flood_some_times(cast: Cast) -> None:
    owner = cast.support_bot.owner
    for _ in range(3 * mail.MOST):
        approval = ask(cast.support_bot, [requirement(owner)])  # whose answer never counts
        approvals.start(approval)
        assert Approval.objects.get(pk=approval.pk).unreachable_since is not None
        mail.mail_unreachable({"approval": approval.public_id})
        approvals.cancel(approval, actor=f"agent:{cast.support_bot.public_id}", reason="")
    assert len(outgoing.outbox) == mail.MOST
    Approval.objects.update(unreachable_since=timezone.now() - mail.SPAN)
    late = ask(cast.support_bot, [requirement(owner)])
    approvals.start(late)
    assert mail.mail_unreachable({"approval": late.public_id}).endswith(" mailed")
