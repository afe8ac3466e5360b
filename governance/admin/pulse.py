"""What is going on, for an open desk."""

from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from governance.pulse import read
from workspaces.access.pages import workspace_page
from workspaces.models import Workspace


@workspace_page()
@require_GET
def page(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """The last hour as JSON, asked for every few seconds."""
    response = JsonResponse(asdict(read(workspace, timezone.now())))
    response["Cache-Control"] = "no-store, private"
    return response
