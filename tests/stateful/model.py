"""What ought to happen, in a few lines: the whole of governance as far as the walk of ``machine`` goes.

One tool that writes and one that reads, at most one rule in force, everybody's right to answer the same. Pure: the walk
tells it what was done, and asks it what must be answered.
"""

from dataclasses import dataclass, field

LADDER = ["active", "supervised", "read_only", "suspended"]
SUPERVISION = "supervision"
MOST_OPEN = 20


@dataclass
class Approval:
    """A call that waits, or waited, for people: what it lifts, and until which step of the ladder it counts."""

    id: str
    agent: int
    path: str
    lifts: frozenset[str]
    epoch: int
    status: str = "pending"
    used: bool = False


@dataclass
class Agent:
    """An agent's standing, how often that changed, and what it was granted for writing."""

    standing: str = "active"
    steps: int = 0
    use: bool = True
    write: bool = True


@dataclass
class Expected:
    """A decision with its code; ``approval`` where an existing one must be named again."""

    decision: str
    code: str
    approval: Approval | None = None


@dataclass
class Model:
    """A workspace with its agents, the rule in force, its people, and everything that was asked."""

    agents: list[Agent] = field(default_factory=lambda: [Agent(), Agent()])
    standing: str = "active"
    steps: int = 0
    rule: str = "none"
    left: set[str] = field(default_factory=set)
    approvals: list[Approval] = field(default_factory=list)

    def put_in_force(self, rule: str) -> None:
        """Another rule. One that asks is another one when it names other people."""
        self.rule = f"{rule} without {sorted(self.left)}" if rule.startswith("ask") and self.left else rule

    def strictest(self, agent: int) -> str:
        """What holds for an agent."""
        return max(self.agents[agent].standing, self.standing, key=LADDER.index)

    def epoch(self, agent: int) -> int:
        """Steps that concern an agent so far."""
        return self.agents[agent].steps + self.steps

    def needs(self, agent: int) -> frozenset[str]:
        """What must be lifted for the agent to write."""
        asks = {self.rule} if self.rule.startswith("ask") else set()
        return frozenset(asks | ({SUPERVISION} if self.strictest(agent) == "supervised" else set()))

    def check(self, agent: int, path: str, *, writes: bool, shown: Approval | None) -> Expected:
        """What a call must be answered."""
        standing, row = self.strictest(agent), self.agents[agent]
        if standing == "suspended" or (standing == "read_only" and writes):
            return Expected("deny", "contained")
        if not writes:
            return Expected("allow", "granted")
        if not (row.use and row.write):
            return Expected("deny", "no_permission")
        if self.rule == "deny":
            return Expected("deny", "rule")
        needs = self.needs(agent)
        if not needs:
            return Expected("allow", "granted")
        pending = Expected("pending", "rule" if self.rule.startswith("ask") else "contained")
        if shown is not None:
            why = self.why_not(agent, path, shown)
            if why == "pending":
                pending.approval = shown
                return pending
            if why:
                return Expected("deny", why)
            if needs <= shown.lifts:
                shown.used = True
                return Expected("allow", "granted")
        for each in self.approvals:  # asked again, the same call folds into what waits already
            current = each.status == "pending" and each.epoch == self.epoch(agent)
            if current and (each.agent, each.path) == (agent, path) and needs <= each.lifts:
                pending.approval = each
                return pending
        waiting = sum(each.agent == agent and each.status == "pending" for each in self.approvals)
        return pending if waiting < MOST_OPEN else Expected("deny", "too_many_pending")

    def why_not(self, agent: int, path: str, shown: Approval) -> str:
        """Why an approval that is shown lifts nothing."""
        if shown.agent != agent:
            return "approval_mismatch"
        if shown.used:
            return "approval_used"
        if shown.status == "rejected":
            return "approval_rejected"
        if shown.epoch != self.epoch(agent) or shown.status == "expired":
            return "approval_expired"
        if shown.path != path:
            return "approval_mismatch"
        return "" if shown.status == "approved" else "pending"

    def asked(self, id: str, agent: int, path: str) -> None:
        """A call waits for people from now on."""
        self.approvals.append(Approval(id, agent, path, self.needs(agent), self.epoch(agent)))

    def counts(self, approval: Approval, person: str) -> bool:
        """Whether a person's answer is taken."""
        current = approval.epoch == self.epoch(approval.agent)
        return (
            approval.status == "pending" and current and person in ("rita", "rex") and person not in self.left
        )

    def may_step(self, person: str, before: str, after: str) -> bool:
        """Whether a person may take a scope from one standing to the other: an operator only to stricter ones."""
        return person == "olga" or LADDER.index(after) >= LADDER.index(before)
