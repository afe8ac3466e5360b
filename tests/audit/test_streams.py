"""Streams: what they send to a real sink, in which order, what they do when it fails, and where they never go."""

import base64
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from audit import delivery, destinations, formats, log, owed, streams
from audit.destinations import NotAllowed, Unreachable
from audit.models import DeadLetter, Head, Owed, Stream, StreamCursor
from audit.streams import StreamRefused
from tests.cast import ACTOR, Cast, assemble
from tests.details import opened
from tests.portal import body_of, latest
from workspaces import catalog


class Sink:
    """A server that takes webhooks. ``answers`` are given first, then 204; ``poison`` is refused with 400."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.poison: set[int] = set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = sink.answers.pop(0) if sink.answers else 204
                if sink.poison & set(indexes(body)):
                    status = 400
                if 200 <= status < 300:
                    sink.messages.append((dict(self.headers), body))
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing on stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=hush-hush"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def received(self) -> list[int]:
        """The indexes in the order in which they came."""
        return [index for _, body in self.messages for index in indexes(body)]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def indexes(body: bytes) -> list[int]:
    """Of the entries in a message of JSON lines."""
    found = [formats.index_in("jsonl", line) for line in body.splitlines()]
    return [index for index in found if index is not None]


@pytest.fixture
def sink(settings: Any) -> Iterator[Sink]:
    settings.STREAM_ALLOW = ["127.0.0.1"]
    server = Sink()
    yield server
    server.close()


def webhook(cast: Cast, sink: Sink, **options: Any) -> tuple[Stream, str]:
    """A stream of acme's log from its beginning."""
    options = {"name": "siem", "kind": "webhook", "url": sink.url, "from_start": True, **options}
    return streams.create(cast.acme.log_id, actor=ACTOR, **options)


def deliver(now: datetime | None = None) -> int:
    """Everything that is due at a time; how many turns were taken."""
    turns = 0
    while delivery.deliver_due(now):
        turns += 1
    return turns


def work() -> None:
    """The worker's thread for what takes long, inside the test's transaction."""
    while rows := owed.claim(1, aside=True):
        owed.performer_of(rows[0].kind)(rows[0].payload)
        Owed.objects.filter(pk=rows[0].pk).update(done_at=timezone.now())


def grow(cast: Cast, number: int = 0) -> None:
    """One more entry."""
    catalog.set_list(cast.acme, name=f"list_{number}", members=[f"m{size_of(cast)}"], actor=ACTOR)


def size_of(cast: Cast) -> int:
    return log.newest(cast.acme.log_id)


def test_every_entry_comes_signed_and_in_order(cast: Cast, sink: Sink) -> None:
    stream, secret = webhook(cast, sink)
    deliver()
    assert sink.received() == list(range(size_of(cast)))
    for headers, body in sink.messages:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        assert (
            headers["webhook-signature"]
            == "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        )
        assert "." not in headers["webhook-id"]
        assert headers["Content-Type"] == "application/x-ndjson"
    assert len({headers["webhook-id"] for headers, _ in sink.messages}) == len(sink.messages) > 0
    grow(cast)
    deliver()
    assert sink.received() == list(range(size_of(cast)))
    assert deliver() == 0
    stream.cursor.refresh_from_db()
    assert (streams.health(stream, size_of(cast)), stream.cursor.error) == ("well", "")


@pytest.mark.parametrize("format", ["ocsf", "cloudevents"])
def test_other_formats_come_as_arrays(cast: Cast, sink: Sink, format: str) -> None:
    webhook(cast, sink, format=format)
    deliver()
    told = [event for _, body in sink.messages for event in json.loads(body)]
    found = [formats.index_in(format, json.dumps(each).encode()) for each in told]
    assert found == list(range(size_of(cast)))


def test_a_sink_that_is_away_for_a_day_gets_every_entry_once(cast: Cast, sink: Sink) -> None:
    """24 hours of passed time, with entries coming in all the while and the answers that a broken sink gives."""
    stream, _ = webhook(cast, sink, from_start=False)
    first = size_of(cast) - 1
    begun = now = timezone.now() + timedelta(minutes=1)
    tries = 0
    while now < begun + timedelta(hours=24):
        sink.answers = [(500, 503, 429, 401, 404, 302)[tries % 6]]
        assert delivery.deliver_due(now)
        assert not delivery.deliver_due(now)
        stream.cursor.refresh_from_db()
        assert stream.cursor.due <= now + timedelta(hours=1)
        tries += 1
        if tries % 5 == 0:
            grow(cast, tries)
        now = stream.cursor.due
    assert 24 <= tries <= 72
    assert stream.cursor.failing_since == begun
    assert sink.received() == []
    sink.answers = []
    deliver(now)
    assert sink.received() == list(range(first, size_of(cast)))
    assert DeadLetter.objects.count() == 0
    stream.cursor.refresh_from_db()
    assert (stream.cursor.attempts, streams.health(stream, size_of(cast))) == (0, "well")


def test_a_batch_is_the_same_message_until_it_is_taken(cast: Cast, sink: Sink) -> None:
    stream, _ = webhook(cast, sink)
    sink.answers = [503]
    delivery.deliver_due()
    stream.cursor.refresh_from_db()
    tried = stream.cursor.batch_end
    grow(cast)
    assert delivery.deliver_due(stream.cursor.due)
    assert len(indexes(sink.messages[0][1])) == tried
    deliver(stream.cursor.due)
    assert sink.received() == list(range(size_of(cast)))


def test_an_answer_that_was_lost_is_sent_twice_under_one_id(cast: Cast, sink: Sink) -> None:
    stream, _ = webhook(cast, sink)
    cursor = delivery.claim(timezone.now())
    assert cursor is not None
    StreamCursor.objects.filter(pk=cursor.pk).update(
        claims=cursor.claims + 1
    )  # another worker, after the lease
    delivery.by_webhook(cursor, timezone.now())
    stream.cursor.refresh_from_db()
    assert stream.cursor.next == 0
    StreamCursor.objects.filter(pk=cursor.pk).update(lease_until=None)
    deliver()
    ids = [headers["webhook-id"] for headers, _ in sink.messages]
    assert ids[0] == ids[1]
    assert set(sink.received()) == set(range(size_of(cast)))


def test_two_threads_never_take_one_stream(cast: Cast, sink: Sink) -> None:
    webhook(cast, sink)
    now = timezone.now()
    assert delivery.claim(now) is not None
    assert delivery.claim(now) is None
    assert delivery.claim(now + delivery.LEASE) is not None


def test_what_is_refused_for_good_is_kept_aside_and_can_be_sent_again(cast: Cast, sink: Sink) -> None:
    sink.poison = {3, 17}
    stream, _ = webhook(cast, sink)
    deliver()
    everything = list(range(size_of(cast)))
    assert sink.received() == [index for index in everything if index not in sink.poison]
    letters = DeadLetter.objects.filter(stream=stream).order_by("index")
    assert [(row.index, row.reason[:8]) for row in letters] == [(3, "HTTP 400"), (17, "HTTP 400")]
    assert streams.in_log(cast.acme.log_id).get().dead == 2
    sink.poison = {17}
    assert streams.send_again(stream) == 2
    work()
    assert sink.received()[-1] == 3
    assert streams.in_log(cast.acme.log_id).get().dead == 1
    sink.poison = set()
    streams.send_again(stream)
    work()
    assert sorted(sink.received()) == everything
    assert streams.send_again(stream) == 0


def test_a_sink_that_is_gone_pauses_its_stream(cast: Cast, sink: Sink) -> None:
    stream, _ = webhook(cast, sink)
    sink.answers = [410]
    deliver()
    stream.refresh_from_db()
    assert stream.paused
    told = body_of(latest(cast.acme))
    assert (told["type"], told["actor"], told["outcome"]) == ("audit.stream.changed", "system", "paused")
    assert streams.health(stream, size_of(cast)) == "paused"
    streams.resume(stream, actor=ACTOR)
    deliver()
    assert sink.received() == list(range(size_of(cast)))


def test_a_paused_stream_waits_and_a_removed_one_is_gone(cast: Cast, sink: Sink) -> None:
    stream, _ = webhook(cast, sink)
    streams.pause(stream, actor=ACTOR)
    with pytest.raises(StreamRefused, match="already"):
        streams.pause(stream, actor=ACTOR)
    assert deliver() == 0
    streams.resume(stream, actor=ACTOR)
    assert deliver() > 0
    streams.remove(stream, actor=ACTOR)
    assert body_of(latest(cast.acme))["type"] == "audit.stream.removed"
    assert deliver() == 0
    assert Stream.objects.count() == StreamCursor.objects.count() == 0


def test_a_sink_asks_to_be_left_alone_for_a_while(cast: Cast, sink: Sink) -> None:
    assert delivery.retry_after(0, 0.0) == 2.5
    assert delivery.retry_after(0, 1.0) == 5.0
    assert delivery.retry_after(3, 1.0) == 40.0
    assert delivery.retry_after(500, 1.0) == 3600.0


def test_the_secret_is_shown_once_and_sealed(cast: Cast, sink: Sink) -> None:
    stream, secret = webhook(cast, sink)
    raw = base64.b64decode(secret.removeprefix("whsec_"))
    stream.refresh_from_db()
    assert len(raw) == 32
    assert raw not in bytes(stream.secret)
    told = body_of(latest(cast.acme))
    for text in (json.dumps(told), *(each.decode() for each in opened(cast.acme.log_id))):
        assert secret not in text
        assert raw.hex() not in text
    assert "hush-hush" not in json.dumps(told)
    other = streams.exchange_secret(stream, actor=ACTOR)
    assert body_of(latest(cast.acme))["outcome"] == "secret"
    stream.refresh_from_db()
    assert streams.secret_of(stream) == base64.b64decode(other.removeprefix("whsec_")) != raw
    stream.public_id = "str_other"
    with pytest.raises(StreamRefused, match="sealed"):
        streams.secret_of(stream)


def test_a_test_message_says_what_came_of_it(cast: Cast, sink: Sink) -> None:
    stream, _ = webhook(cast, sink)
    streams.ask_for_test(stream)
    work()
    stream.cursor.refresh_from_db()
    assert stream.cursor.test_result.startswith("HTTP 204")
    assert json.loads(sink.messages[0][1])["type"] == "countersign.test"
    assert stream.cursor.next == 0
    sink.close()
    streams.ask_for_test(stream)
    work()
    stream.cursor.refresh_from_db()
    assert "ConnectionRefused" in stream.cursor.test_result
    sink.thread = threading.Thread(target=str)
    sink.thread.start()


def test_a_redirect_is_not_followed(cast: Cast, sink: Sink) -> None:
    stream, _ = webhook(cast, sink)
    sink.answers = [307]
    delivery.deliver_due()
    stream.cursor.refresh_from_db()
    assert "redirect, which is not followed" in stream.cursor.error
    assert "169.254" not in stream.cursor.error


@pytest.mark.parametrize(
    "url",
    [
        "http://siem.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[fec0::1]/",
        "https://[::127.0.0.1]/",
        "https://192.0.0.192/opc/v2/instance/",
        "https://user:word@siem.example.com/",
        "https://siem.example.com/#part",
        "https://siem.example.com:0/",
        "https://siem.example.com:99999/",
        "https://siem.exämple.com/",
        "https://siem.example.com/a b",
        "https://siem.example.com/\r\nX: 1",
        "https://siem.example.com/\x7f?token=abc",
        "file:///etc/passwd",
        "https://",
        "",
    ],
)
def test_a_stream_goes_nowhere_inside(cast: Cast, url: str) -> None:
    with pytest.raises(NotAllowed):
        streams.create(cast.acme.log_id, name="siem", kind="webhook", url=url, actor=ACTOR)
    assert Stream.objects.count() == 0


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001", "2130706433"])
def test_a_name_that_leads_inside_is_refused_when_it_is_called(host: str) -> None:
    with pytest.raises(NotAllowed):
        destinations.post(f"https://{host}/", b"", {})


def test_the_allowed_host_may_be_inside_and_no_other(sink: Sink) -> None:
    assert destinations.post(sink.url, b"", {}).status == 204
    with pytest.raises(NotAllowed):
        destinations.post(sink.url.replace("127.0.0.1", "127.0.0.2"), b"", {})


def test_a_sink_that_never_ends_is_cut_off(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STREAM_ALLOW = ["127.0.0.1"]
    monkeypatch.setattr(destinations, "DEADLINE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            """A header that never ends, a byte at a time, so that no single wait is long."""
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 ")
                while True:
                    connection.sendall(b"x")
                    threading.Event().wait(0.01)

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(Unreachable, match="no answer within"):
            destinations.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", {})
        dripping.join()


def test_the_worker_sends_too(transactional_db: None, sink: Sink) -> None:
    cast = assemble()
    webhook(cast, sink)
    call_command("work", "--once", "--quiet")
    assert sink.received() == list(range(size_of(cast)))


def test_a_file_goes_on_after_its_last_whole_line(cast: Cast, settings: Any, tmp_path: Path) -> None:
    settings.STREAM_FOLDER = str(tmp_path)
    stream, secret = streams.create(
        cast.acme.log_id, name="shipper", kind="file", actor=ACTOR, from_start=True
    )
    assert secret == ""
    deliver()
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o640
    assert indexes(path.read_bytes()) == list(range(size_of(cast)))
    whole = path.read_bytes()
    grow(cast)
    # A crash after the file was written and before the cursor was: the file is right, and one line is torn.
    path.write_bytes(whole + b'{"body":{"index":' + b"9" * 100_000)
    StreamCursor.objects.filter(stream=stream).update(next=5)
    deliver()
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().count(b"\n") == len(path.read_bytes().splitlines()) == size_of(cast)
    assert indexes(path.read_bytes()) == list(range(size_of(cast)))
    # Moved away by whoever rotates it: the next file begins where the last ended.
    path.rename(tmp_path / "old")
    grow(cast, 1)
    deliver()
    assert indexes(path.read_bytes()) == [size_of(cast) - 1]


def test_a_file_that_is_not_the_streams_is_left_alone(cast: Cast, settings: Any, tmp_path: Path) -> None:
    settings.STREAM_FOLDER = str(tmp_path)
    stream, _ = streams.create(cast.acme.log_id, name="shipper", kind="file", actor=ACTOR)
    deliver()
    (path,) = tmp_path.iterdir()
    for content, told in ((b"mine\n", "something else"), (b'{"body":{"index":99999}}\n', "restored")):
        path.write_bytes(content)
        grow(cast)
        StreamCursor.objects.update(due=timezone.now())
        delivery.deliver_due()
        assert path.read_bytes() == content
        stream.cursor.refresh_from_db()
        assert told in stream.cursor.error


def test_pruned_entries_hold_nothing_up(cast: Cast, sink: Sink, tampering: None) -> None:
    stream, _ = webhook(cast, sink)
    stream.log.entries.filter(index__lt=size_of(cast) - 1).delete()
    deliver()
    assert sink.received() == [size_of(cast) - 1]
    stream.log.entries.all().delete()
    StreamCursor.objects.update(next=0)
    assert deliver() == 1
    stream.cursor.refresh_from_db()
    assert stream.cursor.next == Head.objects.get(log_id=cast.acme.log_id).size


def test_what_no_stream_may_be(cast: Cast, sink: Sink) -> None:
    webhook(cast, sink)
    for options in (
        {},
        {"name": " "},
        {"name": "a", "kind": "mail"},
        {"name": "a", "format": "csv"},
        {"name": "a", "kind": "file"},
        {"name": "a", "kind": "file", "url": ""},
    ):
        with pytest.raises(StreamRefused):
            webhook(cast, sink, **options)
