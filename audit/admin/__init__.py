"""The audit trail's pages in the admin, and what every page of the portal's admin has in common."""
