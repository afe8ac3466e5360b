"""What an approval is bound to: the exact call, under a key of the workspace's own."""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from audit import canonical


@lru_cache(maxsize=4096)
def workspace_key(workspace: str) -> bytes:
    """32 bytes for one workspace (its public id), derived from the installation's secret by HKDF-SHA-256."""
    info = b"countersign approval binding " + workspace.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(settings.SECRET_KEY.encode())


@lru_cache(maxsize=4096)
def call_key(workspace: str) -> bytes:
    """32 bytes for one workspace, as ``workspace_key``, by which its log names calls."""
    info = b"countersign call " + workspace.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(settings.SECRET_KEY.encode())


def call_name(workspace: str, digest: bytes) -> str:
    """What tells in the log that two calls are the same, and gives nobody outside a way to guess at arguments:
    HMAC-SHA-256 of the call's digest, in hex. A plain hash would outlive the arguments' erasure."""
    return hmac.digest(call_key(workspace), digest, "sha256").hex()


def binding(
    *,
    workspace: str,
    agent: str,
    tool: str,
    declaration: str,
    resources: Sequence[str],
    action: str,
    arguments: Any,
) -> str:
    """HMAC-SHA-256 over the RFC 8785 form of the call, in hex. ``declaration`` is the hash of the tool's."""
    call = {
        "workspace": workspace,
        "agent": agent,
        "tool": tool,
        "declaration": declaration,
        "resources": list(resources),
        "action": action,
        "arguments": arguments,
    }
    return hmac.digest(workspace_key(workspace), canonical.encode(call), "sha256").hex()
