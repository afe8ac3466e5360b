"""Gives a grant and takes it away, twenty times a second, until it is ended."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import django

django.setup()

from workspaces import access  # noqa: E402
from workspaces.models import Agent, Resource  # noqa: E402

if __name__ == "__main__":
    agent = Agent.objects.get(name="agent-0000")
    resource = Resource.objects.get(name="open")
    while True:
        access.grant(agent, permission="read", obj=resource, actor="cli:bench@localhost")
        time.sleep(0.05)
        access.revoke(agent, permission="read", obj=resource, actor="cli:bench@localhost")
        time.sleep(0.05)
