"""Addresses of the pages about who can do what, below admin/."""

from django.urls import path

from governance.admin import access, leavers

urlpatterns = [
    path("access/", access.overview, name="access_overview"),
    path("access/<slug:slug>/", access.page, name="access"),
    path("access/<slug:slug>/csv/", access.export, name="access_csv"),
    path("access/<slug:slug>/people/<str:public_id>/", access.person, name="access_person"),
    path("access/<slug:slug>/people/<str:public_id>/leave/", leavers.from_workspace, name="access_leave"),
    path("installation/leaver/", leavers.from_installation, name="leaver"),
]
