"""A walk at random through everything that people and agents do, each step held against the model.

Agents ask at the gate, people work through the portal's API and pages; what is set up before each walk is made by the
real functions. ``python -m tests.stateful.machine`` runs against the database that the environment names, and
``EXAMPLES=500`` makes it walk as often.
"""

import itertools
import os
import tempfile
from pathlib import Path
from typing import Any

import django

django.setup()

import hypothesis.strategies as st  # noqa: E402
import yaml  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment  # noqa: E402
from django.utils import timezone  # noqa: E402
from hypothesis import HealthCheck, Phase, settings  # noqa: E402
from hypothesis.stateful import (  # noqa: E402
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from starlette.testclient import TestClient  # noqa: E402

from audit import log  # noqa: E402
from audit.models import Entry  # noqa: E402
from gate.admission import admission  # noqa: E402
from gate.app import application  # noqa: E402
from governance import sweeps  # noqa: E402
from governance.models import Approval  # noqa: E402
from tests import schema  # noqa: E402
from tests.cast import ACTOR, REPEATING, declare, employ  # noqa: E402
from tests.stateful.model import LADDER, Model  # noqa: E402
from tests.stateful.model import Approval as ModelApproval  # noqa: E402
from workspaces import access, agents, catalog, people, tenancy  # noqa: E402
from workspaces.declarations import Action  # noqa: E402

RULES: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "deny": [{"name": "Not now", "tools": ["files.write"], "effect": "deny"}],
}
PEOPLE = {"olga": "owner", "dana": "developer", "rita": "approver", "rex": "approver", "otto": "operator"}
PATHS = ["/work/a", "/work/b"]
WALKS = itertools.count()
EXAMPLES = int(os.environ.get("EXAMPLES", "25"))

AGENT, PATH, WHICH = st.integers(0, 1), st.sampled_from(PATHS), st.integers(0, 3)
STANDING = st.sampled_from(["active"] * 6 + LADDER)
RULE = st.sampled_from(["none", "deny", *["ask once", "ask again"] * 3])


def step(weight: int, called: str, /, **values: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    """A method of the walk with what it is called with, so many times as likely as others."""
    return [st.tuples(st.just(called), st.fixed_dictionaries(values))] * weight


# One strategy for all steps: of rules, hypothesis would leave some out of most walks, and then nothing is ever used.
STEPS = st.one_of(
    *step(3, "check", agent=AGENT, path=PATH, writes=st.sampled_from([True, True, False]), shown=st.none() | WHICH),
    *step(2, "use", which=WHICH),
    *step(3, "ask_and_use", agent=AGENT, path=PATH, between=st.sampled_from(["", "", "contain", "publish"]),
          standing=STANDING, name=RULE),
    *step(3, "answer", which=WHICH, person=st.sampled_from(["rita", "rita", "rita", "rex", *PEOPLE]),
          approve=st.sampled_from([True, True, True, False])),
    *step(1, "expire", which=WHICH, swept=st.booleans()),
    *step(2, "contain", scope=st.integers(0, 2), standing=STANDING,
          person=st.sampled_from(["otto", "olga", "olga", "rita"])),
    *step(1, "grant", agent=AGENT, what=st.sampled_from(["use", "write"]),
          give=st.sampled_from([True, True, True, False])),
    *step(1, "publish", name=RULE),
    *step(1, "apply", name=RULE),
    *step(1, "leave"),
)  # fmt: skip


class Walk(RuleBasedStateMachine):
    """One workspace, two agents, five people."""

    gate: TestClient
    root: Client

    def __init__(self) -> None:
        super().__init__()
        self.model, self.number = Model(), next(WALKS)
        self.slug = f"walk-{self.number}"
        self.place = tenancy.create_workspace(self.slug, name=self.slug, timezone="UTC", actor=ACTOR)
        with log.write(log.installation_log_id(), self.place.log_id):
            self.settle()
        self.browsers = {name: browser(person) for name, person in self.people.items()}

    def settle(self) -> None:
        """People, tools, grants and agents, as the model begins."""
        self.people = {
            name: employ(self.place, f"{name}-{self.number}@walk.test", name, role)
            for name, role in PEOPLE.items()
        }
        write = catalog.set_tool(
            self.place, declaration=declare("files.write", Action.WRITE, "file://{path}"), actor=ACTOR
        ).row
        read = catalog.set_tool(self.place, declaration=declare("files.read", Action.READ), actor=ACTOR).row
        files = catalog.set_resource(self.place, name="files", pattern="file:///work/*", actor=ACTOR).row
        reading = catalog.set_role(self.place, name="reader", bundle=[("use", read)], actor=ACTOR).row
        self.targets = {"use": write.public_id, "write": files.public_id}
        self.agents, self.keys = [], []
        for number in range(2):
            agent = agents.create_agent(
                self.place, f"bot-{number}", owner=self.people["dana"], loop_limits=REPEATING, actor=ACTOR
            )
            agents.set_agent_roles(agent, {reading: None}, actor=ACTOR)
            access_to(agent, write, files)
            self.agents.append(agent)
            self.keys.append(agents.create_key(agent, actor=ACTOR)[1])

    def api(self, person: str, method: str, path: str, body: Any = None) -> Any:
        """A person's request to the API, below the workspace."""
        send = getattr(self.browsers[person], method)
        return send(f"/api/v1/workspaces/{self.slug}/{path}", body or {}, content_type="application/json")

    def policy(self, name: str) -> list[dict[str, Any]]:
        """The rules by that name: those that ask are told apart by it. Nobody who left can be named."""
        if name in RULES:
            return RULES[name]
        reviewers = [self.people[each].email for each in ("rita", "rex") if each not in self.model.left]
        asks = {"name": name, "tools": ["files.write"], "effect": "require_approval"}
        return [asks | {"approval": {"reviewers": reviewers, "expires_in": "1h"}}]

    @initialize()
    def begin(self) -> None:
        """People are asked from the start: otherwise most walks would never come to it."""
        self.publish("ask once")

    @rule(step=STEPS)
    def take(self, step: tuple[str, dict[str, Any]]) -> None:
        """One step; none where there is nothing yet that it could be about."""
        name, values = step
        if (self.model.approvals or "which" not in values) and not (name == "leave" and self.model.left):
            getattr(self, name)(**values)

    def check(self, agent: int, path: str, writes: bool, shown: int | None) -> None:
        """An agent asks, perhaps with an approval in its hand: its own or another's, for this call or another."""
        known = self.model.approvals
        self.ask(agent, path, writes, known[shown % len(known)] if known and shown is not None else None)

    def use(self, which: int) -> None:
        """An agent repeats a call with the approval that it waited for."""
        approval = self.which(which)
        self.ask(approval.agent, approval.path, True, approval)

    def ask_and_use(self, agent: int, path: str, between: str, standing: str, name: str) -> None:
        """The usual story: ask, wait for a person, ask again; perhaps something happens in between."""
        before = len(self.model.approvals)
        self.ask(agent, path, True, None)
        if len(self.model.approvals) > before:
            self.answer(len(self.model.approvals[-4:]) - 1, "rita", True)
            if between == "contain":
                self.contain(agent, standing, "olga")
            elif between == "publish":
                self.publish(name)
            self.ask(agent, path, True, self.model.approvals[-1])

    def which(self, number: int) -> ModelApproval:
        """One of the latest approvals."""
        latest = self.model.approvals[-4:]
        return latest[number % len(latest)]

    def ask(self, agent: int, path: str, writes: bool, approval: ModelApproval | None) -> None:
        """One check, and what the model says of it."""
        expected = self.model.check(agent, path, writes=writes, shown=approval)
        body: dict[str, Any] = {"tool": "files.write" if writes else "files.read"}
        body |= {"arguments": {"path": path}} if writes else {}
        body |= {"approval": approval.id} if approval else {}
        answer = self.gate.post(
            "/v1/check", json=body, headers={"authorization": f"Bearer {self.keys[agent]}"}
        )
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert (told["decision"], told["code"]) == (expected.decision, expected.code), told
        if expected.decision == "pending" and expected.approval is not None:
            assert told["approval"]["id"] == expected.approval.id
        elif expected.decision == "pending":
            self.model.asked(told["approval"]["id"], agent, path)

    def answer(self, which: int, person: str, approve: bool) -> None:
        """Somebody approves or rejects, who may or may not."""
        approval = self.which(which)
        taken = self.model.counts(approval, person)
        response = self.api(person, "post", f"approvals/{approval.id}/decide", {"approve": approve})
        assert response.status_code in ((200,) if taken else (401, 403, 404, 409)), response.content
        if taken:
            approval.status = "approved" if approve else "rejected"

    def expire(self, which: int, swept: bool) -> None:
        """The time of an approval is over; the sweep has come round, or not yet."""
        approval = self.which(which)
        if approval.status == "pending":
            Approval.objects.filter(public_id=approval.id).update(expires_at=timezone.now())
            approval.status = "expired"
        if swept:
            sweeps.expire_due()
            sweeps.cancel_void()

    def contain(self, scope: int, standing: str, person: str) -> None:
        """Somebody contains or loosens an agent or the workspace."""
        held = self.model if scope == 2 else self.model.agents[scope]
        path = "containment" if scope == 2 else f"agents/{self.agents[scope].public_id}/containment"
        allowed = person != "rita" and self.model.may_step(person, held.standing, standing)
        response = self.api(person, "post", path, {"standing": standing, "reason": "a walk"})
        assert (response.status_code == 200) == allowed, (response.status_code, response.content)
        if allowed and standing != held.standing:
            held.standing, held.steps = standing, held.steps + 1

    def grant(self, agent: int, what: str, give: bool) -> None:
        """The developer gives a grant or takes it away."""
        has = getattr(self.model.agents[agent], what)
        path = f"agents/{self.agents[agent].public_id}/grants/{what}/{self.targets[what]}"
        response = self.api("dana", "put" if give else "delete", path)
        expected = (200, 201) if give else (204,) if has else (404,)
        assert response.status_code in expected, (response.status_code, response.content)
        setattr(self.model.agents[agent], what, give)

    def publish(self, name: str) -> None:
        """The owner drafts and publishes a policy; one that is in force already is no draft to publish."""
        drafted = self.api("olga", "post", "policies", {"rules": self.policy(name), "note": name})
        assert drafted.status_code == 201, drafted.content
        published = self.api("olga", "post", f"policies/{drafted.json()['number']}/publish", {"note": name})
        assert published.status_code == 200, published.content
        self.model.put_in_force(name)

    def apply(self, name: str) -> None:
        """The workspace's file says another policy; what else there is stays."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "workspace.yaml"
            file.write_text(yaml.safe_dump({"workspace": self.slug, "policy": self.policy(name)}))
            with open(os.devnull, "w") as quiet:
                call_command("apply", str(file), stdout=quiet)
        self.model.put_in_force(name)

    def leave(self) -> None:
        """One of the two reviewers leaves for good, on the operators' page."""
        form = {"email": self.people["rex"].email, "reason": "a walk"}
        assert self.root.post("/admin/installation/leaver/", form).status_code == 302
        self.people["rex"].refresh_from_db()
        assert not self.people["rex"].is_active
        self.model.left.add("rex")

    @invariant()
    def each_approval_was_used_at_most_once(self) -> None:
        """The log has one allowed call for each approval that was used."""
        used = sum(approval.used for approval in self.model.approvals)
        rows = Approval.objects.filter(workspace=self.place).exclude(used_by="")
        assert rows.count() == used

    def teardown(self) -> None:
        """No entry is missing. That nothing was allowed behind a containment, ``verify_log`` says at the end."""
        assert Entry.objects.filter(log_id=self.place.log_id).count() == log.newest(self.place.log_id)


def access_to(agent: Any, tool: Any, resource: Any) -> None:
    """What an agent may write with, and where."""
    access.grant(agent, permission="use", obj=tool, actor=ACTOR)
    access.grant(agent, permission="write", obj=resource, actor=ACTOR)


def browser(person: Any) -> Client:
    """Somebody's session."""
    client = Client()
    client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
    return client


def main() -> None:
    """Walk, and then verify every log."""
    setup_test_environment()
    schema.begin()
    call_command("migrate", verbosity=0)
    tenancy.install(actor=ACTOR)
    root = people.create_person("root@walk.test", name="Root", actor=ACTOR).row
    Walk.root = browser(people.set_operator(root, True, actor=ACTOR).row)
    with TestClient(application, base_url="http://gate") as Walk.gate:
        run_state_machine_as_test(
            Walk,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=40,
                derandomize=True,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    admission.stop()
    print(
        f"{Approval.objects.count()} approvals were asked for, {Approval.objects.exclude(used_by='').count()} used."
    )
    assert Approval.objects.exclude(used_by="").exists(), "No walk came as far as using an approval."
    call_command("verify_log")


if __name__ == "__main__":
    main()
