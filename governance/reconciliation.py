"""Making a workspace what its file says: all of it in one transaction, one entry a change, or nothing.

Every change goes through the function that people's changes go through. What those refuse becomes a problem
at the line that asked for it, and the rest is still tried, so that one run names all problems; then
everything is undone.
"""

from dataclasses import replace
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import transaction

from audit import log
from billing import limits
from billing.price_table import set_price
from governance import key_file, policies, pruning
from governance.configuration import configuration_of, differences
from governance.manifest import AgentEntry, Manifest
from governance.manifest_file import FileRefused
from governance.manifest_run import Report, Run
from governance.models import PolicyVersion
from governance.second_person import room_given
from workspaces import agents, catalog, people, tenancy
from workspaces.access import set_grants
from workspaces.models import Agent, Membership, Resource, Role, Standing, Tool, User, Workspace


class _Undone(Exception):
    """Rolls back what a dry run did."""


def apply(
    manifest: Manifest, *, actor: str, prune: bool = False, dry_run: bool = False, keys: Path | None = None
) -> Report:
    """Make the workspace what the manifest says, creating it where it is missing; tell what changed.

    ``keys`` is the file that takes the keys of new agents. Raises FileRefused, KeyFileExists and OSError,
    having changed nothing.
    """
    run: Run | None = None
    written = False
    try:
        with transaction.atomic():
            run = begin(manifest, actor=actor, prune=prune)
            with log.write(log.installation_log_id(), run.workspace.log_id) as run.entries:
                before = {} if run.created else configuration_of(run.workspace)
                reconcile(run)
                if run.keys and keys is None and not dry_run:
                    ask_for_key_file(run)
                if run.problems:
                    raise FileRefused(run.problems.found)
                run.report.changes = differences(before, configuration_of(run.workspace))
                seal(run)
            if dry_run:
                raise _Undone
            if run.keys and keys is not None:
                key_file.write(keys, run.keys)
                written = True
    except _Undone:
        assert run is not None
        run.report.dry_run = True
    except BaseException:
        if written and keys is not None:
            key_file.remove(keys)
        raise
    return run.report


def begin(manifest: Manifest, *, actor: str, prune: bool) -> Run:
    """A run on the file's workspace, created where it is missing. Raises FileRefused for one that cannot
    be."""
    workspace = Workspace.objects.filter(slug=manifest.slug.name).first()
    created = workspace is None
    if workspace is None:
        try:
            workspace = tenancy.create_workspace(
                manifest.slug.name,
                name=manifest.name or "",
                timezone=manifest.timezone or "UTC",
                two_people=manifest.two_people or False,
                retention_days=manifest.retention_days or tenancy.USUAL_RETENTION,
                actor=actor,
            )
        except ValidationError as error:
            blame_settings(manifest, error)
            raise FileRefused(manifest.problems.found) from None
    # Switching two_people off holds from the next run on; it does not let this one through.
    two_people = workspace.two_people or bool(manifest.two_people)
    return Run(manifest, workspace, actor, prune, two_people, created)


def ask_for_key_file(run: Run) -> None:
    """New agents have keys, and nowhere to put them."""
    for name in run.keys:
        place = run.manifest.agents[name].name.place
        run.problems.add(
            place, f"The agent “{name}” is new; say with --keys FILE where its key is to be written."
        )


def seal(run: Run) -> None:
    """Where something changed, an entry that says from which file; the entries before it say what."""
    if run.created or run.changed:
        run.entries.append(
            "workspaces.configuration.applied",
            actor=run.actor,
            data={"file": run.manifest.digest, "prune": run.prune},
            log_id=run.workspace.log_id,
        )
    run.report.revision = run.entries.head(run.workspace.log_id).next_revision


def reconcile(run: Run) -> None:
    """Change what differs, then remove what is to go, and judge the policy by what came out."""
    change_settings(run)
    owned = Membership.objects.filter(workspace=run.workspace, role=Membership.Role.OWNER).exists()
    change_people(run)
    change_catalog(run)
    change_roles(run)
    change_agents(run)
    change_budgets(run)
    change_prices(run)
    pruning.remove_unnamed(run)
    if owned and not Membership.objects.filter(workspace=run.workspace, role=Membership.Role.OWNER).exists():
        run.problems.add(
            run.manifest.place_of_setting("people"),
            "Nobody would own the workspace; give somebody the role owner.",
        )
    if run.complete:  # else rules would be blamed for what is missing
        change_policy(run)


def change_settings(run: Run) -> None:
    """The workspace's own settings; those that the file leaves out are kept."""
    manifest = run.manifest
    settings: tenancy.WorkspaceSettings = {}
    if manifest.name is not None:
        settings["name"] = manifest.name
    if manifest.timezone is not None:
        settings["timezone"] = manifest.timezone
    if manifest.two_people is not None:
        settings["two_people"] = manifest.two_people
    if manifest.retention_days is not None:
        settings["retention_days"] = manifest.retention_days
    try:
        tenancy.change_workspace(run.workspace, actor=run.actor, **settings)
    except ValidationError as error:
        run.workspace.refresh_from_db()  # the rest is judged with the settings that stand
        blame_settings(manifest, error)


def blame_settings(manifest: Manifest, error: ValidationError) -> None:
    """Add what is wrong with the workspace's own settings, each where it stands."""
    for name, messages in error.message_dict.items():
        place = manifest.slug.place if name == "slug" else manifest.place_of_setting(name)
        manifest.problems.add(place, " ".join(messages))


def change_people(run: Run) -> None:
    """People with their roles, then the groups they sit in."""
    run.people = {
        person.email: person
        for person in User.objects.filter(memberships__workspace=run.workspace).distinct()
    }
    for email, entry in run.manifest.people.items():
        with run.asking(entry.email.place):
            person = people.create_person(email, name=entry.name, actor=run.actor).row
            rename(run, person, entry.name)
            people.set_roles(run.workspace, person, roles=entry.roles, actor=run.actor)
            run.people[email] = person
    for name, group in run.manifest.groups.items():
        members = [member for email in group.people if (member := run.person(email))]
        with run.asking(group.name.place):
            people.set_reviewer_group(run.workspace, name=name, people=members, actor=run.actor)


def rename(run: Run, person: User, name: str) -> None:
    """Give a person the file's name, unless another workspace knows them too: their name is not ours to
    change."""
    if not name or person.name == name:
        return
    if person.memberships.exclude(workspace=run.workspace).exists():
        run.report.notes.append(f"kept: the name of {person.email} (another workspace knows them too)")
        return
    people.rename(person, name=name, actor=run.actor)


def change_catalog(run: Run) -> None:
    """Named lists, tools and resources."""
    for name, named in run.manifest.lists.items():
        with run.asking(named.name.place):
            catalog.set_list(run.workspace, name=name, members=named.members, actor=run.actor)
    run.tools = {tool.name: tool for tool in Tool.objects.filter(workspace=run.workspace)}
    for name, tool in run.manifest.tools.items():
        known = run.tools.get(name)
        before = known.declaration() if known else None
        if run.two_people and (fields := room_given(run.workspace, tool.declaration, before)):
            run.problems.add(
                tool.name.place,
                f"Two people guard this workspace, and this gives the tool “{name}” more room, by its "
                f"{', '.join(fields)}. Keep what is declared now, and let a second person agree to the change "
                "in the portal.",
            )
            continue
        with run.asking(tool.name.place):
            run.tools[name] = catalog.set_tool(
                run.workspace, declaration=tool.declaration, actor=run.actor
            ).row
    run.resources = {resource.name: resource for resource in Resource.objects.filter(workspace=run.workspace)}
    for name, resource in run.manifest.resources.items():
        steward = run.person(resource.steward) if resource.steward else None
        with run.asking(resource.pattern.place):
            run.resources[name] = catalog.set_resource(
                run.workspace,
                name=name,
                pattern=resource.pattern.name,
                labels=resource.labels,
                steward=steward,
                actor=run.actor,
            ).row


def change_roles(run: Run) -> None:
    """Roles for agents, with what they bundle."""
    run.roles = {role.name: role for role in Role.objects.filter(workspace=run.workspace)}
    for name, entry in run.manifest.roles.items():
        bundle = [(grant.permission, target) for grant in entry.bundle if (target := run.target(grant))]
        with run.asking(entry.name.place):
            run.roles[name] = catalog.set_role(run.workspace, name=name, bundle=bundle, actor=run.actor).row


def change_agents(run: Run) -> None:
    """Agents with their roles and grants, and a key for each new one."""
    run.agents = {agent.name: agent for agent in Agent.objects.filter(workspace=run.workspace)}
    for name, entry in run.manifest.agents.items():
        agent = run.agents.get(name)
        if agent is not None and agent.standing == Standing.REVOKED:
            run.report.notes.append(
                f"note: agent {name} is revoked for good, and nothing of it was changed; give its successor "
                "another name"
            )
            continue
        with run.asking(entry.name.place):
            change_agent(run, agent, entry)


def change_agent(run: Run, agent: Agent | None, entry: AgentEntry) -> None:
    """One agent. Inside its entry of the file the file is the whole truth: what it leaves out has its
    default."""
    owner = run.person(entry.owner)
    principals = [person for email in entry.acts_for if (person := run.person(email))]
    roles = {role: run.time(end) for name, end in entry.roles
             if (role := run.role(name))}  # fmt: skip
    grants = {(grant.permission, target): run.time(grant.end) for grant in entry.grants
              if (target := run.target(grant))}  # fmt: skip
    if owner is None:
        return
    settings: agents.AgentSettings = {
        "purpose": entry.purpose,
        "labels": entry.labels,
        "risk_tier": entry.risk_tier,
        "isolated_runs": entry.isolated_runs,
        "acts_for": principals,
        "sessions_per_hour": entry.sessions_per_hour,
        "cost_center": entry.cost_center,
        "loop_limits": entry.loop_limits,
    }
    name = entry.name.name
    if agent is None:
        agent = agents.create_agent(run.workspace, name, owner=owner, actor=run.actor, **settings)
        run.agents[name] = agent
        run.report.keys += 1
        _, run.keys[name] = agents.create_key(agent, actor=run.actor)
    else:
        agents.change_agent(agent, actor=run.actor, owner=owner, **settings)
    agents.set_agent_roles(agent, roles, actor=run.actor)
    set_grants(agent, grants, actor=run.actor)


def change_budgets(run: Run) -> None:
    for entry in run.manifest.budgets:
        agent = run.agent(entry.agent) if entry.agent else None
        tool = run.tool(entry.tool) if entry.tool else None
        if (entry.agent and agent is None) or (entry.tool and tool is None):
            continue
        with run.asking(entry.place):
            limits.set_budget(
                run.workspace,
                agent=agent,
                per_session=entry.per_session,
                window=entry.window,
                tool=entry.tool.name if entry.tool else "",
                model=entry.model,
                unit=entry.unit,
                limit_amount=entry.limit_amount,
                hard=entry.hard,
                when_short=entry.when_short,
                downgrade_to=entry.downgrade_to,
                warn_at=entry.warn_at,
                actor=run.actor,
            )


def change_prices(run: Run) -> None:
    """What models cost, each from its day on, the earlier days first."""
    for entry in sorted(run.manifest.prices, key=lambda entry: (entry.starts, entry.model)):
        with run.asking(entry.place):
            set_price(
                run.workspace,
                model=entry.model,
                starts=entry.starts,
                note=entry.note,
                actor=run.actor,
                **entry.nanos,
            )


def change_policy(run: Run) -> None:
    """Draft the file's policy and, where one person may, publish it; then judge what is in force by the
    workspace as it now is, for a tool that changed may have made a rule dead."""
    rules = run.manifest.policy
    before = policies.in_force(run.workspace)
    if rules is None and before is not None:
        if run.prune:
            rules = []
        else:
            run.report.kept.append(f"kept: policy version {before.number} (not in the file)")
    if rules is not None:
        try:
            change = policies.draft if run.two_people else policies.replace
            version = change(run.workspace, rules, actor=run.actor)
        except policies.PolicyRefused as error:
            for problem in error.problems:
                index, *inside = problem.path
                place = run.manifest.place_in_policy(
                    replace(problem, path=(run.manifest.rules[int(index)], *inside))
                )
                run.problems.add(place, problem.message)
            return
        if version.status == PolicyVersion.Status.IN_FORCE:
            return
        run.report.notes.append(
            f"waiting: policy version {version.number} is a draft; nothing of it is in force until a second "
            "person publishes it in the portal"
        )
    if before is not None and run.changed:
        what = f"Version {before.number} of the policy stays in force and would be broken: "
        place = run.manifest.place_of_setting("policy" if rules is not None else "workspace")
        for problem in policies.review(before):
            run.problems.add(place, what + problem.message)
