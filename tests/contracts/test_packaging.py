"""What a stranger downloads: locked requirements with hashes, and no trace of where they were made."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKED = ("requirements/runtime.txt", "requirements/dev.txt")

REGISTRY = re.compile(
    r"\bpypi\.(org|python)|pythonhosted\.org|registry\.npmjs|\b(deb|security)\.debian\.org"
    r"|--(extra-)?index-url|--find-links|--trusted-host"
)
MACHINE_PATH = re.compile(r"file:|\s/\w")


def committed_text() -> dict[str, str]:
    """Every other text file of the checkout that git knows or would add, by its path."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("This tree is not a git checkout.")
    texts = {}
    for name in set(listing.stdout.split("\0")) - {"", Path(__file__).relative_to(ROOT).as_posix()}:
        try:
            texts[name] = (ROOT / name).read_text()
        except (UnicodeDecodeError, OSError):  # a picture, or a file that was removed but not yet committed
            continue
    return texts


def found(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    """Each line that matches, as path:line."""
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def requirement_names(text: str) -> set[str]:
    return {
        re.sub(r"[-_.]+", "-", name).lower()
        for name in re.findall(r"^([A-Za-z0-9][\w.-]*)", text, re.MULTILINE)
    }


def test_no_file_names_a_registry() -> None:
    assert found(REGISTRY, committed_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://mirror.example/simple",
        "https://files.pythonhosted.org/packages/x.whl",
        "see https://pypi.org/project/django",
        "deb http://deb.debian.org/debian bookworm main",
    ],
)
def test_a_registry_would_be_noticed(line: str) -> None:
    assert found(REGISTRY, {"requirements/runtime.txt": line}) == [f"requirements/runtime.txt:1: {line}"]


@pytest.mark.parametrize("path", LOCKED)
def test_the_locked_files_name_no_machine(path: str) -> None:
    text = (ROOT / path).read_text()
    assert found(MACHINE_PATH, {path: text}) == []
    assert found(MACHINE_PATH, {path: text + "\n    # via -r /home/someone/countersign/pyproject.toml"})


@pytest.mark.parametrize("path", LOCKED)
def test_every_locked_package_has_a_version_and_a_hash(path: str) -> None:
    requirements = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / path).read_text())
    assert len(requirements) > 30
    for requirement in requirements:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_every_declared_dependency_is_locked() -> None:
    extras = PROJECT["optional-dependencies"]
    runtime = [*PROJECT["dependencies"], *extras["scale"], *extras["demo"]]
    assert requirement_names("\n".join(runtime)) <= requirement_names((ROOT / LOCKED[0]).read_text())
    assert requirement_names("\n".join([*runtime, *extras["dev"]])) <= requirement_names(
        (ROOT / LOCKED[1]).read_text()
    )


def test_the_development_set_holds_the_runtime_set() -> None:
    runtime, development = ((ROOT / path).read_text() for path in LOCKED)
    versions = set(re.findall(r"^[\w.-]+==[^ \\]+", development, re.MULTILINE))
    assert set(re.findall(r"^[\w.-]+==[^ \\]+", runtime, re.MULTILINE)) <= versions


def test_every_dependency_says_what_needs_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().split("[tool.", 1)[0].splitlines()
    silent = [line for line in lines if re.match(r' {4}"[^"]*>=', line) and "  # " not in line]
    assert silent == []
