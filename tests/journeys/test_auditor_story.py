"""Months later somebody asks what an agent did: an officer finds the entry and verifies it in the page, and takes the
bundle to an auditor, who has that file, a policy file and a computer without any of our programs."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.audit.evidence import pack, unpack
from tests.journeys.browser import CONTRAST, PATIENCE, Windows, dark, flaws
from tests.journeys.installation import Portal

pytestmark = pytest.mark.browser
DENIED = "refund-bot was denied files.read."
VERIFIED = "Verified: the entry is in the log that was signed."
Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module", autouse=True)
def worker(portal: Portal) -> None:
    """Somebody signs checkpoints and makes exports."""
    portal.work()


def ask(portal: Portal, tool: str, **arguments: object) -> None:
    """A call of refund-bot, whatever becomes of it."""
    header = {"Authorization": f"Bearer {portal.known['keys']['refund-bot']}"}
    body = {"tool": tool, "arguments": arguments, "session": "night-shift"}
    httpx.post(f"{portal.url}/v1/check", json=body, headers=header).raise_for_status()


def take_the_bundle(windows: Windows, page: Page) -> bytes:
    """Have the bundle made in the page, wait until it is there without reloading, and download it."""
    page.get_by_role("navigation").get_by_role("link", name="Exports").click()
    page.get_by_label("What").select_option(label="Bundle that an auditor can verify offline")
    page.get_by_role("button", name="Make the file").click()
    download = page.get_by_role("button", name=re.compile("Download"))
    expect(download).to_be_visible(timeout=PATIENCE)
    windows.picture(page, "exports")
    with page.expect_download() as taken:
        download.click()
    return Path(taken.value.path()).read_bytes()


def verify(laptop: Path, bundle: str) -> Finished:
    """What the auditor's own Python says, which finds nothing there but the three files."""
    command = [sys.executable, "-I", "verify.py", "verify", bundle, "--policy", "countersign.policy"]
    return subprocess.run(
        command, cwd=laptop, env={}, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_entry_is_found_verified_and_taken_to_an_auditor(windows: Windows, tmp_path: Path) -> None:
    portal = windows.portal
    for number in range(3):
        ask(portal, "billing.refund", invoice=f"INV-{number}", amount=20)
    ask(portal, "files.read", path="/private/pay.csv")
    page = windows.open("rita", accept_downloads=True)
    windows.go(page, "/admin/audit/entry/")
    page.get_by_label("Words, names or ids").fill("refund-bot")
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".log-facets").get_by_role("link", name="no grant for it").click()
    page.get_by_role("link", name=DENIED).click()
    expect(page.get_by_role("heading", name=DENIED)).to_be_visible()
    while not page.locator("#verify-button").count():  # until the worker has signed it
        page.reload()
    page.get_by_role("button", name="Verify in this browser").click()
    expect(page.locator("#verify-told")).to_have_text(VERIFIED, timeout=PATIENCE)

    bundle = take_the_bundle(windows, page)
    assert flaws(page) == []
    with dark(page):
        assert flaws(page, CONTRAST) == []

    files = unpack(bundle)
    laptop = tmp_path / "laptop"
    laptop.mkdir()
    (laptop / "verify.py").write_bytes(files["verify.py"])
    (laptop / "countersign.policy").write_text(portal.manage("trust_policy"))
    (laptop / "acme.zip").write_bytes(bundle)
    said = verify(laptop, "acme.zip")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "INTACT" in said.stdout

    lines = files["entries.jsonl"].split(b"\n")
    (bad,) = [number for number, line in enumerate(lines) if b'"no_permission"' in line]
    lines[bad] = lines[bad].replace(b"governance.check.denied", b"governance.check.allowed")
    (laptop / "forged.zip").write_bytes(pack({**files, "entries.jsonl": b"\n".join(lines)}))
    said = verify(laptop, "forged.zip")
    assert said.returncode == 1, said.stdout + said.stderr
    assert f"TAMPERED; the first bad entry is {bad}" in said.stdout
