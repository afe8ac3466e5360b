"""A gate under a role of its own answers everything, and can neither rewrite the log nor read secrets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from tests.servers import PostgresServer, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
ROLE = "countersign_gate"
DATABASE = "gate_role"
FILE = """
workspace: acme
people:
  - {email: olga@acme.test, roles: [owner]}
  - {email: rita@acme.test, roles: [approver]}
groups: {finance: [rita@acme.test]}
tools:
  - {name: files.read, action: read, resource: "file://{path}", labels: [private_data], cost_usd: "0.02"}
  - {name: billing.refund, action: spend, resource: "invoice://{invoice}"}
resources:
  - {name: reports, pattern: "file:///srv/reports/*"}
  - {name: invoices, pattern: "invoice://*"}
roles:
  clerk: {use: [files.read, billing.refund], read: [reports], spend: [invoices]}
agents:
  - {name: clerk-bot, owner: olga@acme.test, roles: [clerk], acts_for: [olga@acme.test]}
policy:
  - name: Refunds need finance
    tools: [billing.refund]
    effect: require_approval
    approval: {reviewers: ["group:finance", "rita@acme.test"]}
  - {name: Reads are counted, tools: [files.read], effect: limit, limit: {calls: 100, per: 1m}}
budgets:
  - {agent: clerk-bot, window: day, limit_usd: "5.00"}
"""
APPROVE = """
from governance import approvals
from governance.models import Approval
from workspaces.models import User
rita = User.objects.get(email="rita@acme.test")
approvals.decide(Approval.objects.get(), person=rita, approve=True, comment="It is owed.", known_by="session",
                 actor=f"person:{rita.public_id}", second_factor="totp")
"""

ASK = """
from governance import remarks
from governance.models import Approval
from workspaces.models import User
approval = Approval.objects.select_related("workspace", "agent").get(public_id="{approval}")
rita = User.objects.get(email="rita@acme.test")
remarks.ask(approval, person=rita, text="Which order is it?", actor=f"person:{{rita.public_id}}")
"""
GIVE = """
from datetime import timedelta
from django.utils import timezone
from governance import standing
from governance.models import Approval
from workspaces.models import User
approval = Approval.objects.select_related("workspace", "agent").get(public_id="{approval}")
rita = User.objects.get(email="rita@acme.test")
standing.give(approval, person=rita, until=timezone.now() + timedelta(days=1), max_uses=3, second_factor="totp",
              reason="They are paid out weekly.", actor=f"person:{{rita.public_id}}")
"""


@dataclass(frozen=True)
class Installation:
    """A database, the URLs of its two roles, and an agent's key."""

    folder: Path
    owner: str
    gate: str
    key: str

    def manage(self, *arguments: str) -> str:
        return manage(self.folder, self.owner, *arguments)


def environment(folder: Path, url: str) -> dict[str, str]:
    ours = {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "COUNTERSIGN_SECRET_KEY": "one for owner and gate " * 3,
        "COUNTERSIGN_DATA_DIR": str(folder),
    }
    return {**os.environ, **ours}


def manage(folder: Path, url: str, *arguments: str) -> str:
    """Run a management command; its output."""
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(folder, url), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installation(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Set up as docs/operations.md says: migrate, create the role, run what gate_role prints."""
    folder = tmp_path_factory.mktemp("gate-role")
    owner = postgres_server.create_database(DATABASE)
    manage(folder, owner, "migrate", "--verbosity=0")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN")
        grants = manage(folder, owner, "gate_role", ROLE).encode()
        connection.execute(grants)
        connection.execute(grants)  # again, as after an upgrade
    (folder / "acme.yaml").write_text(FILE)
    manage(folder, owner, "apply", str(folder / "acme.yaml"), "--keys", str(folder / "keys.json"))
    key = json.loads((folder / "keys.json").read_text())["clerk-bot"]
    url = owner.replace(f"//{postgres_server.user}@", f"//{ROLE}@")
    yield Installation(folder, owner, url, key)
    postgres_server.drop_database(DATABASE)
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"DROP ROLE {ROLE}")


@pytest.fixture(scope="module")
def gate(installation: Installation) -> Iterator[httpx.Client]:
    """A gate on uvicorn that connects as the role."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "config.gate:application", "--port", str(port)]
    with (installation.folder / "gate.log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(installation.folder, installation.gate),
            stdout=log,
            stderr=log,
        )
    try:
        headers = {"authorization": f"Bearer {installation.key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            wait_until(lambda: is_ready(client), what="The gate")
            yield client
    finally:
        server.terminate()
        server.wait()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def check(gate: httpx.Client, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    headers = {"idempotency-key": more.pop("key")} if "key" in more else {}
    response = gate.post("/v1/check", json={"tool": tool, "arguments": arguments, **more}, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_it_answers_every_question_of_an_agent(installation: Installation, gate: httpx.Client) -> None:
    report = {"path": "/srv/reports/q3.csv"}
    allowed = check(
        gate, "files.read", report, session="s", call_id="c", key="k", on_behalf_of="olga@acme.test"
    )
    assert (allowed["code"], allowed["budget"]["held_usd"]) == ("granted", "0.02")
    assert check(gate, "files.read", report, session="s", call_id="c")["id"] == allowed["id"]
    assert check(gate, "files.read", {"path": "/etc/passwd"})["code"] == "no_permission"
    assert check(gate, "files.read", report, dry_run=True)["decision"] == "allow"
    for status in ("running", "succeeded"):
        told = gate.post(
            f"/v1/decisions/{allowed['id']}/outcome", json={"status": status, "summary": "Read."}
        )
        assert told.json()["outcome"] == status
    assert gate.get("/v1/me").json()["budgets"][0]["spent_usd"] == "0.02"


def test_a_call_waits_is_approved_and_runs_once(installation: Installation, gate: httpx.Client) -> None:
    refund = {"invoice": "inv_7"}
    pending = check(gate, "billing.refund", refund)
    assert pending["decision"] == "pending"
    approval = pending["approval"]["id"]
    assert gate.get(f"/v1/approvals/{approval}").json()["status"] == "pending"
    installation.manage("shell", "--verbosity=0", "--command", APPROVE)
    settled = gate.get(f"/v1/approvals/{approval}?wait=10").json()
    assert (settled["status"], settled["comments"]) == ("approved", ["It is owed."])
    assert check(gate, "billing.refund", refund, approval=approval)["decision"] == "allow"
    assert check(gate, "billing.refund", refund, approval=approval)["code"] == "approval_used"
    assert "intact" in installation.manage("verify_log")


def test_it_takes_back_folds_answers_and_asks_for_access(
    installation: Installation, gate: httpx.Client
) -> None:
    refund = {"invoice": "inv_8"}
    approval = check(gate, "billing.refund", refund)["approval"]["id"]
    assert check(gate, "billing.refund", refund)["approval"]["id"] == approval
    for number in range(20):
        answer = check(gate, "billing.refund", {"invoice": f"inv_9{number}"})
    assert answer["code"] == "too_many_pending"
    installation.manage("shell", "--verbosity=0", "--command", ASK.format(approval=approval))
    told = gate.post(f"/v1/approvals/{approval}/reply", json={"text": "Order 17."}).json()
    assert told["questions"][0]["answered"]
    assert gate.post(f"/v1/approvals/{approval}/cancel", json={}).json()["status"] == "cancelled"
    check(gate, "files.read", {"path": "/etc/passwd"})
    wish = {"tool": "files.read", "reason": "The report needs it.", "hours": 2}
    asked = gate.post("/v1/access-requests", json=wish).json()
    assert asked["needs"] == [{"permission": "read", "resource": "file:///etc/passwd"}], asked
    assert gate.get(f"/v1/access-requests/{asked['id']}").json() == asked


def test_a_call_that_was_approved_in_advance_runs(installation: Installation, gate: httpx.Client) -> None:
    pending = check(gate, "billing.refund", {"invoice": "inv_adv"})["approval"]["id"]
    installation.manage("shell", "--verbosity=0", "--command", GIVE.format(approval=pending))
    allowed = check(gate, "billing.refund", {"invoice": "inv_adv"})
    assert (allowed["decision"], allowed["standing_approval"][:4]) == ("allow", "sta_")
    assert "intact" in installation.manage("verify_log")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = body",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_head",
        "UPDATE audit_detail SET content = content",
        "DELETE FROM audit_detail",
        "SELECT password FROM workspaces_user",
        "SELECT * FROM workspaces_user",
        "SELECT digest FROM workspaces_signinlink",
        "SELECT session_data FROM django_session",
        "SELECT payload FROM audit_owed",
        "SELECT digest FROM governance_mailing",
        "SELECT opened_at FROM governance_approvallink",
        "UPDATE governance_approval SET binding = ''",
        "UPDATE governance_approval SET lifts = '[]'",
        "UPDATE governance_standingapproval SET max_uses = 1000",
        "INSERT INTO governance_standingapproval (tool) VALUES ('x')",
        "UPDATE governance_proposal SET status = 'approved'",
        "SELECT body FROM audit_entry",
        "INSERT INTO governance_vote (approval_id) VALUES (1)",
        "UPDATE workspaces_agent SET standing = 'active'",
        "INSERT INTO workspaces_toolgrant (group_id) VALUES (1)",
        "UPDATE governance_policyversion SET status = 'in_force'",
        "UPDATE billing_budget SET limit_amount = 0",
        "CREATE TABLE mine (id integer)",
    ],
)
def test_it_may_not(installation: Installation, statement: str) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with psycopg.connect(installation.gate) as connection, refused:
        connection.execute(statement.encode())
