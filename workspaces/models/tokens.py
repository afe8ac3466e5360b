"""People's tokens for the API."""

from typing import ClassVar

from django.db import models
from knox.models import AbstractAuthToken

from workspaces.models.columns import id_field
from workspaces.models.people import User
from workspaces.models.tenancy import Workspace


class ApiToken(AbstractAuthToken):
    """A person's key to the portal's API. Its text was shown once; knox keeps the SHA-512 (``digest``), its first
    characters (``token_key``), whose it is (``user``) and until when it is good (``expiry``)."""

    class Scope(models.TextChoices):
        READ = "read", "Read only"
        WRITE = "write", "Read and write"

    objects: ClassVar[models.Manager["ApiToken"]] = models.Manager()
    SHOWN = 15  # characters of the text that are kept and shown; knox finds the row by them

    id = models.BigAutoField(primary_key=True)
    public_id = id_field("tok")
    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    digest = models.CharField(max_length=128, unique=True)
    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.READ)
    workspace = models.ForeignKey(Workspace, models.CASCADE, null=True, blank=True, related_name="+")
    created = models.DateTimeField()
    expiry = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.token_key}…)"


class ApiTokenUse(models.Model):
    """When a token was last used, to the minute; apart from the token, because it is no configuration."""

    token = models.OneToOneField(ApiToken, models.CASCADE, primary_key=True, related_name="use")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.token_id} at {self.at:%F %H:%M}"
