"""A workspace's own prices as configuration. A price that was set stays as it is, since charges rest on it: a later day
begins a new one, and another of the same day corrects it."""

import re
from collections.abc import Mapping
from datetime import date

from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from audit import log
from billing.models import Price
from workspaces.changes import Applied, Change
from workspaces.models import Workspace

AMOUNTS = ("input_nanos", "output_nanos", "cache_read_nanos", "cache_write_nanos", "call_nanos")
HIGHEST = 10**15  # nano-dollars: a million dollars for a million tokens
EARLIEST, LATEST = date(2015, 1, 1), date(2100, 1, 1)
MOST_ROWS = 5_000  # of a workspace; a snapshot reads them all when one changes
MODEL = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,198}[^\s\x00-\x1f\x7f])?")


def set_price(
    workspace: Workspace,
    *,
    model: str,
    starts: date,
    input_nanos: int | None = None,
    output_nanos: int | None = None,
    cache_read_nanos: int | None = None,
    cache_write_nanos: int | None = None,
    call_nanos: int | None = None,
    note: str = "",
    actor: str,
) -> Applied[Price]:
    """Make this what a model costs from a day of the workspace's calendar on, in nano-US-dollars a million tokens and a
    call. None is unknown and 0 free; without any amount the model goes back to the public list (``*``: to no ceiling).

    It holds from the next call on. What was charged stays until somebody prices it anew. The same again changes
    nothing. Raises ValidationError.
    """
    values = (input_nanos, output_nanos, cache_read_nanos, cache_write_nanos, call_nanos)
    amounts = dict(zip(AMOUNTS, values, strict=True))
    check(model, starts, amounts)
    with log.write(workspace.log_id) as entries:
        here = Price.objects.filter(workspace=workspace)
        standing = here.filter(model=model, starts=starts).order_by("pk").last()
        if standing and all(getattr(standing, name) == value for name, value in amounts.items()):
            return Applied(standing, Change.UNCHANGED)
        if (
            standing is None
            and all(value is None for value in values)
            and not here.filter(model=model).exists()
        ):
            message = "There is no price of this model to take back; set an amount."
            raise ValidationError({"model": ValidationError(message, code="amount_missing")})
        if here.count() >= MOST_ROWS:
            raise ValidationError(
                {
                    "model": ValidationError(
                        f"A workspace keeps at most {MOST_ROWS:,} prices.", code="too_many_prices"
                    )
                }
            )
        price = Price(workspace=workspace, model=model, starts=starts, note=note, **amounts)
        price.full_clean()
        price.save()
        entries.record(
            "billing.price.changed",
            actor=actor,
            saved=[price],
            data={"price": price.public_id, "model": model, "starts": starts.isoformat()},
        )
    return Applied(price, Change.CHANGED if standing else Change.CREATED)


def check(model: str, starts: date, amounts: Mapping[str, int | None]) -> None:
    """Raises ValidationError, with a stable code at each field, for what cannot be a price."""
    problems: dict[str, ValidationError] = {}
    if not MODEL.fullmatch(model):
        message = (
            "Name the model as agents name it, in 1 to 200 characters of one line; or * for the ceiling."
        )
        problems["model"] = ValidationError(message, code="bad_name")
    if not EARLIEST <= starts <= LATEST:
        message = f"Choose a day from {EARLIEST} to {LATEST}."
        problems["starts"] = ValidationError(message, code="day_out_of_range")
    for name, amount in amounts.items():
        if amount is not None and not 0 <= amount <= HIGHEST:
            message = "A price is 0 to 1,000,000 US dollars."
            problems[name] = ValidationError(message, code="price_out_of_range")
    if problems:
        raise ValidationError(problems)


def in_force(workspace: Workspace, on: date) -> QuerySet[Price]:
    """The row of each model that holds on a day, by model; those that give a model back are left out."""
    begun = Price.objects.filter(workspace=workspace, starts__lte=on).order_by("starts", "pk")
    latest = dict(begun.values_list("model", "pk"))
    rows = Price.objects.filter(pk__in=latest.values()).order_by("model")
    return rows.exclude(**dict.fromkeys((f"{name}__isnull" for name in AMOUNTS), True))
