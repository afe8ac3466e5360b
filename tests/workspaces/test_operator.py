"""manage.py operator: who may contain the whole installation."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.cast import Cast
from workspaces import access
from workspaces.models import User

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("operator", *arguments, stdout=out)
    return out.getvalue()


def test_a_person_becomes_an_operator_and_sees_into_no_workspace_by_that(cast: Cast) -> None:
    assert "is an operator" in run("Sam@stranger.test")
    sam = User.objects.get(email="sam@stranger.test")
    assert sam.is_superuser
    assert not access.may(sam, "view_workspace", cast.acme)


def test_who_is_not_here_yet_is_created_without_a_password(cast: Cast) -> None:
    run("new@acme.test", "--name", "New Operator")
    created = User.objects.get(email="new@acme.test")
    assert created.is_superuser
    assert not created.has_usable_password()


def test_it_can_be_taken_back_and_asking_again_changes_nothing(cast: Cast) -> None:
    run("sam@stranger.test")
    assert "already" in run("sam@stranger.test")
    run("sam@stranger.test", "--revoke")
    assert not User.objects.get(email="sam@stranger.test").is_superuser
    with pytest.raises(CommandError):
        run("nobody@acme.test", "--revoke")
