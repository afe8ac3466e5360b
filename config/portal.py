"""The admin's site: signing in is an entry, a password is changed through ``people``, and what a search found
is not remembered."""

import time
from http import HTTPStatus
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse, reverse_lazy
from unfold.dataclasses import SearchResult
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.sites import UnfoldAdminSite

from audit.admin.pages import PortalAdmin
from workspaces import people, sessions, sso
from workspaces.models import User
from workspaces.sessions import BY_LINK

LEFT_OUT = {"view_on_site"}  # would tell which rows there are
FOUND_OF_A_KIND = 8


class PasswordView(LoginView):
    """The sign-in page. Whoever has a second factor is asked for it before they are signed in."""

    authentication_form = AdminAuthenticationForm

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        person = form.get_user()
        assert isinstance(person, User)
        then = self.get_success_url()
        return HttpResponseRedirect(sessions.begin(self.request, person, known_by="password", then=then))


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """A person's new password, set by the function that writes the entry."""

    user: User

    def save(self, commit: bool = True) -> User:
        person = User.objects.get(pk=self.user.pk)
        password = self.cleaned_data["new_password1"]
        people.set_password(person, password=password, actor=people.actor_of(person))
        self.user = person  # whose new hash keeps this session signed in
        return person


class FirstPasswordForm(OwnPasswordForm):
    """For who has none yet, or came by a one-time link because it is forgotten: no old one is asked for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.fields["old_password"]


class Portal(UnfoldAdminSite):
    """Countersign's admin."""

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Only pages of ours: other apps' own know no workspace, and write around the log."""
        if admin_class is not None and issubclass(admin_class, PortalAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def get_urls(self) -> list[URLPattern]:
        return [pattern for pattern in super().get_urls() if getattr(pattern, "name", "") not in LEFT_OUT]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Sign in by a password, or at the provider that this page leads to."""
        index = reverse("admin:index", current_app=self.name)
        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(index)
        then = sessions.inside(request.GET.get("next", ""), index)
        context = {
            **self.each_context(request),
            "title": "Sign in",
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            "provider": sso.name(),
            "provider_address": sso.start_address(then),
            **({} if "next" in request.GET or "next" in request.POST else {"next": index}),
            **(extra_context or {}),
        }
        view = PasswordView.as_view(template_name="admin/login.html", extra_context=context)
        response = view(request)
        assert isinstance(response, HttpResponse)
        return response

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        none_yet = isinstance(request.user, User) and not request.user.has_usable_password()
        first = none_yet or BY_LINK in request.session
        view = PasswordChangeView.as_view(
            form_class=FirstPasswordForm if first else OwnPasswordForm,
            template_name="workspaces/own_password.html",
            success_url=reverse("admin:password_change_done", current_app=self.name),
            title="Set a password" if first else "Change your password",
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        response = view(request)
        assert isinstance(response, HttpResponse)
        if response.status_code == HTTPStatus.FOUND:
            request.session.pop(BY_LINK, None)
        return response

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Pages and rows by name, public id or an entry's index. Nothing is cached: what was visible a minute ago
        may not be now."""
        from governance.admin.finding import find  # admin modules register with this site, so it comes first

        begun = time.perf_counter()
        term = request.GET.get("s", "").strip()[:100]
        if not term:
            return HttpResponse()
        apps = self.get_app_list(request)
        # First the rows: looking for pages takes the other models out of the list.
        rows = self.rows_named(request, apps, term)
        exactly = [
            SearchResult(title=each.title, description=each.kind, link=each.link, icon="target")
            for each in find(request.user, term)
        ]
        paginator = Paginator([*exactly, *self._search_apps(apps, term.lower()), *rows], per_page=100)
        context = {
            "page_obj": paginator,
            "results": paginator.page(1),
            "page_counter": 0,
            "execution_time": time.perf_counter() - begun,
            "command_show_history": False,
        }
        template = "command_results" if "extended" in request.GET else "search_results"
        headers = {"HX-Trigger": "search", "Cache-Control": "no-store, private"}
        return TemplateResponse(request, f"unfold/helpers/{template}.html", context, headers=headers)

    def rows_named(self, request: HttpRequest, apps: list[dict[str, Any]], term: str) -> list[SearchResult]:
        """The first few rows of each model whose search fields contain the term."""
        results = []
        for model in [each["model"] for app in apps for each in app["models"]]:
            pages = self._registry[model]
            if not pages.get_search_fields(request):
                continue
            rows, _ = pages.get_search_results(request, pages.get_queryset(request), term)
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            results += [
                SearchResult(
                    title=str(row),
                    description=str(model._meta.verbose_name).capitalize(),
                    link=reverse_lazy(name, args=[row.pk]),
                    icon="arrow_forward",
                )
                for row in rows[:FOUND_OF_A_KIND]
            ]
        return results
