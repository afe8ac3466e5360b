"""People with a login try what is not theirs: a stranger, the owner next door, a developer, an administrator."""

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Entry
from governance import approvals, letters, links, policies
from governance.links import Issued
from governance.models import Approval, ApprovalLink, PolicyVersion
from tests.approving import ask, requirement
from tests.cast import ACTOR, Cast, employ
from tests.portal import enter
from workspaces import people
from workspaces.models import ResourceGrant, ToolGrant, User

pytestmark = pytest.mark.django_db(transaction=True)

EVIL = "<script>alert(1)</script>"
HIDDEN = "\u202e\u200b\u2066"
PASSWORD = "a long enough password"


def statuses(client: Client, addresses: Sequence[tuple[str, int, dict[str, Any]]]) -> list[int]:
    return [
        client.post(reverse(f"admin:{name}", args=[key]), fields).status_code
        for name, key, fields in addresses
    ]


def rows(cast: Cast) -> list[int]:
    """How much there is of what an attack could add to or take away."""
    acme = cast.acme
    return [
        *(each.count() for each in (acme.tools, acme.resources, acme.roles, acme.agents)),
        Entry.objects.filter(log_id=acme.log_id).count(),
        PolicyVersion.objects.filter(workspace=acme).count(),
    ]


def test_the_owner_next_door_presses_no_button_of_ours(cast: Cast) -> None:
    before = rows(cast)
    bot, acme, tool = cast.report_bot.pk, cast.acme.pk, cast.tools["files.read"].pk
    pressed = statuses(
        enter(cast.gina),
        [
            ("workspaces_agent_stand", bot, {"standing": "suspended", "reason": "x"}),
            ("workspaces_agent_create_key", bot, {}),
            ("workspaces_agent_grant", bot, {"permission": "use:x"}),
            ("workspaces_workspace_stand", acme, {"standing": "suspended", "reason": "x"}),
            ("workspaces_tool_delete", tool, {"post": "yes"}),
            ("workspaces_user_roles", cast.olga.pk, {"workspace": "globex", "roles": "owner"}),
        ],
    )
    assert pressed == [404] * 6
    assert rows(cast) == before


def test_foreign_keys_in_a_form_join_nothing_of_ours(cast: Cast) -> None:
    before = rows(cast)
    browser, bot, acme = enter(cast.gina), cast.globex_bot, cast.acme.pk
    tool, resource = cast.tools["files.read"].public_id, cast.resources["web"].public_id
    statuses(
        browser,
        [
            ("workspaces_agent_grant", bot.pk, {"permission": f"use:{tool}"}),
            ("workspaces_agent_grant", bot.pk, {"permission": f"read:{resource}"}),
            ("workspaces_agent_give_role", bot.pk, {"role": "analyst"}),
            (
                "workspaces_agent_change",
                bot.pk,
                {"owner": cast.olga.pk, "workspace": acme, "risk_tier": "low"},
            ),
            ("workspaces_user_roles", cast.gina.pk, {"workspace": "acme", "roles": "owner"}),
        ],
    )
    for model in ("tool", "resource", "role", "namedlist", "reviewergroup", "agent"):
        fields = {
            "workspace": acme,
            "name": "evil",
            "pattern": "https://*/*",
            "action": "read",
            "risk": "low",
        }
        fields |= {"owner": cast.gina.pk, "risk_tier": "low"}
        assert browser.post(reverse(f"admin:workspaces_{model}_add"), fields).status_code == 200
    draft = {"workspace": acme, "text": "[]"}
    assert browser.post(reverse("admin:governance_policyversion_add"), draft).status_code == 200
    bot.refresh_from_db()
    assert (bot.workspace, bot.owner) == (cast.globex, cast.gina)
    assert not ToolGrant.objects.filter(group=bot.group).exists()
    assert not ResourceGrant.objects.filter(group=bot.group).exists()
    assert rows(cast) == before


@pytest.mark.parametrize("who", ["gina", "sam", "root"])
def test_no_page_filter_or_search_tells_of_us(cast: Cast, who: str) -> None:
    if who == "root":
        call_command("operator", "root@x.test", stdout=StringIO())
    browser = enter(User.objects.get(email="root@x.test") if who == "root" else getattr(cast, who))
    agent, entry = cast.report_bot.pk, Entry.objects.filter(log_id=cast.acme.log_id).latest("index").pk
    for address in (
        reverse("admin:workspaces_agent_change", args=[agent]),
        reverse("admin:audit_entry_change", args=[entry]),
        "/admin/live/acme/",
        "/admin/audit/entry/?workspace=acme",
        "/admin/governance/decisionrecord/?workspace=acme",
        "/admin/workspaces/agent/?workspace=acme",
        "/admin/workspaces/agent/?q=report",
        "/admin/workspaces/agent/?owner__email__startswith=o",
        "/admin/workspaces/user/?workspace=acme",
        "/admin/autocomplete/?app_label=workspaces&model_name=agent&field_name=owner&term=o",
        "/admin/search/?s=report",
        "/admin/search/?s=olga&extended=1",
        f"/admin/workspaces/agent/add/?workspace={cast.acme.pk}&owner={cast.olga.pk}",
        f"/admin/r/1/{agent}/",
        "/admin/auth/user/",
        "/admin/workflow/process/",
    ):
        text = browser.get(address).content.decode()
        for ours in ("report-bot", "olga@acme.test", "Olga Owner", "Acme Support"):
            assert ours not in text, (address, ours)


def test_a_developer_drafts_and_does_not_publish(cast: Cast) -> None:
    developer = employ(cast.acme, "dev@acme.test", "Dev", "developer")
    version = policies.draft(cast.acme, [], actor=ACTOR)
    assert statuses(enter(developer), [("governance_policyversion_publish", version.pk, {})]) == [403]
    version.refresh_from_db()
    assert version.status == PolicyVersion.Status.DRAFT


def test_signing_in_leads_nowhere_else_and_takes_no_given_session(cast: Cast) -> None:
    people.set_password(cast.olga, password=PASSWORD, actor=ACTOR)
    fields = {"username": "olga@acme.test", "password": PASSWORD, "next": "https://evil.test/"}
    assert Client().post("/admin/login/?next=https://evil.test/", fields)["Location"] == "/admin/"
    token = people.signin_link(cast.olga, actor=ACTOR)
    assert Client(enforce_csrf_checks=True).post(f"/signin/{token}/").status_code == 403
    browser = Client()
    browser.cookies["sessionid"] = "a" * 32
    assert browser.post(f"/signin/{token}/?next=https://evil.test/")["Location"] == "/admin/"
    assert browser.cookies["sessionid"].value != "a" * 32
    assert Client().post(f"/signin/{token}/").status_code == 410


def invited(cast: Cast, **more: Any) -> tuple[Approval, ApprovalLink, Issued]:
    """A call that waits for Rita, her link, and what a mail to her knows."""
    approval = ask(cast.report_bot, [requirement(cast.rita)], **more)
    approvals.start(approval)
    link = ApprovalLink.objects.select_related("approval__workspace", "approval__agent", "person").get()
    return approval, link, links.issue(link, now=timezone.now())


@pytest.mark.parametrize("who", ["sam", "gina", "otto", "olga"])
def test_who_is_signed_in_does_not_answer_a_forwarded_mail(cast: Cast, who: str) -> None:
    approval, _, issued = invited(cast)
    form = {"decision": "approve", "code": issued.code}
    answer = enter(getattr(cast, who)).post(f"/a/{issued.token}/", form)
    assert answer.status_code == 403
    approval.refresh_from_db()
    assert approval.status == Approval.Status.PENDING


def test_what_an_agent_writes_is_text_in_mail_and_page(cast: Cast) -> None:
    _, link, issued = invited(cast, reason=EVIL + HIDDEN, arguments={"body": EVIL + HIDDEN})
    message = letters.invitation(link, issued, why="", now=timezone.now())
    page = enter(cast.rita).get(f"/a/{issued.token}/").content.decode()
    rich = str(message.alternatives[0][0])
    for text in (page, rich):
        assert EVIL not in text
        assert "&lt;script&gt;" in text
    for text in (page, rich, str(message.body)):
        assert not set(HIDDEN) & set(text)


def test_the_data_folder_is_nobody_elses(tmp_path: Path) -> None:
    """It holds sessions, and mail with personal links and their codes."""
    folder = tmp_path / "data"
    command = [sys.executable, "-c", "import os; os.umask(0o022); import config.settings"]
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("COUNTERSIGN_", "DATABASE_"))
    }
    subprocess.run(
        command, cwd=Path(__file__).parents[2], env=kept | {"COUNTERSIGN_DATA_DIR": str(folder)}, check=True
    )
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret.key").stat().st_mode) == 0o600
