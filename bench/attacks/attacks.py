"""The attacks: what is done, what must find it, and the control from which one anchor is taken away."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import notes
from bench.attacks.forgery import PUBLISHED, Body, Forger, stolen
from bench.attacks.looks import Look, asked, check, examined, served, verified, vouched_for
from bench.attacks.world import Copy, World, save
from tests.faults.processes import GATE

DECIDED = {f"governance.check.{word}" for word in ("allowed", "denied", "pending")}
PLACE = 4_321  # the entry that somebody would rather not have there

Edit = Callable[[list[Body]], list[Body]]


def edit(bodies: list[Body]) -> list[Body]:
    bodies[PLACE]["outcome"] = "granted_to_somebody_else"
    return bodies


def swap(bodies: list[Body]) -> list[Body]:
    bodies[PLACE], bodies[PLACE + 1] = bodies[PLACE + 1], bodies[PLACE]
    times = sorted(body["time"] for body in bodies[PLACE : PLACE + 2])
    bodies[PLACE]["time"], bodies[PLACE + 1]["time"] = times
    return renumber(bodies)


def change_time(bodies: list[Body]) -> list[Body]:
    bodies[PLACE]["time"] = bodies[PLACE - 1]["time"]
    return bodies


def delete(bodies: list[Body]) -> list[Body]:
    del bodies[PLACE]
    return renumber(bodies)


def insert(bodies: list[Body]) -> list[Body]:
    data = bodies[PLACE]["data"] | {"decision": "dec_" + "0" * 32}
    bodies.insert(PLACE, {**bodies[PLACE], "data": data, "rand": "00" * 16})
    return renumber(bodies)


def renumber(bodies: list[Body]) -> list[Body]:
    """Number each agent's decisions without gaps, as a careful forger does."""
    numbers: Counter[str] = Counter()
    for body in bodies:
        if body["type"] in DECIDED:
            numbers[body["agent"]] += 1
            body["data"]["seq"] = numbers[body["agent"]]
    return bodies


def clear(bodies: list[Body]) -> list[Body]:
    """Every check belongs to another session."""
    for body in bodies:
        if body["type"].startswith("governance.check."):
            body["session"] = "another"
    return bodies


EDITS: dict[str, Edit] = {
    "edit a body": edit,
    "swap two entries": swap,
    "change a time": change_time,
    "delete in the middle and renumber": delete,
    "insert an entry": insert,
}


def editing(world: World, name: str, change: Edit) -> Iterator[Look]:
    """Somebody with the application's credentials: the rows alone; then everything that follows from them."""
    plain = world.copy(f"{slug(name)}-plain")
    with plain.database() as database:
        forger = Forger(database, plain.root)
        forger.put_entries(plain.acme, change(forger.bodies(plain.acme)))
    yield Look("tree under the signed root", verified(plain.bundle(), world.unwitnessed), must_find=True)
    yield from forging(world, name, change)


def forging(world: World, name: str, change: Edit) -> Iterator[Look]:
    """Everything agrees with everything else, under a key of the attacker's own."""
    whole = world.copy(f"{slug(name)}-whole")
    own = Ed25519PrivateKey.generate()
    with whole.database() as database:
        Forger(database, whole.root, own).rewrite(whole.acme, change)
    bundle = whole.bundle()
    yield Look("key in the auditor's policy", verified(bundle, world.unwitnessed), must_find=True)
    believing = policy_of(world, own, whole.folder / "policy-from-the-bundle.txt")
    yield Look("none: key taken from the bundle", verified(bundle, believing), must_find=False)


def rewriting_without_the_key(world: World) -> Iterator[Look]:
    """Every entry of the victim's taken out, the old signatures left under the new roots."""
    copy = world.copy("rewrite-without-key")
    with copy.database() as database:
        Forger(database, copy.root).rewrite(copy.acme, clear)
    yield Look("signature of the checkpoint", verified(copy.bundle(), world.unwitnessed), must_find=True)
    yield from forging(world, "rewrite everything", clear)


def cutting(world: World) -> Iterator[Look]:
    """The tail is cut off, at an old checkpoint, which is genuine: so is everything that is left."""
    copy = world.copy("cut")
    with copy.database() as database:
        cut_to_old_checkpoint(database, copy)
    bundle = copy.bundle()
    yield Look(
        "checkpoint kept from the last visit",
        verified(bundle, world.policy, "--since", world.kept),
        must_find=True,
    )
    yield Look(
        "receipts of the agents", verified(bundle, world.policy, "--receipts", world.receipts), must_find=True
    )
    yield Look("heads.json, outside the database", served(copy), must_find=True)
    yield Look("none of them: keys and witness alone", verified(bundle, world.policy), must_find=False)


def restoring(world: World) -> Iterator[Look]:
    """Yesterday's database is put back."""
    copy = world.copy("restore")
    replace(world.yesterday, copy)
    bundle = copy.bundle()
    yield Look("heads.json, outside the database", served(copy), must_find=True)
    yield Look(
        "checkpoint kept from the last visit",
        verified(bundle, world.policy, "--since", world.kept),
        must_find=True,
    )
    bare = world.copy("restore-with-its-files")
    replace(world.yesterday, bare)
    yield Look("none of them: keys and witness alone", verified(bare.bundle(), world.policy), must_find=False)
    (bare.installation.folder / "keys/heads.json").unlink()
    with bare.database() as database:  # an installation that keeps nothing outside its database
        database.execute("DELETE FROM audit_cosignature")
        database.execute("DELETE FROM audit_checkpoint")
    yield Look("none: nothing is kept outside the database", served(bare), must_find=False)


def stealing_the_key(world: World) -> Iterator[Look]:
    """As before, with the publisher's key: every signature of the log is genuine."""
    copy = world.copy("stolen-key")
    with copy.database() as database:
        Forger(database, copy.root, stolen(world.honest.folder / "keys")).rewrite(copy.acme, edit)
    bundle = copy.bundle()
    yield Look("witness", verified(bundle, world.policy), must_find=True)
    kept = verified(bundle, world.unwitnessed, "--since", world.kept)
    yield Look("checkpoint kept from the last visit", kept, must_find=True)
    receipts = verified(bundle, world.unwitnessed, "--receipts", world.receipts)
    yield Look("receipts of the agents", receipts, must_find=True)
    yield Look("none of them: the log's key alone", verified(bundle, world.unwitnessed), must_find=False)


def showing_two_histories(world: World) -> Iterator[Look]:
    """One auditor is shown one history, another one another; both are signed."""
    one, other = world.copy("one-history"), world.copy("another-history")
    with other.database() as database:
        Forger(database, other.root, stolen(world.honest.folder / "keys")).rewrite(other.acme, edit)
    first, second = one.bundle(), other.bundle()
    yield Look("witness, to either auditor alone", verified(second, world.policy), must_find=True)
    compared = asked("consistency", first, second, "--policy", world.unwitnessed)
    yield Look("the auditors' two checkpoints beside each other", compared, must_find=True)
    yield Look("none: the first auditor alone", verified(first, world.unwitnessed), must_find=False)
    yield Look("none: the second auditor alone", verified(second, world.unwitnessed), must_find=False)


def deleting_a_log(world: World) -> Iterator[Look]:
    """A whole workspace's log is gone; the installation's own is as it was."""
    copy = world.copy("deleted-log")
    with copy.database() as database:
        delete_log(database, copy.acme)
    yield Look("heads.json, outside the database", examined(copy), must_find=True)
    bundle = copy.bundle("installation.zip", copy.root)
    yield Look("installation's log, which vouches for it", vouched_for(bundle, copy.uuid), must_find=True)
    yield Look("none: the installation's log by itself", verified(bundle, world.policy), must_find=False)


def stopping_the_publisher(world: World) -> Iterator[Look]:
    """Nothing is signed any more, and what was written since is rewritten at leisure."""
    copy = world.copy("stopped-publisher")
    port = copy.installation.serve(GATE)
    try:
        key = copy.installation.key("acme-0")
        answers = [check(port, key) for _ in range(20)]
    finally:
        copy.installation.end()
    with copy.database() as database:
        cut_unpublished(database, copy)
    kept = copy.folder / "receipts.jsonl"
    kept.write_text("".join(f'{{"receipt": {answer}}}\n' for answer in answers))
    bundle = copy.bundle()
    yield Look("receipts of the agents", verified(bundle, world.policy, "--receipts", kept), must_find=True)
    late = verified(bundle, world.policy, "--fresh", "0s")
    yield Look("how old the newest checkpoint may be", late, must_find=True)
    yield Look("none of them: keys and witness alone", verified(bundle, world.policy), must_find=False)


def policy_of(world: World, key: Ed25519PrivateKey, path: Path) -> Path:
    """The policy of an auditor who takes the log's key from the bundle."""
    raw = key.public_key().public_bytes_raw()
    lines = world.unwitnessed.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("log "):
            name = notes.Verifier.parse(line.split()[1]).name
            lines[number] = f"log {notes.Verifier(name, notes.ED25519, raw)}"
    path.write_text("\n".join(lines) + "\n")
    return path


def slug(name: str) -> str:
    return name.replace(" ", "-")


def replace(database: Path, copy: Copy) -> None:
    """Put another database in the place of a copy's."""
    for leftover in copy.folder.glob("countersign.sqlite3*"):
        leftover.unlink()
    save(database, copy.installation.sqlite)


def cut_to_old_checkpoint(database: sqlite3.Connection, copy: Copy) -> None:
    """Cut both logs off where the installation's had told of an older checkpoint, and was witnessed."""
    ((size,),) = database.execute(
        "SELECT max(size) FROM audit_checkpoint WHERE log_id = ? AND size < ?", [copy.acme, 2 * PLACE]
    ).fetchall()
    forger = Forger(database, copy.root)
    told = [
        body["index"]
        for body in forger.bodies(copy.root)
        if body["type"] == PUBLISHED and body["data"]["size"] == size
    ]
    ((installation,),) = database.execute(
        "SELECT min(c.size) FROM audit_checkpoint c JOIN audit_cosignature s ON s.checkpoint_id = c.id"
        " WHERE c.log_id = ? AND c.size > ?",
        [copy.root, told[0]],
    ).fetchall()
    forger.cut(copy.acme, size)
    forger.cut(copy.root, installation)


def cut_unpublished(database: sqlite3.Connection, copy: Copy) -> None:
    """Cut off what no checkpoint covers yet."""
    ((size,),) = database.execute(
        "SELECT max(size) FROM audit_checkpoint WHERE log_id = ?", [copy.acme]
    ).fetchall()
    Forger(database, copy.root).cut(copy.acme, size)


def delete_log(database: sqlite3.Connection, log_id: int) -> None:
    """Delete every row of a log, and the workspace that it was of."""
    database.execute("PRAGMA foreign_keys = OFF")
    rows = database.execute("SELECT id FROM audit_checkpoint WHERE log_id = ?", [log_id]).fetchall()
    Forger(database, log_id).drop(key for (key,) in rows)
    for table in ("entry", "detail", "tile", "change", "detailkey", "head"):
        database.execute(f"DELETE FROM audit_{table} WHERE log_id = ?", [log_id])
    database.execute("DELETE FROM workspaces_workspace WHERE log_id = ?", [log_id])
    database.execute("DELETE FROM audit_log WHERE id = ?", [log_id])


STORIES: dict[str, Callable[[World], Iterator[Look]]] = {
    **{name: partial(editing, name=name, change=change) for name, change in EDITS.items()},
    "rewrite everything without the key": rewriting_without_the_key,
    "cut the tail with its tiles and checkpoints": cutting,
    "restore yesterday's copy": restoring,
    "rewrite with the stolen key": stealing_the_key,
    "show two histories to two auditors": showing_two_histories,
    "delete a whole workspace log": deleting_a_log,
    "stop the publisher": stopping_the_publisher,
}
