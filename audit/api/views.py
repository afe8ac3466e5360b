"""What every view of the portal's API has in common: it says what it asks of a person, method by method."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import Http404
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

SIGNED_IN = "to be signed in"
OPERATOR = "to be an operator of the installation"


class PortalView(GenericAPIView[Any]):
    """A view of the API. ``permission`` has an entry for each method that it answers: the permission that a
    person needs in the workspace, or SIGNED_IN, or OPERATOR; what is narrower, the function that is called judges."""

    permission: ClassVar[Mapping[str, str]]
    query_class: ClassVar[type[Serializer[Any]] | None] = None  # what a GET takes in its address
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    order = "pk"
    cursor = "public_id"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find out who asks, and that there is such a method."""
        super().initial(request, *args, **kwargs)
        if self.asked() is None:
            raise MethodNotAllowed(request.method or "")
        if any("\0" in str(value) for value in kwargs.values()):
            raise Http404("There is nothing at this address of the API.")

    def asked(self) -> str | None:
        """What this request's method asks of a person."""
        method = self.request.method
        return self.permission.get("GET" if method == "HEAD" else str(method))

    def asked_for(self, request: Request) -> dict[str, Any]:
        """The address's query as values, of ``query_class``. Raises Invalid."""
        assert self.query_class is not None
        asked = self.query_class(data=request.query_params.dict(), context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)

    def read(self, request: Request, serializer: Any = None, *, partial: bool = False) -> dict[str, Any]:
        """The request's body as values, by default of this view's serializer. Raises Invalid."""
        kind = serializer or self.get_serializer_class()
        asked = kind(data=request.data, partial=partial, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)

    def shown(self, row: Any, *, created: bool = False) -> Response:
        """A row as this view's serializer writes it, with 201 where it is new."""
        return Response(self.get_serializer(row).data, status=201 if created else 200)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """What a person may see is kept by nobody on the way."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = "no-store, private"
        return response


class Listing(ListModelMixin, PortalView):
    """A list: ``get_queryset`` is what the person sees. Only declared query parameters are taken."""

    filterset_class: ClassVar[Any] = None

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        known = set(self.filterset_class.base_filters) if self.filterset_class else set()
        assert self.paginator is not None
        known |= {each["name"] for each in self.paginator.get_schema_operation_parameters(self)}
        if unknown := sorted(set(request.query_params) - known):
            raise Invalid(dict.fromkeys(unknown, "There is no such parameter."))
        return self.list(request, *args, **kwargs)


class NothingHere(PortalView):
    """Any other address below the API's: a problem document instead of a page."""

    permission: ClassVar[Mapping[str, str]] = {}
    permission_classes = [AllowAny]
    authentication_classes = []
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse whatever the method."""
        raise Http404("There is nothing at this address of the API.")
