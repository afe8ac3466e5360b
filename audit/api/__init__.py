"""The log in the portal's JSON API, and what every view of that API has in common."""
