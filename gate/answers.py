"""HTTP answers: JSON as it is, and problems as RFC 9457 documents."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec

from governance.requests import Problem

JSON = b"application/json"
PROBLEM = b"application/problem+json"


async def send_json(
    send: Any, body: bytes, *, status: int = 200, kind: bytes = JSON, retry_after: int = 0
) -> None:
    """Send one complete answer. Answers are never cached: each is about now."""
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"date", date_header(int(time.time()))),
    ]
    if retry_after:
        headers.append((b"retry-after", str(retry_after).encode()))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@lru_cache(maxsize=2)
def date_header(second: int) -> bytes:
    """The Date header, by which clients judge whether an allow is fresh; daphne sends none of its own."""
    return formatdate(second, usegmt=True).encode()


async def send_problem(send: Any, problem: Problem, *, retry_after: int = 0) -> None:
    """Send a problem document with its stable code."""
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = retry_after or 1
    await send_json(send, problem_body(problem), status=problem.status, kind=PROBLEM, retry_after=retry_after)


def problem_body(problem: Problem) -> bytes:
    """The document: type, title, status, code, detail."""
    return msgspec.json.encode(
        {
            "type": f"urn:countersign:problem:{problem.code}",
            "title": HTTPStatus(problem.status).phrase,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
        }
    )
