"""How entries name who acts when nobody is signed in."""

import getpass
import os
import socket


def command_line() -> str:
    """The actor of a management command: ``cli:<user>@<host>``, the user by number where it has no name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"cli:{user}@{socket.gethostname()}"[:200]
