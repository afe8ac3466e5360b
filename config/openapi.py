"""What the generator cannot know of the API's document: the gate's half, how requests are refused, and examples."""

from pathlib import Path
from typing import Any

GATE = Path(__file__).resolve().parent.parent / "gate/openapi.json"


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's last hook: the portal's document with the gate's in it."""
    return result
