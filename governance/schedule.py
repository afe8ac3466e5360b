"""The plan of an approval: when its reviewers are reminded, and when further people are asked. Pure.

A plan is a list of steps in the order of their times, as JSON: ``{"at": time, "do": "remind"}``, or
``{"at": time, "do": "escalate", "requirement": index, "rung": index}``.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

Step: TypeAlias = dict[str, Any]

REMIND, ESCALATE = "remind", "escalate"
REMINDERS = (0.5, 0.9)  # shares of the window


def plan(created: datetime, expires_at: datetime, requirements: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps between two times: reminders at shares of the window, and each rung of each requirement's ladder, so
    many seconds after ``created``. Who is asked at the same time as others are reminded is asked first."""
    window = expires_at - created
    steps: list[tuple[datetime, Step]] = [
        (created + timedelta(seconds=rung["after"]), {"do": ESCALATE, "requirement": index, "rung": number})
        for index, requirement in enumerate(requirements)
        for number, rung in enumerate(requirement.get("escalate", ()))
    ]
    steps += [(created + window * share, {"do": REMIND}) for share in REMINDERS]
    steps.sort(key=lambda step: step[0])
    return [{"at": at.isoformat(), **step} for at, step in steps if at < expires_at]


def ahead(steps: Iterable[Step], now: datetime) -> list[Step]:
    """The steps that are left when people are asked at this time: reminders from before are over with."""
    return [step for step in steps if step["do"] == ESCALATE or time_of(step) > now]


def due(steps: Sequence[Step], now: datetime) -> Step | None:
    """The first step, if its time has come."""
    return steps[0] if steps and time_of(steps[0]) <= now else None


def after(steps: Sequence[Step], now: datetime) -> list[Step]:
    """What is left once the first step was taken. Of reminders that are due together one is enough."""
    reminded = steps[0]["do"] == REMIND
    return [step for step in steps[1:] if not (reminded and step["do"] == REMIND and time_of(step) <= now)]


def next_at(steps: Sequence[Step]) -> datetime | None:
    """When the first step is due."""
    return time_of(steps[0]) if steps else None


def time_of(step: Step) -> datetime:
    """When a step is due."""
    return datetime.fromisoformat(step["at"])
