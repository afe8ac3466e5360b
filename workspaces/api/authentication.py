"""Who asks: a person's token, in ``Authorization: Bearer cst_…``, or their session in the portal."""

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from workspaces.access.scoping import confine
from workspaces.access.tokens import note_use
from workspaces.models import ApiToken, User

REFUSED = (
    "This token is unknown, revoked or over, or its person was deactivated; make a new one in the portal."
)


class PersonTokens(TokenAuthentication):
    """knox's authentication, without its deleting of tokens: an end is judged here, and a row stays as evidence."""

    def authenticate_credentials(self, token: bytes) -> tuple[User, ApiToken]:
        """The person and the token of a text. A token for one workspace leaves the person without the others."""
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError:
            raise AuthenticationFailed(REFUSED) from None
        tokens = ApiToken.objects.select_related("user", "use")
        found = tokens.filter(
            digest=digest, revoked_at=None, expiry__gt=timezone.now(), user__is_active=True
        ).first()
        if found is None:
            raise AuthenticationFailed(REFUSED)
        note_use(found)
        person: User = found.user
        if found.workspace_id is not None:
            confine(person, found.workspace_id)
        return person, found


class WithinScope(BasePermission):
    """A token to read with changes nothing."""

    message = "This token may only read; make one that may write in the portal."
    code = "read_only_token"

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        return not (
            isinstance(token, ApiToken)
            and token.scope == ApiToken.Scope.READ
            and request.method not in SAFE_METHODS
        )


class PersonTokensInDocument(OpenApiAuthenticationExtension):
    """How the API's document names people's tokens."""

    target_class = PersonTokens
    name = "personToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A person's token, cst_…, made on the portal's page “API tokens”.",
        }
