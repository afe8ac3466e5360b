"""Searching a log through the API: pages of entries, and how many of the results have which value."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError as Invalid
from rest_framework.request import Request

from audit import search
from audit.api.pages import IndexPages, limit_of, time_in
from audit.api.problems import Exact
from audit.models import Entry
from audit.postings import FACETS, INSIDE

LONGEST = 300  # characters of what is searched for
MOST_VALUES = 10  # of one facet
TEXT = "q"


class Facet(django_filters.CharFilter):
    """A value that entries must have. Given several times, one of the values."""

    def filter(self, queryset: QuerySet[Entry], value: str) -> QuerySet[Entry]:
        """Left to the search, which has an index of its own."""
        return queryset


class EntryFilter(django_filters.FilterSet):
    """What entries are searched by."""

    q = Facet(
        label="Words of type, tool, resource, outcome and session, or an id of an agent, a person, a decision or an"
        " approval. Entries have all of them; a word of three characters or more also stands for longer ones."
    )
    type = Facet()
    actor = Facet()
    agent = Facet(label="Public id.")
    tool = Facet()
    resource = Facet()
    outcome = Facet()
    session = Facet()
    call = Facet(label="Id of a decision or an approval.")
    row = Facet(label="A changed row of the configuration: kind and key with a colon between.")

    class Meta:
        model = Entry
        fields: list[str] = []


def asked_in(request: Request) -> dict[str, Any]:
    """Facets, text and times of a request, as ``search`` takes them. Raises Invalid."""
    facets = {facet: request.query_params.getlist(facet) for facet in (*FACETS, *INSIDE)}
    text = request.query_params.get(TEXT, "")
    for name, values in {**facets, TEXT: [text]}.items():
        if len(values) > MOST_VALUES or any("\0" in each or len(each) > LONGEST for each in values):
            raise Invalid(
                {name: f"At most {MOST_VALUES} values of at most {LONGEST} characters, without nulls."}
            )
    return {
        "facets": {facet: [each for each in values if each] for facet, values in facets.items()},
        "text": text,
        "since": time_in(request, "since"),
        "until": time_in(request, "until"),
    }


class SearchPages(IndexPages):
    """Pages of a search, newest first, by index. A page looks through a bounded number of entries: one with few or no
    results is the last only where ``next`` is null."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        limit, after = limit_of(request), request.query_params.get("after")
        if after is not None and not (after.isascii() and after.isdecimal() and len(after) < 19):
            raise Invalid({"after": "Give the index of an entry."})
        before = int(after) if after is not None else None
        try:
            page = search.search(view.log_id, **asked_in(request), before=before, limit=limit)
        except search.TooBroad as refused:
            raise Invalid({TEXT: str(refused)}) from None
        self.following = str(page.before) if page.before is not None else None
        return list(view.get_queryset().filter(index__in=page.indexes).order_by("-index"))


class FacetsQuery(Exact):
    """What is searched for; as in the list of entries."""

    q = serializers.CharField(required=False, max_length=LONGEST, help_text="Words, or an id.")
    type = serializers.CharField(required=False, max_length=LONGEST)
    actor = serializers.CharField(required=False, max_length=LONGEST)
    agent = serializers.CharField(required=False, max_length=LONGEST, help_text="Public id.")
    tool = serializers.CharField(required=False, max_length=LONGEST)
    resource = serializers.CharField(required=False, max_length=LONGEST)
    outcome = serializers.CharField(required=False, max_length=LONGEST)
    session = serializers.CharField(required=False, max_length=LONGEST)
    call = serializers.CharField(required=False, max_length=LONGEST)
    row = serializers.CharField(required=False, max_length=LONGEST)
    since = serializers.DateTimeField(required=False, help_text="Nothing earlier than this.")
    until = serializers.DateTimeField(required=False, help_text="Only what is earlier than this.")
    most = serializers.IntegerField(default=10, min_value=1, max_value=50, help_text="Values of each facet.")


class Value(serializers.Serializer[Any]):
    """A value and how many results have it."""

    value = serializers.CharField()
    count = serializers.IntegerField()


class FacetsDocument(serializers.Serializer[Any]):
    """How many entries a search finds, and which values the newest of them have."""

    total = serializers.IntegerField(help_text="Results among the entries that were looked through.")
    whole = serializers.BooleanField(help_text="Whether those are all that were asked for.")
    first = serializers.IntegerField(help_text="The oldest index that was looked at.")
    facets = serializers.DictField(
        child=Value(many=True),
        help_text="Facet → its values, the most frequent first, counted over all results.",
    )


def told(log_id: int, request: Request, most: int) -> dict[str, Any]:
    """The facets of a search. Raises Invalid."""
    try:
        found = search.find(log_id, **asked_in(request))
    except search.TooBroad as refused:
        raise Invalid({TEXT: str(refused)}) from None
    counted = search.counts(log_id, found, FACETS, most)
    return {
        "total": found.total,
        "whole": found.whole,
        "first": found.first,
        "facets": {
            facet: [{"value": value, "count": count} for value, count in rows]
            for facet, rows in counted.items()
        },
    }
