"""What an operator of the installation sees of a workspace whose glass they broke, while it lasts."""

from typing import Any

from django.utils import timezone

from workspaces.access.roles import VIEW
from workspaces.models import BrokenGlass, User

# An owner's view, and nothing that changes anything.
SHOWN = frozenset([VIEW, "view_content", "view_log"])


def broken_by(user: User, **narrowed: Any) -> list[BrokenGlass]:
    """Where this person may look in now, with the workspaces; always from the database, and without a query for who
    operates nothing. It ends with its time, with the person's activity, and when they operate no more."""
    if not user.is_superuser:
        return []
    rows = BrokenGlass.objects.filter(
        person=user, person__is_active=True, person__is_superuser=True, until__gt=timezone.now(), **narrowed
    )
    return list(rows.select_related("workspace").order_by("until"))
