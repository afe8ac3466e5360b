"""What of this app is configuration, and the entries that it writes."""

from audit.registry import register_kind, register_types
from billing.models import Budget, Price

SENTENCES = {
    "billing.budget.changed": "{actor} changed a budget.",
    "billing.budget.reset": "{actor} reset a budget; it begins anew with nothing spent.",
    "billing.budget.raised": "A budget was raised once for a call of {tool} by {agent}.",
    "billing.budget.removed": "{actor} removed a budget.",
    "billing.budget.warned": "A budget of {agent} gives warning: {outcome}.",
    "billing.price.changed": "{actor} set a price.",
    "billing.repricing.started": "{actor} had charges priced anew.",
    "billing.charges.repriced": "Charges were priced anew.",
    "billing.bill.checked": "{actor} held charges against a provider's bill.",
    "billing.spend.exported": "{actor} took along what was spent.",
}


def register() -> None:
    """Register this app's entry types and configuration tables."""
    register_types(SENTENCES)
    register_kind(
        Budget,
        rows_of=lambda log_id: Budget.objects.filter(workspace__log_id=log_id),
        touches=lambda row: ("budget", row.pk),
    )
    register_kind(
        Price,
        rows_of=lambda log_id: Price.objects.filter(workspace__log_id=log_id),
        private=("note",),
        omit=("created",),
        touches=lambda row: ("price", row.pk),
    )
