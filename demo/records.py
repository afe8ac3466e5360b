"""What the demonstration does on the server's side of the database, beside the servers.

Imports Django, so that `Installation.set_up` must have been called before this module is imported.
"""

import io
import zipfile
from pathlib import Path

import yaml
from django.core.management import call_command
from django.utils import timezone

from audit.actors import command_line
from audit.merkle import leaf_hash
from audit.models import Entry, Head, Log
from demo.processes import ROOT
from governance.models import Approval
from workspaces import agents, people
from workspaces.models import Agent, User, Workspace

FILE = ROOT / "demo" / "workspace.yaml"
SLUG = "shop"
AGENT = "support-bot"
ENTRY_TYPES = {
    "allow": "governance.check.allowed",
    "deny": "governance.check.denied",
    "pending": "governance.check.pending",
}


def exists() -> bool:
    """Whether the demonstration's workspace is there already."""
    return Workspace.objects.filter(slug=SLUG).exists()


def apply(file: Path, keys: Path) -> str:
    """``manage.py apply FILE --keys KEYS``: the last line that it printed. Raises CommandError."""
    out = io.StringIO()
    call_command("apply", str(file), keys=keys, stdout=out, no_color=True, skip_checks=True)
    return out.getvalue().splitlines()[-1]


def write_without_rule(copy: Path, rule: str) -> None:
    """Write the workspace file again, without one of its rules. Raises LookupError if it is not there."""
    workspace = yaml.safe_load(FILE.read_text())
    kept = [each for each in workspace["policy"] if each["name"] != rule]
    if len(kept) == len(workspace["policy"]):
        raise LookupError(f"{FILE.name} has no rule {rule!r}.")
    copy.write_text(yaml.safe_dump({**workspace, "policy": kept}, sort_keys=False))


def signin_link(url: str, email: str) -> str:
    """The address that signs this person in, once."""
    token = people.signin_link(User.objects.get(email=email), actor=command_line())
    return f"{url}/signin/{token}/"


def agent() -> Agent:
    """The demonstration's agent."""
    return Agent.objects.select_related("workspace").get(workspace__slug=SLUG, name=AGENT)


def new_key() -> str:
    """Another key of the agent; where it has two, the older one ends."""
    bot, now = agent(), timezone.now()
    if agents.live_keys(bot, now=now) >= agents.LIVE_KEYS:
        oldest = bot.keys.filter(revoked_at=None).order_by("pk").first()
        assert oldest is not None
        agents.revoke_key(oldest, actor=command_line())
    return agents.create_key(bot, actor=command_line())[1]


def is_recorded(decision: str, index: int, leaf: str) -> bool:
    """Whether the entry that a receipt names is in the log, says this decision, and has this leaf."""
    entry = Entry.objects.filter(log_id=agent().workspace.log_id, index=index).first()
    if entry is None or entry.type != ENTRY_TYPES[decision]:
        return False
    return leaf_hash(bytes(entry.body)).hex() == bytes(entry.leaf).hex() == leaf


def allowed_after(index: int) -> int:
    """How many calls of the agent the log says were allowed after this entry."""
    bot = agent()
    later = Entry.objects.filter(log_id=bot.workspace.log_id, agent=bot.public_id, index__gt=index)
    return later.filter(type=ENTRY_TYPES["allow"]).count()


def approval_status(public_id: str) -> str:
    """What became of an approval so far."""
    return Approval.objects.values_list("status", flat=True).get(public_id=public_id)


def size() -> int:
    """How many entries the workspace's log has."""
    return Head.objects.get(log_id=agent().workspace.log_id).size


def hand_to_auditor(folder: Path) -> None:
    """Write what an auditor is given: the log's bundle, the verifier that is in it, and the policy file that names the
    keys. Raises CommandError where the worker signs nothing."""
    bundle, told = folder / "shop.zip", io.StringIO()
    call_command(
        "export_bundle",
        workspace=SLUG,
        out=bundle,
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        skip_checks=True,
    )
    with zipfile.ZipFile(bundle) as archive:
        (folder / "verify.py").write_bytes(archive.read("verify.py"))
    call_command("trust_policy", stdout=told, skip_checks=True)
    (folder / "countersign.policy").write_text(told.getvalue())


def flip_byte() -> int:
    """Plant damage: change one byte of one entry's body behind the log's back. The entry's index."""
    log = Log.objects.get(pk=agent().workspace.log_id)
    entry = Entry.objects.filter(log=log, type=ENTRY_TYPES["deny"]).earliest("index")
    body = bytearray(entry.body)
    body[len(body) // 2] ^= 1
    Entry.objects.filter(pk=entry.pk).update(body=bytes(body))
    return entry.index
