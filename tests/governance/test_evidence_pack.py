"""The evidence pack: what a period's decisions, approvals, changes and stops were, and what proves it."""

import csv
import html.parser
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.utils import timezone

from audit import exports, log, publishing
from audit.models import Export
from governance import containment, packs, plots
from governance.models import Approval
from tests import approving
from tests.audit.test_exports import work
from tests.cast import ACTOR, Cast
from tests.governance.test_replays import ASK, fresh_process, publish, read, refund
from workspaces import people
from workspaces.people import actor_of

__all__ = ["fresh_process"]


@pytest.fixture(autouse=True)
def own_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    settings.KEYS_DIR = tmp_path / "keys"


def pack(cast: Cast, **options: Any) -> dict[str, bytes]:
    """rita asks for a pack, and the worker makes it: its files by name."""
    export = exports.start(
        cast.acme.log_id, kind="pack", person=cast.rita, actor=actor_of(cast.rita), **options
    )
    work()
    export.refresh_from_db()
    assert export.status == Export.Status.DONE, export.error
    with exports.take_along(export, actor=ACTOR) as file, zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def table(files: dict[str, bytes], name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files[name].decode(), newline="")))


class Page(html.parser.HTMLParser):
    """The tags, the text and the links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links |= {str(value) for name, value in attrs if name in ("href", "src")}
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_pack_tells_a_period_and_leads_to_what_proves_it(cast: Cast) -> None:
    publish(cast, ASK)
    read(cast, "/srv/reports/a")
    read(cast, "/elsewhere")
    refund(cast, 250)
    approval = Approval.objects.get()
    approving.decide(approval, cast.rita)
    containment.set_standing(
        cast.report_bot, "suspended", reason="looks odd", actor=actor_of(cast.olga), person=cast.olga
    )
    publishing.Publisher().round(publishing.AT_ONCE)
    files = pack(cast)
    assert {row["decision"]: row["calls"] for row in table(files, "decisions-by-day.csv")} == {
        "allowed": "1",
        "denied": "1",
        "waits": "1",
    }
    assert ("denied", "no_permission") in {
        (row["decision"], row["code"]) for row in table(files, "decisions-by-reason.csv")
    }
    assert {row["agent"] for row in table(files, "decisions-by-agent.csv")} == {"report-bot", "support-bot"}
    (vote,) = [row for row in table(files, "approvals.csv") if row["type"].endswith(".voted")]
    assert vote["by"] == "Rita Review"
    assert json.loads(vote["facts"])["known_by"] == "session"
    (stop,) = table(files, "stops.csv")
    assert (stop["by"], stop["agent"], stop["outcome"]) == ("Olga Owner", "report-bot", "suspended")
    assert any(row["type"] == "governance.policy.published" for row in table(files, "changes.csv"))
    assert json.loads(files["verification.json"])["intact"] is True
    with zipfile.ZipFile(io.BytesIO(files["bundle.zip"])) as bundle:
        assert "verify.py" in bundle.namelist()
    page = Page(files["index.html"].decode())
    assert "Intact" in page.text
    assert "script" not in page.tags
    assert page.links == set(files) - {"index.html"}
    for name, content in files.items():
        assert b"looks odd" not in content, name
        assert b"/srv/reports/a" not in content, name


def test_a_pack_is_of_its_period(cast: Cast) -> None:
    publish(cast)
    read(cast, "/srv/reports/a")
    later = timezone.now() + timedelta(seconds=1)
    files = pack(cast, since=later)
    assert table(files, "decisions-by-day.csv") == table(files, "changes.csv") == []
    assert "No agent asked" in files["index.html"].decode()
    assert "There is no bundle" in files["index.html"].decode()


def test_refused_sign_ins_are_those_of_the_workspaces_people(cast: Cast) -> None:
    with log.write(log.installation_log_id()) as entries:
        for person in (cast.rita, cast.gina):
            entries.append(packs.REFUSALS[0], actor=ACTOR, data={"person": person.public_id})
    files = pack(cast)
    assert [row["person"] for row in table(files, "sign-ins.csv")] == ["Rita Review"]
    assert b"Gina" not in b"".join(files.values())


def test_who_may_not_export_any_more_gets_none(cast: Cast) -> None:
    export = exports.start(cast.acme.log_id, kind="pack", person=cast.rita, actor=actor_of(cast.rita))
    people.set_roles(cast.acme, cast.rita, roles=["approver"], actor=ACTOR)
    work()
    export.refresh_from_db()
    assert (export.status, export.error) == ("failed", "Whoever asked may not export this log any more.")


def test_a_plot_is_readable_without_color_and_harmless() -> None:
    evil = '<script>alert("1")</script>'
    picture = plots.bars(evil, ["allowed", "denied"], [(evil, [3, 1]), ("b", [0, 0])])
    tree = ElementTree.fromstring(picture)
    assert not [each for each in tree.iter() if each.tag.endswith("script")]
    told = tree.find("{http://www.w3.org/2000/svg}desc")
    assert told is not None
    assert told.text == f"{evil}: 3 allowed, 1 denied; b: 0 allowed, 0 denied"
    assert "Nothing in this period" in plots.bars("Empty", ["calls"], [])
