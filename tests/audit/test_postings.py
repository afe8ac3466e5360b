"""The log's search index: the same answers as reading every entry, wherever the worker has come to."""

import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from audit import histograms, log, postings, search
from audit.models import Entry, Head, Indexed, Posting, Pruning
from workspaces.models import Workspace

TYPES = ["allowed", "denied", "pending"]
TOOLS = ["mail.send", "files.read", "s3.put_object"]
AGENTS = ["agt_one", "agt_two", "agt_rare"]
ENTRIES = 500


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 entries and wide ones of 256, so that a few hundred entries have both."""
    monkeypatch.setattr(postings, "BLOCK", 64)
    monkeypatch.setattr(postings, "FACTOR", 4)


def write(workspace: Workspace, count: int, seed: int = 7) -> None:
    """Entries as decisions make them, the third agent seldom."""
    chance = random.Random(seed)
    with log.write(workspace.log_id) as entries:
        for number in range(count):
            agent = AGENTS[2] if number % 97 == 5 else chance.choice(AGENTS[:2])
            entries.append(
                f"governance.check.{chance.choice(TYPES)}",
                actor=f"agent:{agent}",
                agent=agent,
                tool=chance.choice(TOOLS),
                resource=f"s3://reports/2026/q{number % 4}.csv",
                outcome=chance.choice(["granted", "rule", "no_permission"]),
                session=f"Run-{number // 50}",
                data={"decision": f"dec_{number}", "revision": 1},
            )


def spread(workspace: Workspace, step: timedelta) -> None:
    """Let the entries lie so far apart; the last is as it was."""
    rows = list(Entry.objects.filter(log_id=workspace.log_id).order_by("-index"))
    for number, row in enumerate(rows):
        row.time -= number * step
    Entry.objects.bulk_update(rows, ["time"], batch_size=200)


def work(rounds: int = 100) -> None:
    """What the worker does, until nothing is left to do."""
    for _ in range(rounds):
        if not postings.index_new():
            return


def naive(workspace: Workspace, **columns: Any) -> list[int]:
    """The indexes of entries with these columns, newest first, as the database finds them."""
    rows = Entry.objects.filter(log_id=workspace.log_id, **columns).order_by("-index")
    return list(rows.values_list("index", flat=True))


def everything(workspace: Workspace, limit: int = 17, **asked: Any) -> list[int]:
    """All pages of a search, one after the other."""
    found: list[int] = []
    before = None
    while True:
        page = search.search(workspace.log_id, before=before, limit=limit, **asked)
        assert len(page.indexes) <= limit
        found += page.indexes
        if page.before is None:
            return found
        assert before is None or page.before < before
        before = page.before


CASES: list[tuple[dict[str, list[str]], dict[str, Any]]] = [
    ({"agent": ["agt_rare"]}, {"agent": "agt_rare"}),
    ({"tool": ["mail.send"], "outcome": ["rule"]}, {"tool": "mail.send", "outcome": "rule"}),
    (
        {"agent": ["agt_rare"], "tool": ["mail.send"], "type": ["governance.check.denied"]},
        {"agent": "agt_rare", "tool": "mail.send", "type": "governance.check.denied"},
    ),
    ({"session": ["Run-3"]}, {"session": "Run-3"}),
    ({"tool": ["mail.send", "files.read"]}, {"tool__in": ["mail.send", "files.read"]}),
    ({"actor": ["agent:agt_nobody"]}, {"actor": "agent:agt_nobody"}),
    ({}, {}),
]


@pytest.mark.parametrize("indexed", [0, 3, 100])
def test_a_search_finds_what_reading_everything_finds(acme: Workspace, indexed: int) -> None:
    write(acme, ENTRIES)
    for _ in range(indexed):
        postings.advance(acme.log_id)
    for facets, columns in CASES:
        assert everything(acme, facets=facets) == naive(acme, **columns), facets


def test_the_index_has_wide_blocks_and_no_others_below_them(acme: Workspace) -> None:
    write(acme, ENTRIES)
    work()
    state = Indexed.objects.get(log_id=acme.log_id)
    size = Head.objects.get(log_id=acme.log_id).size
    assert (state.size, state.merged) == (size // 64 * 64, size // 256)
    narrow = Posting.objects.filter(log_id=acme.log_id, level=postings.NARROW)
    assert min(narrow.values_list("block", flat=True)) == (state.merged - 1) * 4


def test_words_are_found_in_columns_and_in_what_a_type_says(acme: Workspace) -> None:
    write(acme, ENTRIES)
    work()
    denied = naive(acme, type="governance.check.denied")
    assert everything(acme, text="DENI") == denied
    assert everything(acme, text="q2.csv denied") == [
        i for i in denied if i in naive(acme, resource__contains="q2")
    ]
    assert everything(acme, text="run-3") == naive(acme, session="Run-3")
    assert everything(acme, text="waits") == naive(acme, type="governance.check.pending")
    assert everything(acme, text="nothing-like-it") == []


def test_an_id_is_found_wherever_it_stands(acme: Workspace) -> None:
    write(acme, ENTRIES)
    index = naive(acme, session="Run-1")[0]
    number = naive(acme, session="Run-0")[-1]
    assert everything(acme, text="agt_rare") == naive(acme, agent="agt_rare")
    expected = [number + 7]
    assert everything(acme, text="dec_7") == expected
    work()
    assert everything(acme, text="dec_7") == everything(acme, facets={"call": ["dec_7"]}) == expected
    assert index not in expected
    named = {"robot": [("agent", "agt_rare")]}
    assert everything(acme, text="robot", also=lambda word: named.get(word, [])) == naive(
        acme, agent="agt_rare"
    )


def test_times_bound_a_search(acme: Workspace) -> None:
    write(acme, ENTRIES)
    spread(acme, timedelta(minutes=1))
    work()
    times = dict(Entry.objects.filter(log_id=acme.log_id).values_list("index", "time"))
    since, until = times[200], times[431]
    wanted = [i for i in naive(acme, tool="mail.send") if 200 <= i < 431]
    assert everything(acme, facets={"tool": ["mail.send"]}, since=since, until=until) == wanted
    assert everything(acme, since=until, until=since) == []


def test_pages_stay_in_place_while_the_log_grows(acme: Workspace) -> None:
    write(acme, ENTRIES)
    first = search.search(acme.log_id, facets={"tool": ["mail.send"]}, limit=40)
    expected = search.search(acme.log_id, facets={"tool": ["mail.send"]}, before=first.before, limit=40)
    write(acme, ENTRIES, seed=8)
    work()
    again = search.search(acme.log_id, facets={"tool": ["mail.send"]}, before=first.before, limit=40)
    assert again == expected


def test_a_call_looks_at_so_much_and_says_where_to_go_on(
    acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(acme, ENTRIES)
    monkeypatch.setattr(search, "SCANNED", 100)
    page = search.search(acme.log_id, facets={"session": ["Run-0"]})
    assert page.indexes == []
    assert page.before == log.newest(acme.log_id) - 100
    assert everything(acme, facets={"session": ["Run-0"]}) == naive(acme, session="Run-0")
    work()
    monkeypatch.setattr(search, "MOST_CHUNKS", 1)
    monkeypatch.setattr(search, "CHUNK", 1)
    assert search.search(acme.log_id, facets={"session": ["Run-0"]}).before
    assert everything(acme, facets={"session": ["Run-0"]}) == naive(acme, session="Run-0")


def test_a_prefix_of_too_many_words_is_refused(acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write(acme, ENTRIES)
    work()
    monkeypatch.setattr(search, "MOST_ROWS", 1)
    with pytest.raises(search.TooBroad, match="begin with 'rep'"):
        search.search(acme.log_id, text="rep")


def test_what_was_interrupted_is_done_again(acme: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    write(acme, ENTRIES)
    for _ in range(3):
        postings.advance(acme.log_id)
    whole = postings.gather_wide

    def breaks(log_id: int, wide: int) -> Any:
        for number, each in enumerate(whole(log_id, wide)):
            if number == 5:
                raise OSError("The machine stops here.")
            yield each

    monkeypatch.setattr(postings, "ROWS", 2)
    with monkeypatch.context() as broken:
        broken.setattr(postings, "gather_wide", breaks)
        with pytest.raises(OSError, match="stops here"):
            postings.advance(acme.log_id)
    assert Posting.objects.filter(log_id=acme.log_id, level=postings.WIDE).exists()
    for facets, columns in CASES:
        assert everything(acme, facets=facets) == naive(acme, **columns), facets
    work()
    assert Indexed.objects.get(log_id=acme.log_id).merged
    for facets, columns in CASES:
        assert everything(acme, facets=facets) == naive(acme, **columns), facets


def prune(workspace: Workspace, end: int, kept: int) -> None:
    """Let the entries below ``end`` be gone but for one, as retention leaves a log."""
    Entry.objects.filter(log_id=workspace.log_id, index__lt=end).exclude(index=kept).delete()
    Pruning.objects.create(
        log_id=workspace.log_id, start=0, end=end, details_start=0, details_end=end, entry_index=ENTRIES
    )


@pytest.mark.parametrize(("count", "end"), [(220, 192), (ENTRIES, 256)], ids=["blocks", "a wide block"])
def test_what_was_pruned_is_in_no_posting_any_more(acme: Workspace, count: int, end: int) -> None:
    write(acme, count)
    work()
    kept = naive(acme, session="Run-1")[0]
    named = Posting.objects.filter(log_id=acme.log_id, term=b"session:Run-0")
    assert named.exists()
    prune(acme, end, kept)
    work()
    assert not named.exists()
    assert everything(acme, text="run") == naive(acme, session__startswith="Run")
    assert everything(acme, facets={"session": ["Run-1"]}) == naive(acme, session="Run-1")
    assert search.find(acme.log_id, text="run").total == len(naive(acme, session__startswith="Run"))
    assert not postings.index_new()


def test_counts_are_those_of_all_results(acme: Workspace) -> None:
    write(acme, ENTRIES)
    work()
    found = search.find(acme.log_id, facets={"tool": ["mail.send"]})
    assert found.whole
    assert found.total == len(naive(acme, tool="mail.send"))
    told = search.counts(acme.log_id, found, ["agent", "outcome"], 5)
    rows = Entry.objects.filter(log_id=acme.log_id, tool="mail.send")
    for facet, listed in told.items():
        counted = Counter(rows.exclude(**{facet: ""}).values_list(facet, flat=True))
        assert dict(listed) == dict(counted)
        assert [count for _, count in listed] == sorted((count for _, count in listed), reverse=True)


@pytest.mark.parametrize(("minutes", "unit"), [(5, "hour"), (30, "day"), (2000, "month")])
def test_bars_count_every_result_once(acme: Workspace, minutes: int, unit: str) -> None:
    write(acme, ENTRIES)
    spread(acme, timedelta(minutes=minutes))
    work()
    found = search.find(acme.log_id, facets={"agent": ["agt_one"]})
    told = histograms.histogram(acme.log_id, found)
    assert told.unit == unit
    times = Entry.objects.filter(log_id=acme.log_id, agent="agt_one").values_list("time", flat=True)
    expected = Counter(histograms.start_of(unit, time) for time in times)
    assert {bar.begin: bar.count for bar in told.bars if bar.count} == dict(expected)
    assert all(before.end == after.begin for before, after in pairwise(told.bars))
    assert isinstance(told.bars[0].begin, datetime)


@pytest.mark.parametrize("offsets", [[], [0], [63], [0, 1, 63], list(range(64))])
@pytest.mark.parametrize("width", [64, 65536])
def test_contents_are_read_as_they_were_written(offsets: list[int], width: int) -> None:
    content = postings.encode(offsets, width)
    assert len(content) <= width // 8
    assert sorted(postings.offsets_of(postings.decode(content, width))) == offsets
