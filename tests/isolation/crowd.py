"""Thousands of rows beside those of a side: copies of its own, put in behind the log's back.

Only for transactions that never commit: the log knows nothing of them.
"""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group
from django.db import models

from audit.models import Detail, Entry, Head
from billing.models import Budget, Hold, SpendDay
from governance.models import AccessReview, Approval, Decision, PolicyVersion, ReviewItem, Session
from tests.contracts.configuration_triggers import forget
from tests.details import content_of, sealed
from tests.isolation.world import Side
from workspaces.models import (
    Agent,
    AgentKey,
    ApiToken,
    Membership,
    NamedList,
    Resource,
    ReviewerGroup,
    Role,
    Tool,
    ToolGrant,
    WorkspacePermission,
)

CHOSEN_FROM = 1_000  # of what forms offer to choose from; nobody has more tools than that
BATCH = 500
Numbered = Callable[[int], Any]


class Crowd:
    """So many copies, numbered from ``start``."""

    def __init__(self, side: Side, count: int, start: int) -> None:
        self.side, self.count, self.start = side, count, start
        self.rows: dict[Any, Any] = side.rows

    def copy(self, row: models.Model, count: int, **changed: Numbered) -> list[Any]:
        """Copies of a row; what ``changed`` names differs with the number, counted from 0."""
        kept = {each.attname: getattr(row, each.attname) for each in row._meta.local_concrete_fields}
        kept.pop(row._meta.pk.attname)
        made = [
            type(row)(**kept | {name: value(number) for name, value in changed.items()})
            for number in range(count)
        ]
        return list(type(row)._default_manager.bulk_create(made, batch_size=BATCH))

    def named(self, prefix: str) -> Numbered:
        """A name of its own for each."""
        return lambda number: f"{prefix}{self.start + number:06}"

    def groups(self, kind: str, count: int) -> list[Group]:
        """The private groups of agents and roles."""
        return Group.objects.bulk_create(Group(name=f"{kind}-{self.start + each}") for each in range(count))

    def gather(self) -> None:
        """One more of everything, as often as asked."""
        few = min(self.count, CHOSEN_FROM)
        self.catalog(few)
        self.people(few)
        self.agents()
        forget()  # else each entry would look through all that was noted
        self.work()

    def catalog(self, few: int) -> None:
        """Tools, resources, roles, lists, groups of reviewers, versions of the policy."""
        self.copy(self.rows[Tool], few, name=self.named("tool"), public_id=self.named("tool_crowd"))
        self.copy(self.rows[Resource], few, name=self.named("files"), public_id=self.named("res_crowd"))
        groups = self.groups("role", few)
        roles = self.copy(
            self.rows[Role], few, name=self.named("role"), group_id=lambda number: groups[number].pk
        )
        given = self.side.fleet[0].agent_roles.order_by("pk")[0]
        self.copy(given, few, role_id=lambda number: roles[number].pk)
        self.copy(self.rows[NamedList], self.count, name=self.named("list"))
        self.copy(self.rows[ReviewerGroup], self.count, name=self.named("group"))
        self.copy(
            self.rows[PolicyVersion],
            self.count,
            number=lambda number: self.start + number + 10,
            status=lambda number: "retired",
        )

    def people(self, few: int) -> None:
        """People with a role, and tokens of who looks."""
        person = self.side.developers[0]
        members = self.copy(
            person,
            few,
            email=self.named("crowd@x.test"),
            name=self.named("Person "),
            public_id=self.named("usr_crowd"),
        )
        self.copy(self.rows[Membership], few, person_id=lambda number: members[number].pk)
        held = WorkspacePermission.objects.filter(user=person, content_object=self.side.workspace).first()
        assert held is not None
        self.copy(held, few, user_id=lambda number: members[number].pk)
        self.copy(
            self.rows[ApiToken], few, public_id=self.named("tok_crowd"), digest=self.named("digest"),
            token_key=self.named("cst"),
        )  # fmt: skip

    def agents(self) -> None:
        """Agents with a key, a budget and a grant each; and keys, budgets and sessions of the first."""
        groups = self.groups("agent", self.count)
        found = self.copy(
            self.rows[Agent],
            self.count,
            name=self.named("agent"),
            public_id=self.named("agt_crowd"),
            group_id=lambda number: groups[number].pk,
        )
        self.copy(
            self.rows[AgentKey], self.count, public_id=self.named("key_crowd"), prefix=self.named("c"),
            agent_id=lambda number: found[number].pk,
        )  # fmt: skip
        self.copy(self.rows[AgentKey], self.count, public_id=self.named("key_again"), prefix=self.named("d"))
        self.copy(
            self.rows[Budget], self.count, public_id=self.named("bud_crowd"),
            agent_id=lambda number: found[number].pk,
        )  # fmt: skip
        grant = ToolGrant.objects.filter(group=self.side.fleet[0].group).first()
        assert grant is not None
        self.copy(grant, self.count, group_id=lambda number: groups[number].pk)
        session = Session.objects.filter(agent=self.side.fleet[0]).first()
        assert session is not None
        self.copy(session, self.count, name=self.named("run"))
        review = self.rows[AccessReview]
        self.copy(review, self.count, public_id=self.named("rev_crowd"))
        item = ReviewItem.objects.filter(review=review).first()
        assert item is not None
        self.copy(item, self.count, agent_id=lambda number: found[number].pk)

    def work(self) -> None:
        """What the first agent did: entries with their details, allowed calls, and calls that wait."""
        entry = self.rows[Entry]
        size = Head.objects.get(log_id=entry.log_id).size
        self.copy(entry, self.count, index=lambda number: size + number, time=lambda number: entry.time)
        detail = Detail.objects.get(log_id=entry.log_id, index=entry.index)
        content = content_of(detail.log_id, detail.index)
        self.copy(
            detail,
            self.count,
            index=lambda number: size + number,
            content=lambda number: sealed(detail.log_id, size + number, content),
        )
        grown = size + self.count  # the tree's hashes are none, but as many as a tree of that size has
        frontier = bytes(32 * grown.bit_count())
        Head.objects.filter(log_id=entry.log_id).update(size=grown, frontier=frontier)
        self.copy(
            self.rows[Decision],
            self.count,
            public_id=self.named("dec_crowd"),
            entry_index=lambda number: size + number,
            outcome=lambda number: "unreported",
        )
        held = self.rows[Hold]
        self.copy(held, self.count, decision=self.named("dec_charged"))
        counted = SpendDay(workspace=held.workspace, day=held.created.date(), nanos=1, calls=1)
        for dimension in SpendDay.Dimension.values:
            agent = f"{held.agent_id}|" if dimension == SpendDay.Dimension.SESSION else ""
            if dimension not in ("", SpendDay.Dimension.AGENT, SpendDay.Dimension.OWNER):
                counted.dimension = dimension
                self.copy(counted, self.count, value=self.named(f"{agent}value"))
        self.copy(
            self.rows[Approval],
            self.count,
            public_id=self.named("apr_crowd"),
            entry_index=lambda number: size + number,
            process_id=lambda number: None,
        )
