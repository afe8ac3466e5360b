"""Pages of personal links. Rendered here, usable without JavaScript."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from governance import links, presentation
from governance.approvals import NotAReviewer, NotPending
from governance.links import LinkRefused
from governance.models import ApprovalLink
from governance.outcomes import Status
from governance.rosters import Requirement
from workspaces.access.pages import public_page
from workspaces.models import User

COMMENT_LENGTH = 2000
SALT = "governance.views.shown:"
HEADERS = {
    "Cache-Control": "no-store, private",
    # Not no-referrer: browsers would then send "Origin: null" with the form, which no CSRF check may accept.
    # Nothing of the address leaves this origin either way.
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}

Page = Callable[[HttpRequest, str], HttpResponse]


def confidential(page: Page) -> Page:
    """The page of a secret address: not cached, not indexed, not framed, not leaked to where it links."""

    @wraps(page)
    def guarded(request: HttpRequest, token: str) -> HttpResponse:
        response = page(request, token)
        for name, value in HEADERS.items():
            response[name] = value
        return response

    return guarded


@public_page("the personal link, and the four characters of its mail")
@require_http_methods(["GET", "HEAD", "POST"])
@confidential
def approval_link(request: HttpRequest, token: str) -> HttpResponse:
    """A reviewer's personal page: GET shows what is asked, POST answers."""
    if request.method == "POST":
        return answer(request, token)
    try:
        mailing, link = links.required(token)
        visitor = signed_in(request)
        if refused := links.obstacle(mailing, link, timezone.now()) or links.stranger(link, visitor):
            if request.method == "GET":
                links.note_refused(token, refused, visitor)
            raise refused
    except LinkRefused as refused:
        return closed(request, token, refused)
    if request.method == "GET":
        links.note_shown(mailing, link, visitor)
    return form(request, token, link)


def answer(request: HttpRequest, token: str) -> HttpResponse:
    """Record the answer, or say why not: the form again where another try helps, else a closing page."""
    verdict = request.POST.get("decision", "")
    try:
        if verdict not in ("approve", "reject"):
            raise LinkRefused(400, "decision_missing", "Press one of the two buttons.")
        approval = links.answer(
            token,
            visitor=signed_in(request),
            code=request.POST.get("code", "")[:40],
            approve=verdict == "approve",
            comment=request.POST.get("comment", "").strip()[:COMMENT_LENGTH],
            shown_at=time_of(request.POST.get("shown", "")[:200], token),
            seen=int(seen) if (seen := request.POST.get("round", "")).isdecimal() and len(seen) < 6 else None,
        )
    except LinkRefused as refused:
        return form_or_closed(request, token, refused)
    except (NotPending, NotAReviewer) as refused:
        # Where the call was edited meanwhile the form comes again, with the call as it is now.
        return form_or_closed(request, token, LinkRefused(refused.status, refused.code, str(refused)))
    context = {
        "approval": approval,
        "approved": verdict == "approve",
        "question": presentation.question(approval),
    }
    return render(request, "governance/link_done.html", context)


def form_or_closed(request: HttpRequest, token: str, refused: LinkRefused) -> HttpResponse:
    """The form once more with what was wrong, if there is still something to answer for who looks at it."""
    try:
        mailing, link = links.required(token)
    except LinkRefused as unknown:
        return closed(request, token, unknown)
    if links.obstacle(mailing, link, timezone.now()) or links.stranger(link, signed_in(request)):
        return closed(request, token, refused)
    return form(request, token, link, refused)


def form(
    request: HttpRequest, token: str, link: ApprovalLink, refused: LinkRefused | None = None
) -> HttpResponse:
    """What is asked, with the two buttons, or with the way to the portal where that alone decides."""
    in_session = signed_in(request) is not None
    in_portal = links.needs_sign_in(link.approval)
    context = {
        "link": link,
        "question": presentation.question(link.approval),
        "others": others(link),
        "in_session": in_session,
        "portal": reverse("admin:governance_approval_change", args=[link.approval.pk]) if in_portal else "",
        "refused": refused,
        "comment": request.POST.get("comment", "")[:COMMENT_LENGTH],
        "comment_length": COMMENT_LENGTH,
        "code_length": links.CODE_LENGTH,
        "shown": signing.dumps(timezone.now().isoformat(), salt=SALT + token),
    }
    return render(request, "governance/link.html", context, status=refused.status if refused else 200)


def time_of(signed: str, token: str) -> datetime | None:
    """When the page was shown that a form came with; None for a form that is not ours, or another link's."""
    try:
        return datetime.fromisoformat(signing.loads(signed, salt=SALT + token))
    except (signing.BadSignature, TypeError, ValueError):
        return None


def closed(request: HttpRequest, token: str, refused: LinkRefused) -> HttpResponse:
    """Why there is nothing to answer here. Who is not meant is not told what it was about."""
    context = {"refused": refused, "ended": ""}
    mailing = links.find(token)
    if (
        mailing is not None
        and mailing.link is not None
        and not links.stranger(mailing.link, signed_in(request))
    ):
        approval = mailing.link.approval
        context["ended"] = "" if approval.status == Status.PENDING else approval.get_status_display()
    return render(request, "governance/link_closed.html", context, status=refused.status)


def others(link: ApprovalLink) -> list[tuple[Requirement, list[str]]]:
    """Each requirement with its reviewers other than this one, and what they have answered so far."""
    approval = link.approval
    votes = {
        vote.person_id: "approved" if vote.approve else "rejected"
        for vote in approval.votes.filter(round=approval.round)
    }
    people = ApprovalLink.objects.filter(approval=approval).select_related("person").order_by("person__name")
    listed = []
    for requirement in approval.requirements:
        names = [
            f"{presentation.visible(str(row.person))} ({votes.get(row.person_id, 'has not answered yet')})"
            for row in people
            if row.person_id != link.person_id and row.person_id in requirement["reviewers"]
        ]
        listed.append((requirement, names))
    return listed


def signed_in(request: HttpRequest) -> User | None:
    """The person of the session, if any."""
    return request.user if isinstance(request.user, User) and request.user.is_active else None
