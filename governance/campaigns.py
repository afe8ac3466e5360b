"""Access reviews: owners say of each grant, role and key that their agents hold whether it is kept or revoked.

What is asked about is what there was at the start, row by row. A grant that was taken away and given again since is
another row: its item is gone, and the new one is not part of the review. Renewing keeps the row, and so the question.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from audit import log, owed
from governance.models import AccessReview, ReviewItem
from workspaces import access, agents
from workspaces.access.grants import Target
from workspaces.models import (
    Agent,
    AgentKey,
    AgentRole,
    Membership,
    ResourceGrant,
    Standing,
    ToolGrant,
    User,
    Workspace,
)
from workspaces.people import actor_of

START = "publish_policy"  # owners and compliance officers, and nobody else, hold it
MAIL = "governance.review.mail"
REMIND = timedelta(days=3)  # before it is due
LONGEST = timedelta(days=365)
LAPSE = 10  # items settled in one write: some 4 ms each, while decisions wait
LONGEST_ROUND = 0.5  # seconds
Kind, Outcome, Undecided = ReviewItem.Kind, ReviewItem.Outcome, AccessReview.Undecided
GRANTS: dict[str, type[ToolGrant] | type[ResourceGrant]] = {
    Kind.TOOL: ToolGrant,
    Kind.RESOURCE: ResourceGrant,
}


class NotYours(Exception):
    """The answer is the owner's, or the signature somebody else's."""

    code, status = "not_yours", 403


class Settled(Exception):
    """The item or the review is settled, or not ready for this."""

    code, status = "review_settled", 409


def start(
    workspace: Workspace,
    *,
    title: str,
    due: datetime,
    undecided: str,
    person: User,
    chosen: Iterable[Agent] | None = None,
) -> AccessReview:
    """Begin a review of all agents, or of those chosen, and owe each owner a mail now and one three days before it
    is due. Raises NotYours, and ValidationError also when the agents hold nothing."""
    with log.write(workspace.log_id) as entries:
        access.forget(person)
        if not access.may(person, START, workspace):
            raise NotYours("Only an owner of the workspace or a compliance officer starts an access review.")
        if not entries.now < due <= entries.now + LONGEST:
            raise ValidationError({"due": "Choose a day within the next year."})
        review = AccessReview(
            workspace=workspace, title=title.strip(), started_by=person, created=entries.now, due=due,
            undecided=undecided,
        )  # fmt: skip
        review.full_clean()
        review.save()
        reviewed = Agent.objects.filter(workspace=workspace).exclude(standing=Standing.REVOKED)
        if chosen is not None:
            reviewed = reviewed.filter(pk__in=[agent.pk for agent in chosen])
        found = sorted(held(review, reviewed, entries.now), key=lambda item: item.agent.name)
        items = ReviewItem.objects.bulk_create(found, batch_size=500)
        if not items:
            raise ValidationError("These agents hold nothing that could be reviewed.")
        entries.append(
            "governance.review.started",
            actor=actor_of(person),
            data={
                "review": review.public_id,
                "items": len(items),
                "due": log.stamp(due),
                "undecided": undecided,
            },
            detail={"title": review.title},
        )
        asked = User.objects.filter(agents__in={item.agent_id for item in items}, is_active=True).distinct()
        mails = [{"review": review.public_id, "person": owner.public_id} for owner in asked]
        for at in sorted({entries.now, max(entries.now, due - REMIND)}):
            owed.owe(MAIL, mails, due=at)
    return review


def held(review: AccessReview, reviewed: QuerySet[Agent], now: datetime) -> Iterator[ReviewItem]:
    """An item for each own grant, role and live key of these agents. What a role bundles is reviewed with the role."""
    by_group = {agent.group_id: agent for agent in reviewed}
    by_key = {agent.pk: agent for agent in by_group.values()}
    for kind, model in GRANTS.items():
        rows: Any = model._default_manager.filter(group_id__in=by_group)
        for row in rows.select_related("permission", "content_object").order_by("pk"):
            yield ReviewItem(
                review=review, agent=by_group[row.group_id], kind=kind, row=row.pk,
                permission=row.permission.codename, name=row.content_object.name,
            )  # fmt: skip
    for given in AgentRole.objects.filter(agent__in=reviewed).select_related("role").order_by("pk"):
        yield ReviewItem(
            review=review, agent=by_key[given.agent_id], kind=Kind.ROLE, row=given.pk, name=given.role.name
        )
    live = Q(expires_at=None) | Q(expires_at__gt=now)
    for key in AgentKey.objects.filter(live, agent__in=reviewed, revoked_at=None).order_by("pk"):
        yield ReviewItem(review=review, agent=by_key[key.agent_id], kind=Kind.KEY, row=key.pk, name=str(key))


def may_answer(person: User, agent: Agent, gone: Collection[int]) -> bool:
    """The agent's owner answers; where the owner is among those who are ``gone``, whoever may start reviews."""
    if agent.owner_id in gone:
        return access.may(person, START, agent.workspace)
    return agent.owner_id == person.pk and access.may(person, access.VIEW, agent.workspace)


def gone_owners(workspace: Workspace) -> set[int]:
    """Owners of agents of the workspace who are no longer active, or no longer in it."""
    here = Membership.objects.filter(workspace=workspace, person=OuterRef("pk"))
    owners = User.objects.filter(agents__workspace=workspace).filter(Q(is_active=False) | ~Exists(here))
    return set(owners.values_list("pk", flat=True))


def answer(item: ReviewItem, *, keep: bool, person: User) -> ReviewItem:
    """Keep or revoke; revoking takes it away at once. Keeping may be changed to revoking until the review is signed.
    Raises NotYours and Settled."""
    with log.write(item.review.workspace.log_id) as entries:
        row = read(item)
        access.forget(person)
        if not may_answer(person, row.agent, gone_owners(row.review.workspace)):
            raise NotYours(f"{row.agent}'s owner answers for it: {row.agent.owner}.")
        if row.review.lapsed_at is not None or row.review.due <= entries.now:
            raise Settled("The time to answer is over.")
        if row.outcome in (Outcome.REVOKED, Outcome.GONE):
            raise Settled(f"{row} is {Outcome(row.outcome).label}. Nothing was changed.")
        if keep and row.outcome == Outcome.KEPT:
            return row
        settle(entries, row, keep=keep, actor=actor_of(person), person=person)
    return row


def read(item: ReviewItem) -> ReviewItem:
    """The item as it is now, with what is asked of it."""
    related = ("review__workspace", "agent__workspace", "agent__owner")
    return ReviewItem.objects.select_related(*related).get(pk=item.pk)


def settle(entries: log.Writer, item: ReviewItem, *, keep: bool, actor: str, person: User | None) -> None:
    """Note what became of an item, after doing it, and write the entry."""
    thing = find(item)
    if thing is None:
        item.outcome = Outcome.GONE
    elif keep:
        item.outcome = Outcome.KEPT
    else:
        take_away(item, thing, actor=actor)
        item.outcome = Outcome.REVOKED
    item.answered_by, item.answered_at = person, entries.now
    item.save()
    entries.append(
        "governance.review.answered",
        actor=actor,
        agent=item.agent.public_id,
        tool=item.name if item.kind == Kind.TOOL else "",
        outcome=item.outcome,
        data={
            "review": item.review.public_id,
            "kind": item.kind,
            "row": item.row,
            "asked": "keep" if keep else "revoke",
        },
        log_id=item.review.workspace.log_id,
    )


def find(item: ReviewItem) -> Any:
    """The very row that the item is about, or None when it is gone."""
    if item.kind == Kind.ROLE:
        return AgentRole.objects.filter(pk=item.row, agent=item.agent).select_related("role").first()
    if item.kind == Kind.KEY:
        keys = AgentKey.objects.filter(pk=item.row, agent=item.agent, revoked_at=None)
        return keys.select_related("agent__workspace").first()
    rows: Any = GRANTS[item.kind]._default_manager.filter(pk=item.row, group_id=item.agent.group_id)
    return rows.select_related("permission", "content_object").first()


def take_away(item: ReviewItem, thing: Any, *, actor: str) -> None:
    """Revoke what an item is about, by the function that everybody else uses."""
    if item.kind == Kind.KEY:
        agents.revoke_key(thing, actor=actor)
    elif item.kind == Kind.ROLE:
        others = item.agent.agent_roles.exclude(pk=thing.pk).select_related("role")
        agents.set_agent_roles(item.agent, {row.role: row.expires_at for row in others}, actor=actor)
    else:
        target: Target = thing.content_object
        access.revoke(item.agent, permission=thing.permission.codename, obj=target, actor=actor)


def lapse_due() -> int:
    """Settle what nobody answered of reviews that are due, for half a second at most; how many items."""
    begun, count = monotonic(), 0
    for review in AccessReview.objects.filter(lapsed_at=None, due__lte=timezone.now()).order_by("due")[:10]:
        while review.lapsed_at is None and monotonic() - begun < LONGEST_ROUND:
            count += lapse(review)
    return count


def lapse(review: AccessReview) -> int:
    """Keep or revoke, as the review says, the next items that nobody answered; close it after the last."""
    with log.write(review.workspace.log_id) as entries:
        review.refresh_from_db()
        if review.lapsed_at is not None:
            return 0
        items = list(review.items.filter(outcome=Outcome.OPEN).order_by("pk")[:LAPSE])
        for item in items:
            keep = review.undecided == Undecided.KEEP
            settle(entries, read(item), keep=keep, actor="system", person=None)
        if len(items) < LAPSE:
            review.lapsed_at = entries.now
            review.save(update_fields=["lapsed_at"])
    return len(items)


def may_sign(person: User, review: AccessReview) -> bool:
    """Who started it, unless agents of theirs were reviewed and somebody without such could sign instead; then
    whoever may start reviews and owns none of the agents. Who answered counts as an owner, for an agent may have been
    handed over since."""
    if not access.may(person, START, review.workspace):
        return False
    items = review.items.order_by()
    owners = set(items.values_list("agent__owner_id", flat=True).distinct())
    owners |= set(items.exclude(answered_by=None).values_list("answered_by", flat=True).distinct())
    if person.pk not in owners:
        return person.pk == review.started_by_id or review.started_by_id in owners or not may_start(review)
    others = access.holders(review.workspace, START).exclude(pk__in=owners)
    return person.pk == review.started_by_id and not others.exists()


def may_start(review: AccessReview) -> bool:
    """Whether who started the review could start it still."""
    return access.holders(review.workspace, START).filter(pk=review.started_by_id).exists()


def sign(review: AccessReview, *, person: User) -> AccessReview:
    """Sign off a review in which nothing is open. Raises NotYours and Settled."""
    with log.write(review.workspace.log_id) as entries:
        review.refresh_from_db()
        access.forget(person)
        if review.signed_at is not None:
            raise Settled("This review is signed already.")
        if not may_sign(person, review):
            raise NotYours(
                "Somebody signs who started it, or who owns none of the agents that were reviewed and gave no answer."
            )
        counts = outcomes(review)
        if counts[Outcome.OPEN]:
            raise Settled(
                f"{counts[Outcome.OPEN]} items are not answered yet; wait until they are, or it is due."
            )
        review.signed_by, review.signed_at = person, entries.now
        review.lapsed_at = review.lapsed_at or entries.now
        review.save()
        undecided = review.items.filter(answered_by=None).count()
        entries.append(
            "governance.review.signed",
            actor=actor_of(person),
            data={
                "review": review.public_id,
                **{
                    outcome.value: counts[outcome]
                    for outcome in (Outcome.KEPT, Outcome.REVOKED, Outcome.GONE)
                },
                "undecided": undecided,
            },
        )
    return review


def outcomes(review: AccessReview) -> Counter[str]:
    """How many items came to what, "" for those that are open."""
    rows = review.items.order_by().values_list("outcome").annotate(Count("pk"))
    return Counter(dict(rows))


def by_owner(review: AccessReview) -> list[dict[str, Any]]:
    """For each owner their address, name, how many items there are and how many of them are settled."""
    owner = ("agent__owner__public_id", "agent__owner__name", "agent__owner__email")
    rows = (
        review.items.order_by().values(*owner).annotate(items=Count("pk"), done=Count("pk", ~Q(outcome="")))
    )
    return [
        {
            "public_id": row[owner[0]],
            "owner": row[owner[1]] or row[owner[2]],
            "items": row["items"],
            "done": row["done"],
        }
        for row in rows.order_by(*owner[1:])
    ]


def mail_owner(payload: dict[str, Any]) -> str:
    """Ask one owner, unless nothing of theirs is open any more."""
    who = f"{payload['review']} to {payload['person']}"
    review = AccessReview.objects.select_related("workspace").get(public_id=payload["review"])
    person = User.objects.get(public_id=payload["person"])
    left = review.items.filter(agent__owner=person, outcome=Outcome.OPEN).count()
    if not left or review.lapsed_at is not None or not access.may(person, access.VIEW, review.workspace):
        return f"{who}: not mailed, nothing is open"
    path = reverse("access_review", args=[review.workspace.slug, review.public_id])
    text = render_to_string(
        "mail/access_review.txt",
        {"review": review, "left": left, "address": f"{settings.PUBLIC_URL}{path}"},
    )
    subject = f"Countersign: {left} grants of your agents to review"
    headers = {"Auto-Submitted": "auto-generated"}
    EmailMessage(subject, text, to=[person.email], headers=headers).send()
    return f"{who}: mailed"
