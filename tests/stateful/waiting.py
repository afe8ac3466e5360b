"""What ought to become of a call that waits for people, in a few lines. Pure: the walk tells it what was done.

Two reviewers are named, a third is asked after twenty minutes, a fourth stands in for the first while that one is away;
two answers are needed. Times are minutes since the call was asked.
"""

from dataclasses import dataclass, field

NAMED, LATER, DEPUTY, ABSENT = ("ann", "bob"), "cleo", "dora", "ann"
QUORUM, WINDOW, RUNG, REMINDERS, USE = 2, 60, 20, (30, 54), 15


@dataclass
class People:
    """Who may decide now, and whether ann is away with dora in her place."""

    deciders: set[str] = field(default_factory=lambda: {*NAMED, LATER, DEPUTY})
    away: bool = False


@dataclass
class Waiting:
    """One approval. ``votes``: seat → (who, approved) of the current round."""

    public_id: str
    arguments: dict[str, str]
    veto: bool
    epoch: int
    age: float = 0.0
    status: str = "pending"
    settled: float = 0.0
    used: bool = False
    climbed: bool = False
    reminded: int = 0
    rounds: int = 1
    votes: dict[str, tuple[str, bool]] = field(default_factory=dict)
    unreachable: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        return (*NAMED, LATER) if self.climbed else NAMED

    def why_over(self, epoch: int) -> str:
        """The code of a late answer, empty while it waits."""
        if self.status == "expired" or (self.status == "pending" and self.age >= WINDOW):
            return "approval_expired"
        if self.status != "pending":
            return "approval_settled"
        return "approval_void" if self.epoch != epoch else ""

    def seat(self, person: str, people: People, *, widened: bool = False) -> str:
        """Whose seat an answer would fill, empty where it would not count."""
        if person not in people.deciders or person in {who for who, _ in self.votes.values()}:
            return ""
        asked = (*NAMED, LATER) if widened else self.asked
        if person in asked and person not in self.votes:
            return person
        stands_in = person == DEPUTY and people.away and ABSENT in people.deciders
        return ABSENT if stands_in and ABSENT in asked and ABSENT not in self.votes else ""

    def seats_left(self, people: People, *, with_absent: bool) -> int:
        """Seats that can be filled still, by those whom a later rung would ask, too."""
        found = set()
        for person in (*NAMED, LATER, DEPUTY):
            if with_absent or not (people.away and person == ABSENT):
                found.add(self.seat(person, people, widened=True))
        return len(found - {""})

    def missing(self) -> int:
        return QUORUM - sum(approved for _, approved in self.votes.values())

    def vote(self, person: str, approve: bool, people: People) -> None:
        """An answer that counts."""
        self.votes[self.seat(person, people)] = (person, approve)
        if approve and self.missing() == 0:
            self.end("approved")
        elif any(not approved for _, approved in self.votes.values()) and (
            self.veto or self.seats_left(people, with_absent=True) < self.missing()
        ):
            self.end("rejected")
        self.judge(people)

    def edit(self, person: str, arguments: dict[str, str], people: People) -> None:
        """Another call in its place: answers lapse, and the editor's is the first."""
        self.arguments, self.rounds, self.votes = arguments, self.rounds + 1, {}
        self.vote(person, True, people)

    def step(self) -> bool:
        """What the sweep does once: climb first, then remind; reminders due together are one."""
        due = [at for at in REMINDERS[self.reminded :] if at <= self.age]
        if not self.climbed and self.age >= RUNG:
            self.climbed = True
        elif due:
            self.reminded += len(due)
        else:
            return False
        return True

    def judge(self, people: People) -> None:
        """Whether those who are there can meet the quorum still."""
        if self.status == "pending":
            self.unreachable = self.seats_left(people, with_absent=False) < self.missing()

    def end(self, status: str) -> None:
        self.status, self.settled = status, self.age

    def use(self, epoch: int) -> str:
        """What the agent hears that repeats its call with the approval."""
        if self.used:
            return "approval_used"
        if self.status == "rejected":
            return "approval_rejected"
        if self.epoch != epoch or self.status in ("expired", "cancelled"):
            return "approval_expired"
        if self.status == "pending":
            return "approval_expired" if self.age >= WINDOW else "pending"
        return "approval_expired" if self.age - self.settled >= USE else "granted"
