"""Windows of a browser in which people work, and what to look for on every page."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Response, ViewportSize

from tests.journeys.installation import ROOT, Portal

PHONE: ViewportSize = {"width": 390, "height": 844}
DESK: ViewportSize = {"width": 1280, "height": 900}
PATIENCE = 20_000  # milliseconds until a page should have changed by itself
PICTURES = "COUNTERSIGN_SCREENSHOTS"  # 1 writes the pictures of the documentation anew
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CONTRAST = ["color-contrast"]

# Colors are judged when nothing fades in any more: a menu half open is paler than anybody gets to read it.
FLAWS = """async ({ place, options }) => {
    const frame = () => new Promise(requestAnimationFrame);
    const fading = () => document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime < Infinity);
    for (let calm = 0; calm < 3; calm = fading().length ? 0 : calm + 1) {
        await Promise.allSettled(fading().map((each) => each.finished));
        await frame();
    }
    return (await axe.run({ include: [["html"]], ...place }, options)).violations.map((each) =>
        each.id + ": " + each.nodes.slice(0, 3).map((node) => node.html.slice(0, 300)).join(" "));
}"""

# What stands out of the window to the right; nothing if the page can not be moved sideways.
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [document.documentElement.scrollWidth + " px", ...[...document.querySelectorAll("main *, #page *")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth).slice(-4)
    .map((each) => each.outerHTML.slice(0, 200))]"""
# Where the keyboard is, if one can see it: the focused element differs from how it looks without focus.
SEEN = """() => {
    const now = document.activeElement;
    if (!now || now === document.body) return "nothing is focused";
    const look = () => { const s = getComputedStyle(now);
        return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join() };
    const focused = look(), outline = getComputedStyle(now);
    if (outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) > 0) return "";
    now.blur(); const plain = look(); now.focus();
    return focused === plain ? "focus is invisible on " + now.outerHTML.slice(0, 200) : "";
}"""


def flaws(page: Page, rules: list[str] = WCAG, *, but: str = "") -> list[str]:
    """What axe finds against these rules on the page: the rule, and the first elements that break it. What the selector
    ``but`` names is left out."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    found: list[str] = page.evaluate(
        FLAWS,
        {
            "place": {"exclude": [[but]] if but else []},
            "options": {"runOnly": rules, "resultTypes": ["violations"]},
        },
    )
    return found


@contextmanager
def dark(page: Page) -> Iterator[None]:
    """The page in the system's dark mode, which the portal itself asks for only when a page is opened."""
    switch = "(on) => document.documentElement.classList.toggle('dark', on)"
    page.emulate_media(color_scheme="dark")
    page.evaluate(switch, True)
    try:
        yield
    finally:
        page.emulate_media(color_scheme="light")
        page.evaluate(switch, False)


@dataclass
class Windows:
    """A browser's windows, signed in or not, and what its console complained about."""

    portal: Portal
    browser: Browser
    folder: Path
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, person: str = "", **options: Any) -> Page:
        """A window in which this person of the cast is signed in; nobody by default."""
        context = self.browser.new_context(**{"viewport": DESK, **options})
        self.contexts.append(context)
        if person:
            session = self.portal.sign_in(person).cookies["sessionid"]
            context.add_cookies([{"name": "sessionid", "value": session, "url": self.portal.url}])
        page = context.new_page()
        page.on("console", self.hear(page))
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("response", self.look)
        return page

    def hear(self, page: Page) -> Callable[[ConsoleMessage], None]:
        """Keeps what a page's console says in red or yellow: scripts that fail, and what the policy of contents
        forbids."""

        def keep(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.complaints.append(f"{page.url}: {message.text}")

        return keep

    def look(self, response: Response) -> None:
        """Keeps the answers that are errors of the server."""
        if response.status >= 500:
            self.complaints.append(f"{response.url}: {response.status}")

    def go(self, page: Page, path: str) -> None:
        """Open a path of the portal, which must be there."""
        answer = page.goto(self.portal.url + path)
        assert answer is not None
        assert answer.ok, (path, answer.status)

    def picture(self, page: Page, name: str) -> None:
        """Take a picture of the window; for the documentation if the environment asks for it."""
        wanted = os.environ.get(PICTURES) == "1"
        folder = ROOT / "docs" / "images" if wanted else self.folder
        page.mouse.move(0, 0)
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    def close(self) -> None:
        """Close them all."""
        for context in self.contexts:
            context.close()
