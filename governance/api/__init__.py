"""The portal's JSON API: approvals, decisions, policies and containment."""
