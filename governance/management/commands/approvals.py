"""manage.py approvals: what waits for people, and their answers, from the command line."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audit.actors import command_line
from governance import approvals, presentation, readings, reviewers
from governance.approvals import NotAReviewer, NotPending, ReasonNeeded, SecondFactorNeeded
from governance.models import Approval, Vote
from governance.prospects import prospects
from governance.reviewers import why_not
from workspaces import factors
from workspaces.models import User
from workspaces.people import actor_of

UNKNOWN, NOT_YOURS, SETTLED, UNCONFIRMED = 1, 3, 4, 5  # exit codes beside 0, and 2 for a misspelled command
MOST = 200
NAMED = 150  # characters of the system's user and host in an entry


class Command(BaseCommand):
    help = (
        "List the calls that wait for people, show one, approve it, or reject it, as the person of --as. Exit codes: "
        "0 done, 1 no such thing, 2 misspelled, 3 the answer would not count, 4 settled already, 5 a reason or code is "
        "missing or wrong."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        listed = acts.add_parser("list", help="What waits, the nearest deadline first.")
        listed.add_argument("--as", dest="person", metavar="EMAIL", help="What waits for this person.")
        listed.add_argument("--workspace", metavar="SLUG")
        for act, told in (("show", "One call, whole."), ("approve", "Say yes."), ("reject", "Say no.")):
            one = acts.add_parser(act, help=told)
            one.add_argument("approval", metavar="ID", help="apr_…")
            one.add_argument(
                "--as", dest="person", metavar="EMAIL", required=True, help="Who looks or answers."
            )
            if act != "show":
                one.add_argument(
                    "--reason", default="", help="The agent reads it; needed for high and critical risk."
                )
                one.add_argument(
                    "--round", type=int, default=1, help="Of the call that was looked at, as show tells it."
                )
            if act == "approve":
                one.add_argument(
                    "--code", default="", help="Of the person's second factor, for high and critical risk."
                )

    def handle(self, *args: Any, **options: Any) -> None:
        person = self.person(options["person"])
        if options["act"] == "list":
            self.list_waiting(person, options["workspace"])
            return
        approval = self.approval(options["approval"])
        assert person is not None
        if options["act"] == "show":
            self.show(approval, person)
        else:
            self.answer(approval, person, options)

    def person(self, email: str | None) -> User | None:
        """The active person of an address. Raises CommandError."""
        if email is None:
            return None
        person = User.objects.filter(email=email.lower(), is_active=True).first()
        if person is None:
            raise CommandError(f"There is no active person {email}; check the address.", returncode=UNKNOWN)
        return person

    def approval(self, name: str) -> Approval:
        """The approval of a public id. Raises CommandError."""
        rows = Approval.objects.select_related("workspace", "agent", "on_behalf_of")
        found = rows.filter(public_id=name).first()
        if found is None:
            raise CommandError(
                f"There is no approval {name}; see manage.py approvals list.", returncode=UNKNOWN
            )
        return found

    def list_waiting(self, person: User | None, workspace: str | None) -> None:
        """One line a call."""
        now = timezone.now()
        rows = (
            Approval.objects.filter(readings.waits_at(now))
            if person is None
            else reviewers.inbox(person, now)
        )
        rows = rows.filter(workspace__slug=workspace) if workspace else rows
        found = list(rows.select_related("workspace", "agent").order_by("expires_at", "pk")[: MOST + 1])
        for row in found[:MOST]:
            tool, agent = presentation.visible(row.tool), presentation.visible(row.agent.name)
            due = f"{row.expires_at:%Y-%m-%d %H:%M} UTC"
            self.stdout.write("  ".join([row.public_id, due, row.risk, row.workspace.slug, agent, tool]))
        if not found:
            self.stdout.write("Nothing waits.")
        elif len(found) > MOST:
            self.stdout.write(f"The first {MOST}; give --workspace or --as for fewer.")

    def show(self, approval: Approval, person: User) -> None:
        """The call with everything that the person may see; the reading is recorded. Raises CommandError."""
        if not readings.sees_content(person, approval):
            raise CommandError(f"{person.email} may not see what was sent.", returncode=NOT_YOURS)
        readings.read_call(approval, person)
        question, now = presentation.question(approval), timezone.now()
        comes = prospects(person, approval, now) if reviewers.may_decide(person, approval, now) else None
        edited = f", edited by a reviewer: answer with --round {approval.round}" if approval.round > 1 else ""
        lines = [
            ("Status", readings.status_of(approval, now)),
            ("Round", f"{approval.round}{edited}"),
            ("Workspace", question.workspace),
            ("Agent", question.agent),
            ("Tool", f"{question.tool} ({question.action}, {question.risk} risk)"),
            *(("Resource", each) for each in question.resources),
            ("Deadline", f"{question.deadline:%Y-%m-%d %H:%M %Z}"),
            *(("Asked", each.ask or each.rule) for each in question.asked),
            ("Arguments", "erased" if question.arguments is None else question.arguments),
            *((("Agent says", f"{question.reason} (nobody has checked it)"),) if question.reason else ()),
            ("If approved", comes.approve if comes else why_not(person, approval, now)),
            *((("If rejected", comes.reject),) if comes else ()),
        ]
        for name, text in lines:
            self.stdout.write(f"{name}: {text}")

    def answer(self, approval: Approval, person: User, options: dict[str, Any]) -> None:
        """Give the person's answer. Raises CommandError with the reason and its exit code."""
        approve, code = options["act"] == "approve", options.get("code", "")
        try:
            factor = factors.check_code(person, code, purpose="command") if code else ""
            if code and not factor:
                raise CommandError(factors.WRONG, returncode=UNCONFIRMED)
            after = approvals.decide(
                approval,
                person=person,
                approve=approve,
                comment=options["reason"],
                known_by=Vote.KnownBy.COMMAND,
                actor=f"{command_line()[:NAMED]} as {actor_of(person)}",
                second_factor=factor,
                seen=options["round"],
            )
        except NotPending as refused:
            edited = refused.code == "approval_edited"
            hint = " See show, then give the --round that it tells." if edited else ""
            raise CommandError(f"{refused}{hint}", returncode=SETTLED) from refused
        except NotAReviewer as refused:
            why = why_not(person, approval, timezone.now()) or str(refused)
            raise CommandError(why, returncode=NOT_YOURS) from refused
        except (ReasonNeeded, SecondFactorNeeded, factors.TooManyCodes) as refused:
            raise CommandError(str(refused), returncode=UNCONFIRMED) from refused
        said = {"approval": after.public_id, "status": after.status}
        self.stdout.write(json.dumps(said))
