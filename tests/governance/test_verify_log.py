"""manage.py verify_log: an honest installation is intact, and each way to tamper with it is named."""

import hashlib
import json
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from audit import canonical, log, merkle
from audit.absences import ERASED
from audit.models import Detail, Entry, Head, Log
from billing import limits
from governance import approvals, checks, containment, policies, records, reports, snapshot
from governance.models import Approval, Vote
from governance.requests import Caller, CheckRequest, OutcomeReport, Problem, ThrottleNote
from tests.cast import ACTOR, Cast
from tests.details import content_of, sealed
from tests.gate.conftest import REFUND, RULES
from workspaces import access, agents, catalog, people, tenancy
from workspaces.identifiers import key_digest
from workspaces.models import Agent, Workspace

pytestmark = pytest.mark.django_db

READ = ("files.read", {"path": "/srv/reports/q3.csv"})
MAIL = ("mail.send", {"to": "ann@customers.test", "subject": "x", "body": "y"})
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    """What a process remembers of rows that an earlier test rolled back."""
    snapshot.forget()
    records.key_uses.clear()
    yield
    snapshot.forget()
    records.key_uses.clear()


def caller(agent: Agent, key: str) -> Caller:
    return Caller(agent.workspace.log_id, agent.pk, key[4:12], key_digest(key))


def check(who: Caller, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One check, admitted as the gate admits it."""
    digest = hashlib.sha256(canonical.encode({"tool": tool, "arguments": arguments})).digest()
    request = CheckRequest(caller=who, tool=tool, arguments=arguments, digest=digest, **more)
    (answer,) = checks.admit(who.log_id, [request])
    assert not isinstance(answer, Problem)
    return json.loads(answer)  # type: ignore[no-any-return]


def approve(answer: dict[str, Any], person: Any) -> str:
    approval = Approval.objects.select_related("workspace", "agent").get(public_id=answer["approval"]["id"])
    approvals.decide(
        approval, person=person, approve=True, comment="It is owed.", known_by=Vote.KnownBy.SESSION,
        actor=people.actor_of(person), second_factor="totp",
    )  # fmt: skip
    return approval.public_id


def stand(scope: containment.Scope, standing: str) -> int:
    """Put a scope on a step of the ladder; the index of the entry in its own log."""
    row = type(scope)._default_manager.get(pk=scope.pk)
    step = containment.set_standing(row, standing, reason="Test.", actor="cli:root@console", person=None)
    assert step.index is not None
    return step.index


@pytest.fixture
def history(cast: Cast) -> Cast:
    """What happened in acme, in short."""
    return live(cast, rounds=3)


def live(cast: Cast, rounds: int) -> Cast:
    """Entries of every kind: configuration, decisions, approvals, outcomes and containment."""
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR), actor=ACTOR)
    limits.set_budget(cast.acme, window="month", limit_amount=10**12, warn_at=[50], actor=ACTOR)
    limits.remove_budget(
        limits.set_budget(cast.acme, agent=cast.report_bot, window="day", limit_amount=5, actor=ACTOR).row,
        actor=ACTOR,
    )
    reader = caller(cast.report_bot, cast.report_bot_key)
    mailer = caller(cast.support_bot, cast.support_bot_key)
    for number in range(rounds):
        check(reader, *READ, session=f"run-{number // 10}", estimated_nanos=number)
        check(mailer, *MAIL, call_id=f"call-{number}", reason="the customer asked")
        check(reader, "no.such.tool", {"number": number})
        check(mailer, *MAIL, dry_run=True)
    for _ in range(2):
        refund = check(mailer, REFUND, {"invoice": "17", "amount": 250, "card_number": "4111"})
        assert refund["decision"] == "pending"
        used = approve(refund, cast.rita)
        lifted = check(mailer, REFUND, {"invoice": "17", "amount": 250, "card_number": "4111"}, approval=used)
        assert lifted["decision"] == "allow"
        told = {"summary": canonical.Encoded(b'"done"'), "changes": canonical.Encoded(b'[{"row":1}]')}
        checks.admit(mailer.log_id, [OutcomeReport(mailer, lifted["id"], "succeeded", told, 7)])
    checks.admit(reader.log_id, [ThrottleNote(reader, 40)])
    stand(cast.support_bot, "supervised")
    mail = check(mailer, *MAIL)
    assert mail["decision"] == "pending"
    supervisor = approve(mail, cast.rita)
    assert check(mailer, *MAIL, approval=supervisor)["decision"] == "allow"
    approvals.cancel(
        Approval.objects.get(public_id=check(mailer, *MAIL)["approval"]["id"]), actor=ACTOR, reason="No."
    )
    for scope in (cast.support_bot, cast.acme, tenancy.install(actor=ACTOR)):
        for standing in ("suspended", "read_only", "observe", "active"):
            stand(scope, standing)
            check(mailer, *MAIL)
            check(mailer, "no.such.tool", {})
            stopped = standing == "suspended" and scope != cast.support_bot
            assert check(reader, *READ)["decision"] == ("deny" if stopped else "allow")
    people.rename(cast.sam, name="Samuel", actor=ACTOR)
    people.set_password(cast.sam, password="a long enough one", actor=ACTOR)
    people.set_roles(cast.acme, cast.sam, roles=["developer"], actor=ACTOR)
    people.deactivate(cast.sam, actor=ACTOR)
    people.redeem_signin_link(people.signin_link(cast.olga, actor=ACTOR))
    agents.set_agent_roles(cast.support_bot, {cast.roles["support"]: timezone.now()}, actor=ACTOR)
    agents.change_agent(cast.support_bot, purpose="Answers mail", acts_for=[cast.otto], actor=ACTOR)
    agents.revoke_key(agents.create_key(cast.report_bot, actor=ACTOR)[0], actor=ACTOR)
    access.revoke(cast.report_bot, permission="use", obj=cast.tools["files.read"], actor=ACTOR)
    catalog.remove_tool(cast.tools["web.fetch"], actor=ACTOR)
    catalog.remove_resource(cast.resources["web"], actor=ACTOR)
    catalog.set_list(cast.acme, name="partners", members=["new@partner.test"], actor=ACTOR)
    policies.publish(policies.draft(cast.acme, RULES[:1], actor=ACTOR), actor=ACTOR)
    assert reports.close_unreported() == 0
    return cast


def verified(*arguments: str) -> list[str]:
    """The lines that the command writes; the last of each log sums up."""
    out = StringIO()
    code = 0
    try:
        call_command("verify_log", *arguments, stdout=out)
    except CommandError as error:
        code = error.returncode
    lines = out.getvalue().splitlines()
    assert code == (0 if all(line.endswith(": intact") for line in lines) else 1)
    return lines


def findings(workspace: str = "acme") -> list[str]:
    """What is found in one log, without what to do about it."""
    return [line for line in verified() if line.startswith(f"{workspace}: ") and ", root " not in line]


def sql(statement: str, *parameters: Any) -> None:
    """Write around everything, as somebody with the database's password would."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.rowcount == 1


def forge(workspace: Workspace, pick: Callable[[dict[str, Any]], bool], edit: Edit, last: bool = True) -> int:
    """Change the data of a chosen entry, or with a copy of it add one; all hashes and the head follow."""
    rows = list(Entry.objects.filter(log_id=workspace.log_id).order_by("index"))
    chosen = [row for row in rows if pick(json.loads(bytes(row.body)))][-1 if last else 0]
    body = json.loads(bytes(chosen.body))
    edit(body)
    if body["index"] != chosen.index:  # a copy, at the end
        chosen = Entry(log_id=workspace.log_id, index=len(rows), time=rows[-1].time)
        body["index"] = chosen.index
        body["time"] = json.loads(bytes(rows[-1].body))["time"]
        body.pop("detail", None)
    for name in ("type", "actor", "agent", "tool", "resource", "outcome", "session"):
        setattr(chosen, name, body[name])
    chosen.body = canonical.encode(body)
    chosen.leaf = merkle.leaf_hash(chosen.body)
    chosen.save()
    frontier = merkle.Frontier()
    frontier.extend(leaves_of(workspace))
    Head.objects.filter(log_id=workspace.log_id).update(size=frontier.size, frontier=frontier.encode())
    return chosen.index


def leaves_of(workspace: Workspace) -> list[bytes]:
    rows = Entry.objects.filter(log_id=workspace.log_id).order_by("index")
    return [bytes(leaf) for leaf in rows.values_list("leaf", flat=True)]


def bodies_of(workspace: Workspace) -> list[dict[str, Any]]:
    rows = Entry.objects.filter(log_id=workspace.log_id).order_by("index")
    return [json.loads(bytes(body)) for body in rows.values_list("body", flat=True)]


def is_allowed(body: dict[str, Any]) -> bool:
    return bool(body["type"] == "governance.check.allowed")


def append_copy(**data: Any) -> Edit:
    """Make the entry one more, with other data."""

    def edit(body: dict[str, Any]) -> None:
        body["index"] = -1
        body["data"] |= data

    return edit


def test_an_honest_history_of_every_kind_is_intact(cast: Cast) -> None:
    live(cast, rounds=100)
    lines = verified()
    assert [line.rsplit(": ")[-1] for line in lines] == ["intact"] * 3
    entries = Entry.objects.filter(log_id=cast.acme.log_id).count()
    assert entries > 400
    root = merkle.root(leaves_of(cast.acme))
    acme = next(line for line in lines if line.startswith("acme: "))
    assert f"acme: {entries:,} entries, root {root.hex()}, 0 details erased, configuration " in acme
    assert lines[0].startswith("installation: ")


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_is_intact_on_its_own_connection(history: Cast) -> None:
    assert [line.rsplit(": ")[-1] for line in verified()] == ["intact"] * 3


def test_one_workspace_alone_and_an_unknown_one(cast: Cast) -> None:
    (line,) = verified("--workspace", "globex")
    assert line.startswith("globex: ")
    with pytest.raises(CommandError, match="no workspace 'nowhere'") as refusal:
        call_command("verify_log", "--workspace", "nowhere")
    assert refusal.value.returncode == 2


def test_json_holds_what_the_lines_say(history: Cast) -> None:
    out = StringIO()
    call_command("verify_log", "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert document["intact"]
    acme = next(each for each in document["logs"] if each["name"] == "acme")
    assert acme["findings"] == []
    assert acme["log"] == str(history.acme.log.uuid)
    assert acme["revision"] == Head.objects.get(log_id=history.acme.log_id).revision
    sql("UPDATE workspaces_tool SET risk = 'low' WHERE id = %s", history.tools[REFUND].pk)
    out = StringIO()
    with pytest.raises(CommandError, match="acme"):
        call_command("verify_log", "--json", stdout=out)
    document = json.loads(out.getvalue())
    (finding,) = next(each for each in document["logs"] if each["name"] == "acme")["findings"]
    assert not document["intact"]
    assert finding["row"] == {"kind": "workspaces.tool", "key": history.tools[REFUND].pk}
    assert finding["entry"] is None


def test_an_erased_detail_is_counted(history: Cast) -> None:
    forget_details(history.acme.log_id)
    acme = next(line for line in verified() if line.startswith("acme: "))
    assert " details erased, commitments intact" in acme
    assert acme.endswith(": intact")


def forget_details(log_id: int) -> None:
    """Erase every Detail of a log, and say so."""
    erased: dict[str, list[list[int]]] = {}
    for index in Detail.objects.filter(log_id=log_id).values_list("index", flat=True):
        for name in content_of(log_id, index):
            erased.setdefault(name, []).append([index, index])
    Detail.objects.filter(log_id=log_id).delete()
    with log.write(log_id) as entries:
        entries.append(ERASED, actor=ACTOR, data={"erased": erased})


def test_a_flipped_byte_is_named_with_its_entry(history: Cast) -> None:
    row = Entry.objects.get(log_id=history.acme.log_id, index=17)
    body = bytes(row.body).replace(b'"rand":"', b'"rand":"0', 1)
    sql("UPDATE audit_entry SET body = %s WHERE id = %s", body, row.pk)
    (finding,) = findings()
    assert finding.startswith("acme: entry 17: The body does not hash to its leaf")
    assert verified("--workspace", "acme")[-1].endswith("1 findings, the first bad entry is 17")


def test_an_edited_tool_is_named_by_row_and_column(history: Cast) -> None:
    tool = history.tools[REFUND]
    sql("UPDATE workspaces_tool SET risk = 'low', reversible = %s WHERE id = %s", True, tool.pk)
    risk, reversible = sorted(findings(), reverse=True)
    assert risk.startswith(f"acme: workspaces.tool {tool.pk}: ('billing.refund') risk is 'low', and entry ")
    assert "says 'high'" in risk
    assert "reversible is True" in reversible


def test_json_columns_are_compared_as_json(history: Cast) -> None:
    tool = history.tools["mail.send"]
    schema = json.dumps(tool.schema, indent=3, sort_keys=True)
    sql("UPDATE workspaces_tool SET schema = %s WHERE id = %s", schema, tool.pk)
    assert findings() == []
    sql(
        "UPDATE workspaces_tool SET schema = %s WHERE id = %s",
        schema.replace('"additionalProperties": false', '"additionalProperties": 0'),
        tool.pk,
    )
    (finding,) = findings()
    assert "schema is" in finding


def test_a_planted_grant_is_named(history: Cast) -> None:
    sql(
        "INSERT INTO workspaces_toolgrant (permission_id, group_id, content_object_id, created, granted_by)"
        " SELECT permission_id, %s, content_object_id, created, granted_by FROM workspaces_toolgrant LIMIT 1",
        history.report_bot.group_id,
    )
    (finding,) = findings()
    assert finding.startswith("acme: workspaces.toolgrant ")
    assert "The log did not make this row." in finding


def test_a_grant_with_another_end_is_named(history: Cast) -> None:
    grant = history.tools[REFUND].grants.get()
    sql("UPDATE workspaces_toolgrant SET expires_at = '2040-01-01 00:00:00' WHERE id = %s", grant.pk)
    (finding,) = findings()
    assert finding.startswith(f"acme: workspaces.toolgrant {grant.pk}: expires_at is '2040-")


def test_a_deleted_role_is_named(history: Cast) -> None:
    given = history.support_bot.agent_roles.get()
    sql("DELETE FROM workspaces_agentrole WHERE id = %s", given.pk)
    (finding,) = findings()
    assert finding.startswith(f"acme: workspaces.agentrole {given.pk}: The row is gone; entry ")


def test_an_edited_policy_is_named(history: Cast) -> None:
    version = policies.in_force(history.acme)
    assert version is not None
    sql("UPDATE governance_policyversion SET content = '[]' WHERE id = %s", version.pk)
    (finding,) = findings()
    assert finding.startswith(f"acme: governance.policyversion {version.pk}: content is not what entry ")


@pytest.mark.parametrize("column", ["email", "name", "password"])
def test_a_persons_changed_column_is_named_without_its_value(history: Cast, column: str) -> None:
    sql(f"UPDATE workspaces_user SET {column} = 'mallory@evil.test' WHERE id = %s", history.olga.pk)
    (finding,) = findings("installation")
    assert finding.startswith(f"installation: workspaces.user {history.olga.pk}: ")
    assert f"{column} is not what entry " in finding
    assert "mallory" not in finding
    assert "olga" not in finding


def test_a_person_made_administrator_is_named(history: Cast) -> None:
    sql("UPDATE workspaces_user SET is_superuser = %s WHERE id = %s", True, history.otto.pk)
    (finding,) = findings("installation")
    assert "is_superuser is True" in finding


def test_a_personal_column_is_not_compared_once_its_salt_is_erased(history: Cast) -> None:
    forget_details(Log.objects.get(kind="installation").pk)
    sql("UPDATE workspaces_user SET email = 'other@acme.test' WHERE id = %s", history.olga.pk)
    assert findings("installation") == []


def test_a_time_of_last_sign_in_is_no_configuration(history: Cast) -> None:
    sql("UPDATE workspaces_user SET last_login = '2030-01-01 00:00:00' WHERE id = %s", history.olga.pk)
    assert findings("installation") == []


def test_a_loosened_standing_is_named(history: Cast) -> None:
    stand(history.report_bot, "suspended")
    sql("UPDATE workspaces_agent SET standing = 'active' WHERE id = %s", history.report_bot.pk)
    (finding,) = findings()
    assert "standing is 'active'" in finding


def test_an_edited_detail_is_named(history: Cast) -> None:
    row = Detail.objects.filter(log_id=history.acme.log_id).order_by("-index").first()
    assert row is not None
    content = content_of(row.log_id, row.index)
    next(iter(content.values()))["value"] = "edited"
    sql("UPDATE audit_detail SET content = %s WHERE id = %s", sealed(row.log_id, row.index, content), row.pk)
    assert findings()[0].startswith(f"acme: entry {row.index}: ")
    assert "in the Detail is not what the body commits to" in findings()[0]


@pytest.mark.parametrize("scope", ["agent", "workspace", "installation"])
@pytest.mark.parametrize("standing", ["suspended", "revoked", "read_only", "supervised"])
def test_an_allow_after_containment_is_found_whatever_hashes_say(
    history: Cast, scope: str, standing: str
) -> None:
    scopes: dict[str, containment.Scope] = {
        "agent": history.support_bot,
        "workspace": history.acme,
        "installation": tenancy.install(actor=ACTOR),
    }
    stand(scopes[scope], standing)
    assert findings() == []
    forged, *more = forged_allow(history)
    assert f"which is {standing}" in forged
    assert bool(more) == (standing == "revoked")  # its keys are, too


def next_number(agent: Agent) -> int:
    """What the next decision of an agent is numbered."""
    own = [body["data"] for body in bodies_of(agent.workspace) if body["agent"] == agent.public_id]
    return int(max(data.get("seq", 0) for data in own)) + 1


def forged_allow(history: Cast, **data: Any) -> list[str]:
    """What is found when a past allow of support-bot is told once more, with other data."""
    revision = Head.objects.get(log_id=history.acme.log_id).revision
    fitting = {"seq": next_number(history.support_bot), "decision": "dec_forged", "revision": revision}

    def is_mail(body: dict[str, Any]) -> bool:
        plain = not {"lifted", "would"} & body["data"].keys()
        return is_allowed(body) and body["tool"] == "mail.send" and plain

    index = forge(history.acme, is_mail, append_copy(**(fitting | data)))
    lines = findings()
    assert all(line.startswith(f"acme: entry {index}: ") for line in lines)
    return lines


def test_a_forgery_that_fits_the_story_is_not_found(history: Cast) -> None:
    """The limit of what a log can show by itself: signed checkpoints are what is for that."""
    assert forged_allow(history) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"seq": 1}, "It is decision 1 of agt_"),
        ({"seq": 500}, "It is decision 500 of agt_"),
        ({"seq": None}, "lacks what a governance.check.allowed tells"),
        ({"revision": 3}, "It was judged at revision 3"),
        ({"key": "00000000"}, "the key '00000000', which the log does not know"),
        ({"would": "deny"}, "and not observed"),
        ({"lifted": ["Refunds"]}, "lacks what"),
        ({"lifted": ["Refunds"], "used_approval": "apr_made_up"}, "'apr_made_up', which was not approved"),
    ],
)  # fmt: skip
def test_a_forged_allow_that_does_not_fit_is_found(history: Cast, data: dict[str, Any], message: str) -> None:
    (finding,) = forged_allow(history, **data)
    assert message in finding


def test_an_approval_used_twice_and_a_decision_told_twice_are_found(history: Cast) -> None:
    used = next(body["data"] for body in bodies_of(history.acme) if "used_approval" in body["data"])
    again = {name: used[name] for name in ("lifted", "used_approval", "decision")}
    double, twice = forged_allow(history, **again)
    assert f"The decision {used['decision']} was allowed by entry" in double
    assert "was used or void already" in twice


def test_a_revoked_key_allows_nothing_more(history: Cast) -> None:
    agents.revoke_key(history.support_bot.keys.get(), actor=ACTOR)
    (finding,) = forged_allow(history)
    assert "which was revoked" in finding


def test_a_containment_entry_that_says_otherwise_than_its_rows_is_found(history: Cast) -> None:
    index = stand(history.report_bot, "suspended")

    def edit(body: dict[str, Any]) -> None:
        body["data"]["to"] = "active"

    forge(history.acme, lambda body: body["index"] == index, edit)
    (finding,) = findings()
    assert finding.startswith(f"acme: entry {index}: It says that the standing became 'active'")


def test_a_removed_entry_of_a_change_is_missed_by_the_configuration_too(history: Cast) -> None:
    index = stand(history.report_bot, "suspended")
    sql('DELETE FROM audit_detail WHERE log_id = %s AND "index" = %s', history.acme.log_id, index)
    sql('DELETE FROM audit_entry WHERE log_id = %s AND "index" = %s', history.acme.log_id, index)
    lines = findings()
    assert lines[0].startswith(f"acme: entry {index}: The log ends here")
    assert any("standing is 'suspended'" in line for line in lines)


def test_a_rewritten_change_is_found_in_the_configuration(history: Cast) -> None:
    def edit(body: dict[str, Any]) -> None:
        for row in body["data"]["rows"]:
            row["state"]["risk"] = "low"

    def is_refund(body: dict[str, Any]) -> bool:
        return bool(body["type"] == "workspaces.tool.changed" and body["tool"] == REFUND)

    forge(history.acme, is_refund, edit)
    (finding,) = findings()
    assert "risk is 'high'" in finding
    assert "says 'low'" in finding


@pytest.mark.parametrize("rows", [[5], [{"kind": "workspaces.tool"}], [{"kind": 1, "key": 2, "state": {}}]])
def test_rows_that_cannot_be_read_are_named(history: Cast, rows: list[Any]) -> None:
    def edit(body: dict[str, Any]) -> None:
        body["data"]["rows"] += rows

    index = forge(history.acme, lambda body: body["type"] == "workspaces.list.changed", edit)
    (finding,) = findings()
    assert finding.startswith(f"acme: entry {index}: It names a row that cannot be read")


def test_a_workspace_that_vanished_is_named_by_the_installations_log(history: Cast) -> None:
    uuid = history.globex.log.uuid
    sql("UPDATE audit_log SET uuid = %s WHERE id = %s", "0" * 32, history.globex.log_id)
    (finding,) = findings("installation")
    assert f"It tells of the log {uuid}, which is gone." in finding


def test_a_column_newer_than_its_entry_stands_at_its_default(history: Cast) -> None:
    def edit(body: dict[str, Any]) -> None:
        for row in body["data"]["rows"]:
            row["state"].pop("trust_reports")

    def is_refund(body: dict[str, Any]) -> bool:
        return bool(body["type"] == "workspaces.tool.changed" and body["tool"] == REFUND)

    forge(history.acme, is_refund, edit)
    assert findings() == []
    sql("UPDATE workspaces_tool SET trust_reports = %s WHERE id = %s", True, history.tools[REFUND].pk)
    (finding,) = findings()
    assert "trust_reports is True" in finding


def test_what_somebody_planted_cannot_steer_a_terminal(history: Cast) -> None:
    def edit(body: dict[str, Any]) -> None:
        body["index"] = -1
        body["agent"] = "agt_\x1b[2J"

    forge(history.acme, is_allowed, edit)
    assert "\x1b" not in "\n".join(verified())


def test_progress_is_told_when_asked_for(history: Cast) -> None:
    silent, err = StringIO(), StringIO()
    call_command("verify_log", stdout=StringIO(), stderr=silent)
    call_command("verify_log", "--progress", stdout=StringIO(), stderr=err)
    size = Head.objects.get(log_id=history.acme.log_id).size
    assert silent.getvalue() == ""
    assert f"acme: {size:,} of {size:,} entries" in err.getvalue().splitlines()
