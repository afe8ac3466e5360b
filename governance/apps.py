"""The governance app: what may happen."""

from django.apps import AppConfig


class GovernanceConfig(AppConfig):
    name = "governance"

    def ready(self) -> None:
        from audit import bundles, exports, owed
        from billing import warnings
        from governance import (
            access_requests,
            announcements,
            approvals,
            asking,
            callbacks,
            campaigns,
            enactments,
            erasure,
            kinds,
            last_use,
            leavers,
            mail,
            packs,
            policies,
            policy_changes,
            proposal_mail,
            proposals,
            replays,
            reports,
            retention,
            second_person,
            sweeps,
            tidying,
            warning_mail,
        )

        kinds.register()
        announcements.register()
        second_person.register()
        bundles.contributor(policies.in_bundle)
        exports.maker(exports.Kind.PACK)(packs.make)
        owed.performer(replays.SLICE)(replays.go_on)
        owed.performer(approvals.START)(mail.start_approval)
        owed.performer(asking.MAIL)(mail.mail_reviewer)
        owed.performer(mail.COLLECT)(mail.collect)
        owed.performer(callbacks.CALLBACK, outward=True)(callbacks.deliver)
        owed.performer(callbacks.WARNING, outward=True)(callbacks.deliver_warning)
        owed.performer(warnings.WARNED)(warning_mail.tell)
        owed.performer(warning_mail.MAIL)(warning_mail.mail_person)
        owed.performer(erasure.SLICE, aside=True)(erasure.go_on)
        owed.performer(erasure.MAILS, aside=True)(erasure.shred_mails)
        owed.periodic(erasure.resume_held)
        owed.performer(asking.REMIND)(mail.remind_reviewer)
        owed.performer(asking.UNREACHABLE)(mail.mail_unreachable)
        owed.performer(approvals.TIDY)(approvals.tidy)
        owed.performer(asking.RECHECK)(sweeps.recheck)
        owed.periodic(sweeps.expire_due)
        owed.periodic(sweeps.step_due)
        owed.periodic(sweeps.cancel_void)
        owed.periodic(reports.close_unreported)
        owed.periodic(tidying.tidy)
        owed.periodic(retention.prune_due)
        owed.periodic(last_use.note_uses)
        owed.periodic(leavers.supervise_ownerless)
        owed.performer(campaigns.MAIL)(campaigns.mail_owner)
        owed.periodic(campaigns.lapse_due)
        owed.performer(proposals.START)(access_requests.start_proposal)
        owed.performer(enactments.MAIL)(proposal_mail.mail_person)
        owed.performer(enactments.RULES)(enactments.add_rules)
        owed.periodic(policy_changes.go_on)
        owed.periodic(sweeps.expire_proposals)
