"""Two workspaces with one of everything each: acme, where every text and every number is a canary, and globex next
door, whose people are the visitors.

In acme two developers own one agent each; what either agent sent carries a word of its own.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import uuid4

from allauth.mfa.models import Authenticator
from django.db import connection, models
from django.utils import timezone

from audit import exports, log, streams
from audit.log import newest
from audit.models import Entry, Erasure, Export, Log, SavedView, Stream
from audit.publishing import publish
from billing import bills, limits
from billing.models import BillCheck, Hold
from gate import bodies, callers
from governance import (
    absences,
    approvals,
    campaigns,
    checks,
    erasure,
    links,
    policies,
    policy_changes,
    replays,
    standing,
)
from governance.models import (
    Absence,
    AccessReview,
    Approval,
    ApprovalLink,
    Decision,
    DecisionRecord,
    PolicyVersion,
    Proposal,
    Replay,
    StandingApproval,
)
from governance.requests import Caller
from tests.billing.charges import charge
from tests.cast import declare, employ
from tests.factors import enroll
from workspaces import access, agents, catalog, factors, holds, people, tenancy
from workspaces.access import tokens
from workspaces.declarations import Action
from workspaces.identifiers import public_id
from workspaces.models import (
    Agent,
    AgentKey,
    ApiToken,
    Installation,
    LegalHold,
    Membership,
    Tool,
    User,
    Workspace,
)

ACTOR = "system"
CANARY = "canary4711"
NUMBERS = re.compile(r"(?<![0-9a-zA-Z.:_+%-])4711\d{5}(?![0-9a-zA-Z%])")
THEIRS, AFTER = 471_100_000, 5_000_000
EVERY_ROLE = list(Membership.Role.values)
Kind = type[models.Model]


@dataclass
class Side:
    """A workspace, its people and agents, and one row of each kind. ``rows`` is how other modules find them."""

    workspace: Workspace
    everyone: User  # has every role
    developers: list[User]
    fleet: list[Agent]
    keys: list[str]
    tokens: dict[str, str] = field(default_factory=dict)
    rows: dict[Kind, models.Model] = field(default_factory=dict)

    @property
    def ids_of(self) -> dict[str, str]:
        """The public ids by which agents may try to reach what the first of them did."""
        kinds: dict[str, Kind] = {
            "agent": Agent,
            "approval": Approval,
            "decision": Decision,
            "request": Proposal,
        }
        return {name: str(self.rows[kind].public_id) for name, kind in kinds.items()}  # type: ignore[attr-defined]

    def size(self) -> int:
        """How many entries the workspace's log has: who does something there makes it grow."""
        return newest(self.workspace.log_id)


@dataclass
class Wall:
    """Both sides, and who stands outside of acme: a stranger and an administrator of the installation."""

    acme: Side
    globex: Side
    sam: User
    root: User
    ids: frozenset[str] = frozenset()

    def leaks(self, text: str) -> list[str]:
        """What of acme stands in a text: canary words, public ids, primary keys."""
        found = [CANARY] if CANARY in text else []
        found += [each for each in self.ids if each in text]
        return found + NUMBERS.findall(text)


def number_rows_from(first: int) -> None:
    """Let the next row of every table have this primary key, so that a key on a page tells whose it is."""
    tables = [
        model
        for model in connection.introspection.installed_models(connection.introspection.table_names())
        if isinstance(model._meta.pk, models.AutoField) and model._meta.managed
    ]
    with connection.cursor() as cursor:
        for model in tables:
            table, column = model._meta.db_table, model._meta.pk.column
            if connection.vendor == "sqlite":
                cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table])
                cursor.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, first])
            else:
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, %s), %s)", [table, column, first])


def ask(side: Side, key: str, tool: str, **more: Any) -> dict[str, Any]:
    """The gate's answer to a check under this key, in this thread's transaction."""
    caller = callers.find(f"Bearer {key}".encode())
    assert isinstance(caller, Caller)
    raw = json.dumps({"tool": tool, **more}).encode()
    (answer,) = checks.admit(side.workspace.log_id, [bodies.parse_check(raw, caller, "")])
    assert isinstance(answer, bytes), answer
    told: dict[str, Any] = json.loads(answer)
    return told


def found(slug: str, word: str) -> Side:
    """A workspace with its people and its fleet; ``word`` stands in every text."""
    workspace = tenancy.create_workspace(slug, name=f"{slug} {word}", timezone="UTC", actor=ACTOR)
    everyone = employ(workspace, f"all-{word}@{slug}.test", f"All {word}", *EVERY_ROLE)
    developers = [
        employ(workspace, f"{name}-{word}@{slug}.test", f"{name} {word}", "developer")
        for name in ("dana", "dirk")
    ]
    fleet = [
        agents.create_agent(
            workspace, f"{word}-{name}", owner=owner, purpose=f"{word} of {name}", labels=[word], actor=ACTOR
        )
        for name, owner in zip(("alpha", "beta"), developers, strict=True)
    ]
    keys = [agents.create_key(agent, actor=ACTOR)[1] for agent in fleet]
    return Side(workspace, everyone, developers, fleet, keys)


def furnish(side: Side, word: str) -> None:
    """Tools, resources, roles, grants, lists, groups, budgets and a policy that asks for a person."""
    place = side.workspace
    action = Action.WRITE
    tool = catalog.set_tool(place, declaration=declare(f"{word}.write", action, "file://{path}"), actor=ACTOR)
    send = catalog.set_tool(place, declaration=declare(f"{word}.send", action, "file://{path}"), actor=ACTOR)
    resource = catalog.set_resource(
        place, name=f"{word}-files", pattern=f"file:///{word}/*", labels=[word], actor=ACTOR
    ).row
    role = catalog.set_role(
        place, name=f"{word}-role", bundle=[("use", tool.row), ("write", resource)], actor=ACTOR
    ).row
    for agent in side.fleet:
        agents.set_agent_roles(agent, {role: None}, actor=ACTOR)
        for each in (tool.row, send.row):
            access.grant(agent, permission="use", obj=each, actor=ACTOR)
    group = people.set_reviewer_group(place, name=f"{word}-group", people=[side.everyone], actor=ACTOR).row
    named = catalog.set_list(place, name=f"{word}_list", members=[word], actor=ACTOR).row
    budget = limits.set_budget(
        place, agent=side.fleet[0], window="day", limit_amount=10**9, warn_at=[80], actor=ACTOR
    ).row
    rules = [
        {
            "name": f"{word} asks",
            "tools": [f"{word}.send"],
            "effect": "require_approval",
            "approval": {"reviewers": [f"group:{word}-group"], "expires_in": "1h"},
            "message": word,
        }
    ]
    policies.publish(policies.draft(place, rules, actor=ACTOR, note=word), actor=ACTOR, note=word)
    draft = policies.draft(place, [*rules, {**rules[0], "name": f"{word} again"}], actor=ACTOR, note=word)
    for row in (tool.row, resource, role, group, named, budget, draft):
        side.rows[type(row)] = row


def content(word: str, number: int) -> str:
    """The word in what the agent of that number sent; not the side's own, so that it can be told apart."""
    return f"sent-by-{number}-{'k' if word == CANARY else 'x'}7391"


def work(side: Side, word: str) -> None:
    """Each agent is allowed a call, is denied one, and waits for a person with one."""
    for number, key in enumerate(side.keys):
        secret = content(word, number)
        path = {"path": f"/{word}/{secret}"}
        more = {"reason": f"{word} {secret}", "session": f"{word}-run"}
        allowed = ask(side, key, f"{word}.write", arguments=path, **more)
        assert allowed["decision"] == "allow", allowed
        ask(side, key, f"{word}.write", arguments={"path": f"/elsewhere/{secret}"}, **more)
        pending = ask(side, key, f"{word}.send", arguments=path, **more)
        approval = Approval.objects.select_related("workspace", "agent").get(
            public_id=pending["approval"]["id"]
        )
        approvals.start(approval)
        if number == 0:
            entry = Entry.objects.get(log_id=side.workspace.log_id, index=approval.entry_index)
            side.rows |= {
                Approval: approval,
                Entry: entry,
                DecisionRecord: DecisionRecord.objects.get(pk=entry.pk),
                Decision: Decision.objects.get(public_id=allowed["id"]),
                StandingApproval: given_ahead(side, approval, word),
            }


def given_ahead(side: Side, approval: Approval, word: str) -> StandingApproval:
    """A standing approval that looks as if it came from this approval, which goes on waiting."""
    with log.write(side.workspace.log_id) as entries:
        row = StandingApproval(
            workspace=side.workspace,
            agent=approval.agent,
            tool=approval.tool,
            resources=[f"file:///{word}/*"],
            bounds={f"/{word}": {"is": word}},
            lifts=approval.lifts,
            policy=approval.policy,
            grants={"tool": [], "resources": []},
            epoch=approval.epoch,
            max_uses=3,
            expires_at=entries.now + timedelta(days=1),
            given_by=side.everyone,
            approval=approval,
            created=entries.now,
        )
        standing.record_given(row, reason=word, second_factor="", actor=ACTOR, entries=entries)
    return row


def stand(side: Side) -> None:
    """The rows by which pages and routes name people, agents, keys and links."""
    link = ApprovalLink.objects.filter(approval_id=side.rows[Approval].pk, person=side.everyone).get()
    side.tokens["approval-link"] = links.issue(link, now=link.approval.created).token
    side.tokens["sign_in"] = people.signin_link(side.everyone, actor=ACTOR)
    enroll(side.everyone)
    side.rows |= {
        Authenticator: factors.of(side.everyone)[0],
        Workspace: side.workspace,
        Hold: charge(
            side.fleet[0], 5, at=timezone.now(), tool=side.fleet[0].name, session=side.fleet[0].name
        ),
        BillCheck: bills.check_bill(
            side.workspace, f"date,model,cost\n2026-11-01,{side.fleet[0].name},1\n".encode(), actor=ACTOR
        ),
        User: side.developers[0],
        Agent: side.fleet[0],
        AgentKey: side.fleet[0].keys.get(),
        Membership: Membership.objects.filter(person=side.developers[0], workspace=side.workspace).get(),
        Installation: Installation.objects.get(),
        Log: side.workspace.log,
        SavedView: SavedView.objects.create(
            person=side.everyone, log=side.workspace.log, name=side.fleet[0].name, query="type=x"
        ),
        Absence: absences.record(
            side.workspace,
            side.developers[0],
            starts=timezone.now(),
            ends=timezone.now() + timedelta(days=10),
            deputy=side.everyone,
            note=side.fleet[0].name,
            actor=ACTOR,
        ),
        AccessReview: campaigns.start(
            side.workspace,
            title=side.fleet[0].name,
            due=timezone.now() + timedelta(days=10),
            undecided="keep",
            person=side.everyone,
        ),
        Erasure: erasure.start(
            side.workspace, text=side.fleet[0].name, basis="words", reason="words", actor="system"
        ),
        LegalHold: holds.place(side.workspace, reason=side.fleet[0].name, person=side.everyone),
        Export: exports.start(
            side.workspace.log_id, kind="jsonl", person=side.everyone, actor=people.actor_of(side.everyone)
        ),
        Stream: streams.create(
            side.workspace.log_id,
            name=side.fleet[0].name,
            kind="webhook",
            url=f"https://{side.fleet[0].name}.example.com/",
            actor=people.actor_of(side.everyone),
        )[0],
        Proposal: policy_changes.propose_tool(
            side.workspace,
            replace(side.rows[Tool].declaration(), labels=frozenset({"looser"})),  # type: ignore[attr-defined]
            person=side.developers[0],
            note=side.fleet[0].name,
        ),
        Replay: replays.start(side.rows[PolicyVersion], person=side.everyone),  # type: ignore[arg-type]
        ApiToken: tokens.create_token(
            side.everyone, name=side.fleet[0].name, scope="read", actor=people.actor_of(side.everyone)
        )[0],
    }


def public_ids(side: Side) -> Iterator[str]:
    """Every name by which acme's things are known outside the database."""
    yield str(side.workspace.log.uuid)
    yield from (key[4:12] for key in side.keys)
    yield from (person.public_id for person in (side.everyone, *side.developers))
    yield from (agent.public_id for agent in side.fleet)
    for row in side.rows.values():
        if not isinstance(row, Installation) and (name := getattr(row, "public_id", "")):
            yield name
    yield from PolicyVersion.objects.filter(workspace=side.workspace).values_list("digest", flat=True)


def build() -> Wall:
    """Everything, in one go: globex first, so that the canary numbers are acme's alone."""
    tenancy.install(actor=ACTOR)
    globex = raise_side("globex", "local")
    sam = people.create_person("sam@stranger.test", name="Sam Stranger", actor=ACTOR).row
    root = people.set_operator(
        people.create_person("root@installation.test", name="Root", actor=ACTOR).row, True, actor=ACTOR
    ).row
    number_rows_from(THEIRS)
    acme = raise_side(CANARY, CANARY)
    number_rows_from(AFTER)
    return Wall(acme, globex, sam, root, frozenset(public_ids(acme)))


def raise_side(slug: str, word: str) -> Side:
    """One workspace with one of everything."""
    side = found(slug, word)
    furnish(side, word)
    work(side, word)
    stand(side)
    publish(side.workspace.log)
    return side


def grow(wall: Wall) -> None:
    """One more of everything in acme, and nothing else."""
    side = wall.acme
    word = f"{CANARY}more"
    more = found_more(side, word)
    furnish(more, word)
    work(more, word)


def found_more(side: Side, word: str) -> Side:
    """More people and agents in a workspace that is there."""
    place = side.workspace
    person = employ(place, f"{word}@acme.test", word, *EVERY_ROLE)
    fleet = [agents.create_agent(place, f"{word}-{each}", owner=person, actor=ACTOR) for each in range(2)]
    keys = [agents.create_key(agent, actor=ACTOR)[1] for agent in fleet]
    return Side(place, person, [person, person], fleet, keys)


@cache
def ghost(name: str) -> str:
    """A name of the same form that nothing has."""
    if name.isdecimal():
        return str(8_822_000_000 + int(name) % 1000)
    if re.fullmatch(r"[a-z]+_[0-9A-Za-z]{22,}", name):
        return public_id(name.partition("_")[0])
    if re.fullmatch(r"[0-9a-f-]{36}", name):
        return str(uuid4())
    return re.sub(CANARY, "nobody4822", name) if CANARY in name else f"no-{name}"
