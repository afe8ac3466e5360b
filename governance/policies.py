"""Policy versions: drafted, reviewed against the workspace, published. Their content never changes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from audit import canonical, log
from audit.models import Head
from governance import lint
from governance.models import PolicyVersion, RuleOrigin
from governance.reading import Problem
from governance.rules import Rule, RuleErrors, parse_rules
from governance.ruleset import digest_of_rule
from workspaces.access import may
from workspaces.models import (
    Agent,
    NamedList,
    Resource,
    ReviewerGroup,
    ReviewerGroupMember,
    Tool,
    User,
    Workspace,
)
from workspaces.people import PERSON

Status = PolicyVersion.Status
ROUNDS = 5  # of judging rules anew, where what they speak of changed meanwhile


class PolicyRefused(ValueError):
    """Rules that cannot be read, or that would be dead in this workspace; ``problems`` says which and why."""

    code, status = "policy_refused", 400

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = list(problems)


class NeedsSecondPerson(Exception):
    """The workspace wants a second person to publish what the first one drafted."""

    code, status = "needs_second_person", 409


class NotADraft(Exception):
    """A version that was in force before is history."""

    code, status = "not_a_draft", 409


class WorkspaceChanging(Exception):
    """What rules are checked against changed again and again while they were."""

    code, status = "workspace_changing", 409


def read(rules: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Rules in the workspace file's format as values. Raises PolicyRefused."""
    try:
        return parse_rules(rules)
    except RuleErrors as error:
        raise PolicyRefused(error.problems) from error


def draft(
    workspace: Workspace, rules: Sequence[Mapping[str, Any]], *, actor: str, note: str = ""
) -> PolicyVersion:
    """A new version of the policy from rules in the workspace file's format; nothing is in force by it.

    Where the version in force, or the newest one if it is a draft, has the same content, that one is returned
    and nothing is written. Raises PolicyRefused, WorkspaceChanging and, for a note that is too long, ValidationError.
    """
    parsed = read(rules)
    with reviewed(workspace, parsed) as entries:
        return put_down(entries, workspace, parsed, actor=actor, note=note)


def put_down(
    entries: log.Writer, workspace: Workspace, rules: Sequence[Rule], *, actor: str, note: str
) -> PolicyVersion:
    """The draft of rules that were reviewed in this write."""
    content = [rule.as_dict() for rule in rules]
    digest = digest_of(content)
    newest = PolicyVersion.objects.filter(workspace=workspace).order_by("-number").first()
    for version in (in_force(workspace), newest if newest and newest.status == Status.DRAFT else None):
        if version is not None and version.digest == digest:
            return version
    version = PolicyVersion(
        workspace=workspace,
        number=newest.number + 1 if newest else 1,
        digest=digest,
        content=content,
        note=note,
        drafted_by=actor,
    )
    version.full_clean(exclude=["content"])  # no rules are a policy too
    version.save()
    note_origins(version, rules)
    entries.record("governance.policy.drafted", actor=actor, saved=[version], data=naming(version))
    return version


def note_origins(version: PolicyVersion, rules: Sequence[Rule]) -> None:
    """Remember this version as the origin of those of its rules that no earlier one has word for word."""
    known = set(RuleOrigin.objects.filter(workspace=version.workspace).values_list("digest", flat=True))
    new = {digest_of_rule(rule) for rule in rules} - known
    RuleOrigin.objects.bulk_create(
        RuleOrigin(workspace=version.workspace, digest=digest, version=version) for digest in sorted(new)
    )


def publish(version: PolicyVersion, *, actor: str, note: str = "") -> PolicyVersion:
    """Put a draft in force and retire the version that was. One that is in force already stays so, without an
    entry.

    ``note`` replaces the draft's. Raises NeedsSecondPerson, NotADraft, WorkspaceChanging, and PolicyRefused where the
    workspace has changed so that a rule would be dead now.
    """
    with reviewed(version.workspace, read(version.content)) as entries:
        return put_in_force(entries, version, actor=actor, note=note)


def replace(
    workspace: Workspace, rules: Sequence[Mapping[str, Any]], *, actor: str, note: str = ""
) -> PolicyVersion:
    """Draft these rules and publish them at once, reviewed once. Raises what the two raise; where two people
    are wanted nobody can, and NeedsSecondPerson undoes the draft."""
    parsed = read(rules)
    with reviewed(workspace, parsed) as entries:
        version = put_down(entries, workspace, parsed, actor=actor, note=note)
        return put_in_force(entries, version, actor=actor, note=note)


@contextmanager
def reviewed(workspace: Workspace, rules: Sequence[Rule]) -> Iterator[log.Writer]:
    """A write in which the rules are good for the workspace. Judging them may take seconds and happens before the lock
    is taken; where the workspace changed meanwhile, once more and again without the lock, for whoever drafts could
    otherwise have everybody wait. Raises PolicyRefused and WorkspaceChanging."""
    known, problems = None, []
    for _ in range(ROUNDS):
        revision = Head.objects.values_list("revision", flat=True).get(log_id=workspace.log_id)
        found = catalog(workspace)
        if found != known:
            known, problems = found, lint.check(rules, found)
        with log.write(workspace.log_id) as entries:
            if entries.head(workspace.log_id).revision == revision:
                if problems:
                    raise PolicyRefused(problems)
                yield entries
                return
    raise WorkspaceChanging("The workspace was changed while the rules were checked; try again.")


def put_in_force(entries: log.Writer, version: PolicyVersion, *, actor: str, note: str) -> PolicyVersion:
    """Publish a version that was reviewed in this write."""
    version = PolicyVersion.objects.select_related("workspace").get(pk=version.pk)
    if version.status == Status.IN_FORCE:
        return version
    if version.status != Status.DRAFT:
        raise NotADraft(
            f"Version {version.number} was in force before; draft its rules again to go back to it."
        )
    if version.workspace.two_people and version.drafted_by == actor:
        raise NeedsSecondPerson(
            f"You drafted version {version.number}; in this workspace somebody else publishes it. Ask an owner "
            "or a compliance officer."
        )
    retired = in_force(version.workspace)
    if retired is not None:
        retired.status = Status.RETIRED
        retired.save(update_fields=["status"])
    version.status, version.published_by, version.published_at = Status.IN_FORCE, actor, entries.now
    version.note = note or version.note
    version.save(update_fields=["status", "published_by", "published_at", "note"])
    entries.record(
        "governance.policy.published",
        actor=actor,
        saved=[version, retired] if retired else [version],
        data=naming(version),
    )
    return version


def naming(version: PolicyVersion) -> dict[str, Any]:
    """Which version an entry is about."""
    return {"policy": version.digest, "number": version.number}


def in_force(workspace: Workspace) -> PolicyVersion | None:
    """The version that decisions are judged by; None where none was published yet."""
    return PolicyVersion.objects.filter(workspace=workspace, status=Status.IN_FORCE).first()


def compared_with(version: PolicyVersion) -> PolicyVersion | None:
    """What a version is compared with where nobody says otherwise: a draft with the version in force, any other with
    the one that was published before it."""
    if version.published_at is None:
        return in_force(version.workspace)
    others = PolicyVersion.objects.filter(workspace=version.workspace, published_at__lt=version.published_at)
    return others.order_by("-published_at").first()


def may_publish_alone(person: User, workspace: Workspace) -> bool:
    """Whether a person can put rules of their own in force, with nobody else."""
    return not workspace.two_people and may(person, "publish_policy", workspace)


def go_back(version: PolicyVersion, *, at_once: bool, actor: str, note: str = "") -> PolicyVersion:
    """Draft the rules of a version again, and publish them where ``at_once``. Raises what the two raise."""
    change = replace if at_once else draft
    return change(
        version.workspace,
        version.content,
        actor=actor,
        note=note or f"Back to version {version.number}.",
    )


def authors(version: PolicyVersion, rules: Sequence[Rule]) -> list[User | None]:
    """Who wrote each of these rules: who drafted the first version that has it word for word. None: no person."""
    digests = [digest_of_rule(rule) for rule in rules]
    origins = RuleOrigin.objects.filter(workspace=version.workspace, digest__in=digests)
    actors = dict(origins.values_list("digest", "version__drafted_by"))
    drafters = {actor.removeprefix(PERSON) for actor in actors.values() if actor.startswith(PERSON)}
    people = {PERSON + each.public_id: each for each in User.objects.filter(public_id__in=drafters)}
    return [people.get(actors.get(digest, "")) for digest in digests]


def authors_shut_out(version: PolicyVersion, rules: Sequence[Rule]) -> list[tuple[str, bool]]:
    """For each of these rules a sentence, where its author is among those whom it asks, and whether nobody but them
    could answer; ("", False) for the others."""
    found, known = [], catalog(version.workspace)
    for rule, author in zip(rules, authors(version, rules), strict=True):
        named = rule.approval.everybody if rule.approval else ()
        voters = set().union(*(lint.voters_behind(each, known)[0] for each in named))
        if rule.approval is None or author is None or author.email not in voters:
            found.append(("", False))
            continue
        alone = len(voters) - 1 < rule.approval.quorum
        sentence = f"{author} wrote this rule, so their answer does not count."
        more = " Nobody else could answer: name other reviewers, or have somebody else write it."
        found.append((sentence + more * alone, alone))
    return found


def review(version: PolicyVersion) -> list[Problem]:
    """What is wrong with a version's rules in its workspace as it is now."""
    try:
        return lint.check(read(version.content), catalog(version.workspace))
    except PolicyRefused as error:
        return error.problems


def digest_of(content: Sequence[Mapping[str, Any]]) -> str:
    """The name of a content: ``pol_`` and the SHA-256 of its canonical JSON (RFC 8785), in hex."""
    return f"pol_{hashlib.sha256(canonical.encode(list(content))).hexdigest()}"


def in_bundle(log_id: int) -> Iterator[tuple[str, bytes]]:
    """The files of a log's bundle that hold its policy: each version that ever was in force, in canonical form."""
    rows = PolicyVersion.objects.filter(workspace__log_id=log_id, published_at__isnull=False)
    for digest, content in rows.order_by("number").values_list("digest", "content"):
        yield f"policies/{digest}.json", canonical.encode(content)


def catalog(workspace: Workspace) -> lint.Catalog:
    """What the workspace has for rules to name: eight queries."""
    resources = list(Resource.objects.filter(workspace=workspace))
    members = User.objects.filter(memberships__workspace=workspace, is_active=True)
    groups: dict[str, set[str]] = defaultdict(set)
    for name in ReviewerGroup.objects.filter(workspace=workspace).values_list("name", flat=True):
        groups[name] = set()
    seats = ReviewerGroupMember.objects.filter(reviewer_group__workspace=workspace, person__is_active=True)
    for name, email in seats.values_list("reviewer_group__name", "person__email"):
        groups[name].add(email)
    return lint.Catalog(
        tools={tool.name: tool.declaration() for tool in Tool.objects.filter(workspace=workspace)},
        resources={resource.name: resource.pattern for resource in resources},
        resource_labels={resource.name: frozenset(resource.labels) for resource in resources},
        agents={agent.name: frozenset(agent.labels) for agent in Agent.objects.filter(workspace=workspace)},
        people=frozenset(members.values_list("email", flat=True)),
        groups={name: frozenset(people) for name, people in groups.items()},
        lists={row.name: tuple(row.members) for row in NamedList.objects.filter(workspace=workspace)},
    )
