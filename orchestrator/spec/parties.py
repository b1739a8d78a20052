"""Party files: who holds which users, who deals, who receives, and where each runs."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from components.config import Settings
from components.data.column_folders import check_folder, held
from components.errors import DataError
from orchestrator.spec.fields import Location, as_field
from orchestrator.spec.messages import explain
from orchestrator.spec.problems import SpecError, SpecErrors, suggest
from orchestrator.spec.source import Node, parse_file

NAME = r"^[a-z0-9][a-z0-9._-]*$"
PUBLIC_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
"""32 bytes in base64."""
ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}")
DEALER = "dealer"
MOST_PARTIES = 16

Name = Annotated[str, Field(pattern=NAME, max_length=64)]


class PlaceSettings(Settings):
    """Where a process runs, with `run: ray`, and how it proves who it is, with `run: remote`."""

    node: str | None = None
    """`run: ray`: IP address or id of the node that it is pinned to."""
    resource: str | None = None
    """`run: ray`: custom resource of the node that it is pinned to; one unit of it is taken."""
    public_key: str | None = None
    """`run: remote`: the key that the others know it by, which `adaptune party --new-key FILE` prints."""


class PartySettings(PlaceSettings):
    """One party."""

    data: Path | None = None
    """Folder of its users, as `adaptune split` makes them; relative paths count from the party file. Only the party
    itself reads it. A party without one adds nothing and may receive."""
    privacy_budget: float = Field(default=2.0, ge=0)
    """Epsilon that all evaluations with noise on one snapshot of its data may spend together; the party itself sees
    to it, by its own file and ledger."""


class NoiseSettings(Settings):
    """Noise for user-level differential privacy; with it, an evaluation may be repeated while budgets last."""

    epsilon: float = Field(gt=0, le=20)
    """What the evaluation spends of each party's `privacy_budget`: the smaller, the more noise."""
    contributions: int = Field(default=20, ge=1, le=100_000)
    """Examples that one user counts for at most; the noise grows with it."""


class PartyFile(Settings):
    """Who takes part in an evaluation."""

    parties: dict[Name, PartySettings]
    """The parties by name; their order is that of their ranks, from 0."""
    receiver: str
    """The party that learns the sums."""
    dealer: PlaceSettings = PlaceSettings()
    """Who hands out correlated randomness: independent of all parties, because with any one of them it could unmask
    the others' numbers."""
    model: Literal["public", "private"] = "public"
    """`public`: every party has the model and evaluates its own users with it. `private`: its owner keeps the items'
    vectors and the head, the parties have its encoder, and what it predicts is computed on shares."""
    owner: str | None = None
    """`model: private`: the party that has the whole model; it may have users of its own, or none."""
    divided: Literal["users", "columns"] = "users"
    """`users`: each party has users of its own; `columns`: of the same users one party has the profiles and another
    the logs (recommendation only)."""
    part: Literal["validation", "test"] = "test"
    """The part of each user's data that is evaluated."""
    run: Literal["local", "ray", "remote"] = "local"
    """`local`: processes on this machine; `ray`: actors of a cluster; `remote`: `adaptune party` on each host."""
    rendezvous: str | None = None
    """`run: remote`: `host:port` at which the first party listens."""
    minimum_cohort: int = Field(default=20, ge=1)
    """Users that sums must stand on, not counting the receiver's own."""
    noise: NoiseSettings | None = None
    """Hide each single user's part in the sums; without it they are exact, and opened once."""
    timeout: float = Field(default=120, ge=1, le=86_400)
    """Seconds without progress after which all end."""
    insecure_simulation: bool = False
    """Skip the protection, for experiments with made-up data only; every result says so."""

    @property
    def names(self) -> tuple[str, ...]:
        """The parties by rank."""
        return tuple(self.parties)

    @property
    def receiver_rank(self) -> int:
        """Rank of who learns the sums."""
        return self.names.index(self.receiver)

    @property
    def public_keys(self) -> tuple[str, ...]:
        """Of the parties by rank, and the dealer's; empty where seats need not prove who they are."""
        keys = (*(party.public_key for party in self.parties.values()), self.dealer.public_key)
        return tuple(key for key in keys if key is not None)

    @property
    def owner_rank(self) -> int | None:
        """Rank of who keeps the model; None where everybody has it."""
        return None if self.owner is None else self.names.index(self.owner)


def load_parties(path: Path, reads: Sequence[str] | None = None) -> PartyFile:
    """Read and check a party file; data folders become absolute paths.

    `reads` names the parties whose folders this process can see and that must exist: by default all with `run:
    local`, none else. Raises SpecErrors with everything that is wrong.
    """
    node, errors = parse_file(path)
    found: list[SpecError] = []
    try:
        parties = PartyFile.model_validate_json(json.dumps(node.plain()), strict=True)
    except ValidationError as error:
        found.extend(explain(error, as_field(PartyFile), node))
        raise SpecErrors([*errors, *found]) from None
    base = path.resolve().parent
    placed = {
        name: party.model_copy(
            update={"data": None if party.data is None else base / party.data.expanduser()}
        )
        for name, party in parties.parties.items()
    }
    parties = parties.model_copy(update={"parties": placed})
    if reads is None:
        reads = parties.names if parties.run == "local" else ()
    found.extend(_check(parties, node, reads))
    if errors or found:
        raise SpecErrors([*errors, *found])
    return parties


def _check_columns(
    parties: PartyFile, reads: Sequence[str], wrong: Callable[[Location, str], SpecError]
) -> Iterator[SpecError]:
    """Check that folders go with `divided`, as far as this process can see them."""
    owners = [name for name, party in parties.parties.items() if party.data]
    if parties.divided == "columns" and len(owners) != 2:
        yield wrong(
            ("divided",),
            f"with `divided: columns` two parties have `data`, one the profiles and one the logs; here {len(owners)} "
            "have; a third may receive without",
        )
    if parties.divided == "columns" and parties.noise is not None:
        yield wrong(("noise",), "no noise is added to columns: leave out `noise`, or write `divided: users`")
    holders: dict[str, str] = {}
    for name in owners:
        folder = parties.parties[name].data
        if name not in reads or folder is None or not (folder / "manifest.json").is_file():
            continue
        place = ("parties", name, "data")
        try:
            check_folder(folder, parties.divided)
            holds = held(folder)
        except DataError as error:
            yield wrong(place, str(error))
            continue
        if holds is not None and (other := holders.setdefault(holds, name)) != name:
            yield wrong(place, f"{folder} holds {holds}, and so does the folder of {other!r}; one holds each")


def _check(parties: PartyFile, node: Node, reads: Sequence[str]) -> Iterator[SpecError]:
    """Check what must hold between the keys of a party file."""

    def wrong(location: Location, message: str, key: bool = False) -> SpecError:
        return node.find(location, key=key).error(message)

    if not 2 <= len(parties.parties) <= MOST_PARTIES:
        yield wrong(("parties",), f"{len(parties.parties)} parties; expected 2 to {MOST_PARTIES}", key=True)
    if DEALER in parties.parties:
        yield wrong(
            ("parties", DEALER),
            "a party cannot deal: the dealer is nobody's, so name the party otherwise",
            True,
        )
    if parties.receiver not in parties.parties:
        hint = suggest(parties.receiver, parties.parties)
        yield wrong(("receiver",), f"there is no party named {parties.receiver!r}; {hint}")
    if not any(name != parties.receiver and party.data for name, party in parties.parties.items()):
        yield wrong(
            ("parties",), "nobody but the receiver has `data`, so there is nothing to keep from it", True
        )
    yield from _check_columns(parties, reads, wrong)
    yield from _check_owner(parties, wrong)
    seen: dict[Path, str] = {}
    for name, party in parties.parties.items():
        if party.data is None:
            continue
        place = ("parties", name, "data")
        other = seen.setdefault(party.data, name)
        if other != name:
            yield wrong(place, f"the folder of {other!r} stands here again; every party has its own users")
        if parties.noise and name in reads and parties.noise.epsilon > party.privacy_budget:
            yield wrong(
                ("noise", "epsilon"),
                f"{parties.noise.epsilon:g} is more than `privacy_budget` of {name} ({party.privacy_budget:g}): "
                "lower `noise.epsilon`, or raise what the party may spend",
            )
        if name in reads and not (party.data / "manifest.json").is_file():
            what = "is no prepared data set" if party.data.is_dir() else "does not exist"
            yield wrong(place, f"{party.data} {what}; `adaptune split` makes party folders of a data set")
    places: dict[Location, PlaceSettings] = {
        **{("parties", name): party for name, party in parties.parties.items()},
        (DEALER,): parties.dealer,
    }
    for location, place_of in places.items():
        for key in ("node", "resource"):
            if getattr(place_of, key) is not None and parties.run != "ray":
                yield wrong(
                    (*location, key),
                    f"`{key}` pins an actor: it goes with `run: ray`, not {parties.run}",
                    True,
                )
        if place_of.node is not None and place_of.resource is not None:
            yield wrong((*location, "resource"), "pinned by `node` already: keep one of them", True)
    yield from _check_keys(parties, places, wrong)
    if parties.rendezvous is not None and parties.run != "remote":
        yield wrong(
            ("rendezvous",), f"`rendezvous` goes with `run: remote`; with {parties.run} it is found", True
        )
    if parties.rendezvous is not None and not ADDRESS.fullmatch(parties.rendezvous):
        yield wrong(
            ("rendezvous",), f"expected `host:port`, such as 10.0.0.1:29500, got {parties.rendezvous!r}"
        )


def _check_keys(
    parties: PartyFile, places: Mapping[Location, PlaceSettings], wrong: Callable[..., SpecError]
) -> Iterator[SpecError]:
    """Check the public keys: for all seats or for none, each another one."""
    seen: dict[str, str] = {}
    for location, place in places.items():
        key, place_of_key = place.public_key, (*location, "public_key")
        if key is None:
            if parties.public_keys:
                message = f"`public_key` of {location[-1]!r} is missing: all parties and the dealer have one, or none"
                yield wrong(location, message, True)
        elif parties.run != "remote":
            yield wrong(place_of_key, f"`public_key` goes with `run: remote`, not {parties.run}", True)
        elif not PUBLIC_KEY.fullmatch(key):
            yield wrong(
                place_of_key, "expected 32 bytes in base64, as `adaptune party --new-key FILE` prints them"
            )
        elif (other := seen.setdefault(key, str(location[-1]))) != location[-1]:
            yield wrong(place_of_key, f"the key of {other!r} stands here again; every seat has its own")


def _check_owner(parties: PartyFile, wrong: Callable[..., SpecError]) -> Iterator[SpecError]:
    """Check that a private model has an owner, and a public one none."""
    if parties.model == "public":
        if parties.owner is not None:
            yield wrong(("owner",), "`owner` goes with `model: private`; a public model is everybody's", True)
        return
    for key, value in (("divided", parties.divided == "columns"), ("noise", parties.noise is not None)):
        if value:
            yield wrong((key,), f"`{key}` does not go with `model: private` yet: keep one of them", True)
    if parties.owner is None:
        yield wrong(("model",), "`model: private` needs `owner`, the party that keeps the model")
    elif parties.owner not in parties.parties:
        hint = suggest(parties.owner, parties.parties)
        yield wrong(("owner",), f"there is no party named {parties.owner!r}; {hint}")
    elif not any(name != parties.owner and party.data for name, party in parties.parties.items()):
        yield wrong(("owner",), "nobody but the owner has `data`, so there is nobody to keep the model from")
