"""Reading a workspace file, section by section.

Its format is described in ``docs/concepts/workspace-file.md``. Reading knows no database: whether a name that
the file uses means anything is found out by ``governance.reconciliation``.
"""

import hashlib
from typing import Any

from governance import manifest_fields as reading
from governance.manifest import (
    PERMISSIONS,
    AgentEntry,
    GrantEntry,
    GroupEntry,
    ListEntry,
    Manifest,
    PersonEntry,
    ResourceEntry,
    RoleEntry,
    ToolEntry,
)
from governance.manifest_fields import End, Fields, Problems, Reference
from governance.manifest_file import FileRefused, Node, read
from governance.manifest_money import read_budgets, read_prices
from governance.rules import RuleErrors, parse_rules
from workspaces.declarations import DeclarationError, Risk, parse_declaration
from workspaces.loop_limits import LoopLimitsError, parse_loop_limits
from workspaces.models import Membership

SECTIONS = ("workspace", "name", "timezone", "two_people", "retention_days", "people", "groups", "lists", "tools",
            "resources", "roles", "agents", "policy", "budgets", "prices")  # fmt: skip
AGENT_FIELDS = ("name", "owner", "purpose", "labels", "risk_tier", "acts_for", "isolated_runs",
                "sessions_per_hour", "cost_center", "loop_limits", "roles", "until", "grants")  # fmt: skip


def parse(raw: bytes) -> Manifest:
    """Read a workspace file; its ``problems`` say what is wrong with it. Raises FileRefused where it is not
    even YAML, or names no workspace."""
    document = read(raw)
    problems = Problems(document.problems)
    top = Fields(document.root, problems, "A workspace file", SECTIONS)
    slug = named(top, "workspace", "the workspace's slug")
    if slug is None:
        raise FileRefused(problems.found)
    manifest = Manifest(
        digest=hashlib.sha256(raw).hexdigest(),
        document=document,
        slug=slug,
        name=top.text("name") or None,
        timezone=top.text("timezone") or None,
        two_people=top.flag("two_people"),
        retention_days=top.whole("retention_days"),
        problems=problems,
    )
    for section in (read_people, read_catalog, read_agents, read_policy, read_budgets, read_prices):
        section(manifest, top)
    return manifest


def read_people(manifest: Manifest, top: Fields) -> None:
    """People, and the reviewer groups they sit in."""
    problems = manifest.problems
    known = Membership.Role.values
    for node in reading.entries_of(top.get("people"), problems, "people"):
        entry = Fields(node, problems, "A person", ("email", "name", "roles"))
        email = named(entry, "email", "the address that they sign in with")
        entry.required("roles", f"at least one of {', '.join(known)}")
        roles = entry.references("roles")
        for role in roles:
            if role.name not in known:
                problems.unknown(role, known, "role of people", f"there are {', '.join(known)}")
        names = frozenset(role.name for role in roles).intersection(known)
        if email and manifest.claim("people", folded(email)) and names:
            manifest.people[folded(email).name] = PersonEntry(folded(email), entry.text("name"), names)
    for name, node in reading.named_entries_of(top.get("groups"), problems, "groups"):
        members = reading.references_of(node, problems, "A group")
        manifest.claim("groups", name)
        manifest.groups[name.name] = GroupEntry(name, [folded(member) for member in members])


def read_catalog(manifest: Manifest, top: Fields) -> None:
    """Lists, tools, resources and roles for agents."""
    problems = manifest.problems
    for name, node in reading.named_entries_of(top.get("lists"), problems, "lists"):
        members = reading.references_of(node, problems, "A list")
        manifest.claim("lists", name)
        manifest.lists[name.name] = ListEntry(name, [member.name for member in members])
    for node in reading.entries_of(top.get("tools"), problems, "tools"):
        read_tool(manifest, node)
    for node in reading.entries_of(top.get("resources"), problems, "resources"):
        entry = Fields(node, problems, "A resource", ("name", "pattern", "labels", "steward"))
        resource = named(entry, "name", "the name that grants and rules use")
        pattern = named(entry, "pattern", "the resources that it means, such as https://*/*")
        labels = entry.texts("labels")
        if resource and manifest.claim("resources", resource) and pattern:
            steward = named(entry, "steward", "an e-mail address") if entry.get("steward") else None
            manifest.resources[resource.name] = ResourceEntry(
                resource, pattern, labels, folded(steward) if steward else None
            )
    for name, node in reading.named_entries_of(top.get("roles"), problems, "roles"):
        entry = Fields(node, problems, "A role", PERMISSIONS)
        bundle = [GrantEntry(each, target) for each in PERMISSIONS for target in entry.references(each)]
        manifest.claim("roles", name)
        manifest.roles[name.name] = RoleEntry(name, bundle)


def read_tool(manifest: Manifest, node: Node) -> None:
    """One tool; what it may say is known by ``workspaces.declarations``."""
    name = node.fields.get("name") if node.fields is not None else None
    own = name is None or not name.text or manifest.claim("tools", Reference(name.text, name.place))
    try:
        declaration = parse_declaration(node.plain())
    except DeclarationError as error:
        for problem in error.problems:
            field = f"“{problem.path[0]}”: " if problem.path else ""
            manifest.problems.add(node.find(problem.path), f"{field}{problem.message}")
        return
    if own and name is not None:
        reference = Reference(declaration.name, name.place)
        manifest.tools[reference.name] = ToolEntry(reference, declaration)


def read_agents(manifest: Manifest, top: Fields) -> None:
    """Agents, with their roles and grants."""
    problems = manifest.problems
    for node in reading.entries_of(top.get("agents"), problems, "agents"):
        entry = Fields(node, problems, "An agent", AGENT_FIELDS)
        name = named(entry, "name", "the name that rules use")
        owner = named(entry, "owner", "the e-mail address of a person here")
        nobody = Reference("", node.place)
        agent = AgentEntry(
            name=name or nobody,
            owner=folded(owner or nobody),
            purpose=entry.text("purpose"),
            labels=entry.texts("labels"),
            risk_tier=entry.choice("risk_tier", [risk.value for risk in Risk], Risk.LOW.value),
            acts_for=[folded(person) for person in entry.references("acts_for")],
            isolated_runs=entry.flag("isolated_runs") or False,
            sessions_per_hour=entry.whole("sessions_per_hour"),
            cost_center=entry.text("cost_center"),
            loop_limits=loop_limits(entry),
            roles=agent_roles(entry),
            grants=agent_grants(entry),
        )
        if name and manifest.claim("agents", name) and owner:
            manifest.agents[name.name] = agent


def loop_limits(entry: Fields) -> dict[str, Any]:
    """What of loops differs from the defaults; what it may say is known by ``workspaces.loop_limits``."""
    node = entry.get("loop_limits")
    if node is None:
        return {}
    written = node.plain()
    try:
        parse_loop_limits(written)
    except LoopLimitsError as error:
        for problem in error.problems:
            entry.problems.add(node.find(problem.path), problem.message)
        return {}
    found: dict[str, Any] = written
    return found


def agent_roles(entry: Fields) -> list[tuple[Reference, End]]:
    """An agent's roles, each with its end from ``until``."""
    roles = entry.references("roles")
    names = {role.name for role in roles}
    ends = {}
    for role, node in reading.named_entries_of(entry.get("until"), entry.problems, "until"):
        ends[role.name] = reading.end_of(node, entry.problems)
        if role.name not in names:
            entry.problems.unknown(role, names, "role of this agent", "name it in “roles” too")
    return [(role, ends.get(role.name, End())) for role in roles]


def agent_grants(entry: Fields) -> list[GrantEntry]:
    """Grants straight to an agent, such as ``{use: files.read, until: 2027-01-31}``."""
    found: dict[tuple[str, str], GrantEntry] = {}
    for node in reading.entries_of(entry.get("grants"), entry.problems, "grants"):
        fields = Fields(node, entry.problems, "A grant", (*PERMISSIONS, "until"))
        end = fields.end("until")
        given = [permission for permission in PERMISSIONS if permission in fields.fields]
        if len(given) != 1:
            message = (
                "A grant names one permission and what it is on, such as {use: a tool} or {read: a resource}."
            )
            entry.problems.add(node.place, message)
            continue
        target = named(fields, given[0], "the name of one tool or resource")
        if target is None:
            continue
        if (given[0], target.name) in found:
            message = f"“{target.name}” is granted twice; keep the one with the end that you mean."
            entry.problems.add(target.place, message)
        found[given[0], target.name] = GrantEntry(given[0], target, end)
    return list(found.values())


def read_policy(manifest: Manifest, top: Fields) -> None:
    """The rules, as they are written. Those that cannot be read are left out, and noted; what the others mean
    is judged by the workspace that the file leads to."""
    node = top.get("policy")
    if node is None:
        return
    rules = node.plain()
    broken: set[str | int | None] = set()
    try:
        parse_rules(rules)
    except RuleErrors as error:
        for problem in error.problems:
            manifest.problems.add(manifest.place_in_policy(problem), problem.message)
            broken.add(problem.path[0] if problem.path else None)
    manifest.rules = [] if None in broken else [index for index in range(len(rules)) if index not in broken]
    manifest.policy = [rules[index] for index in manifest.rules]


def named(entry: Fields, name: str, remedy: str) -> Reference | None:
    """The text of a field that must be there, with its place."""
    node = entry.required(name, remedy)
    text = reading.text_of(node, entry.problems, f"“{name}”") if node else None
    if node is not None and text == "":
        entry.problems.add(node.place, f"“{name}” is empty; write {remedy}.")
    return Reference(text, node.place) if node and text else None


def folded(email: Reference) -> Reference:
    """An address as it is stored: in lower case."""
    return Reference(email.name.lower(), email.place)
