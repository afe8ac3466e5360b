"""People at the portal, as their browsers speak to it: pages, forms, cookies."""

import html
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import Any, NamedTuple

TIMEOUT = 15.0  # seconds for one page
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
TAGS = re.compile(r"<(style|script)\b.*?</\1>|<[^>]+>", re.S)


class Page(NamedTuple):
    """What a browser got."""

    status: int
    address: str  # after redirects
    body: str

    @property
    def text(self) -> str:
        """What stands on the page, without its markup, on one line."""
        return " ".join(html.unescape(TAGS.sub(" ", self.body)).split())


class Person:
    """One person with a browser of their own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cookies = CookieJar()
        self._browser = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def open(self, address: str) -> Page:
        """Look at a page."""
        return self._send(urllib.request.Request(address))

    def submit(self, page: Page, **fields: str) -> Page:
        """Fill in the form of a page and send it to the page's own address."""
        token = TOKEN.search(page.body)
        form = {"csrfmiddlewaretoken": token[1] if token else "", **fields}
        return self._send(urllib.request.Request(page.address, urllib.parse.urlencode(form).encode()))

    def sign_in(self, link: str) -> Page:
        """Follow a one-time sign-in link and press its button. Raises PermissionError."""
        page = self.submit(self.open(link))
        if page.status != 200 or not self._cookie("sessionid"):
            raise PermissionError(f"{self.name} could not sign in: {page.status} {page.text[:200]}")
        return page

    def post(self, address: str, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Use the portal's JSON API in this session: status and answer."""
        headers = {"Content-Type": "application/json", "X-CSRFToken": self._cookie("csrftoken")}
        page = self._send(urllib.request.Request(address, json.dumps(document).encode(), headers))
        answer: dict[str, Any] = json.loads(page.body)
        return page.status, answer

    def _send(self, request: urllib.request.Request) -> Page:
        try:
            with self._browser.open(request, timeout=TIMEOUT) as response:
                return Page(response.status, response.url, response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.url, error.read().decode())

    def _cookie(self, name: str) -> str:
        return next((str(cookie.value) for cookie in self.cookies if cookie.name == name), "")
