"""Where an agent is told what became of its approvals: an address that a person set, and the secret that signs what is
sent there. Nothing in an agent's own request names an address."""

from urllib.parse import urlsplit

from audit import destinations, envelopes, keys, log, rewrapping, webhooks
from workspaces.models import Agent

LONGEST = 2000


class NoCallback(ValueError):
    """The agent has no address, or its secret was sealed under another key."""

    code, status = "no_callback", 409


def set_callback(agent: Agent, *, url: str, actor: str) -> str:
    """Set the agent's address and give it a new secret, which is returned as it is shown this once; an empty address
    ends it. Raises NotAllowed for an address where nothing may go."""
    url = url.strip()
    if url:
        destinations.judged(url)
    if len(url) > LONGEST:
        raise destinations.NotAllowed(f"An address has at most {LONGEST} characters.")
    secret = webhooks.new_secret() if url else b""
    with log.write(agent.workspace.log_id) as entries:
        agent.refresh_from_db()
        if not (url or agent.callback_url):
            return ""
        agent.callback_url = url
        agent.callback_secret = (
            envelopes.wrap(secret, place_of(agent), keys.wrapping_key()) if secret else b""
        )
        agent.save(update_fields=["callback_url", "callback_secret"])
        entries.record(
            "workspaces.agent.changed",
            actor=actor,
            saved=[agent],
            agent=agent.public_id,
            data={"callback": "set" if url else "ended"},
        )
    return webhooks.shown(secret) if secret else ""


def secret_of(agent: Agent) -> bytes:
    """What signs messages to the agent's address. Raises NoCallback."""
    if not agent.callback_url:
        raise NoCallback("The agent has no address for callbacks.")
    try:
        return envelopes.unwrap(bytes(agent.callback_secret), place_of(agent), keys.wrapping_key())
    except envelopes.SealedOtherwise:
        raise NoCallback(
            "The secret of the agent's callbacks is sealed under another installation key; restore that, or set the"
            " address anew."
        ) from None


def address(agent: Agent, *, whole: bool) -> str:
    """Where messages go, as people are shown it: never its query, and of the rest only the host unless they may
    change it, since an address may be a password."""
    parts = urlsplit(agent.callback_url)
    return f"{parts.scheme}://{parts.netloc}{parts.path if whole else '/…'}" if agent.callback_url else ""


def place_of(agent: Agent) -> bytes:
    """Whose secret it is, as the seal names it."""
    return f"countersign callback {agent.public_id}".encode()


SECRETS = rewrapping.Secrets(
    column="callback_secret",
    rows=lambda: Agent.objects.exclude(callback_secret=b"").select_related("workspace"),
    label=place_of,
    log_of=lambda agent: agent.workspace.log_id,
    type="workspaces.agent.changed",
    named=lambda agent: {"agent": agent.public_id, "data": {"callback": "rewrapped"}},
)
