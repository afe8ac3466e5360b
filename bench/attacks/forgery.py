"""The administrator's tools: a log rewritten so that everything in the database agrees with everything else."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from audit import canonical, merkle, notes
from audit.tiles import Growth

SEARCHED = ("type", "actor", "agent", "tool", "resource", "outcome", "session")
PUBLISHED = "audit.checkpoint.published"

Body = dict[str, Any]
Change = Callable[[list[Body]], list[Body]]


@dataclass
class Forger:
    """Whoever has the application's credentials; with ``key`` they sign, with their own or with a stolen one."""

    database: sqlite3.Connection
    root: int  # id of the installation's log
    key: Ed25519PrivateKey | None = None

    def rewrite(self, log_id: int, change: Change) -> None:
        """Change a log's bodies and make all that follows from them agree: leaves, tiles, head, checkpoints, and what
        the installation's log says of those. No witness has seen any of it, so none is shown to have seen a part."""
        self.unwitness(
            [key for (key,) in self.database.execute("SELECT id FROM audit_checkpoint").fetchall()]
        )
        self.put(log_id, change(self.bodies(log_id)))
        self.anchor(log_id)

    def bodies(self, log_id: int) -> list[Body]:
        rows = self.database.execute(
            'SELECT body FROM audit_entry WHERE log_id = ? ORDER BY "index"', [log_id]
        )
        return [json.loads(body) for (body,) in rows]

    def put(self, log_id: int, bodies: list[Body]) -> None:
        """Store these bodies as the log's entries, and the tree over them."""
        leaves = self.put_entries(log_id, bodies)
        self.grow(log_id, leaves)
        self.sign(log_id, leaves)

    def put_entries(self, log_id: int, bodies: list[Body]) -> list[bytes]:
        """Store these bodies as the log's entries, numbered anew; their leaf hashes."""
        for index, body in enumerate(bodies):
            body["index"] = index
        raw = [canonical.encode(body) for body in bodies]
        leaves = [merkle.leaf_hash(each) for each in raw]
        self.database.execute("DELETE FROM audit_entry WHERE log_id = ?", [log_id])
        self.database.executemany(
            f'INSERT INTO audit_entry (log_id, "index", time, {", ".join(SEARCHED)}, body, leaf)'
            f" VALUES (?, ?, ?, {', '.join('?' * len(SEARCHED))}, ?, ?)",
            [
                (
                    log_id,
                    body["index"],
                    stored(body["time"]),
                    *(body[name][:200] for name in SEARCHED),
                    each,
                    leaf,
                )
                for body, each, leaf in zip(bodies, raw, leaves, strict=True)
            ],
        )
        return leaves

    def grow(self, log_id: int, leaves: list[bytes]) -> None:
        """The tiles and the head over these leaves."""
        tree = Growth()
        tree.extend(leaves)
        self.database.execute("DELETE FROM audit_tile WHERE log_id = ?", [log_id])
        self.database.executemany(
            'INSERT INTO audit_tile (log_id, level, "index", hashes) VALUES (?, ?, ?, ?)',
            [(log_id, place.level, place.number, hashes) for place, hashes in tree.changed.items()],
        )
        self.database.execute(
            "UPDATE audit_head SET size = ?, frontier = ?, time ="
            ' (SELECT time FROM audit_entry WHERE log_id = ? ORDER BY "index" DESC LIMIT 1) WHERE log_id = ?',
            [len(leaves), tree.frontier().encode(), log_id, log_id],
        )

    def sign(self, log_id: int, leaves: list[bytes]) -> None:
        """The log's checkpoints over these leaves; those over more are gone. Without a key the old signatures stay,
        under other roots."""
        rows = self.database.execute(
            "SELECT id, size, note FROM audit_checkpoint WHERE log_id = ? ORDER BY size", [log_id]
        ).fetchall()
        tree, fit = merkle.Frontier(), [row for row in rows if row[1] <= len(leaves)]
        self.drop([row[0] for row in rows if row[1] > len(leaves)])
        if fit and self.key:  # the newest checkpoint covers everything, as it did
            fit[-1] = (fit[-1][0], len(leaves), fit[-1][2])
        for key, size, note in fit:
            tree.extend(leaves[tree.size : size])
            if self.key is None and note_of(note).root == tree.root():
                continue
            text = notes.Checkpoint(note_of(note).origin, size, tree.root()).text
            self.database.execute(
                "UPDATE audit_checkpoint SET size = ?, root = ?, note = ? WHERE id = ?",
                [size, tree.root(), self.note(text, note), key],
            )

    def note(self, text: str, old: str) -> str:
        """A signed note of a text; with the signature of the old one where there is no key."""
        if self.key is None:
            return text + "\n" + notes.Note.parse(old).signatures[0].line
        return notes.sign(text, [notes.Signer(text.partition("\n")[0], self.key)])

    def anchor(self, log_id: int) -> None:
        """Make the installation's log tell of the log's checkpoints as they are now."""
        rows = self.database.execute(
            "SELECT size, root, note FROM audit_checkpoint WHERE log_id = ?", [log_id]
        )
        now = {size: (root, notes.Note.parse(note).signatures[0].line.rstrip()) for size, root, note in rows}
        ((uuid,),) = self.database.execute("SELECT uuid FROM audit_log WHERE id = ?", [log_id]).fetchall()
        newest = max(now, default=0)

        def tell(bodies: list[Body]) -> list[Body]:
            for body in bodies:
                data = body["data"]
                if body["type"] == PUBLISHED and data["log"].replace("-", "") == uuid.replace("-", ""):
                    data["size"] = data["size"] if data["size"] in now else newest
                    root, signature = now[data["size"]]
                    data["root"], data["signature"] = root.hex(), signature
            return bodies

        self.put(self.root, tell(self.bodies(self.root)))

    def cut(self, log_id: int, size: int) -> None:
        """Cut a log off at a size, with all that came later of it."""
        leaves = [merkle.leaf_hash(canonical.encode(body)) for body in self.bodies(log_id)[:size]]
        self.database.execute('DELETE FROM audit_entry WHERE log_id = ? AND "index" >= ?', [log_id, size])
        self.database.execute('DELETE FROM audit_detail WHERE log_id = ? AND "index" >= ?', [log_id, size])
        self.drop(
            key
            for (key,) in self.database.execute(
                "SELECT id FROM audit_checkpoint WHERE log_id = ? AND size > ?", [log_id, size]
            ).fetchall()
        )
        self.grow(log_id, leaves)

    def drop(self, checkpoints: Any) -> None:
        """Take checkpoints away, with the witnesses' signatures on them."""
        gone = list(checkpoints)
        self.unwitness(gone)
        self.database.executemany("DELETE FROM audit_checkpoint WHERE id = ?", [(key,) for key in gone])

    def unwitness(self, checkpoints: list[int]) -> None:
        """Take the witnesses' signatures off."""
        for table in ("audit_cosignature", "audit_timestamp"):
            self.database.executemany(
                f"DELETE FROM {table} WHERE checkpoint_id = ?", [(key,) for key in checkpoints]
            )


def stored(time: str) -> str:
    """A body's time as the column has it."""
    return time.removesuffix("Z").replace("T", " ")


def note_of(note: str) -> notes.Checkpoint:
    """What a stored note says."""
    return notes.Checkpoint.parse(notes.Note.parse(note).text)


def stolen(keys: Path) -> Ed25519PrivateKey:
    """The publisher's key, read from its file."""
    key = load_pem_private_key((keys / "checkpoint.key").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    return key
