"""Addresses of the portal's JSON API, below /api/v1/."""

from django.urls import path, re_path

from governance import api

urlpatterns = [
    path("installation/containment", api.InstallationContainment.as_view()),
    path("workspaces/<slug:slug>/containment", api.WorkspaceContainment.as_view()),
    path("workspaces/<slug:slug>/agents/<str:public_id>/containment", api.AgentContainment.as_view()),
    re_path("", api.NothingHere.as_view()),
]
