"""Recorded conversations through the decision path, as they were and with loops planted in them.
``python -m bench.loop_replaying FOLDER``: migrates the database that the environment names, and prints what it counted
as one line of JSON. FOLDER has tau-bench's airline conversations (sierra-research/tau-bench, MIT)."""

import hashlib
import json
import random
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from audit import log  # noqa: E402
from gate import bodies, callers  # noqa: E402
from governance import checks  # noqa: E402
from governance.models import AgentState  # noqa: E402
from governance.requests import Caller  # noqa: E402
from workspaces import agents, catalog, people, tenancy  # noqa: E402
from workspaces.declarations import parse_declaration  # noqa: E402

ACTOR = "cli:bench@localhost"
CONVERSATIONS = "tau_airline_gpt4o_trial0_messages.json"
SCHEMAS = "tau_tool_schemas_and_policy.json"
READS = ("get_", "search_", "list_", "calculate", "think")
AT_ONCE = 10  # conversations that one agent has at the same time
REPEATED = 8  # how often a planted call is made
BETWEEN = 3  # other calls between two planted ones, at most


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a conversation, and what came back."""

    tool: str
    arguments: dict[str, Any]
    result: str
    session: str


def read(folder: Path) -> list[list[Step]]:
    """The calls of each conversation, in order."""
    found = []
    for conversation in json.loads((folder / CONVERSATIONS).read_text()):
        results = [message for message in conversation["traj"] if message["role"] == "tool"]
        calls = [call for message in conversation["traj"] for call in message.get("tool_calls") or ()]
        by_id = {message["tool_call_id"]: message["content"] for message in results}
        found.append([
            Step(call["function"]["name"], json.loads(call["function"]["arguments"]), by_id.get(call["id"], ""),
                 f"task-{conversation['task_id']}")
            for call in calls
        ])  # fmt: skip
    return found


def seed(folder: Path, names: list[str]) -> dict[str, Caller]:
    """A workspace with the airline's tools, and an agent by each name that may use them all."""
    call_command("migrate", verbosity=0)
    tenancy.install(actor=ACTOR)
    place = tenancy.create_workspace("airline", name="Airline", timezone="UTC", actor=ACTOR)
    keys = {}
    with log.write(log.installation_log_id(), place.log_id):
        owner = people.create_person("owner@bench.test", name="Owner", actor=ACTOR).row
        people.set_roles(place, owner, roles={"owner"}, actor=ACTOR)
        bundle = []
        for tool in json.loads((folder / SCHEMAS).read_text())["airline"]:
            name = tool["function"]["name"]
            action = "read" if name.startswith(READS) else "write"
            declaration = parse_declaration({"name": name, "action": action})
            bundle.append(("use", catalog.set_tool(place, declaration=declaration, actor=ACTOR).row))
        role = catalog.set_role(place, name="airline", bundle=bundle, actor=ACTOR).row
        for name in names:
            agent = agents.create_agent(place, name, owner=owner, actor=ACTOR)
            agents.set_agent_roles(agent, {role: None}, actor=ACTOR)
            keys[name] = agents.create_key(agent, actor=ACTOR)[1]
    known = {name: callers.find(f"Bearer {key}".encode()) for name, key in keys.items()}
    return {name: caller for name, caller in known.items() if isinstance(caller, Caller)}


def ask(caller: Caller, step: Step, *, reports: bool) -> str:
    """What a call is answered; what came back is reported where the agent does that."""
    body = {"tool": step.tool, "arguments": step.arguments, "session": step.session}
    (answer,) = checks.admit(caller.log_id, [bodies.parse_check(json.dumps(body).encode(), caller, "")])
    told = json.loads(answer) if isinstance(answer, bytes) else {"code": answer.code, "decision": ""}
    if reports and told["decision"] == "allow":
        failed = step.result.startswith("Error")
        outcome = {"status": "failed", "error": step.result[:200]} if failed else {
            "status": "succeeded", "result": hashlib.sha256(step.result.encode()).hexdigest()}  # fmt: skip
        report = bodies.parse_outcome(json.dumps(outcome).encode(), caller, told["id"])
        checks.admit(caller.log_id, [report])
    return str(told["code"])


def stopped_wrongly(caller: Caller, order: Iterator[Step], *, reports: bool) -> tuple[int, Counter[str]]:
    """In how many conversations a call was stopped as a loop, and what calls were answered."""
    stopped, answered = set(), Counter[str]()
    for step in order:
        code = ask(caller, step, reports=reports)
        answered[code] += 1
        if code == "loop_detected":
            stopped.add(step.session)
    return len(stopped), answered


def in_turn(conversations: list[list[Step]]) -> Iterator[Step]:
    return (step for conversation in conversations for step in conversation)


def at_once(conversations: list[list[Step]]) -> Iterator[Step]:
    """So many conversations side by side, a call of each in turn."""
    for first in range(0, len(conversations), AT_ONCE):
        side = conversations[first : first + AT_ONCE]
        for place in range(max(map(len, side))):
            yield from (conversation[place] for conversation in side if place < len(conversation))


def with_request_id(step: Step, number: int) -> Step:
    return Step(step.tool, {"request_id": str(uuid.uuid4()), **step.arguments}, step.result, step.session)


def with_other_order(step: Step, number: int) -> Step:
    members = list(step.arguments.items())
    turned = members[number % max(1, len(members)) :] + members[: number % max(1, len(members))]
    return Step(step.tool, dict(turned), step.result, step.session)


def with_space(step: Step, number: int) -> Step:
    spaced = {
        name: f"{' ' * number}{value.upper() if number % 2 else value}\n" if isinstance(value, str) else value
        for name, value in step.arguments.items()
    }
    return Step(step.tool, spaced, step.result, step.session)


DRESSED: dict[str, Callable[[Step, int], Step]] = {
    "plain": lambda step, number: step,
    "another session each": lambda step, number: Step(
        step.tool, step.arguments, step.result, f"run-{number}"
    ),
    "keys in another order": with_other_order,
    "a random request id": with_request_id,
    "case and white space": with_space,
    "other calls between": lambda step, number: step,
    "two calls in turn": lambda step, number: step,
}


def planted(steps: list[Step], kind: str, dice: random.Random) -> Iterator[tuple[Step, bool]]:
    """A conversation up to one of its calls, and that call again and again; with each, whether it is of the loop. One
    with arguments: the id of a request alone may be what a call is about."""
    place = dice.choice([number for number, step in enumerate(steps) if step.arguments])
    step = steps[place]
    yield from (
        (one, False) for one in steps[:place] if (one.tool, one.arguments) != (step.tool, step.arguments)
    )
    other = Step("get_user_details", {"user_id": "nobody"}, "Error: user not found", step.session)
    for number in range(REPEATED):
        yield DRESSED[kind](step, number), True
        if kind == "two calls in turn":
            yield other, False
        elif kind == "other calls between":
            for _ in range(dice.randint(1, BETWEEN)):
                asked = str(dice.random())
                yield Step("think", {"thought": asked}, asked, step.session), False


def stopped_at(caller: Caller, calls: Iterator[tuple[Step, bool]], *, reports: bool) -> int | None:
    """By which of the planted calls the loop was stopped, from 1; None where it never was."""
    made = 0
    for step, looping in calls:
        made += looping
        if ask(caller, step, reports=reports) == "loop_detected":
            return made
    return None


def main(folder: Path) -> None:
    conversations = [steps for steps in read(folder) if steps]
    runs = {"in turn": in_turn, f"{AT_ONCE} at once": at_once}
    callers_by_name = seed(folder, [f"{name}-{reports}".replace(" ", "-") for name in [*runs, "planted"]
                                    for reports in (True, False)])  # fmt: skip
    told: dict[str, Any] = {"conversations": len(conversations), "runs": [], "planted": []}
    for reports in (True, False):
        for name, order in runs.items():
            caller = callers_by_name[f"{name}-{reports}".replace(" ", "-")]
            stopped, answered = stopped_wrongly(caller, order(conversations), reports=reports)
            told["runs"].append({"name": name, "reports": reports, "stopped": stopped, "answered": answered})
        caller, dice = callers_by_name[f"planted-{reports}"], random.Random(1)
        for kind in DRESSED:
            found: Counter[str] = Counter()
            for steps in conversations:
                AgentState.objects.filter(agent_id=caller.agent_id).update(recent=[])
                found[str(stopped_at(caller, planted(steps, kind, dice), reports=reports))] += 1
            told["planted"].append({"kind": kind, "reports": reports, "stopped_at": found})
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
