"""Addresses of the pages about what people and agents propose, below admin/."""

from django.urls import path

from governance.admin import proposals

PROPOSAL = "requests/<slug:slug>/proposals/<str:public_id>/"

urlpatterns = [
    path("requests/", proposals.listing, name="proposals"),
    path(PROPOSAL, proposals.page, name="proposal"),
    path(f"{PROPOSAL}decide/", proposals.decide, name="proposal_decide"),
    path(f"{PROPOSAL}cancel/", proposals.cancel, name="proposal_cancel"),
    path(f"{PROPOSAL}key/", proposals.make_key, name="proposal_key"),
]
