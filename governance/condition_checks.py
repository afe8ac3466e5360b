"""The condition of one rule, checked for every tool that the rule can match."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from cel_expr_python import cel

from governance.calls import Findings, Note
from governance.conditions import VARIABLES, compile_condition
from governance.costs import BUDGET, slowest
from governance.expressions import ConditionError, Node, condition_error, parse, position
from governance.inference import judge
from governance.notation import listed
from governance.reach import Reach
from governance.reading import Problem
from governance.shapes import Shape

# Conditions that read none of these say the same of every tool.
PER_TOOL = frozenset({"args", "tool", "action", "resource"})


def check_condition(reach: Reach) -> list[Problem]:
    """Everything wrong with the rule's condition; nothing where it has none."""
    text = reach.rule.when
    if text is None:
        return []
    path = (reach.index, "when")
    try:
        names = compile_condition(text).names
        tree = parse(text)
    except ConditionError as error:
        return [Problem(path, error.message, error.column, error.line)]
    targets = reach.targets if names & PER_TOOL else reach.targets[:1]
    variants = [(target.tool.name, reach.variables(target)) for target in targets]
    if not variants:
        if reach.problems:
            return []  # nothing that the rule names exists, so nothing can be said of its arguments
        variants = [("any tool", reach.variables(None))]
    judged = [(tool, *judge(tree, variables)) for tool, variables in variants]
    notes = _merge([(tool, findings) for tool, findings, _ in judged])
    outcomes = {outcome for _, _, outcome in judged}
    if not notes and outcomes in ({True}, {False}):
        notes = [Note(0, ALWAYS if True in outcomes else NEVER)]
    problems = [_problem(path, text, note) for note in notes]
    return problems or _check_types(path, text) or _check_cost(path, tree, variants)


ALWAYS = "The condition is true for every call: leave “when” out, or correct it."
NEVER = "The condition is true for no call, so the rule can never match: correct it, or drop the rule."


def _problem(path: tuple[str | int, ...], text: str, note: Note) -> Problem:
    line, column = position(text, note.offset)
    return Problem(path, note.message, column, line)


def _merge(judged: list[tuple[str, Findings]]) -> list[Note]:
    """One note a place. A note that counts ``everywhere`` needs every tool for which the place is reached."""
    noted: Mapping[int, dict[str, Note]] = defaultdict(dict)
    for tool, findings in judged:
        for note in findings.notes:
            noted[note.offset].setdefault(tool, note)
    merged = []
    for offset, by_tool in sorted(noted.items()):
        reached = [tool for tool, findings in judged if offset in findings.reached or tool in by_tool]
        certain = {tool: note for tool, note in by_tool.items() if not note.everywhere}
        if not certain and len(by_tool) < len(reached):
            continue
        tools, notes = list(certain or by_tool), list((certain or by_tool).values())
        note = next((note for note in notes if "Did you mean" in note.message), notes[0])
        where = "" if len(tools) == len(judged) else f" So it is for {listed(tools)}."
        merged.append(Note(offset, note.message + where))
    return merged


def _check_types(path: tuple[str | int, ...], text: str) -> list[Problem]:
    """What Google's type checker finds besides; it knows the kinds of variables and not their fields."""
    try:
        _CHECKER.compile(text)
    except Exception as error:  # the binding raises RuntimeError for everything
        found = condition_error(text, str(error))
        return [Problem(path, found.message, found.column, found.line)]
    return []


def _check_cost(
    path: tuple[str | int, ...], tree: Node, variants: Iterable[tuple[str, Mapping[str, Shape]]]
) -> list[Problem]:
    for tool, variables in variants:
        seconds = slowest(tree, variables)
        if seconds > BUDGET:
            message = (
                f"The condition can take {seconds * 1000:.1f} ms for {tool} and has {BUDGET * 1000:.0f}; "
                "bound the arguments it goes through in the schema (maxItems, maxLength), or make it simpler."
            )
            return [Problem(path, message, 1, 1)]
    return []


def _cel_type(kind: str | Mapping[str, str]) -> cel.Type:
    known = {
        "string": cel.Type.STRING,
        "timestamp": cel.Type.TIMESTAMP,
        "list(string)": cel.Type.List(cel.Type.STRING),
    }
    if isinstance(kind, str) and not kind.startswith("map"):
        return known.get(kind, cel.Type.DYN)
    return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)


def _function(name: str, taken: cel.Type, given: cel.Type) -> cel.FunctionDecl:
    return cel.FunctionDecl(name, [cel.Overload(f"{name}_of", given, [taken], False)])


_CHECKER = cel.NewEnv(
    variables={name: _cel_type(kind) for name, kind in VARIABLES.items()},
    functions=[
        _function("is_private", cel.Type.STRING, cel.Type.BOOL),
        _function("domain", cel.Type.STRING, cel.Type.STRING),
        _function("links", cel.Type.DYN, cel.Type.List(cel.Type.STRING)),
        _function("has_secret", cel.Type.DYN, cel.Type.BOOL),
    ],
)
