"""The governance app: what may happen."""

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "governance"

    def ready(self) -> None:
        from audit import bundles, exports, owed
        from governance import (
            approvals,
            callbacks,
            campaigns,
            erasure,
            kinds,
            last_use,
            leavers,
            mail,
            packs,
            policies,
            replays,
            reports,
            retention,
            second_person,
            tidying,
        )

        kinds.register()
        second_person.register()
        bundles.contributor(policies.in_bundle)
        exports.maker(exports.Kind.PACK)(packs.make)
        owed.performer(replays.SLICE)(replays.go_on)
        owed.performer(approvals.START)(mail.start_approval)
        owed.performer(approvals.MAIL)(mail.mail_reviewer)
        owed.performer(callbacks.CALLBACK, aside=True)(callbacks.deliver)
        owed.performer(erasure.SLICE, aside=True)(erasure.go_on)
        owed.performer(erasure.MAILS, aside=True)(erasure.shred_mails)
        owed.periodic(erasure.resume_held)
        owed.periodic(approvals.expire_due)
        owed.periodic(approvals.cancel_void)
        owed.periodic(reports.close_unreported)
        owed.periodic(tidying.tidy)
        owed.periodic(retention.prune_due)
        owed.periodic(last_use.note_uses)
        owed.periodic(leavers.supervise_ownerless)
        owed.performer(campaigns.MAIL)(campaigns.mail_owner)
        owed.periodic(campaigns.lapse_due)
