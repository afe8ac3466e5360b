"""The billing app: what it costs, and what it may cost."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from billing import kinds

        kinds.register()
