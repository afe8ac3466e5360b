"""Entries as JSON lines, CSV, OCSF and CloudEvents."""

import csv
import json
from io import StringIO
from typing import Any

import pytest

from audit import canonical, formats
from audit.formats import Line
from audit.merkle import leaf_hash

ORIGIN = "countersign.acme.test/ws/4bb4a2c6-6d14-4a5f-9d0e-0ac51e4ffb2d"


def line(type: str = "governance.check.allowed", **changes: Any) -> Line:
    """An entry of report-bot's."""
    told = {
        "v": 1,
        "log": ORIGIN.rpartition("/")[2],
        "index": 41,
        "time": "2026-11-23T12:00:00.250000Z",
        "type": type,
        "actor": "agent:agt_1",
        "agent": "agt_1",
        "tool": "files.read",
        "resource": "res_1",
        "outcome": "granted",
        "session": "run-1",
        "data": {"action": "read"},
        "rand": "00" * 16,
        **changes,
    }
    body = canonical.encode(told)
    return Line(ORIGIN, told["index"], body, leaf_hash(body))


def test_a_json_line_holds_the_body_as_it_was_hashed() -> None:
    one = line()
    told = formats.jsonl(one)
    assert canonical.encode(json.loads(told)) == told
    assert leaf_hash(canonical.encode(json.loads(told)["body"])).hex() == json.loads(told)["leaf"]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_is_calculated(sign: str) -> None:
    evil = f'{sign}HYPERLINK("x"),\n"y"'
    text = formats.csv_header() + formats.csv_line(line(tool=evil, session=evil, resource=evil))
    heading, row = csv.reader(StringIO(text.decode(), newline=""), strict=True)
    cells = dict(zip(heading, row, strict=True))
    assert cells["tool"] == cells["session"] == cells["resource"] == f"'{evil}"
    assert cells["index"] == "41"
    assert text.count(b"\r\n") >= 2


# Required attributes and enumerations of OCSF 1.5.0, class API Activity (6003), profiles left out.
REQUIRED = {
    "": {
        "activity_id",
        "actor",
        "api",
        "category_uid",
        "class_uid",
        "metadata",
        "severity_id",
        "src_endpoint",
        "time",
        "type_uid",
    },
    "metadata": {"product", "version"},
    "api": {"operation"},
}
AT_LEAST_ONE = {
    "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
    "src_endpoint": {"ip", "uid", "name", "hostname", "svc_name"},
}
ENUMS = {
    "activity_id": {0, 1, 2, 3, 4, 99},
    "category_uid": {6},
    "class_uid": {6003},
    "severity_id": {0, 1, 2, 3, 4, 5, 6, 99},
    "status_id": {0, 1, 2, 99},
    "type_uid": {600300, 600301, 600302, 600303, 600304, 600399},
}


@pytest.mark.parametrize(
    ("one", "activity", "status", "severity"),
    [
        (line(), 2, 1, 1),
        (line("governance.check.denied", data={"action": "delete"}), 4, 2, 2),
        (line("governance.check.pending", data={"action": "send"}), 99, 99, 1),
        (line("governance.containment.changed", actor="person:usr_1", tool="", outcome="suspended"), 2, 1, 4),
        (line("workspaces.key.revoked", actor="cli:root@host", agent="", session="", data={}), 4, 1, 1),
        (line("workspaces.workspace.created", actor="system", resource="", data={}), 1, 1, 1),
        (line("governance.approval.settled", outcome="expired", data={}), 3, 2, 2),
    ],
)
def test_an_ocsf_event_is_an_api_activity(one: Line, activity: int, status: int, severity: int) -> None:
    told = json.loads(formats.ocsf(one))
    for place, names in REQUIRED.items():
        assert names <= (told[place] if place else told).keys()
    for place, names in AT_LEAST_ONE.items():
        assert names & told[place].keys()
    for name, values in ENUMS.items():
        assert told[name] in values
    assert (told["activity_id"], told["status_id"], told["severity_id"]) == (activity, status, severity)
    assert told["type_uid"] == told["class_uid"] * 100 + told["activity_id"]
    assert told["metadata"]["version"] == "1.5.0"
    assert told["time"] == 1795435200250
    assert told["unmapped"]["leaf"] == one.leaf.hex()


def test_a_cloudevent_is_named_by_log_and_index() -> None:
    one = line()
    told = json.loads(formats.cloudevent(one))
    assert {name: told[name] for name in ("specversion", "id", "source", "type", "time", "subject")} == {
        "specversion": "1.0",
        "id": f"{ORIGIN}#41",
        "source": "urn:uuid:4bb4a2c6-6d14-4a5f-9d0e-0ac51e4ffb2d",
        "type": "countersign.governance.check.allowed",
        "time": "2026-11-23T12:00:00.250000Z",
        "subject": "agt_1",
    }
    assert all(name.isalnum() and name == name.lower() for name in told)
    assert canonical.encode(told["data"]) == one.body
    assert "subject" not in json.loads(formats.cloudevent(line(agent="")))
    assert formats.cloudevent(one) == formats.cloudevent(line())


def test_a_message_holds_them_all_in_order() -> None:
    lines = [line(index=index) for index in (3, 4, 5)]
    text, kind = formats.message("jsonl", lines)
    assert kind == "application/x-ndjson"
    assert [formats.index_in("jsonl", each) for each in text.splitlines()] == [3, 4, 5]
    for format, kind in (("ocsf", "application/json"), ("cloudevents", "application/cloudevents-batch+json")):
        text, said = formats.message(format, lines)
        assert said == kind
        events = [json.dumps(each).encode() for each in json.loads(text)]
        assert [formats.index_in(format, each) for each in events] == [3, 4, 5]
    assert formats.index_in("jsonl", b'{"body":{"ind') is None
    assert formats.index_in("jsonl", b"[]") is None
