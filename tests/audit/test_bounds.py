"""What no row of the evidence may say, whoever writes it: the database refuses."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.models import Erasure, Export, Pruning, Stream
from tests.cast import Cast
from workspaces.models import LegalHold

pytestmark = pytest.mark.django_db


def refuses(model: Any, **columns: Any) -> bool:
    """Whether the database refuses such a row."""
    try:
        with transaction.atomic():
            model.objects.create(**columns)
    except IntegrityError:
        return True
    return False


def test_parts_of_a_log_begin_before_they_end(cast: Cast) -> None:
    log_id, now = cast.acme.log_id, timezone.now()
    export = {"log_id": log_id, "kind": "jsonl", "requested_by": cast.rita, "created": now}
    assert refuses(Export, **export, first=5, position=4, end=9)
    assert refuses(Export, **export, first=5, position=10, end=9)
    assert not refuses(Export, **export, first=5, position=9, end=9)
    assert refuses(Erasure, log_id=log_id, created=now, first=5, position=10, end=9)
    assert not refuses(Erasure, log_id=log_id, created=now, first=5, position=5, end=9)
    pruning = {"log_id": log_id, "start": 0, "end": 256, "details_start": 300}
    assert refuses(Pruning, **pruning, details_end=299, entry_index=400)
    assert not refuses(Pruning, **pruning, details_end=300, entry_index=400)


def test_webhooks_have_an_address_and_files_have_none(cast: Cast) -> None:
    assert refuses(Stream, log_id=cast.acme.log_id, name="a", kind="webhook")
    assert refuses(Stream, log_id=cast.acme.log_id, name="b", kind="file", url="https://siem.example.com/")


def test_a_hold_is_released_by_somebody(cast: Cast) -> None:
    hold = {"workspace": cast.acme, "reason": "Why.", "started_by": cast.rita, "started": timezone.now()}
    assert refuses(LegalHold, **hold, released=timezone.now())
    assert refuses(LegalHold, **hold, released_by=cast.rita)
