"""Details as tests look at them, and as somebody who has the installation's key could put them."""

import json
from typing import Any

from audit import canonical, envelopes
from audit.details import uuid_of
from audit.models import Detail


def opened(log_id: int) -> list[bytes]:
    """The content of every Detail of a log."""
    uuid = uuid_of(log_id)
    rows = Detail.objects.filter(log_id=log_id).order_by("index").values_list("index", "content")
    return [envelopes.open_envelope(log_id, uuid, index, bytes(content)) for index, content in rows]


def content_of(log_id: int, index: int) -> dict[str, Any]:
    """Field → {salt, value} of one Detail."""
    content = bytes(Detail.objects.get(log_id=log_id, index=index).content)
    found: dict[str, Any] = json.loads(envelopes.open_envelope(log_id, uuid_of(log_id), index, content))
    return found


def sealed(log_id: int, index: int, content: Any) -> bytes:
    """The envelope of a content; bytes as they are."""
    raw = content if isinstance(content, bytes) else canonical.encode(content)
    return envelopes.seal(log_id, uuid_of(log_id), index, raw)
