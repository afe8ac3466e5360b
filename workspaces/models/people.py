"""People, and their way in."""

from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.utils.crypto import salted_hmac

from workspaces.models.columns import id_field


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save()
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Agents are never users."""

    public_id = id_field("usr")
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    session_epoch = models.PositiveIntegerField(default=0, help_text="Raised to end every session at once.")
    created = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = "person"
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        """The name by which the portal's frame greets a person."""
        return self.name

    def get_session_auth_hash(self) -> str:
        """What a session must carry to be this person's: another password or epoch ends it."""
        return self.session_hash(settings.SECRET_KEY)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        """The same under keys that were in use before; Django asks them so that a new key signs nobody out."""
        yield from (self.session_hash(key) for key in settings.SECRET_KEY_FALLBACKS)

    def session_hash(self, secret: str | bytes) -> str:
        """HMAC-SHA-256 over password hash and epoch, in hex."""
        value = f"{self.session_epoch}:{self.password}"
        return salted_hmac("workspaces.User.session", value, secret=secret, algorithm="sha256").hexdigest()

    @property
    def is_staff(self) -> bool:
        """Everybody works in the portal; what they see there is decided row by row."""
        return self.is_active


class CodeGuesses(models.Model):
    """Wrong codes of a second factor that were given for one person, until a right one or an hour without."""

    person = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="+")
    count = models.PositiveSmallIntegerField(default=0)
    last = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.count} wrong codes of {self.person_id}"


class SigninLink(models.Model):
    """A one-time link that signs one person in; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="signin_links")
    digest = models.BinaryField(unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user_id}"
