"""On which file system a path lies, as Linux tells it in /proc/self/mountinfo (proc(5))."""

import os
import re
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")

# Where locks, shared memory or syncs mean less than on a disk of one's own: https://sqlite.org/wal.html, "all
# processes must be on the same host", and https://sqlite.org/lockingv3.html, section 6.
NETWORK = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|davfs|gfs2|glusterfs|gpfs|lustre|ncpfs|nfs[34]?|ocfs2|orangefs|smb[23]?|smbfs"
    r"|fuse\.(sshfs|s3fs|rclone|gcsfuse|goofys|glusterfs|ceph|davfs2?|smbnetfs|blobfuse2?|juicefs)"
)
ESCAPE = re.compile(r"\\([0-7]{3})")


def network_file_system(path: str, mountinfo: str | None = None) -> str | None:
    """The type of the network file system that holds `path` ("nfs4"), None on a local one or where unknown.

    `mountinfo` is the text to read instead of this process's own.
    """
    if mountinfo is None:
        try:
            mountinfo = MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return None
    found, longest = None, -1
    real = os.path.realpath(path)
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not source:
            continue
        point = ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # A later mount on the same point hides the earlier one.
        if len(point) >= longest and (real == point or real.startswith(point.rstrip("/") + "/")):
            longest, found = len(point), source.split(" ", 1)[0]
    return found if found is not None and NETWORK.fullmatch(found) else None
