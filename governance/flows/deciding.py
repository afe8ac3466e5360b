"""What the flows of proposals share: their lock, how a process is linked, and what the tally asks."""

from typing import Any

from viewflow.workflow import Activation, lock
from viewflow.workflow.models import Process

from governance import deciders, enactments
from governance.models import Proposal

Status = Proposal.Status

# Two answers at once must see each other. viewflow's ready-made lock does not wait: it fails, and sleeps.
WAITING_LOCK = lock.SelectForUpdateLock(nowait=False, attempts=1)


class Deciding:
    """Steps of a flow that ends with an answer; the flow's graph names them. Every effect is ``enactments``'."""

    def link(self, activation: Activation, proposal: Proposal) -> Process:
        """Save the process and link it here: viewflow would save it only after this, and lose the link."""
        activation.process.save()
        Proposal.objects.filter(pk=proposal.pk).update(process=activation.process)
        process: Process = activation.process
        return process

    def is_unanswered(self, activation: Any) -> bool:
        """Whether the answer before this tally lapsed."""
        return activation.task.previous.get().owner_id is None

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
