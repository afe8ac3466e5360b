"""manage.py trust_policy: prints the policy file by which an auditor, or a witness, knows this installation."""

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import keys, outside, receipts
from audit.log import installation_log_id
from audit.models import Checkpoint, Log
from audit.notes import Note, Signer, Verifier
from audit.policy import Policy, PolicyError

COPIED = (
    "witness",
    "group",
    "quorum",
    "tsa",
)  # lines of the installation's own policy that an auditor needs too


class Command(BaseCommand):
    help = "Print the keys, epochs, witnesses and quorum that an auditor's policy file needs."

    def handle(self, *args: Any, **options: Any) -> None:
        log = Log.objects.get(pk=installation_log_id())
        if not keys.path_of(keys.CHECKPOINT).exists():
            raise CommandError(
                "No checkpoint was signed here yet; start the worker, and run this where it runs."
            )
        try:
            lines = [*written(log), *copied()]
            policy = Policy.parse("\n".join([*lines, ""]).encode())
        except (PolicyError, OSError, keys.BadKeyFile) as error:
            raise CommandError(f"{settings.WITNESS_POLICY or 'The policy'}: {error}") from error
        check(log, policy)
        self.stdout.write("\n".join(lines))


def written(log: Log) -> list[str]:
    """What this installation says of itself."""
    receipt = public(keys.RECEIPT, receipts.name())
    older = sorted(each.name for each in Path(settings.KEYS_DIR).glob("checkpoint-*.key"))
    adopted = Log.objects.filter(epoch__gt=0).order_by("pk").values_list("origin", "epoch")
    return [
        f"# Whom to believe about {settings.PUBLIC_URL}.",
        "# Compare the keys with the installation by another way than the one this came.",
        f"log {public(keys.CHECKPOINT, log.origin)} {settings.PUBLIC_URL}",
        *(f"previous {public(name, log.origin)}" for name in older),
        f"receipts {receipt}"
        if receipt
        else "# receipts: there is no receipt.key here; ask where the gate runs.",
        "# Logs that were adopted after a loss; leave out an epoch that nobody explained to you.",
        *(f"epoch {origin} {number}" for origin, last in adopted for number in range(1, last + 1)),
    ]


def public(name: str, signs: str) -> Verifier | None:
    """A key file's public half under the name that it signs by; None where there is no such file, as only who needs a
    key makes it. Raises keys.BadKeyFile."""
    path = keys.path_of(name)
    if not path.exists():
        return None
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise keys.BadKeyFile(f"{path} holds no key in PEM.") from error
    return Signer(signs, key).verifier if isinstance(key, Ed25519PrivateKey) else None


def copied() -> list[str]:
    """What the installation's own policy says of witnesses. Raises OSError and PolicyError."""
    if outside.policy() is None:
        return ["quorum none"]
    text = Path(settings.WITNESS_POLICY).read_text(errors="surrogateescape")
    return [line.strip() for line in text.split("\n") if line.lstrip().startswith(COPIED)]


def check(log: Log, policy: Policy) -> None:
    """Raises CommandError where these keys did not sign the newest checkpoint."""
    newest = Checkpoint.objects.filter(log=log).order_by("-epoch", "-size").first()
    if newest is None:
        return
    note = Note.parse(newest.note)
    trusted = policy.keys_of(note.text.partition("\n")[0])
    if all(note.signed_by(key) is None for key in trusted):
        raise CommandError(
            f"{keys.path_of(keys.CHECKPOINT)} is not the key that signed the newest checkpoint; run this where the"
            " worker runs."
        )
