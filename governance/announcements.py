"""What chats are told: that people are asked for approvals and how it ended, and that budgets give warning. Nothing
that the agent sent, nobody's link, and nothing by which anybody could decide."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from audit import chat
from audit.chat import Notice
from audit.formats import Line
from billing.warnings import EXHAUSTED, WARNED
from governance import budget_notices
from governance.models import Approval
from governance.naming import names_of
from governance.presentation import visible, zone_of
from workspaces.models import Workspace

SENTENCES = {
    "governance.approval.started": "{agent} asks to use {tool} ({risk} risk) in {workspace}. "
    "Answer until {until}: {url}",
    "governance.approval.reminded": "{agent} still waits for an answer about {tool} in {workspace}, "
    "until {until}: {url}",
    "governance.approval.escalated": "Nobody answered {agent} about {tool} in {workspace}, so more people are asked, "
    "until {until}: {url}",
    "governance.approval.unreachable": "Nobody is left who could answer {agent} about {tool} in {workspace}. "
    "It ends at {until}: {url}",
    "governance.approval.settled": "{tool} of {agent} in {workspace}: {outcome}. {url}",
}


def register() -> None:
    """Have chats told of these."""
    chat.teller(tuple(SENTENCES), tell)
    chat.teller([WARNED], tell_warning)


def tell(log_id: int, line: Line) -> Notice:
    """One entry of an approval in a sentence, with the ids that a program may want."""
    told = line.told
    public_id = str(told["data"].get("approval", ""))
    approvals = Approval.objects.filter(workspace__log_id=log_id).select_related("workspace", "agent")
    approval = approvals.filter(public_id=public_id).first()
    names = {
        "agent": names_of([told["agent"]]).get(told["agent"], told["agent"]),
        "tool": told["tool"],
        "workspace": str(approval.workspace) if approval else "this workspace",
    }
    words = {key: chat.name(visible(text)) for key, text in names.items()}
    url = address(approval)
    text = SENTENCES[told["type"]].format(
        **words,
        risk=approval.risk if approval else "unknown",
        until=spoken(approval.expires_at, approval) if approval else "its deadline",
        outcome=told["outcome"],
        url=url,
    )
    ids: dict[str, Any] = {
        "approval": public_id,
        "agent": told["agent"],
        "tool": told["tool"],
        "outcome": told["outcome"],
        "url": url,
    }
    return Notice(text.strip(), ids)


def tell_warning(log_id: int, line: Line) -> Notice:
    """A budget's warning in a sentence, with the ids that a program may want."""
    workspace = Workspace.objects.get(log_id=log_id)
    (notice,) = budget_notices.of_bodies(workspace, [line.told])
    refused = " A call was refused for it." if line.told["outcome"] == EXHAUSTED else ""
    text = (
        f"{chat.name(notice.anonymous)} in {chat.name(visible(str(workspace)))}: {notice.outcome}, {notice.used}."
        f"{refused} {notice.url}"
    )
    ids: dict[str, Any] = {
        "budget": line.told["data"]["budget"],
        "share": notice.share,
        "agent": line.told["agent"],
        "outcome": line.told["outcome"],
        "url": notice.url,
    }
    return Notice(text.strip(), ids)


def address(approval: Approval | None) -> str:
    """The approval's page in the portal, where it still has one."""
    if approval is None:
        return ""
    page = reverse("admin:governance_approval_change", args=[approval.pk])
    return f"{settings.PUBLIC_URL}{page}"


def spoken(time: datetime, approval: Approval) -> str:
    """A time in the workspace's zone."""
    return f"{time.astimezone(zone_of(approval.workspace.timezone)):%Y-%m-%d %H:%M %Z}"
