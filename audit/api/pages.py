"""Pages of lists that stay in place while rows are added: each begins after the last row of the one before."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from audit.log import index_at, newest

USUAL, MOST = 50, 200
LOOKED_AT = 20_000  # entries of a log that one page looks through for those that its filters let pass


class Pages(BasePagination):
    """``after`` is the ``next`` of the page before, and ``limit`` the number of rows.

    A view's ``order`` is a column that no two rows of a list share, with - in front for the newest first, and
    ``cursor`` the column by which clients know it: primary keys stay here, for they count other workspaces' rows.
    """

    following: str | None = None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit, after = limit_of(request), request.query_params.get("after")
        backward, column = view.order.startswith("-"), view.order.lstrip("-")
        if after is not None:
            place = self.place(queryset, view.cursor, column, after)
            queryset = queryset.filter(**{f"{column}__{'lt' if backward else 'gt'}": place})
        rows = list(queryset.order_by(view.order)[: limit + 1])
        self.following = str(getattr(rows[limit - 1], view.cursor)) if len(rows) > limit else None
        return rows[:limit]

    def place(self, queryset: QuerySet[Any], cursor: str, column: str, after: str) -> Any:
        """Where the row is that a client names. Raises Invalid for one that cannot be, or is not, on the list."""
        place = None
        if "\0" not in after:
            with suppress(ValidationError):
                place = queryset.model._meta.get_field(cursor).to_python(after)
        if place is not None and cursor != column:
            place = queryset.filter(**{cursor: place}).values_list(column, flat=True).first()
        if place is None:
            raise Invalid({"after": "The list has no such row; begin again without after."})
        return place

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.following})

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        """What a page looks like, for the API's document."""
        following = {
            "type": ["string", "null"],
            "description": "The after of the next page; null on the last.",
        }
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {"results": schema, "next": following},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The parameters that page, for the API's document."""
        limit = {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL}
        return [
            {"name": "after", "in": "query", "schema": {"type": "string", "minLength": 1},
             "description": "The next of the page before."},
            {"name": "limit", "in": "query", "schema": limit, "description": "How many rows at most."},
        ]  # fmt: skip


class Whole(Pages):
    """A list that is short by its nature, as one page."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        return list(queryset)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return []


class IndexPages(Pages):
    """Pages of a log's entries, newest first, by their index. A page looks through a bounded number of entries: one
    with few or no results is the last only where ``next`` is null."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit, top = limit_of(request), newest(view.log_id)
        if (after := request.query_params.get("after")) is not None:
            if not (after.isascii() and after.isdecimal() and len(after) < 19):
                raise Invalid({"after": "Give the index of an entry."})
            top = min(top, int(after))
        since, until = (time_in(request, name) for name in ("since", "until"))
        if until is not None:
            top = min(top, index_at(view.log_id, until))
        first = index_at(view.log_id, since) if since is not None else 0
        bottom = max(first, top - LOOKED_AT)
        rows = list(queryset.filter(index__lt=top, index__gte=bottom).order_by("-index")[: limit + 1])
        last = rows[limit - 1].index if len(rows) > limit else bottom
        self.following = str(last) if last > first else None
        return rows[:limit]

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        time = {"type": "string", "format": "date-time"}
        return [
            *super().get_schema_operation_parameters(view),
            {"name": "since", "in": "query", "schema": time, "description": "Nothing earlier than this."},
            {
                "name": "until",
                "in": "query",
                "schema": time,
                "description": "Only what is earlier than this.",
            },
        ]


def limit_of(request: Request) -> int:
    """How many rows a page has. Raises Invalid."""
    text = request.query_params.get("limit", str(USUAL))
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MOST):
        raise Invalid({"limit": f"A whole number from 1 to {MOST}."})
    return int(text)


def time_in(request: Request, name: str) -> datetime | None:
    """The time with its offset that a parameter gives, if it is there. Raises Invalid."""
    text = request.query_params.get(name)
    if text is None:
        return None
    with suppress(ValueError):
        if (time := parse_datetime(text)) is not None and time.tzinfo is not None:
            return time
    raise Invalid({name: "Give a time with its offset, such as 2026-11-23T12:00:00Z."})
