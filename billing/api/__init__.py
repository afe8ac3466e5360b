"""The portal's JSON API: budgets, and what is spent."""
