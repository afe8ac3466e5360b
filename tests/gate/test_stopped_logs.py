"""An agent whose workspace's log is stopped is refused, and told that asking again is not enough."""

import pytest
from starlette.testclient import TestClient

from audit import watermarks
from audit.models import Entry, Head
from tests.cast import Cast
from tests.gate.conftest import Bot

pytestmark = pytest.mark.django_db(transaction=True)

PATH = {"path": "/srv/reports/q3.csv"}
REPORT = {"tool": "files.read", "arguments": PATH}


@pytest.fixture
def bot(gate: TestClient, cast: Cast) -> Bot:
    return Bot(gate, cast.report_bot_key)


def test_a_halted_log_refuses_every_check(bot: Bot, cast: Cast) -> None:
    Head.objects.filter(log_id=cast.acme.log_id).update(halted="It lost its end.")
    size = Entry.objects.filter(log_id=cast.acme.log_id).count()
    assert bot.problem("POST", "/v1/check", json=REPORT) == (503, "log_halted")
    assert Entry.objects.filter(log_id=cast.acme.log_id).count() == size


def test_a_log_that_went_back_refuses_every_check(bot: Bot, cast: Cast) -> None:
    earlier = Head.objects.get(log_id=cast.acme.log_id)
    assert bot.check("files.read", PATH)["decision"] == "allow"
    Entry.objects.filter(log_id=cast.acme.log_id, index__gte=earlier.size).delete()
    earlier.save()
    assert bot.problem("POST", "/v1/check", json=REPORT) == (503, "log_rolled_back")
    assert bot.problem("POST", "/v1/check", json=REPORT) == (503, "log_rolled_back")
    assert watermarks.marks[str(cast.acme.log.uuid)].refused
