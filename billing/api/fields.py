"""Amounts of money on the wire."""

import re
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.budgets import NANOS, dollars

AMOUNT = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"


@extend_schema_field({"type": "string", "pattern": f"^{AMOUNT}$"})
class DollarsField(serializers.CharField):
    """Nano-US-dollars as a decimal string of dollars."""

    default_error_messages = {
        "amount": "A decimal string of US dollars such as 5.00, with at most nine decimals."
    }

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        if not re.fullmatch(AMOUNT, text):
            self.fail("amount")
        return int(Decimal(text) * NANOS)

    def to_representation(self, value: Any) -> Any:
        return dollars(value)
