"""One seat of an evaluation whose seats are started by hand, each on its own host."""

from pathlib import Path
from typing import Any

from components.errors import AdaptuneError
from orchestrator.records.workspace import Workspace
from orchestrator.secure.evaluate import Evaluated, assign, dealer_of, keep, result_of
from orchestrator.secure.identification import identity_of
from orchestrator.secure.seats import Say, take_seat
from orchestrator.spec.parties import ADDRESS, DEALER, PartyFile, load_parties
from orchestrator.spec.problems import suggest


def take_remote_seat(
    model: Evaluated | None,
    file: Path,
    role: str,
    rank: int | None,
    name: str | None,
    rendezvous: str | None,
    workspace: Workspace,
    say: Say,
    key: Path | None = None,
) -> dict[str, Any]:
    """Take the seat of one party, by rank or name, or of the dealer; the receiver keeps and returns the result.

    `key` is the seat's private key, where the party file lists public ones.

    Only the party's own data folder is looked at, so every host can have the same file. Raises AdaptuneError where
    the file has no such seat, or the evaluation is refused or breaks off.
    """
    parties = load_parties(file, reads=())
    chosen = DEALER if role == "dealer" else _party(parties, rank, name)
    parties = load_parties(file, reads=[chosen])
    if parties.run != "remote":
        raise AdaptuneError(
            f"{file} says `run: {parties.run}`; write `run: remote` where seats are started by hand"
        )
    where = rendezvous or parties.rendezvous
    if where is None or not ADDRESS.fullmatch(where):
        raise AdaptuneError(
            "expected `--rendezvous host:port`, or `rendezvous` in the party file: where to meet"
        )
    if role == "dealer":
        assignment = dealer_of(parties)
    elif model is None:
        raise AdaptuneError(
            "a party needs the model: name a version, or a folder that `adaptune export` has made"
        )
    else:
        assignment = next(each for each in assign(model, parties) if each.name == chosen)
    outcome = take_seat(assignment, lambda: where, say, identity_of(parties, chosen, key))
    if outcome.groups is None or model is None:
        return {"seat": chosen, "traffic": outcome.traffic, "seconds": outcome.seconds}
    return keep(result_of(model, parties, [outcome]), workspace)


def _party(parties: PartyFile, rank: int | None, name: str | None) -> str:
    if (rank is None) == (name is None):
        raise AdaptuneError("name the party: expected either `--rank` or `--name`")
    if name is not None:
        if name not in parties.parties:
            raise AdaptuneError(f"the party file has no party {name!r}; {suggest(name, parties.names)}")
        return name
    assert rank is not None
    if rank >= len(parties.names):
        raise AdaptuneError(f"the party file has {len(parties.names)} parties, so no rank {rank}")
    return parties.names[rank]
