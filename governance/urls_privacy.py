"""Addresses of the pages about what a log keeps of people, below admin/."""

from django.urls import path

from governance.admin import privacy

PLACE = "log/<slug:slug>/privacy/"
ERASURE = f"{PLACE}erasures/<str:public_id>/"

urlpatterns = [
    path("privacy/", privacy.overview, name="privacy_overview"),
    path(PLACE, privacy.page, name="privacy"),
    path(f"{PLACE}erase/", privacy.start, name="erasure_start"),
    path(ERASURE, privacy.one, name="erasure"),
    path(f"{ERASURE}confirm/", privacy.confirm, name="erasure_confirm"),
    path(f"{ERASURE}cancel/", privacy.cancel, name="erasure_cancel"),
    path(f"{PLACE}hold/", privacy.place_hold, name="hold_place"),
    path(f"{PLACE}holds/<str:public_id>/release/", privacy.release_hold, name="hold_release"),
]
