"""Reading the personal values that stand beside an entry."""

import json
from typing import Any

from audit.models import Detail


def read_detail(log_id: int, index: int) -> dict[str, Any]:
    """Field → value of one entry's Detail; empty when it never had one, or it was erased."""
    content = Detail.objects.filter(log_id=log_id, index=index).values_list("content", flat=True).first()
    if content is None:
        return {}
    return {name: sealed["value"] for name, sealed in json.loads(bytes(content)).items()}
