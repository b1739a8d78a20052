"""Who sits in a seat: a long-lived Ed25519 key pair a seat, whose public halves the party file lists.

When all have said hello, each seat signs everything that was said, the fresh keys of all included. A signature holds
for one meeting only, since the fresh keys of each are in it, and fails where anybody heard something else: nobody can
take a seat, or sit between two, without the private key of a seat.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from components.errors import DataError

_PURPOSE = b"adaptune secure evaluation, seat %d\n"


@dataclass(frozen=True)
class Identity:
    """What a seat needs to prove who it is, and to check the others."""

    private: Ed25519PrivateKey
    public_keys: tuple[str, ...]
    """Of all seats by rank, the dealer's last."""
    roles: str
    """Digest of who has which role and key, which must be equal at all seats."""

    def sign(self, rank: int, transcript: bytes) -> str:
        """Return this seat's signature under what all have said, in hexadecimal."""
        return self.private.sign(_PURPOSE % rank + transcript).hex()

    def verifies(self, rank: int, transcript: bytes, signature: str) -> bool:
        """Whether the holder of the key listed for `rank` has signed the same."""
        try:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.public_keys[rank]))
            public.verify(bytes.fromhex(signature), _PURPOSE % rank + transcript)
        except (InvalidSignature, ValueError):  # no signature by this key, or no signature at all
            return False
        return True


def make_key(path: Path) -> str:
    """Write a new private key, which only its owner can read; returns the public key. Nothing is overwritten."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise DataError(
            path, f"cannot be written ({error.strerror}): name a new file in a folder that exists"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return public_text(private)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key; a `DataError` where the file is none, or where others can read it."""
    try:
        readable_by_others = path.stat().st_mode & 0o077
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            path, f"no private key ({error}); `adaptune party --new-key FILE` makes one"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise DataError(
            path, "a key of another kind; expected Ed25519, as `adaptune party --new-key FILE` makes"
        )
    if readable_by_others:
        raise DataError(
            path, f"others than its owner can read this private key: `chmod 600 {path}`, or make a new one"
        )
    return private


def public_text(private: Ed25519PrivateKey) -> str:
    """Return the public key of a private one as party files list it: 32 bytes in base64."""
    return base64.b64encode(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
