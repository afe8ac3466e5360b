"""A client, the gate that it talks to, and nothing from the surroundings."""

from collections.abc import Iterator

import pytest
from countersign import Countersign

from tests.clients.faulty_server import Gate


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COUNTERSIGN_URL", "COUNTERSIGN_KEY", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as running:
        yield running


@pytest.fixture
def client(gate: Gate) -> Countersign:
    return Countersign(gate.url, "csk_good", timeout=20)
