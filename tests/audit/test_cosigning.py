"""The worker shows checkpoints to real witnesses, and tells who of them is away or has seen another history."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from audit import calls, cosigning, keys, outside, receipts
from audit.log import create_log, database_time
from audit.models import Checkpoint, Cosignature, Log, Witness
from audit.notes import COSIGNATURE, Note, Signer, sign
from audit.notes import Checkpoint as Head
from audit.policy import Policy, PolicyError
from audit.publishing import publish
from governance import health
from tests.audit.publishers import append, installation, verifier
from tests.audit.witnesses import Running, witness

pytestmark = pytest.mark.django_db


@pytest.fixture
def row(db: None, settings: Any, tmp_path: Path) -> Iterator[Log]:
    """The installation's log, with keys of its own."""
    settings.KEYS_DIR = tmp_path / "keys"
    keys.forget()
    receipts.signer.cache_clear()
    yield installation()
    keys.forget()
    receipts.signer.cache_clear()


@pytest.fixture
def policy_file(tmp_path: Path, settings: Any) -> Path:
    settings.WITNESS_POLICY = str(tmp_path / "policy")
    return tmp_path / "policy"


@pytest.fixture
def running(row: Log, tmp_path: Path, policy_file: Path) -> Iterator[Running]:
    """One witness, which the policy needs."""
    (tmp_path / "witness").mkdir()
    with witness(tmp_path / "witness", f"log {verifier(row.origin)}\n") as process:
        trust(policy_file, row, process)
        yield process


def trust(policy_file: Path, row: Log, *witnesses: Running, needed: int = 1) -> None:
    """A policy that needs so many of these."""
    lines = [f"log {verifier(row.origin)}"]
    lines += [f"witness W{n} {each.verifier} {each.url}/" for n, each in enumerate(witnesses)]
    names = " ".join(f"W{n}" for n in range(len(witnesses)))
    policy_file.write_text("\n".join([*lines, f"group enough {needed} {names}", "quorum enough\n"]))


def grown(row: Log, count: int = 3) -> Checkpoint:
    append(row, count)
    checkpoint = publish(row)
    assert checkpoint is not None
    return checkpoint


def signers(checkpoint: Checkpoint) -> set[str]:
    return set(checkpoint.cosignatures.values_list("witness", flat=True))


def show(process: Running, row: Log, size: int, root: bytes = bytes(32)) -> None:
    """Let a witness sign a history that is not this log's, under its key."""
    note = sign(Head(row.origin, size, root).text, [Signer(row.origin, keys.signing_key(keys.CHECKPOINT))])
    assert process.post(f"old 0\n\n{note}".encode())[0] == 200


def now_due() -> None:
    """Let the pause after a failure be over."""
    Witness.objects.update(due=database_time())


def found() -> health.Finding:
    return health.told("Witnesses", health.witnesses, timezone.now())


def test_a_checkpoint_is_cosigned_once(row: Log, running: Running) -> None:
    checkpoint = grown(row)
    assert cosigning.round() == 1
    (cosignature,) = checkpoint.cosignatures.all()
    time = Note.parse(checkpoint.note + cosignature.line).signed_by(running.verifier)
    assert time == int(cosignature.time.timestamp())
    assert cosigning.round() == 0
    assert found().state == "success"
    assert f"{checkpoint.size:,} of {checkpoint.size:,} entries" in found().said
    Witness.objects.create(
        name="w.example/gone", due=database_time(), failing=database_time(), error="It is."
    )
    assert found().state == "success"  # whom the policy names no more does not matter


def test_the_next_one_is_shown_with_a_proof(row: Log, running: Running) -> None:
    for count in (1, 300, 7):
        checkpoint = grown(row, count)
        assert cosigning.round() == 1
        assert signers(checkpoint) == {running.verifier.name}


def test_without_a_policy_nobody_is_asked(row: Log) -> None:
    grown(row)
    assert cosigning.round() == 0
    assert not Witness.objects.exists()
    assert found().state == "warning"


def test_after_an_outage_only_the_newest_is_shown(row: Log, running: Running, tmp_path: Path) -> None:
    grown(row)
    running.process.kill()
    running.process.wait()
    assert cosigning.round() == 0
    away = Witness.objects.get()
    assert away.failing is not None
    assert "cannot be asked" in away.error
    for _ in range(3):
        newest = grown(row)
    assert cosigning.round() == 0  # not due yet
    assert found().state == "warning"
    assert running.verifier.name in found().said
    with witness(tmp_path / "witness", f"log {verifier(row.origin)}\n") as again:
        trust(tmp_path / "policy", row, again)
        now_due()
        assert cosigning.round() == 1
    assert signers(newest) == {running.verifier.name}
    assert Cosignature.objects.count() == 1
    assert Witness.objects.get().failing is None
    assert found().state == "success"


def test_k_of_n_is_the_quorum(row: Log, tmp_path: Path, policy_file: Path) -> None:
    with ExitStack() as stack:
        processes = []
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            logs = f"log {verifier(row.origin)}\n"
            processes.append(
                stack.enter_context(witness(tmp_path / str(number), logs, name=f"w.example/{number}"))
            )
        trust(policy_file, row, *processes, needed=2)
        first = grown(row)
        assert cosigning.round() == 3
        processes[0].process.kill()
        second = grown(row)
        assert cosigning.round() == 2
        assert len(signers(second)) == 2
        assert (found().state, outside.confirmation(outside.policy()).covered) == ("warning", second)
        processes[1].process.kill()
        third = grown(row)
        assert cosigning.round() == 1
    assert signers(third) == {"w.example/2"}
    assert outside.confirmation(outside.policy()).covered == second
    assert found().state == "warning"
    Checkpoint.objects.filter(pk=third.pk).update(time=timezone.now() - health.UNCONFIRMED * 2)
    assert found().state == "danger"
    assert "Too few witnesses" in found().todo
    assert first.size < second.size


def test_a_forgotten_cosignature_is_made_up_for(row: Log, running: Running) -> None:
    grown(row)
    cosigning.round()
    Cosignature.objects.all().delete()
    checkpoint = grown(row)
    assert cosigning.round() == 1
    assert signers(checkpoint) == {running.verifier.name}


def test_a_log_that_lost_its_end_is_found_out(row: Log, running: Running) -> None:
    show(running, row, 5000)
    checkpoint = grown(row)
    assert cosigning.round() == 0
    away = Witness.objects.get()
    assert away.contradicts
    assert f"has seen 5,000 entries, and {checkpoint.size} are published" in away.error
    assert found().state == "danger"


def test_a_log_that_forked_is_found_out(row: Log, running: Running) -> None:
    checkpoint = grown(row)
    show(running, row, checkpoint.size)
    assert cosigning.round() == 0
    assert Witness.objects.get().contradicts
    assert "the log forked" in Witness.objects.get().error


def test_a_log_whose_past_was_rewritten_is_found_out(row: Log, running: Running) -> None:
    show(running, row, 2)
    grown(row, 9)
    assert cosigning.round() == 0
    assert Witness.objects.get().contradicts
    assert "another history" in Witness.objects.get().error


def test_a_witness_that_does_not_know_the_log_is_told_apart(
    row: Log, running: Running, policy_file: Path
) -> None:
    stranger = Signer("w.example/x", Ed25519PrivateKey.generate(), COSIGNATURE).verifier
    text = policy_file.read_text()
    policy_file.write_text(text.replace(str(running.verifier), str(stranger)))
    grown(row)
    assert cosigning.round() == 0
    assert "another key than the policy file names" in Witness.objects.get().error
    assert not Witness.objects.get().contradicts
    assert not Cosignature.objects.exists()


def test_two_workers_do_not_ask_at_once(row: Log) -> None:
    assert outside.claim(["w.example/1", "w.example/2"]) == ["w.example/1", "w.example/2"]
    assert outside.claim(["w.example/1", "w.example/2"]) == []
    outside.settle("w.example/2", None, database_time())
    assert outside.claim(["w.example/1", "w.example/2"]) == ["w.example/2"]


def test_who_stays_away_is_asked_less_often_but_once_a_minute(row: Log) -> None:
    now, name = database_time(), "w.example/1"
    outside.claim([name])
    for away, pause in ((0, 1), (10, 10), (3600, 60)):
        at = now + timedelta(seconds=away)
        outside.settle(name, outside.Failure("It answered 500."), at)
        assert Witness.objects.get().due == at + timedelta(seconds=pause)
    assert Witness.objects.get().failing == now
    outside.settle(name, None, now)
    assert (Witness.objects.get().due, Witness.objects.get().failing) == (now, None)


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """An address where everything is answered so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"", "is no signature"),
        (200, b"\xff", "is no signature"),
        (200, "— w.example/1 AAAAAAA=\n".encode(), "another key"),
        (404, b"unknown log\n", "answered 404 (unknown log)"),
        (302, b"", "answered 302"),
        (409, b"many\n", "without the size"),
        (409, b"", "without the size"),
        (409, b"1\n", "another size each time"),
        (500, b"\x00" * 2_000_000, "more than"),
    ],
)
def test_whatever_an_address_answers_is_an_error_with_words(
    row: Log, policy_file: Path, status: int, body: bytes, said: str
) -> None:
    key = Signer("w.example/1", Ed25519PrivateKey.generate(), COSIGNATURE).verifier
    with answering(status, body, Location="/elsewhere") as url:
        policy_file.write_text(f"witness W {key} {url}\nquorum W\n")
        grown(row, 5)
        assert cosigning.round() == 0
    assert said in Witness.objects.get().error


def test_who_says_nothing_is_left_after_a_while(row: Log) -> None:
    class Silent(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(10)
            while self.request.recv(65536):
                pass

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        try:
            with pytest.raises(calls.Unreachable, match="did not answer within"):
                calls.post(url, b"x", "text/plain", deadline=0.2)
        finally:
            server.shutdown()


@pytest.mark.django_db(transaction=True)
def test_the_worker_publishes_and_asks(row: Log, running: Running) -> None:
    append(row, 3)
    call_command("work", "--once", "--quiet")
    assert signers(Checkpoint.objects.get(log=row)) == {running.verifier.name}


def printed() -> Policy:
    out = StringIO()
    call_command("trust_policy", stdout=out)
    return Policy.parse(out.getvalue().encode())


def test_the_auditors_policy_names_key_epochs_witnesses_and_quorum(
    row: Log, running: Running, policy_file: Path, settings: Any
) -> None:
    with policy_file.open("a") as file:
        file.write("# ours\n\ttsa tsa.pem\nwitness idle ")
        file.write(f"{Signer('w.example/2', Ed25519PrivateKey.generate(), COSIGNATURE).verifier}\n")
    checkpoint = grown(row)
    workspace = create_log(Log.Kind.WORKSPACE)
    Log.objects.filter(pk=workspace.pk).update(epoch=2)
    cosigning.round()
    policy = printed()
    note = Note.parse(checkpoint.note)
    assert [note.signed_by(each) for each in policy.keys_of(row.origin)] == [0]
    assert policy.epochs == {(workspace.origin, 1), (workspace.origin, 2)}
    assert (policy.quorum, list(policy.witnesses)) == ("enough", ["W0", "idle"])
    assert outside.is_quorum(policy, checkpoint)
    assert policy.authorities == ["tsa.pem"]
    assert policy.receipts == []
    assert not keys.path_of(keys.RECEIPT).exists()  # printing makes no key
    keys.signing_key(keys.RECEIPT)
    assert printed().receipts == [receipts.signer().verifier]
    settings.WITNESS_POLICY = ""
    assert printed().quorum == "none"


def test_no_policy_is_printed_by_a_key_that_did_not_sign(row: Log, settings: Any, tmp_path: Path) -> None:
    grown(row)
    settings.KEYS_DIR = tmp_path / "elsewhere"
    keys.forget()
    with pytest.raises(CommandError, match="run this where it runs"):
        printed()
    keys.signing_key(keys.CHECKPOINT)
    with pytest.raises(CommandError, match="is not the key that signed the newest checkpoint"):
        printed()


def test_a_policy_that_cannot_be_read_is_told(row: Log, policy_file: Path) -> None:
    policy_file.write_text("quorum all of them\n")
    with pytest.raises(PolicyError):
        cosigning.confirm()
    assert found().state == "danger"
    assert "line 1" in found().said
    policy_file.unlink()
    assert found().state == "danger"
