"""Whatever answer gets lost and is asked for again, in whatever batches: each call holds once and is charged once."""

import hashlib
import itertools
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import canonical
from billing import limits, soundness
from billing.models import Budget, Hold
from governance import checks, reports, snapshot
from governance.models import Decision
from governance.requests import Caller, CheckRequest, OutcomeReport
from tests.cast import ACTOR, Cast
from workspaces import access, agents
from workspaces.identifiers import key_digest

BORN = itertools.count()
pytestmark = pytest.mark.django_db(transaction=True)

CALL = st.integers(0, 4)
STEPS = st.one_of(
    st.tuples(st.just("ask"), CALL, st.sampled_from(["key", "call_id", "both"])),
    st.tuples(st.just("ask"), CALL, st.just("both")),
    st.tuples(st.just("end"), CALL, st.sampled_from(["succeeded", "failed", "running", "skipped"])),
    st.tuples(st.just("end"), CALL, st.just("succeeded")),
    st.tuples(st.just("expire"), CALL, st.just("")),
    st.tuples(st.just("reset"), st.just(0), st.just("")),
)


class Lossy:
    """An agent whose answers get lost, with a dollar for ever."""

    def __init__(self, cast: Cast) -> None:
        self.number = next(BORN)
        self.log_id = cast.acme.log_id
        bot = agents.create_agent(cast.acme, f"lossy-{self.number}", owner=cast.olga, actor=ACTOR)
        agents.set_agent_roles(bot, dict.fromkeys(cast.roles.values()), actor=ACTOR)
        access.grant(bot, permission="use", obj=cast.tools["files.read"], actor=ACTOR)
        self.budget: Budget = limits.set_budget(
            cast.acme, agent=bot, window="ever", limit_amount=10**9, actor=ACTOR
        ).row
        _, text = agents.create_key(bot, actor=ACTOR)
        self.caller = Caller(self.log_id, bot.pk, text[4:12], key_digest(text))
        self.decisions: dict[int, set[str]] = {}

    def ask(self, call: int, by: str) -> CheckRequest:
        """The same call again, found by its Idempotency-Key, its call_id or both."""
        arguments = {"path": f"/srv/reports/{self.number}-{call}.csv"}
        named = canonical.encode({"tool": "files.read", "arguments": arguments})
        digest = hashlib.sha256(named).digest()
        return CheckRequest(
            self.caller, "files.read", arguments, digest, call_id="" if by == "key" else f"c{call}",
            idempotency_key="" if by == "call_id" else f"k{call}{by}", body_digest=digest, estimated_nanos=10**7,
        )  # fmt: skip

    def end(self, call: int, status: str) -> OutcomeReport | None:
        """The outcome of a call; the same whenever it is said."""
        found = self.decisions.get(call)
        return OutcomeReport(self.caller, min(found), status, cost_nanos=2 * 10**7) if found else None

    def expire(self, call: int) -> None:
        """No outcome comes in time."""
        rows = Decision.objects.filter(public_id__in=self.decisions.get(call, ()))
        for row in rows:
            rows.filter(pk=row.pk).update(lease_until=row.created - timedelta(minutes=1))
        reports.close_unreported()

    def go(self, batch: list[tuple[str, int, str]]) -> None:
        """One batch; of its answers only those of checks are remembered."""
        requests: list[Any] = [self.ask(call, how) if kind == "ask" else self.end(call, how)
                               for kind, call, how in batch if kind in ("ask", "end")]  # fmt: skip
        requests = [request for request in requests if request is not None]
        for request, answer in zip(requests, checks.admit(self.log_id, requests), strict=True):
            if isinstance(request, CheckRequest) and isinstance(answer, bytes):
                body = json.loads(answer)
                if body["decision"] == "allow":
                    call = int(request.arguments["path"].rpartition("-")[2].removesuffix(".csv"))
                    self.decisions.setdefault(call, set()).add(body["id"])
        for kind, call, _ in batch:
            if kind == "expire":
                self.expire(call)
            elif kind == "reset":
                limits.reset(self.budget, actor=ACTOR, reason="Anew.")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(STEPS, min_size=1, max_size=5), min_size=1, max_size=8))
def test_nothing_is_lost_and_nothing_doubled(cast: Cast, batches: list[list[tuple[str, int, str]]]) -> None:
    snapshot.forget()
    lossy = Lossy(cast)
    for batch in batches:
        lossy.go(batch)
        lossy.go([step for step in batch if step[0] in ("ask", "end")])  # the answers were lost
    allowed = {decision for found in lossy.decisions.values() for decision in found}
    assert {hold.decision for hold in Hold.objects.filter(agent=lossy.caller.agent_id)} == allowed
    open_calls = Decision.objects.filter(agent=lossy.caller.agent_id, outcome="open").count()
    assert open_calls <= len(lossy.decisions) * 3  # one by each way in which it is named
    found = soundness.examine(cast.acme)
    assert found.sound, found.findings
