"""The witness as others meet it: a process that speaks HTTP, forgets nothing, and signs one history."""

import base64
import http.client
import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import merkle
from audit.notes import COSIGNATURE, ED25519, Checkpoint, Note, Signer, Verifier, sign
from audit.witness.ledger import Ledger, LedgerError
from audit.witness.requests import Refused, Request
from audit.witness.server import IDLE, LARGEST_BODY, MOST_CONNECTIONS, MOST_OF_ONE, Server
from tests.audit.witnesses import Running, run, witness

VECTORS = Path(os.environ.get("COUNTERSIGN_SHARED", "../shared")) / "vectors/c2sp/witness_exchanges.json"
SIGSUM = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
SIGSUM_KEY = bytes.fromhex("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f")
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
LOG = Signer("log.example/one", Ed25519PrivateKey.from_private_bytes(bytes(32)))
LOGS = f"log {LOG.verifier}\nlog {Verifier(SIGSUM, ED25519, SIGSUM_KEY)}\nlog {SUMDB}\n"
LOGS += "origin sum.golang.org go.sum database tree\n"
LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(40)]
OTHERS = [*LEAVES[:5], *(merkle.leaf_hash(b"other" + bytes([number])) for number in range(35))]


def checkpoint(size: int, leaves: list[bytes] = LEAVES) -> Checkpoint:
    return Checkpoint(LOG.name, size, merkle.root(leaves[:size]))


def request(old: int, size: int, leaves: list[bytes] = LEAVES, signer: Signer = LOG) -> bytes:
    """An honest request for a tree of these leaves."""
    proof = merkle.consistency_proof(leaves, old, size) if 0 < old <= size else []
    encoded = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
    return f"old {old}\n{encoded}\n{sign(checkpoint(size, leaves).text, [signer])}".encode()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One process for the tests that leave nothing behind."""
    with witness(tmp_path_factory.mktemp("witness"), LOGS) as running:
        yield running


@pytest.mark.skipif(not VECTORS.exists(), reason="the outside vectors are not here")
def test_the_exchanges_of_the_reference_witness(tmp_path):
    exchanges = [each for group in json.loads(VECTORS.read_text()) for each in group["requests"]]
    assert len(exchanges) == 10
    with witness(tmp_path, LOGS) as running:
        for exchange in exchanges:
            status, body, kind = running.post(exchange["body"].encode(), exchange["path"])
            assert status == exchange["status"], body
            for each in exchange["asserts"]:
                subject, said = each.split(" ", 1)
                assert subject == "body"
                operator, wanted = said.split(" ", 1)
                told = json.loads(wanted)
                assert body == told if operator == "==" else told in body
            assert (kind == "text/x.tlog.size") == (status == 409)


def test_what_it_signs_verifies_and_a_kill_makes_it_forget_nothing(tmp_path):
    with witness(tmp_path, LOGS) as running:
        status, line, _ = running.post(request(0, 7))
        assert status == 200
        running.process.kill()
    note = Note.parse(sign(checkpoint(7).text, [LOG]) + line)
    assert note.signed_by(running.verifier)
    with witness(tmp_path, LOGS) as again:
        assert again.verifier == running.verifier
        assert again.post(request(0, 5))[:2] == (409, "7\n")
        assert again.post(request(5, 6))[:2] == (409, "7\n")
        assert again.post(request(7, 9, OTHERS))[0] == 422
        assert again.post(request(7, 7))[0] == 200
        assert again.post(request(7, 9))[0] == 200


def test_two_histories_are_refused_and_kept_as_evidence(tmp_path):
    with witness(tmp_path, LOGS) as running:
        assert running.post(request(0, 9))[0] == 200
        for _ in range(2):
            assert running.post(request(9, 9, OTHERS))[:2] == (409, "9\n")
            assert running.post(request(0, 9, OTHERS))[:2] == (409, "9\n")
        assert running.post(request(9, 12, OTHERS))[0] == 422
        evidence = [json.loads(each.read_bytes()) for each in (tmp_path / "state/evidence").iterdir()]
        assert {each["what"] for each in evidence} == {
            "another tree of the same size",
            "a tree without proof that it grew",
        }
        assert len(evidence) == 2
        for each in evidence:  # both halves were signed by the log: whoever has them can show what it did
            assert Note.parse(each["signed_before"]).signed_by(LOG.verifier) == 0
            later = each["request"].partition("\n\n")[2]
            assert Note.parse(later).signed_by(LOG.verifier) == 0
            assert Checkpoint.parse(Note.parse(later).text) in (checkpoint(9, OTHERS), checkpoint(12, OTHERS))
        assert running.post(request(9, 12))[0] == 200


def test_strangers_leave_no_evidence_and_are_not_signed_for(shared):
    stranger = Signer(LOG.name, Ed25519PrivateKey.generate())
    assert shared.post(request(0, 3, signer=stranger))[:2] == (403, "invalid signature\n")
    unknown = Signer("log.example/two", LOG.private)
    body = f"old 0\n\n{sign(Checkpoint(unknown.name, 1, LEAVES[0]).text, [unknown])}".encode()
    assert shared.post(body)[:2] == (403, "unknown log\n")
    assert list((shared.folder / "state/evidence").iterdir()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 00\n\n" + request(0, 3).partition(b"\n\n")[2],
        b"old -1\n\n" + request(0, 3).partition(b"\n\n")[2],
        b"new 0\n\n" + request(0, 3).partition(b"\n\n")[2],
        b"old 0\nAAA\n\n" + request(0, 3).partition(b"\n\n")[2],
        b"old 0\n" + b"AAAA\n" * 64 + b"\n" + request(0, 3).partition(b"\n\n")[2],
        request(4, 3),
        request(0, 3) + b"\xff",
        request(0, 3)[:-1],
        request(0, 3).replace(b"log.example/one\n3\n", b"log.example/one\n03\n"),
    ],
)
def test_what_is_no_request_is_told(shared, body):
    assert shared.post(body)[0] == 400


def test_a_proof_where_none_belongs_is_refused(shared):
    body = request(0, 3).replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n")
    assert shared.post(body)[0] == 422


def test_one_of_many_forks_at_once_is_signed(tmp_path):
    forks = [[*LEAVES[:5], merkle.leaf_hash(bytes([number, 1]))] for number in range(12)]
    with witness(tmp_path, LOGS) as running:
        assert running.post(request(0, 5))[0] == 200
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda leaves: running.post(request(5, 6, leaves))[:2], forks))
    assert sorted(status for status, _ in answers) == [200] + [409] * 11
    assert {body for status, body in answers if status == 409} == {"6\n"}


def test_what_a_stranger_sends_is_bounded(shared):
    head = b"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\n"
    for sent, status in (
        (head + b"X: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (head + b"X: a\r\n" * 5000 + b"\r\n", b"431"),
        (head + b"X: a\r\n" * 200 + b"\r\n", b"431"),
        (b"POST /" + b"a" * 20_000, b"431"),
        (head + f"Content-Length: {LARGEST_BODY + 1}\r\n\r\n".encode(), b"413"),
        (head + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (head + b"Content-Length: -1\r\n\r\n", b"411"),
        (head + b"\r\n", b"411"),
        (head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST /elsewhere HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"404"),
        (b"PUT /add-checkpoint HTTP/1.1\r\n\r\n", b"501"),
        (b"GET /add-checkpoint HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", b"200"),
        (b"nonsense\r\n\r\n", b"400"),
    ):
        answer = shared.raw(sent)
        assert answer.startswith(b"HTTP/1.1 " + status), (sent[:80], answer[:80])
    assert shared.raw(head + b"Content-Length: 9\r\n\r\nold") == b""
    assert shared.post(b"")[0] == 400


def test_a_connection_is_used_again(shared):
    with closing(http.client.HTTPConnection("127.0.0.1", shared.port, timeout=30)) as connection:
        for _ in range(3):
            connection.request("POST", "/add-checkpoint", b"")
            answer = connection.getresponse()
            assert (answer.status, answer.will_close) == (400, False)
            answer.read()


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """A server in this process."""
    signer = Signer("w.example/1", Ed25519PrivateKey.generate(), COSIGNATURE)
    ledger = Ledger(folder, signer, lambda origin: [LOG.verifier])
    with closing(ledger), Server(("127.0.0.1", 0), ledger, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def connected(server: Server, whose: str = "127.0.0.1") -> socket.socket:
    """A connection from this address, whose reader gives up before the server tires of silence."""
    return socket.create_connection(
        ("127.0.0.1", server.server_port), timeout=IDLE / 2, source_address=(whose, 0)
    )


def test_who_holds_a_connection_too_long_loses_it(tmp_path):
    with (
        serving(tmp_path, longest=0.0) as server,
        connected(server) as connection,
        suppress(ConnectionResetError, BrokenPipeError),
    ):
        connection.sendall(b"POST /add-checkpoint HTTP/1.1\r\n")
        assert connection.recv(100) == b""


def test_only_so_many_connections_are_held(tmp_path):
    with serving(tmp_path) as server, ExitStack() as held:
        for number in range(MOST_CONNECTIONS):
            held.enter_context(connected(server, f"127.0.1.{number // MOST_OF_ONE}"))
        refused = held.enter_context(connected(server))
        with suppress(ConnectionResetError):
            assert refused.recv(100) == b""


def test_who_holds_many_keeps_nobody_else_out(tmp_path):
    with serving(tmp_path) as server, ExitStack() as held:
        mine = [held.enter_context(connected(server, "127.0.1.1")) for _ in range(MOST_CONNECTIONS)]
        with suppress(ConnectionResetError):
            assert mine[-1].recv(100) == b""
        with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)) as connection:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200


def test_it_signs_nothing_that_it_cannot_remember(tmp_path):
    with serving(tmp_path) as server:
        assert server.ledger.add_checkpoint(request(0, 3)).status == 200
        (path,) = tmp_path.glob("*.json")
        path.write_text("{")
        with pytest.raises(LedgerError, match="cannot be read"):
            server.ledger.add_checkpoint(request(3, 4))
        with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)) as connection:
            connection.request("POST", "/add-checkpoint", request(3, 4))
            assert connection.getresponse().status == 500


def test_one_process_at_a_time_has_the_folder(shared):
    other = run(shared.folder)
    assert other.returncode == 2
    assert "Another witness works in" in other.stderr


def test_the_key_is_made_once_and_is_its_owners_alone(tmp_path):
    assert "--name" in run(tmp_path, "--print-key").stderr
    first = run(tmp_path, "--print-key", "--name", "w.example/1")
    assert first.returncode == 0
    assert Verifier.parse(first.stdout).kind == COSIGNATURE
    key = tmp_path / "witness.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(tmp_path, "--print-key").stdout == first.stdout
    assert run(tmp_path, "--print-key", "--name", "w.example/2").returncode == 2
    key.chmod(0o644)
    assert "chmod 600" in run(tmp_path, "--print-key").stderr


@pytest.mark.parametrize(("logs", "said"), [("", "lists no log"), ("\nlog x\n", "line 2: A verifier key")])
def test_a_wrong_list_of_logs_is_told(tmp_path, logs, said):
    (tmp_path / "logs").write_text(logs)
    ended = run(tmp_path, "--name", "w.example/1")
    assert ended.returncode == 2
    assert said in ended.stderr


@given(
    st.one_of(st.binary(), st.text().map(str.encode), st.binary().map(lambda end: request(3, 7)[:60] + end))
)
def test_any_body_is_a_request_or_refused(body):
    with suppress(Refused):
        Request.parse(body)


STEPS = st.tuples(st.sampled_from([LEAVES, OTHERS]), st.integers(0, 12), st.integers(0, 12))


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=12))
def test_whatever_is_asked_in_whatever_order_one_history_is_signed(steps):
    signer = Signer("w.example/1", Ed25519PrivateKey.from_private_bytes(bytes(32)), COSIGNATURE)
    signed: list[Checkpoint] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Ledger(Path(folder), signer, lambda origin: [LOG.verifier])) as ledger,
    ):
        for leaves, old, size in steps:
            if ledger.add_checkpoint(request(old, size, leaves)).status == 200:
                signed.append(checkpoint(size, leaves))
    assert [each.size for each in signed] == sorted(each.size for each in signed)
    assert any(all(each == checkpoint(each.size, leaves) for each in signed) for leaves in (LEAVES, OTHERS))
