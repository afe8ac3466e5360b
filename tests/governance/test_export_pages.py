"""The pages and the API of exports and streams: asked for, watched, downloaded, set up, paused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import delivery, log, streams
from audit.models import Export, Stream, StreamCursor
from tests.audit.test_exports import work
from tests.cast import ACTOR, Cast
from tests.portal import body_of, enter, latest
from workspaces import people


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def address(name: str, *more: str, slug: str = "acme") -> str:
    return reverse(name, args=[slug, *more])


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def ask(cast: Cast, **fields: Any) -> Export:
    """rita asks on the page."""
    answer = enter(cast.rita).post(address("exports"), {"format": "jsonl", **fields}, follow=True)
    assert answer.status_code == 200, answer.content
    return Export.objects.latest("pk")


def test_an_export_is_asked_for_watched_and_downloaded(cast: Cast) -> None:
    client = enter(cast.rita)
    assert "None yet." in text(client, address("exports"))
    export = ask(cast, first_day="2020-01-01", last_day="2100-01-01")
    assert str(export.since) == "2019-12-31 23:00:00+00:00"  # Berlin's
    shown = text(client, address("exports"))
    assert address("export_progress", export.public_id) in shown
    assert json.loads(client.get(address("export_progress", export.public_id)).content) == {
        "open": True,
        "percent": 0,
    }
    answer = client.post(address("export_file", export.public_id), follow=True)
    assert "is not ready" in answer.content.decode()
    work()
    assert client.get(address("export_file", export.public_id)).status_code == 405
    answer = client.post(address("export_file", export.public_id))
    assert "attachment" in answer["Content-Disposition"]
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert len(content) == int(answer["Content-Length"]) > 0
    assert content.count(b"\n") == export.end
    assert body_of(latest(cast.acme))["type"] == "audit.export.downloaded"


def test_only_who_asked_downloads_and_only_while_they_may(cast: Cast) -> None:
    export = ask(cast)
    work()
    assert "for Rita Review alone" in text(enter(cast.olga), address("exports"))
    file = address("export_file", export.public_id)
    assert enter(cast.olga).post(file).status_code == 403
    assert enter(cast.otto).post(file).status_code == 403
    assert enter(cast.gina).post(file).status_code == 404
    assert enter(cast.gina).post(address("export_file", export.public_id, slug="globex")).status_code == 404
    people.set_roles(cast.acme, cast.rita, roles=["approver"], actor=ACTOR)
    assert enter(cast.rita).post(file).status_code == 403


def test_a_form_that_is_wrong_says_why(cast: Cast) -> None:
    fields = {"format": "csv", "first_day": "2026-02-02", "last_day": "2026-02-01"}
    answer = enter(cast.rita).post(address("exports"), fields)
    assert answer.status_code == 400
    assert "ends before it begins" in answer.content.decode()
    assert enter(cast.rita).post(address("exports"), {"format": "xml"}).status_code == 400


def test_the_sidebar_leads_there_for_who_may(cast: Cast) -> None:
    for name, leads in (("exports_overview", "exports"), ("streams_overview", "streams")):
        url = reverse(name)
        assert url in text(enter(cast.rita), reverse("admin:index"))
        assert url not in text(enter(cast.otto), reverse("admin:index"))
        assert enter(cast.rita).get(url)["Location"] == address(leads)
        assert enter(cast.otto).get(url).status_code == 404


def set_up(client: Client, **fields: Any) -> str:
    """The page that answers."""
    body = {"name": "siem", "sink": "webhook", "url": "https://siem.example.com/x?token=t", "format": "ocsf"}
    answer = client.post(address("stream_create"), {**body, **fields})
    return " ".join(answer.content.decode().split())


def test_a_stream_is_set_up_and_its_secret_shown_once(cast: Cast) -> None:
    client = enter(cast.rita)
    assert "None yet." in text(client, address("streams"))
    shown = set_up(client)
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", shown)
    stream = Stream.objects.get()
    page = text(client, address("stream", stream.public_id))
    assert secret not in page
    assert "token=t" not in page
    assert "siem" in text(client, address("streams"))
    told = body_of(latest(cast.acme))
    assert (told["type"], told["actor"]) == ("audit.stream.created", people.actor_of(cast.rita))
    again = client.post(address("stream_secret", stream.public_id)).content.decode()
    assert re.findall(r"whsec_[A-Za-z0-9+/=]+", again) not in ([], [secret])


def test_what_no_stream_may_be_is_said_on_the_form(cast: Cast) -> None:
    client = enter(cast.rita)
    assert "address inside" in set_up(client, url="https://10.0.0.1/")
    assert "COUNTERSIGN_STREAM_FOLDER" in set_up(client, sink="file")
    assert "This field is required" in set_up(client, name="")
    assert Stream.objects.count() == 0


def test_who_exports_sees_streams_and_who_publishes_changes_them(cast: Cast) -> None:
    auditor = people.create_person("ada@acme.test", name="Ada Audit", actor=ACTOR).row
    people.set_roles(cast.acme, auditor, roles=["auditor"], actor=ACTOR)
    set_up(enter(cast.rita))
    stream = Stream.objects.get()
    page = text(enter(auditor), address("stream", stream.public_id))
    assert "Send a test" not in page
    assert "Set one up" not in text(enter(auditor), address("streams"))
    for name in ("pause", "resume", "secret", "test", "again", "remove"):
        url = address(f"stream_{name}", stream.public_id)
        assert enter(auditor).post(url).status_code == 403
        assert enter(cast.gina).post(url).status_code == 404
        assert enter(cast.gina).post(url.replace("acme", "globex")).status_code == 404
        assert enter(cast.rita).get(url).status_code == 405
    assert enter(auditor).post(address("stream_create"), {}).status_code == 403
    assert Stream.objects.get().paused is False


def test_the_buttons_say_what_they_did(cast: Cast) -> None:
    set_up(enter(cast.rita))
    stream, client = Stream.objects.get(), enter(cast.rita)

    def press(name: str) -> str:
        answer = client.post(address(f"stream_{name}", stream.public_id), follow=True)
        return answer.content.decode()

    assert "Paused." in press("pause")
    assert "already" in press("pause")
    assert "Resumed" in press("resume")
    assert "sends a test" in press("test")
    assert "Waiting for the worker" in text(client, address("stream", stream.public_id))
    assert "once more" in press("again")
    assert "Removed." in press("remove")
    assert Stream.objects.count() == 0


def test_health_tells_how_far_behind_and_what_went_wrong(
    cast: Cast, django_assert_max_num_queries: Any
) -> None:
    set_up(enter(cast.rita), from_start="on")
    stream, client = Stream.objects.get(), enter(cast.rita)
    size = log.newest(cast.acme.log_id)
    cursor = StreamCursor.objects.get()
    delivery.fail(cursor, cursor.due, "siem.example.com: no answer within 20 s")
    page = text(client, address("stream", stream.public_id))
    assert "Failing since" in page
    assert "no answer within 20 s" in page
    assert f"<dd>{size} entries</dd>" in page
    with django_assert_max_num_queries(40):
        client.get(address("streams"))


def test_the_api_exports_and_streams(cast: Cast) -> None:
    client = enter(cast.rita)

    def call(method: str, path: str, body: Any = None) -> Any:
        return getattr(client, method)(
            f"/api/v1/workspaces/acme/{path}",
            *([] if body is None else [json.dumps(body)]),
            content_type="application/json",
        )

    made = call("post", "exports", {"format": "csv", "only": {"type": "workspaces.tool.changed"}})
    assert (made.status_code, made.json()["status"]) == (201, "waiting")
    path = f"exports/{made.json()['id']}"
    assert call("post", f"{path}/file").json()["code"] == "export_not_ready"
    work()
    assert call("get", path).json()["percent"] == 100
    file = call("post", f"{path}/file")
    assert file["Content-Type"] == "text/csv"
    assert [row["id"] for row in call("get", "exports").json()["results"]] == [made.json()["id"]]
    assert (
        call("post", "exports", {"format": "csv", "only": {"agent": "x"}}).json()["code"] == "invalid_request"
    )
    agent = cast.report_bot.public_id
    assert call("post", "exports", {"format": "csv", "only": {"agent": agent}}).status_code == 201
    assert (
        call("post", "exports", {"format": "pack", "only": {"agent": agent}}).json()["code"]
        == "export_refused"
    )
    refused = call(
        "post", "exports", {"format": "csv", "since": "2026-01-02T00:00Z", "until": "2026-01-01T00:00Z"}
    )
    assert refused.json()["code"] == "export_refused"

    refused = call("post", "streams", {"name": "siem", "sink": "webhook", "url": "https://127.0.0.1/"})
    assert (refused.status_code, refused.json()["code"]) == (400, "destination_refused")
    made = call("post", "streams", {"name": "siem", "sink": "webhook", "url": "https://siem.example.com/"})
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    path = f"streams/{made.json()['id']}"
    assert "secret" not in call("get", path).json()
    assert call("get", path).json()["health"] == "behind"
    assert call("post", f"{path}/pause").json()["paused"] is True
    assert call("post", f"{path}/pause").json()["code"] == "stream_refused"
    assert call("post", f"{path}/resume").json()["paused"] is False
    assert call("post", f"{path}/secret").json()["secret"].startswith("whsec_")
    assert call("post", f"{path}/test").status_code == 200
    assert call("post", f"{path}/send-again").json() == {"count": 0}
    assert call("delete", path).status_code == 204
    assert streams.in_log(cast.acme.log_id).count() == 0
    assert enter(cast.otto).get("/api/v1/workspaces/acme/streams").status_code == 403


def test_a_list_of_streams_costs_as_many_queries_with_more_of_them(cast: Cast) -> None:
    client = enter(cast.rita)

    def cost(path: str) -> int:
        client.get(path)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    paths = ("/api/v1/workspaces/acme/streams", address("streams"))
    set_up(client, name="first")
    before = [cost(path) for path in paths]
    for number in range(4):
        set_up(client, name=f"more {number}")
    assert streams.in_log(cast.acme.log_id).count() == 5
    assert [cost(path) for path in paths] == before
