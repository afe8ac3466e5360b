"""Whatever changes configuration writes an entry; what does not is found, and named."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils import timezone

from audit import log, registry
from tests.cast import ACTOR, Cast
from tests.contracts import configuration_triggers
from workspaces import access, agents, catalog, people, tenancy
from workspaces.models import Agent, Tool, ToolGrant, User

ROOT = Path(__file__).resolve().parents[2]
committed = pytest.mark.django_db(transaction=True)

CULPRIT = """
import pytest
from workspaces.models import User

@pytest.mark.django_db(transaction=True)
def test_that_writes_around_the_log():
    User.objects.create(email="someone@acme.test")

@pytest.mark.django_db
def test_whose_writes_are_rolled_back():
    User.objects.create(email="someone@acme.test")
"""


@committed
def test_every_change_function_accounts_for_each_row(cast: Cast) -> None:
    tenancy.change_workspace(cast.acme, two_people=True, actor=ACTOR)
    people.rename(cast.sam, name="Samuel", actor=ACTOR)
    people.set_password(cast.sam, password="a long enough one", actor=ACTOR)
    people.set_roles(cast.acme, cast.sam, roles=["developer", "auditor"], actor=ACTOR)
    people.set_roles(cast.acme, cast.rita, roles=[], actor=ACTOR)
    people.deactivate(cast.sam, actor=ACTOR)
    people.redeem_signin_link(people.signin_link(cast.olga, actor=ACTOR))
    people.remove_reviewer_group(cast.acme.reviewer_groups.get(), actor=ACTOR)
    agents.change_agent(cast.support_bot, name="helper-bot", acts_for=[cast.otto], actor=ACTOR)
    agents.set_agent_roles(cast.support_bot, {cast.roles["support"]: timezone.now()}, actor=ACTOR)
    agents.revoke_key(agents.create_key(cast.support_bot, actor=ACTOR)[0], actor=ACTOR)
    access.grant(cast.report_bot, permission="read", obj=cast.resources["web"], actor=ACTOR)
    access.revoke(cast.report_bot, permission="read", obj=cast.resources["web"], actor=ACTOR)
    access.set_grants(cast.report_bot, {("use", cast.tools["mail.send"]): None}, actor=ACTOR)
    catalog.remove_list(cast.acme.lists.get(), actor=ACTOR)
    catalog.remove_role(cast.roles["analyst"], actor=ACTOR)
    catalog.remove_tool(cast.tools["files.read"], actor=ACTOR)
    catalog.remove_resource(cast.resources["reports"], actor=ACTOR)
    assert configuration_triggers.unrecorded() == []


@committed
def test_a_write_around_the_log_is_found_by_table_and_row(cast: Cast) -> None:
    User.objects.filter(pk=cast.sam.pk).update(name="Somebody")
    assert configuration_triggers.take() == [f"UPDATE workspaces_user {cast.sam.pk}"]
    Agent.objects.filter(pk=cast.report_bot.pk).update(labels=["trusted"])
    ToolGrant.objects.create(
        group=cast.globex_bot.group,
        content_object=cast.tools["mail.send"],
        permission=Permission.objects.get(codename="use"),
    )
    cast.support_bot.agent_roles.all().delete()
    lines = configuration_triggers.take()
    assert sorted(line.split()[:2] for line in lines) == [
        ["DELETE", "workspaces_agentrole"],
        ["DELETE", "workspaces_agentrole"],
        ["INSERT", "workspaces_toolgrant"],
        ["UPDATE", "workspaces_agent"],
    ]


@committed
def test_bulk_and_cascading_writes_are_found_too(cast: Cast) -> None:
    Tool.objects.filter(name="web.fetch").delete()
    assert {line.split()[1] for line in configuration_triggers.take()} == {
        "workspaces_tool",
        "workspaces_toolgrant",
    }
    Tool.objects.bulk_create([Tool(workspace=cast.acme, name="planted", action="read")])
    assert len(configuration_triggers.take()) == 1


@committed
def test_an_entry_about_something_else_excuses_nothing(cast: Cast) -> None:
    with log.write(cast.acme.log_id) as entries:
        Agent.objects.filter(pk=cast.report_bot.pk).update(risk_tier="low")
        entries.append("governance.check.allowed", actor="agent:agt_1")
    assert configuration_triggers.take() == [f"UPDATE workspaces_agent {cast.report_bot.pk}"]


@committed
def test_what_is_rolled_back_is_no_finding(cast: Cast) -> None:
    with transaction.atomic():
        User.objects.all().update(name="Nobody")
        transaction.set_rollback(True)
    assert configuration_triggers.unrecorded() == []


@committed
def test_a_time_of_last_use_is_no_configuration(cast: Cast) -> None:
    cast.olga.last_login = timezone.now()
    cast.olga.save(update_fields=["last_login"])
    assert configuration_triggers.unrecorded() == []


@pytest.mark.django_db
def test_every_registered_kind_has_its_triggers() -> None:
    script = "\n".join(configuration_triggers.statements())
    for kind in registry.kinds.values():
        for operation in configuration_triggers.OPERATIONS:
            assert (
                f"{configuration_triggers.TABLE}_{kind.model._meta.db_table}_{operation.lower()} " in script
            )


def test_a_run_with_a_culprit_fails_and_names_it(tmp_path: Path) -> None:
    culprit = tmp_path / "test_culprit.py"
    culprit.write_text(CULPRIT)
    plugins = ["-p", "no:cacheprovider", "-p", "django", "-p", "tests.contracts.configuration_triggers"]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *plugins,
            "-c",
            str(ROOT / "pyproject.toml"),
            "--rootdir",
            str(ROOT),
            culprit,
        ],
        cwd=ROOT,
        env={**without_database(os.environ), "COUNTERSIGN_TEST_SQLITE": str(tmp_path / "culprit.sqlite3")},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert "2 passed, 1 error" in result.stdout
    assert "test_that_writes_around_the_log committed configuration without an entry" in result.stdout
    assert "INSERT workspaces_user 1" in result.stdout


def without_database(environment: os._Environ[str]) -> dict[str, str]:
    """The environment of an embedded installation: the culprit's database is its own file."""
    return {name: value for name, value in environment.items() if name != "DATABASE_URL"}
