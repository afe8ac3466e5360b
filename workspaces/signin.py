"""Guarding the sign-in page against guessing: how wrong passwords are counted, and when there were too many.

django-axes counts them by address and person; only keyed hashes of the names are kept there. Each failure and each
lock is an entry of the installation's log, without the password.
"""

import hashlib
import hmac
import ipaddress
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.contrib import admin
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import log
from workspaces.models import User

FOR_PAIR = 5  # wrong passwords for one person from one address, within AXES_COOLOFF_TIME
FOR_PERSON = 25  # and from all addresses together: more, because strangers could lock somebody out by it
LONGEST_ADDRESS = 254


class Guard(AxesDatabaseHandler):
    """Counts wrong passwords, and writes the entries."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Failures on the scale of FOR_PAIR: by person and address, or by person alone, whichever is more."""
        pair, person = (
            attempts.aggregate(total=Sum("failures_since_start"))["total"] or 0
            for attempts in self.get_user_attempts(request, credentials)
        )
        return max(pair, person * FOR_PAIR // FOR_PERSON)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **options: Any
    ) -> None:
        """Count the failure and record it. Whoever is locked out already is only told so."""
        locked_before = getattr(request, "axes_locked_out", False)
        super().user_login_failed(sender, credentials, request, **options)
        if request is not None and not locked_before:
            locked = bool(request.axes_locked_out)
            record(credentials.get("username") or "", request.axes_ip_address or "", locked=locked)


def record(name: str, address: str, *, locked: bool) -> None:
    """The entry of a wrong password. Who is not known is named in the Detail alone, and only by what may be an
    e-mail address: people type passwords into the wrong field."""
    with log.write(log.installation_log_id()) as entries:
        person = User.objects.filter(email=name.lower()).first()
        detail = {"from": address}
        if person is None and "@" in name and len(name) <= LONGEST_ADDRESS:
            detail["address"] = name
        entries.append(
            "workspaces.person.locked_out" if locked else "workspaces.person.refused",
            actor="anonymous",
            data={"person": person.public_id if person else "", "known_by": "password"},
            detail=detail,
        )


def masked(request: HttpRequest | None, credentials: dict[str, Any] | None) -> str:
    """How the counter names a person: a keyed hash of what was typed, so that its table holds no addresses."""
    name = (credentials or {}).get("username") or (request.POST.get("username", "") if request else "")
    return hmac.new(settings.SECRET_KEY.encode(), str(name).lower().encode(), hashlib.sha256).hexdigest()


def address_of(request: HttpRequest) -> str | None:
    """The network address that a request came from. ``X-Forwarded-For`` is believed only for as many proxies as
    the settings name, counted from the nearest."""
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    nearest: str = request.META.get("REMOTE_ADDR", "")
    claimed = hops[-settings.PROXIES].strip() if 0 < settings.PROXIES <= len(hops) else nearest
    for text in (claimed, nearest):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return None


def locked_out(request: HttpRequest, response: HttpResponse | None, credentials: Any) -> HttpResponse:
    """What is shown instead of the sign-in page when there were too many wrong passwords."""
    context = {**admin.site.each_context(request), "title": "Too many wrong passwords"}
    return render(request, "workspaces/locked_out.html", context, status=429)
