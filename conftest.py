"""Gives each test process a data folder of its own, and loads the suite's pytest plugins; the cast lives in
tests/conftest.py. This module is imported before Django's settings are read."""

import atexit
import os
import shutil
import tempfile

if "COUNTERSIGN_TEST_FOLDER" not in os.environ or "PYTEST_XDIST_WORKER" in os.environ:
    folder = tempfile.mkdtemp(prefix="countersign-tests-")
    os.environ["COUNTERSIGN_TEST_FOLDER"] = os.environ["COUNTERSIGN_DATA_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

pytest_plugins = ["tests.services", "tests.contracts.configuration_triggers"]
