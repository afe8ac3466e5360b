"""The evidence pack of a period: what an auditor asks for first, as tables and plots, and the bundle that proves it.

Made by the worker in one piece, as an export. Entries are read once, in order; only sums stay in memory. Names stand in
it because whoever asked may see the workspace's people; in the bundle everybody is a public id.
"""

import hashlib
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.template.loader import render_to_string

from audit import bundles, log
from audit.exports import ExportRefused, Progress
from audit.log import stamp
from audit.models import Entry, Export
from audit.spreadsheets import written
from governance.naming import actor as name_of
from governance.naming import annotate, names_of
from governance.plots import bars
from governance.readings import VERDICTS, WHY
from governance.verified import Verified, verified_log
from workspaces.access import may
from workspaces.models import User, Workspace

BATCH = 1_000
COUNTED = {name: word for name, (word, _) in VERDICTS.items() if word in ("allowed", "denied", "waits")}
REFUSALS = ("workspaces.person.refused", "workspaces.person.locked_out")
EVENT = ("index", "time", "what happened", "by", "type", "agent", "outcome", "facts")
# Table → the beginnings of the types of entries that stand in it, and what it is about.
TABLES: dict[str, tuple[tuple[str, ...], str]] = {
    "approvals.csv": (
        ("governance.approval.",),
        "Who was asked, who answered and how (session or personal link), and what came of it",
    ),
    "stops.csv": (
        ("governance.containment.", "workspaces.glass.", "governance.agent.ownerless"),
        "Agents and workspaces put on another step of the ladder, and emergency access",
    ),
    "reviews.csv": (
        ("governance.review.", "governance.person.left", "governance.access."),
        "Access reviews, and people who left",
    ),
    "changes.csv": (
        ("governance.policy.", "workspaces.", "billing.", "audit.stream."),
        "Policies, grants, roles, tools, people, budgets, streams",
    ),
    "handling.csv": (
        ("audit.", "governance.detail.", "governance.data.", "governance.observation."),
        "What was done with the record itself: exports, downloads, contents that were read, erasures, pruning",
    ),
}


@dataclass(slots=True)
class Sums:
    """What is counted of the decisions."""

    days: Counter[tuple[date, str]] = field(default_factory=Counter)
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    agents: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)


def make(export: Export, path: Path, progress: Progress) -> None:
    """Write the pack of an export's period to a file. Raises ExportRefused where who asked may not have it now."""
    workspace = Workspace.objects.get(log_id=export.log_id)
    person = User.objects.get(pk=export.requested_by_id)
    if not may(person, "export_log", workspace):
        raise ExportRefused("Whoever asked may not export this log any more.")
    folder = path.with_suffix(".parts")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        Making(export, workspace, person, folder, progress).run()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for part in sorted(folder.iterdir()):
                inner = zipfile.ZIP_STORED if part.suffix == ".zip" else zipfile.ZIP_DEFLATED
                archive.write(part, part.name, compress_type=inner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class Making:
    """One pack on its way: its parts as files in a folder."""

    export: Export
    workspace: Workspace
    person: User
    folder: Path
    progress: Progress
    sums: Sums = field(default_factory=Sums)

    def run(self) -> None:
        """Every part; half of the way is verifying."""
        verified = self.verify()
        self.tables()
        self.count_refusals()
        self.summaries()
        bundle = self.bundle()
        self.plot()
        self.index(verified, bundle)

    def verify(self) -> Verified:
        """Verify the log as it is now, all of it."""
        verified = verified_log(
            self.export.log, self.workspace.slug, lambda done, of: self.progress(done, 2 * max(1, of))
        )
        (self.folder / "verification.json").write_bytes(
            orjson.dumps(verified.as_dict(), option=orjson.OPT_INDENT_2)
        )
        return verified

    def tables(self) -> None:
        """One pass over the period: decisions are counted, everything else is a line of a table."""
        files = {name: (self.folder / name).open("w", newline="", encoding="utf-8") for name in TABLES}
        try:
            for file in files.values():
                file.write(written([EVENT]))
            for rows in self.batches():
                self.count([row for row in rows if row.type in COUNTED])
                told = [row for row in rows if table_of(row.type)]
                annotate(told)
                self.tell(told, files)
        finally:
            for file in files.values():
                file.close()

    def batches(self) -> Iterator[list[Any]]:
        """The period's entries in order, some at a time; bodies are read where a table needs them."""
        export = self.export
        for first in range(export.first, export.end, BATCH):
            end = min(first + BATCH, export.end)
            rows = Entry.objects.filter(log_id=export.log_id, index__gte=first, index__lt=end)
            yield list(rows.defer("body", "leaf").order_by("index"))
            done, of = end - export.first, max(1, export.end - export.first)
            self.progress(2 * of + done, 4 * of)

    def count(self, rows: Sequence[Entry]) -> None:
        """Decisions, by what they were."""
        zone = ZoneInfo(self.workspace.timezone)
        for row in rows:
            verdict = COUNTED[row.type]
            self.sums.days[row.time.astimezone(zone).date(), verdict] += 1
            self.sums.codes[verdict, row.outcome] += 1
            self.sums.agents[row.agent, verdict] += 1

    def tell(self, rows: Sequence[Any], files: Mapping[str, TextIO]) -> None:
        """Entries as lines of their tables, the facts of each as JSON."""
        bodies = dict(Entry.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "body"))
        for row in rows:
            name = table_of(row.type)
            data = orjson.loads(bytes(bodies[row.pk]))["data"]
            data.pop("rows", None)  # the state of each row stands in the bundle
            facts = orjson.dumps(data).decode()
            line = [str(row.index), stamp(row.time), row.sentence, row.actor_name, row.type, row.agent_name]
            files[name].write(written([[*line, row.outcome, facts]]))
            self.sums.rows[name] += 1

    def count_refusals(self) -> None:
        """Refused sign-ins of the workspace's people. They stand in the installation's log, with those of everybody
        else, whom this pack does not name."""
        people = dict(
            User.objects.filter(memberships__workspace=self.workspace).values_list("public_id", "name")
        )
        with (self.folder / "sign-ins.csv").open("w", newline="", encoding="utf-8") as file:
            file.write(written([("time", "person", "what happened", "type")]))
            for row in refusals(self.export):
                person = orjson.loads(bytes(row.body))["data"].get("person")
                if person in people:
                    sentence = "locked out for an hour" if row.type == REFUSALS[1] else "a wrong password"
                    file.write(written([(stamp(row.time), people[person] or person, sentence, row.type)]))
                    self.sums.rows["sign-ins.csv"] += 1

    def summaries(self) -> None:
        """The sums as tables."""
        days = [(f"{day}", verdict, f"{count}") for (day, verdict), count in sorted(self.sums.days.items())]
        self.write("decisions-by-day.csv", ("day", "decision", "calls"), days)
        codes = [
            (verdict, code, WHY.get(code, code), f"{n}")
            for (verdict, code), n in self.sums.codes.most_common()
        ]
        self.write("decisions-by-reason.csv", ("decision", "code", "why", "calls"), codes)
        names = names_of(agent for agent, _ in self.sums.agents)
        agents = [
            (name_of(agent, names), agent, verdict, f"{count}")
            for (agent, verdict), count in sorted(self.sums.agents.items())
        ]
        self.write("decisions-by-agent.csv", ("agent", "agent id", "decision", "calls"), agents)

    def write(self, name: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """One table."""
        with (self.folder / name).open("w", newline="", encoding="utf-8") as file:
            file.write(written([heading, *rows]))
        self.sums.rows[name] = len(rows)

    def bundle(self) -> str:
        """The log's bundle beside the tables; why there is none, where there is none."""
        try:
            bundles.write(
                self.export.log_id,
                self.folder / "bundle.zip",
                progress=lambda done, of: self.progress(3 * max(1, of) + done, 4 * max(1, of)),
            )
        except bundles.NotPublished as reason:
            return str(reason)
        return ""

    def plot(self) -> None:
        """The plots as files of their own."""
        for name, picture in self.plots().items():
            (self.folder / name).write_text(picture, encoding="utf-8")

    def plots(self) -> dict[str, str]:
        """File name → SVG."""
        verdicts = list(COUNTED.values())
        days = sorted({day for day, _ in self.sums.days})
        by_day = [(f"{day}", [self.sums.days[day, each] for each in verdicts]) for day in days]
        codes = Counter[str]()
        for (verdict, code), count in self.sums.codes.items():
            if verdict != "allowed":
                codes[WHY.get(code, code)] += count
        by_code = [(code, [count]) for code, count in codes.most_common(12)]
        return {
            "decisions-by-day.svg": bars("Decisions a day", verdicts, by_day),
            "decisions-by-reason.svg": bars("Why calls were not allowed at once", ["calls"], by_code),
        }

    def index(self, verified: Verified, bundle: str) -> None:
        """The page that leads to all of it: no script, nothing from elsewhere."""
        parts = sorted(path for path in self.folder.iterdir())
        verdicts: Counter[str] = Counter()
        for (verdict, _), count in self.sums.codes.items():
            verdicts[verdict] += count
        context = {
            "export": self.export,
            "workspace": self.workspace,
            "person": self.person,
            "made": datetime.now(ZoneInfo("UTC")),
            "origin": log.in_epoch(self.export.log.origin, self.export.log.epoch),
            "address": settings.PUBLIC_URL,
            "verified": verified,
            "bundle": bundle,
            "verdicts": [(word, verdicts[word]) for word in COUNTED.values()],
            "codes": [(v, WHY.get(code, code), n) for (v, code), n in self.sums.codes.most_common(40)],
            "plots": self.plots().values(),
            "tables": [(name, about, self.sums.rows[name]) for name, (_, about) in TABLES.items()],
            "refusals": self.sums.rows["sign-ins.csv"],
            "files": [(part.name, part.stat().st_size, digest(part)) for part in parts],
        }
        page = render_to_string("evidence/index.html", context)
        (self.folder / "index.html").write_text(page, encoding="utf-8")


def table_of(type: str) -> str:
    """Which table an entry of this type stands in; empty for none. The first that fits counts."""
    if type in REFUSALS:
        return ""
    return next((name for name, (begins, _) in TABLES.items() if type.startswith(begins)), "")


def refusals(export: Export) -> Iterator[Entry]:
    """Refused sign-ins of the export's period, in the installation's log."""
    installation = log.installation_log_id()
    rows = Entry.objects.filter(log_id=installation, type__in=REFUSALS)
    if export.since is not None:
        rows = rows.filter(index__gte=log.index_at(installation, export.since))
    rows = rows.filter(time__lt=export.until or export.created)
    return rows.order_by("index").iterator(chunk_size=BATCH)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
