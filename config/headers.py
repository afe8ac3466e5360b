"""Headers of every answer of the portal that no middleware of Django's or django-csp's sets."""

from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

# What a page of the portal never needs, so that nothing that gets into one can use it.
UNUSED = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone",
          "midi", "payment", "usb")  # fmt: skip


class PermissionsPolicy(MiddlewareMixin):
    """Switches off what a page of the portal never needs of a browser."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers.setdefault("Permissions-Policy", ", ".join(f"{name}=()" for name in UNUSED))
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response
