"""A program that speaks to the portal's API with a person's token."""

import json
from typing import Any

from django.test import Client

from workspaces.access import tokens
from workspaces.models import User, Workspace

API = "/api/v1/"


class Caller:
    """Requests with one token; ``get``, ``post``, ``put``, ``patch`` and ``delete`` return the answer's JSON."""

    def __init__(self, person: User, *, scope: str = "write", workspace: Workspace | None = None) -> None:
        self.client = Client()
        self.token, self.text = tokens.create_token(
            person, name="script", scope=scope, workspace=workspace, actor=f"person:{person.public_id}"
        )

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The raw answer."""
        data = b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method,
            API + path,
            data,
            content_type="application/json",
            QUERY_STRING="&".join(f"{name}={value}" for name, value in query.items()),
            headers={"authorization": f"Bearer {self.text}"},
        )

    def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        return body_of(self.ask("GET", path, **query), status)

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        return body_of(self.ask("POST", path, {} if body is None else body), status)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return body_of(self.ask("PUT", path, body), status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return body_of(self.ask("PATCH", path, body), status)

    def delete(self, path: str, status: int = 204) -> Any:
        return body_of(self.ask("DELETE", path), status)


def body_of(response: Any, status: int) -> Any:
    """The answer's JSON, which must come with this status."""
    assert response.status_code == status, response.content.decode()
    return json.loads(response.content) if response.content else None
