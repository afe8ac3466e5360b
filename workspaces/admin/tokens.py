"""Everybody's own page of tokens for the API: made, shown once, and revoked."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from workspaces.access import tokens, workspaces_for
from workspaces.access.admin import actor_in, filled, person_of, sentences
from workspaces.access.pages import signed_in_page
from workspaces.models import ApiToken, Workspace


class TokenForm(forms.Form):
    """A token as a person asks for it."""

    name = forms.CharField(max_length=100)
    scope = forms.ChoiceField(choices=ApiToken.Scope.choices)
    workspace = forms.ModelChoiceField(Workspace.objects.none(), to_field_name="slug", required=False)
    until = forms.DateField(required=False)

    def expires_at(self) -> datetime | None:
        """The end of the last day, UTC, but no later than a token may live."""
        day = self.cleaned_data["until"]
        if day is None:
            return None
        end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time()))
        latest = timezone.now() + tokens.LONGEST_LIFETIME
        return latest if latest < end <= latest + timedelta(days=1) else end


@signed_in_page
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """One's own tokens. The text of a new one is in this very answer: it is kept nowhere, not in the session either."""
    person = person_of(request)
    form = TokenForm(request.POST or None)
    visible = workspaces_for(person).order_by("name")
    form.fields["workspace"].queryset = visible  # type: ignore[attr-defined]
    shown: dict[str, Any] = {}
    if request.method == "POST":
        try:
            values = filled(form)
            token, text = tokens.create_token(
                person,
                name=values["name"],
                scope=values["scope"],
                workspace=values["workspace"],
                expires_at=form.expires_at(),
                actor=actor_in(request),
            )
            shown = {"token": token, "text": text}
        except (ValidationError, tokens.TooManyTokens) as refusal:
            shown = {"problems": [sentence for _, sentence in sentences(refusal)], "asked": request.POST}
    now = timezone.now()
    context = {
        **admin.site.each_context(request),
        "title": "API tokens",
        "tokens": tokens.live_tokens(person, now=now),
        "workspaces": visible,
        "scopes": ApiToken.Scope.choices,
        "first_day": now.date(),
        "last_day": (now + tokens.LONGEST_LIFETIME).date(),
        "usual_days": tokens.LIFETIME.days,
        **shown,
    }
    response = render(request, "admin/workspaces/tokens.html", context)
    response["Cache-Control"] = "no-store, private"
    return response


@signed_in_page
@require_POST
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    """End one of one's own tokens."""
    own = tokens.live_tokens(person_of(request), now=timezone.now())
    token = own.filter(public_id=public_id).first()
    if token is None:
        raise Http404("You have no such token.")
    tokens.revoke_token(token, actor=actor_in(request))
    messages.success(request, f"The token {token} is revoked; it opens nothing from now on.")
    return HttpResponseRedirect(reverse("api_tokens"))
