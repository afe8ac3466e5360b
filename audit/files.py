"""Small files that must be whole or absent after a crash. Knows no Django, so that the witness can use it."""

import os
import secrets
from pathlib import Path


def create(path: Path, content: bytes) -> bool:
    """Write a new file for its owner alone; False, and nothing done, where there is one already. Raises OSError."""
    partial = written(path, content)
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    sync_folder(path.parent)
    return True


def replace(path: Path, content: bytes) -> None:
    """Write a file for its owner alone, over the one that may be there. Raises OSError."""
    os.replace(written(path, content), path)
    sync_folder(path.parent)


def written(path: Path, content: bytes) -> Path:
    """The content on disk, beside the place where it belongs."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return partial


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power cut, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
