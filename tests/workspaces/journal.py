"""Reading a log in tests: what was written since, and what it says."""

import json
from typing import Any

from audit.log import newest
from audit.models import Entry, Head


def entries(log_id: int, *, after: int = 0) -> list[dict[str, Any]]:
    """The bodies of a log's entries from an index on."""
    rows = Entry.objects.filter(log_id=log_id, index__gte=after).order_by("index")
    return [json.loads(bytes(row.body)) for row in rows]


class Journal:
    """What a log gained since this was made."""

    def __init__(self, log_id: int) -> None:
        self.log_id = log_id
        self.start = newest(log_id)
        self.revision = Head.objects.get(log_id=log_id).revision

    def new(self) -> list[dict[str, Any]]:
        return entries(self.log_id, after=self.start)

    def types(self) -> list[str]:
        return [body["type"] for body in self.new()]

    def bumped(self) -> bool:
        return Head.objects.get(log_id=self.log_id).revision > self.revision
