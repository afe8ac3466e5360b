"""Amounts of money and tokens on the wire."""

import re
from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.budgets import NANOS, dollars
from billing.gauges import gauge
from billing.models import Budget

AMOUNT = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"


@extend_schema_field({"type": "string", "pattern": f"^{AMOUNT}$"})
class DollarsField(serializers.CharField):
    """Nano-US-dollars as a decimal string of dollars."""

    default_error_messages = {
        "amount": "A decimal string of US dollars such as 5.00, with at most nine decimals."
    }

    def to_internal_value(self, data: Any) -> Any:
        """As at the gate: a number is no amount, since a program may have rounded it before it was written."""
        if not isinstance(data, str) or not re.fullmatch(AMOUNT, data):
            self.fail("amount")
        return int(Decimal(data) * NANOS)

    def to_representation(self, value: Any) -> Any:
        return dollars(value)


class Running(serializers.Field[Any, Any, Any, Any]):
    """An amount of the window that runs, out of a budget with its ``running`` accounts; null in another unit."""

    unit: str

    def __init__(self, amount: str, **options: Any) -> None:
        super().__init__(read_only=True, **options)
        self.amount = amount

    def get_attribute(self, instance: Any) -> int | None:
        if instance.unit != self.unit or instance.scope == Budget.Scope.SESSION:
            return None
        found = gauge(instance, instance.running, timezone.now(), instance.workspace.timezone)
        amount: int = getattr(found, self.amount)
        return amount


DOLLARS_OR_NULL = {"type": ["string", "null"], "pattern": f"^{AMOUNT}$"}
TOKENS_OR_NULL = {"type": ["integer", "null"]}


@extend_schema_field(DOLLARS_OR_NULL)
class RunningDollars(Running):
    """In US dollars."""

    unit = Budget.Unit.USD

    def to_representation(self, value: int) -> str:
        return dollars(value)


@extend_schema_field(TOKENS_OR_NULL)
class RunningTokens(Running):
    """In tokens."""

    unit = Budget.Unit.TOKENS

    def to_representation(self, value: int) -> int:
        return value
