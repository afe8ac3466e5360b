"""The OpenAPI document of the whole installation, and the page to browse it."""

from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

from audit.api.views import SIGNED_IN, PortalView


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Made of the views once a process: portal and gate in one (``config.openapi``)."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


class Document(PortalView):
    """This document."""

    permission = {"GET": SIGNED_IN}
    schema = None

    def get(self, request: Request) -> Any:
        return JsonResponse(document())


class Browse(SpectacularSwaggerSplitView):
    """The document as a page, whose scripts are this origin's own."""

    permission = {"GET": SIGNED_IN}
    url_name = "api-document"
    template_name = "admin/portal/api_docs.html"
    permission_classes = [IsAuthenticated]
    authentication_classes = [SessionAuthentication]


def browse(request: HttpRequest) -> HttpResponse:
    """The page, for who is signed in."""
    response: HttpResponse = Browse.as_view()(request)
    return response
