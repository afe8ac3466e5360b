"""Rules that could never do what they say are refused when they are saved, with the place at fault."""

from typing import Any

import pytest

from governance.lint import Catalog, check
from governance.reading import Problem
from governance.rules import parse_rules
from tests.governance.cases import CATALOG, approval, denial, limit
from workspaces.declarations import parse_declaration

REFUND = ["billing.refund"]
MAIL = ["mail.send"]


def problems_of(*rules: dict[str, Any], catalog: Catalog = CATALOG) -> list[Problem]:
    return check(parse_rules([{**rule, "name": f"Rule {n}"} for n, rule in enumerate(rules)]), catalog)


def when(condition: str, tools: list[str] | None = REFUND) -> dict[str, Any]:
    return denial(when=condition, **({"tools": tools} if tools else {}))


# (rule, where, a word of the message)
SELECTORS = [
    (denial(tools=["billing.refnud"]), ("tools", 0), "billing.refund"),
    (denial(tools=["mail.send", "crm.*"]), ("tools", 1), "crm.*"),
    (denial(tools=["Mail.send"]), ("tools", 0), "mail.send"),
    (denial(agents=["suport-bot"]), ("agents", 0), "support-bot"),
    (denial(agents=["label:customer_facing"]), ("agents", 0), "customer-facing"),
    (denial(agents=["report-bot", "sales-*"]), ("agents", 1), "sales-*"),
    (denial(tools=REFUND, actions=["send"]), ("actions", 0), "spend"),
    (denial(actions=["delete"]), ("actions", 0), "delete"),
    (denial(tools=MAIL, resources=["costumers"]), ("resources", 0), "customers"),
    (denial(tools=MAIL, resources=["invoices"]), ("resources", 0), "mailto"),
    (denial(tools=REFUND, resources=["s3://reports/*"]), ("resources", 0), "invoice"),
    (denial(tools=MAIL, actions=["read"], resources=["customers"]), ("resources", 0), "file"),
    (denial(resources=["buckets"], tools=[*REFUND, "files.read"]), ("resources", 0), "buckets"),
    (denial(tools=["files.read"], resources=["file:///srv/../etc/*"]), ("resources", 0), "pattern"),
    (denial(tools=["shell.run"], resources=["file:///srv/*"]), ("resources", 0), "tool:shell.run"),
    (approval(tools=MAIL, actions=["send"], except_resources=["anyone"]), ("except_resources",), "nothing"),
    (approval(tools=REFUND, except_resources=["invoices"]), ("except_resources",), "nothing"),
    (
        approval(tools=MAIL, actions=["send"], resources=["customers"], except_resources=["anyone"]),
        ("except_resources",),
        "nothing",
    ),
    (approval(tools=MAIL, except_resources=["partners"]), ("except_resources", 0), "partners"),
    (approval(tools=MAIL, except_resources=["web"]), ("except_resources", 0), "web"),
    (
        approval(tools=MAIL, approval={"reviewers": ["rita@acme.tset"]}),
        ("approval", "reviewers", 0),
        "rita@acme.test",
    ),
    (
        approval(tools=MAIL, approval={"reviewers": ["group:finanse"]}),
        ("approval", "reviewers", 0),
        "finance",
    ),
    (approval(tools=MAIL, approval={"reviewers": ["group:legal"]}), ("approval", "reviewers", 0), "empty"),
    (
        approval(tools=MAIL, approval={"reviewers": ["group:finance"], "quorum": 3}),
        ("approval", "quorum"),
        "2 people",
    ),
    (
        approval(tools=MAIL, approval={"reviewers": ["rita@acme.test", "group:finance"], "quorum": 3}),
        ("approval", "quorum"),
        "2 people",
    ),
    (limit(tools=REFUND, sum="args.invoice", max=500), ("limit", "sum"), "no number"),
    (limit(tools=REFUND, sum="args.amuont", max=500), ("limit", "sum"), "amount"),
    (limit(tools=["billing.refund", "files.read"], sum="args.amount", max=5), ("limit", "sum"), "files.read"),
    (denial(), ("effect",), "every agent"),
]

# (rule, a word of the message); ¦ stands before the offending place.
CONDITIONS = [
    # syntax
    (when("args.amount >¦"), "not valid CEL"),
    (when("args.amount > 100 ¦and args.items > 2"), "not valid CEL"),
    (when("args.amount ¦= 100"), "not valid CEL"),
    (when("args.note == ¦'open"), "not valid CEL"),
    # names
    (when("¦arg.amount > 100"), "args"),
    (when("args.¦amuont > 100"), "amount"),
    (when("args.amount > 100 && args.¦currancy == 'EUR'"), "currency"),
    (when("args[¦'amuont'] > 100"), "amount"),
    (when("has(args.¦amuont) && args.amuont > 100"), "amount"),
    (when("¦'amuont' in args"), "amount"),
    (when("args.¦amount > 100", tools=None), "has(args.amount)"),
    (when("args.¦amount > 100", tools=["billing.*", "web.fetch"]), "web.fetch"),
    (when("args.¦pth.startsWith('/etc')", tools=["files.read"]), "path"),
    (when("args.lines.exists(l, l.¦prise > 10.0)"), "price"),
    (when("agent.¦lables == []"), "labels"),
    (when("tool.¦riks == 'high'", tools=None), "risk"),
    (when("session.¦label == []", tools=None), "labels"),
    (when("spend.¦agent_days > 5.0", tools=None), "agent_day"),
    (when("args.to in lists.¦partner", tools=MAIL), "partners"),
    (when("¦is_privat(resource)", tools=["web.fetch"]), "is_private"),
    (when("args.note.¦lowerAscii() == 'x'"), "no function"),
    (when("resource.¦is_private()", tools=["web.fetch"]), "is_private(text)"),
    (when("spend.¦agent_day > 5.0", tools=None), "has(spend.agent_day)"),
    # types
    (when("args.amount ¦> '100'"), "cannot be compared"),
    (when("args.amount == ¦'100'"), "never equal"),
    (when("args.amount != ¦'100'"), "always differ"),
    (when("args.note == ¦5 || args.amount > 5.0"), "never equal"),
    (when("args.amount ¦* 2 > 100"), "2.0"),
    (when("args.amount > args.items ¦* 1.5"), "double(args.items)"),
    (when("args.items ¦/ 0 > 1"), "divides by zero"),
    (when("args.¦amount"), "not true or false"),
    (when("args.amount > 100 && args.¦note"), "not true or false"),
    (when("!args.¦note"), "not true or false"),
    (when("args.note.¦contains(5)"), "takes text"),
    (when("args.amount.¦startsWith('1')"), "decimal number"),
    (when("'x' ¦in args.note"), "needs a list"),
    (when("args.lines == ¦'x'"), "never equal"),
    (when("args.lines.¦price > 5.0"), "has no field"),
    (when("args.amount.¦exists(x, x > 1)"), "goes through a list"),
    (when("args.note.¦matches('(')"), "not valid"),
    (when("args.note.matches(args.¦invoice)"), "written out"),
    (when("now > ¦timestamp('yesterday')"), "not valid"),
    (when("now - ¦duration('1x') > now"), "not valid"),
    # values that never are
    (when("args.currency == ¦'EURO'"), "EUR"),
    (when("args.currency in ['EUR', ¦'UDS']"), "USD"),
    (when("args.amount ¦> 20000"), "never true"),
    (when("args.amount ¦< 0"), "never true"),
    (when("args.items == ¦0"), "never equal"),
    (when("args.amount == ¦null"), "has(args.amount)"),
    (when("tool.risk == ¦'hihg'", tools=None), "high"),
    (when("tool.name == ¦'billing.refnud'", tools=None), "never equal"),
    (when("action == ¦'sned'", tools=None), "send"),
    (when("¦'untrusted_ouput' in session.labels", tools=None), "untrusted_output"),
    (when("¦'files.raed' in session.tools", tools=None), "files.read"),
    (when("¦'externl_send' in tool.labels", tools=None), "never in"),
    (when("¦'customer_facing' in agent.labels"), "customer-facing"),
    (denial(agents=["report-bot"], when="agent.name == ¦'support-bot'"), "never equal"),
    (when("args.invoice in lists.¦nobody"), "is empty"),
    (when("resource.startsWith(¦'s3://')"), "never true"),
    (when("resource == ¦'mailto:a@b.test'"), "never equal"),
    (when("now.getHours() ¦> 23"), "never true"),
    (when("size(args.lines) ¦> 50"), "never true"),
    # conditions with one outcome
    (when("¦true"), "for every call"),
    (when("1 ¦> 2"), "never true"),
    (when("¦false && args.amount > 5.0"), "for no call"),
    (when("¦args.amount > 5.0 || true"), "for every call"),
    (when("¦args.amount > 100.0 && args.amount < 50.0"), "for no call"),
    (when("¦args.currency == 'EUR' && args.currency == 'USD'"), "for no call"),
    (when("¦args.amount > 0"), "for every call"),
    (when("¦has(args.amount)"), "for every call"),
    (when("¦!has(args.invoice)"), "for no call"),
    # loops
    (when("args.lines.exists(l, args.lines.¦exists(m, m.price > l.price))"), "loop inside a loop"),
    (when("¦args.x.map(i, i).size() > 3 && has(args.x)", tools=["shell.run"]), "ms"),
    (when("args.lines.¦exists(args, args.price > 5.0)"), "another name"),
]


@pytest.mark.parametrize(("rule", "where", "word"), SELECTORS)
def test_a_rule_that_names_what_is_not_there_is_refused_at_that_name(
    rule: dict[str, Any], where: tuple[str | int, ...], word: str
) -> None:
    problems = problems_of(rule)
    assert [problem.path for problem in problems] == [(0, *where)]
    assert word in problems[0].message
    assert problems[0].message[-1] in ".?"


@pytest.mark.parametrize(("rule", "word"), CONDITIONS, ids=[rule["when"] for rule, _ in CONDITIONS])
def test_a_dead_condition_is_refused_at_its_column(rule: dict[str, Any], word: str) -> None:
    column = rule["when"].index("¦") + 1
    problems = problems_of({**rule, "when": rule["when"].replace("¦", "")})
    assert [(problem.path, problem.line, problem.column) for problem in problems] == [
        ((0, "when"), 1, column)
    ]
    assert word in problems[0].message
    assert problems[0].message[-1] in ".?"


# The rules of a whole workspace file, as its owners write them.
POLICY = [
    approval(
        tools=REFUND,
        agents=["label:customer-facing"],
        when="args.amount > 100",
        approval={"reviewers": ["group:finance"], "quorum": 1, "expires_in": "1h"},
        message="Finance countersigns refunds above 100.",
        ask="Is this refund owed, and is the amount on the invoice?",
    ),
    denial(actions=["send"], when="'untrusted_output' in session.labels", message="It may not send."),
    approval(tools=MAIL, except_resources=["customers"], approval={"reviewers": ["rita@acme.test"]}),
    denial(tools=["web.fetch"], when="is_private(resource)"),
    {**limit(tools=REFUND), "limit": {"calls": 20, "per": "1m", "by": "agent"}},
    {
        **limit(tools=REFUND),
        "limit": {"sum": "args.amount", "max": 500, "per": "1d", "by": "agent", "then": "require_approval"},
        "approval": {"reviewers": ["group:finance"]},
    },
]

LIVE = [
    *POLICY,
    denial(tools=["*"]),
    denial(tools=["shell.*"], agents=["*-bot"]),
    denial(tools=MAIL, resources=["mailto:*@rival.test"]),
    denial(tools=MAIL, resources=["anyone"], except_resources=["customers"]),
    denial(tools=["web.fetch"], resources=["http://*/*"]),
    denial(tools=["files.read"], resources=["file:///srv/reports/secret/*"]),
    denial(tools=["mail.send"], actions=["read"], resources=["reports"]),
    approval(actions=["spend", "send"], approval={"reviewers": ["owner", "olga@acme.test"], "quorum": 2}),
    limit(tools=REFUND, sum="args.items", max=50, by="workspace"),
    limit(calls=100, by="session"),
    when("args.amount > 100.0"),
    when("args.amount >= 100 && args.amount < 1000"),
    when("args.amount > 100 || args.currency == 'USD'"),
    when("args.amount * 1.19 > 100.0"),
    when("args.amount * double(args.items) > 100.0"),
    when("args.items % 2 == 0"),
    when("args.items + 1 > 5"),
    when("-args.amount < -50.0"),
    when("args['amount'] > 100"),
    when("args.currency in ['EUR']"),
    when("args.currency != 'EUR'"),
    when("has(args.note) && args.note.contains('urgent')"),
    when("args.note.contains('urgent') && has(args.note)"),
    when("!has(args.note) || size(args.note) < 10"),
    when("has(args.note) ? args.note.startsWith('x') : args.amount > 50.0"),
    when("'note' in args && args.note.matches('^[A-Z]{3}-[0-9]+$')"),
    when("args.note == 'refund' || args.amount > 500"),
    when("args.lines.exists(l, l.price > 50.0)"),
    when("args.lines.all(line, has(line.sku) && line.sku.endsWith('-X'))"),
    when("args.lines.filter(l, l.price > 5.0).size() > 3"),
    when("args.lines.map(l, l.price).exists(p, p > 9.5)"),
    when("args.lines.exists_one(l, l.price == 1)"),
    when("args.lines[0].price > 5.0"),
    when("args.to in lists.partners", tools=MAIL),
    when("!(args.to in lists.partners)", tools=MAIL),
    when("type(args.to) == list", tools=MAIL),
    when("type(args.to) == string && args.to.endsWith('@rival.test')", tools=MAIL),
    when("args.attachments.exists(a, a.path.startsWith('/srv/secret/'))", tools=MAIL),
    when("size(links(args.subject)) > 3", tools=MAIL),
    when("domain(resource) == 'rival.test'", tools=MAIL),
    when("resource.endsWith('@rival.test')", tools=MAIL),
    when("resource.startsWith('file:///srv/secret')", tools=["files.read", "mail.send"]),
    when("args.path.contains('..')", tools=["files.read"]),
    when("has(args.command) && args.command.startsWith('rm ')", tools=["shell.run"]),
    when("has(args.amount) && args.amount > 100", tools=None),
    when("tool.name == 'billing.refund' && args.amount > 100", tools=None),
    when("tool.risk in ['high', 'critical']", tools=None),
    when("!tool.reversible", tools=None),
    when("'private_data' in session.labels && action == 'send'", tools=None),
    when("'internal' in session.labels", tools=MAIL),
    when("'web.fetch' in session.tools", tools=MAIL),
    when("session.repeats >= 3", tools=None),
    when("has(spend.agent_day) && spend.agent_day > 5.0 || spend.workspace_month > 100.0", tools=None),
    when("now.getHours() < 6 || now.getHours() >= 22", tools=None),
    when("now > timestamp('2027-01-01T00:00:00Z')", tools=None),
    when("'customer-facing' in agent.labels", tools=None),
    when("agent.risk_tier == 'high'", tools=None),
    when("reason == ''", tools=REFUND),
    when("has(context.ticket) && context.ticket == 'none'", tools=REFUND),
    when("on_behalf_of == 'rita@acme.test'", tools=REFUND),
    when("'internal' in resource_labels", tools=["files.read"]),
]


@pytest.mark.parametrize("rule", LIVE, ids=[rule.get("when", f"rule {n}") for n, rule in enumerate(LIVE)])
def test_a_live_rule_is_accepted(rule: dict[str, Any]) -> None:
    assert problems_of(rule) == []


def test_the_rules_of_a_workspace_are_accepted_together() -> None:
    assert problems_of(*POLICY) == []


def test_the_corpora_are_as_large_as_promised() -> None:
    assert len(SELECTORS) + len(CONDITIONS) >= 40
    assert len(LIVE) >= 40


SHADOWED = [
    (denial(tools=["billing.*"]), approval(tools=REFUND, when="args.amount > 100")),
    (denial(tools=["*"]), limit(calls=5, tools=MAIL)),
    (
        denial(actions=["send"]),
        denial(tools=MAIL, actions=["send"], when="'untrusted_output' in session.labels"),
    ),
    (denial(agents=["label:customer-facing"]), denial(agents=["support-bot"], tools=REFUND)),
    (denial(agents=["report-*"]), approval(agents=["report-bot"])),
    (denial(tools=MAIL, resources=["anyone"]), approval(tools=MAIL, resources=["customers"])),
    (
        denial(tools=MAIL, except_resources=["customers"]),
        denial(tools=MAIL, except_resources=["customers", "mailto:*@partner.test"]),
    ),
    (denial(tools=["billing.*"], when="args.amount > 100"), approval(tools=REFUND, when="args.amount > 100")),
    (denial(tools=REFUND), denial(tools=REFUND)),
]


@pytest.mark.parametrize(("wide", "narrow"), SHADOWED)
def test_a_rule_in_the_shadow_of_a_denial_is_refused_wherever_it_stands(
    wide: dict[str, Any], narrow: dict[str, Any]
) -> None:
    assert [problem.path for problem in problems_of(wide, narrow)] == [(1,)]
    assert "“Rule 0”" in problems_of(wide, narrow)[0].message
    if wide != narrow:
        assert [problem.path for problem in problems_of(narrow, wide)] == [(0,)]


APART = [
    (denial(tools=REFUND, when="args.amount > 100"), approval(tools=REFUND)),
    (denial(tools=REFUND), approval(tools=["billing.*"])),
    (denial(tools=MAIL, resources=["customers"]), approval(tools=MAIL, resources=["anyone"])),
    (denial(tools=MAIL, except_resources=["customers"]), approval(tools=MAIL)),
    (denial(agents=["label:internal"]), approval(agents=["label:customer-facing"])),
    (denial(actions=["spend"]), approval(actions=["send"])),
    (denial(tools=MAIL, actions=["read"]), approval(tools=MAIL)),
    (denial(agents=["support-bot"]), approval()),
]


@pytest.mark.parametrize(("one", "other"), APART)
def test_rules_that_meet_only_in_part_stand_beside_each_other(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert problems_of(one, other) == []


def test_a_place_in_a_condition_of_several_lines_is_given_by_line_and_column() -> None:
    (problem,) = problems_of(when("args.amount > 100\n  && args.curency == 'EUR'"))
    assert (problem.line, problem.column) == (2, 11)


def test_every_problem_of_a_policy_is_reported_at_once() -> None:
    problems = problems_of(
        denial(tools=["nope"]),
        when("args.amuont > 1 && args.curency == 'X'"),
        limit(tools=REFUND, sum="args.x", max=1),
    )
    assert [problem.path for problem in problems] == [
        (0, "tools", 0),
        (1, "when"),
        (1, "when"),
        (2, "limit", "sum"),
    ]


def test_a_condition_that_is_wrong_for_one_tool_of_several_says_for_which() -> None:
    (problem,) = problems_of(when("args.amount > 100", tools=["billing.refund", "mail.send"]))
    assert "mail.send" in problem.message
    assert "billing.refund" not in problem.message


SLOW = [
    "args.words.map(w, args.text + w).size() > 3",
    "args.words.map(w, w + w).exists(w, w == 'x')",
    "args.words.exists(w, w.matches('(a|b)+c$') || w.matches('(b|c)+d$') || w.matches('(c|d)+[^e]+f$'))",
    "args.words.exists(w, w in args.words || w + 'x' in args.words || w + 'y' in args.words)",
    "args.text == 'x' && args.words.map(w, args.text + args.text).size() > 3",
]


@pytest.mark.parametrize("condition", SLOW)
def test_a_condition_that_could_be_slow_is_refused_until_the_schema_bounds_it(condition: str) -> None:
    def catalog(**bounds: int) -> Catalog:
        schema = {
            "type": "object",
            "required": ["words", "text"],
            "properties": {
                "words": {"type": "array", "items": {"type": "string"}, **bounds},
                "text": {"type": "string", "maxLength": 1000},
            },
        }
        tool = parse_declaration({"name": "notes.write", "action": "write", "risk": "low", "schema": schema})
        return Catalog(tools={"notes.write": tool})

    (problem,) = problems_of(when(condition, tools=["notes.write"]), catalog=catalog())
    assert (problem.path, problem.column) == ((0, "when"), 1)
    assert "maxItems" in problem.message
    assert problems_of(when(condition, tools=["notes.write"]), catalog=catalog(maxItems=5)) == []
