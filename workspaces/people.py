"""People: who they are, what they are in a workspace, reviewer groups, and one-time links to sign in."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError

from audit import log
from workspaces.access import grants, scoping, tokens
from workspaces.access.roles import permissions_for
from workspaces.changes import Applied, Change, OtherWorkspace, check_name
from workspaces.models import Membership, ReviewerGroup, ReviewerGroupMember, SigninLink, User, Workspace

LINK_LIFETIME = timedelta(hours=1)
PERSON = "person:"  # how an actor begins who is one


class LinkRefused(Exception):
    """A sign-in link that is unknown, used, too old, or of a person who is no longer active."""


def actor_of(person: AbstractBaseUser) -> str:
    """How entries name a person who acts. Raises TypeError for who is not signed in."""
    if not isinstance(person, User):
        raise TypeError("Only a person who signed in can be named as an actor.")
    return PERSON + person.public_id


def person_behind(actor: str) -> User | None:
    """The active person whom an actor names, None for the command line and the system; read anew each time."""
    if not actor.startswith(PERSON):
        return None
    return User.objects.filter(public_id=actor.removeprefix(PERSON), is_active=True).first()


def create_person(email: str, *, name: str = "", actor: str) -> Applied[User]:
    """The person of this address, created without a password unless already here.

    People belong to the installation: one whom another workspace knows keeps the name they have. Raises
    ValidationError for what is no address.
    """
    with log.write(log.installation_log_id()) as entries:
        known = User.objects.filter(email=email.lower()).first()
        if known is not None:
            return Applied(known, Change.UNCHANGED)
        person = User(email=email.lower(), name=name)
        person.set_unusable_password()
        person.full_clean()
        person.save()
        entries.record(
            "workspaces.person.created", actor=actor, saved=[person], data={"person": person.public_id}
        )
    return Applied(person, Change.CREATED)


def rename(person: User, *, name: str, actor: str) -> Applied[User]:
    """Give a person another display name. Raises ValidationError."""
    with log.write(log.installation_log_id()) as entries:
        person.refresh_from_db()
        if person.name == name:
            return Applied(person, Change.UNCHANGED)
        person.name = name
        person.full_clean()
        save_person(entries, person, actor=actor)
    return Applied(person, Change.CHANGED)


def set_password(person: User, *, password: str, actor: str) -> None:
    """Set a password, which the caller has validated. The entry commits to its hash, salted."""
    with log.write(log.installation_log_id()) as entries:
        person.refresh_from_db()
        person.set_password(password)
        save_person(entries, person, actor=actor)


def deactivate(person: User, *, actor: str) -> Applied[User]:
    """Close the portal to a person at once: sessions and sign-in links end for good, and a socket within half a
    second. What they are in each workspace is kept, and gives nothing. Who leaves for good: `governance.leavers`."""
    return set_active(person, False, actor=actor)


def reactivate(person: User, *, actor: str) -> Applied[User]:
    """Open the portal to a person again, as what they were. They sign in anew: nothing that was ended returns."""
    return set_active(person, True, actor=actor)


def set_active(person: User, active: bool, *, actor: str) -> Applied[User]:
    """Also an entry of every workspace that the person belongs to, whose revision it bumps."""
    installation = log.installation_log_id()
    memberships = Membership.objects.filter(person=person).select_related("workspace").order_by("pk")
    logs = {membership.workspace.log_id for membership in memberships}
    with log.write(installation, *logs) as entries:
        person.refresh_from_db()
        if person.is_active == active:
            return Applied(person, Change.UNCHANGED)
        person.is_active = active
        if not active:
            person.session_epoch += 1
            SigninLink.objects.filter(user=person, used_at=None).delete()
            tokens.revoke_tokens(person, actor=actor)
        save_person(entries, person, actor=actor)
        for log_id in sorted(logs):
            entries.record(
                "workspaces.member.changed",
                actor=actor,
                saved=[row for row in memberships if row.workspace.log_id == log_id],
                data={"person": person.public_id, "active": active},
                log_id=log_id,
            )
    return Applied(person, Change.CHANGED)


def set_operator(person: User, is_operator: bool, *, actor: str) -> Applied[User]:
    """Make a person an operator of the installation, or no more. Operators contain the whole installation and see
    its page; they see into no workspace by that."""
    with log.write(log.installation_log_id()) as entries:
        person.refresh_from_db()
        if person.is_superuser == is_operator:
            return Applied(person, Change.UNCHANGED)
        person.is_superuser = is_operator
        save_person(entries, person, actor=actor)
    return Applied(person, Change.CHANGED)


def save_person(entries: log.Writer, person: User, *, actor: str) -> None:
    """The changed row and its entry in the installation's log."""
    person.save()
    entries.record(
        "workspaces.person.changed",
        actor=actor,
        saved=[person],
        data={"person": person.public_id},
        log_id=log.installation_log_id(),
    )


def set_roles(workspace: Workspace, person: User, *, roles: Iterable[str], actor: str) -> Change:
    """Make these the person's roles in the workspace, and the permissions that follow from them theirs.

    Without any role the person is a stranger, and leaves the reviewer groups too. Raises ValueError for an
    unknown role, and ValidationError for an owner who would no longer be one by their own doing.
    """
    wanted = {Membership.Role(role) for role in roles}
    with log.write(workspace.log_id) as entries:
        held = {
            Membership.Role(row.role): row
            for row in Membership.objects.filter(workspace=workspace, person=person)
        }
        owner = Membership.Role.OWNER
        if actor == actor_of(person) and owner in held and owner not in wanted:
            raise ValidationError("Nobody takes the owner's role from themselves; ask another owner.")
        difference = grants.set_permissions(workspace, person, permissions_for(wanted))
        difference.removed += [row for role, row in held.items() if role not in wanted]
        difference.saved += [
            Membership.objects.create(workspace=workspace, person=person, role=role)
            for role in sorted(wanted - held.keys())
        ]
        if not wanted:
            seats = ReviewerGroupMember.objects.filter(reviewer_group__workspace=workspace, person=person)
            difference.removed += seats
        if not difference:
            return Change.UNCHANGED
        entries.record(
            "workspaces.member.changed",
            actor=actor,
            saved=difference.saved,
            removed=difference.removed,
            data={"person": person.public_id, "roles": sorted(wanted)},
        )
        difference.finish()
    scoping.forget(person)
    return Change.CHANGED if held else Change.CREATED


def check_members(workspace: Workspace, people: Iterable[User]) -> set[User]:
    """The people again. Raises OtherWorkspace when one of them has no role in the workspace."""
    people = set(people)
    members = set(
        User.objects.filter(memberships__workspace=workspace, pk__in=[person.pk for person in people])
    )
    if strangers := people - members:
        ids = ", ".join(sorted(person.public_id for person in strangers))
        raise OtherWorkspace(f"{ids} have no role in {workspace.slug}; give them one first.")
    return people


def set_reviewer_group(
    workspace: Workspace, *, name: str, people: Iterable[User], actor: str
) -> Applied[ReviewerGroup]:
    """Make these the people of a reviewer group, creating it when it is new. Raises OtherWorkspace and
    ValidationError."""
    with log.write(workspace.log_id) as entries:
        wanted = check_members(workspace, people)
        group = ReviewerGroup.objects.filter(workspace=workspace, name=name).first()
        change = Change.CHANGED if group else Change.CREATED
        difference = grants.Difference()
        if group is None:
            group = ReviewerGroup(workspace=workspace, name=check_name(name, what="A reviewer group"))
            group.full_clean()
            group.save()
            difference.saved.append(group)
        seats = list(group.members.select_related("person"))
        difference.removed += [seat for seat in seats if seat.person not in wanted]
        new = sorted(wanted - {seat.person for seat in seats}, key=lambda person: person.pk)
        difference.saved += [
            ReviewerGroupMember.objects.create(reviewer_group=group, person=person) for person in new
        ]
        if not difference:
            return Applied(group, Change.UNCHANGED)
        entries.record(
            "workspaces.reviewers.changed",
            actor=actor,
            saved=difference.saved,
            removed=difference.removed,
            data={"group": name},
        )
        difference.finish()
    return Applied(group, change)


def remove_reviewer_group(group: ReviewerGroup, *, actor: str) -> None:
    """Remove a reviewer group and its seats. Change rules that name it first: they would find nobody."""
    with log.write(group.workspace.log_id) as entries:
        removed = [*group.members.all(), group]
        entries.record(
            "workspaces.reviewers.changed", actor=actor, removed=removed, data={"group": group.name}
        )
        group.delete()


def signin_link(person: User, *, actor: str, expires_in: timedelta = LINK_LIFETIME) -> str:
    """A token for an address that signs this person in once: 256 random bits, of which the hash is kept."""
    token = secrets.token_urlsafe(32)
    with log.write(log.installation_log_id()) as entries:
        SigninLink.objects.create(user=person, digest=link_digest(token), expires_at=entries.now + expires_in)
        entries.append("workspaces.link.created", actor=actor, data={"person": person.public_id})
    return token


def redeem_signin_link(token: str) -> User:
    """The person whom this link lets sign in; the link is used up. Raises LinkRefused."""
    with log.write(log.installation_log_id()) as entries:
        links = SigninLink.objects.filter(digest=link_digest(token), user__is_active=True)
        link = links.filter(used_at=None, expires_at__gt=entries.now).select_related("user").first()
        if link is None:
            raise LinkRefused("This link was used, is too old, or never was; ask for a new one.")
        link.used_at = entries.now
        link.save(update_fields=["used_at"])
    return link.user


def note_sign_in(person: User, *, known_by: str, second_factor: str = "") -> None:
    """The entry of a person who signs in, by a ``link``, a ``password`` or a provider (``sso``), and by which second
    factor, if any."""
    data = {"person": person.public_id, "known_by": known_by}
    if second_factor:
        data["second_factor"] = second_factor
    with log.write(log.installation_log_id()) as entries:
        entries.append("workspaces.person.signed_in", actor=actor_of(person), data=data)


def link_digest(token: str) -> bytes:
    """SHA-256 of a link's token: random enough to need no salt."""
    return hashlib.sha256(token.encode()).digest()
