"""Arguments as judged, and a tool in the form that judges them."""

import hashlib
from typing import Any

from audit import canonical
from workspaces.declarations import ANY_ELEMENT, Derived, ToolDeclaration
from workspaces.resources import Template, steps
from workspaces.schemas import (
    MAX_DEFAULTS,
    MAX_TOLD,
    SchemaDocument,
    TooManyDefaults,
    complete,
    escape,
    unescape,
)

TOO_MUCH_TO_EXPLAIN = "The arguments do not fit, and are too large to say where; send less, or check them."
WITHHELD = {"withheld": "declared sensitive"}
PLACEHOLDER = (
    "withheld"  # the one member of an object, or the first word in brackets, that stands for what is
)


class InvalidArguments(ValueError):
    """Arguments that do not fit the tool's schema.

    `problems`: dicts of `pointer` (a JSON pointer into the arguments) and `message` (which quotes no value).
    """

    code = "invalid_arguments"

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__(
            "; ".join(f"{problem['pointer'] or '/'}: {problem['message']}" for problem in problems)
        )
        self.problems = problems


class Tool:
    """A compiled declaration. Made once when configuration is loaded; everything it does is pure.

    `digest` is the SHA-256, in hex, of the declaration in canonical JSON (RFC 8785).
    """

    def __init__(self, declaration: ToolDeclaration) -> None:
        self.declaration = declaration
        self.digest = hashlib.sha256(canonical.encode(declaration.as_dict())).hexdigest()
        document = None if declaration.schema is None else SchemaDocument(declaration.schema)
        if document is not None and document.problems:
            raise ValueError(f"tool {declaration.name}: {document.problems[0].message}")
        self._document = document
        self._shape = document.shape if document else None
        self._validator = document.validator if document else None
        self._templates = [
            (Template.parse(each.template, declaration.default_scheme), each.action)
            for each in declaration.templates
        ]
        self.joins = any(len(template.placeholders) > 1 for template, _ in self._templates)
        self.is_sensitive = bool(declaration.sensitive)
        self._itself = Derived(f"tool:{declaration.name}", declaration.action)
        self._sensitive = [
            [unescape(token) for token in pointer[1:].split("/")] for pointer in declaration.sensitive
        ]

    def judge_arguments(self, arguments: dict[str, Any], *, nulls: bool = True) -> dict[str, Any]:
        """`arguments` as rules see them: nulls dropped, defaults filled in, validated. Changes nothing in them.

        `nulls` is False where the caller knows that there are none: without a schema, they are the same then.

        A member that the schema requires may be null where the schema allows null (as strict function calling
        writes optional arguments); it is absent in the result all the same. Raises InvalidArguments.
        """
        if not isinstance(arguments, dict):
            raise InvalidArguments([{"pointer": "", "message": "Arguments are an object."}])
        if self._document is None and not nulls:
            return arguments
        try:
            judged: dict[str, Any] = complete(arguments, self._shape, [MAX_DEFAULTS])
            if self._validator is None or self._validator.is_valid(judged):
                return judged
            shown = complete(arguments, self._shape, [MAX_DEFAULTS], keep_required_nulls=True)
        except TooManyDefaults as error:
            message = "The arguments leave out more than the schema's defaults may fill in."
            raise InvalidArguments([{"pointer": "", "message": message}]) from error
        if self._validator.is_valid(shown):
            return judged
        raise InvalidArguments(self._problems(shown))

    def _problems(self, arguments: dict[str, Any]) -> list[dict[str, str]]:
        assert self._document is not None
        problems = [
            {"pointer": "".join(f"/{escape(step)}" for step in error.instance_path), "message": error.message}
            for error in self._document.explain(arguments, self._validator, MAX_TOLD)
        ]
        return problems or [{"pointer": "", "message": TOO_MUCH_TO_EXPLAIN}]

    def derive(self, arguments: dict[str, Any]) -> list[Derived]:
        """The resources that judged `arguments` touch, each once, in the order of the templates.

        `tool:<name>` stands for a call that names none: the tool has no templates, or the arguments fill
        none. Raises AmbiguousResource.
        """
        if not self._templates:
            return [self._itself]
        derived = [
            Derived(resource, action)
            for template, action in self._templates
            for resource in template.expand(arguments)
        ]
        if len(derived) > 1:
            return list(dict.fromkeys(derived))
        return derived or [self._itself]

    def names_in_templates(self) -> set[str]:
        """The arguments from which resources are made, by their names at the top."""
        templates = [template for template, _ in self._templates]
        return {str(steps(placeholder)[0]) for template in templates for placeholder in template.placeholders}

    def mask_joined(self, arguments: dict[str, Any], mark: str) -> dict[str, Any]:
        """`arguments` with those replaced by `mark` that a template joins to others."""
        joined = [template for template, _ in self._templates if len(template.placeholders) > 1]
        names = {steps(placeholder)[0] for template in joined for placeholder in template.placeholders}
        return {key: mark if key in names else value for key, value in arguments.items()}

    def redact(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """`arguments` with what is declared sensitive withheld, and the pointers to what was withheld.

        Copies only what it changes.
        """
        withheld: list[str] = []
        for keys in self._sensitive:
            arguments = _withhold(arguments, keys, "", withheld)
        return arguments, withheld


def _withhold(value: Any, keys: list[str], pointer: str, withheld: list[str]) -> Any:
    """`value` with what `keys` lead to replaced; in a list `*` leads to every element."""
    if not keys:
        if value == WITHHELD:
            return value
        withheld.append(pointer)
        return dict(WITHHELD)
    key, *rest = keys
    if isinstance(value, dict) and key in value:
        return value | {key: _withhold(value[key], rest, f"{pointer}/{escape(key)}", withheld)}
    if isinstance(value, list):
        return [
            _withhold(element, rest, f"{pointer}/{index}", withheld)
            if key in (ANY_ELEMENT, str(index))
            else element
            for index, element in enumerate(value)
        ]
    return value


def is_withheld(value: Any) -> bool:
    """Whether a placeholder stands somewhere in a recorded value."""
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict):
            if PLACEHOLDER in current and len(current) == 1:
                return True
            waiting += [*current, *current.values()]
        elif isinstance(current, list):
            waiting += current
        elif isinstance(current, str) and f"[{PLACEHOLDER}: " in current:
            return True
    return False
