"""The portal's JSON API: containment, and how every refusal looks (RFC 9457)."""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, set_rollback

from governance import containment
from workspaces import tenancy
from workspaces.access import NotVisible, get_agent, get_workspace
from workspaces.models import Standing, User
from workspaces.people import actor_of

logger = logging.getLogger(__name__)

INVALID = "Some fields of the request are wrong; errors names them."


def problem(exc: Exception, context: dict[str, Any]) -> Response:
    """The REST framework's exception handler: any exception as an RFC 9457 problem document.

    ``type`` is about:blank with the status's own title; ``code`` is the stable name that programs read. Our
    exceptions carry ``status`` and ``code``; what nobody expected is logged and says nothing of itself.
    """
    set_rollback()
    status, code, detail = described(exc)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("An API request failed.", exc_info=exc)
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail if detail.endswith(".") else f"{detail}.",
    }
    if isinstance(exc, Invalid):
        document["errors"] = exc.detail
    headers = {}
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait))
    if authenticate := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = authenticate
    return Response(document, status=status, headers=headers, content_type="application/problem+json")


def described(exc: Exception) -> tuple[int, str, str]:
    """Status, code and sentence of an exception."""
    match exc:
        case Invalid():
            return 400, "invalid_request", INVALID
        case APIException():
            code = exc.detail.code if isinstance(exc.detail, ErrorDetail) else None
            return exc.status_code, code or exc.default_code, str(exc.detail)
        case Http404():
            return 404, "not_found", str(exc) or "There is nothing here."
        case PermissionDenied():
            return 403, "permission_denied", str(exc) or "You may not do this."
        case ValidationError():
            return 400, "invalid_request", " ".join(exc.messages)
    status, code = getattr(exc, "status", None), getattr(exc, "code", None)
    if isinstance(status, int) and isinstance(code, str):
        return status, code, str(exc)
    return 500, "internal_error", "Something went wrong here; it was logged, and nothing was changed."


class Exact(serializers.Serializer[Any]):
    """A serializer that refuses fields it does not know, as the gate does."""

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        if unknown := sorted(set(data) - set(self.fields)):
            raise Invalid({name: ErrorDetail("There is no such field.", "unknown_field") for name in unknown})
        return values


class StepSerializer(Exact):
    """A step that is asked for; whether it may be taken is judged by ``containment``, for every door."""

    standing = serializers.ChoiceField(choices=Standing.choices)
    reason = serializers.CharField(max_length=containment.LONGEST_REASON)
    until = serializers.DateTimeField(required=False)


class IsAdministrator(BasePermission):
    """Superusers administer the installation, and hold no workspace."""

    message = "Only an administrator of the installation may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.user.is_authenticated and request.user.is_superuser)


class ContainmentView(APIView):
    """POST ``{"standing", "reason", "until"?}``: take a step on the ladder."""

    permission_classes = [IsAuthenticated]

    def take(self, request: Request, scope: containment.Scope) -> Response:
        """Take the step and say what became of it."""
        assert isinstance(request.user, User)  # IsAuthenticated saw to that
        asked = StepSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        step = containment.set_standing(
            scope,
            asked.validated_data["standing"],
            reason=asked.validated_data["reason"],
            until=asked.validated_data.get("until"),
            actor=actor_of(request.user),
            person=request.user,
        )
        return Response(
            {
                "scope": type(scope).__name__.lower(),
                "standing": step.after.value,
                "previous": step.before.value,
                "changed": step.changed,
                "entry": step.index,
                "requested_at": step.requested_at,
                "confirmed_at": step.confirmed_at,
            }
        )


class WorkspaceContainment(ContainmentView):
    """Containment of a whole workspace."""

    def post(self, request: Request, slug: str) -> Response:
        return self.take(request, get_workspace(request.user, slug))


class AgentContainment(ContainmentView):
    """Containment of one agent."""

    def post(self, request: Request, slug: str, public_id: str) -> Response:
        agent = get_agent(request.user, public_id)
        if agent.workspace.slug != slug:
            raise NotVisible("There is no such agent.")
        return self.take(request, agent)


class InstallationContainment(ContainmentView):
    """Containment of everything at once."""

    permission_classes = [IsAuthenticated, IsAdministrator]

    def post(self, request: Request) -> Response:
        assert isinstance(request.user, User)
        return self.take(request, tenancy.install(actor=actor_of(request.user)))


class NothingHere(APIView):
    """Any other address below the API's: a problem document instead of a page."""

    permission_classes = [AllowAny]
    authentication_classes = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse whatever the method."""
        raise NotVisible("There is nothing at this address of the API.")
