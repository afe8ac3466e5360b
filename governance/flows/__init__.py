"""What people decide, as viewflow processes. Routes only: every effect is a call into a noun module below."""

from governance.flows.approval import ApprovalFlow

__all__ = ["ApprovalFlow"]
