"""What a snapshot hands to conditions."""

import pytest

from governance.conditions import VARIABLES
from governance.snapshot import Snapshot
from tests.cast import Cast


@pytest.mark.django_db
def test_conditions_find_every_documented_field_of_agent_and_tool(cast: Cast) -> None:
    snapshot = Snapshot(cast.acme.log_id)
    agent = snapshot.agent(cast.report_bot.pk)
    assert agent is not None
    assert agent.view.keys() == set(VARIABLES["agent"])
    assert agent.view["id"] == cast.report_bot.public_id
    assert agent.view["purpose"] == "Weekly reports"
    assert snapshot.tools["mail.send"].view.keys() == set(VARIABLES["tool"])
