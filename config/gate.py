"""The gate alone, for uvicorn: ``uvicorn config.gate:application``. No admin, no sessions, no websockets."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from gate import readiness  # noqa: E402
from gate.admission import spare_collections  # noqa: E402
from gate.app import application  # noqa: E402

__all__ = ["application"]

readiness.start()
spare_collections()
