"""Sinks and witnesses that answer with what no database stores, a terminal obeys, or a reader takes for a line."""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.utils import timezone

from audit import cosigning, delivery, owed, streams
from audit.models import DeadLetter, Log, Witness
from audit.notes import COSIGNATURE, Signer
from audit.publishing import publish
from audit.witness.ledger import Ledger
from audit.witness.server import Server
from tests.audit.publishers import append, installation, verifier
from tests.audit.witnesses import witness
from tests.cast import ACTOR, Cast

pytestmark = pytest.mark.django_db

BITE = b"\x00\x1b[2Jgone\rWARNING all is well\x9b\n"
ANSWERS = {
    "status line": b"HTTP" + BITE,
    "reason": b"HTTP/1.1 500 " + BITE + b"\r\n\r\n",
    "body": b"HTTP/1.1 500 No\r\n\r\n" + BITE,
    "conflict": b"HTTP/1.1 409 No\r\nContent-Type: text/x.tlog.size\r\n\r\n" + BITE,
    "unfit": b"HTTP/1.1 422 No\r\n\r\n" + BITE,
}


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that says this and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(1 << 20)
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(1 << 20):
                            pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_of_a_sinks_answer_only_what_can_be_read_is_kept(cast: Cast, settings: Any, answer: bytes) -> None:
    settings.STREAM_ALLOW = ["127.0.0.1"]
    with answering(answer) as url:
        stream, _ = streams.create(
            cast.acme.log_id, name="siem", kind="webhook", url=url, from_start=True, actor=ACTOR
        )
        for _ in range(12):
            delivery.deliver_due()
        streams.ask_for_test(stream)
        rows = owed.claim(9, aside=True)
        told = [owed.performer_of(row.kind)(row.payload) or "" for row in rows]
        DeadLetter.objects.get_or_create(
            stream=stream, index=0, defaults={"reason": "", "time": timezone.now()}
        )
        told.append(delivery.send_dead_letters({"stream": stream.pk, "after": -1}) or "")
    stream.cursor.refresh_from_db()
    kept = [stream.cursor.error, stream.cursor.test_result, *told]
    kept += stream.dead_letters.values_list("reason", flat=True)
    assert any(kept)
    assert [each for each in kept if not each.isprintable()] == []


@pytest.mark.django_db(transaction=True)
def test_what_a_task_failed_with_is_one_readable_line() -> None:
    def fail(payload: dict[str, Any]) -> None:
        raise OSError(BITE.decode("latin-1"))

    owed.performer("tests.bite")(fail)
    try:
        (row,) = owed.owe("tests.bite", [{}], due=timezone.now())
        assert "gone" in (told := str(owed.perform(row)))
        assert told.isprintable()
    finally:
        del owed.performers["tests.bite"]


def test_a_request_writes_no_line_of_its_own_into_a_witnesss_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    signer = Signer("example.com/witness", Ed25519PrivateKey.generate(), COSIGNATURE)
    server = Server(("127.0.0.1", 0), Ledger(tmp_path, signer, lambda origin: []))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(b"GET /\x1b[2J\rWARNING HTTP/1.1\r\n\r\n")
            while connection.recv(4096):
                pass
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.ledger.close()
    said = [record.getMessage() for record in caplog.records if "WARNING" in record.getMessage()]
    assert said
    assert all(each.isprintable() for each in said)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_nor_of_a_witness_and_the_others_are_heard(
    settings: Any, tmp_path: Path, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    row: Log = installation()
    other = Signer("example.com/biting", Ed25519PrivateKey.generate(), COSIGNATURE).verifier
    log = f"log {verifier(row.origin)}\n"
    settings.WITNESS_POLICY = str(tmp_path / "policy")
    append(row, 2)
    checkpoint = publish(row)
    assert checkpoint is not None
    with witness(tmp_path, log) as honest, answering(answer) as url:
        (tmp_path / "policy").write_text(
            f"{log}witness W0 {honest.verifier} {honest.url}/\nwitness W1 {other} {url}/\n"
            "group one any W0 W1\nquorum one\n"
        )
        assert cosigning.round() == 1
    error = Witness.objects.get(name=other.name).error
    assert error
    assert error.isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)
