"""Signing in at an OpenID provider: who is here already, recognized by an address that the provider has verified.

The conversation is django-allauth's (code flow with state and PKCE); added here are a nonce, a look at the ID token's
signature each time, and that nobody is created, connected or remembered: none of allauth's own tables is written.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any

import jwt
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from requests import RequestException

from audit import log
from workspaces import sessions, signin
from workspaces.access.pages import public_page
from workspaces.models import User

PROVIDER = "sso"
SIGNATURES = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
UNREACHABLE = "The sign-in provider did not answer as it should; try again, or sign in another way."
UNKNOWN = "The sign-in provider knows you, but nobody here has your address; ask an owner of your workspace to add you."
UNVERIFIED = "The sign-in provider does not say that your address was verified; ask whoever runs it."


def name() -> str:
    """How the sign-in page calls the provider; nothing where there is none."""
    return str(settings.OIDC_NAME) if settings.OIDC_URL else ""


def counts_as_factor() -> bool:
    """Whether some of what the provider says counts as a second factor."""
    return bool(settings.OIDC_URL and settings.OIDC_FACTORS)


def start_address(then: str) -> str:
    """Where signing in at the provider begins; nothing where there is none."""
    return f"{reverse('sso')}?{urlencode({'next': then})}" if settings.OIDC_URL else ""


class Conversation(OpenIDConnectOAuth2Adapter):
    """What is asked of the provider, and how its answer is judged."""

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return f"{settings.PUBLIC_URL}{reverse('sso_callback')}"

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **kwargs: Any) -> Any:
        """The ID token's claims, with the address from userinfo where they have none. Raises OAuth2Error."""
        claims = self.claims(str(kwargs["response"].get("id_token", "")), app.client_id)
        if "email" not in claims:
            more = self._fetch_user_info(token.token)
            if more.get("sub") != claims["sub"]:
                raise OAuth2Error("userinfo is about somebody else")
            claims |= {key: more[key] for key in ("email", "email_verified") if key in more}
        return self.get_provider().sociallogin_from_response(request, {"id_token": claims})

    def claims(self, id_token: str, client_id: str) -> dict[str, Any]:
        """An ID token's claims; its signature is checked though it came from the provider itself. Raises
        OAuth2Error."""
        try:
            if jwt.get_unverified_header(id_token).get("alg") not in SIGNATURES:
                raise OAuth2Error("the ID token is not signed by a public key")
            claims: dict[str, Any] = jwtkit.verify_and_decode(
                credential=id_token,
                keys_url=self.openid_config["jwks_uri"],
                issuer=self.openid_config["issuer"],
                audience=client_id,
                lookup_kid=jwtkit.lookup_kid_jwk,
            )
            if not isinstance(claims.get("sub"), str):
                raise OAuth2Error("the ID token names nobody")
        except (jwt.PyJWTError, KeyError, TypeError, ValueError) as error:
            raise OAuth2Error("the ID token cannot be read") from error
        return claims


class Provider(OpenIDConnectProvider):
    """The provider of the settings."""

    oauth2_adapter_class = Conversation


class Doors(DefaultSocialAccountAdapter):
    """Where allauth asks what to do with who comes: only people who are here already come in."""

    def get_provider(self, request: HttpRequest, provider: str, client_id: Any = None) -> Provider:
        """The provider of the settings. Raises Http404 where there is none."""
        if not settings.OIDC_URL:
            raise Http404("Nobody signs in at a provider here.")
        app = SocialApp(
            provider=OpenIDConnectProvider.id,
            provider_id=PROVIDER,
            name=name(),
            client_id=settings.OIDC_CLIENT,
            secret=settings.OIDC_SECRET,
            settings={"server_url": settings.OIDC_URL, "oauth_pkce_enabled": True},
        )
        return Provider(request, app=app)

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Sign in whom the claims name. Always raises, so that allauth does nothing more."""
        claims = sociallogin.account.extra_data["id_token"]
        asked = sociallogin.state.get("data") or {}
        if not asked.get("nonce") or claims.get("nonce") != asked["nonce"]:
            raise ImmediateHttpResponse(refused(request, UNREACHABLE, why="nonce"))
        raise ImmediateHttpResponse(come_in(request, claims, str(sociallogin.state.get("next") or "")))

    def on_authentication_error(self, request: HttpRequest, provider: Any, **kwargs: Any) -> None:
        """Say so on a page of ours. Always raises."""
        raise ImmediateHttpResponse(refused(request, UNREACHABLE, why="provider"))


@public_page("the provider, to whom it leads")
@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Lead to the provider. It is asked to look anew at who it is where a sign-in of long ago will not do."""
    then = sessions.inside(request.GET.get("next", ""), reverse("admin:index"))
    nonce = secrets.token_urlsafe(16)
    anew = request.user.is_authenticated or counts_as_factor()
    asked = {"max_age": str(int(settings.CONFIRM_FOR.total_seconds()))} if anew else {}
    try:
        answer: HttpResponse = (
            get_adapter(request)
            .get_provider(request, PROVIDER)
            .redirect(
                request, "login", next_url=then, data={"nonce": nonce}, auth_params={**asked, "nonce": nonce}
            )
        )
    except (RequestException, KeyError, ValueError):
        return refused(request, UNREACHABLE, why="provider")
    return answer


@public_page("the provider's signed word, asked for by this very session")
@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Where the provider leads back to."""
    answer: HttpResponse = OAuth2CallbackView.adapter_view(Conversation(request, PROVIDER))(request)
    return answer


def come_in(request: HttpRequest, claims: Mapping[str, Any], then: str) -> HttpResponse:
    """Sign in who is here under the verified address of the claims; others are told why not."""
    address = claims.get("email")
    if claims.get("email_verified") is not True:
        return refused(request, UNVERIFIED, why="unverified")
    person = User.objects.filter(email=str(address).lower(), is_active=True).first()
    if person is None:
        return refused(request, UNKNOWN, why="unknown", address=str(address))
    then = sessions.inside(then, reverse("admin:index"))
    shown_at = factor_shown_at(claims)
    if shown_at is None:
        return HttpResponseRedirect(sessions.begin(request, person, known_by="sso", then=then))
    sessions.sign_in(request, person, known_by="sso", shown_at=shown_at)
    return HttpResponseRedirect(then)


def factor_shown_at(claims: Mapping[str, Any]) -> float | None:
    """When the person showed the provider a second factor, in seconds since 1970; None where it does not say that they
    did, and when (``amr`` of RFC 8176, ``acr`` and ``auth_time`` of OpenID Connect Core)."""
    methods = claims.get("amr")
    said = {*(methods if isinstance(methods, list) else []), claims.get("acr")}
    at = claims.get("auth_time")
    if said & set(settings.OIDC_FACTORS) and isinstance(at, int | float) and not isinstance(at, bool):
        return min(float(at), time.time())
    return None


def refused(request: HttpRequest, text: str, *, why: str, address: str = "") -> HttpResponse:
    """What somebody is shown who did not get in; an entry."""
    with log.write(log.installation_log_id()) as entries:
        detail = {"from": signin.address_of(request) or ""}
        if address and len(address) <= signin.LONGEST_ADDRESS:
            detail["address"] = address
        entries.append(
            "workspaces.person.not_let_in",
            actor="anonymous",
            data={"known_by": "sso", "why": why},
            detail=detail,
        )
    context = {**admin.site.each_context(request), "title": "Not signed in", "refusal": text}
    return render(request, "workspaces/sign_in.html", context, status=403)
