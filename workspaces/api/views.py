"""Views of what is in one workspace: who may not see that gets 404, who sees it but may not act, 403."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.mixins import CreateModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from audit.api.views import OPERATOR, SIGNED_IN, Listing, PortalView
from workspaces.access import VIEW, NotVisible, get_workspace, operates
from workspaces.models import User, Workspace
from workspaces.people import actor_of

__all__ = [
    "OPERATOR",
    "SIGNED_IN",
    "VIEW",
    "InstallationView",
    "NamedListing",
    "NamedRows",
    "OneNamed",
    "PersonView",
    "WorkspaceView",
    "found",
]


class PersonView(PortalView):
    """A view that knows who asks."""

    @property
    def person(self) -> User:
        """Who asks; the default permissions let nobody else this far."""
        person = self.request.user
        assert isinstance(person, User)
        return person

    @property
    def actor(self) -> str:
        """How entries name who asks."""
        return actor_of(self.person)


class WorkspaceView(PersonView):
    """A view below ``workspaces/{slug}/``. ``permission`` says what each method asks there."""

    workspace: Workspace

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Find the workspace. Raises NotVisible and Forbidden."""
        super().initial(request, *args, **kwargs)
        asked = self.asked()
        assert asked is not None
        self.workspace = get_workspace(self.person, kwargs["slug"], asked)


class InstallationView(PersonView):
    """A view of the installation, for its operators, who hold no workspace."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises PermissionDenied for everybody else, and for a token that is for one workspace."""
        super().initial(request, *args, **kwargs)
        if not operates(self.person):
            raise PermissionDenied("Only an administrator of the installation may do this.")


def found(row: Any, what: str) -> Any:
    """The row again. Raises NotVisible for none."""
    if row is None:
        raise NotVisible(f"There is no such {what}.")
    return row


class NamedRows(WorkspaceView):
    """Rows of the workspace that have a name; ``what`` is how a problem calls one, ``lookup`` what an address has."""

    model: ClassVar[Any]
    what: ClassVar[str]
    lookup = "name"

    def get_queryset(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._default_manager.filter(workspace=self.workspace)
        return rows.select_related("workspace")

    def row(self) -> Any:
        """The row of the address. Raises NotVisible."""
        key = self.kwargs[self.lookup]
        return found(self.get_queryset().filter(**{self.lookup: key}).first(), self.what)

    def apply(self, name: str, values: dict[str, Any]) -> Model:
        """Make the row of this name what the values say, by its noun module."""
        raise NotImplementedError

    def remove(self, row: Any) -> None:
        """Remove a row, by its noun module."""
        raise NotImplementedError


class NamedListing(NamedRows, CreateModelMixin, Listing):
    """All such rows by name, and new ones."""

    order = "name"
    cursor = "name"

    def post(self, request: Request, slug: str) -> Response:
        """Create one. A name that is taken is refused."""
        values = self.read(request)
        name = values.pop("name")
        if self.get_queryset().filter(name=name).exists():
            raise ValidationError({"name": f"There is a {self.what} called {name} here already."})
        row = self.apply(name, values)
        return self.shown(self.get_queryset().get(pk=row.pk), created=True)


class OneNamed(NamedRows):
    """One of them. Its name stays as it is."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        """What it is."""
        return self.shown(self.row())

    def put(self, request: Request, **kwargs: Any) -> Response:
        """Make it what the body says; what is left out has its default. A name in the body is the one it has."""
        row = self.row()
        values = self.read(request)
        if values.pop("name") != row.name:
            raise ValidationError({"name": f"A {self.what} keeps its name, {row.name}."})
        self.apply(row.name, values)
        return self.shown(self.row())

    def delete(self, request: Request, **kwargs: Any) -> Response:
        """Remove it."""
        self.remove(self.row())
        return Response(status=204)
