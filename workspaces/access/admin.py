"""Pages of the admin, scoped to the workspaces in which a person has the permission.

Superusers have no bypass: they hold no workspace. Each change is made by the function of a noun module, which
writes its entry; what that refuses becomes an error of the form, or a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import messages
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from audit.admin.pages import PortalAdmin
from workspaces.access.roles import VIEW
from workspaces.access.scoping import Forbidden, may, may_somewhere, workspaces_for
from workspaces.changes import Guarded, OtherWorkspace
from workspaces.models import User, Workspace
from workspaces.people import actor_of

REFUSALS: tuple[type[Exception], ...] = (ValidationError, OtherWorkspace, Guarded)

Method = TypeVar("Method", bound=Callable[..., HttpResponse | None])


def person_of(request: HttpRequest) -> User:
    """Who is signed in. The admin lets nobody else this far."""
    person = request.user
    assert isinstance(person, User)
    return person


def actor_in(request: HttpRequest) -> str:
    """How entries name who is signed in."""
    return actor_of(person_of(request))


def act(name: str, *refusals: type[Exception]) -> Callable[[Method], Method]:
    """Mark ``method(self, request, obj)`` as what a button at ``<pk>/<name>/`` does, by POST only.

    What it raises of ``refusals`` is shown as a message on the object's page.
    """

    def mark(method: Method) -> Method:
        method.act = (name, (*REFUSALS, *refusals))  # type: ignore[attr-defined]
        return method

    return mark


def sentences(refusal: Exception) -> Iterator[tuple[str | None, str]]:
    """(field or None, sentence) of each thing that a refusal says."""
    if isinstance(refusal, ValidationError):
        if hasattr(refusal, "error_dict"):
            for field, texts in refusal.message_dict.items():
                yield from ((None if field == "__all__" else field, text) for text in texts)
        else:
            yield from ((None, text) for text in refusal.messages)
    elif problems := getattr(refusal, "problems", None):
        for problem in problems:
            yield (str(problem.path[0]) if problem.path else None), problem.message
    else:
        yield None, str(refusal)


class ActingForm(forms.ModelForm):
    """A form whose validation ends with the change itself, so that a refusal stands at the field it is about.

    ``apply`` calls the noun module and returns the row; nothing is assigned to the instance before.
    ``person`` is set by the admin. ``as_one`` is a transaction around ``apply``; a form whose one write judges much
    before it locks does without.
    """

    person: ClassVar[User]
    as_one: ClassVar[bool] = True
    refusals: ClassVar[tuple[type[Exception], ...]] = REFUSALS

    @property
    def actor(self) -> str:
        return actor_of(self.person)

    def apply(self, values: dict[str, Any]) -> Model:
        """Make the change and return the row."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        if self.errors:
            return
        try:
            with transaction.atomic() if self.as_one else nullcontext():
                self.instance = self.apply(self.cleaned_data)
        except self.refusals as refusal:
            for field, sentence in sentences(refusal):
                self.add_error(field if field in self.fields else None, sentence)

    def save(self, commit: bool = True) -> Any:
        """The row as ``apply`` returned it."""
        return self.instance

    def save_m2m(self) -> None:
        """Everything was saved by ``apply``."""


class WorkspaceFilter(SimpleListFilter):
    """One of the workspaces that the person sees; shown only where there are several."""

    title = "workspace"
    parameter_name = "workspace"
    scope = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.scope = model_admin.scope
        visible = workspaces_for(request.user, model_admin.view_permission).order_by("name")
        return [(workspace.slug, str(workspace)) for workspace in visible]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        path = f"{self.scope}__slug" if self.scope else "slug"
        return queryset.filter(**{path: self.value()})


class ScopedAdmin(PortalAdmin):
    """The pages of rows that belong to a workspace; ``scope`` is the lookup that leads there, empty for the
    workspace itself. A permission that is None belongs to nobody."""

    scope = "workspace"
    view_permission: str = VIEW
    add_permission: str | None = None
    change_permission: str | None = None
    delete_permission: str | None = None
    list_filter: Any = [WorkspaceFilter]

    def get_queryset(self, request: HttpRequest) -> Any:
        visible = workspaces_for(request.user, self.view_permission)
        path = f"{self.scope}__in" if self.scope else "pk__in"
        return super().get_queryset(request).filter(**{path: visible.values("pk")})

    def workspace_of(self, obj: Any) -> Workspace:
        """The workspace of a row."""
        for step in self.scope.split("__") if self.scope else ():
            obj = getattr(obj, step)
        assert isinstance(obj, Workspace)
        return obj

    def allows(self, request: HttpRequest, permission: str | None, obj: Any) -> bool:
        """Whether the person may do this to a row, or, without one, to some row of some workspace."""
        if permission is None:
            return False
        if obj is None:
            return may_somewhere(request.user, permission)
        workspace = self.workspace_of(obj)
        return may(request.user, VIEW, workspace) and may(request.user, permission, workspace)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request, self.view_permission, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.allows(request, self.add_permission, None)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request, self.change_permission, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.allows(request, self.delete_permission, obj)

    def require(self, request: HttpRequest, permission: str | None, obj: Any) -> None:
        """Raise Forbidden unless the person may do this to the row."""
        if not self.allows(request, permission, obj):
            raise Forbidden(f"Your roles do not include {permission!r} here; ask an owner of the workspace.")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.person = person_of(request)
        return form

    def get_list_filter(self, request: HttpRequest) -> Any:
        return self.list_filter

    def formfield_for_foreignkey(self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any) -> Any:
        """Choices end at the wall: workspaces in which the person may add, and what is in visible ones."""
        if db_field.related_model is Workspace:
            permission = self.add_permission or self.view_permission
            kwargs["queryset"] = workspaces_for(request.user, permission).order_by("name")
            if kwargs["queryset"].count() == 1:
                kwargs["initial"] = kwargs["queryset"].get()
        else:
            visible = workspaces_for(request.user, self.view_permission)
            path = "memberships__workspace__in" if db_field.related_model is User else "workspace__in"
            rows = db_field.related_model._default_manager.filter(**{path: visible.values("pk")})
            kwargs["queryset"] = rows.distinct()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Without the buttons beside a choice that open what it leads to."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return field

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        """The form has done it: see ActingForm."""
        assert isinstance(form, ActingForm)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.remove(obj, actor=actor_in(request))

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What a removal refuses is shown as a message on the object's page."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except REFUSALS as refusal:
            for _, sentence in sentences(refusal):
                messages.error(request, sentence)
            return HttpResponseRedirect(self.page_of(self.find(request, object_id)))

    def remove(self, obj: Any, *, actor: str) -> None:
        """Call the noun module that removes such a row."""
        raise NotImplementedError

    def panels(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What an object's page shows beside its fields."""
        return {}

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        if obj is not None:
            context.update(self.panels(request, obj))
        return super().render_change_form(request, context, *args, **kwargs)

    def page_of(self, obj: Any) -> str:
        """The address of an object's page."""
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk])

    def get_urls(self) -> list[URLPattern]:
        own = [self.beside(method.act[0], self.button(method)) for method in self.acts()]
        return own + super().get_urls()

    def beside(self, name: str, view: Callable[..., HttpResponse]) -> URLPattern:
        """The address ``<pk>/<name>/`` of a view beside an object's page."""
        page: URLPattern = path(
            f"<path:object_id>/{name}/",
            self.admin_site.admin_view(view),
            name=f"{self.opts.app_label}_{self.opts.model_name}_{name}",
        )
        return page

    def acts(self) -> list[Any]:
        """The methods that ``act`` marks."""
        names = [name for name in dir(type(self)) if hasattr(getattr(type(self), name), "act")]
        return [getattr(self, name) for name in names]

    def button(self, method: Any) -> Callable[..., HttpResponse]:
        """The view of a marked method."""

        def view(request: HttpRequest, object_id: str) -> HttpResponse:
            if request.method != "POST":
                return HttpResponseNotAllowed(["POST"])
            obj = self.find(request, object_id)
            try:
                answer = method(request, obj)
            except method.act[1] as refusal:
                for _, sentence in sentences(refusal):
                    messages.error(request, sentence)
                answer = None
            return answer or HttpResponseRedirect(self.page_of(obj))

        return view


def filled(form: forms.Form) -> dict[str, Any]:
    """The values of a form. Raises ValidationError with everything that is wrong with them."""
    if not form.is_valid():
        raise ValidationError(
            [
                f"{form.fields[name].label or name.replace('_', ' ').capitalize()}: {text}"
                if name in form.fields
                else text
                for name, texts in form.errors.items()
                for text in texts
            ]
        )
    return form.cleaned_data
