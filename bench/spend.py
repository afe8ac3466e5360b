"""The Spend page, charges and an agent's page, with a million charges of 5,000 agents, through daphne.

Promised: the 95th percentile of each is at most 300 ms, on a machine that does nothing else. Seeding prints how fast
the worker counts charges.
"""

from bench import portal


def measure() -> None:
    """Open each page, slowest first in the table. Raises PromiseBroken."""
    portal.measure("spend")
