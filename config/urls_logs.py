"""Where logs are served in the form of https://c2sp.org/tlog-tiles: each below the address that its origin names."""

from django.urls import path

from audit.api.tiles import InstallationResource, LogResource

urlpatterns = [
    path("ws/<uuid:uuid>/<path:resource>", LogResource.as_view()),
    path("installation/<uuid:uuid>/<path:resource>", InstallationResource.as_view()),
]
