"""How the portal's API refuses: RFC 9457 problem documents, and bodies that are taken exactly."""

import logging
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import serializers
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.response import Response
from rest_framework.views import set_rollback

logger = logging.getLogger(__name__)

# A head or a turn to write that did not come in time, and a database that is away.
OUTAGES = (OperationalError, InterfaceError)
RETRY_AFTER = 1  # seconds
INVALID = "Some fields of the request are wrong; errors names them."
UNAVAILABLE = "The database is busy or away, so this may not have been done; look, and try again in a moment."


def problem(exc: Exception, context: dict[str, Any]) -> Response:
    """The REST framework's exception handler: any exception as an RFC 9457 problem document.

    ``type`` is about:blank with the status's own title; ``code`` is the stable name that programs read. Our
    exceptions carry ``status`` and ``code``; what nobody expected is logged and says nothing of itself.
    """
    set_rollback()
    status, code, detail = described(exc)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("An API request failed.", exc_info=exc)
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        logger.warning("The database did not answer an API request.", exc_info=exc)
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "code": code,
        "detail": detail if detail.endswith(".") else f"{detail}.",
    }
    if errors := errors_in(exc):
        document["errors"] = errors
    headers = {"Retry-After": str(RETRY_AFTER)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
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
        case OperationalError() | InterfaceError():
            return 503, "unavailable", UNAVAILABLE
    status, code = getattr(exc, "status", None), getattr(exc, "code", None)
    if isinstance(status, int) and isinstance(code, str):
        return status, code, str(exc)
    return 500, "internal_error", "Something went wrong here; it was logged, and nothing was changed."


def errors_in(exc: Exception) -> list[dict[str, Any]]:
    """Each thing that is wrong with a request: ``path`` (fields and positions into the body), ``message``, and the
    stable ``code`` of it."""
    match exc:
        case Invalid():
            return flat(exc.detail)
        case ValidationError() if hasattr(exc, "error_dict"):
            return [
                {
                    "path": [] if field == "__all__" else [field],
                    "message": message,
                    "code": each.code or "invalid",
                }
                for field, errors in exc.error_dict.items()
                for each in errors
                for message in each.messages
            ]
    problems, code = getattr(exc, "problems", ()), getattr(exc, "code", "invalid")
    return [{"path": list(each.path), "message": each.message, "code": code} for each in problems]


def flat(detail: Any, path: tuple[str | int, ...] = ()) -> list[dict[str, Any]]:
    """The REST framework's tree of errors as a list."""
    if isinstance(detail, dict):
        steps = [(() if name == "non_field_errors" else (name,), each) for name, each in detail.items()]
        return [error for step, each in steps for error in flat(each, (*path, *step))]
    if isinstance(detail, list):
        nested = any(isinstance(each, dict) for each in detail)
        return [
            error
            for index, each in enumerate(detail)
            for error in flat(each, (*path, index) if nested else path)
        ]
    return [{"path": list(path), "message": str(detail), "code": getattr(detail, "code", None) or "invalid"}]


class Exact(serializers.Serializer[Any]):
    """A serializer that refuses fields that it does not know, or does not take, as the gate does."""

    def to_internal_value(self, data: Any) -> Any:
        values = super().to_internal_value(data)
        if unknown := sorted(set(data) - {field.field_name for field in self._writable_fields}):
            raise Invalid(
                {
                    str(name): ErrorDetail("There is no such field to set.", "unknown_field")
                    for name in unknown
                }
            )
        return values
