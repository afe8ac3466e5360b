"""Streams in the hands of who may look at them only, and of who presses their buttons all day."""

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from audit import streams
from audit.models import DeadLetter, Owed, Stream
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter

pytestmark = pytest.mark.django_db
HOOK = "https://hooks.example.com/services/T0/B0/pathword?token=queryword"


@pytest.fixture
def stream(cast: Cast) -> Stream:
    row, _ = streams.create(
        cast.acme.log_id, name="siem", kind="webhook", url=HOOK, from_start=True, actor=ACTOR
    )
    return row


def shown(cast: Cast, person: Any, stream: Stream) -> str:
    """All that a person is shown of the stream."""
    browser, caller = enter(person), Caller(person)
    pages = [reverse("streams", args=["acme"]), reverse("stream", args=["acme", stream.public_id])]
    texts = [browser.get(page).content.decode() for page in pages]
    return "".join([*texts, *(str(caller.get(f"workspaces/acme/{each}"))
                              for each in ("streams", f"streams/{stream.public_id}"))])  # fmt: skip


def test_an_auditor_is_not_given_the_password_in_an_address(cast: Cast, stream: Stream) -> None:
    auditor = employ(cast.acme, "aud@acme.test", "Aud", "auditor")
    text = shown(cast, auditor, stream)
    assert "hooks.example.com" in text
    assert "pathword" not in text
    assert "queryword" not in text
    told = shown(cast, cast.olga, stream)
    assert "pathword" in told
    assert "queryword" not in told


def test_a_button_that_is_pressed_often_is_work_done_once(cast: Cast, stream: Stream) -> None:
    """Each press could hold the worker for as long as a sink that hangs."""
    DeadLetter.objects.create(stream=stream, index=0, reason="HTTP 400", time=timezone.now())
    browser = enter(cast.olga)
    for _ in range(5):
        for name in ("stream_test", "stream_again"):
            assert browser.post(reverse(name, args=["acme", stream.public_id])).status_code == 302
    assert sorted(Owed.objects.values_list("kind", flat=True)) == sorted([streams.AGAIN, streams.TEST])
    Owed.objects.update(done_at=timezone.now())
    streams.ask_for_test(stream)
    assert Owed.objects.filter(done_at=None, kind=streams.TEST).count() == 1
