"""Every address that Django answers. The gate's paths never get here: see config.asgi."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from billing.admin import spend
from governance.admin import (
    insights,
    optimizing,
    proving,
    pulse,
    replays,
    saved_views,
    stop,
    timelines,
    trials,
)
from workspaces import sso, views
from workspaces.admin import factors, tokens

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("sign-in/code/", views.sign_in_code, name="sign_in_code"),
    path("sign-in/passkey/", views.passkey_options, name="passkey_options"),
    path("sign-in/provider/", sso.start, name="sso"),
    path("sign-in/provider/back/", sso.callback, name="sso_callback"),
    path("signin/<str:token>/", views.sign_in, name="sign_in"),
    path("clients/countersign.py", views.client, name="client"),
    path("admin/live/<slug:slug>/", views.live, name="live"),
    path("admin/policy/<slug:slug>/try/", trials.page, name="policy_trial"),
    path("admin/policy/<slug:slug>/replays/<str:public_id>/", replays.page, name="policy_replay"),
    path(
        "admin/policy/<slug:slug>/replays/<str:public_id>/progress/",
        replays.progress,
        name="policy_replay_progress",
    ),
    path(
        "admin/policy/<slug:slug>/replays/<str:public_id>/cancel/",
        replays.cancel,
        name="policy_replay_cancel",
    ),
    path("admin/log/<slug:slug>/timeline/", timelines.page, name="log_timeline"),
    path("admin/log/<slug:slug>/entries/<int:index>/", proving.permalink, name="log_entry"),
    path("admin/log/<slug:slug>/entries/<int:index>/proof/", proving.proof, name="log_proof"),
    path("admin/log/<slug:slug>/entries/<int:index>/tlog-proof/", proving.tlog_proof, name="log_tlog_proof"),
    path("admin/log/<slug:slug>/entries/<int:index>/content/", proving.content, name="log_content"),
    path("admin/log/<slug:slug>/views/", saved_views.save, name="saved_view_save"),
    path("admin/log/<slug:slug>/views/<str:public_id>/remove/", saved_views.remove, name="saved_view_remove"),
    path("admin/tokens/", tokens.page, name="api_tokens"),
    path("admin/tokens/<str:public_id>/revoke/", tokens.revoke, name="api_token_revoke"),
    path("admin/confirm/", factors.confirm, name="confirm"),
    path("admin/sign-in/", factors.page, name="own_factors"),
    path("admin/sign-in/app/", factors.add_app, name="add_app"),
    path("admin/sign-in/passkey/", factors.add_passkey, name="add_passkey"),
    path("admin/sign-in/recovery-codes/", factors.recovery_codes, name="recovery_codes"),
    path("admin/sign-in/<int:pk>/remove/", factors.remove, name="factor_remove"),
    path("admin/stop/", stop.page, name="stop"),
    path("admin/pulse/<slug:slug>/", pulse.page, name="pulse"),
    path("admin/spend/", spend.overview, name="spend_overview"),
    path("admin/spend/<slug:slug>/", spend.page, name="spend"),
    path("admin/spend/<slug:slug>/figures/", spend.part, name="spend_part"),
    path("admin/spend/<slug:slug>/csv/", spend.export, name="spend_csv"),
    path("admin/optimize/", optimizing.overview, name="optimize_overview"),
    path("admin/optimize/<slug:slug>/", optimizing.page, name="optimize"),
    path("admin/optimize/<slug:slug>/unused/<str:public_id>/", optimizing.unused, name="optimize_unused"),
    path("admin/insights/", insights.overview, name="insights_overview"),
    path("admin/insights/<slug:slug>/", insights.page, name="insights"),
    path("admin/", include("billing.urls")),
    path("admin/", include("governance.urls_access")),
    path("admin/", include("governance.urls_log")),
    path("admin/", include("governance.urls_privacy")),
    path("admin/", include("governance.urls_requests")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("config.urls_api")),
    path("", include("config.urls_logs")),
    path("", include("governance.urls")),
]
