"""Looking at an attacked installation: as an auditor with a bundle, as an agent at the gate, as its operator."""

import json
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.attacks.world import READ, Copy
from tests.faults.processes import GATE, ROOT


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody who looked says: whether it is in order, and the line that tells."""

    intact: bool
    line: str


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an attacked installation: which anchor it rests on, and whether it must find something."""

    anchor: str
    verdict: Verdict
    must_find: bool

    @property
    def as_promised(self) -> bool:
        return self.verdict.intact != self.must_find


def verified(bundle: Path, policy: Path, *options: str | Path) -> Verdict:
    """What the auditor's verifier says of a bundle."""
    return asked("verify", bundle, "--policy", policy, *options)


def asked(*arguments: str | Path) -> Verdict:
    """The outsider's verifier, run by itself."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "audit/verify.py"), *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    telling = next(
        (line for line in lines if re.match("tampered|incomplete|untrusted|INTACT", line)), lines[0]
    )
    telling = telling[:160]
    return Verdict(done.returncode == 0, f"exit {done.returncode}: {telling}")


def served(copy: Copy) -> Verdict:
    """Whether a gate still answers on this database."""
    port = copy.installation.serve(GATE)
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/check",
            json={"tool": "files.read", "arguments": READ},
            headers={"Authorization": f"Bearer {copy.installation.key('acme-0')}"},
            timeout=30,
        )
    finally:
        copy.installation.end()
    return Verdict(
        answer.status_code == 200, f"the gate answers {answer.status_code} {answer.json().get('code')}"
    )


def examined(copy: Copy) -> Verdict:
    """What the installation's own examination says."""
    try:
        copy.installation.manage("verify_log")
    except RuntimeError as error:
        found = [line for line in str(error).splitlines() if ":" in line]
        return Verdict(False, f"verify_log: {found[1] if len(found) > 1 else error}")
    return Verdict(True, "verify_log: intact")


def check(port: int, key: str) -> str:
    """The receipt of one check, as JSON."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/v1/check",
        json={"tool": "files.read", "arguments": READ},
        headers={"Authorization": f"Bearer {key}"},
    )
    text = answer.text
    return text[text.index('"receipt":') + len('"receipt":') : -1]


def vouched_for(bundle: Path, uuid: str) -> Verdict:
    """Whether the installation's verified bundle tells of a log of which nobody can be handed a bundle."""
    sizes = [0]
    with zipfile.ZipFile(bundle) as archive, archive.open("entries.jsonl") as lines:
        for line in lines:
            body = json.loads(line)
            if body["type"] == "audit.checkpoint.published" and body["data"]["log"] == uuid:
                sizes.append(body["data"]["size"])
    return Verdict(not max(sizes), f"it vouches for {max(sizes):,} entries of a log that cannot be had")
