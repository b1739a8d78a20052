"""Evaluating a promoted version over several parties' users, and keeping what came out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.records.workspace import Workspace, read_json, write_json
from orchestrator.release.registry import Registry
from orchestrator.secure.column_seats import check_task
from orchestrator.secure.column_statement import column_roles, column_statement
from orchestrator.secure.disclosure import noise_of
from orchestrator.secure.kept import asked_of
from orchestrator.secure.model_files import check_divisible, model_digest, must_be_whole, whole_digest
from orchestrator.secure.register import now
from orchestrator.secure.seats import Assignment, Outcome, Say
from orchestrator.secure.statement import roles, statement
from orchestrator.spec.parties import DEALER, PartyFile


@dataclass(frozen=True)
class Evaluated:
    """The model that is evaluated: a version of the registry, a folder that `adaptune export` has made, or the
    winning trial of a sweep."""

    name: str
    task: str
    folder: Path
    sweep: str | None = None
    """The sweep that it won, where that is known."""


def find_model(reference: str, registry: Registry) -> Evaluated:
    """Return the model that a version's name, or the path of a folder, stands for."""
    folder = Path(reference)
    if not folder.is_dir():
        version = registry.version(reference)
        return Evaluated(version.name, version.task, version.folder, version.provenance.get("sweep"))
    try:
        task = read_json(folder / "config.json")["task"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdaptuneError(
            f"{folder} holds no model ({error}): name a version, or a folder that `adaptune export` has made"
        ) from error
    return Evaluated(folder.name, task, folder)


def assign(model: Evaluated, parties: PartyFile, encoder: Path | None = None) -> list[Assignment]:
    """Return what each seat has to do: the parties by rank, and the dealer.

    `encoder` is the folder that parties are given who may not have the whole model.
    """
    if model.task not in TASKS:
        raise AdaptuneError(f"{model.name}: there is no task {model.task!r}")
    if parties.divided == "columns":
        check_task(model.task)
    seats = [
        replace(
            dealer_of(parties),
            name=name,
            role="party",
            rank=rank,
            version=model.name,
            task=model.task,
            model=str(model.folder if encoder is None or name == parties.owner else encoder),
            data=None if party.data is None else str(party.data),
            privacy_budget=party.privacy_budget,
        )
        for rank, (name, party) in enumerate(parties.parties.items())
    ]
    return [*seats, dealer_of(parties)]


def dealer_of(parties: PartyFile) -> Assignment:
    """Return what the dealer has to do, who knows nothing of the model."""
    return Assignment(
        name=DEALER,
        role="dealer",
        rank=len(parties.names),
        parties=parties.names,
        receiver=parties.receiver_rank,
        timeout=parties.timeout,
        insecure_simulation=parties.insecure_simulation,
        part=parties.part,
        minimum_cohort=parties.minimum_cohort,
        divided=parties.divided,
        noise=None if parties.noise is None else parties.noise.model_dump(),
        owner=parties.owner_rank,
    )


def evaluate_version(
    model: Evaluated, parties: PartyFile, workspace: Workspace, say: Say, address: str | None = None
) -> dict[str, Any]:
    """Run all seats, keep the result in the home folder, and return it as a JSON document.

    Raises AdaptuneError with the named cause where the evaluation is refused or breaks off.
    """
    if parties.run == "remote":
        raise AdaptuneError(
            "with `run: remote` each party starts its own seat on its own host: see `adaptune party --help`"
        )
    with _encoder_for(model, parties) as encoder:
        outcomes = _run(assign(model, parties, encoder), parties, workspace, say, address)
    return keep(result_of(model, parties, outcomes), workspace)


@contextmanager
def _encoder_for(model: Evaluated, parties: PartyFile) -> Iterator[Path | None]:
    """Write the encoder of a model that its owner keeps, for all other parties; None where all have the model."""
    if parties.model == "public":
        yield None
        return
    from components.privacy.divided_model import write_encoder

    check_divisible(model.task)
    must_be_whole(model.folder)
    with TemporaryDirectory() as folder:
        write_encoder(model.folder, Path(folder), model_digest(model.folder))
        yield Path(folder)


def _run(
    seats: Sequence[Assignment], parties: PartyFile, workspace: Workspace, say: Say, address: str | None
) -> list[Outcome]:
    """Run all seats where the party file says; return their outcomes."""
    if parties.run == "local":
        from orchestrator.secure.local import run_local

        return run_local(seats, say)
    import ray

    from orchestrator.running.cluster import ray_cluster
    from orchestrator.secure.on_ray import run_on_ray

    places = {**parties.parties, DEALER: parties.dealer}
    pins = {name: {"node": place.node, "resource": place.resource} for name, place in places.items()}
    with nullcontext() if ray.is_initialized() else ray_cluster(address, workspace.home, False):
        return run_on_ray(seats, pins, say)


def result_of(model: Evaluated, parties: PartyFile, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Put together what is said of an evaluation; `outcomes` holds at least the receiver's."""
    received = next(outcome for outcome in outcomes if outcome.groups is not None)
    groups = received.groups
    assert groups is not None
    who, said = roles(parties), statement(parties, model.task, groups)
    if received.holds is not None:
        who, said = column_roles(who, received.holds), column_statement(said, parties, received.holds, groups)
    return {
        "version": model.name,
        "task": model.task,
        "model": whole_digest(model.folder),
        "sweep": model.sweep,
        "part": parties.part,
        "asked": asked_of(parties),
        "run": parties.run,
        "created": now(),
        "insecure_simulation": parties.insecure_simulation,
        "parties": list(parties.names),
        "receiver": parties.receiver,
        "owner": parties.owner,
        "minimum_cohort": parties.minimum_cohort,
        "noise": noise_of(parties, model.task),
        "groups": groups,
        "traffic": {
            outcome.name: {**outcome.traffic, "whole_seconds": outcome.seconds} for outcome in outcomes
        },
        "divided": parties.divided,
        "roles": who,
        "statement": [{"about": about, "text": text} for about, text in said],
    }


def keep(result: dict[str, Any], workspace: Workspace) -> dict[str, Any]:
    """Write a result into the home folder, where `adaptune report` finds it."""
    stamp = result["created"].replace(":", "").replace("+0000", "Z")
    path = workspace.evaluations / f"{result['version'].replace('/', '-')}-{stamp}.json"
    write_json(path, result)
    return {**result, "kept": str(path)}
