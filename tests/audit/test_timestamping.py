"""Time stamps of the installation's head, from a real authority: OpenSSL behind HTTP."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.utils import timezone

from audit import keys, outside, timestamping, verify
from audit.log import database_time
from audit.models import Checkpoint, Log, Timestamp, Witness
from audit.publishing import publish
from governance import health
from tests.audit.evidence import Auditor, exported, unpack, vkey
from tests.audit.publishers import append, installation
from tests.servers import executable

pytestmark = pytest.mark.django_db
CONFIGURATION = """[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha256
accuracy = secs:1
clock_precision_digits = 3
"""


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signing: ec.EllipticCurvePrivateKey,
    *more: Any,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(signing, hashes.SHA256())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass
class Authority:
    """An authority's folder and address; ``change`` is done to every answer."""

    folder: Path
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    change: Callable[[bytes], bytes] = bytes
    kind: str = "application/timestamp-reply"

    def reply(self, query: bytes) -> bytes:
        self.asked.append(query)
        (self.folder / "query").write_bytes(query)
        command = f"{executable('openssl')} ts -reply -queryfile query -config tsa.cnf -section ours -signer tsa.pem"
        subprocess.run(
            [*command.split(), "-inkey", "tsa.key", "-chain", "ca.pem", "-out", "reply"],
            cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        return self.change((self.folder / "reply").read_bytes())


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority's key and certificates."""
    executable("openssl")
    folder = tmp_path_factory.mktemp("tsa")
    above, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificate("Root", above, named("Root"), above, x509.BasicConstraints(ca=True, path_length=None))
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    leaf = certificate("Time stamps", key, named("Root"), above, usage)
    (folder / "ca.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (folder / "tsa.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")
    return folder


@contextmanager
def serving(authority: Authority) -> Iterator[Authority]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            body = authority.reply(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", authority.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        authority.url = f"http://127.0.0.1:{server.server_port}/tsr"
        try:
            yield authority
        finally:
            server.shutdown()


@pytest.fixture
def authority(credentials: Path, settings: Any, tmp_path: Path) -> Iterator[Authority]:
    with serving(Authority(credentials)) as running:
        settings.TIMESTAMP_URL = running.url
        settings.WITNESS_POLICY = str(tmp_path / "policy")
        (tmp_path / "policy").write_text(f"tsa {credentials}/ca.pem\nquorum none\n")
        yield running


@pytest.fixture
def row(db: None) -> Log:
    return installation()


def grown(row: Log) -> Checkpoint:
    append(row, 1)
    checkpoint = publish(row)
    assert checkpoint is not None
    return checkpoint


def refused() -> str:
    assert timestamping.stamp() is None
    assert not Timestamp.objects.exists()
    return Witness.objects.get().error


def test_the_newest_checkpoint_is_stamped_and_openssl_agrees(
    row: Log, authority: Authority, tmp_path: Path
) -> None:
    checkpoint = grown(row)
    found = timestamping.stamp()
    assert found is not None
    assert found.checkpoint == checkpoint
    assert abs(found.time - timezone.now()) < timedelta(minutes=5)
    assert found.authority == authority.url.removeprefix("http://")
    (tmp_path / "note").write_text(checkpoint.note)
    (tmp_path / "token.tsr").write_bytes(bytes(found.token))
    command = f"{executable('openssl')} ts -verify -data note -in token.tsr -CAfile {authority.folder}/ca.pem"
    judged = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stderr


def test_it_is_asked_once_an_hour_and_only_for_what_is_new(
    row: Log, authority: Authority, settings: Any
) -> None:
    assert timestamping.stamp() is None  # nothing is published
    grown(row)
    assert timestamping.stamp() is not None
    second = grown(row)
    assert timestamping.stamp() is None
    later = database_time() + settings.TIMESTAMP_INTERVAL
    assert Witness.objects.get().due > later - timedelta(minutes=5)
    Witness.objects.update(due=database_time())  # the hour is over
    assert timestamping.stamp() is not None
    assert second.timestamps.count() == 1
    Witness.objects.update(due=database_time())
    assert timestamping.stamp() is None
    assert len(authority.asked) == 2


def test_without_an_address_nobody_is_asked(row: Log) -> None:
    grown(row)
    assert timestamping.stamp() is None
    assert not Witness.objects.exists()


def test_a_stamp_of_something_else_is_refused(row: Log, authority: Authority) -> None:
    grown(row)
    earlier = timestamping.stamp()
    assert earlier is not None
    answer = bytes(earlier.token)
    earlier.delete()
    authority.change = lambda reply: answer
    grown(row)
    Witness.objects.update(due=database_time())
    assert "made of something else" in refused()


def test_an_authority_that_the_policy_does_not_name_is_refused(
    row: Log, authority: Authority, credentials: Path, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    other = certificate("Other", key, named("Other"), key, x509.BasicConstraints(ca=True, path_length=None))
    (tmp_path / "other.pem").write_bytes(other.public_bytes(Encoding.PEM))
    (tmp_path / "policy").write_text("tsa other.pem\nquorum none\n")
    grown(row)
    assert "no time stamp that can be trusted" in refused()


def test_without_a_certificate_nothing_can_be_trusted(row: Log, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("quorum none\n")
    grown(row)
    assert "names no certificate" in refused()
    (tmp_path / "policy").write_text("tsa policy\nquorum none\n")
    Witness.objects.update(due=database_time())
    with pytest.raises(OSError, match="holds no certificates in PEM"):
        timestamping.stamp()


@pytest.mark.parametrize("may_issue", [False, True])
def test_whom_the_root_vouches_for_makes_no_authority_unless_it_is_one(
    row: Log, authority: Authority, tmp_path: Path, may_issue: bool
) -> None:
    """Anybody can buy a certificate below a public root; below that it vouches for nobody."""
    folder = authority.folder = tmp_path / "bought"
    folder.mkdir()
    above, bought, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = certificate("Root", above, named("Root"), above, x509.BasicConstraints(ca=True, path_length=None))
    issuer = certificate(
        "Shop", bought, named("Root"), above, x509.BasicConstraints(ca=may_issue, path_length=None)
    )
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    leaf = certificate("Time stamps", key, named("Shop"), bought, usage)
    for name, each in (("root", root), ("ca", issuer), ("tsa", leaf)):
        (folder / f"{name}.pem").write_bytes(each.public_bytes(Encoding.PEM))
    (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))
    (folder / "serial").write_text("01\n")
    (tmp_path / "policy").write_text(f"tsa {folder}/root.pem\nquorum none\n")
    grown(row)
    assert (timestamping.stamp() is not None) == may_issue
    if not may_issue:
        assert "no time stamp that can be trusted" in Witness.objects.get().error


def test_a_stamp_of_a_million_parts_is_not_taken_apart() -> None:
    parts = b"\x05\x00" * 1_000_000
    with pytest.raises(verify.BadToken, match="longer than a time stamp is"):
        verify.stamped_at(b"\x30\x83" + len(parts).to_bytes(3, "big") + parts, b"", [])


@pytest.mark.parametrize("at", [1, 5, 30, 90, 120, -40, -1])
def test_a_damaged_stamp_is_refused(row: Log, authority: Authority, at: int) -> None:
    def damage(reply: bytes) -> bytes:
        changed = bytearray(reply)
        changed[at] ^= 1
        return bytes(changed)

    authority.change = damage
    grown(row)
    assert refused()


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (b"", "application/timestamp-reply", "no time stamp"),
        (b"0", "application/timestamp-reply", "no time stamp"),
        (b"\x30\x03\x30\x01\x02", "application/timestamp-reply", "no time stamp"),
        (bytes.fromhex("30053003020102"), "application/timestamp-reply", "refused, with status 2"),
        (b"<html>", "text/html", "answered 200, text/html"),
    ],
)
def test_what_is_no_stamp_is_told(row: Log, authority: Authority, reply: bytes, kind: str, said: str) -> None:
    authority.change, authority.kind = (lambda _: reply), kind
    grown(row)
    assert said in refused()
    assert Witness.objects.get().failing is not None


def test_the_installations_page_tells_how_far_the_log_is_stamped(row: Log, authority: Authority) -> None:
    first = grown(row)
    timestamping.stamp()
    second = grown(row)
    told = health.told("Witnesses", health.witnesses, timezone.now())
    assert (told.state, told.said) == (
        "success",
        f"{first.size:,} of {second.size:,} entries of the installation's log are confirmed from outside.",
    )
    told = health.told("Witnesses", health.witnesses, timezone.now() + timedelta(hours=3))
    assert told.state == "danger"
    assert outside.confirmation(outside.policy()).covered == first


def test_a_bundle_brings_the_newest_stamp_and_shows_that_the_log_only_grew_since(
    row: Log, authority: Authority, tmp_path: Path
) -> None:
    grown(row)
    grown(row)
    assert timestamping.stamp() is not None
    grown(row)
    key = keys.signing_key(keys.CHECKPOINT)
    auditor = Auditor(tmp_path, f"log {vkey(row.origin, key)}\ntsa {authority.folder}/ca.pem\nquorum none\n")
    files = unpack(exported(row.pk))
    report = auditor.verify(files)
    assert report.status == verify.INTACT, report.lines()
    assert report.told["stamped"].endswith(" UTC")
    for name, expected in (
        ("anchor/timestamp-1.tsr", verify.INCOMPLETE), ("anchor/stamped", verify.TAMPERED),
        ("anchor/stamped-proof", verify.INCOMPLETE),
    ):  # fmt: skip
        without = {other: content for other, content in files.items() if other != name}
        assert auditor.verify(without).status == expected, name
    for name, other in (("anchor/stamped-proof", b""), ("anchor/stamped", files["checkpoint"])):
        assert auditor.verify(files | {name: other}).status == verify.TAMPERED, name
