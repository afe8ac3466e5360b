"""What the documentation claims, as far as a test can hold it: settings, commands, codes, entry types, links."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from starlette.routing import Route

from audit.registry import entry_types
from billing.api.fields import DollarsField
from gate.app import router
from governance import manifest_reading, reconciliation
from governance.decide import REFUSED_APPROVAL
from governance.models import PolicyVersion
from governance.readings import WHY

ROOT = Path(__file__).resolve().parents[2]
APPS = ("audit", "workspaces", "billing", "governance", "gate")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
JUDGES = (
    "governance/decide.py", "governance/checks.py", "governance/pending.py", "governance/looping.py",
    "billing/budgets.py", "billing/shortages.py",
)  # fmt: skip
PORTAL_API = (
    "audit/destinations.py", "audit/exports.py", "audit/streams.py", "audit/watermarks.py",
    "billing/bill_files.py", "billing/bills.py", "billing/repricing.py",
    "*/api.py", "*/api/*.py", "governance/absences.py", "governance/approvals.py", "governance/batch_answers.py",
    "governance/bounds.py", "governance/campaigns.py", "governance/coverage.py", "governance/edits.py",
    "governance/containment.py", "governance/erasure.py", "governance/leavers.py", "governance/outcomes.py",
    "governance/enactments.py", "governance/policies.py", "governance/proposals.py", "governance/replays.py",
    "governance/remarks.py", "governance/standing.py", "governance/trials.py",
    "workspaces/access/grants.py", "workspaces/access/tokens.py",
    "workspaces/agents.py", "workspaces/callbacks.py", "workspaces/changes.py", "workspaces/declarations.py",
    "workspaces/factors.py", "workspaces/patterns.py",
)  # fmt: skip
# What the REST framework answers by itself; the tests of the error shape and of tokens provoke each.
FRAMEWORK = {
    "not_authenticated",
    "authentication_failed",
    "method_not_allowed",
    "parse_error",
    "unsupported_media_type",
}
CODE = re.compile(r"[a-z][a-z_]*[a-z]")
APPEALED = ("governance/outcomes.py", "governance/remarks.py", "governance/access_requests.py")
CODED_CALLS = {
    "AccessRefused": 0,
    "BillRefused": 0,
    "EditRefused": 0,
    "StandingRefused": 0,
    "RemarkRefused": 0,
    "Problem": 1,
    "Refused": 1,
    "NotPending": 0,
    "ParseError": 0,
    "PermissionDenied": 1,
    "Refusal": 0,
    "Shortage": 0,
    "Verdict": 1,
    "fall_short": 0,
    "deny": 1,
}


def read(page: str) -> str:
    return (ROOT / page).read_text()


def section(page: str, heading: str) -> str:
    """The text under a heading, up to the next heading of any level."""
    _, found, rest = read(page).partition(f"# {heading}\n")
    assert found, f"{page} has no heading {heading!r}."
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a text's table rows, without their headings."""
    lines = re.findall(r"^\| (.*)\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split(" | ")] for line in lines if "`" in line.split(" | ")[0]]


def named(text: str) -> set[str]:
    """The first word in code of each table row."""
    return {re.findall(r"`([^` ]+)", cells[0])[0] for cells in rows(text)}


def texts(node: ast.AST | None) -> set[str]:
    """The codes that an expression may be, as far as they are written out there."""
    match node:
        case ast.Constant(value=str(text)) if CODE.fullmatch(text):
            return {text}
        case ast.IfExp(body=one, orelse=other):
            return texts(one) | texts(other)
    return set()


def codes_in(path: Path) -> set[str]:
    """Codes as a module writes them: arguments of what carries one, ``"code": …``, ``code = …``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
                at = CODED_CALLS.get(name)
                if at is not None and len(arguments) > at:
                    found |= texts(arguments[at])
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if texts(key) == {"code"}:
                        found |= texts(value)
            case ast.Assign(targets=[target], value=value):
                found |= assigned(target, value)
    return found


def assigned(target: ast.expr, value: ast.expr) -> set[str]:
    """Codes in ``code = "x"``, ``verdict.code = "x"`` and ``code, status = "x", 409``."""
    match target, value:
        case ((ast.Name(id="code" | "default_code") | ast.Attribute(attr="code")), _):
            return texts(value)
        case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
            return set().union(*(assigned(*pair) for pair in zip(targets, values, strict=True)))
    return set()


def returned_codes(path: Path) -> set[str]:
    """The codes in ``return 404, "not_found", …``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Return(
                value=ast.Tuple(elts=[ast.Constant(value=int()), ast.Constant(value=str(code)), _])
            ):
                found.add(code)
    return found


def decision_codes() -> set[str]:
    judged = set().union(*(codes_in(ROOT / module) for module in JUDGES))
    return (judged | REFUSED_APPROVAL.keys()) - gate_codes()


def problem_codes() -> set[str]:
    """The codes of the problems that the gate answers: its own, and those of what an agent says to people."""
    return gate_codes().union(*(codes_in(ROOT / module) for module in APPEALED))


def gate_codes() -> set[str]:
    """The codes of the gate's own modules, and of what it asks."""
    modules = [*(ROOT / "gate").rglob("*.py"), ROOT / "audit/canonical.py", ROOT / "audit/watermarks.py"]
    found = set().union(*(codes_in(module) for module in modules))
    for path in (ROOT / "governance").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Problem"), args=[ast.Constant(value=int()), code, *_]):
                    found |= texts(code)
    return found


def test_every_setting_is_documented_and_no_other() -> None:
    source = read("config/settings.py")
    used = set(re.findall(r'\benv(?:\.\w+)?\(\s*"([A-Z_]+)"', source))
    used |= set(re.findall(r'"([A-Z_]+)" not in os\.environ', source))
    assert named(section("docs/operations.md", "Settings")) == used


def test_every_command_is_documented_and_no_other() -> None:
    commands = {path.stem for app in APPS for path in (ROOT / app).glob("management/commands/[!_]*.py")}
    assert named(section("docs/operations.md", "Commands")) == commands


def test_every_option_of_a_command_is_documented_with_it() -> None:
    for cells in rows(section("docs/operations.md", "Commands")):
        name = re.findall(r"`([^` ]+)", cells[0])[0]
        (path,) = (path for app in APPS for path in (ROOT / app).glob(f"management/commands/{name}.py"))
        options = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', path.read_text()))
        assert set(re.findall(r"`(--[a-z-]+)`", cells[1])) == options, name


def test_every_code_of_a_decision_is_documented_and_has_words_for_people_and_no_other() -> None:
    assert named(section("docs/api.md", "Codes of decisions")) == decision_codes() == WHY.keys()


def test_every_code_of_a_problem_at_the_gate_is_documented_and_no_other() -> None:
    assert named(section("docs/api.md", "Codes of problems at the gate")) == problem_codes()


def test_every_code_of_the_portals_api_is_documented_and_no_other() -> None:
    modules = [path for pattern in PORTAL_API for path in ROOT.glob(pattern)]
    codes = set().union(*(codes_in(module) | returned_codes(module) for module in modules))
    assert named(section("docs/api.md", "Codes of problems in the portal's API")) == codes | FRAMEWORK


def mistakes_in(path: Path) -> set[str]:
    """Codes of what is wrong with a field: ``code=…``, and the second of what refuses fields."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="refuse" | "refused"), args=[_, code, *_]):
                found |= texts(code)
            case ast.Call(func=ast.Name(id="not_these_days"), args=[code, _]):
                found |= texts(code)
            case ast.Call(keywords=[ast.keyword(arg="code", value=code)]):
                found |= texts(code)
    return found


def test_every_code_of_a_mistake_in_money_is_documented_and_no_other() -> None:
    modules = [ROOT / "billing/limits.py", ROOT / "billing/price_table.py", *ROOT.glob("billing/api/*.py")]
    codes = (
        set().union(*(mistakes_in(module) for module in modules)) | DollarsField.default_error_messages.keys()
    )
    assert named(section("docs/api.md", "Codes of mistakes")) == codes


def test_every_path_of_the_gate_is_documented() -> None:
    paths = {route.path for route in router.routes if isinstance(route, Route)}
    assert paths == set(re.findall(r"(/[^` ]+)`", section("docs/api.md", "The gate")))


def test_every_entry_type_is_described_with_its_sentence() -> None:
    described = {
        name.strip("`"): sentence
        for name, sentence, *_ in rows(read("docs/concepts/entries.md"))
        if "." in name
    }
    assert described == {name: each.sentence for name, each in entry_types.items()}


def test_the_readme_opens_with_the_two_commands() -> None:
    opening = read("README.md").splitlines()[:10]
    commands = [line.split("#")[0].strip() for line in opening if line.startswith("make ")]
    assert commands == ["make demo", "make test"]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([\w%.-]+)(?: [\w%. -]+)?:", read("Makefile"), re.MULTILINE))
    told = {name for page in PAGES for name in re.findall(r"`make (\w[\w-]*)", page.read_text())}
    assert told - {"bench-" + name for name in bench_parts()} <= targets


def bench_parts() -> set[str]:
    """The parts that ``make bench-NAME`` takes."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(read("bench/__main__.py"))):
        match node:
            case ast.AnnAssign(target=ast.Name(id="PARTS"), value=ast.Dict(keys=keys)):
                found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
            case ast.Assign(targets=[ast.Name(id="PROMISES")], value=ast.Dict(keys=keys)):
                found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    assert "sqlite" in found
    return found


@pytest.mark.django_db(transaction=True)
def test_the_readmes_workspace_can_be_applied(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", read("README.md"), re.DOTALL)
    assert yaml.safe_load(example)["workspace"] == "acme"
    manifest = manifest_reading.parse(example.encode())
    reconciliation.apply(manifest, actor="system", keys=tmp_path / "keys.json")
    assert PolicyVersion.objects.get().status == PolicyVersion.Status.IN_FORCE


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and most others make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def links(page: Path) -> Iterator[str]:
    """The relative links of a page, outside of code."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "`", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    dead = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


def test_every_concept_is_in_the_index() -> None:
    index = ROOT / "docs/concepts/README.md"
    listed = {target for target in links(index) if "/" not in target}
    assert listed == {page.name for page in index.parent.glob("*.md")} - {"README.md"}
