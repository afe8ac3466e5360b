"""Every address that Django answers. The gate's paths never get here: see config.asgi."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from governance.admin import pulse, stop
from workspaces import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("signin/<str:token>/", views.sign_in, name="sign_in"),
    path("admin/live/<slug:slug>/", views.live, name="live"),
    path("admin/stop/", stop.page, name="stop"),
    path("admin/pulse/<slug:slug>/", pulse.page, name="pulse"),
    path("admin/", include("governance.urls_access")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.urls_api")),
    path("", include("governance.urls")),
]
