"""Addresses of the pages about prices, below admin/."""

from django.urls import path

from billing.admin import bills, prices

urlpatterns = [
    path("prices/", prices.overview, name="prices_overview"),
    path("prices/<slug:slug>/", prices.page, name="prices"),
    path("prices/<slug:slug>/set/", prices.put, name="price_set"),
    path("prices/<slug:slug>/reprice/", prices.reprice, name="reprice"),
    path("prices/<slug:slug>/bills/", bills.listing, name="bills"),
    path("prices/<slug:slug>/reprice/start/", prices.start_repricing, name="reprice_start"),
    path("prices/<slug:slug>/bills/upload/", bills.upload, name="bill_upload"),
    path("prices/<slug:slug>/bills/<str:public_id>/", bills.page, name="bill"),
    path("prices/<slug:slug>/bills/<str:public_id>/csv/", bills.download, name="bill_csv"),
]
