"""One origin for everything: the gate's paths go to the gate, websockets to the feed, the rest to Django."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
portal = get_asgi_application()  # sets Django up; what follows needs that

from audit.live.feed import Feed  # noqa: E402
from config.front_door import FrontDoor  # noqa: E402
from gate.admission import spare_collections  # noqa: E402
from gate.app import application as gate  # noqa: E402
from gate.readiness import require_durability  # noqa: E402
from workspaces.access import get_workspace  # noqa: E402
from workspaces.models import User  # noqa: E402


def log_of(person: User, slug: str) -> int:
    """The log of a workspace that the person may see. Raises NotVisible, which is a Http404."""
    return get_workspace(person, slug).log_id


application = FrontDoor(gate=gate, sockets=Feed.as_asgi(log_of=log_of), portal=portal)

require_durability()
spare_collections()
