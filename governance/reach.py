"""What a rule can reach in a workspace: tools, agents, resources, and the variables of its condition."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property, lru_cache

from governance.conditions import VARIABLES
from governance.forms import Form, can_meet, covers, form_of, top_level_arguments
from governance.notation import listed, suggestion
from governance.reading import Problem
from governance.rules import Rule
from governance.selection import LABEL, Glob, compile_selector
from governance.shapes import (
    ANY,
    Interval,
    Shape,
    list_of,
    literal,
    map_of,
    of_kind,
    shape_of,
    texts,
)  # fmt: skip
from workspaces.declarations import Action, Risk, ToolDeclaration
from workspaces.resources import Pattern, PatternError

RISKS = texts(risk.value for risk in Risk)
AMOUNT = Shape(frozenset({"double"}), interval=Interval(Decimal(0)))
COUNT = Shape(frozenset({"int"}), interval=Interval(Decimal(0)))
OPEN = Shape(frozenset({"map"}), extra=ANY)


@dataclass(frozen=True)
class Catalog:
    """What a workspace has for rules to name. ``resources`` maps names to patterns, ``agents`` names to
    labels, ``groups`` names to the e-mail addresses of their members, ``resource_labels`` names to labels.
    ``budgets`` are the fields of ``spend``, such as ``agent_day``, that are there for every agent.
    """

    tools: Mapping[str, ToolDeclaration] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    agents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    people: frozenset[str] = frozenset()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resource_labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    budgets: frozenset[str] = frozenset()

    @cached_property
    def found_agents(self) -> dict[str, list[str]]:
        """Names of agents by the text that names them: filled as rules ask, so that rules which say the same, or
        name agents exactly, cost nothing however many agents there are."""
        return {}

    def agents_named(self, text: str) -> list[str]:
        """The agents that a text in ``agents`` of a rule selects: a name, a glob or ``label:<label>``."""
        found = self.found_agents.get(text)
        if found is None:
            if text.startswith(LABEL):
                label = text.removeprefix(LABEL)
                found = [name for name, labels in self.agents.items() if label in labels]
            elif "*" in text:
                glob = Glob(text)
                found = [name for name in self.agents if glob.matches(name)]
            else:
                found = [text] if text in self.agents else []
            self.found_agents[text] = found
        return found

    def labels(self) -> set[str]:
        """Every label that a call can bring into a session."""
        declared = [tool.labels for tool in self.tools.values()]
        return {label for labels in (*declared, *self.resource_labels.values()) for label in labels}


@dataclass(frozen=True)
class Target:
    """A tool that a rule can match, and the (action, form) of the resources for which it can."""

    tool: ToolDeclaration
    resources: tuple[tuple[str, Form], ...]


class Reach:
    """Finds what one rule can match, and notes in ``problems`` which of its selectors match nothing."""

    def __init__(self, index: int, rule: Rule, catalog: Catalog) -> None:
        self.index = index
        self.rule = rule
        self.catalog = catalog
        self.problems: list[Problem] = []
        self.agents = self._agents()
        tools = self._tools()
        self.patterns = self._patterns("resources")
        self.exceptions = self._patterns("except_resources")
        targets = [Target(tool, resources_of(tool)) for tool in tools]
        acting = self._with_actions(targets)
        self.targets = self._with_resources(acting)

    def refuse(self, message: str, *where: str | int) -> None:
        self.problems.append(Problem((self.index, *where), message))

    def _tools(self) -> list[ToolDeclaration]:
        for position, text in enumerate(self.rule.tools):
            selector = compile_selector([text])
            if not any(selector.matches(name) for name in self.catalog.tools):
                what = "No tool’s name fits" if "*" in text else "There is no tool"
                self.refuse(f"{what} “{text}”.{suggestion(text, self.catalog.tools)}", "tools", position)
        selector = compile_selector(self.rule.tools)
        return [tool for name, tool in self.catalog.tools.items() if selector.matches(name)]

    def _agents(self) -> Mapping[str, frozenset[str]]:
        for position, text in enumerate(self.rule.agents):
            if self.catalog.agents_named(text):
                continue
            known = self.catalog.agents
            if text.startswith(LABEL):
                options: Iterable[str] = {f"{LABEL}{label}" for labels in known.values() for label in labels}
                hint = suggestion(text, options)
                self.refuse(f"No agent has the label “{text.removeprefix(LABEL)}”.{hint}", "agents", position)
            else:
                what = "No agent’s name fits" if "*" in text else "There is no agent"
                self.refuse(f"{what} “{text}”.{suggestion(text, known)}", "agents", position)
        if not self.rule.agents:
            return self.catalog.agents
        return {
            name: self.catalog.agents[name]
            for text in self.rule.agents
            for name in self.catalog.agents_named(text)
        }

    def _patterns(self, where: str) -> list[Pattern]:
        """The patterns of ``resources`` or ``except_resources``; names stand for those of the workspace."""
        found = []
        for position, text in enumerate(getattr(self.rule, where)):
            pattern = self.catalog.resources.get(text, text)
            if ":" not in pattern:
                hint = suggestion(text, self.catalog.resources)
                self.refuse(
                    f"There is no resource “{text}”.{hint} A pattern begins with its scheme.", where, position
                )
                continue
            try:
                found.append(Pattern.parse(pattern))
            except PatternError as error:
                self.refuse(f"“{text}” is no pattern. {error}", where, position)
        return found

    def _with_actions(self, targets: list[Target]) -> list[Target]:
        if not self.rule.actions or not targets:
            return targets
        for position, action in enumerate(self.rule.actions):
            if not any(action == had for target in targets for had, _ in target.resources):
                had = listed({had for target in targets for had, _ in target.resources})
                message = f"No tool that this rule names has the action {action}; they have {had}."
                self.refuse(message, "actions", position)
        kept = [
            replace(t, resources=tuple(r for r in t.resources if r[0] in self.rule.actions)) for t in targets
        ]
        return [target for target in kept if target.resources]

    def _with_resources(self, targets: list[Target]) -> list[Target]:
        """Only the resources that the patterns leave. Notes patterns that meet nothing, and exceptions of
        all."""
        forms = [form for target in targets for _, form in target.resources]
        if not forms:
            return targets
        for where, patterns in (("resources", self.patterns), ("except_resources", self.exceptions)):
            if len(patterns) != len(getattr(self.rule, where)):
                continue  # some cannot be read, and the positions would be off
            for position, pattern in enumerate(patterns):
                if not any(can_meet(pattern, form) for form in forms):
                    text, had = getattr(self.rule, where)[position], listed({form.text for form in forms})
                    message = f"No resource of a tool that this rule can match fits “{text}”; there is {had}."
                    self.refuse(message, where, position)
        kept = [replace(t, resources=tuple(r for r in t.resources if self._left(r[1]))) for t in targets]
        kept = [target for target in kept if target.resources]
        if not kept and not self.problems:
            self.refuse("The exceptions leave nothing that this rule could match.", "except_resources")
        return kept

    def _left(self, form: Form) -> bool:
        """Whether some resource of the form is named by the rule and not excepted."""
        if any(covers(exception, form) for exception in self.exceptions):
            return False
        if not self.rule.resources:
            return True
        met = [pattern for pattern in self.patterns if can_meet(pattern, form)]
        return any(
            not any(covers(exception, Form(pattern.canonical, pattern.form)) for exception in self.exceptions)
            for pattern in met
        )

    def variables(self, target: Target | None) -> Mapping[str, Shape]:
        """The shapes of a condition's variables for one tool; for no tool in particular, of any."""
        catalog = self.catalog
        text = of_kind("string")
        names = texts(self.agents) if self.agents else text
        agent_labels = {label for labels in self.agents.values() for label in labels}
        resource_labels = {label for labels in catalog.resource_labels.values() for label in labels}
        lists = {name: _members(members) for name, members in catalog.lists.items()}
        return {
            "agent": map_of({"id": text, "name": names, "risk_tier": RISKS, "purpose": text,
                             "labels": _labels(agent_labels) if self.agents else list_of(text)}),
            **_tool_variables(target),
            "resource_labels": _labels(resource_labels) if resource_labels else list_of(text),
            "session": map_of({
                "tools": _labels(catalog.tools) if catalog.tools else list_of(text),
                "labels": _labels(catalog.labels()) if catalog.tools else list_of(text),
                "calls": COUNT, "repeats": COUNT}),
            "spend": map_of(dict.fromkeys(VARIABLES["spend"], AMOUNT), required=catalog.budgets),
            "now": of_kind("timestamp"),
            "lists": map_of(lists),
            "context": OPEN,
            "reason": text,
            "on_behalf_of": text,
        }  # fmt: skip


def _labels(names: Iterable[str]) -> Shape:
    known = frozenset(names)
    return list_of(texts(known), 0, None if known else 0)


def _members(members: tuple[str, ...]) -> Shape:
    return list_of(texts(members), len(members), len(members))


def _tool_variables(target: Target | None) -> dict[str, Shape]:
    if target is None:
        fields = {
            "name": of_kind("string"),
            "action": texts(Action),
            "risk": RISKS,
            "reversible": of_kind("bool"),
        }
        return {
            "tool": map_of({**fields, "labels": list_of(of_kind("string"))}),
            "action": texts(action.value for action in Action),
            "resource": of_kind("string"),
            "args": OPEN,
        }
    tool = target.tool
    return {
        "tool": map_of({"name": literal("string", tool.name), "action": literal("string", tool.action.value),
                        "risk": literal("string", tool.risk.value), "labels": _labels(tool.labels),
                        "reversible": literal("bool", tool.reversible)}),
        "action": texts(action for action, _ in target.resources),
        "resource": Shape(frozenset({"string"}), forms=tuple(form.text for _, form in target.resources)),
        "args": arguments_of(tool),
    }  # fmt: skip


def resources_of(tool: ToolDeclaration) -> tuple[tuple[str, Form], ...]:
    """(action, form) of everything that a call of the tool can touch."""
    if not tool.templates:
        return ((tool.action.value, form_of(f"tool:{tool.name}")),)
    return tuple((each.action.value, _form(each.template)) for each in tool.templates)


@lru_cache(maxsize=4096)
def _form(template: str) -> Form:
    return form_of(template)


def arguments_of(tool: ToolDeclaration) -> Shape:
    """The shape of a tool's arguments: what its schema declares, and what its templates take."""
    shape = OPEN if tool.schema is None else shape_of(tool.schema)
    taken = {name for each in tool.templates for name in top_level_arguments(each.template)}
    if shape.extra is None and shape.fields is not None:
        return shape
    return replace(shape, fields={**{name: shape.field(name) for name in taken}, **(shape.fields or {})})
