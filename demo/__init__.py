"""The demonstration: real servers, a real agent, people at the portal. See ``make demo`` and ``make run``."""
