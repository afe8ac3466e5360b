"""Whether this process can record decisions durably. On less it does not start."""

import threading

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from audit.durability import durability
from audit.models import Head


def problems() -> list[str]:
    """Why no decision could be recorded now, in sentences; empty when all is well."""
    try:
        found = durability()
        if not Head.objects.exists():
            found.append("The database has no log; run manage.py migrate.")
    except ImproperlyConfigured as error:
        return [str(error)]
    except DatabaseError as error:
        connection.close()
        return [f"The database does not answer: {error}"]
    return found


def require_durability() -> None:
    """Refuse to start where a committed decision could be lost. Raises ImproperlyConfigured.

    Looks in a thread of its own: servers import the application inside their event loop, where Django refuses to
    open a connection, and the one opened here must not stay."""
    found: list[str] = []

    def look() -> None:
        try:
            found.extend(durability())
        except ImproperlyConfigured as error:
            found.append(str(error))
        except Exception as error:  # in doubt, no
            found.append(f"The database does not answer: {error}")
        finally:
            connection.close()

    thread = threading.Thread(target=look, name="durability")
    thread.start()
    thread.join()
    if found:
        raise ImproperlyConfigured("The gate does not start. " + " ".join(found))
