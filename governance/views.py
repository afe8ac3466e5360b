"""Pages of personal links. Rendered here, usable without JavaScript."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from governance import links, presentation
from governance.approvals import NotAReviewer, NotPending
from governance.links import LinkRefused
from governance.models import ApprovalLink
from governance.reviewers import Requirement
from workspaces.access.pages import public_page
from workspaces.models import User

COMMENT_LENGTH = 2000
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
    link = links.find(token)
    if link is None:
        refused = LinkRefused(
            404, "link_unknown", "This link is not known here. Open the newest mail about it."
        )
        return closed(request, None, refused)
    if dead := links.obstacle(link, timezone.now()):
        return closed(request, link, dead)
    if request.method == "GET":
        links.note_opened(link)
    return form(request, link)


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
        )
    except LinkRefused as refused:
        link = links.find(token)
        if link is not None and links.obstacle(link, timezone.now()) is None:
            return form(request, link, refused)
        return closed(request, link, refused)
    except (NotPending, NotAReviewer) as refused:
        return closed(request, links.find(token), LinkRefused(410, refused.code, str(refused)))
    context = {
        "approval": approval,
        "approved": verdict == "approve",
        "question": presentation.question(approval),
    }
    return render(request, "governance/link_done.html", context)


def form(request: HttpRequest, link: ApprovalLink, refused: LinkRefused | None = None) -> HttpResponse:
    """What is asked, with the two buttons."""
    visitor = signed_in(request)
    in_session = visitor is not None and visitor.pk == link.person_id
    sign_in_needed = links.needs_sign_in(link.approval) and not in_session
    context = {
        "link": link,
        "question": presentation.question(link.approval),
        "others": others(link),
        "in_session": in_session,
        "portal": reverse("admin:governance_approval_change", args=[link.approval.pk])
        if sign_in_needed
        else "",
        "refused": refused,
        "comment": request.POST.get("comment", ""),
        "comment_length": COMMENT_LENGTH,
        "code_length": links.CODE_LENGTH,
    }
    return render(request, "governance/link.html", context, status=refused.status if refused else 200)


def closed(request: HttpRequest, link: ApprovalLink | None, refused: LinkRefused) -> HttpResponse:
    """Why there is nothing to answer here."""
    context = {"refused": refused, "approval": link.approval if link else None}
    return render(request, "governance/link_closed.html", context, status=refused.status)


def others(link: ApprovalLink) -> list[tuple[Requirement, list[str]]]:
    """Each requirement with its reviewers other than this one, and what they have answered so far."""
    approval = link.approval
    votes = {vote.person_id: "approved" if vote.approve else "rejected" for vote in approval.votes.all()}
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
