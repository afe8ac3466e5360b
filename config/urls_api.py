"""Every address of the portal's JSON API, below /api/v1/."""

from typing import Any

from django.urls import path, re_path
from django.urls.resolvers import URLPattern

from audit.api.document import Document, browse
from audit.api.entries import Entries, Facets, Logs, OneEntry
from audit.api.proofs import Consistency, EntryProof, LogCheckpoint
from audit.api.views import NothingHere
from billing.api import budgets, prices, spend
from governance.api import (
    absences,
    access,
    answers,
    approvals,
    containment,
    decisions,
    exports,
    insights,
    members,
    onboarding,
    optimizing,
    overview,
    policies,
    privacy,
    proposals,
    replays,
    reviews,
    standing_approvals,
    streams,
    trials,
)
from workspaces.access.pages import signed_in_page
from workspaces.api import agents, catalog, people

WORKSPACE = "workspaces/<slug:slug>"
AGENT = f"{WORKSPACE}/agents/<str:agent>"
APPROVAL = f"{WORKSPACE}/approvals/<str:approval>"
STANDING = f"{WORKSPACE}/standing-approvals/<str:standing_approval>"
DECISION = f"{WORKSPACE}/decisions/<int:index>"
POLICY = f"{WORKSPACE}/policies/<int:number>"
REPLAY = f"{WORKSPACE}/replays/<str:replay>"
ERASURE = f"{WORKSPACE}/erasures/<str:erasure>"
EXPORT = f"{WORKSPACE}/exports/<str:export>"
PROPOSAL = f"{WORKSPACE}/proposals/<str:proposal>"
STREAM = f"{WORKSPACE}/streams/<str:stream>"
REVIEW = f"{WORKSPACE}/reviews/<str:review_id>"


def at(address: str, view: Any, *, name: str | None = None) -> URLPattern:
    """A view of the API at an address."""
    pattern: URLPattern = path(address, view.as_view(), name=name)
    return pattern


urlpatterns = [
    at("me", people.Me),
    at("tokens", people.Tokens),
    at("tokens/<str:token>", people.OneToken),
    at("inbox", approvals.Inbox),
    at("search", overview.Search),
    at("workspaces", people.Workspaces),
    at(WORKSPACE, people.OneWorkspace),
    at(f"{WORKSPACE}/members", people.Members),
    at(f"{WORKSPACE}/members/<str:person>", people.OneMember),
    at(f"{WORKSPACE}/members/<str:person>/leave", members.MemberLeave),
    at(f"{WORKSPACE}/absences", absences.Absences),
    at(f"{WORKSPACE}/absences/<str:absence>/end", absences.AbsenceEnd),
    at(f"{WORKSPACE}/reviewer-groups", people.ReviewerGroups),
    at(f"{WORKSPACE}/reviewer-groups/<str:name>", people.OneReviewerGroup),
    at(f"{WORKSPACE}/lists", catalog.Lists),
    at(f"{WORKSPACE}/lists/<str:name>", catalog.OneList),
    at(f"{WORKSPACE}/tools", catalog.Tools),
    at(f"{WORKSPACE}/tools/<str:public_id>", catalog.OneTool),
    at(f"{WORKSPACE}/tools/<str:public_id>/propose", proposals.ToolProposal),
    at(f"{WORKSPACE}/resources", catalog.Resources),
    at(f"{WORKSPACE}/resources/<str:public_id>", catalog.OneResource),
    at(f"{WORKSPACE}/roles", catalog.Roles),
    at(f"{WORKSPACE}/roles/<path:name>", catalog.OneRole),
    at(f"{WORKSPACE}/agents", agents.Agents),
    at(AGENT, agents.OneAgent),
    at(f"{AGENT}/callback", agents.Callback),
    at(f"{AGENT}/keys", agents.Keys),
    at(f"{AGENT}/keys/<str:key>", agents.OneKey),
    at(f"{AGENT}/keys/<str:key>/rotate", agents.KeyRotation),
    at(f"{AGENT}/roles", agents.AgentRoles),
    at(f"{AGENT}/grants", agents.Grants),
    at(f"{AGENT}/grants/<str:permission>/<str:target>", agents.OneGrant),
    at(f"{AGENT}/containment", containment.AgentContainment),
    at(f"{AGENT}/observed", onboarding.Observed),
    at(f"{AGENT}/denials/<int:index>", onboarding.Denial),
    at(f"{AGENT}/allowances", onboarding.Allowances),
    at(f"{WORKSPACE}/setup", onboarding.Setup),
    at(f"{WORKSPACE}/registrations", proposals.Registrations),
    at(f"{WORKSPACE}/proposals", proposals.Proposals),
    at(PROPOSAL, proposals.OneProposal),
    at(f"{PROPOSAL}/decide", proposals.ProposalDecision),
    at(f"{PROPOSAL}/cancel", proposals.ProposalCancellation),
    at(f"{PROPOSAL}/key", proposals.ProposalKey),
    at(f"{WORKSPACE}/policies", policies.Policies),
    at(POLICY, policies.OnePolicy),
    at(f"{POLICY}/publish", policies.PolicyPublication),
    at(f"{POLICY}/propose", proposals.PolicyProposal),
    at(f"{POLICY}/redraft", policies.PolicyAgain),
    at(f"{POLICY}/roll-back", policies.PolicyRollBack),
    at(f"{POLICY}/differences", policies.PolicyDifferences),
    at(f"{POLICY}/replay", replays.PolicyReplay),
    at(f"{WORKSPACE}/trial", trials.Trial),
    at(f"{WORKSPACE}/replays", replays.Replays),
    at(REPLAY, replays.OneReplay),
    at(f"{REPLAY}/cancel", replays.ReplayCancellation),
    at(f"{REPLAY}/differences", replays.ReplayDifferences),
    at(f"{WORKSPACE}/access", access.Access, name="api-access"),
    at(f"{WORKSPACE}/access/export", access.AccessFile),
    at(f"{WORKSPACE}/reviews", reviews.Reviews),
    at(REVIEW, reviews.OneReview),
    at(f"{REVIEW}/items", reviews.Items),
    at(f"{REVIEW}/items/<int:number>/answer", reviews.ItemAnswer),
    at(f"{REVIEW}/sign", reviews.ReviewSignature),
    at(f"{WORKSPACE}/exports", exports.Exports),
    at(EXPORT, exports.OneExport),
    at(f"{EXPORT}/file", exports.ExportFile),
    at(f"{WORKSPACE}/erasures", privacy.Erasures),
    at(ERASURE, privacy.OneErasure),
    at(f"{ERASURE}/confirm", privacy.ErasureConfirmation),
    at(f"{ERASURE}/cancel", privacy.ErasureCancellation),
    at(f"{WORKSPACE}/holds", privacy.Holds),
    at(f"{WORKSPACE}/holds/<str:hold>/release", privacy.HoldRelease),
    at(f"{WORKSPACE}/streams", streams.Streams),
    at(STREAM, streams.OneStream),
    at(f"{STREAM}/pause", streams.StreamPause),
    at(f"{STREAM}/resume", streams.StreamResumption),
    at(f"{STREAM}/secret", streams.StreamSecret),
    at(f"{STREAM}/test", streams.StreamTest),
    at(f"{STREAM}/send-again", streams.StreamAgain),
    at(f"{WORKSPACE}/approvals", approvals.Approvals),
    at(APPROVAL, approvals.OneApproval),
    at(f"{APPROVAL}/content", approvals.ApprovalContent),
    at(f"{APPROVAL}/decide", approvals.ApprovalDecision),
    at(f"{APPROVAL}/edit", answers.ApprovalEdit),
    at(f"{APPROVAL}/edit/preview", answers.ApprovalEditPreview),
    at(f"{APPROVAL}/ask", answers.ApprovalQuestion),
    at(f"{APPROVAL}/standing", standing_approvals.Gift),
    at(f"{WORKSPACE}/approval-answers", answers.ApprovalBatch),
    at(f"{WORKSPACE}/standing-approvals", standing_approvals.StandingApprovals),
    at(f"{WORKSPACE}/standing-approval-suggestions", standing_approvals.StandingApprovalSuggestions),
    at(STANDING, standing_approvals.OneStandingApproval),
    at(f"{STANDING}/revoke", standing_approvals.StandingApprovalRevocation),
    at(f"{WORKSPACE}/decisions", decisions.Decisions),
    at(DECISION, decisions.OneDecision),
    at(f"{DECISION}/content", decisions.DecisionContent),
    at(f"{WORKSPACE}/spend", spend.Spend),
    at(f"{WORKSPACE}/charges", spend.Charges),
    at(f"{WORKSPACE}/budgets", budgets.Budgets),
    at(f"{WORKSPACE}/budgets/<str:budget>", budgets.OneBudget),
    at(f"{WORKSPACE}/budgets/<str:budget>/reset", budgets.BudgetReset),
    at(f"{WORKSPACE}/prices", prices.Prices),
    at(f"{WORKSPACE}/prices/quote", prices.Quote),
    at(f"{WORKSPACE}/repricings", prices.Repricings),
    at(f"{WORKSPACE}/repricings/preview", prices.RepricingPreview),
    at(f"{WORKSPACE}/bills", prices.Bills),
    at(f"{WORKSPACE}/bills/<str:bill>", prices.OneBill),
    at(f"{WORKSPACE}/containment", containment.WorkspaceContainment),
    at(f"{WORKSPACE}/pulse", overview.WorkspacePulse),
    at(f"{WORKSPACE}/insights", insights.WorkspaceInsights),
    at(f"{WORKSPACE}/findings", optimizing.Findings),
    at("installation/containment", containment.InstallationContainment),
    at("installation/health", overview.Health),
    at("installation/leave", members.Departure),
    at("installation/leave/preview", members.DeparturePreview),
    at("installation/return", members.Return),
    at("logs", Logs),
    at("logs/<uuid:uuid>/entries", Entries),
    at("logs/<uuid:uuid>/entries/<int:index>", OneEntry),
    at("logs/<uuid:uuid>/facets", Facets),
    at("logs/<uuid:uuid>/entries/<int:index>/proof", EntryProof),
    at("logs/<uuid:uuid>/checkpoint", LogCheckpoint),
    at("logs/<uuid:uuid>/consistency", Consistency),
    path("openapi.json", Document.as_view(), name="api-document"),
    path("docs/", signed_in_page(browse), name="api-docs"),
    re_path("", NothingHere.as_view()),
]
