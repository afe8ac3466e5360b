"""Loops in the decision path: a call that would go on with one is stopped, and what was allowed is kept in mind.

What counts as one is ``loops``' to say. What an agent did of late is read and written with the rest of its memory,
under the head's lock, so that no number of processes or sessions makes a loop look shorter."""

from typing import TYPE_CHECKING

from billing.budgets import Cost
from governance import loops
from governance.decide import LOOP, Verdict
from governance.loops import Call, Likeness, Loop
from governance.money import price
from governance.records import Draft
from governance.requests import CheckRequest, OutcomeReport
from governance.subjects import AgentEntry

if TYPE_CHECKING:
    from governance.checks import Batch
    from governance.presented import Hearing


def call_of(agent: AgentEntry, request: CheckRequest, verdict: Verdict) -> Call:
    """An allowed call as it is compared with others: of all sessions, unless its owner says that they are apart."""
    return loops.call_of(
        request.tool,
        request.likeness or Likeness(request.digest),
        [item.resource for item in verdict.derived],
        writes=verdict.action != "read" or verdict.writes,
        apart=(request.on_behalf_of, request.session if agent.isolated_runs else ""),
    )


def find(batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict) -> Loop | None:
    """The loop that an allowed call would go on with, or None. While it is found, and asked for, it is kept in mind; a
    call that is only tried changes nothing of what is remembered."""
    memory, now, limits = batch.memory.agents[agent.id], int(batch.memory.seconds), agent.loop_limits
    call = call_of(agent, request, verdict)
    loop = loops.find_loop(limits, memory.recent, call, now=now, retries=request.retry_count)
    if loop is None and limits.velocity and memory.pace.hours >= loops.HOURS_KNOWN:
        loop = loops.too_fast(limits, memory.pace, price(batch, request).nanos or 0, now=now)
    if loop is not None and not request.dry_run:
        loops.stay_stopped(memory.recent, loop, now=now)
        memory.changed = True
    return loop


def stop(hearing: "Hearing", verdict: Verdict) -> bool:
    """Turn the verdict of an allowed call that goes round in circles into a denial, or have people asked whether it may
    go on once more; whether it is stopped. Loops are stopped under ``observe`` too, as budgets bind."""
    loop = find(hearing.batch, hearing.agent, hearing.request, verdict)
    if loop is None:
        return False
    verdict.loop = loop.as_dict()
    if hearing.agent.loop_limits.then == "ask":
        return not hearing.lifts(verdict, {LOOP: {}}, "loop_detected", loop.message, loop=verdict.loop)
    verdict.fall_short("loop_detected", loop.message, loop=verdict.loop)
    return True


def note(
    batch: "Batch", agent: AgentEntry, request: CheckRequest, verdict: Verdict, draft: Draft, cost: Cost
) -> None:
    """Keep an allowed call in mind, whose entry was appended, and what it holds."""
    assert draft.appended is not None
    memory = batch.memory.agents[agent.id]
    now = int(batch.memory.seconds)
    memory.recent = loops.note(
        memory.recent, call_of(agent, request, verdict), entry=draft.appended.index, now=now
    )
    if cost.nanos:
        memory.pace = loops.spend(memory.pace, cost.nanos, now=now)
    memory.changed = True


def note_result(batch: "Batch", agent: AgentEntry, request: OutcomeReport, entry: int) -> None:
    """Keep in mind what came of the call with this entry; ``running`` is no result yet."""
    if request.status == "running":
        return
    memory = batch.memory.agents[agent.id]
    told = {name: value.json for name, value in request.told.items()}
    result = loops.result_of(request.status, error=request.error, result=request.result, told=told)
    succeeded = request.status == "succeeded"
    if loops.note_result(memory.recent, entry=entry, result=result, succeeded=succeeded):
        memory.changed = True
