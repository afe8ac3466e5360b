"""A workspace as the file that ``apply`` reads: what ``manifest_reading`` reads, written back."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from billing.models import Budget
from governance.configuration import amounts_of, configuration_of, latest, terms_of
from governance.differences import with_spans
from governance.manifest import PERMISSIONS
from workspaces.declarations import Action, Risk, ToolDeclaration
from workspaces.models import Standing, Workspace

HEADING = "# Written by manage.py export_workspace. The format is that of docs/concepts/workspace-file.md.\n"
USUAL = {"hard": True, "when_short": Budget.WhenShort.WAIT, "downgrade_to": "", "warn_at": []}  # of a budget
UNDECLARED = ToolDeclaration("", Action.READ).as_dict()
# What the file's reader takes for a number and YAML 1.1 for text, and characters that end a line or are not seen;
# but for lengths of time.
QUOTED = re.compile(r"(?![1-9][0-9]*[smhd]\Z)[-+]?[.0-9].*|.*[^ -~\u00a1-\u2027\u202f-\ud7ff].*", re.DOTALL)
SHORT = 100
SEQUENCE, MAPPING = "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"


class Laid(dict[str, Any]):
    """A mapping whose fields stand one below the other, however short they are."""


class Lines(list[Any]):
    """A list whose items stand one below the other."""


class FileDumper(yaml.SafeDumper):
    """YAML as people write workspace files: short lists and mappings on one line, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if QUOTED.fullmatch(text) or "'" in text else None
    )


def dump_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    return dumper.represent_sequence(SEQUENCE, items, flow_style=is_short(items))


def dump_mapping(dumper: yaml.SafeDumper, fields: dict[str, Any]) -> yaml.Node:
    return dumper.represent_mapping(MAPPING, fields, flow_style=is_short(fields))


def is_short(value: Any) -> bool:
    """Whether a list or mapping fits on one line: of scalars, or of one short list of these."""
    inner = list(value.values()) if isinstance(value, dict) else value
    return len(str(value)) < SHORT and all(
        not isinstance(each, dict | list) or not any(isinstance(one, dict | list) for one in each)
        for each in inner
    )


FileDumper.add_representer(str, dump_text)
FileDumper.add_representer(list, dump_list)
FileDumper.add_representer(dict, dump_mapping)
FileDumper.add_representer(
    Laid, lambda dumper, fields: dumper.represent_mapping(MAPPING, fields, flow_style=False)
)
FileDumper.add_representer(
    Lines, lambda dumper, items: dumper.represent_sequence(SEQUENCE, items, flow_style=False)
)


def written(workspace: Workspace) -> str:
    """The workspace file. Revoked agents are history and not in it, nor are keys, standings and times of use."""
    sections = {name: value for name, value in file_of(workspace).items() if value not in ({}, [])}
    return HEADING + "\n".join(
        yaml.dump(part, Dumper=FileDumper, sort_keys=False, allow_unicode=True, width=SHORT)
        for part in parted(sections)
    )


def parted(sections: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings of the workspace itself, then each section, to be set apart by empty lines."""
    yield Laid({name: value for name, value in sections.items() if not isinstance(value, dict | list)})
    for name, value in sections.items():
        if isinstance(value, dict):
            yield Laid({name: Laid(value)})
        elif isinstance(value, list):
            yield Laid({name: Lines(value)})


def file_of(workspace: Workspace) -> dict[str, Any]:
    """The file's sections as plain values, in the order in which people read them."""
    now = configuration_of(workspace)
    return {
        "workspace": workspace.slug,
        **now["workspace"][workspace.slug],
        "people": [
            {"email": email} | filled({"name": person["name"]}) | {"roles": sorted(person["roles"])}
            for email, person in now["person"].items()
        ],
        "groups": {name: group["people"] for name, group in now["group"].items()},
        "lists": {name: named["members"] for name, named in now["list"].items()},
        "tools": [tool_of(tool) for tool in now["tool"].values()],
        "resources": [{"name": name, **filled(resource)} for name, resource in now["resource"].items()],
        "roles": {name: bundle_of(role["grants"]) for name, role in now["role"].items()},
        "agents": [agent_of(name, agent) for name, agent in now["agent"].items()],
        "policy": [with_spans(rule) for rule in now["rule"].values()],
        "budgets": budgets_of(workspace),
        "prices": prices_of(workspace),
    }


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in ("", [], {}, None, False)}


def tool_of(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A declaration without what it has by default."""
    tool = {name: value for name, value in declared.items() if value != UNDECLARED[name] or name == "action"}
    templates = [
        each["template"] if each["action"] == declared["action"] else each for each in declared["resource"]
    ]
    if templates:
        tool["resource"] = (
            templates[0] if len(templates) == 1 and isinstance(templates[0], str) else templates
        )
    return tool


def bundle_of(grants: Mapping[str, Any]) -> dict[str, list[str]]:
    """What a role bundles, by permission: “use files.read” is under use."""
    found: dict[str, list[str]] = {}
    for permission, target in in_order(grants):
        found.setdefault(permission, []).append(target)
    return found


def in_order(grants: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(permission, name of its target) of each grant, always in the same order."""
    pairs = [(permission, target) for permission, _, target in (grant.partition(" ") for grant in grants)]
    return sorted(pairs, key=lambda pair: (PERMISSIONS.index(pair[0]), pair[1]))


def agent_of(name: str, agent: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's entry."""
    roles, grants = agent["roles"], agent["grants"]
    said = {
        field: agent[field]
        for field in (
            "purpose",
            "labels",
            "acts_for",
            "isolated_runs",
            "sessions_per_hour",
            "cost_center",
            "loop_limits",
        )
    }
    if agent["risk_tier"] != Risk.LOW.value:
        said["risk_tier"] = agent["risk_tier"]
    said["roles"] = sorted(roles)
    said["until"] = {role: roles[role] for role in sorted(roles) if roles[role] is not None}
    said["grants"] = [
        {permission: target} | filled({"until": grants[f"{permission} {target}"]})
        for permission, target in in_order(grants)
    ]
    return {"name": name, "owner": agent["owner"], **filled(said)}


def budgets_of(workspace: Workspace) -> list[dict[str, Any]]:
    """Limits, but for those of agents that are history, without what they have by default."""
    rows = Budget.objects.filter(workspace=workspace).exclude(agent__standing=Standing.REVOKED)
    return [
        filled({"agent": row.agent.name if row.agent else None, "session": row.scope == Budget.Scope.SESSION})
        | {"window": row.window}
        | filled({"tool": row.tool, "model": row.model})
        | {name: value for name, value in terms_of(row).items() if value != USUAL.get(name)}
        for row in rows.select_related("agent").order_by("pk")
    ]


def prices_of(workspace: Workspace) -> list[dict[str, Any]]:
    """What models cost; one without an amount goes back to the public list."""
    return [
        {"model": row.model, "starts": row.starts.isoformat()} | amounts_of(row) | filled({"note": row.note})
        for row in latest(workspace)
    ]
