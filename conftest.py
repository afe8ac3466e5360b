"""Loads the suite's own pytest plugins; the cast lives in tests/conftest.py."""

pytest_plugins = ["tests.servers", "tests.contracts.configuration_triggers"]
