"""The gate alone, for uvicorn: ``uvicorn config.gate:application``. No admin, no sessions, no websockets."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from gate.admission import spare_collections  # noqa: E402
from gate.app import application  # noqa: E402
from gate.readiness import require_durability  # noqa: E402

__all__ = ["application"]

require_durability()
spare_collections()
