"""The ladder on the pages of agents, workspaces and the installation: a stop button, and every other step."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.utils import timezone

from governance import containment
from workspaces.access.admin import act, actor_in, filled, person_of
from workspaces.models import Installation, Standing

REFUSALS = (containment.NotAllowed, containment.AlreadyRevoked, containment.BadStanding)
BADGES = {
    "observe": "danger",  # judged, not enforced: nobody should overlook it
    "active": "success",
    "read_only": "warning",
    "supervised": "warning",
    "suspended": "danger",
    "revoked": "danger",
}


class StandingForm(forms.Form):
    """One step, with its reason; an observation may have an end in days."""

    standing = forms.ChoiceField(choices=Standing.choices)
    reason = forms.CharField(max_length=containment.LONGEST_REASON)
    days = forms.IntegerField(required=False, min_value=1, max_value=14)

    def until(self) -> datetime | None:
        """The end of an observation, if one was asked for. The form must be valid."""
        days = self.cleaned_data["days"]
        return timezone.now() + timedelta(days=days) if days and self.wants(Standing.OBSERVE) else None

    def wants(self, standing: Standing) -> bool:
        return bool(self.cleaned_data["standing"] == standing.value)


class StandingPages:
    """The ``stand`` button for ModelAdmins, and what the panel of the ladder shows."""

    standing_panel: ClassVar[str] = "admin/portal/standing.html"

    @act("stand", *REFUSALS)
    def stand(self, request: HttpRequest, scope: Any) -> None:
        """Take the step. Whether the person may is judged under the lock, for every door alike."""
        form = StandingForm(request.POST)
        values = filled(form)
        step = containment.set_standing(
            scope,
            values["standing"],
            reason=values["reason"],
            until=form.until(),
            actor=actor_in(request),
            person=person_of(request),
        )
        if not step.changed:
            messages.info(request, f"{scope} stood there already: {step.after.label}.")
            return
        messages.success(
            request,
            f"{scope}: {step.after.label}. Requested {step.requested_at:%H:%M:%S.%f}, in force since "
            f"{step.confirmed_at:%H:%M:%S.%f} UTC, entry {step.index}.",
        )


def ladder(request: HttpRequest, scope: containment.Scope) -> dict[str, Any]:
    """The panel's content: where the scope stands, and the steps that the person may take."""
    now, person = timezone.now(), person_of(request)
    before = containment.standing_at(scope, now)
    refused = {each: refusal(person, scope, before, each) for each in Standing if each is not before}
    steps = [each for each, why in refused.items() if not why]
    contained = before not in (Standing.OBSERVE, Standing.ACTIVE, Standing.REVOKED)
    return {
        "standing": before,
        "badge": BADGES[before.value],
        "reason": scope.standing_reason,
        "observe_until": scope.observe_until if before is Standing.OBSERVE else None,
        "steps": [(each.value, each.label) for each in steps if each is not Standing.SUSPENDED],
        "may_stop": Standing.SUSPENDED in steps,
        "may_release": contained and Standing.ACTIVE in steps,
        "held": refused[Standing.ACTIVE] if contained else "",
        "longest_reason": containment.LONGEST_REASON,
    }


def refusal(person: Any, scope: containment.Scope, before: Standing, wanted: Standing) -> str:
    """Why the step would not be taken if it were asked for now; empty where it would."""
    if before is Standing.REVOKED:
        return "Revoked is final."
    try:
        containment.allow(person, scope, before, wanted)
    except containment.NotAllowed as refused:
        return str(refused)
    return ""


def installation() -> Installation | None:
    """The installation's row, once there is one."""
    return Installation.objects.first()
