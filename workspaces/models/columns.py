"""What columns of several tables have in common: public ids, and the containment ladder."""

from functools import partial

from django.db import models

from workspaces.identifiers import public_id


def id_field(prefix: str) -> "models.CharField[str, str]":
    """A public id column: prefixed, unguessable, never changed."""
    return models.CharField(max_length=40, unique=True, editable=False, default=partial(public_id, prefix))


class Standing(models.TextChoices):
    """The containment ladder, from loosest to strictest; the strictest of all scopes holds."""

    OBSERVE = "observe", "Observe: judged and recorded, not enforced"
    ACTIVE = "active", "Active"
    SUPERVISED = "supervised", "Supervised: everything but reads needs approval"
    READ_ONLY = "read_only", "Read only"
    SUSPENDED = "suspended", "Suspended"
    REVOKED = "revoked", "Revoked for good"
