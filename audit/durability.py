"""Whether what this process commits would survive a crash."""

from django.db import connection

from audit.sqlite.base import durability_problems


def durability() -> list[str]:
    """Why a committed decision could be lost, in sentences; empty when none could."""
    if connection.vendor == "sqlite":
        return durability_problems(connection)
    found = []
    with connection.cursor() as cursor:
        for setting, weak in (("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")):
            cursor.execute("SELECT current_setting(%s)", [setting])
            if cursor.fetchone()[0] == weak:
                found.append(
                    f"PostgreSQL has {setting} = {weak}; a crash could lose decisions. Switch it on."
                )
    return found
