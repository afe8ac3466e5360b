"""The chart of a flow, with where a process stands."""

import re
from xml.etree import ElementTree

import pytest

from governance import approvals
from governance.flow_charts import chart
from governance.flows import ApprovalFlow
from governance.models import Approval
from tests import approving
from tests.cast import Cast


def drawn(approval: Approval) -> str:
    return str(chart(ApprovalFlow, Approval.objects.get(pk=approval.pk).process))


def words(svg: str) -> str:
    """What the chart tells who cannot see it."""
    found = re.search(r"<desc[^>]*>(.*?)</desc>", svg)
    assert found
    return found[1]


def test_a_chart_is_one_picture_without_styles_of_its_own_and_has_a_name(cast: Cast) -> None:
    svg = str(chart(ApprovalFlow, None))
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    named = {each.get("id") for each in root.iter() if each.get("id")}
    assert set((root.get("aria-labelledby") or "").split()) <= named
    assert "style" not in svg
    assert "It stands at" not in words(svg)
    assert " now" not in svg


def test_it_tells_where_the_process_stands_and_what_came_before(
    cast: Cast, django_assert_num_queries
) -> None:
    approval = approving.ask(cast.support_bot, [approving.requirement(cast.rita, cast.otto, quorum=2)])
    assert "It stands at" not in words(drawn(approval))
    approvals.start(approval)
    assert "It stands at: Review." in words(drawn(approval))
    assert drawn(approval).count("● now") == 1
    approving.decide(approval, cast.rita, approve=False)
    ended = words(drawn(approval))
    assert "It stands at" not in ended
    assert "Reject" in ended.partition("Not reached")[0]
    assert "Approve" in ended.partition("Not reached")[2]
    process = Approval.objects.get(pk=approval.pk).process
    with django_assert_num_queries(1):
        chart(ApprovalFlow, process)


@pytest.mark.parametrize("name", ["<script>", "a & b"])
def test_a_name_is_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ApprovalFlow.instance.review, "task_title", name)
    svg = str(chart(ApprovalFlow, None))
    assert name in "".join(ElementTree.fromstring(svg).itertext())
