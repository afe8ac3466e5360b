"""A security key made of software: it makes passkeys and signs challenges as a browser passes them on."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_encode

PRESENT, ATTESTED = 0x01, 0x40


@dataclass
class SecurityKey:
    """One key pair for one origin. ``counter`` is what it signed last; at 0 it keeps none, as synced passkeys do."""

    origin: str
    host: str
    id: bytes = b"an id of thirty-two bytes or less"
    counter: int = 0
    private: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def make(self, options: dict[str, Any]) -> str:
        """The answer to an offer."""
        public = cbor.encode(ES256.from_cryptography_key(self.private.public_key()))
        attested = bytes(16) + len(self.id).to_bytes(2, "big") + self.id + public
        attestation = cbor.encode(
            {"fmt": "none", "attStmt": {}, "authData": self.data(PRESENT | ATTESTED) + attested}
        )
        client = self.client("webauthn.create", options)
        return self.answer(clientDataJSON=client, attestationObject=attestation)

    def sign(self, options: dict[str, Any]) -> str:
        """The answer to a challenge."""
        client, data = self.client("webauthn.get", options), self.data(PRESENT)
        signed = data + hashlib.sha256(client).digest()
        signature = self.private.sign(signed, ec.ECDSA(hashes.SHA256()))
        return self.answer(clientDataJSON=client, authenticatorData=data, signature=signature)

    def data(self, flags: int) -> bytes:
        """Authenticator data without what was attested."""
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4, "big")

    def client(self, kind: str, options: dict[str, Any]) -> bytes:
        """What the browser says of the ceremony."""
        challenge = options["publicKey"]["challenge"]
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def answer(self, **parts: bytes) -> str:
        """As the browser's script sends it."""
        response = {name: websafe_encode(value) for name, value in parts.items()}
        whole = {"id": websafe_encode(self.id), "rawId": websafe_encode(self.id), "type": "public-key"}
        return json.dumps({**whole, "response": response, "clientExtensionResults": {}})
