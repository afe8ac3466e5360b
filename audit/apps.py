"""The audit app: what happened, written once and read by everybody."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import delivery, exports, kinds, log, owed, postings, streams

        kinds.register()
        post_migrate.connect(log.ensure_installation_log, sender=self)
        owed.periodic(postings.index_new)
        owed.performer(exports.SLICE, aside=True)(exports.go_on)
        owed.periodic(exports.expire_due)
        exports.maker(exports.Kind.BUNDLE)(exports.make_bundle)
        owed.performer(streams.TEST, outward=True)(delivery.send_test)
        owed.performer(streams.AGAIN, outward=True)(delivery.send_dead_letters)
