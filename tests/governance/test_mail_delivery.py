"""Mails to reviewers on their way: what they say and why, what no mail server takes, what comes back, and floods."""

import io
import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from audit import owed
from audit.models import Entry, Owed
from governance import absences, approvals, asking, bounces, letters, links, mail, undelivered
from governance.models import Approval, ApprovalLink, Mailing
from tests.approving import ask, requirement
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter, page
from tests.servers import SmtpSink
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def post(settings: Any, smtp_sink: SmtpSink) -> SmtpSink:
    """A mail server that the portal sends to."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = smtp_sink.host, smtp_sink.port
    return smtp_sink


def work() -> list[owed.Result]:
    """Do what is due, as the worker does."""
    results = []
    while rows := owed.claim(1):
        results.append(owed.perform(rows[0]))
    return results


def later() -> list[owed.Result]:
    """Do what will be due some time."""
    Owed.objects.filter(done_at=None).update(due=timezone.now(), lease_until=None)
    return work()


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def html_of(message: EmailMessage) -> str:
    body = message.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def mail_to(person: User, approval: Approval, send: Callable[[dict[str, Any]], str]) -> str:
    return send({"approval": approval.public_id, "person": person.public_id})


def undelivered_entries() -> list[str]:
    rows = Entry.objects.filter(type="governance.approval.undelivered").order_by("index")
    return list(rows.values_list("outcome", flat=True))


# What a mail says


def test_a_reminder_says_how_much_time_is_over(cast: Cast, post: SmtpSink) -> None:
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    work()
    for minutes, said in ((31, "Half the time is over"), (55, "Nine tenths of the time are over")):
        begun = timezone.now() - timedelta(minutes=minutes)
        Approval.objects.update(created=begun, expires_at=begun + timedelta(hours=1))
        mail_to(cast.rita, approval, mail.remind_reviewer)
        message = post.messages[-1]
        assert f"{said}, and your answer is missing." in text_of(message)
        assert said in html_of(message)
        assert message["Subject"] == "Countersign: report-bot still asks: mail.send"
    assert len({message["Message-ID"] for message in post.messages}) == 3


def test_who_is_asked_later_is_told_why(cast: Cast, post: SmtpSink) -> None:
    ann = employ(cast.acme, "ann@acme.test", "Ann", "approver")
    ladder = {
        **requirement(cast.rita, ann),
        "escalate": [{"after": 1200, "reviewers": [ann.pk], "groups": {}}],
    }
    approval = ask(cast.report_bot, [ladder])
    approvals.start(approval)
    ApprovalLink.objects.filter(person=ann).update(source="escalated")
    Approval.objects.update(created=timezone.now() - timedelta(minutes=20, seconds=3))
    mail_to(ann, approval, mail.mail_reviewer)
    assert "You are asked because nobody answered for 20 minutes." in text_of(post.messages[-1])


def test_a_deputy_is_told_in_whose_place(cast: Cast, post: SmtpSink) -> None:
    ann = employ(cast.acme, "ann@acme.test", "Ann", "approver")
    ask(cast.report_bot, [requirement(cast.rita)])
    now = timezone.now()
    absences.record(
        cast.acme,
        cast.rita,
        starts=now - timedelta(days=1),
        ends=now + timedelta(days=1),
        deputy=ann,
        actor=ACTOR,
    )
    work()
    assert [message["To"] for message in post.messages] == [ann.email]
    assert "You are asked in the place of Rita Review, who is away." in text_of(post.messages[0])


def test_nothing_of_an_agents_text_passes_for_ours(cast: Cast, post: SmtpSink) -> None:
    reason = (
        "fine\n\nCode: 2222\n\nOpen your personal link:\n\nhttp://127.0.0.1:8000/a/xxxxxxxxxxxxxxxxxxxxxxxx/\n"
        "see https://evil.test and www.evil.test\r\nSubject: approved\u202e </blockquote><a href='https://evil.test'>x</a>"
    )
    ask(
        cast.report_bot,
        [requirement(cast.rita)],
        tool="mail.send\r\nBcc: eve@evil.test\u202e",
        arguments={"to": "ann@customers.test", "note": "a\nCode: 3333 " + "long " * 200},
        reason=reason,
    )
    work()
    (message,) = post.messages
    assert message["To"] == cast.rita.email
    assert message["Bcc"] is None
    assert message["X-Envelope-To"] == cast.rita.email
    assert "\u202e" not in message["Subject"]
    assert "⟨U+000D⟩⟨U+000A⟩Bcc" in message["Subject"]
    text, html = text_of(message), html_of(message)
    ours = [line for line in text.split("\n") if not line.startswith(">")]
    assert len([line for line in ours if line.startswith("Code: ")]) == 1
    assert len([line for line in ours if "/a/" in line]) == 1
    assert not [line for line in ours if "evil.test" in line and "Bcc" not in line]
    assert "https[:]//evil.test" in text
    assert "www[.]evil.test" in text
    assert re.findall(r"https?://\S+", text) == [line for line in ours if "/a/" in line]
    assert re.findall(r"https?://[^\"< ]+", html) == [line for line in ours if "/a/" in line]
    assert (
        max(len(line) for line in text.split("\n") if not line.startswith("report-bot")) <= letters.WIDTH + 1
    )


# What no mail server takes


def test_a_recipient_who_is_refused_is_noted_and_not_tried_again(cast: Cast, post: SmtpSink) -> None:
    post.refused[cast.rita.email] = "550 5.1.1 No such user here"
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    assert [result.done for result in work()] == [True, True]
    assert later() == []
    ((person, why, when),) = undelivered.mail_trouble(approval)
    assert (person, why) == (cast.rita, "550 5.1.1 No such user here")
    assert when <= timezone.now()
    assert undelivered_entries() == ["refused"]
    assert [link.person for link in undelivered.waiting([cast.acme])] == [cast.rita]
    assert list(undelivered.waiting([cast.globex])) == []


def test_a_mail_server_that_is_busy_is_asked_again(cast: Cast, post: SmtpSink) -> None:
    post.refused[cast.rita.email] = "451 4.7.1 Try again later"
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    assert [result.done for result in work()] == [True, False]
    assert "451 4.7.1 Try again later" in undelivered.mail_trouble(approval)[0][1]
    assert undelivered_entries() == []
    post.refused.clear()
    assert [result.done for result in later()] == [True]
    assert undelivered.mail_trouble(approval) == []
    assert len(post.messages) == 1
    assert Mailing.objects.count() == 1


def test_a_mail_that_never_left_takes_no_earlier_link_away(cast: Cast, post: SmtpSink) -> None:
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    work()
    first = Mailing.objects.get()
    post.refused[cast.rita.email] = "451 4.7.1 Try again later"
    with pytest.raises(Exception, match="451"):
        mail_to(cast.rita, approval, mail.remind_reviewer)
    assert not links.is_replaced(first)
    issued = links.issue(
        ApprovalLink.objects.get(), now=timezone.now()
    )  # a worker that dies here has sent it, or not
    assert not links.is_replaced(first)
    assert not links.is_replaced(issued.mailing)
    post.refused.clear()
    mail_to(cast.rita, approval, mail.remind_reviewer)
    assert links.is_replaced(first)
    assert links.is_replaced(issued.mailing)


# Floods


def test_a_flood_comes_in_one_mail(cast: Cast, post: SmtpSink) -> None:
    for _ in range(9):
        approvals.start(ask(cast.report_bot, [requirement(cast.rita)]))
    approvals.start(ask(cast.support_bot, [requirement(cast.rita)]))
    work()
    assert len([each for each in post.messages if "/a/" in text_of(each)]) == mail.MOST + 1
    assert Owed.objects.filter(kind=mail.COLLECT, done_at=None).count() == 1
    assert [result.done for result in later()] == [True]
    collected = post.messages[-1]
    assert collected["Subject"] == "Countersign: 9 calls wait for you, of report-bot"
    text = text_of(collected)
    assert "/a/" not in text + html_of(collected)
    assert "/admin/governance/approval/" in text
    assert text.count("mail.send") == 9
    assert not ApprovalLink.objects.filter(mailed_at=None).exists()
    approvals.start(ask(cast.report_bot, [requirement(cast.rita)]))
    work()
    count = len(post.messages)
    later()  # too soon for another that collects; it waits for its turn, and is not lost
    assert len(post.messages) == count
    (planned,) = Owed.objects.filter(kind=mail.COLLECT, done_at=None)
    Mailing.objects.update(created=timezone.now() - mail.SPAN)
    assert owed.perform(owed.claim(1, at=planned.due)[0]).done
    assert post.messages[-1]["Subject"] == "Countersign: 10 calls wait for you, of report-bot"


def test_what_was_answered_meanwhile_is_not_collected(cast: Cast, post: SmtpSink) -> None:
    payload = {"person": cast.rita.public_id, "agent": cast.report_bot.public_id}
    assert "nothing waits" in mail.collect(payload)
    assert post.messages == []
    assert not Mailing.objects.exists()


# An owner learns that nobody can answer


def test_the_owner_learns_that_nobody_is_left(cast: Cast, post: SmtpSink) -> None:
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    payload = {"approval": approval.public_id}
    assert "not mailed" in mail.mail_unreachable(payload)
    Approval.objects.update(unreachable_since=timezone.now())
    assert "mailed" in mail.mail_unreachable(payload)
    (message,) = post.sent_to(cast.olga.email)
    assert message["Subject"] == "Countersign: nobody can answer report-bot: mail.send"
    assert "nobody is left who could answer" in text_of(message)
    assert asking.UNREACHABLE in owed.performers


# What comes back


def sent(cast: Cast, post: SmtpSink) -> str:
    """An approval whose reviewer was mailed, and the mail as it left."""
    ask(cast.report_bot, [requirement(cast.rita)])
    work()
    return post.messages[-1].as_string()


def report(
    returned: str, *, action: str = "failed", status: str = "5.1.1", form: str = "message/rfc822"
) -> str:
    """A notification as RFC 3464 has it, such as Postfix writes."""
    return f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
To: countersign@acme.test
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

I could not deliver your message.

--x
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com
X-Postfix-Queue-ID: 4F

Final-Recipient: rfc822; rita@acme.test
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 <rita@acme.test>:
    Recipient address rejected

--x
Content-Type: {form}

{returned}
--x--
"""


NAME = "Abcdefghijklmnopqrstuv42"
RETURNED = f"""Subject: Countersign: report-bot asks: mail.send
From: countersign@acme.test
To: rita@acme.test
Message-ID: <{NAME}.countersign@acme.test>
{bounces.MAIL_NAME}: {NAME}
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="y"

--y
Content-Type: text/plain

report-bot asks to use mail.send.

--y--
"""


def headers_of(mail_text: str) -> str:
    return mail_text.partition("\n\n")[0] + "\n"


def without(header: str, mail_text: str) -> str:
    return re.sub(rf"(?im)^{header}:.*\n(\s.*\n)*", "", mail_text)


SHAPES: dict[str, Callable[[str], str]] = {
    "whole message": report,
    "headers only": lambda text: report(headers_of(text), form="text/rfc822-headers"),
    "headers as others name them": lambda text: report(headers_of(text), form="message/rfc822-headers"),
    "Message-ID alone": lambda text: report(without(bounces.MAIL_NAME, text)),
    "our header alone": lambda text: report(without("Message-ID", text)),
    "status without an action": lambda text: report(text).replace("Action: failed\n", ""),
    "Windows line ends": lambda text: report(text).replace("\n", "\r\n"),
    "Exim": lambda text: (
        "From: Mailer-Daemon <Mailer-Daemon@mx.test>\nX-Failed-Recipients: rita@acme.test\n\n"
        "550 No such user\n\n------ This is a copy of the message ------\n\n" + text
    ),
    "qmail": lambda text: (
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\n\nHi. This is the qmail-send program.\n"
        "<rita@acme.test>:\n554 mailbox is gone (#5.1.1)\n\n--- Below this line is a copy of the message.\n\n"
        + text
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_bounce_is_read(shape: str) -> None:
    bounce = bounces.read(SHAPES[shape](RETURNED).encode())
    assert bounce is not None
    assert bounce.mail == NAME
    assert re.search("550|554|could not deliver", bounce.why)


NO_BOUNCES: dict[str, Callable[[str], str]] = {
    "a delay": lambda text: report(text, action="delayed", status="4.4.1"),
    "a delivery": lambda text: report(text, action="delivered", status="2.0.0"),
    "a holiday's answer": lambda text: (
        "From: rita@acme.test\nAuto-Submitted: auto-replied\nSubject: Away\n\n" + text
    ),
    "a person's answer": lambda text: (
        "From: rita@acme.test\nSubject: Re: asks\n\nWhat is this? 550\n\n> " + text
    ),
    "another's bounce": lambda text: report("From: a@b.test\nMessage-ID: <1@b.test>\n\nHello"),
    "a name that is none": lambda text: report(f"{bounces.MAIL_NAME}: {'x' * 24}\n\nHello"),
    "nothing": lambda text: "",
    "junk": lambda text: (
        "\x00\xff" * 500 + "=?utf-8?b?%%%?=" + "Content-Type: multipart/report; boundary=\n\n" * 9
    ),
    "no end of parts": lambda text: "Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 3000,
    "an odd encoding": lambda text: report(
        f"{bounces.MAIL_NAME}: =?x-nobody?q?a?=\nFrom: =?utf-8?b?=?=\n\nHello"
    ),
}


@pytest.mark.parametrize("shape", NO_BOUNCES)
def test_what_is_no_bounce_of_ours_is_ignored(shape: str) -> None:
    bounce = bounces.read(NO_BOUNCES[shape](RETURNED).encode("latin-1", "replace"))
    assert bounce is None or bounce.mail == "x" * 24


def test_a_bounce_is_noted_once_until_a_mail_gets_through(cast: Cast, post: SmtpSink) -> None:
    raw = report(sent(cast, post)).encode()
    assert "Noted for 1" in undelivered.note_bounce(raw)
    approval = Approval.objects.get()
    ((person, why, _),) = undelivered.mail_trouble(approval)
    assert (person, why) == (cast.rita, "5.1.1 550 5.1.1 <rita@acme.test>: Recipient address rejected")
    assert "Noted for 0" in undelivered.note_bounce(raw)
    assert undelivered_entries() == ["bounced"]
    unknown = report(f"{bounces.MAIL_NAME}: {'x' * 24}\n\nHello").encode()
    assert "not known here" in undelivered.note_bounce(unknown)
    assert "nothing was noted" in undelivered.note_bounce(b"junk")
    mail_to(cast.rita, approval, mail.remind_reviewer)
    assert undelivered.mail_trouble(approval) == []


def test_the_bounce_of_a_collecting_mail_is_noted_for_all_that_waits(cast: Cast, post: SmtpSink) -> None:
    for _ in range(mail.MOST + 2):
        approvals.start(ask(cast.report_bot, [requirement(cast.rita)]))
    work()
    later()
    assert f"Noted for {mail.MOST + 2} of" in undelivered.note_bounce(
        report(post.messages[-1].as_string()).encode()
    )


def test_the_command_takes_a_bounce_from_its_input(
    cast: Cast, post: SmtpSink, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = report(sent(cast, post)).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    call_command("note_bounce")
    assert "Noted for 1" in capsys.readouterr().out
    assert undelivered.mail_trouble(Approval.objects.get()) != []


def test_the_portal_shows_who_could_not_be_mailed(cast: Cast, post: SmtpSink) -> None:
    post.refused[cast.rita.email] = "550 5.1.1 No such user"
    approval = ask(cast.report_bot, [requirement(cast.rita)])
    work()
    for person in (cast.olga, cast.rita):
        desk = page(enter(person), "index")
        assert "Reviewers who could not be mailed" in desk
        assert "550 5.1.1 No such user" in desk
    assert "550 5.1.1 No such user" in page(enter(cast.olga), "governance_approval_change", approval.pk)
    assert "No such user" not in page(enter(cast.gina), "index")
