"""Addresses of the pages by which a log leaves, below admin/."""

from django.urls import path

from governance.admin import exports, streams

STREAM = "log/<slug:slug>/streams/<str:public_id>/"

urlpatterns = [
    path("exports/", exports.overview, name="exports_overview"),
    path("log/<slug:slug>/exports/", exports.page, name="exports"),
    path("log/<slug:slug>/exports/<str:public_id>/progress/", exports.progress, name="export_progress"),
    path("log/<slug:slug>/exports/<str:public_id>/file/", exports.download, name="export_file"),
    path("streams/", streams.overview, name="streams_overview"),
    path("log/<slug:slug>/streams/", streams.listing, name="streams"),
    path("log/<slug:slug>/streams/new/", streams.create, name="stream_create"),
    path(STREAM, streams.page, name="stream"),
    path(f"{STREAM}pause/", streams.pause, name="stream_pause"),
    path(f"{STREAM}resume/", streams.resume, name="stream_resume"),
    path(f"{STREAM}secret/", streams.exchange, name="stream_secret"),
    path(f"{STREAM}test/", streams.try_out, name="stream_test"),
    path(f"{STREAM}send-again/", streams.again, name="stream_again"),
    path(f"{STREAM}remove/", streams.remove, name="stream_remove"),
]
