"""What a log may tell of its agents, entry by entry, and what does not fit what it told before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.conduct import Conduct

# Concluding asks which logs there are; telling the story needs no database.
START = datetime(2026, 1, 1, tzinfo=UTC)


class Story:
    """Entries as a log would hold them, told to a Conduct. Times are minutes after the start."""

    def __init__(self) -> None:
        self.conduct = Conduct()
        self.index = 0
        self.revision = 0
        self.numbers: dict[str, int] = {}
        for agent in ("agt_a", "agt_b"):
            self.stand(agent, "active")
            self.save("workspaces.agentkey", prefix=f"key_{agent}", revoked_at=None, expires_at=at(60))

    def tell(
        self, type: str, data: dict[str, Any], minute: float, agent: str = "", outcome: str = ""
    ) -> list[str]:
        body = {
            "index": self.index, "type": type, "time": at(minute).replace("+00:00", "Z"), "agent": agent,
            "outcome": outcome, "data": data,
        }  # fmt: skip
        self.index += 1
        return [finding.message for finding in self.conduct.read(body, {})]

    def save(self, kind: str, type: str = "workspaces.agent.changed", **state: Any) -> list[str]:
        self.revision += 1
        rows = [{"kind": kind, "key": 1, "state": state}]
        return self.tell(type, {"rows": rows, "revision": self.revision}, 0)

    def stand(self, agent: str, standing: str, until: str | None = None) -> None:
        state: dict[str, Any] = {"public_id": agent, "standing": standing, "observe_until": until}
        assert self.save("workspaces.agent", **state) == []

    def contain(self, scope: str, standing: str, minute: float, agent: str = "") -> list[str]:
        data = {"scope": scope, "to": standing}
        return self.tell("governance.containment.changed", data, minute, agent)

    def approve(self, approval: str, minute: float, agent: str = "agt_a", outcome: str = "approved") -> None:
        assert self.tell("governance.approval.settled", {"approval": approval}, minute, agent, outcome) == []

    def allow(self, minute: float = 1, agent: str = "agt_a", **data: Any) -> list[str]:
        number = self.numbers[agent] = self.numbers.get(agent, 0) + 1
        told = {
            "decision": f"dec_{agent}_{number}", "seq": number, "revision": self.revision, "action": "send",
            "key": f"key_{agent}",
        }  # fmt: skip
        return self.tell("governance.check.allowed", told | data, minute, agent)

    def use(self, approval: str, minute: float, agent: str = "agt_a") -> list[str]:
        return self.allow(minute, agent, lifted=["A rule"], used_approval=approval)


@pytest.fixture
def story() -> Story:
    return Story()


def at(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat(timespec="microseconds")


def test_an_approval_is_used_once(story: Story) -> None:
    story.approve("apr_1", 1)
    assert story.use("apr_1", 2) == []
    (again,) = story.use("apr_1", 3)
    assert "'apr_1', which was not approved for agt_a in the 15 minutes before, or was used" in again


def test_an_approval_is_used_within_15_minutes(story: Story) -> None:
    story.approve("apr_1", 1)
    story.approve("apr_2", 1)
    assert story.use("apr_1", 15.99) == []
    assert len(story.use("apr_2", 16)) == 1


def test_rules_that_are_lifted_by_nothing_are_named(story: Story) -> None:
    assert "lacks what" in story.allow(1, facts={"lifted": ["a" * 32]})[0]


def test_what_people_refused_or_gave_to_another_lifts_nothing(story: Story) -> None:
    story.approve("apr_1", 1, outcome="rejected")
    story.approve("apr_2", 1, agent="agt_b")
    assert len(story.use("apr_1", 2)) == 1
    assert len(story.use("apr_2", 2)) == 1


@pytest.mark.parametrize(
    ("scope", "agent", "void"),
    [
        ("agent", "agt_a", True),
        ("agent", "agt_b", False),
        ("workspace", "", True),
        ("installation", "", True),
    ],
)
def test_containment_voids_what_was_approved_before(story: Story, scope: str, agent: str, void: bool) -> None:
    story.approve("apr_1", 1)
    assert story.contain(scope, "active", 2, agent) == []
    assert bool(story.use("apr_1", 3)) == void


def test_an_expired_key_allows_nothing(story: Story) -> None:
    assert story.allow(59.99) == []
    (finding,) = story.allow(60)
    assert "key_agt_a, which had expired" in finding


def test_an_observed_agent_may_do_what_would_be_denied_until_it_ends(story: Story) -> None:
    story.stand("agt_a", "observe", until=at(30))
    assert story.allow(29.99, would="deny") == []
    assert len(story.allow(30, would="deny")) == 1


def test_an_installation_that_observes_excuses_it_too(story: Story) -> None:
    assert len(story.allow(1, would="deny")) == 1
    story.contain("installation", "observe", 2)
    assert story.allow(3, would="deny") == []


def test_reading_is_allowed_to_who_may_only_read(story: Story) -> None:
    story.stand("agt_a", "read_only")
    assert story.allow(1, action="read") == []
    assert "which is read_only" in story.allow(1)[0]
    assert "which is read_only" in story.allow(1, action="read", writes=True)[0]
    story.stand("agt_a", "supervised")
    assert story.allow(1, action="read") == []
    assert "without an approval" in story.allow(1)[0]


def test_a_contained_agent_reads_nothing_either(story: Story) -> None:
    story.stand("agt_a", "suspended")
    assert "which is suspended" in story.allow(1, action="read")[0]
    assert story.allow(1, agent="agt_b") == []
    story.stand("agt_a", "active")
    assert story.allow(1) == []


def test_an_unknown_agent_is_allowed_nothing(story: Story) -> None:
    (finding,) = story.allow(1, agent="agt_c", key="key_agt_a")
    assert finding.startswith("The log knows no agent 'agt_c'.")
