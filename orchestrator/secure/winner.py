"""Secure evaluation as a part of a sweep: its winner over the parties' users, once."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from components.errors import AdaptuneError
from orchestrator.records.adopt import is_whole
from orchestrator.records.ledger import Ledger
from orchestrator.records.results import best_seed
from orchestrator.records.workspace import Workspace
from orchestrator.secure.evaluate import Evaluated, evaluate_version
from orchestrator.secure.kept import kept_result, results_of, shortened
from orchestrator.secure.model_files import model_digest
from orchestrator.secure.seats import Say
from orchestrator.spec.gates import party_file_of
from orchestrator.spec.parties import PartyFile
from orchestrator.spec.sweep import SweepSpec

if TYPE_CHECKING:
    from orchestrator.running.driver import Outcome

Seats = Callable[[], AbstractContextManager[Say]]
"""Opens whatever shows the seats of an evaluation while it runs."""


def nobody_watches() -> AbstractContextManager[Say]:
    """Show nothing."""
    return nullcontext(lambda event: None)


@dataclass(frozen=True)
class Judged:
    """How the evaluation of a sweep's winner over parties stands.

    `evaluated` now, or `known` since an earlier call; `failed`, and the next call tries again; `by hand`, where each
    party starts its own seat; `waiting` for trials that have failed.
    """

    state: Literal["evaluated", "known", "failed", "by hand", "waiting"]
    result: dict[str, Any] | None = None
    cause: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        result = None if self.result is None else shortened(self.result)
        return {"state": self.state, "cause": self.cause, "result": result}


def winner(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> Evaluated:
    """Return the model that `adaptune promote` would copy, where its trial left it.

    Raises AdaptuneError if the sweep is not finished or the model's files are gone.
    """
    best = best_seed(spec, ledger)
    if not is_whole(workspace, best.id, "model/model.safetensors"):
        raise AdaptuneError(
            f"the files of trial {best.id} are gone or damaged: `adaptune run` the sweep again, which trains it anew"
        )
    return Evaluated(f"{spec.name}/{best.id}", spec.task, workspace.trial(best.id) / "model", spec.name)


def evaluate_winner(
    spec: SweepSpec,
    parties: PartyFile,
    ledger: Ledger,
    workspace: Workspace,
    seats: Seats = nobody_watches,
    address: str | None = None,
) -> Judged:
    """Return what is known of a sweep's winner over these parties, and evaluate it if nothing is.

    A party lets a model be evaluated on its data once, so a result that was kept is used again. Evaluations that are
    refused or break off are told, not raised.
    """
    model = winner(spec, ledger, workspace)
    known = kept_result(model_digest(model.folder), parties, workspace)
    if known is not None:
        return Judged("known", known)
    if parties.run == "remote":
        handed = f"hand them the files of {model.folder}, then `adaptune party` there"
        if parties.owner is not None:
            handed = (
                f"start that of {parties.owner} with {model.folder}, and hand the others only what `adaptune export "
                f"{model.folder} --encoder` writes"
            )
        return Judged(
            "by hand",
            cause=f"with `run: remote` each party starts its own seat on its own host: {handed}; the receiver's "
            f"result belongs into {workspace.evaluations}",
        )
    try:
        with seats() as say:
            return Judged("evaluated", evaluate_version(model, parties, workspace, say, address))
    except AdaptuneError as error:
        return Judged("failed", cause=str(error))


def conclude(
    spec: SweepSpec,
    outcome: "Outcome",
    workspace: Workspace,
    seats: Seats = nobody_watches,
    address: str | None = None,
) -> "Outcome":
    """End a run of a sweep as its file says: with its winner over the parties, once every trial is done.

    A sweep with failed trials may yet have another winner, and each evaluation gives something away: it waits.
    Whatever goes wrong with the evaluation is told in the outcome, which stands.
    """
    if spec.secure_evaluation is None or outcome.stopped:
        return outcome
    if outcome.failed or outcome.best is None:
        return replace(outcome, judged=Judged("waiting", cause="some trials failed"))
    try:
        parties = party_file_of(spec)
        assert parties is not None
        judged = evaluate_winner(spec, parties, Ledger(workspace.ledger_url), workspace, seats, address)
    except (
        AdaptuneError
    ) as error:  # the party file has changed since it was checked, or a kept result is damaged
        judged = Judged("failed", cause=str(error))
    return replace(outcome, judged=judged)


def winner_results(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> list[dict[str, Any]]:
    """Return all results of a sweep's winners, oldest first, those of the present one last."""
    try:
        digest = model_digest(winner(spec, ledger, workspace).folder)
    except AdaptuneError:  # not finished, or its files are gone: there is no present winner to look for
        digest = None
    return results_of(spec.name, workspace, digest)


def newest_result(spec: SweepSpec, ledger: Ledger, workspace: Workspace) -> dict[str, Any] | None:
    """Return the newest result of a sweep's present winner over any parties."""
    found = [result for result in winner_results(spec, ledger, workspace) if result["of_winner"]]
    return found[-1] if found else None
