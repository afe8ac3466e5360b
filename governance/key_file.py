"""The file that takes new agents' keys: the only place where their text ever stands."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from audit.files import sync_folder
from workspaces.identifiers import key_digest
from workspaces.models import AgentKey


class KeyFileExists(Exception):
    """The file is there already, and perhaps holds the only copy of keys that are in use."""


def write(path: Path, keys: Mapping[str, str]) -> None:
    """Write ``{"<agent>": "csk_…"}`` for its owner's eyes alone, and have it on disk when this returns.

    Call it last before the commit that makes the keys valid. A file that a crash left between the two holds
    keys that the database does not know; it is replaced. Raises KeyFileExists for any other, and OSError.
    """
    if path.exists() and not path.is_symlink() and is_left_over(path):
        path.unlink()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyFileExists(
            f"{path} exists already; it may hold keys that are in use. Move it away, or give --keys another name."
        ) from None
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), 0o600)
            json.dump(dict(keys), file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except BaseException:
        remove(path)
        raise


def remove(path: Path) -> None:
    """Take the file back: its keys never became valid."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def is_left_over(path: Path) -> bool:
    """Whether this is a key file none of whose keys the database knows."""
    try:
        held: Any = json.loads(path.read_text())
    except (ValueError, OSError):
        return False
    if (
        not isinstance(held, dict)
        or not held
        or not all(str(key).startswith("csk_") for key in held.values())
    ):
        return False
    return not AgentKey.objects.filter(digest__in=[key_digest(key) for key in held.values()]).exists()
