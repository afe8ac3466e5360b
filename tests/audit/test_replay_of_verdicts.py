"""Every verdict can be derived from what its entry holds, and one that was recorded otherwise is named."""

import hashlib
import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import canonical
from audit.models import Detail
from audit.verify import INCOMPLETE, INTACT, TAMPERED
from governance import policies, snapshot
from tests.audit.evidence import Auditor, Evidence, Files, changed, first, lines_of, resigned, unpack
from tests.cast import ACTOR, Cast
from tests.details import content_of, sealed
from tests.gate.conftest import REFUND, RULES
from tests.governance.test_verify_log import MAIL, caller, check
from workspaces import agents

pytestmark = pytest.mark.django_db

CHECKS = "governance.check."
Body = dict[str, Any]
Edit = Callable[[Body], Any]


@pytest.fixture
def files(evidence: Evidence) -> Files:
    return unpack(evidence.acme)


def decisions(files: Files) -> list[Body]:
    bodies = map(json.loads, lines_of(files))
    return [body for body in bodies if body["type"].startswith(CHECKS) and "decision" in body["data"]]


def verdict_is(code: str, **data: Any) -> Callable[[Body], bool]:
    """Whether a body is a decision with this code, and with these values in its data."""
    return lambda body: (
        body["type"].startswith(CHECKS)
        and body["data"].get("code") == code
        and all(body["data"].get(name) == value for name, value in data.items())
    )


def test_every_verdict_of_the_history_is_derived(auditor: Auditor, evidence: Evidence, files: Files) -> None:
    report = auditor.replay(evidence.acme)
    assert report.status == INTACT, report.lines()
    assert report.told["verdicts"] == len(decisions(files))
    assert report.told["underivable"] == 0
    assert report.told["conditions"] > 20
    codes = {body["data"]["code"] for body in decisions(files)}
    assert codes >= {
        "granted", "observed", "unknown_tool", "no_permission", "rule", "rate_limited", "budget_exhausted",
        "budget_busy", "contained", "approval_used", "too_many_pending", "invalid_arguments",
    }  # fmt: skip


def allowed_instead(body: Body) -> None:
    body["type"], body["outcome"] = f"{CHECKS}allowed", "granted"
    body["data"] |= {"verdict": "allow", "code": "granted"}


def set_fact(name: str, value: Any) -> Edit:
    return lambda body: body["data"]["facts"].update({name: value})


CODES = ("unknown_tool", "no_permission", "invalid_arguments", "contained", "rule", "rate_limited", "approval_used",
         "budget_busy", "budget_exhausted", "too_many_pending")  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_no_denial_can_be_told_as_an_allowance(
    auditor: Auditor, evidence: Evidence, files: Files, code: str
) -> None:
    index = first(lines_of(files), verdict_is(code))
    report = auditor.replay(resigned(files, changed(lines_of(files), index, allowed_instead), evidence.key))
    assert (report.status, report.first_bad) == (TAMPERED, index), report.lines()


@pytest.mark.parametrize(
    ("which", "edit"),
    [
        (verdict_is("granted", rules="."), lambda body: body["data"].update(rules="m")),
        (verdict_is("granted", rules="."), lambda body: body["data"].update(rules="..")),
        (verdict_is("rule", verdict="pending"), lambda body: body["data"].update(rules="..")),
        (verdict_is("rate_limited"), set_fact("used", {})),
        (verdict_is("rate_limited", verdict="pending"), set_fact("amounts", {"2": 1})),
        (verdict_is("too_many_pending"), set_fact("waiting", 3)),
        (verdict_is("approval_used"), set_fact("refused", "approval_expired")),
        (verdict_is("contained", standing="suspended"), lambda body: body["data"].pop("standing")),
        (verdict_is("granted"), lambda body: body["data"].update(standing="supervised")),
        (verdict_is("granted"), lambda body: body["data"].update(short="budget_busy")),
        (verdict_is("granted"), lambda body: body["data"].update(declaration="")),
        (verdict_is("granted"), lambda body: body["data"]["reasons"].append({"code": "rule", "rule": "x"})),
        (verdict_is("granted"), lambda body: body.update(outcome="observed")),
        (verdict_is("granted"), lambda body: body["data"].pop("facts")),
        (verdict_is("observed"), lambda body: body["data"].pop("would")),
    ],
)  # fmt: skip
def test_a_fact_that_leads_to_another_verdict_is_named(
    auditor: Auditor, evidence: Evidence, files: Files, which: Callable[[Body], bool], edit: Edit
) -> None:
    lines = lines_of(files)
    index = first(lines, which)
    report = auditor.replay(resigned(files, changed(lines, index, edit), evidence.key))
    assert (report.status, report.first_bad) == (TAMPERED, index), report.lines()


def digest_of(files: Files, name: str) -> str:
    """The digest of the rule of this name in one of the bundle's policies."""
    policies = (json.loads(files[each]) for each in files if each.startswith("policies/"))
    rule = next(rule for rules in policies for rule in rules if rule["name"] == name)
    return hashlib.sha256(canonical.encode(rule)).hexdigest()[:32]


def approved_call(body: Body) -> bool:
    return "used_approval" in body["data"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda body, digest: body["data"].update(used_approval="apr_of_nobody"),
        lambda body, digest: body["data"].pop("used_approval"),
        lambda body, digest: body["data"].update(declaration="0" * 64),
        lambda body, digest: body["data"]["facts"]["lifted"].append(digest),
    ],
)
def test_an_approval_lifts_only_what_people_were_asked_about(
    auditor: Auditor, evidence: Evidence, files: Files, edit: Callable[[Body, str], Any]
) -> None:
    digest, lines = digest_of(files, "At most 300 of refunds an hour"), lines_of(files)
    index = first(lines, approved_call)
    forged = changed(lines, index, lambda body: edit(body, digest))
    report = auditor.replay(resigned(files, forged, evidence.key))
    assert (report.status, report.first_bad) == (TAMPERED, index), report.lines()


def more_of(amounts: dict[str, int]) -> None:
    amounts.update({name: amount + 1_000 for name, amount in amounts.items()})


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: more_of(body["data"]["raised"]),
        lambda body: body["data"]["raised"].update(bud_other=1),
        lambda body: body["data"].pop("used_approval"),
        lambda body: body["data"]["facts"].pop("lifted"),
    ],
)
def test_a_budget_is_raised_by_no_more_than_people_were_asked(
    auditor: Auditor, evidence: Evidence, files: Files, edit: Edit
) -> None:
    lines = lines_of(files)
    index = first(lines, lambda body: bool(body["data"].get("raised")))
    report = auditor.replay(resigned(files, changed(lines, index, edit), evidence.key))
    assert (report.status, report.first_bad) == (TAMPERED, index), report.lines()


def test_an_edited_approval_is_for_the_edited_call_and_for_one_use(
    auditor: Auditor, evidence: Evidence, files: Files
) -> None:
    lines = lines_of(files)
    bodies = [json.loads(line) for line in lines]
    used = [body["data"]["used_approval"] for body in bodies if approved_call(body)]
    at = first(lines, lambda body: body["type"] == "governance.approval.edited")
    edited = bodies[at]["data"]["approval"]
    assert edited in used
    index = first(lines, lambda body: approved_call(body) and body["data"]["used_approval"] == edited)
    for forged, bad in (
        (changed(lines, at, lambda body: body.update(tool="mail.send")), at),
        (changed(lines, at, lambda body: body["data"].update(declaration="0" * 64)), index),
        (changed(lines, index, lambda body: body["data"].update(used_approval=used[0])), index),
    ):
        report = auditor.replay(resigned(files, forged, evidence.key))
        assert (report.status, report.first_bad) == (TAMPERED, bad), report.lines()


def test_another_policy_than_the_one_that_judged_is_no_policy_of_the_log(
    auditor: Auditor, evidence: Evidence, files: Files
) -> None:
    name = f"policies/{decisions(files)[0]['data']['policy']}.json"
    missing = {other: content for other, content in files.items() if other != name}
    assert auditor.replay(missing).status == INCOMPLETE
    other = files | {name: canonical.encode([])}
    assert auditor.replay(other).status == INCOMPLETE
    assert auditor.verify(other).status == TAMPERED


# manage.py replay: with the arguments, and so the conditions too


def replayed(cast: Cast) -> str:
    out = StringIO()
    call_command("replay", workspace=cast.acme.slug, stdout=out)
    return out.getvalue()


def test_conditions_are_evaluated_again_where_their_details_are(cast: Cast) -> None:
    policies.publish(policies.draft(cast.acme, RULES, actor=ACTOR), actor=ACTOR)
    snapshot.forget()
    mailer = caller(cast.support_bot, cast.support_bot_key)
    check(mailer, *MAIL)
    check(mailer, "no.such.tool", {})
    asked = check(mailer, REFUND, {"invoice": "17", "amount": 250})
    index = check(mailer, REFUND, {"invoice": "17", "amount": 50})["receipt"]["index"]
    told = replayed(cast)
    assert "acme: 1 decisions were settled before any rule was asked" in told
    assert "acme: 4 decisions, 5 conditions evaluated: all as recorded" in told
    Detail.objects.filter(log_id=cast.acme.log_id, index=asked["receipt"]["index"]).delete()
    assert "acme: 1 decisions cannot be judged: its arguments were erased" in replayed(cast)
    content = content_of(cast.acme.log_id, index)
    content["arguments"]["value"]["amount"] = 250
    Detail.objects.filter(log_id=cast.acme.log_id, index=index).update(
        content=sealed(cast.acme.log_id, index, canonical.encode(content))
    )
    with pytest.raises(CommandError, match="otherwise than they were recorded: acme") as failure:
        replayed(cast)
    assert failure.value.returncode == 1
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("replay", stdout=out)
    assert (
        f"1 differ, first entry {index}: its rules came to ..m (allow), and come to m.m (pending)"
        in out.getvalue()
    )
    # What changed since explains another result.
    agents.change_agent(cast.support_bot, labels=[], actor=ACTOR)
    assert "1 decisions cannot be judged: what it rested on has changed since" in replayed(cast)
    with pytest.raises(CommandError, match="no workspace 'nowhere'"):
        call_command("replay", workspace="nowhere")
