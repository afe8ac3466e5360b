"""Streams of a workspace's log: how each is doing, and the buttons of who may change them."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from audit import folders, streams
from audit.destinations import NotAllowed
from audit.models import Stream
from workspaces.access import may, workspaces_for
from workspaces.access.admin import actor_in, person_of
from workspaces.access.pages import View, first_workspace, workspace_page
from workspaces.models import Workspace

CHANGE = "publish_policy"  # held by owners and compliance officers, who may export the log as well
LETTERS = 50
COLORS = {"well": "success", "behind": "info", "failing": "danger", "paused": "warning"}
WORDS = {"well": "up to date", "behind": "catching up", "failing": "failing", "paused": "paused"}
REFUSALS = (streams.StreamRefused, NotAllowed)


class StreamForm(forms.Form):
    """A stream to be set up."""

    name = forms.CharField(max_length=streams.LONGEST_NAME, label="Name")
    sink = forms.ChoiceField(choices=Stream.Kind.choices, label="To")
    url = forms.CharField(max_length=2000, required=False, label="Address of the webhook (https)")
    format = forms.ChoiceField(choices=Stream.Format.choices, label="Form")
    types = forms.CharField(
        max_length=2000,
        required=False,
        label="Only these types of entries, with spaces between; all if empty",
    )
    from_start = forms.BooleanField(required=False, label="From the log's first entry, not the next")


overview = first_workspace("streams", "export_log")


@workspace_page("export_log")
@never_cache
@require_GET
def listing(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The streams, and the form."""
    return shown(request, workspace, StreamForm())


def shown(request: HttpRequest, workspace: Workspace, form: StreamForm, status: int = 200) -> HttpResponse:
    """The list with a form."""
    may_change = may(request.user, CHANGE, workspace)
    context = {
        **admin.site.each_context(request),
        "title": f"Streams of the log: {workspace}",
        "workspace": workspace,
        "workspaces": workspaces_for(request.user, "export_log").order_by("name"),
        "rows": [dress(row, may_change=may_change) for row in streams.in_log(workspace.log_id)],
        "form": form,
        "may_change": may_change,
        "has_folder": bool(settings.STREAM_FOLDER),
    }
    return render(request, "admin/log/streams.html", context, status=status)


def dress(stream: Any, *, may_change: bool) -> Any:
    """A stream with what pages show of it."""
    stream.health = streams.health(stream, stream.size)
    stream.color, stream.word = COLORS[stream.health], WORDS[stream.health]
    stream.lag = max(0, stream.size - stream.cursor.next)
    is_file = stream.kind == Stream.Kind.FILE
    stream.where = folders.path_of(stream) if is_file else streams.address(stream, whole=may_change)
    return stream


@workspace_page(CHANGE)
@never_cache
@require_POST
def create(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """Set a stream up; its secret is on the page that answers, this once."""
    form = StreamForm(request.POST)
    if not form.is_valid():
        return shown(request, workspace, form, status=400)
    values = form.cleaned_data
    try:
        stream, secret = streams.create(
            workspace.log_id,
            name=values["name"],
            kind=values["sink"],
            url=values["url"].strip() if values["sink"] == Stream.Kind.WEBHOOK else "",
            format=values["format"],
            types=values["types"].replace(",", " ").split(),
            from_start=values["from_start"],
            actor=actor_in(request),
        )
    except REFUSALS as refusal:
        form.add_error(None, str(refusal))
        return shown(request, workspace, form, status=400)
    if not secret:
        return HttpResponseRedirect(reverse("stream", args=[workspace.slug, stream.public_id]))
    return one(request, workspace, stream.public_id, secret=secret)


def find(workspace: Workspace, public_id: str) -> Any:
    """A stream of the workspace's log. Raises Http404."""
    row = streams.in_log(workspace.log_id).filter(public_id=public_id).first()
    if row is None:
        raise Http404("There is no such stream.")
    return row


@workspace_page("export_log")
@never_cache
@require_GET
def page(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """How a stream is doing."""
    return one(request, workspace, public_id)


def one(request: HttpRequest, workspace: Workspace, public_id: str, *, secret: str = "") -> HttpResponse:
    """A stream's page, with its secret where it is new."""
    may_change = may(person_of(request), CHANGE, workspace)
    stream = dress(find(workspace, public_id), may_change=may_change)
    context = {
        **admin.site.each_context(request),
        "title": f"Stream {stream.name}",
        "subtitle": str(workspace),
        "workspace": workspace,
        "stream": stream,
        "secret": secret,
        "letters": stream.dead_letters.filter(sent_at=None).order_by("index")[:LETTERS],
        "may_change": may_change,
    }
    return render(request, "admin/log/stream.html", context)


def button(change: Callable[..., object], said: str) -> View:
    """The view of a button that does this to a stream and says so."""

    @workspace_page(CHANGE)
    @require_POST
    def press(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
        try:
            change(find(workspace, public_id), actor=actor_in(request))
            messages.success(request, said)
        except REFUSALS as refusal:
            messages.error(request, str(refusal))
        kept = Stream.objects.filter(public_id=public_id).exists()
        return HttpResponseRedirect(
            reverse("stream", args=[workspace.slug, public_id])
            if kept
            else reverse("streams", args=[workspace.slug])
        )

    return press


def send_test(stream: Stream, *, actor: str) -> None:
    """A test changes nothing, so nobody is named for it."""
    streams.ask_for_test(stream)


def send_again(stream: Stream, *, actor: str) -> None:
    """Neither does sending again."""
    streams.send_again(stream)


pause = button(streams.pause, "Paused. It goes on where it was, once it is resumed.")
resume = button(streams.resume, "Resumed; it goes on where it was.")
remove = button(streams.remove, "Removed. What it has sent stays where it is.")
try_out = button(send_test, "The worker sends a test; look again in a moment for what came of it.")
again = button(send_again, "The worker sends the dead letters once more.")


@workspace_page(CHANGE)
@never_cache
@require_POST
def exchange(request: HttpRequest, workspace: Workspace, public_id: str) -> HttpResponse:
    """Another secret, on the page that answers, this once."""
    try:
        secret = streams.exchange_secret(find(workspace, public_id), actor=actor_in(request))
    except REFUSALS as refusal:
        messages.error(request, str(refusal))
        secret = ""
    return one(request, workspace, public_id, secret=secret)
