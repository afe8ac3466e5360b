"""Checkpoints, proofs and tiles over HTTP: for who may read a log whole, and for nobody else."""

from typing import Any

import pytest
from django.test import Client

from audit import merkle, notes, tiles
from audit.models import Checkpoint, Entry, Log
from audit.publishing import publish
from tests.api.caller import Caller
from tests.audit.publishers import append, installation, leaves, verifier
from tests.cast import Cast
from tests.portal import enter
from workspaces import people
from workspaces.models import User, Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(cast: Cast) -> Workspace:
    """acme, whose log has 300 more entries and a checkpoint."""
    append(cast.acme.log, 300)
    publish(cast.acme.log)
    return cast.acme


def prefix(log: Log) -> str:
    """A log's address: its origin behind this installation's host."""
    return "/" + log.origin.partition("/")[2]


def operator(cast: Cast) -> Client:
    people.set_operator(cast.sam, True, actor="system")
    return enter(User.objects.get(pk=cast.sam.pk))


def fetched(client: Client, address: str, status: int = 200) -> Any:
    answer = client.get(address)
    assert answer.status_code == status, (address, answer.status_code, answer.content[:300])
    return answer


def test_the_checkpoint_is_served_where_the_origin_says(cast: Cast, acme: Workspace) -> None:
    answer = fetched(enter(cast.rita), f"{prefix(acme.log)}/checkpoint")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Cache-Control"] == "no-store, private"
    note = notes.Note.parse(answer.content.decode())
    assert note.signed_by(verifier(acme.log.origin)) == 0
    assert notes.Checkpoint.parse(note.text).root == merkle.root(leaves(acme.log))


def test_the_witnesses_lines_stand_below_the_note(cast: Cast, acme: Workspace) -> None:
    checkpoint = Checkpoint.objects.get(log=acme.log)
    checkpoint.cosignatures.create(witness="w", line="— w AAAA\n", time=checkpoint.time)
    answer = fetched(enter(cast.rita), f"{prefix(acme.log)}/checkpoint")
    assert answer.content.decode() == f"{checkpoint.note}— w AAAA\n"


def test_every_tile_of_the_tree_is_served_and_shows_every_entry(cast: Cast, acme: Workspace) -> None:
    browser, size = enter(cast.rita), Checkpoint.objects.get(log=acme.log).size
    stored = {}
    for place in tiles.places(size):
        width = tiles.width_of(place, size)
        answer = fetched(browser, f"{prefix(acme.log)}/tile/{tiles.path_of(place, width)}")
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Cache-Control"] == "private, max-age=31536000, immutable"
        stored[place] = answer.content
        assert len(answer.content) == 32 * width
    assert tiles.hash_of(tiles.Range(0, size), stored) == merkle.root(leaves(acme.log))


def test_an_earlier_width_of_a_tile_stays_available(cast: Cast, acme: Workspace) -> None:
    answer = fetched(enter(cast.rita), f"{prefix(acme.log)}/tile/0/000.p/7")
    assert answer.content == b"".join(leaves(acme.log)[:7])


def test_bundles_hold_the_entries_that_the_leaves_are_of(cast: Cast, acme: Workspace) -> None:
    content = fetched(enter(cast.rita), f"{prefix(acme.log)}/tile/entries/000").content
    hashed = []
    while content:
        length = int.from_bytes(content[:2], "big")
        hashed.append(merkle.leaf_hash(content[2 : 2 + length]))
        content = content[2 + length :]
    assert hashed == leaves(acme.log)[:256]


def test_an_entry_that_no_bundle_can_hold_is_said_where_to_be(cast: Cast, acme: Workspace) -> None:
    append(acme.log, 1, text="x" * 70_000)
    publish(acme.log)
    size = Checkpoint.objects.filter(log=acme.log).latest("size").size
    width = size - 256
    answer = fetched(enter(cast.rita), f"{prefix(acme.log)}/tile/entries/001.p/{width}", 413)
    problem = answer.json()
    assert problem["code"] == "entry_too_long"
    assert f"/api/v1/logs/{acme.log.uuid}/entries/{size - 1}" in problem["detail"]
    assert fetched(enter(cast.rita), f"{prefix(acme.log)}/tile/entries/000").status_code == 200


def test_nothing_else_is_there(cast: Cast, acme: Workspace) -> None:
    for address in ("", "tile/", "1/checkpoint", "0/checkpoint", "1/tile/0/000", "Checkpoint", "tile"):
        fetched(enter(cast.rita), f"{prefix(acme.log)}/{address}", 404)


@pytest.mark.parametrize("path", ["0/0", "0/001", "0/002", "3/000", "entries/001", "nothing", "0/000.p/300"])
def test_there_are_no_other_tiles(cast: Cast, acme: Workspace, path: str) -> None:
    fetched(enter(cast.rita), f"{prefix(acme.log)}/tile/{path}", 404)


def test_it_is_not_for_who_may_not_read_the_log(cast: Cast, acme: Workspace) -> None:
    for address in ("checkpoint", "tile/0/000", "tile/entries/000"):
        for person in (cast.otto, cast.sam, cast.gina):
            fetched(enter(person), f"{prefix(acme.log)}/{address}", 404)
        fetched(Client(), f"{prefix(acme.log)}/{address}", 401)
        fetched(operator(cast), f"{prefix(acme.log)}/{address}", 404)


def test_the_installations_log_is_for_its_operators(cast: Cast, acme: Workspace) -> None:
    publish(installation())
    for address in ("checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"):
        fetched(operator(cast), f"{prefix(installation())}/{address}")
        fetched(enter(cast.olga), f"{prefix(installation())}/{address}", 403)
    fetched(operator(cast), f"/ws/{installation().uuid}/checkpoint", 404)
    fetched(operator(cast), f"/installation/{acme.log.uuid}/checkpoint", 404)


def test_a_program_with_a_token_reads_it_too(cast: Cast, acme: Workspace) -> None:
    token = Caller(cast.rita, scope="read").text
    answer = Client().get(f"{prefix(acme.log)}/checkpoint", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 200


def test_the_api_proves_an_entry(cast: Cast, acme: Workspace) -> None:
    caller, hashed = Caller(cast.rita), leaves(acme.log)
    checkpoint = caller.get(f"logs/{acme.log.uuid}/checkpoint")
    assert checkpoint["origin"] == acme.log.origin
    proof = caller.get(f"logs/{acme.log.uuid}/entries/42/proof")
    assert proof["checkpoint"] == checkpoint
    assert (proof["size"], proof["root"]) == (checkpoint["size"], checkpoint["root"])
    assert bytes.fromhex(proof["leaf"]) == hashed[42]
    hashes = [bytes.fromhex(each) for each in proof["hashes"]]
    merkle.verify_inclusion(hashed[42], 42, proof["size"], hashes, bytes.fromhex(proof["root"]))
    earlier = caller.get(f"logs/{acme.log.uuid}/entries/42/proof", size=50)
    assert earlier["checkpoint"] is None
    assert bytes.fromhex(earlier["root"]) == merkle.root(hashed[:50])


def test_the_api_proves_that_a_log_only_grew(cast: Cast, acme: Workspace) -> None:
    caller, hashed = Caller(cast.rita), leaves(acme.log)
    proof = caller.get(f"logs/{acme.log.uuid}/consistency", **{"from": 100})
    assert proof["second"] == len(hashed)
    merkle.verify_consistency(
        100,
        proof["second"],
        merkle.root(hashed[:100]),
        merkle.root(hashed),
        [bytes.fromhex(each) for each in proof["hashes"]],
    )
    assert proof["first_root"] == merkle.root(hashed[:100]).hex()


def test_what_is_not_published_has_no_proof(cast: Cast, acme: Workspace) -> None:
    caller = Caller(cast.rita)
    append(acme.log, 1)
    size = Entry.objects.filter(log=acme.log).count()
    assert (
        "No checkpoint over" in caller.get(f"logs/{acme.log.uuid}/entries/0/proof", 404, size=size)["detail"]
    )
    caller.get(f"logs/{acme.log.uuid}/entries/{size - 1}/proof", 404)
    caller.get(f"logs/{acme.log.uuid}/entries/{2**70}/proof", 404)
    caller.get(f"logs/{acme.log.uuid}/consistency", 404, **{"from": 1, "to": size})
    caller.get(f"logs/{acme.log.uuid}/consistency", 400, size=1)
    caller.get(f"logs/{acme.log.uuid}/consistency", 400, **{"from": 0})
    caller.get(f"logs/{cast.globex.log.uuid}/checkpoint", 404)


def test_a_log_without_a_checkpoint_says_so(cast: Cast) -> None:
    assert "No checkpoint" in Caller(cast.rita).get(f"logs/{cast.acme.log.uuid}/checkpoint", 404)["detail"]
    fetched(enter(cast.rita), f"{prefix(cast.acme.log)}/checkpoint", 404)
