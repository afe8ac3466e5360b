"""Entries as other programs read them: JSON lines, CSV, OCSF and CloudEvents. Pure.

Everything here is made of an entry's body and its leaf. Details never leave this way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson

from audit.spreadsheets import written

OCSF_VERSION = "1.5.0"
CATEGORY, CLASS = 6, 6003  # Application Activity, API Activity
CREATE, READ, UPDATE, DELETE, OTHER = 1, 2, 3, 4, 99
ACTIVITIES = {CREATE: "Create", READ: "Read", UPDATE: "Update", DELETE: "Delete", OTHER: "Other"}
# What an agent's call does to its resource, as a tool declares it.
ACTIONS = {"read": READ, "write": UPDATE, "delete": DELETE}
# What became of a thing, as the last word of an entry's type says it.
VERBS = {
    **dict.fromkeys(("added", "applied", "created", "drafted", "opened", "requested", "started"), CREATE),
    **dict.fromkeys(("downloaded", "exported", "read", "simulated", "signed_in"), READ),
    **dict.fromkeys(("adopted", "answered", "changed", "published", "rotated", "settled", "voted"), UPDATE),
    **dict.fromkeys(("erased", "pruned", "removed", "revoked"), DELETE),
}
UNKNOWN, SUCCESS, FAILURE, OTHER_STATUS = 0, 1, 2, 99
STATUSES = {UNKNOWN: "Unknown", SUCCESS: "Success", FAILURE: "Failure", OTHER_STATUS: "Other"}
REFUSED = ("denied", "locked_out", "refused", "throttled")
UNDECIDED = ("pending", "simulated")
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4
SEVERITIES = {INFORMATIONAL: "Informational", LOW: "Low", MEDIUM: "Medium", HIGH: "High"}
GRAVE = {
    "billing.budget.warned": MEDIUM,
    "governance.containment.changed": HIGH,
    "workspaces.glass.broken": HIGH,
    "workspaces.person.locked_out": MEDIUM,
}
VENDOR = "Countersign"
COLUMNS = (
    "index",
    "time",
    "type",
    "actor",
    "agent",
    "tool",
    "resource",
    "outcome",
    "session",
    "leaf",
    "data",
)


@dataclass(frozen=True)
class Line:
    """One entry: the name of its log, its index, its body exactly as it was hashed, and its leaf (32 bytes)."""

    origin: str
    index: int
    body: bytes
    leaf: bytes

    @cached_property
    def told(self) -> dict[str, Any]:
        """The body, taken apart."""
        told: dict[str, Any] = orjson.loads(self.body)
        return told

    @property
    def uid(self) -> str:
        """What names this entry among all entries of all installations."""
        return f"{self.origin}#{self.index}"


def jsonl(line: Line) -> bytes:
    """``{"body": …, "leaf": "<hex>"}``, itself canonical: the body's bytes stand in it as they were hashed."""
    return b'{"body":' + line.body + b',"leaf":"' + line.leaf.hex().encode() + b'"}'


def csv_header() -> bytes:
    """The first line of a CSV file."""
    return written([COLUMNS]).encode()


def csv_line(line: Line) -> bytes:
    """One row; ``data`` is JSON. Whole texts of the body, where the log's columns cut them short."""
    told = {**line.told, "leaf": line.leaf.hex(), "data": orjson.dumps(line.told["data"]).decode()}
    return written([[str(told[name]) for name in COLUMNS]]).encode()


def ocsf(line: Line) -> bytes:
    """An event of OCSF's class API Activity (6003)."""
    told = line.told
    activity, status, severity = activity_of(told), status_of(told), severity_of(told)
    event: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": ACTIVITIES[activity] if activity != OTHER else activity_name(told),
        "actor": actor_of(told),
        "api": {"operation": told["tool"] or told["type"], "service": {"name": VENDOR}},
        "category_name": "Application Activity",
        "category_uid": CATEGORY,
        "class_name": "API Activity",
        "class_uid": CLASS,
        "message": told["type"],
        "metadata": {
            "event_code": told["type"],
            "log_name": line.origin,
            "original_time": told["time"],
            "product": {"name": VENDOR, "vendor_name": VENDOR},
            "sequence": line.index,
            "uid": line.uid,
            "version": OCSF_VERSION,
        },
        "severity": SEVERITIES[severity],
        "severity_id": severity,
        "src_endpoint": {"name": told["actor"] or VENDOR, "svc_name": VENDOR},
        "status": STATUSES[status] if status != OTHER_STATUS else told["type"].rpartition(".")[2],
        "status_id": status,
        "time": int(datetime.fromisoformat(told["time"]).timestamp() * 1000),
        "type_name": f"API Activity: {ACTIVITIES[activity]}",
        "type_uid": CLASS * 100 + activity,
        "unmapped": {"data": told["data"], "leaf": line.leaf.hex(), "log": told["log"]},
    }
    if told["outcome"]:
        event["status_detail"] = told["outcome"]
    if told["resource"]:
        event["resources"] = [{"name": told["resource"]}]
    return orjson.dumps(event)


def activity_of(told: dict[str, Any]) -> int:
    """What an entry tells of, as OCSF's activity."""
    return ACTIONS.get(told["data"].get("action") or "", 0) or VERBS.get(
        told["type"].rpartition(".")[2], OTHER
    )


def activity_name(told: dict[str, Any]) -> str:
    """The activity in our words, where OCSF has none."""
    return str(told["data"].get("action") or told["type"].rpartition(".")[2])


def status_of(told: dict[str, Any]) -> int:
    """Whether it came about."""
    verb = told["type"].rpartition(".")[2]
    if verb in REFUSED or told["outcome"] in ("failed", "rejected", "expired"):
        return FAILURE
    return OTHER_STATUS if verb in UNDECIDED else SUCCESS


def severity_of(told: dict[str, Any]) -> int:
    """How much somebody who watches should mind."""
    grave = GRAVE.get(told["type"])
    return grave or (LOW if status_of(told) == FAILURE else INFORMATIONAL)


def actor_of(told: dict[str, Any]) -> dict[str, Any]:
    """Who did it: a person as OCSF's user, an agent or a program as its application."""
    kind, _, name = told["actor"].partition(":")
    actor: dict[str, Any] = {}
    if kind == "person":
        actor["user"] = {"uid": name, "type": "User", "type_id": 1}
    elif kind == "cli":
        actor["user"] = {"name": name, "type": "Admin", "type_id": 2}
    else:
        actor["app_uid"] = actor["app_name"] = name or told["actor"] or VENDOR
    if told["session"]:
        actor["session"] = {"uid": told["session"]}
    return actor


def cloudevent(line: Line) -> bytes:
    """A CloudEvent 1.0 in its JSON form. Its id is the log's name and the index, so what comes twice is known."""
    told = line.told
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": line.uid,
        "source": f"urn:uuid:{told['log']}",
        "type": f"countersign.{told['type']}",
        "time": told["time"],
        "datacontenttype": "application/json",
        "leaf": line.leaf.hex(),
        "data": orjson.Fragment(line.body),
    }
    if told["agent"]:
        event["subject"] = told["agent"]
    return orjson.dumps(event)


WRITERS: dict[str, Callable[[Line], bytes]] = {
    "jsonl": lambda line: jsonl(line) + b"\n",
    "csv": csv_line,
    "ocsf": lambda line: ocsf(line) + b"\n",
    "cloudevents": lambda line: cloudevent(line) + b"\n",
}


def message(format: str, lines: Iterable[Line]) -> tuple[bytes, str]:
    """Several entries as one webhook's body, and its media type."""
    match format:
        case "cloudevents":
            events = b",".join(cloudevent(line) for line in lines)
            return b"[" + events + b"]", "application/cloudevents-batch+json"
        case "ocsf":
            return b"[" + b",".join(ocsf(line) for line in lines) + b"]", "application/json"
    return b"".join(jsonl(line) + b"\n" for line in lines), "application/x-ndjson"


def index_in(format: str, text: bytes) -> int | None:
    """The index of the entry that a line of a file holds; None for what is no such line."""
    try:
        told = orjson.loads(text)
        match format:
            case "ocsf":
                index = told["metadata"]["sequence"]
            case "cloudevents":
                index = told["data"]["index"]
            case _:
                index = told["body"]["index"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return index if isinstance(index, int) else None
