"""What all flows share: the lock, and the answer as a task that a person completes, or that lapses."""

from collections.abc import Callable
from typing import Any

from django.utils import timezone
from viewflow.workflow import STATUS, Activation, lock, nodes
from viewflow.workflow.models import Process

from workspaces.models import User

# Two answers at once must see each other. viewflow's ready-made lock does not wait: it fails, and sleeps.
WAITING_LOCK = lock.SelectForUpdateLock(nowait=False, attempts=1)


class AnswerActivation(nodes.ViewActivation):
    """An answer that a person gives, or that nobody gave in time."""

    @Activation.status.transition(source=STATUS.NEW, target=STATUS.DONE)  # type: ignore[untyped-decorator]
    def lapse(self) -> None:
        """End it unanswered: nobody becomes its owner."""
        self.task.finished = timezone.now()
        self.task.save()


class AnswerNode(nodes.View):
    """Somebody's answer. viewflow has no page for it: people answer in the portal, by the API or by a personal link.
    ``may_answer`` says whether a person's answer would count in a process now."""

    activation_class = AnswerActivation

    def __init__(self, may_answer: Callable[[User, Any], bool]) -> None:
        super().__init__(view=None)
        self.may_answer = may_answer

    def can_assign(self, user: Any, task: Any) -> bool:
        """viewflow's own rule asks model permissions; ours is who counts now."""
        if task.owner_id or not isinstance(user, User):
            return False
        return self.may_answer(user, task.process)


def is_unanswered(activation: Activation) -> bool:
    """Whether the answer before this tally lapsed."""
    return activation.task.previous.get().owner_id is None


def saved(process: Process) -> Process:
    """A process that has its key, to be linked where it starts: viewflow would save it only after that, and lose the
    link."""
    process.save()
    return process
