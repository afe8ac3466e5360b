"""Addresses outside the admin: personal links to approvals."""

from django.urls import path

from governance import views

urlpatterns = [path("a/<slug:token>/", views.approval_link, name="approval-link")]
