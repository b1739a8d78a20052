"""Seeds: every random choice follows from the trial's seed and a name for what it decides."""

import hashlib


def derive_seed(*parts: object) -> int:
    """Hash `parts` (by their `repr`) into a seed of 63 bits, the same on every machine and in every run."""
    text = "\x1f".join(repr(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
