"""People at work in the portal."""

import json
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Entry
from workspaces.models import User, Workspace


def enter(person: User) -> Client:
    """A browser in which this person is signed in."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(client: Client, name: str, /, *args: Any, **query: Any) -> str:
    """The text of a page of the admin, which must be there."""
    answer = client.get(reverse(f"admin:{name}", args=args), query)
    assert answer.status_code == 200, (name, answer.status_code)
    return answer.content.decode()


def press(client: Client, name: str, /, *args: Any, **fields: Any) -> str:
    """POST to a page of the admin, follow to where it leads, and return that page's text."""
    answer = client.post(reverse(f"admin:{name}", args=args), fields, follow=True)
    assert answer.status_code == 200, (name, answer.status_code)
    return answer.content.decode()


def latest(workspace: Workspace) -> Entry:
    """The newest entry of a workspace's log."""
    return Entry.objects.filter(log_id=workspace.log_id).latest("index")


def body_of(entry: Entry) -> dict[str, Any]:
    """An entry's body as JSON."""
    body: dict[str, Any] = json.loads(bytes(entry.body))
    return body


def queries(client: Client, name: str, /, *args: Any) -> int:
    """How many queries a page costs, once it is warm."""
    page(client, name, *args)
    with CaptureQueriesContext(connection) as captured:
        page(client, name, *args)
    return len(captured)
