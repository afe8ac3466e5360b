"""Bundles to verify: an honest one of acme's whole history, and what a forger makes of it."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction

from audit import bundles, canonical, heads, keys, merkle, notes, publishing, tiles
from audit import verify as verifier
from audit.models import Log
from billing import limits
from governance import edits, policies, records, snapshot
from governance.models import Approval
from tests.cast import ACTOR, Cast, assemble
from tests.gate.conftest import REFUND, RULES
from tests.governance.test_verify_log import MAIL, READ, approve, caller, check, live, stand
from workspaces import agents
from workspaces.models import User
from workspaces.people import actor_of

MANIFEST = "manifest.json"
Files = dict[str, bytes]
MORE_RULES: list[dict[str, Any]] = [
    {"name": "No mail on holidays", "tools": ["mail.*"], "agents": ["report-*"], "effect": "deny"},
    {
        "name": "At most 300 of refunds an hour",
        "tools": [REFUND],
        "effect": "limit",
        "limit": {"sum": "args.amount", "max": "300", "per": "1h", "then": "require_approval"},
        "approval": {"reviewers": ["group:finance"]},
    },
    {
        "name": "Three mails an hour",
        "tools": ["mail.send"],
        "effect": "limit",
        "limit": {"calls": 3, "per": "1h"},
    },
]


@dataclass(frozen=True)
class Evidence:
    """What an auditor has, and the key that an attacker may have stolen."""

    acme: bytes
    installation: bytes
    younger: bytes  # of acme, exported earlier
    policy: str
    key: Ed25519PrivateKey


def gather() -> Evidence:
    """Live, publish and export, in a transaction that is undone."""
    snapshot.forget()
    records.key_uses.clear()
    keys.forget()
    try:
        with transaction.atomic():
            cast = assemble()
            live(cast, rounds=3)
            publishing.Publisher().round(publishing.AT_ONCE)
            younger = exported(cast.acme.log_id)
            judge_more(cast)
            publishing.Publisher().round(publishing.AT_ONCE)
            installation = Log.objects.get(kind=Log.Kind.INSTALLATION)
            key = keys.signing_key(keys.CHECKPOINT)
            found = Evidence(
                acme=exported(cast.acme.log_id),
                installation=exported(installation.pk),
                younger=younger,
                policy=f"log {vkey(installation.origin, key)}\nquorum none\n",
                key=key,
            )
            transaction.set_rollback(True)
    finally:
        snapshot.forget()
        records.key_uses.clear()
        heads.path().unlink(missing_ok=True)
    return found


def judge_more(cast: Cast) -> None:
    """Decisions of each kind that `live` has not: limits, sums, budgets, approvals that are refused, and too many."""
    policies.publish(policies.draft(cast.acme, [RULES[0], *MORE_RULES], actor=ACTOR), actor=ACTOR)
    reader = caller(cast.report_bot, cast.report_bot_key)
    mailer = caller(cast.support_bot, cast.support_bot_key)
    agents.set_agent_roles(cast.support_bot, {cast.roles["support"]: None}, actor=ACTOR)
    for number in range(5):
        check(mailer, *MAIL, session=f"s{number}")
        check(mailer, REFUND, {"invoice": "17", "amount": 90 + number})
    waiting = check(mailer, REFUND, {"invoice": "18", "amount": 200})
    check(mailer, REFUND, {"invoice": "18", "amount": 200}, approval=approve(waiting, cast.rita))
    again = check(mailer, REFUND, {"invoice": "18", "amount": 200}, approval=waiting["approval"]["id"])
    assert again["decision"] == "deny", again
    edited = {"invoice": "19", "amount": 180}
    used = edit(check(mailer, REFUND, edited | {"amount": 300}), cast.rita, edited)
    assert check(mailer, REFUND, edited, approval=used)["decision"] == "allow"
    check(mailer, REFUND, {"invoice": "no amount"})
    limits.set_budget(cast.acme, agent=cast.report_bot, window="ever", limit_amount=50, actor=ACTOR)
    check(reader, *READ, estimated_nanos=40)
    check(reader, *READ, estimated_nanos=40)
    limits.set_budget(
        cast.acme, agent=cast.report_bot, window="ever", limit_amount=50, when_short="ask", actor=ACTOR
    )
    raised = approve(check(reader, *READ, estimated_nanos=60), cast.olga)
    assert check(reader, *READ, estimated_nanos=60, approval=raised)["decision"] == "allow"
    check(reader, "mail.send", dict(MAIL[1]))
    stand(cast.support_bot, "supervised")
    for number in range(22):
        check(mailer, REFUND, {"invoice": f"w{number}", "amount": 150})
    agents.change_agent(cast.support_bot, most_waiting=30, actor=ACTOR)
    check(mailer, REFUND, {"invoice": "w30", "amount": 150})
    agents.change_agent(cast.support_bot, most_waiting=2, actor=ACTOR)
    check(mailer, REFUND, {"invoice": "w2", "amount": 150})
    stand(cast.support_bot, "observe")
    check(mailer, REFUND, {"invoice": "x", "amount": 150})
    check(mailer, REFUND, {"invoice": "x", "amount": 150}, estimated_nanos=10**15)
    check(mailer, REFUND, {"invoice": "x", "amount": 150}, dry_run=True)


def edit(answer: dict[str, Any], person: User, arguments: dict[str, Any]) -> str:
    """Approve another call in the place of the one that waits; the approval's public id."""
    approval = Approval.objects.select_related("workspace", "agent").get(public_id=answer["approval"]["id"])
    edits.edit(
        approval, person=person, arguments=arguments, comment="Less will do.", actor=actor_of(person),
        second_factor="totp",
    )  # fmt: skip
    return approval.public_id


def exported(log_id: int) -> bytes:
    """A log's bundle."""
    path = Path(str(heads.path())).with_name("test.zip")
    try:
        bundles.write(log_id, path)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def vkey(name: str, key: Ed25519PrivateKey, kind: int = notes.ED25519) -> str:
    return str(notes.Verifier(name, kind, key.public_key().public_bytes_raw()))


def unpack(bundle: bytes) -> Files:
    with zipfile.ZipFile(BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(files: Files, *, listed: bool = True) -> bytes:
    """A bundle of these files; with ``listed`` its manifest lists them as they are."""
    if listed:
        manifest = json.loads(files[MANIFEST])
        manifest["files"] = {
            name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != MANIFEST
        }
        files = {**files, MANIFEST: canonical.encode(manifest)}
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [*sorted(files.keys() - {MANIFEST}), *(files.keys() & {MANIFEST})]:
            archive.writestr(bundles.plain(name), files[name])
        archive.comment = b"sha256:" + b"0" * 64
    return sealed(packed.getvalue())


def sealed(archive: bytes) -> bytes:
    """An archive whose checksum fits."""
    return archive[:-64] + hashlib.sha256(archive[: -len("sha256:") - 64]).hexdigest().encode()


def lines_of(files: Files) -> list[bytes]:
    return files["entries.jsonl"].split(b"\n")[:-1]


def with_entries(files: Files, lines: Sequence[bytes]) -> Files:
    """Other entries beside the same tiles and checkpoint."""
    return {**files, "entries.jsonl": b"".join(line + b"\n" for line in lines)}


def resigned(files: Files, lines: Sequence[bytes], key: Ed25519PrivateKey) -> Files:
    """Other entries with all that follows from them: what somebody makes who has stolen the key."""
    leaves = [merkle.leaf_hash(line) for line in lines]
    growth = tiles.Growth(0, {})
    growth.extend(leaves)
    kept = {
        name: content for name, content in files.items() if not name.startswith(("tile/", "checkpoints/"))
    }
    for name, place in bundles.tile_paths(len(lines)):
        kept[name] = growth.changed[place]
    origin = notes.Checkpoint.parse(notes.Note.parse(files["checkpoint"].decode()).text).origin
    text = notes.Checkpoint(origin, len(lines), merkle.root(leaves)).text
    manifest = json.loads(files[MANIFEST])
    manifest["log"] |= {"size": len(lines), "root": merkle.root(leaves).hex()}
    kept["checkpoint"] = notes.sign(text, [notes.Signer(origin, key)]).encode()
    kept[MANIFEST] = canonical.encode(manifest)
    return with_entries(kept, lines)


def changed(lines: Sequence[bytes], index: int, edit: Callable[[dict[str, Any]], None]) -> list[bytes]:
    """The lines with one body edited."""
    body = json.loads(lines[index])
    edit(body)
    return [*lines[:index], canonical.encode(body), *lines[index + 1 :]]


def first(lines: Sequence[bytes], wanted: Callable[[dict[str, Any]], bool]) -> int:
    """The index of the first entry that is wanted."""
    return next(index for index, line in enumerate(lines) if wanted(json.loads(line)))


class Auditor:
    """Somebody with a policy and a folder."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.folder, self.policy = folder, policy

    def file(self, name: str, content: bytes | str) -> str:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def verify(
        self, bundle: bytes | Files, *, policy: str | None = None, since: Sequence[bytes] = ()
    ) -> verifier.Report:
        """The report of a bundle, given as such or as files to pack."""
        path = self.file("bundle.zip", bundle if isinstance(bundle, bytes) else pack(bundle))
        older = [self.file(f"old-{number}", content) for number, content in enumerate(since)]
        trusted = verifier.Policy.read(self.file("policy", self.policy if policy is None else policy))
        return verifier.verify(path, trusted, older)

    def replay(self, bundle: bytes | Files) -> verifier.Report:
        return verifier.replay(self.file("bundle.zip", bundle if isinstance(bundle, bytes) else pack(bundle)))


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
