"""People's tokens for the portal's API. A token never lets in further than its person gets at that moment."""

from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from knox.models import get_digest_token

from audit import log
from workspaces.access.roles import VIEW
from workspaces.access.scoping import may
from workspaces.changes import Change
from workspaces.models import ApiToken, ApiTokenUse, User, Workspace

PREFIX = "cst_"
LIFETIME = timedelta(days=90)
LONGEST_LIFETIME = timedelta(days=365)
LIVE_TOKENS = 20
NOTED_EVERY = timedelta(minutes=1)


class TooManyTokens(Exception):
    """A person has only so many tokens that are good."""

    code, status = "too_many_tokens", 409


def create_token(
    person: User,
    *,
    name: str,
    scope: str = ApiToken.Scope.READ,
    workspace: Workspace | None = None,
    expires_at: datetime | None = None,
    actor: str,
) -> tuple[ApiToken, str]:
    """A new token of a person and its text, which is shown this once. It ends within 365 days, in 90 unless said
    otherwise; ``workspace`` is then the only one it lets into. Raises ValidationError and TooManyTokens."""
    with log.write(log.installation_log_id()) as entries:
        expires_at = expires_at or entries.now + LIFETIME
        if not entries.now < expires_at <= entries.now + LONGEST_LIFETIME:
            raise ValidationError(
                {"expires_at": "A token ends within the next 365 days; choose such a time."}
            )
        if workspace is not None and not may(person, VIEW, workspace):
            raise ValidationError({"workspace": "Choose a workspace that you are in."})
        if live_tokens(person, now=entries.now).count() >= LIVE_TOKENS:
            raise TooManyTokens(f"You have {LIVE_TOKENS} tokens; revoke one that is not used any more.")
        digest, text = get_digest_token(PREFIX)
        token = ApiToken(
            user=person,
            name=name.strip(),
            scope=scope,
            workspace=workspace,
            digest=digest,
            token_key=text[: ApiToken.SHOWN],
            created=entries.now,
            expiry=expires_at,
        )
        token.full_clean()
        token.save()
        entries.record("workspaces.token.created", actor=actor, saved=[token], data=naming(token))
    return token, text


def revoke_token(token: ApiToken, *, actor: str) -> Change:
    """End a token now; what is asked with it is refused from the next request on."""
    with log.write(log.installation_log_id()) as entries:
        token = ApiToken.objects.select_related("user", "workspace").get(pk=token.pk)
        if token.revoked_at is not None:
            return Change.UNCHANGED
        token.revoked_at = entries.now
        token.save(update_fields=["revoked_at"])
        entries.record("workspaces.token.revoked", actor=actor, saved=[token], data=naming(token))
    return Change.CHANGED


def revoke_tokens(person: User, *, actor: str) -> int:
    """End every live token of a person, as when they leave; how many there were."""
    with log.write(log.installation_log_id()) as entries:
        return sum(
            revoke_token(token, actor=actor) is Change.CHANGED
            for token in live_tokens(person, now=entries.now)
        )


def naming(token: ApiToken) -> dict[str, str]:
    """Whose token an entry is about, and what it reaches."""
    return {
        "person": token.user.public_id,
        "token": token.public_id,
        "scope": token.scope,
        "workspace": token.workspace.public_id if token.workspace else "",
    }


def live_tokens(person: User, *, now: datetime) -> QuerySet[ApiToken]:
    """The tokens of a person that are neither revoked nor over, newest first."""
    tokens = ApiToken.objects.filter(user=person, revoked_at=None, expiry__gt=now)
    return tokens.order_by("-pk").select_related("user", "workspace", "use")


def note_use(token: ApiToken) -> None:
    """Remember that a token was used, once a minute at most. No configuration, so no entry."""
    now, noted = timezone.now(), getattr(token, "use", None)
    if noted is None or noted.at + NOTED_EVERY <= now:
        ApiTokenUse.objects.update_or_create(token=token, defaults={"at": now})
