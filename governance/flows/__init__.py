"""What people decide, as viewflow processes. Routes only: every effect is a call into a noun module below."""

from governance.flows.access_request import AccessRequestFlow
from governance.flows.approval import ApprovalFlow
from governance.flows.onboarding import OnboardingFlow
from governance.flows.policy_change import PolicyChangeFlow

__all__ = ["AccessRequestFlow", "ApprovalFlow", "OnboardingFlow", "PolicyChangeFlow"]
