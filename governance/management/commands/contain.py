"""manage.py contain: put an agent, a workspace or the installation on a step of the containment ladder."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from audit import actors
from governance import containment
from workspaces import tenancy
from workspaces.models import Agent, Standing, Workspace


class Command(BaseCommand):
    help = "Contain, or release, an agent, all agents of a workspace, a workspace, or the whole installation."
    requires_system_checks = []  # a stop waits for no page of the portal to be imported, and needs none to work

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("standing", choices=Standing.values)
        parser.add_argument("--reason", required=True, help="Why; whoever is on call will read it.")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--workspace", metavar="SLUG")
        where.add_argument("--installation", action="store_true", help="Every workspace at once.")
        who = parser.add_mutually_exclusive_group()
        who.add_argument("--agent", metavar="NAME", help="One agent of the workspace, by name or public id.")
        who.add_argument("--all-agents", action="store_true", help="Each agent of the workspace, one by one.")
        parser.add_argument("--days", type=float, help="How long an observation lasts; 14 at most.")

    def handle(self, *args: Any, **options: Any) -> None:
        actor = actors.command_line()
        until = timezone.now() + timedelta(days=options["days"]) if options["days"] is not None else None
        for scope in self.scopes(actor, options):
            try:
                step = containment.set_standing(
                    scope,
                    options["standing"],
                    reason=options["reason"],
                    actor=actor,
                    person=None,
                    until=until,
                )
            except (containment.AlreadyRevoked, containment.BadStanding) as refusal:
                raise CommandError(f"{scope}: {refusal}") from refusal
            self.report(step)

    def scopes(self, actor: str, options: dict[str, Any]) -> Iterator[containment.Scope]:
        """What the options name. Raises CommandError for what does not exist."""
        if options["installation"]:
            if options["agent"] or options["all_agents"]:
                raise CommandError("--installation contains everything; leave --agent and --all-agents out.")
            yield tenancy.install(actor=actor)
            return
        workspace = Workspace.objects.filter(slug=options["workspace"]).first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        agents = Agent.objects.filter(workspace=workspace).select_related("workspace").order_by("name")
        if options["all_agents"]:
            yield from agents.exclude(standing=Standing.REVOKED)
        elif name := options["agent"]:
            agent = agents.filter(name=name).first() or agents.filter(public_id=name).first()
            if agent is None:
                raise CommandError(f"There is no agent {name!r} in {workspace.slug}.")
            yield agent
        else:
            yield workspace

    def report(self, step: containment.Step) -> None:
        """One line: what became of it, its entry, and when it was asked for and confirmed."""
        if not step.changed:
            self.stdout.write(f"{step.row}: {step.after} already; nothing was written.")
            return
        self.stdout.write(
            f"{step.row}: {step.before} -> {step.after}, entry {step.index},"
            f" requested {step.requested_at.isoformat()}, confirmed {step.confirmed_at.isoformat()}"
        )
