"""Where all secret randomness comes from: AES-256 in counter mode, keyed by the operating system or by an exchange.

Each pair of seats agrees on a key of its own (X25519 with fresh keys, then HKDF with SHA-256). Whoever only records
the traffic learns none of the keys; whoever can alter it can sit in between, so a real deployment needs a
tunnel.
"""

import math
import os
from collections.abc import Sequence

import numpy as np
import torch
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEY_BYTES = 32

_ZEROS = bytes(1 << 16)
_SLACK = 15  # `update_into` wants room for one block more than it writes


class Stream:
    """The keystream of AES-256-CTR under one key, read from its beginning; two seats with the key read the same."""

    def __init__(self, key: bytes | None = None) -> None:
        """Start the stream of `key`, or of 32 fresh bytes from the operating system."""
        key = os.urandom(KEY_BYTES) if key is None else key
        assert len(key) == KEY_BYTES, f"a key has {KEY_BYTES} bytes, got {len(key)}"
        self._encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
        self._process = os.getpid()

    def ring(self, size: Sequence[int]) -> torch.Tensor:
        """Return the next elements of shape `size`, uniform over all 2**64 values (int64)."""
        if os.getpid() != self._process:
            raise RuntimeError(
                "a stream of randomness must not be used in a forked process: both would share it"
            )
        count = 8 * math.prod(size)
        room = np.empty(count + _SLACK, dtype=np.uint8)
        for start in range(0, count, len(_ZEROS)):
            length = min(len(_ZEROS), count - start)
            self._encryptor.update_into(
                memoryview(_ZEROS)[:length], room[start : start + length + _SLACK].data
            )
        return torch.from_numpy(room[:count].view(np.int64)).reshape(tuple(size))

    def bits(self, size: Sequence[int], length: int) -> torch.Tensor:
        """Return the next elements of shape `size`, uniform over [0, 2**length), for a length below 64 (int64)."""
        return self.ring(size) & ((1 << length) - 1)


class KeyExchange:
    """A seat's half of the key agreement, made fresh for one evaluation."""

    def __init__(self) -> None:
        """Draw the private half from the operating system."""
        self._private = X25519PrivateKey.from_private_bytes(os.urandom(32))
        self.public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def agree(self, public: bytes, context: str) -> Stream:
        """Return the stream shared with the owner of `public`; `context` must be equal on both sides."""
        secret = self._private.exchange(X25519PublicKey.from_public_bytes(public))
        both = b"".join(sorted((self.public, public)))
        key = HKDF(SHA256(), KEY_BYTES, salt=None, info=context.encode() + both).derive(secret)
        return Stream(key)
