"""Prices in the portal's API: a workspace's own, what a model costs, charges priced anew, and bills."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.bodies import StrictJson
from audit.api.problems import Exact
from audit.api.views import Listing
from billing import bills, price_table, repricing
from billing.api.budgets import MANAGE
from billing.api.fields import DollarsField
from billing.bill_files import LARGEST
from billing.models import BillCheck, Price, Repricing
from billing.price_table import EARLIEST, LATEST
from billing.prices import load_prices
from workspaces.api.views import VIEW, WorkspaceView, found


def rate(source: str, **options: Any) -> DollarsField:
    """A field of dollars that may be unknown."""
    return DollarsField(source=source, allow_null=True, **options)


def as_written(refused: ValidationError) -> ValidationError:
    """A refused price with the fields as a request names them."""
    if not hasattr(refused, "error_dict"):
        return refused
    return ValidationError(
        {name.replace("_nanos", "_usd"): errors for name, errors in refused.error_dict.items()}
    )


class PriceDocument(Exact):
    """What a model costs from a day on, in US dollars a million tokens; null is unknown, and 0.00 is free."""

    id = serializers.CharField(source="public_id", read_only=True)
    model = serializers.CharField(
        max_length=200, help_text="As agents name it; * is the ceiling of whatever has no other price."
    )
    starts = serializers.DateField(help_text="The first day, in the workspace's time zone.")
    input_usd = rate("input_nanos", default=None)
    output_usd = rate("output_nanos", default=None)
    cache_read_usd = rate("cache_read_nanos", default=None, help_text="Null: as input.")
    cache_write_usd = rate("cache_write_nanos", default=None, help_text="Null: as input.")
    call_usd = rate("call_nanos", default=None, help_text="A call, besides its tokens.")
    note = serializers.CharField(max_length=200, default="", allow_blank=True)
    created = serializers.DateTimeField(read_only=True)


class PriceFilter(django_filters.FilterSet):
    """Prices of one model."""

    model = django_filters.CharFilter()

    class Meta:
        model = Price
        fields: list[str] = []


class Prices(WorkspaceView, CreateModelMixin, Listing):
    """The workspace's own prices, those that were corrected too."""

    permission = {"GET": VIEW, "POST": MANAGE}
    serializer_class = PriceDocument
    filterset_class = PriceFilter

    def get_queryset(self) -> QuerySet[Price]:
        return Price.objects.filter(workspace=self.workspace)

    def post(self, request: Request, slug: str) -> Response:
        """Set a price from a day on; the same day again corrects it. Without any amount the model goes back to the
        public list."""
        values = self.read(request)
        try:
            applied = price_table.set_price(self.workspace, actor=self.actor, **values)
        except ValidationError as refused:
            raise as_written(refused) from refused
        return self.shown(applied.row, created=not applied.unchanged)


class QuoteQuery(Exact):
    """Of which model, and when."""

    model = serializers.CharField(
        max_length=200, default="*", help_text="The ceiling alone, where it is left out."
    )
    day = serializers.DateField(required=False, help_text="Today, where it is left out.")


class RatesDocument(serializers.Serializer[Any]):
    """US dollars a million tokens, and a call. Null is unknown."""

    version = serializers.CharField(help_text="What charges keep: a price's id, or the list's version.")
    source = serializers.CharField(help_text="Whose price: workspace, or the list's provider:model.")  # type: ignore[assignment]  # taken out of the class
    input_usd = rate("input")
    output_usd = rate("output")
    cache_read_usd = rate("cache_read")
    cache_write_usd = rate("cache_write")
    call_usd = rate("call")


class QuoteDocument(serializers.Serializer[Any]):
    """What a model costs on a day. Without a price, the ceiling counts; without both, the cost is unknown."""

    model = serializers.CharField()
    day = serializers.DateField()
    price = RatesDocument(allow_null=True)
    ceiling = RatesDocument(allow_null=True)


class Quote(WorkspaceView):
    """What a model costs."""

    permission = {"GET": VIEW}
    serializer_class = QuoteDocument
    query_class = QuoteQuery

    @extend_schema(parameters=[QuoteQuery])
    def get(self, request: Request, slug: str) -> Response:
        """What a model costs here on a day, and who says so."""
        asked = self.asked_for(request)
        today = timezone.now().astimezone(ZoneInfo(self.workspace.timezone)).date()
        day, prices = asked.get("day", today), load_prices(self.workspace.pk)
        price, ceiling = prices.of(asked["model"], day), prices.ceiling(day)
        return self.shown({"model": asked["model"], "day": day, "price": price, "ceiling": ceiling})


def check_days(first: date, last: date) -> None:
    """Raises ValidationError at the last day for days of which no charges can be priced anew."""
    if last < first:
        raise not_these_days("days_reversed", "The last day is before the first.")
    if not EARLIEST <= first <= last <= LATEST:
        raise not_these_days("day_out_of_range", f"Choose days from {EARLIEST} to {LATEST}.")
    if (last - first).days >= repricing.LONGEST_DAYS:
        raise not_these_days("too_many_days", f"Choose {repricing.LONGEST_DAYS} days at most.")


def not_these_days(code: str, message: str) -> serializers.ValidationError:
    """The refusal of some days."""
    return serializers.ValidationError({"last_day": [message]}, code=code)


class DaysDocument(Exact):
    """A first and a last day, where the workspace is."""

    first_day = serializers.DateField()
    last_day = serializers.DateField(help_text="Not before the first, and 92 days at most.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raises ValidationError."""
        check_days(attrs["first_day"], attrs["last_day"])
        return attrs


class RepricingDocument(DaysDocument):
    """Charges of some days that are priced anew."""

    id = serializers.CharField(source="public_id", read_only=True)
    status = serializers.ChoiceField(Repricing.Status.choices, read_only=True)
    charges = serializers.IntegerField(read_only=True)
    before_usd = DollarsField(source="before_nanos", read_only=True)
    after_usd = DollarsField(source="after_nanos", read_only=True)
    created = serializers.DateTimeField(read_only=True)


class PriceDifference(serializers.Serializer[Any]):
    """What becomes of the charges of one model."""

    model = serializers.CharField()
    charges = serializers.IntegerField()
    before_usd = DollarsField(source="before")
    after_usd = DollarsField(source="after")


class PreviewDocument(serializers.Serializer[Any]):
    """What pricing anew would do; nothing is changed."""

    looked_at = serializers.IntegerField()
    partial = serializers.BooleanField(help_text="There are more charges than were looked at.")  # type: ignore[assignment]  # taken out of the class
    charges = serializers.IntegerField()
    before_usd = DollarsField(source="before")
    after_usd = DollarsField(source="after")
    models = serializers.SerializerMethodField()

    @extend_schema_field(PriceDifference(many=True))
    def get_models(self, preview: repricing.Preview) -> Any:
        """Model by model."""
        return PriceDifference(list(preview.models.values()), many=True).data


class Repricings(WorkspaceView, CreateModelMixin, Listing):
    """Charges priced anew."""

    permission = {"GET": VIEW, "POST": MANAGE}
    serializer_class = RepricingDocument

    def get_queryset(self) -> QuerySet[Repricing]:
        return Repricing.objects.filter(workspace=self.workspace)

    def post(self, request: Request, slug: str) -> Response:
        """Have the worker price the charges of these days anew. 409 while it does so already."""
        days = self.read(request)
        row = repricing.start(self.workspace, days["first_day"], days["last_day"], actor=self.actor)
        return self.shown(row, created=True)


class PreviewQuery(Exact):
    """Which days."""

    first_day = serializers.DateField(required=False, help_text="The last one, where it is left out.")
    last_day = serializers.DateField(required=False, help_text="Today, where it is left out.")


class RepricingPreview(WorkspaceView):
    """What pricing anew would do."""

    permission = {"GET": VIEW}
    serializer_class = PreviewDocument
    query_class = PreviewQuery

    @extend_schema(parameters=[PreviewQuery])
    def get(self, request: Request, slug: str) -> Response:
        """How many charges of these days would change, and by how much."""
        days = self.asked_for(request)
        today = timezone.now().astimezone(ZoneInfo(self.workspace.timezone)).date()
        last = days.get("last_day", today)
        first = days.get("first_day", last)
        check_days(first, last)
        return self.shown(repricing.preview(self.workspace, first, last))


class BillJson(StrictJson):
    """As JSON the largest bill is longer: its quotes, ends of lines and letters beyond ASCII are escaped."""

    longest = 4 * LARGEST


class BillColumns(Exact):
    """What the file calls its columns, where that is not recognized."""

    date = serializers.CharField(max_length=200, required=False)
    model = serializers.CharField(max_length=200, required=False)
    input = serializers.CharField(max_length=200, required=False)
    output = serializers.CharField(max_length=200, required=False)
    cost = serializers.CharField(max_length=200, required=False)
    currency = serializers.CharField(max_length=200, required=False)


class BillUpload(Exact):
    """A provider's bill, and what cannot always be told from it."""

    csv = serializers.CharField(trim_whitespace=False, help_text="The file's text, of 5 MB at most.")
    zone = serializers.CharField(max_length=60, default="UTC", help_text="The time zone of its days.")
    columns = BillColumns(default=dict)
    decimal = serializers.ChoiceField([(".", "1234.56"), (",", "1234,56")], required=False)
    day_first = serializers.BooleanField(default=None, allow_null=True)

    def validate_zone(self, zone: str) -> str:
        """Raises ValidationError for none."""
        if zone not in available_timezones():
            raise serializers.ValidationError(
                "There is no such time zone; write UTC, or such as Europe/Berlin."
            )
        return zone


class BillLine(serializers.Serializer[Any]):
    """A day and model."""

    day = serializers.DateField()
    model = serializers.CharField(help_text="On the bill; empty where it is not on it.")
    charged_as = serializers.CharField(help_text="As agents named it; empty where nothing was charged.")
    billed_usd = DollarsField(source="billed")
    charged_usd = DollarsField(source="charged")
    billed_tokens = serializers.IntegerField()
    charged_tokens = serializers.IntegerField()
    calls = serializers.IntegerField()
    unpriced = serializers.IntegerField(help_text="Calls of unknown price.")
    known = serializers.BooleanField(help_text="Somebody was charged for this model in these days.")


class BillSummary(serializers.Serializer[Any]):
    """A bill beside what was charged."""

    id = serializers.CharField(source="public_id")
    first_day = serializers.DateField()
    last_day = serializers.DateField()
    zone = serializers.CharField()
    digest = serializers.CharField(help_text="SHA-256 of the file.")
    columns = serializers.DictField(child=serializers.CharField(), help_text="Which column was read as what.")
    billed_usd = DollarsField(source="billed_nanos")
    charged_usd = DollarsField(source="charged_nanos")
    created = serializers.DateTimeField()


class BillDocument(BillSummary):
    """A bill beside what was charged, line by line."""

    lines = BillLine(many=True)


class Bills(WorkspaceView, CreateModelMixin, Listing):
    """Bills that were held against charges."""

    permission = {"GET": VIEW, "POST": MANAGE}
    serializer_class = BillSummary
    parser_classes = [BillJson]

    def get_queryset(self) -> QuerySet[BillCheck]:
        return BillCheck.objects.filter(workspace=self.workspace).defer("lines")

    @extend_schema(request=BillUpload, responses={201: BillDocument})
    def post(self, request: Request, slug: str) -> Response:
        """Hold the charges against a bill. What cannot be read is 400 with a code that begins with ``bill_``."""
        values = self.read(request, BillUpload)
        check = bills.check_bill(
            self.workspace,
            values.pop("csv").encode(),
            actor=self.actor,
            **{name: value for name, value in values.items() if value is not None},
        )
        return Response(BillDocument(check).data, status=201)


class OneBill(WorkspaceView):
    """One of them."""

    permission = {"GET": VIEW}
    serializer_class = BillDocument

    def get(self, request: Request, slug: str, bill: str) -> Response:
        """What was billed and charged, by day and model."""
        rows = BillCheck.objects.filter(workspace=self.workspace, public_id=bill)
        return self.shown(found(rows.first(), "bill"))
