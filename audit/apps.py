"""The audit app: what happened, written once and read by everybody."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import log, owed, postings

        post_migrate.connect(log.ensure_installation_log, sender=self)
        owed.periodic(postings.index_new)
