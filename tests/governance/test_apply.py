"""``manage.py apply``: a workspace becomes what its file says, all of it or nothing."""

import io
import json
import os
import re
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection

from audit.models import Entry, Head, Log
from billing.models import Budget, Price
from billing.price_table import in_force
from governance import policies
from governance.models import PolicyVersion
from tests.cast import ACTOR, Cast
from tests.governance.workspace_files import FULL, MINIMAL, WRONG
from workspaces import access, agents, identifiers, people, tenancy
from workspaces.models import (
    Agent,
    AgentKey,
    AgentRole,
    Membership,
    NamedList,
    Resource,
    ReviewerGroup,
    Role,
    Standing,
    Tool,
    User,
    Workspace,
)

Apply = Callable[..., str]

pytestmark = pytest.mark.django_db


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def apply(tmp_path: Path) -> Apply:
    """Writes the text into shop.yaml, runs the command, and returns what it printed."""

    def run(text: str | bytes, *options: str, keys: Path | None = None) -> str:
        path = tmp_path / "shop.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        out = io.StringIO()
        call_command("apply", str(path), *options, *(["--keys", str(keys)] if keys else []), stdout=out)
        return out.getvalue()

    return run


@pytest.fixture
def refused(apply: Apply, tmp_path: Path) -> Callable[..., list[str]]:
    """Runs the command, expects it to refuse without a trace, and returns its problems as line:column:
    message."""

    def run(text: str | bytes, *options: str, keys: Path | None = None) -> list[str]:
        before = everything()
        with pytest.raises(CommandError) as error:
            apply(text, *options, keys=keys)
        assert everything() == before
        head, *problems = str(error.value).splitlines()
        assert "nothing was changed" in head.lower()
        return [problem.removeprefix(f"{tmp_path / 'shop.yaml'}:") for problem in problems]

    return run


def everything() -> dict[str, Any]:
    """All that an apply could leave behind."""
    models = (
        Log,
        Entry,
        Workspace,
        User,
        Membership,
        Tool,
        Resource,
        Role,
        Agent,
        AgentKey,
        Budget,
        PolicyVersion,
    )
    heads = Head.objects.order_by("pk").values_list("pk", "size", "revision")
    return {"heads": list(heads), **{model.__name__: model.objects.count() for model in models}}


def shop() -> Workspace:
    return Workspace.objects.get(slug="shop")


def types(workspace: Workspace) -> list[str]:
    return list(
        Entry.objects.filter(log_id=workspace.log_id).order_by("index").values_list("type", flat=True)
    )


def ends(agent: Agent) -> dict[str, datetime | None]:
    return {
        f"{line.permission} {line.target}": line.expires_at
        for line in access.grants_of(agent)
        if not line.through
    }


def test_every_section_is_made_what_the_file_says(apply: Apply, keys: Path) -> None:
    told = apply(FULL, keys=keys)
    workspace = shop()
    assert (workspace.name, workspace.timezone, workspace.two_people) == ("The Shop", "Europe/Berlin", False)

    roles = set(Membership.objects.filter(workspace=workspace).values_list("person__email", "role"))
    assert roles == {
        ("olga@shop.test", "owner"),
        ("rita@shop.test", "approver"),
        ("rita@shop.test", "compliance_officer"),
    }
    olga, rita = User.objects.order_by("email")
    assert (olga.name, olga.has_usable_password()) == ("Olga", False)
    assert [seat.person for seat in ReviewerGroup.objects.get(name="finance").members.all()] == [rita]
    assert NamedList.objects.get().members == ["orders@partner.test"]

    refund = Tool.objects.get(name="refund").declaration()
    assert (refund.risk, refund.reversible, refund.cost_nanos) == ("high", False, 20_000_000)
    assert (refund.sensitive, refund.templates[0].template) == (("/card",), "invoice://{invoice}")
    assert refund.schema is not None
    assert Resource.objects.get(name="reports").labels == ["internal"]

    bot = Agent.objects.get(name="bot")
    assert (bot.owner, bot.purpose, bot.labels, bot.risk_tier) == (
        olga,
        "Refunds",
        ["customer-facing"],
        "medium",
    )
    assert (bot.isolated_runs, bot.sessions_per_hour, list(bot.acts_for.all())) == (True, 20, [rita])
    in_force = policies.in_force(workspace)
    assert in_force is not None
    assert [rule["name"] for rule in in_force.content] == ["Refunds above 100 need finance"]
    assert (bot.cost_center, bot.loop_limits["repeats"]) == ("Support 4711", 6)
    budgets = Budget.objects.order_by("pk").values_list(
        "scope", "agent__name", "window", "limit_amount", "warn_at"
    )
    assert list(budgets)[:3] == [
        ("agent", "bot", "day", 5_000_000_001, [50, 80]),
        ("session", "bot", "ever", 1_500_000_000, []),
        ("workspace", None, "month", 200_000_000_000, []),
    ]
    edges = Budget.objects.order_by("pk").values_list(
        "tool", "model", "unit", "hard", "when_short", "downgrade_to"
    )
    assert list(edges)[3:] == [
        ("refund", "", "usd", True, "ask", ""),
        ("", "big", "tokens", False, "wait", ""),
        ("", "big", "usd", True, "downgrade", "small"),
    ]
    prices = Price.objects.order_by("pk").values_list("model", "starts", "input_nanos", "call_nanos")
    assert list(prices) == [
        ("big", date(2026, 1, 1), 1_250_000_000, None),
        ("*", date(2026, 3, 1), 5_000_000_000, 50_000_000),
        ("big", date(2026, 7, 1), None, None),
    ]
    for line in ("+ workspace shop", "+ tool refund", "+ agent bot", "+ rule Refunds above 100 need finance"):
        assert line in told.splitlines()


def test_the_example_of_the_documentation_applies(apply: Apply, keys: Path) -> None:
    page = Path(__file__).parents[2] / "docs/concepts/workspace-file.md"
    example = page.read_text().split("```yaml\n", 1)[1].split("```", 1)[0]
    apply(example, keys=keys)
    assert "Nothing had to change" in apply(example)


def test_a_day_ends_in_the_workspaces_time_zone_and_a_time_is_what_it_says(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    bot = Agent.objects.get(name="bot")
    given = dict(AgentRole.objects.filter(agent=bot).values_list("role__name", "expires_at"))
    assert given == {"analyst": None, "support": datetime(2027, 6, 30, 22, tzinfo=UTC)}
    assert ends(bot) == {
        "use files.read": datetime(2027, 1, 31, 23, tzinfo=UTC),
        "read reports": datetime(2027, 1, 31, 11, tzinfo=UTC),
    }


def test_applied_again_it_writes_nothing(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    before = everything()
    told = apply(FULL)
    assert everything() == before
    assert told == f"Nothing had to change; the workspace is at revision {before['heads'][-1][2]}.\n"


def test_each_change_is_an_entry_by_who_ran_the_command(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    workspace = shop()
    written = types(workspace)
    assert written[0] == "workspaces.workspace.created"
    assert written[-1] == "workspaces.configuration.applied"
    for kind in ("tool.changed", "resource.changed", "role.changed", "agent.created", "key.created"):
        assert written.count(f"workspaces.{kind}") == 2
    assert written.count("workspaces.list.changed") == 1
    actors = set(Entry.objects.filter(type__startswith="workspaces").values_list("actor", flat=True))
    assert len(actors) == 1
    assert actors.pop().startswith("cli:")
    bodies = b"".join(bytes(body) for body in Entry.objects.values_list("body", flat=True))
    assert not re.search(rb"\bolga\b", bodies, re.IGNORECASE)
    assert b"csk_" not in bodies


def test_what_changed_is_told_line_by_line(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    changed = (
        FULL.replace("risk: high", "risk: critical")
        .replace("roles: [analyst, support]\n    until: {support: 2027-06-30}", "roles: [analyst]")
        .replace("Europe/Berlin", "Europe/Paris")
        .replace("name: Olga,", "name: Olga Owner,")
        .replace("[orders@partner.test]", "[orders@partner.test, help@partner.test]")
        .replace("amount > 100", "amount > 50")
        .replace('"200.00"', '"100.00"')
    )
    before = len(types(shop()))
    assert apply(changed).splitlines() == [
        "~ workspace shop: timezone Europe/Berlin → Europe/Paris",
        "~ person olga@shop.test: name Olga → Olga Owner",
        "~ list partners: members +help@partner.test",
        "~ tool refund: risk high → critical",
        "~ agent bot: roles -support",
        "~ budget of the workspace, month: limit_usd 200.00 → 100.00",
        "~ rule Refunds above 100 need finance: when args.amount > 100 → args.amount > 50",
        f"7 changes; the workspace is at revision {Head.objects.get(log_id=shop().log_id).revision}.",
    ]
    assert (
        len(types(shop())) == before + 8
    )  # drafted and published; the person stands in the installation's log


def test_inside_an_entry_what_is_left_out_is_taken_back(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    start, end = FULL.index("    purpose: Refunds"), FULL.index("  - {name: reader")
    apply(FULL[:start] + FULL[end:].replace('    agents: ["label:customer-facing"]\n', ""))
    bot = Agent.objects.get(name="bot")
    assert (bot.purpose, bot.labels, bot.risk_tier, bot.isolated_runs) == ("", [], "low", False)
    assert (bot.sessions_per_hour, list(bot.acts_for.all()), ends(bot)) == (None, [], {})
    assert not AgentRole.objects.filter(agent=bot).exists()


def test_settings_that_are_left_out_are_kept(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    apply(FULL.replace("name: The Shop\ntimezone: Europe/Berlin\n", "").replace(" name: Olga,", ""))
    assert (shop().name, shop().timezone) == ("The Shop", "Europe/Berlin")
    assert User.objects.get(email="olga@shop.test").name == "Olga"


def test_what_changed_of_money_is_told(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    changed = (
        FULL.replace("limit_tokens: 70000, hard: false", "limit_tokens: 80000")
        .replace('call_usd: "0.05"', 'call_usd: "0.06"')
        .replace("cost_center: Support 4711", "cost_center: Sales")
        .replace("repeats: 6", "repeats: 5")
        .replace("metered: true", "metered: false")
    )
    assert apply(changed).splitlines()[:-1] == [
        "~ tool refund: metered true → false",
        "~ agent bot: cost_center Support 4711 → Sales; loop_limits changed",
        "~ budget of agent reader, each session, day, model big, in tokens: limit_tokens 70000 → 80000; "
        "hard false → true",
        "~ price of * from 2026-03-01: call_usd 0.05 → 0.06",
    ]
    assert "Nothing had to change" in apply(changed)


def test_pruning_takes_budgets_and_prices_back(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    bare = (
        FULL[: FULL.index("budgets:")] + 'prices:\n  - {model: big, starts: 2026-01-01, input_usd: "1.00"}\n'
    )
    told = apply(bare, "--prune").splitlines()
    assert "- budget of the workspace, week, tool refund" in told
    assert "- price of * from 2026-03-01" in told
    assert not Budget.objects.exists()
    days = date(2026, 12, 1)
    assert [(price.model, price.input_nanos) for price in in_force(shop(), days)] == []
    assert "Nothing had to change" in apply(bare, "--prune")


def test_what_the_file_does_not_name_is_kept_and_told(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    before = everything()
    told = apply(MINIMAL).splitlines()
    assert everything() == before
    assert "kept: tool refund (not in the file)" in told
    assert "kept: budget of agent bot, each session, ever (not in the file)" in told
    assert "kept: person rita@shop.test (not in the file)" in told
    assert "kept: policy version 1 (not in the file)" in told
    assert len([line for line in told if line.startswith("kept: ")]) == 21


def test_references_reach_what_is_kept(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    bot = "name: bot, owner: rita@shop.test, labels: [customer-facing], grants: [{read: invoices}]"
    apply(MINIMAL + f"agents:\n  - {{{bot}}}\n")
    agent = Agent.objects.get(name="bot")
    assert agent.owner.email == "rita@shop.test"
    assert ends(agent) == {"read invoices": None}


def test_prune_removes_what_the_file_does_not_name(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    bot_key = json.loads(keys.read_text())["bot"]
    told = apply(MINIMAL, "--prune").splitlines()
    workspace = shop()
    for model in (Tool, Resource, Role, NamedList, ReviewerGroup, Budget):
        assert not model.objects.filter(workspace=workspace).exists()
    assert set(Agent.objects.values_list("standing", flat=True)) == {Standing.REVOKED}
    assert AgentKey.objects.get(digest=identifiers.key_digest(bot_key)).revoked_at is not None
    assert list(User.objects.filter(memberships__workspace=workspace).values_list("email", flat=True)) == [
        "olga@shop.test"
    ]
    assert policies.in_force(workspace).content == []  # type: ignore[union-attr]
    assert {"- tool refund", "- agent bot", "- person rita@shop.test"} <= set(told)
    before = everything()
    assert "Nothing had to change" in apply(MINIMAL, "--prune")
    assert everything() == before


def test_a_revoked_agent_is_not_brought_back_by_its_file(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    apply(MINIMAL, "--prune")
    told = apply(FULL.replace("name: reader", "name: reader-2"), keys=keys.with_name("more.json"))
    assert "note: agent bot is revoked for good" in told
    assert Agent.objects.get(name="bot").standing == Standing.REVOKED
    assert json.loads(keys.with_name("more.json").read_text()).keys() == {"reader-2"}


def test_a_pruned_name_cannot_be_used(apply: Apply, refused: Callable[..., list[str]], keys: Path) -> None:
    apply(FULL, keys=keys)
    text = MINIMAL + "roles:\n  reader: {use: [files.read]}\n"
    assert refused(text, "--prune") == [
        "5:18: There is no tool “files.read”; describe it in this file (--prune removes what is not in it)."
    ]


def test_somebody_always_owns_the_workspace(
    apply: Apply, refused: Callable[..., list[str]], keys: Path
) -> None:
    apply(FULL, keys=keys)
    assert refused(MINIMAL.replace("owner", "auditor")) == [
        "2:1: Nobody would own the workspace; give somebody the role owner."
    ]


def test_a_dry_run_shows_everything_and_changes_nothing(apply: Apply, keys: Path) -> None:
    before = everything()
    told = apply(FULL, "--dry-run", keys=keys).splitlines()
    assert everything() == before
    assert not keys.exists()
    assert told[-1] == "This was a dry run; nothing was changed."
    assert told[:-1] == [line for line in apply(FULL, keys=keys).splitlines() if line.startswith("+ ")]


def test_keys_are_written_for_their_owner_alone_and_work(apply: Apply, keys: Path) -> None:
    mask = os.umask(0)
    try:
        apply(FULL, keys=keys)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    held = json.loads(keys.read_text())
    assert held.keys() == {"bot", "reader"}
    for name, text in held.items():
        assert AgentKey.objects.get(agent__name=name).digest == identifiers.key_digest(text)


def test_new_agents_need_a_place_for_their_keys(refused: Callable[..., list[str]]) -> None:
    problems = refused(FULL)
    assert [problem.split(": ")[0] for problem in problems] == ["36:11", "51:12"]
    assert "--keys FILE" in problems[0]


def test_a_key_file_that_may_be_in_use_is_left_alone(
    apply: Apply, refused: Callable[..., list[str]], keys: Path
) -> None:
    apply(FULL, keys=keys)
    held = keys.read_text()
    more = FULL.replace("policy:", "  - {name: third, owner: olga@shop.test}\npolicy:")
    refused(more, keys=keys)
    assert keys.read_text() == held
    keys.write_text("my notes")
    refused(more, keys=keys)
    assert keys.read_text() == "my notes"


def test_a_key_file_that_a_crash_left_is_replaced(apply: Apply, keys: Path) -> None:
    text, _ = identifiers.new_key()
    keys.write_text(json.dumps({"bot": text}))
    apply(FULL, keys=keys)
    assert json.loads(keys.read_text())["bot"] != text


def test_no_key_goes_through_a_link(apply: Apply, refused: Callable[..., list[str]], keys: Path) -> None:
    elsewhere = keys.with_name("elsewhere")
    keys.symlink_to(elsewhere)
    refused(FULL, keys=keys)
    assert not elsewhere.exists()


def test_keys_that_cannot_be_written_undo_everything(
    refused: Callable[..., list[str]], tmp_path: Path
) -> None:
    refused(FULL, keys=tmp_path / "missing" / "keys.json")


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_fails_leaves_neither_rows_nor_keys(apply: Apply, keys: Path) -> None:
    """The last step is the commit. Here it finds a deferred foreign key that leads nowhere."""
    before = everything()
    spoiled: list[str] = []

    def spoil(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE audit_head") and not spoiled:
            spoiled.append(sql)
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO workspaces_reviewergroupmember (reviewer_group_id, person_id) VALUES (0, 0)"
                )
        return execute(sql, params, many, context)

    with pytest.raises(IntegrityError), connection.execute_wrapper(spoil):
        apply(FULL, keys=keys)
    assert spoiled
    assert everything() == before
    assert not keys.exists()


@pytest.mark.django_db(transaction=True)
def test_wherever_it_breaks_off_nothing_is_left(apply: Apply, keys: Path) -> None:
    """Breaking off at one statement after the other, in steps so wide that it ends soon."""
    before = everything()
    tried = 0

    def run(allowed: int) -> bool:
        count = 0

        def interrupt(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            nonlocal count
            count += 1
            if count > allowed:
                raise KeyboardInterrupt
            return execute(sql, params, many, context)

        try:
            with connection.execute_wrapper(interrupt):
                apply(FULL, keys=keys)
        except KeyboardInterrupt:
            return False
        return True

    while not run(allowed=tried * 37):
        tried += 1
        assert everything() == before
        assert not keys.exists()
    assert tried > 5
    assert keys.exists()


def test_people_of_other_workspaces_keep_their_names(cast: Cast, apply: Apply) -> None:
    told = apply("workspace: shop\npeople: [{email: olga@acme.test, name: Mallory, roles: [owner]}]\n")
    assert User.objects.get(email="olga@acme.test").name == cast.olga.name
    assert "kept: the name of olga@acme.test (another workspace knows them too)" in told


def test_other_workspaces_are_not_touched(cast: Cast, apply: Apply, keys: Path) -> None:
    before = types(cast.acme), types(cast.globex)
    apply(FULL, "--prune", keys=keys)
    assert (types(cast.acme), types(cast.globex)) == before


def test_with_two_people_policies_wait_as_drafts(apply: Apply, keys: Path) -> None:
    apply(FULL, keys=keys)
    guarded = FULL.replace("name: The Shop", "name: The Shop\ntwo_people: true").replace("> 100", "> 50")
    told = apply(guarded)
    draft = PolicyVersion.objects.get(number=2)
    assert draft.status == PolicyVersion.Status.DRAFT
    assert "waiting: policy version 2 is a draft" in told
    in_force = policies.in_force(shop())
    assert in_force is not None
    assert in_force.number == 1

    before = everything()
    assert "waiting: policy version 2 is a draft" in apply(guarded)
    assert everything() == before

    with pytest.raises(policies.NeedsSecondPerson):
        policies.publish(draft, actor=draft.drafted_by)
    policies.publish(draft, actor="person:usr_rita")
    assert "waiting" not in apply(guarded)


def test_with_two_people_a_new_workspaces_policy_is_a_draft_too(apply: Apply, keys: Path) -> None:
    told = apply(FULL.replace("name: The Shop", "two_people: true"), keys=keys)
    assert "waiting: policy version 1 is a draft" in told
    assert policies.in_force(shop()) is None


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("risk: high", "risk: low", "risk"),
        ("action: spend", "action: read", "action"),
        ("labels: [private_data]", "labels: []", "labels"),
        ("amount: {type: number}", "amount: {}", "schema"),
        ('"file://{path}"', '"file:///tmp/{path}"', "resource"),
        ("reversible: false", "reversible: true", "reversible"),
        ('sensitive: ["/card"]', "sensitive: []", "sensitive"),
        ('cost_usd: "0.02"', 'cost_usd: "0.01"', "cost_usd"),
        ("metered: true", "metered: false", "metered"),
        ("risk: high", "risk: high\n    trust_reports: true", "trust_reports"),
    ],
)
def test_with_two_people_no_tool_becomes_looser(
    apply: Apply, refused: Callable[..., list[str]], keys: Path, before: str, after: str, field: str
) -> None:
    guarded = FULL.replace("name: The Shop", "two_people: true")
    apply(guarded, keys=keys)
    (problem, *_) = refused(guarded.replace(before, after))
    assert f"by its {field}" in problem or f", {field}" in problem
    assert problem.startswith(("12:11: Two people", "16:11: Two people"))
    apply(guarded.replace("risk: high", "risk: critical"))
    assert Tool.objects.get(name="refund").risk == "critical"


def test_switching_two_people_off_does_not_let_the_same_file_through(apply: Apply, keys: Path) -> None:
    guarded = FULL.replace("name: The Shop", "two_people: true")
    apply(guarded, keys=keys)
    opened = guarded.replace("two_people: true", "two_people: false")
    assert "waiting" in apply(opened)
    assert policies.in_force(shop()) is None
    assert "waiting" not in apply(opened)
    assert policies.in_force(shop()) is not None


def test_a_change_that_breaks_the_policy_in_force_is_refused(
    apply: Apply, refused: Callable[..., list[str]], keys: Path
) -> None:
    apply(FULL, keys=keys)
    text = FULL[: FULL.index("policy:")].replace("amount: {type: number}", "total: {type: number}")
    problems = refused(text.replace("required: [invoice, amount]", "required: [invoice]"))
    assert problems
    assert all(problem.startswith("1:1: Version 1 of the policy stays in force") for problem in problems)


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_told_with_its_place(
    refused: Callable[..., list[str]], keys: Path, case: str
) -> None:
    text, expected = WRONG[case]
    told = "\n".join(refused(text, keys=keys))
    for fragment in expected:
        assert fragment in told, told


def test_all_problems_are_told_at_once(refused: Callable[..., list[str]], keys: Path) -> None:
    text = (
        FULL.replace("lists:", "list:")
        .replace("use: [refund]", "use: [refnd]")
        .replace("roles: [analyst, support]", "roles: [analyst, suport]")
        .replace("args.amount > 100", "args.amout > 100")
        .replace("labels: [internal]", "label: [internal]")
        .replace("policy:\n", "policy:\n  - {name: First, effect: forbid}\n")
        .replace("window: month", "window: moon")
    )
    places = [problem.split(":")[0] for problem in refused(text, keys=keys)]
    assert places == ["9", "30", "34", "46", "47", "53", "57", "63"]


def test_what_yaml_1_1_would_have_read_otherwise_is_text(apply: Apply) -> None:
    apply(MINIMAL + "lists:\n  on: [yes, no, off, 1_000, 0x10, 12:30:45, 2027-01-01, .inf, 'null']\n")
    named = NamedList.objects.get()
    assert named.name == "on"
    assert named.members == ["yes", "no", "off", "1_000", "0x10", "12:30:45", "2027-01-01", ".inf", "null"]


def test_an_existing_workspace_may_be_taken_over_by_a_file(apply: Apply) -> None:
    workspace = tenancy.create_workspace("shop", name="Before", actor=ACTOR)
    olga = people.create_person("olga@shop.test", actor=ACTOR).row
    people.set_roles(workspace, olga, roles=["owner"], actor=ACTOR)
    agents.create_agent(workspace, "bot", owner=olga, actor=ACTOR)
    told = apply(
        MINIMAL + "name: After\nagents: [{name: bot, owner: olga@shop.test, risk_tier: high}]\n"
    ).splitlines()
    assert told[:2] == ["~ workspace shop: name Before → After", "~ agent bot: risk_tier low → high"]
    assert not AgentKey.objects.exists()


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"Nothing was changed\. .*No such file"):
        call_command("apply", str(tmp_path / "none.yaml"))
