"""The portal's JSON API: people, workspaces, agents and what these are given."""
