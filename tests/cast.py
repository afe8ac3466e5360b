"""The people, agents and things that tests speak of, made through the real functions.

A plain function, so that tests which run servers in processes of their own can call it there too.
"""

from dataclasses import dataclass

from audit import log
from workspaces import access, agents, catalog, people, tenancy
from workspaces.declarations import Action, ResourceTemplate, Risk, ToolDeclaration
from workspaces.models import Agent, Resource, Role, Tool, User, Workspace

ACTOR = "system"
REPEATING = {"repeats": 0, "ping_pong": 0}  # tests make the same call as often as they like


@dataclass(frozen=True)
class Cast:
    """acme, where the tests play, and globex next door."""

    acme: Workspace
    globex: Workspace
    olga: User
    rita: User
    otto: User
    sam: User
    gina: User
    report_bot: Agent
    support_bot: Agent
    globex_bot: Agent
    report_bot_key: str
    support_bot_key: str
    globex_bot_key: str
    tools: dict[str, Tool]
    resources: dict[str, Resource]
    roles: dict[str, Role]


def declare(
    name: str,
    action: Action,
    *templates: str | ResourceTemplate,
    risk: Risk = Risk.LOW,
    labels: tuple[str, ...] = (),
    reversible: bool = True,
    schema: dict[str, object] | None = None,
    default_scheme: str | None = None,
    sensitive: tuple[str, ...] = (),
) -> ToolDeclaration:
    """A tool's declaration; a template given as text has the tool's own action."""
    return ToolDeclaration(
        name=name,
        action=action,
        risk=risk,
        reversible=reversible,
        labels=frozenset(labels),
        schema=schema,
        templates=tuple(
            ResourceTemplate(template, action) if isinstance(template, str) else template
            for template in templates
        ),
        default_scheme=default_scheme,
        sensitive=sensitive,
        cost_nanos=None,
        metered=False,
        trust_reports=False,
    )


TOOLS = [
    declare("files.read", Action.READ, "file://{path}", labels=("private_data",)),
    declare("web.fetch", Action.READ, "{url}", default_scheme="https", labels=("untrusted_output",)),
    declare(
        "mail.send",
        Action.SEND,
        "mailto:{to}",
        "mailto:{cc}",
        ResourceTemplate("file://{attachments[].path}", Action.READ),
        risk=Risk.MEDIUM,
        labels=("external_send",),
        schema={
            "type": "object",
            "required": ["to", "subject", "body"],
            "additionalProperties": False,
            "properties": {
                "to": {"type": ["string", "array"]},
                "cc": {"type": ["string", "array"]},
                "attachments": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["path"],
                        "properties": {"path": {"type": "string"}},
                    },
                },
                "subject": {"type": "string"},
                "body": {"type": "string"},
            },
        },
    ),
    declare(
        "billing.refund",
        Action.SPEND,
        "invoice://{invoice}",
        risk=Risk.HIGH,
        reversible=False,
        sensitive=("/card_number",),
        schema={
            "type": "object",
            "required": ["invoice", "amount"],
            "additionalProperties": False,
            "properties": {
                "invoice": {"type": "string"},
                "amount": {"type": "number", "exclusiveMinimum": 0},
                "card_number": {"type": "string"},
            },
        },
    ),
]
RESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "reports": ("file:///srv/reports/*", ("internal",)),
    "web": ("https://*/*", ()),
    "customers": ("mailto:*@customers.test", ()),
    "anyone": ("mailto:*@*", ()),
    "invoices": ("invoice://*", ()),
}
ROLES = {
    "analyst": [("use", "files.read"), ("use", "web.fetch"), ("read", "reports"), ("read", "web")],
    "support": [
        ("use", "mail.send"),
        ("use", "billing.refund"),
        ("send", "customers"),
        ("send", "anyone"),
        ("spend", "invoices"),
    ],
}


def assemble() -> Cast:
    """Make them all: two transactions for the workspaces, one for everything in them."""
    tenancy.install(actor=ACTOR)
    acme = tenancy.create_workspace("acme", name="Acme Support", timezone="Europe/Berlin", actor=ACTOR)
    globex = tenancy.create_workspace("globex", name="Globex", actor=ACTOR)
    with log.write(log.installation_log_id(), acme.log_id, globex.log_id):
        olga = employ(acme, "olga@acme.test", "Olga Owner", "owner")
        rita = employ(acme, "rita@acme.test", "Rita Review", "approver", "compliance_officer")
        otto = employ(acme, "otto@acme.test", "Otto Oncall", "operator")
        sam = people.create_person("sam@stranger.test", name="Sam Stranger", actor=ACTOR).row
        gina = employ(globex, "gina@globex.test", "Gina Globex", "owner")
        people.set_reviewer_group(acme, name="finance", people=[rita, olga], actor=ACTOR)
        catalog.set_list(
            acme, name="partners", members=["orders@partner.test", "help@partner.test"], actor=ACTOR
        )
        tools, resources, roles = furnish(acme)
        report_bot = agents.create_agent(
            acme,
            "report-bot",
            owner=olga,
            purpose="Weekly reports",
            labels=["internal"],
            loop_limits=REPEATING,
            actor=ACTOR,
        )
        agents.set_agent_roles(report_bot, {roles["analyst"]: None}, actor=ACTOR)
        access.grant(report_bot, permission="use", obj=tools["files.read"], actor=ACTOR)
        support_bot = agents.create_agent(
            acme,
            "support-bot",
            owner=olga,
            labels=["customer-facing"],
            acts_for=[rita],
            loop_limits=REPEATING,
            actor=ACTOR,
        )
        agents.set_agent_roles(support_bot, dict.fromkeys(roles.values()), actor=ACTOR)
        globex_bot = agents.create_agent(globex, "globex-bot", owner=gina, loop_limits=REPEATING, actor=ACTOR)
        keys = [agents.create_key(bot, actor=ACTOR)[1] for bot in (report_bot, support_bot, globex_bot)]
    return Cast(
        acme=acme,
        globex=globex,
        olga=olga,
        rita=rita,
        otto=otto,
        sam=sam,
        gina=gina,
        report_bot=report_bot,
        support_bot=support_bot,
        globex_bot=globex_bot,
        report_bot_key=keys[0],
        support_bot_key=keys[1],
        globex_bot_key=keys[2],
        tools=tools,
        resources=resources,
        roles=roles,
    )


def employ(workspace: Workspace, email: str, name: str, *roles: str) -> User:
    """A person with roles in a workspace."""
    person = people.create_person(email, name=name, actor=ACTOR).row
    people.set_roles(workspace, person, roles=roles, actor=ACTOR)
    return person


def furnish(workspace: Workspace) -> tuple[dict[str, Tool], dict[str, Resource], dict[str, Role]]:
    """The tools, resources and roles of the example workspace file."""
    tools = {
        declaration.name: catalog.set_tool(workspace, declaration=declaration, actor=ACTOR).row
        for declaration in TOOLS
    }
    resources = {
        name: catalog.set_resource(workspace, name=name, pattern=pattern, labels=labels, actor=ACTOR).row
        for name, (pattern, labels) in RESOURCES.items()
    }
    roles = {}
    for name, bundle in ROLES.items():
        grants = [
            (permission, tools[of] if permission == "use" else resources[of]) for permission, of in bundle
        ]
        roles[name] = catalog.set_role(workspace, name=name, bundle=grants, actor=ACTOR).row
    return tools, resources, roles
