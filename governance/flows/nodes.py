"""The answer to a proposal as a task of viewflow: a person gives it in the portal, or it lapses."""

from typing import Any

from django.utils import timezone
from viewflow.workflow import STATUS, Activation, nodes

from governance import deciders
from workspaces.models import User


class AnswerActivation(nodes.ViewActivation):
    """An answer that a person gives, or that nobody gave in time."""

    @Activation.status.transition(source=STATUS.NEW, target=STATUS.DONE)  # type: ignore[untyped-decorator]
    def lapse(self) -> None:
        """End it unanswered: nobody becomes its owner."""
        self.task.finished = timezone.now()
        self.task.save()


class AnswerNode(nodes.View):
    """Somebody's answer. viewflow has no page for it: people answer in the portal or by the API."""

    activation_class = AnswerActivation

    def __init__(self) -> None:
        super().__init__(view=None)

    def can_assign(self, user: Any, task: Any) -> bool:
        """viewflow's own rule asks model permissions; ours is who decides the proposal now."""
        if task.owner_id or not isinstance(user, User):
            return False
        return deciders.may_decide(user, task.process.proposal)
