"""The billing app: what it costs, and what it may cost."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from audit import owed
        from billing import counting, kinds, repricing  # noqa: F401  (registers its task)

        kinds.register()
        owed.periodic(counting.count_new)
