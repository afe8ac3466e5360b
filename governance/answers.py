"""Answers as they are kept for a repeated call: whole, because agents act on them, and therefore sealed."""

from dataclasses import dataclass

from audit import envelopes


def seal(log_id: int, uuid: str, key: tuple[int, str, str], answer: bytes) -> bytes:
    """The answer of an agent's call, by (agent, session, call id), or (agent, route, idempotency key)."""
    return envelopes.seal_at(log_id, uuid, place(key), answer)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An answer that was kept. Most are never asked for again, and never opened."""

    log_id: int
    uuid: str
    key: tuple[int, str, str]
    envelope: bytes

    def encode(self) -> bytes:
        """The answer as it was sent. Raises SealedOtherwise."""
        return envelopes.open_at(self.log_id, self.uuid, place(self.key), self.envelope)


def place(key: tuple[int, str, str]) -> bytes:
    """Which row it is. None of the texts has a control character in it."""
    agent, *names = key
    return "\0".join(["countersign answer", str(agent), *names]).encode()
