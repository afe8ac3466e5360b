"""A workspace's file, written from the workspace: applied there it changes nothing, elsewhere it makes the same."""

import os
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from billing import limits
from governance import containment, manifest_reading, policies, reconciliation
from tests.cast import ACTOR, Cast
from tests.governance.workspace_files import FULL, MINIMAL
from workspaces import access, agents
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

SHARED = Path(os.environ.get("COUNTERSIGN_SHARED", "../shared")) / "workspace.example.yaml"
ODD = ["1e5", "1h", "yes", "~", "0x1F", "12:30", "2027-01-31", " x ", "a: b # c", "- x", "two\nlines\n", "\u2028",
       "tab\t", "\u202e", "😀", "'\"", "&a", "*a", "!t", "%", "@", "`", "{x}", "[x]",
       "null", "-", "?", "."]  # fmt: skip


def export(slug: str) -> str:
    """The workspace's file."""
    out = StringIO()
    call_command("export_workspace", slug, stdout=out)
    return out.getvalue()


def changes(text: str) -> list[str]:
    """What a dry run of the file would change."""
    return reconciliation.apply(manifest_reading.parse(text.encode()), actor=ACTOR, dry_run=True).changes


def apply(text: str, tmp_path: Path, name: str) -> None:
    """Apply a file, with a place for its keys."""
    reconciliation.apply(manifest_reading.parse(text.encode()), actor=ACTOR, keys=tmp_path / f"{name}.json")


def example() -> str:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not here")
    return SHARED.read_text()


@pytest.mark.parametrize("text", [FULL, MINIMAL, None], ids=["full", "minimal", "example"])
def test_an_export_makes_the_same_workspace_elsewhere(text: str | None, tmp_path: Path) -> None:
    text = text or example()
    slug = manifest_reading.parse(text.encode()).slug.name
    with transaction.atomic():
        apply(text, tmp_path, "first")
        first = export(slug)
        assert changes(first) == []
        transaction.set_rollback(True)
    assert not Workspace.objects.exists()
    apply(first, tmp_path, "second")
    assert export(slug) == first


def test_what_people_did_in_the_portal_is_in_it(cast: Cast) -> None:
    end = timezone.now() + timedelta(days=3, microseconds=7)
    web = cast.resources["web"]
    access.grant(cast.support_bot, permission="read", obj=web, expires_at=end, actor=ACTOR)
    agents.set_agent_roles(cast.report_bot, {cast.roles["support"]: end}, actor=ACTOR)
    limits.set_budget(cast.acme, per_session=True, window="ever", limit_amount=1, actor=ACTOR)
    text = export("acme")
    assert changes(text) == []
    assert 'limit_usd: "0.000000001"' in text
    assert end.isoformat() in text
    assert changes(text.replace("0.000000001", "0.000000002")) == [
        "~ budget of the workspace, each session, ever: limit_usd 0.000000001 → 0.000000002"
    ]


@pytest.mark.parametrize("odd", ODD)
def test_odd_texts_come_back_as_they_were(cast: Cast, odd: str) -> None:
    agents.change_agent(cast.report_bot, purpose=odd, labels=["x"], actor=ACTOR)
    assert changes(export("acme")) == []


def test_agents_that_are_history_are_not_in_it(cast: Cast) -> None:
    limits.set_budget(cast.acme, agent=cast.report_bot, window="day", limit_amount=1, actor=ACTOR)
    containment.set_standing(cast.report_bot, "revoked", reason="Gone.", actor="cli:test", person=None)
    text = export("acme")
    assert "report-bot" not in text
    assert changes(text) == []


def test_nothing_is_overwritten_and_nothing_invented(cast: Cast, tmp_path: Path) -> None:
    path = tmp_path / "acme.yaml"
    call_command("export_workspace", "acme", "--output", str(path))
    assert changes(path.read_text()) == []
    with pytest.raises(CommandError, match="Nothing was written"):
        call_command("export_workspace", "acme", "--output", str(path))
    with pytest.raises(CommandError, match="no workspace"):
        call_command("export_workspace", "none")


def test_lengths_of_time_are_written_as_people_write_them(cast: Cast) -> None:
    rules = [
        {
            "name": "Refunds need finance",
            "effect": "require_approval",
            "approval": {"reviewers": ["group:finance"], "expires_in": 5400},
        },
        {"name": "Slowly", "effect": "limit", "limit": {"calls": 9, "per": 86400, "by": "agent"}},
    ]
    policies.replace(cast.acme, rules, actor=ACTOR)
    text = export("acme")
    assert ("expires_in: 90m" in text, "per: 1d" in text) == (True, True)
    assert changes(text) == []
