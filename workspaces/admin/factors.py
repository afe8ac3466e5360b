"""Everybody's own page of how they sign in, and the page that asks for a second factor again."""

import base64
from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import authenticate
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from audit.envelopes import SealedOtherwise
from workspaces import factors, passkeys, sessions, sso
from workspaces.access.admin import actor_in, person_of
from workspaces.access.pages import signed_in_page

OFFER = "workspaces.factors.offer"  # the signature of a secret that is offered and not confirmed yet
OFFERED_FOR = 900  # seconds
WRONG_PASSWORD = "This is not your password."  # noqa: S105 - a sentence


def shown(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    """A page in the portal's frame that no cache keeps."""
    whole = {**admin.site.each_context(request), "title": title, **context}
    response = render(request, f"admin/workspaces/{template}.html", whole)
    response["Cache-Control"] = "no-store, private"
    return response


def to_confirm(request: HttpRequest) -> HttpResponse | None:
    """Where somebody is led before they change how they sign in: who has a second factor must have used it just now,
    and who has none must have signed in just now. None for who did."""
    has_one = factors.has_second_factor(person_of(request))
    if factors.fresh(request) or (not has_one and sessions.is_new(request)):
        return None
    messages.warning(request, "Confirm who you are first; then press the button again.")
    return HttpResponseRedirect(factors.confirm_address(reverse("own_factors")))


@signed_in_page
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """How the person signs in: password, authenticator app, passkeys, recovery codes."""
    person = person_of(request)
    rows = list(factors.of(person))
    codes = next((row for row in rows if row.type == factors.Type.RECOVERY_CODES), None)
    return shown(
        request,
        "own_factors",
        "Your sign-in",
        factors=[described(row) for row in rows if row is not codes],
        has_app=any(row.type == factors.Type.TOTP for row in rows),
        takes_passkeys=passkeys.available(),
        codes=codes,
        codes_left=len(codes.data["codes"]) if codes else 0,
        has_password=person.has_usable_password(),
        then=sessions.inside(request.GET.get("next", ""), ""),
    )


def described(row: Authenticator) -> dict[str, Any]:
    """A factor as the page's table shows it."""
    name = "Authenticator app" if row.type == factors.Type.TOTP else f"Passkey {row.data['name']}"
    return {"pk": row.pk, "name": name, "since": row.created_at, "used": row.last_used_at}


@signed_in_page
@sensitive_post_parameters("offer", "code")
@require_POST
def add_app(request: HttpRequest) -> HttpResponse:
    """Offer a secret for an authenticator app; it is the person's with the first right code. Until then it is kept
    nowhere but in the page itself, sealed."""
    if led := to_confirm(request):
        return led
    person, problem = person_of(request), ""
    try:
        offer = signing.loads(request.POST.get("offer", ""), salt=OFFER, max_age=OFFERED_FOR)
        secret = factors.opened(person, offer)
        codes = factors.enroll_totp(
            person, secret=secret, code=request.POST.get("code", ""), actor=actor_in(request)
        )
    except (signing.BadSignature, SealedOtherwise):
        secret = factors.new_secret()
    except factors.FactorRefused as refusal:
        problem = str(refusal)
    else:
        factors.remember(request.session, factors.of(person).get(type=factors.Type.TOTP))
        messages.success(
            request, "Your authenticator app is set up. You are asked for its code when you sign in."
        )
        return after_enrolling(request, codes)
    adapter = get_adapter()
    image = adapter.build_totp_svg(adapter.build_totp_url(person, secret)).encode()
    return shown(
        request,
        "add_app",
        "Add an authenticator app",
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
        image=f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}",
        offer=signing.dumps(factors.seal(person, secret), salt=OFFER),
        problem=problem,
        then=sessions.inside(request.POST.get("next", ""), ""),
    )


@signed_in_page
@require_POST
def add_passkey(request: HttpRequest) -> HttpResponse:
    """Without the browser's answer: what it needs to make a passkey. With it: the passkey is the person's."""
    person = person_of(request)
    if led := to_confirm(request):
        return led
    answer = request.POST.get("passkey", "")
    try:
        if not answer:
            return JsonResponse(passkeys.offer(request.session, person))
        name = request.POST.get("name", "")
        codes = passkeys.enroll(request.session, person, name=name, answer=answer, actor=actor_in(request))
    except factors.FactorRefused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("own_factors"))
    factors.remember(request.session, passkeys.of(person)[-1])
    messages.success(request, "Your passkey is set up. You are asked for it, or a code, when you sign in.")
    return after_enrolling(request, codes)


def after_enrolling(request: HttpRequest, codes: list[str]) -> HttpResponse:
    """Recovery codes where there are new ones, in this very answer; else where the person was going."""
    then = sessions.inside(request.POST.get("next", ""), reverse("own_factors"))
    if not codes:
        return HttpResponseRedirect(then)
    return shown(request, "recovery_codes", "Your recovery codes", codes=codes, then=then)


@signed_in_page
@require_POST
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """New recovery codes instead of the old, shown in this very answer alone."""
    if led := to_confirm(request):
        return led
    try:
        codes = factors.make_recovery_codes(person_of(request), actor=actor_in(request))
    except factors.FactorRefused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("own_factors"))
    return after_enrolling(request, codes)


@signed_in_page
@require_POST
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a factor from oneself."""
    row = factors.of(person_of(request)).exclude(type=factors.Type.RECOVERY_CODES).filter(pk=pk).first()
    if row is None:
        raise Http404("You have no such factor.")
    if led := to_confirm(request):
        return led
    factors.remove(row, actor=actor_in(request))
    messages.success(request, "It is removed, and counts nowhere any more.")
    return HttpResponseRedirect(reverse("own_factors"))


@signed_in_page
@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "HEAD", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask again who it is: the password unless they have just signed in, then the second factor; and go on to
    ``next``."""
    person = person_of(request)
    then = sessions.inside(request.GET.get("next", ""), reverse("own_factors"))
    problem = ""
    if request.method == "POST":
        problem = wrong_password(request) or wrong_code(request)
    has_one = factors.has_second_factor(person)
    if not problem and sessions.is_new(request) and not has_one and not sso.counts_as_factor():
        return HttpResponseRedirect(f"{reverse('own_factors')}?{urlencode({'next': then})}")
    if not problem and factors.fresh(request):
        return HttpResponseRedirect(then)
    return shown(
        request,
        "confirm",
        "Confirm who you are",
        asks_password=not sessions.is_new(request),
        has_password=person.has_usable_password(),
        has_factor=has_one,
        has_passkey=passkeys.available() and bool(passkeys.of(person)),
        problem=problem,
        again=sso.start_address(request.get_full_path()),
        sso_name=sso.name(),
        minutes=f"{settings.CONFIRM_FOR.total_seconds() / 60:g}",
    )


def wrong_password(request: HttpRequest) -> str:
    """What is wrong with the password, where one is asked for."""
    if sessions.is_new(request):
        return ""
    person, password = person_of(request), request.POST.get("password", "")
    # Through the backends, so that wrong ones are counted as at the sign-in page.
    if (
        not person.has_usable_password()
        or authenticate(request, username=person.email, password=password) != person
    ):
        return WRONG_PASSWORD
    sessions.note_password(request.session)
    return ""


def wrong_code(request: HttpRequest) -> str:
    """What is wrong with the code, where somebody has a factor."""
    person = person_of(request)
    if not factors.has_second_factor(person):
        return ""
    try:
        factor = passkeys.shown(request.POST, request.session, person, purpose="confirm")
    except factors.TooManyCodes as refusal:
        return str(refusal)
    if factor is None:
        return factors.WRONG
    factors.remember(request.session, factor)
    return ""
