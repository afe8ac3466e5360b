"""Questions to an agent whose call waits, and what it answers."""

import pytest

from audit import log
from audit.details import read_detail
from audit.models import Entry
from governance import approvals, remarks
from governance.approvals import NotAReviewer, NotPending
from governance.models import Approval, Remark
from governance.remarks import RemarkRefused
from tests.approving import ask, decide, requirement
from tests.cast import Cast, employ
from workspaces.models import User
from workspaces.people import actor_of

pytestmark = pytest.mark.django_db
TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture
def approval(cast: Cast, rita: User) -> Approval:
    return ask(cast.report_bot, [requirement(rita, quorum=1)])


def put(approval: Approval, person: User, text: str = "Which invoice is this about?") -> Remark:
    return remarks.ask(approval, person=person, text=text, actor=actor_of(person))


def answer(approval: Approval, text: str = "Invoice 17.") -> Remark:
    with log.write(approval.workspace.log_id) as entries:
        return remarks.reply(approvals.read(approval), text=text, entries=entries)


def refused(approval: Approval, person: User | None, text: str = "x") -> str:
    with pytest.raises(RemarkRefused) as error:
        put(approval, person, text) if person else answer(approval, text)
    assert str(error.value).endswith(".")
    return error.value.code


def test_a_question_raises_the_version_and_an_answer_does_not(approval: Approval, rita: User) -> None:
    put(approval, rita)
    assert approvals.read(approval).version == 2
    answer(approval)
    assert approvals.read(approval).version == 2
    asked, replied = Remark.objects.order_by("pk")
    assert (asked.person, replied.person) == (rita, None)
    types = Entry.objects.filter(
        index__in=[asked.entry_index, replied.entry_index], log=approval.workspace.log
    )
    assert {entry.type for entry in types} == {remarks.ASKED, remarks.REPLIED}
    assert approvals.read(approval).status == "pending"


def test_the_words_stand_in_details_only_and_without_secrets(approval: Approval, rita: User) -> None:
    remark = put(approval, rita, f"  Is {TOKEN} yours?  ")
    entry = Entry.objects.get(log=approval.workspace.log, index=remark.entry_index)
    assert b"yours" not in bytes(entry.body)
    text = read_detail(approval.workspace.log_id, entry.index)["text"]
    assert text.startswith("Is [withheld:")
    assert text.endswith("yours?")
    answered = answer(approval, f"No, {TOKEN} is not.")
    assert TOKEN not in read_detail(approval.workspace.log_id, answered.entry_index)["text"]


def test_who_may_not_decide_may_not_ask(cast: Cast, approval: Approval, rita: User) -> None:
    ann = employ(cast.acme, "ann@acme.test", "Ann Approver", "approver")
    for person in (cast.otto, cast.olga, cast.sam, ann):
        with pytest.raises(NotAReviewer):
            put(approval, person)
    decide(approval, rita)
    with pytest.raises(NotPending):
        put(approval, rita)
    with pytest.raises(NotPending):
        answer(approval)


def test_who_approved_and_waits_for_others_may_ask_still(cast: Cast, rita: User) -> None:
    ann = employ(cast.acme, "ann@acme.test", "Ann Approver", "approver")
    approval = decide(ask(cast.report_bot, [requirement(rita, ann, quorum=2)]), rita)
    put(approval, rita)


def test_there_are_limits(approval: Approval, rita: User) -> None:
    assert refused(approval, None) == "nothing_asked"
    assert refused(approval, rita, "  ") == "bad_remark"
    assert refused(approval, rita, "x" * (remarks.LONGEST + 1)) == "bad_remark"
    put(approval, rita)
    answer(approval)
    assert refused(approval, None) == "nothing_asked"
    for _ in range(remarks.MOST - 2):
        put(approval, rita)
    assert refused(approval, rita) == "too_many_remarks"
    assert refused(approval, None) == "too_many_remarks"
