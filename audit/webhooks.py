"""Signing messages by Standard Webhooks 1.0 (https://www.standardwebhooks.com), the symmetric scheme ``v1``. Pure."""

import base64
import hmac
import os

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> bytes:
    """A new secret's bytes."""
    return os.urandom(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """A secret as people are given it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secret: bytes, *, message: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers of a message: its id, which holds no dot, the seconds since 1970 of this attempt, and the
    signature over both and the body."""
    signed = f"{message}.{at}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
