"""Requests that leave nothing behind, and what two answers have in common once their own words are taken out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

from django.db import transaction
from django.test import Client

from audit.log import newest
from tests.isolation.fields import joints
from workspaces.models import User

NOISE = [
    re.compile(r'csrfmiddlewaretoken" value="\w+"'),
    re.compile(r'"X-CSRFToken": "\w+"'),
    re.compile(r'nonce="[^"]*"'),
    re.compile(r"\d+[\xa0 ](?:second|minute|hour)s?"),
    re.compile(r"\d\d:\d\d:\d\d(?:\.\d+)?"),
    re.compile(r"\d+\.\d+(?:e-\d+)? ?(?:ms|s|seconds)\b"),
    re.compile(r"csk_\w+|whsec_[\w+/=]+"),  # what was made anew in each of two answers
    re.compile(r"\b[a-z]{2,5}_[0-9A-Za-z]{22}\b"),
]
SERIES = re.compile(r"(?:\d+, ?){20,}\d+")  # so many a minute: which minute is now, is no matter


@dataclass(frozen=True)
class Answer:
    """Status, headers, messages for the next page, and body of an answer, as text."""

    status: int
    text: str
    joints: int  # references to rows of acme, right after it
    size: int  # of the log that was asked for, right after it

    def without(self, words: Iterable[str]) -> str:
        """The text without these words, however they are quoted."""
        text = self.text
        for word in sorted(words, key=len, reverse=True):
            quoted = {quote(word), quote_plus(word), quote(word, safe="")}
            for form in {word, escape(word), *quoted, *map(quote_plus, quoted)}:
                if form:
                    text = text.replace(form, "⟨⟩")
        return text

    def steady(self, words: Iterable[str] = ()) -> str:
        """The same without what differs every time either; only good for comparing."""
        text = self.without(words)
        for noise in NOISE:
            text = noise.sub("⟨⟩", text)
        return SERIES.sub(lambda match: str(sum(map(int, match[0].split(",")))), text)


class Visitor:
    """Somebody's browser. Each request is its first, and what it changes is rolled back.

    One client for all requests: each new one would look through all static files again.
    """

    def __init__(self, person: User | None) -> None:
        self.name = person.email if person else "nobody"
        self.client = Client(raise_request_exception=False)
        self.session = ""
        if person is not None:
            client = Client()
            client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
            self.session = client.cookies["sessionid"].value

    def send(
        self, method: str, address: str, fields: Any = None, *, json: bool = False, log_id: int = 0
    ) -> Answer:
        """The answer to one request, and how things stood before it was rolled back."""
        self.client.cookies.clear()
        if self.session:
            self.client.cookies["sessionid"] = self.session
        more: dict[str, Any] = {"content_type": "application/json"} if json else {}
        with transaction.atomic():
            response = getattr(self.client, method)(address, fields or {}, **more)
            body = b"".join(response) if response.streaming else response.content
            headers = "\n".join(
                f"{name}: {value}"
                for name, value in sorted(response.items())
                if name not in ("Date", "Content-Length", "ETag", "Expires")
            )
            told = getattr(response.wsgi_request, "_messages", None)
            messages = "\n".join(str(each) for each in getattr(told, "_queued_messages", ()))
            joined = joints() if method != "get" else -1
            size = newest(log_id) if log_id else -1
            transaction.set_rollback(True)
        text = f"{headers}\n{messages}\n{body.decode('utf-8', 'replace')}"
        return Answer(response.status_code, text, joined, size)
