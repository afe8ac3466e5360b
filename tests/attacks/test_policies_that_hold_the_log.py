"""Drafts that take long to check. Whoever may draft may make one, and decisions, kills and other workspaces would wait
for the lock meanwhile: so nothing is checked under it."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from governance import lint, policies
from governance.models import PolicyVersion
from tests.api.caller import Caller
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter
from workspaces import agents, catalog
from workspaces.models import User

pytestmark = pytest.mark.django_db(transaction=True)
RULES = "- {name: No mail, tools: [mail.send], effect: deny}"
NO_MAIL = [{"name": "No mail", "tools": ["mail.send"], "effect": "deny"}]


@pytest.fixture
def developer(cast: Cast) -> User:
    return employ(cast.acme, "dev@acme.test", "Dev", "developer")


@pytest.fixture
def locked_while_checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether a transaction was open, for each time that rules were checked: on SQLite it is the one writer's turn."""
    found: list[bool] = []
    check = lint.check

    def checked(*args: object) -> object:
        found.append(connection.in_atomic_block)
        return check(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(lint, "check", checked)
    yield found
    assert found, "No rules were checked."


def drafted(client: Client, cast: Cast, **more: str) -> int:
    form = {"workspace": cast.acme.pk, "text": RULES, "note": "", **more}
    return client.post(reverse("admin:governance_policyversion_add"), form).status_code


def test_a_draft_from_the_portal_is_checked_without_the_lock(
    cast: Cast, developer: User, locked_while_checked: list[bool]
) -> None:
    assert drafted(enter(developer), cast) == 302
    assert PolicyVersion.objects.get().drafted_by == f"person:{developer.public_id}"
    assert not any(locked_while_checked)


def test_so_is_a_text_that_is_only_checked(
    cast: Cast, developer: User, locked_while_checked: list[bool]
) -> None:
    assert drafted(enter(developer), cast, _check="1") == 200
    assert not PolicyVersion.objects.exists()
    assert not any(locked_while_checked)


def test_and_a_draft_published_at_once(cast: Cast, locked_while_checked: list[bool]) -> None:
    version = policies.replace(cast.acme, NO_MAIL, actor=ACTOR)
    assert version.status == PolicyVersion.Status.IN_FORCE
    assert not any(locked_while_checked)


def test_who_changes_the_workspace_meanwhile_has_nothing_checked_under_the_lock(
    cast: Cast, developer: User, locked_while_checked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second check, for what changed during the first one, is the one that an attacker can cause."""
    read = policies.catalog
    names = iter(range(1, 3))

    def changing(workspace: object) -> lint.Catalog:
        found = read(cast.acme)
        if (number := next(names, None)) is not None:
            label = [f"label-{number}"]
            agents.change_agent(cast.report_bot, labels=label, actor=ACTOR)
        return found

    monkeypatch.setattr(policies, "catalog", changing)
    told = Caller(developer).post("workspaces/acme/policies", {"rules": NO_MAIL})
    assert told["status"] == "draft"
    assert len(locked_while_checked) == 3
    assert not any(locked_while_checked)


def test_what_changes_and_is_nothing_to_rules_is_no_second_check(
    cast: Cast, developer: User, locked_while_checked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = policies.catalog
    purposes = iter("ab")

    def changing(workspace: object) -> lint.Catalog:
        found = read(cast.acme)
        agents.change_agent(cast.report_bot, purpose=next(purposes, "b"), actor=ACTOR)
        return found

    monkeypatch.setattr(policies, "catalog", changing)
    policies.draft(cast.acme, NO_MAIL, actor=ACTOR)
    assert len(locked_while_checked) == 1


def test_a_workspace_that_never_rests_is_told_to(
    cast: Cast, developer: User, locked_while_checked: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = policies.catalog

    def changing(workspace: object) -> lint.Catalog:
        found = read(cast.acme)
        name = f"r{len(locked_while_checked)}"
        catalog.set_resource(cast.acme, name=name, pattern="file:///srv/x", actor=ACTOR)
        return found

    monkeypatch.setattr(policies, "catalog", changing)
    told = Caller(developer).post("workspaces/acme/policies", {"rules": NO_MAIL}, 409)
    assert told["code"] == "workspace_changing"
    assert drafted(enter(developer), cast) == 200
    assert not PolicyVersion.objects.exists()
    assert not any(locked_while_checked)
