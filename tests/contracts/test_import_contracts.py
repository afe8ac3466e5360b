"""The contracts in pyproject.toml hold, name every package, and notice an import that breaks them."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = CONFIGURATION["root_packages"]
# Run beside the servers, never inside them.
NO_SERVERS = {"bench", "clients", "demo", "docs", "fuzz", "tests"}

PLANTED = [
    ("audit.planted", "import workspaces", "Imports point one way"),
    ("workspaces.planted", "import billing", "Imports point one way"),
    ("governance.planted", "import gate", "Imports point one way"),
    ("governance.policies", "from governance import checks", "Inside governance"),
    ("governance.outcomes", "from governance import flows", "Inside governance"),
    ("governance.models", "from governance import admin", "Inside governance"),
    ("audit.models", "from audit import admin", "Inside the other apps"),
    ("governance.planted", "from guardian.shortcuts import assign_perm", "Only workspaces.access imports"),
    ("gate.planted", "from channels.layers import get_channel_layer", "Only audit.live and config.asgi"),
    ("governance.checks", "from viewflow import this", "Only governance's flows"),
    ("billing.planted", "from rest_framework import status", "Only an api"),
    ("audit.planted", "from starlette.responses import Response", "Only gate imports starlette"),
    ("audit.verify", "from django.db import models", "audit.verify runs without Django"),
    ("audit.witness.ledger", "from django.conf import settings", "A witness, and what it stands on"),
    ("audit.policy", "from audit import log", "A witness, and what it stands on"),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts, to plant imports in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def source_of(tree: Path, module: str) -> Path:
    """The file of a dotted module, which is made when it is missing."""
    path = tree.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    path.touch()
    return path


def plant(tree: Path, module: str, line: str) -> None:
    """Append an import to a module of the copy; `from package import name` makes package.name too."""
    path = source_of(tree, module)
    path.write_text(f"{path.read_text()}\n{line}\n")
    match line.split():
        case ["from", package, "import", name] if package in PACKAGES:
            source_of(tree, f"{package}.{name}")


def test_the_tree_keeps_its_contracts() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("module", "line", "contract"), PLANTED)
def test_a_planted_import_breaks_its_contract(tree: Path, module: str, line: str, contract: str) -> None:
    plant(tree, module, line)
    result = lint_imports(tree)
    assert result.returncode == 1, result.stdout + result.stderr
    broken = [text for text in result.stdout.splitlines() if " BROKEN" in text]
    assert any(text.startswith(contract) for text in broken), result.stdout


def test_the_allowed_importers_stay_allowed(tree: Path) -> None:
    plant(tree, "audit.live", "import channels")
    plant(tree, "gate.planted", "import starlette")
    plant(tree, "governance.flows.approval", "import viewflow")
    plant(tree, "workspaces.access", "import guardian, rest_framework")
    plant(tree, "workspaces.api.planted", "import django_filters, rest_framework")
    result = lint_imports(tree)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_package_of_the_servers_is_under_contract() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NO_SERVERS
    assert packages == set(PACKAGES)


def test_the_verifier_imports_the_standard_library_and_cryptography_only() -> None:
    source = (ROOT / "audit" / "verify.py").read_text()
    assert imported_packages(source) <= sys.stdlib_module_names | {"cryptography"}
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(ast.parse(source)))


def imported_packages(source: str) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names
