"""What the flows of proposals share: who answers, how a process is linked, and what the tally asks."""

from typing import Any

from viewflow.workflow import Activation
from viewflow.workflow.models import Process

from governance import deciders, enactments
from governance.flows import nodes
from governance.models import Proposal
from workspaces.models import User

Status = Proposal.Status


def may_answer(person: User, process: Any) -> bool:
    """Whether the person's answer to the proposal of this process would count now."""
    return deciders.may_decide(person, process.proposal)


class Deciding:
    """Steps of a flow that ends with an answer; the flow's graph names them. Every effect is ``enactments``'."""

    def link(self, activation: Activation, proposal: Proposal) -> Process:
        """Link the process to its proposal."""
        process = nodes.saved(activation.process)
        Proposal.objects.filter(pk=proposal.pk).update(process=process)
        return process

    def is_unanswered(self, activation: Any) -> bool:
        return nodes.is_unanswered(activation)

    def is_vetoed(self, activation: Any) -> bool:
        return deciders.is_vetoed(activation.process.proposal)

    def is_agreed(self, activation: Any) -> bool:
        return not deciders.open_requirements(activation.process.proposal)

    def on_expired(self, activation: Any) -> None:
        enactments.settle(activation.process.proposal, Status.EXPIRED, actor="system")

    def on_rejected(self, activation: Any) -> None:
        enactments.settle(activation.process.proposal, Status.REJECTED, actor="system")

    def on_agreed(self, activation: Any) -> None:
        enactments.enact(activation.process.proposal)
