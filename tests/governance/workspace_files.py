"""Workspace files for tests of apply: a full one, the least one, and those that are refused."""

FULL = """\
workspace: shop
name: The Shop
timezone: Europe/Berlin
people:
  - {email: Olga@shop.test, name: Olga, roles: [owner]}
  - {email: rita@shop.test, name: Rita, roles: [approver, compliance_officer]}
groups:
  finance: [rita@shop.test]
lists:
  partners: [orders@partner.test]
tools:
  - name: files.read
    action: read
    resource: "file://{path}"
    labels: [private_data]
  - name: refund
    action: spend
    risk: high
    reversible: false
    resource: "invoice://{invoice}"
    sensitive: ["/card"]
    cost_usd: "0.02"
    metered: true
    schema:
      type: object
      required: [invoice, amount]
      additionalProperties: false
      properties: {invoice: {type: string}, amount: {type: number}, card: {type: string}}
resources:
  - {name: reports, pattern: "file:///srv/reports/*", labels: [internal], steward: Olga@shop.test}
  - {name: invoices, pattern: "invoice://*"}
roles:
  analyst: {use: [files.read], read: [reports]}
  support: {use: [refund], spend: [invoices]}
agents:
  - name: bot
    owner: olga@shop.test
    purpose: Refunds
    labels: [customer-facing]
    risk_tier: medium
    acts_for: [rita@shop.test]
    isolated_runs: true
    sessions_per_hour: 20
    cost_center: Support 4711
    loop_limits: {repeats: 6, then: ask, tools: {files.read: 0}}
    roles: [analyst, support]
    until: {support: 2027-06-30}
    grants:
      - {use: files.read, until: 2027-01-31}
      - {read: reports, until: 2027-01-31T12:00:00+01:00}
  - {name: reader, owner: olga@shop.test, roles: [analyst]}
policy:
  - name: Refunds above 100 need finance
    tools: [refund]
    agents: ["label:customer-facing"]
    when: args.amount > 100
    effect: require_approval
    approval: {reviewers: ["group:finance"], quorum: 1, expires_in: 1h}
budgets:
  - {agent: bot, window: day, limit_usd: "5.000000001", warn_at: [80, 50]}
  - {agent: bot, session: true, window: ever, limit_usd: 1.5}
  - {window: month, limit_usd: "200.00"}
  - {window: week, tool: refund, limit_usd: "7.50", when_short: ask}
  - {agent: reader, session: true, window: day, model: big, limit_tokens: 70000, hard: false, warn_at: [90]}
  - {window: day, model: big, limit_usd: "9.00", when_short: downgrade, downgrade_to: small}
prices:
  - {model: big, starts: 2026-01-01, input_usd: "1.25", output_usd: "10.00", cache_read_usd: "0.125", note: Contract 17}
  - {model: big, starts: 2026-07-01}
  - {model: "*", starts: 2026-03-01, input_usd: "5.00", call_usd: "0.05"}
"""
MINIMAL = """\
workspace: shop
people:
  - {email: olga@shop.test, roles: [owner]}
"""
# What is wrong with a file: the file, and what must stand in what is told of it.
WRONG: dict[str, tuple[str | bytes, list[str]]] = {
    "unknown field of the file": ("workspace: a\ntool: []\n", ["2:1: A workspace file has no field “tool”"]),
    "unknown field of a person": (
        "workspace: a\npeople:\n  - {email: a@b.test, roles: [owner], pasword: x}\n",
        ["3:39: A person has no field “pasword”"],
    ),
    "unknown field of a tool": (
        "workspace: a\ntools:\n  - name: t\n    action: read\n    lables: [x]\n",
        ["5:5: “lables”: Unknown field"],
    ),
    "unknown field of a rule": (
        "workspace: a\npolicy:\n  - name: r\n    effect: deny\n    tool: [x]\n",
        ["5:5: A rule has no field “tool”"],
    ),
    "unknown field of a grant": (
        MINIMAL
        + "agents:\n  - name: bot\n    owner: olga@shop.test\n    grants: [{use: t, till: 2027-01-01}]\n",
        ["7:23: A grant has no field “till”", "7:20: There is no tool “t”"],
    ),
    "no workspace": ("name: x\n", ["1:1: A workspace file needs “workspace”"]),
    "a slug that is none": ("workspace: Not A Slug\n", ["1:12: Enter a valid “slug”"]),
    "a time zone that is none": (
        "workspace: a\ntimezone: Mars/Base\n",
        ["2:1: 'Mars/Base' is no time zone"],
    ),
    "an address that is none": (
        "workspace: a\npeople: [{email: olga, roles: [owner]}]\n",
        ["2:18: Enter a valid email address"],
    ),
    "a role of people that does not exist": (
        "workspace: a\npeople: [{email: a@b.test, roles: [ownr]}]\n",
        ["2:36: There is no role of people “ownr”", "Did you mean “owner”?"],
    ),
    "a person without roles": (
        "workspace: a\npeople: [{email: a@b.test}]\n",
        ["2:10: A person needs “roles”"],
    ),
    "an unknown person": (
        MINIMAL + "groups: {finance: [ritta@shop.test]}\n",
        ["4:20: There is no person here with the address"],
    ),
    "an unknown tool": (
        MINIMAL + "roles:\n  r:\n    use: [files.raed]\ntools:\n  - {name: files.read, action: read}\n",
        ["6:11: There is no tool “files.raed”", "Did you mean “files.read”?"],
    ),
    "an unknown resource": (MINIMAL + "roles: {r: {read: [web]}}\n", ["4:20: There is no resource “web”"]),
    "an unknown role": (
        MINIMAL + "agents: [{name: b, owner: olga@shop.test, roles: [r]}]\n",
        ["4:51: There is no role for agents “r”"],
    ),
    "an end for a role that is not given": (
        MINIMAL
        + "roles: {r: {}}\nagents: [{name: b, owner: olga@shop.test, roles: [r], until: {s: 2027-01-01}}]\n",
        ["5:63: There is no role of this agent “s”"],
    ),
    "an unknown owner": (
        MINIMAL + "agents: [{name: b, owner: who@shop.test}]\n",
        ["4:27: There is no person here"],
    ),
    "an unknown agent": (
        MINIMAL + 'budgets: [{agent: b, window: day, limit_usd: "1"}]\n',
        ["4:19: There is no agent “b”"],
    ),
    "a key twice": ("workspace: a\nname: x\nname: y\n", ["3:1: “name” stands here twice, first in line 2"]),
    "a name twice": (
        "workspace: a\nresources:\n  - {name: r, pattern: 'a://*'}\n  - {name: r, pattern: 'b://*'}\n",
        ["4:12: “r” stands twice in “resources”"],
    ),
    "an element twice": (MINIMAL + "lists: {l: [a, b, a]}\n", ["4:19: “a” is named twice in A list"]),
    "a rule's name twice": (
        "workspace: a\npolicy:\n" + "  - {name: r, effect: deny, tools: ['*']}\n" * 2,
        ["4:6: Rule 1 has the name “r” too"],
    ),
    "a pattern that is none": (
        "workspace: a\nresources: [{name: r, pattern: 'file://srv'}]\n",
        ["2:32: "],
    ),
    "a template that is none": (
        "workspace: a\ntools: [{name: t, action: read, resource: 'file://{'}]\n",
        ["2:33: “resource”: "],
    ),
    "a schema that is none": (
        "workspace: a\ntools: [{name: t, action: read, schema: {type: strin}}]\n",
        ["“schema”: "],
    ),
    "a condition that cannot be read": (
        MINIMAL
        + "tools: [{name: t, action: read}]\npolicy:\n  - name: r\n    effect: deny\n    when: args.a >\n",
        ["8:19: The condition is not valid CEL"],
    ),
    "a condition with a name that does not exist": (
        MINIMAL + "tools: [{name: t, action: read}]\npolicy:\n  - name: r\n    effect: deny\n"
        "    when: \"action == 'read' && agnet.name == 'b'\"\n",
        ["8:32: "],
    ),
    "a condition with a problem in its second line": (
        MINIMAL + "tools: [{name: t, action: read}]\npolicy:\n  - name: r\n    effect: deny\n    when: |\n"
        "      action == 'read' &&\n        agnet.name == 'b'\n",
        ["10:9: "],
    ),
    "a rule that names a tool that does not exist": (
        MINIMAL + "policy:\n  - name: r\n    tools: [mail]\n    effect: deny\n",
        ["6:13: There is no tool “mail”"],
    ),
    "a date that is none": (
        MINIMAL
        + "roles: {r: {}}\nagents: [{name: b, owner: olga@shop.test, roles: [r], until: {r: 2027-02-30}}]\n",
        ["5:66: “until” is a day such as"],
    ),
    "a time without offset": (
        MINIMAL + "roles: {r: {}}\nagents: [{name: b, owner: olga@shop.test, roles: [r], "
        "until: {r: 2027-01-30T12:00:00}}]\n",
        ["5:66: “until” is a day such as"],
    ),
    "yes instead of true": (
        "workspace: a\ntwo_people: yes\n",
        ["2:13: “two_people” is true or false; yes is neither"],
    ),
    "a number where text belongs": ("workspace: a\nname: 2024\n", ["2:7: “name” is text; put it in quotes."]),
    "an octal number, or not": (
        "workspace: a\ntools: [{name: t, action: read, schema: {minimum: 010}}]\n",
        ["2:51: 010 begins with a zero"],
    ),
    "a number beyond exactness": (
        "workspace: a\ntools: [{name: t, action: read, schema: {maximum: 9007199254740993}}]\n",
        ["2:51: 9007199254740993 is"],
    ),
    "text where a list belongs": (
        "workspace: a\npeople: [{email: a@b.test, roles: owner}]\n",
        ["2:35: “roles” is a list: put it in [ ]."],
    ),
    "a negative budget": (
        "workspace: a\nbudgets: [{window: day, limit_usd: '-1'}]\n",
        ["2:36: “limit_usd” is a decimal number"],
    ),
    "a budget with ten decimals": (
        "workspace: a\nbudgets: [{window: day, limit_usd: '0.0000000001'}]\n",
        ["2:36: “limit_usd” is a decimal number"],
    ),
    "a budget without window": (
        "workspace: a\nbudgets: [{limit_usd: '1'}]\n",
        ["2:11: A budget needs “window”"],
    ),
    "a window that is none": (
        "workspace: a\nbudgets: [{window: year, limit_usd: '1'}]\n",
        ["2:20: “window” is one of day, week, month, ever"],
    ),
    "a percentage over 100": (
        "workspace: a\nbudgets: [{window: day, limit_usd: '1', warn_at: [50, 120]}]\n",
        ["2:55: “warn_at” holds whole percents"],
    ),
    "a budget in two units": (
        "workspace: a\nbudgets: [{window: day, limit_usd: '1', limit_tokens: 5}]\n",
        ["2:55: A limit is in US dollars or in tokens"],
    ),
    "a part of a token": (
        "workspace: a\nbudgets: [{window: day, limit_tokens: 0.5}]\n",
        ["2:39: “limit_tokens” is a whole number"],
    ),
    "a budget of a tool that is not there": (
        MINIMAL + 'budgets: [{window: day, tool: refnd, limit_usd: "1"}]\n',
        ["There is no tool “refnd”"],
    ),
    "a cheaper model that nobody is offered": (
        MINIMAL + 'budgets: [{window: day, downgrade_to: small, limit_usd: "1"}]\n',
        ["A cheaper model is offered only with downgrade."],
    ),
    "a price without a day": (
        "workspace: a\nprices: [{model: big, input_usd: '1'}]\n",
        ["2:10: A price needs “starts”"],
    ),
    "a price twice": (
        "workspace: a\nprices:\n" + "  - {model: big, starts: 2026-01-01, input_usd: '1'}\n" * 2,
        ["4:5: There is a price of the same model and day"],
    ),
    "a day that is none": (
        "workspace: a\nprices: [{model: big, starts: 2026-02-30, input_usd: '1'}]\n",
        ["“starts” is a day"],
    ),
    "a limit of loops that is none": (
        "workspace: a\nagents:\n  - {name: b, owner: o@a.test, loop_limits: {repeats: 1}}\n",
        ["3:46: “repeats” is a whole number from 2"],
    ),
    "a budget twice": (
        "workspace: a\nbudgets:\n" + "  - {window: day, limit_usd: '1'}\n" * 2,
        ["4:5: There is a budget for the same"],
    ),
    "an alias": ("workspace: a\nlists: {x: &all [a], y: *all}\n", ["2:12: Anchors are not read here"]),
    "a tag": ("workspace: !!python/object:os.system a\n", ["1:12: Tags are not read here"]),
    "a merge key": ("workspace: a\n<<: {name: x}\n", ["2:1: Merge keys are not read here"]),
    "two documents": ("workspace: a\n---\nworkspace: b\n", ["2:1: A file describes one workspace"]),
    "no document": ("# nothing\n", ["1:1: The file is empty"]),
    "a list for a file": ("- a\n", ["1:1: A workspace file is a mapping of fields."]),
    "no YAML": ("workspace: a\nname: [x\n", ["3:1: This is not YAML"]),
    "a control character": ("workspace: a\nname: \x07\n", ["2:7: This character may not stand in YAML"]),
    "not UTF-8": (b"workspace: a\nname: \xff\n", ["2:7: This byte is no UTF-8"]),
    "a nest of lists": ("workspace: a\nlists: " + "[" * 100_000, ["2:72: This is nested more than 64 deep."]),
    "a file that is too long": (
        "workspace: a\n" + "# x\n" * 2**20,
        ["1:1: A workspace file has at most 4 MiB"],
    ),
}
