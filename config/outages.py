"""What a page answers while its database is busy or away."""

import logging

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin

from audit.api.problems import OUTAGES, RETRY_AFTER
from audit.watermarks import Stopped

logger = logging.getLogger(__name__)


class Unavailable(MiddlewareMixin):
    """503 instead of an error page for a log's head that somebody else holds, a log that is stopped, or a database
    that is away."""

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A page that asks the database nothing; None leaves every other exception alone."""
        if not isinstance(exception, (*OUTAGES, Stopped)):
            return None
        logger.warning("A page could not read or record what it should.", exc_info=exception)
        return HttpResponse(
            render_to_string(
                "503.html", {"stopped": str(exception) if isinstance(exception, Stopped) else ""}
            ),
            status=503,
            headers={"Retry-After": str(RETRY_AFTER), "Cache-Control": "no-store, private"},
        )
