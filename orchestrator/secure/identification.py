"""How a seat that is started by hand proves who it is: its private key, and the public keys of the party file."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import AdaptuneError
from orchestrator.spec.parties import DEALER, PartyFile

if TYPE_CHECKING:
    from components.privacy.identity import Identity


def identity_of(parties: PartyFile, seat: str, key: Path | None) -> "Identity | None":
    """Return what `seat` proves itself with, by its private `key`; None where the party file lists no public keys.

    Raises AdaptuneError where the key is missing, or is not the one that the file lists for the seat.
    """
    listed = parties.public_keys
    if not listed:
        if key is not None:
            raise AdaptuneError(
                "`--key` proves nothing to anybody, because the party file lists no public keys: write `public_key` "
                "for each party and the dealer"
            )
        return None
    if key is None:
        raise AdaptuneError(
            "the party file lists public keys, so each seat proves who it is: expected `--key FILE`, the private "
            f"key of {seat}; `adaptune party --new-key FILE` makes one"
        )
    from components.privacy.identity import Identity, load_key, public_text

    private = load_key(key)
    expected = listed[parties.names.index(seat) if seat != DEALER else -1]
    if public_text(private) != expected:
        raise AdaptuneError(
            f"{key} is not the key of {seat}: its public key is {public_text(private)}, and the party file lists "
            f"{expected}"
        )
    return Identity(private, listed, roles_digest(parties))


def roles_digest(parties: PartyFile) -> str:
    """Hash who has which role and key, and what all have agreed to, which must be equal in everybody's party file."""
    said = {
        "parties": parties.names,
        "public keys": parties.public_keys,
        "receiver": parties.receiver,
        "model": [parties.model, parties.owner],
        "divided": parties.divided,
        "noise": None if parties.noise is None else parties.noise.model_dump(),
        "part": parties.part,
        "minimum cohort": parties.minimum_cohort,
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
