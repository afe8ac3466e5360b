"""A reviewer answers from the mail: what the mail says, what its link shows, and what it takes to decide."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from audit import owed
from audit.details import read_detail
from audit.models import Detail, Entry, Owed
from governance import approvals, asking, containment, mail, presentation
from governance.models import Approval, ApprovalLink, Mailing, Vote
from tests.approving import ask, decide, requirement
from tests.cast import ACTOR, Cast, employ
from tests.servers import SmtpSink
from workspaces import people
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Invitation:
    """What a reviewer takes from the mail."""

    message: EmailMessage
    text: str
    html: str
    path: str
    code: str


def read(message: EmailMessage) -> Invitation:
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert rich is not None
    text, html = plain.get_content().replace("\r\n", "\n"), rich.get_content()
    address = re.search(r"^http://\S+/a/\w+/$", text, re.M)
    assert address is not None
    code = re.search(r"^Code: (\w{4})$", text, re.M)
    return Invitation(message, text, html, urlsplit(address[0]).path, code[1] if code else "")


@pytest.fixture
def post(settings, smtp_sink: SmtpSink) -> SmtpSink:
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


@pytest.fixture
def invite(cast: Cast, post: SmtpSink) -> Callable[..., Invitation]:
    """Open an approval that rita is asked for, and hand over her mail."""

    def invite(**options) -> Invitation:
        requirements = options.pop("requirements", None) or [requirement(cast.rita)]
        ask(options.pop("agent", cast.report_bot), requirements, **options)
        assert [result.told for result in work() if not result.done] == []
        return read(post.sent_to(cast.rita.email)[-1])

    return invite


@pytest.fixture
def browser() -> Client:
    """A browser that nobody is signed in to, and a server that checks its forms."""
    return Client(enforce_csrf_checks=True)


def answer(browser: Client, invitation: Invitation, verdict: str = "approve", **fields: str) -> Any:
    """Open the page, fill in the form and press a button."""
    browser.get(invitation.path)
    form = {"decision": verdict, "code": invitation.code, **fields}
    cookie = browser.cookies.get("csrftoken")
    if cookie is not None:
        form["csrfmiddlewaretoken"] = cookie.value
    return browser.post(invitation.path, form)


def wrong(code: str) -> str:
    return ("3" if code[0] == "2" else "2") + code[1:]


def text_of(response: Any) -> str:
    return str(response.content.decode())


def refusals() -> list[str]:
    """The outcomes of what was recorded of refused links, oldest first."""
    rows = Entry.objects.filter(type="governance.approval.link_refused").order_by("index")
    return list(rows.values_list("outcome", flat=True))


# The mail


def test_the_mail_says_who_asks_for_what_until_when(invite, post: SmtpSink, cast: Cast) -> None:
    invitation = invite()
    approval = Approval.objects.get()
    assert invitation.message["Subject"] == "Countersign: report-bot asks: mail.send"
    assert invitation.message["To"] == cast.rita.email
    assert invitation.message["Auto-Submitted"] == "auto-generated"
    deadline = approval.expires_at.astimezone(presentation.zone_of("Europe/Berlin"))
    for body in (invitation.text, invitation.html):
        assert invitation.code in body
        assert invitation.path in body
        assert "May this mail go out?" in body
        assert "ann@customers.test" in body
        assert f"{deadline:%H:%M} CE" in body
    assert ApprovalLink.objects.get().mailed_at is not None
    assert len(post.messages) == 1


def test_neither_link_nor_code_is_stored(invite) -> None:
    invitation = invite()
    mailing = Mailing.objects.get()
    token = invitation.path.split("/")[2]
    assert len(token) == 24
    stored = [
        *(repr(row) for row in Owed.objects.values()),
        *(bytes(e.body).decode() for e in Entry.objects.all()),
    ]
    stored += [repr(model.objects.values().get()) for model in (ApprovalLink, Mailing)]
    assert token not in "".join(stored)
    assert [len(bytes(kept or b"")) for kept in (mailing.digest, mailing.code_digest)] == [32, 32]


def test_what_was_withheld_stays_withheld(invite, browser: Client) -> None:
    invitation = invite(arguments={"to": "ann@customers.test", "token": {"withheld": "looks like a key"}})
    assert "looks like a key" in invitation.text
    assert "looks like a key" in text_of(browser.get(invitation.path))


def test_a_mail_server_that_is_down_is_tried_again(
    cast: Cast, post: SmtpSink, settings, browser: Client
) -> None:
    ask(cast.report_bot, [requirement(cast.rita)])
    settings.EMAIL_PORT = 1
    assert [result.done for result in work()] == [True, False]
    row = Owed.objects.get(kind=asking.MAIL)
    assert "ConnectionRefusedError" in row.error
    assert row.due > timezone.now()
    settings.EMAIL_PORT = post.port
    Owed.objects.update(due=timezone.now())
    assert [result.done for result in work()] == [True]
    assert answer(browser, read(post.messages[0])).status_code == 200


def test_who_can_no_longer_decide_is_not_mailed(cast: Cast, post: SmtpSink) -> None:
    ann = employ(cast.acme, "ann@acme.test", "Ann", "approver")
    approval = ask(cast.report_bot, [requirement(cast.rita, ann)])
    approvals.start(approval)
    people.deactivate(ann, actor=ACTOR)
    decide(approval, cast.rita)
    assert all(result.done for result in work())
    assert post.messages == []


def test_the_newest_mails_link_counts(invite, post: SmtpSink, browser: Client, cast: Cast) -> None:
    first = invite()
    payload = {"approval": Approval.objects.get().public_id, "person": cast.rita.public_id}
    mail.mail_reviewer(payload)
    second = read(post.messages[-1])
    page = browser.get(first.path)
    assert page.status_code == 410
    assert "A newer mail about this call has taken the place of this one" in text_of(page)
    assert refusals() == ["replaced"]
    assert browser.get(second.path).status_code == 200
    assert answer(browser, first).status_code == 410
    assert answer(browser, second).status_code == 200


# The page


def test_a_get_shows_the_call_and_decides_nothing(invite, browser: Client) -> None:
    invitation = invite(arguments={"to": "ann@customers.test", "amount": 12.5, "nested": {"deep": [1, 2]}})
    page = browser.get(invitation.path)
    shown = text_of(page)
    assert page.status_code == 200
    for part in (
        "report-bot",
        "mail.send",
        "mailto:ann@customers.test",
        "12.5",
        "deep",
        "May this mail go out?",
    ):
        assert part in shown
    assert "the customer asked" in shown
    assert "Nobody has checked it" in shown
    assert invitation.code not in shown
    assert browser.head(invitation.path).status_code == 200
    assert browser.get(invitation.path).status_code == 200
    assert not Vote.objects.exists()


def test_the_page_is_not_kept_indexed_framed_or_leaked(invite, browser: Client) -> None:
    invitation = invite()
    for path in (invitation.path, "/a/unknown/"):
        page = browser.get(path)
        assert "no-store" in page["Cache-Control"]
        assert page["Referrer-Policy"] == "same-origin"
        assert "noindex" in page["X-Robots-Tag"]
        assert page["X-Frame-Options"] == "DENY"
        assert "script-src" not in page["Content-Security-Policy"]
        assert "default-src 'none'" in page["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("hidden", "seen"),
    [
        ("pay \u202e001 rab", "⟨U+202E⟩"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("bell\u0007", "⟨U+0007⟩"),
        ("back\u007fspace", "⟨U+007F⟩"),
        ("tag\U000e0041", "⟨U+E0041⟩"),
        ("filler\u3164", "⟨U+3164⟩"),
        ("wide\u00a0space", "⟨U+00A0⟩"),
        ("selector\ufe0f", "⟨U+FE0F⟩"),
        ("line\u2028break", "⟨U+2028⟩"),
    ],
)
def test_hidden_characters_are_spelled_out(hidden: str, seen: str) -> None:
    assert seen in presentation.visible(hidden)


def test_nothing_of_an_agents_text_hides_or_becomes_markup(invite, browser: Client) -> None:
    invitation = invite(
        arguments={"to\u202e": "<script>alert(1)</script>\u200b"}, reason="</blockquote><h1>Approved\u2066"
    )
    shown = text_of(browser.get(invitation.path))
    for body in (shown, invitation.html):
        assert "<script>" not in body
        assert "<h1>Approved" not in body
    for body in (shown, invitation.html, invitation.text):
        assert "to⟨U+202E⟩" in body
        assert "⟨U+200B⟩" in body
        assert not set(body) & {"\u202e", "\u200b", "\u2066"}


def test_ordinary_foreign_text_is_left_alone() -> None:
    assert presentation.visible("Zürich, 東京, Ελλάδα, 😀") == "Zürich, 東京, Ελλάδα, 😀"


# The answer


@pytest.mark.parametrize(("verdict", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_link_and_code_decide(invite, browser: Client, verdict: str, status: str) -> None:
    page = answer(browser, invite(), verdict, comment="  I rang her. ")
    assert page.status_code == 200
    assert "is recorded" in text_of(page)
    approval, vote = Approval.objects.get(), Vote.objects.get()
    assert (approval.status, vote.known_by) == (status, "link")
    assert read_detail(approval.workspace.log_id, vote.entry_index) == {"comment": "I rang her."}
    assert b'"known_by":"link"' in bytes(Entry.objects.get(type="governance.approval.voted").body)


def test_the_code_may_be_typed_in_small_letters_with_spaces(invite, browser: Client) -> None:
    invitation = invite()
    code = invitation.code.lower()
    assert answer(browser, invitation, code=f" {code[:2]} {code[2:]}").status_code == 200


def test_a_wrong_code_is_refused_counted_and_recorded(invite, browser: Client) -> None:
    invitation = invite()
    page = answer(browser, invitation, code=wrong(invitation.code), comment="keep this")
    assert page.status_code == 403
    assert "4 more tries" in text_of(page)
    assert "keep this" in text_of(page)
    assert not Vote.objects.exists()
    refused = Entry.objects.get(type="governance.approval.link_refused")
    assert refused.outcome == "wrong_code"
    assert answer(browser, invitation).status_code == 200


def test_five_wrong_codes_close_the_link(invite, browser: Client, cast: Cast) -> None:
    invitation = invite()
    for _ in range(5):
        assert answer(browser, invitation, code=wrong(invitation.code)).status_code == 403
    page = answer(browser, invitation)
    assert page.status_code == 410
    assert "Sign in to the portal" in text_of(page)
    assert browser.get(invitation.path).status_code == 410
    assert refusals() == ["wrong_code"] * 5 + ["locked"]
    assert decide(Approval.objects.get(), cast.rita).status == "approved"


def test_a_scanner_that_submits_the_form_uses_up_no_try(invite, browser: Client) -> None:
    invitation = invite()
    for fields in ({"code": ""}, {"code": "on"}, {"verdict": "yes"}):
        assert answer(browser, invitation, **fields).status_code == 400
    assert ApprovalLink.objects.get().attempts == 0
    assert not Vote.objects.exists()


def test_a_form_from_elsewhere_is_refused(invite, browser: Client) -> None:
    invitation = invite()
    form = {"decision": "approve", "code": invitation.code}
    assert browser.post(invitation.path, form).status_code == 403
    assert not Vote.objects.exists()


def test_a_link_works_once(invite, browser: Client, cast: Cast) -> None:
    ann = employ(cast.acme, "ann@acme.test", "Ann", "approver")
    invitation = invite(requirements=[requirement(cast.rita, ann, quorum=2)])
    assert "Others have to answer" in text_of(answer(browser, invitation))
    again = answer(browser, invitation)
    assert again.status_code == 410
    assert "answered this already" in text_of(again)
    assert browser.get(invitation.path).status_code == 410
    assert Vote.objects.count() == 1


def test_who_is_signed_in_needs_no_code(invite, browser: Client, cast: Cast) -> None:
    invitation = invite()
    browser.force_login(cast.rita)
    assert 'name="code"' not in text_of(browser.get(invitation.path))
    assert answer(browser, invitation, code="").status_code == 200
    assert Vote.objects.get().known_by == "session"


def test_somebody_elses_session_does_not_help(invite, browser: Client, cast: Cast) -> None:
    invitation = invite()
    browser.force_login(cast.olga)
    for code in ("", wrong(invitation.code), invitation.code):
        assert answer(browser, invitation, code=code).status_code == 403
    assert not Vote.objects.exists()


@pytest.mark.parametrize("risk", ["high", "critical"])
def test_high_risk_needs_a_sign_in(invite, browser: Client, cast: Cast, risk: str) -> None:
    invitation = invite(risk=risk)
    assert invitation.code == ""
    for body in (invitation.text, invitation.html):
        assert f"Calls of {risk} risk are decided signed in" in body
        assert "type this code" not in body
    shown = text_of(browser.get(invitation.path))
    assert f"/admin/governance/approval/{Approval.objects.get().pk}/change/" in shown
    assert "<form" not in shown
    browser.get("/admin/login/")
    assert answer(browser, invitation, code="2222").status_code == 403
    assert ApprovalLink.objects.get().attempts == 0
    assert not Vote.objects.exists()
    browser.force_login(cast.rita)
    assert "<form" not in text_of(browser.get(invitation.path))
    said = {"comment": "I do not know this invoice."}
    assert answer(browser, invitation, decision="reject", **said).status_code == 403
    assert not Vote.objects.exists()


def test_an_unknown_link_is_not_found(browser: Client, cast: Cast) -> None:
    assert browser.get("/a/0123456789abcdefghijklmn/").status_code == 404
    assert Client().post("/a/0123456789abcdefghijklmn/", {"decision": "approve"}).status_code == 404


def settle_by(cast: Cast, approval: Approval, how: str) -> None:
    if how == "expired":
        Approval.objects.update(expires_at=timezone.now())
    elif how == "voided":
        containment.set_standing(
            cast.report_bot, "supervised", reason="Odd.", actor="cli:test@host", person=None
        )
    elif how == "cancelled":
        approvals.cancel(approval, actor="system", reason="Asked by mistake.")
    elif how == "deactivated":
        people.deactivate(cast.rita, actor=ACTOR)
    elif how == "no reviewer any more":
        people.set_roles(cast.acme, cast.rita, roles=["auditor"], actor=ACTOR)


@pytest.mark.parametrize("how", ["expired", "voided", "cancelled", "deactivated", "no reviewer any more"])
def test_a_dead_link_says_so_kindly(invite, browser: Client, cast: Cast, how: str) -> None:
    invitation = invite()
    browser.get(invitation.path)
    settle_by(cast, Approval.objects.get(), how)
    page = browser.get(invitation.path)
    assert page.status_code == 410
    assert "Nothing to answer here" in text_of(page)
    assert answer(browser, invitation).status_code == 410
    assert not Vote.objects.exists()


def test_a_link_expires_with_its_approval_before_any_sweep(invite, browser: Client) -> None:
    invitation = invite(expires_in=timedelta(seconds=2))
    Approval.objects.update(expires_at=timezone.now())
    assert browser.get(invitation.path).status_code == 410


def test_erased_content_is_told(invite, browser: Client, acme: Workspace) -> None:
    invitation = invite()
    approval = Approval.objects.get()
    Detail.objects.filter(log_id=acme.log_id, index=approval.entry_index).delete()
    assert "were erased" in text_of(browser.get(invitation.path))


def test_showing_the_arguments_is_an_entry_once(invite, browser: Client, cast: Cast) -> None:
    invitation = invite()
    for _ in range(3):
        browser.head(invitation.path)
        browser.get(invitation.path)
    (entry,) = Entry.objects.filter(log_id=cast.acme.log_id, type="governance.detail.read")
    assert entry.actor == f"person:{cast.rita.public_id}"
