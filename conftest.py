"""Loads the suite's own pytest plugin; the cast lives in tests/conftest.py."""

pytest_plugins = ["tests.services"]
