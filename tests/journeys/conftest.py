"""Served installations, and browsers that notice what goes wrong on a page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.journeys.browser import Windows
from tests.journeys.installation import Portal
from tests.servers import free_port


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """An installation of the module's own, which it may kill and start again."""
    portal = Portal(tmp_path_factory.mktemp("portal"), free_port())
    portal.seed("tests.journeys.seeding")
    portal.start()
    try:
        yield portal
    finally:
        portal.end()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for the module. While it runs, its thread may ask no database."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def windows(portal: Portal, browser: Browser, tmp_path: Path) -> Iterator[Windows]:
    """Windows of that browser. At the test's end none may have complained about a page of ours."""
    windows = Windows(portal, browser, tmp_path)
    try:
        yield windows
    finally:
        windows.close()
    assert windows.complaints == []
