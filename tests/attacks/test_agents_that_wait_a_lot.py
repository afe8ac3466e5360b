"""An agent that holds the gate's connections by waiting for its approvals again and again."""

import pytest

from gate import approvals
from tests.cast import Cast
from tests.gate.conftest import REFUND, Bot

pytestmark = pytest.mark.django_db(transaction=True)


def test_no_more_waits_of_an_agent_than_the_gate_holds(
    support: Bot, policy: None, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = support.check(REFUND, {"invoice": "1", "amount": 500})
    address = f"/v1/approvals/{asked['approval']['id']}"
    monkeypatch.setattr(approvals, "MOST_WAITS", 1)
    for _ in range(2):  # one after the other
        told = support.client.get(f"{address}?wait=1", headers=support.headers)
        assert told.json()["status"] == "pending"
    assert not approvals.waits
    approvals.waits[cast.support_bot.pk] = 1  # as while another one waits
    try:
        assert support.problem("GET", f"{address}?wait=1") == (429, "too_many_requests")
        assert support.client.get(address, headers=support.headers).json()["status"] == "pending"
    finally:
        approvals.waits.clear()
