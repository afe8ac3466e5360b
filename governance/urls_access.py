"""Addresses of the pages about who can do what, below admin/."""

from django.urls import path

from governance.admin import absences, access, leavers, reviews

urlpatterns = [
    path("access/", access.overview, name="access_overview"),
    path("access/<slug:slug>/", access.page, name="access"),
    path("access/<slug:slug>/csv/", access.export, name="access_csv"),
    path("access/<slug:slug>/people/<str:public_id>/", access.person, name="access_person"),
    path("access/<slug:slug>/people/<str:public_id>/leave/", leavers.from_workspace, name="access_leave"),
    path("access/<slug:slug>/reviews/", reviews.listing, name="access_reviews"),
    path("access/<slug:slug>/reviews/<str:review_id>/", reviews.page, name="access_review"),
    path("access/<slug:slug>/reviews/<str:review_id>/answer/", reviews.answer, name="access_review_answer"),
    path("access/<slug:slug>/reviews/<str:review_id>/sign/", reviews.sign, name="access_review_sign"),
    path(
        "access/<slug:slug>/reviews/<str:review_id>/summary/", reviews.summary, name="access_review_summary"
    ),
    path("absences/", absences.overview, name="absences_overview"),
    path("access/<slug:slug>/absences/", absences.page, name="absences"),
    path("access/<slug:slug>/absences/<str:public_id>/end/", absences.end, name="absence_end"),
    path("installation/leaver/", leavers.from_installation, name="leaver"),
]
