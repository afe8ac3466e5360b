"""A log verified as a whole: the chain, what agents were allowed, and the configuration that it accounts for."""

from dataclasses import dataclass
from typing import Any

from audit.findings import Finding, Report
from audit.lines import printable
from audit.models import Log
from audit.rebuild import Rebuild
from audit.verification import Progress, verify
from governance.conduct import Conduct


@dataclass(frozen=True, slots=True)
class Verified:
    """One log with its name among people, what was found, and how many rows it accounts for."""

    name: str
    uuid: str
    report: Report
    rows: int

    def as_dict(self) -> dict[str, Any]:
        report = self.report
        return {
            "name": self.name,
            "log": self.uuid,
            "intact": report.intact,
            "entries": report.entries,
            "root": report.root.hex(),
            "revision": report.revision,
            "details": report.details,
            "erased": report.erased,
            "pruned": report.pruned,
            "configuration_rows": self.rows,
            "first_bad_entry": report.first_bad,
            "findings": [told(finding) for finding in report.findings],
            "more_findings": report.more_findings,
        }

    def lines(self) -> list[str]:
        """The findings, a line each, and the line that sums up."""
        report = self.report
        lines = [f"{self.name}: {finding.place}: {printable(finding.message)}" for finding in report.findings]
        if report.more_findings:
            lines.append(f"{self.name}: and {report.more_findings:,} more findings")
        verdict = "intact"
        if not report.intact:
            verdict = f"{len(report.findings) + report.more_findings:,} findings"
            if report.first_bad is not None:
                verdict += f", the first bad entry is {report.first_bad}"
        erased = f"{report.erased:,} details erased"
        if report.intact and report.erased:
            erased += ", commitments intact"
        pruned = f" and {report.pruned:,} pruned" if report.pruned else ""
        return [
            *lines,
            f"{self.name}: {report.entries:,} entries{pruned}, root {report.root.hex()}, {erased},"
            f" configuration {self.rows:,} rows: {verdict}",
        ]


def verified_log(log: Log, name: str, progress: Progress | None = None) -> Verified:
    """Verify one log, which people know by a name. ``progress`` is told how many entries were read, of how many."""
    rebuild = Rebuild(log.pk)
    report = verify(log, [rebuild, Conduct()], progress)
    return Verified(name, str(log.uuid), report, rebuild.rows)


def told(finding: Finding) -> dict[str, Any]:
    """A finding as JSON."""
    kind, key = finding.row or (None, None)
    row = {"kind": kind, "key": key} if kind else None
    return {"code": finding.code, "entry": finding.index, "row": row, "message": finding.message}
