"""Several sweeps as one: checked together, run one after another on one Ray, reported on one page."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.data.store import prepare
from components.errors import AdaptuneError
from components.tasks import TASKS
from orchestrator.planning.plan import Plan, make_plan, runs_of
from orchestrator.records.ledger import Ledger
from orchestrator.records.workspace import Workspace
from orchestrator.running.cluster import ClusterError
from orchestrator.running.driver import Outcome, run_sweep
from orchestrator.running.watcher import Watcher
from orchestrator.secure.winner import Seats, conclude, nobody_watches
from orchestrator.spec.load import SpecError, SpecErrors, load_sweep, shipped
from orchestrator.spec.problems import suggest
from orchestrator.spec.sweep import SweepSpec


@dataclass(frozen=True)
class Study:
    """The sweeps of a folder, by their files."""

    name: str
    sweeps: Mapping[Path, SweepSpec]


def load_study(folder: Path, overrides: Sequence[str] = (), parties: bool = False) -> Study:
    """Read and check every sweep file of `folder`, each with `overrides` written over it; with `parties` also the
    party files that they name.

    An override is `key=value` for every file, or `name:key=value` for the one that is called `name.yaml`.
    Raises SpecErrors with everything that is wrong in any of them.
    """
    files = sweep_files(folder)
    sweeps: dict[Path, SweepSpec] = {}
    errors = list(_for_nobody({file.stem for file in files}, overrides))
    for file in files:
        try:
            sweeps[file] = load_sweep(file, _meant_for(file.stem, overrides), parties)
        except SpecErrors as wrong:
            errors += wrong.errors
    for file, spec in sweeps.items():
        same = [other.name for other, spec_ in sweeps.items() if spec_.name == spec.name and other != file]
        if same:
            message = f"the name {spec.name!r} is also that of {', '.join(same)}: every sweep needs its own"
            errors.append(SpecError(str(file), None, None, message))
    if errors:
        raise SpecErrors(errors)
    return Study(folder.resolve().name, sweeps)


def _meant_for(stem: str, overrides: Sequence[str]) -> list[str]:
    """Return the overrides of one file, as `key=value`."""
    split = [(_target(override), override) for override in overrides]
    return [text if not name else text[len(name) + 1 :] for name, text in split if name in ("", stem)]


def _for_nobody(stems: Set[str], overrides: Sequence[str]) -> Iterator[SpecError]:
    for override in overrides:
        if (name := _target(override)) and name not in stems:
            message = f"there is no {name}.yaml in the folder; {suggest(name, stems)}"
            yield SpecError(f"--set {override}", None, None, message)


def _target(override: str) -> str:
    """Return the file that an override is meant for, without suffix; empty if for all."""
    key = override.partition("=")[0]
    return key.partition(":")[0] if ":" in key else ""


def is_folder(argument: str) -> bool:
    """Whether a command's argument names a folder of sweeps, here or among those that ship."""
    path = Path(argument)
    return path.is_dir() or (not path.exists() and shipped(path).is_dir())


def sweep_files(folder: Path) -> list[Path]:
    """Return the sweep files of a folder, here or among those that ship; raises AdaptuneError if it has none."""
    place = folder if folder.exists() else shipped(folder)
    files = sorted(path for path in place.glob("*") if path.suffix in (".yaml", ".yml"))
    if not files:
        reason = "has no sweep files (`*.yaml`)" if place.is_dir() else "is no folder"
        raise AdaptuneError(f"{folder} {reason}: name a folder of sweep files, such as sweeps/paper")
    return files


@dataclass(frozen=True)
class StudyPlan:
    """The plans of a study's sweeps."""

    name: str
    plans: Sequence[Plan]

    def to_json(self) -> dict[str, Any]:
        """Return the counts of each sweep and of all together; a trial that two of them share counts once."""
        trials = {trial.id: trial for plan in self.plans for phase in plan.phases for trial in phase.trials}
        standing = {trial_id: how for plan in self.plans for trial_id, how in plan.standing.items()}
        waiting = [trial for trial in trials.values() if standing[trial.id] in ("to run", "stale")]
        count = list(standing.values()).count
        return {
            "study": self.name,
            "trials": len(standing),
            "done": count("done"),
            "stale": count("stale"),
            "failed": count("failed"),
            "to_run": len(waiting),
            "epochs_to_run": sum(run.epochs for run in runs_of(waiting)),
            "sweeps": [plan.to_json() for plan in self.plans],
        }


def plan_study(study: Study, ledger: Ledger | None, workspace: Workspace) -> StudyPlan:
    """Lay a study beside the ledger. Files of data are looked for and hashed, not parsed.

    Raises AdaptuneError naming every sweep whose data cannot be found or whose budget is too small.
    """
    plans: list[Plan] = []
    problems: list[str] = []
    for file, spec in study.sweeps.items():
        try:
            plan = make_plan(spec, ledger, workspace)
            plan.check_budget()
            plans.append(plan)
        except AdaptuneError as error:
            problems.append(f"{file}: {error}")
    if problems:
        raise AdaptuneError("\n".join(problems))
    return StudyPlan(study.name, plans)


def prepare_study(study: Study, workspace: Workspace) -> None:
    """Prepare the data of every sweep; each then finds its own prepared, so nothing is done twice.

    Raises AdaptuneError naming every sweep whose data cannot be used.
    """
    problems: list[str] = []
    for file, spec in study.sweeps.items():
        try:
            prepare(spec.data, workspace.data, TASKS[spec.task].form)
        except AdaptuneError as error:
            problems.append(f"{file}: {error}")
        except Exception:  # noqa: BLE001 - the sweep meets it again, alone, and is named with it in the end
            continue
    if problems:
        raise AdaptuneError("\n".join(problems))


@dataclass(frozen=True)
class StudyOutcome:
    """How a run of a study ended."""

    study: str
    outcomes: Sequence[Outcome]
    """Of the sweeps that ran, whole or until they were stopped."""
    problems: Mapping[str, str]
    """Sweeps that could not be run, by name, each with the cause."""
    waiting: Sequence[str]
    """Sweeps that were not begun, because one before them was stopped or its Ray ended."""

    @property
    def stopped(self) -> bool:
        """Whether the work was cut short."""
        return any(outcome.stopped for outcome in self.outcomes)

    @property
    def failed(self) -> bool:
        """Whether a sweep could not be run, or a trial of one or its evaluation over parties failed."""
        return bool(self.problems) or any(outcome.failures_told for outcome in self.outcomes)

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        return {
            "study": self.study,
            "sweeps": [outcome.to_json() for outcome in self.outcomes],
            "problems": dict(self.problems),
            "waiting": list(self.waiting),
            "stopped": self.stopped,
        }


Watch = Callable[[SweepSpec], AbstractContextManager[Watcher]]


def run_study(
    study: Study,
    workspace: Workspace,
    watch: Watch,
    address: str | None = None,
    retry_failed: bool = False,
    accept_stale: bool = False,
    seats: Seats = nobody_watches,
) -> StudyOutcome:
    """Run the sweeps one after another on one Ray, each as `adaptune run` would; Ray starts with the first work.

    A sweep that cannot be run leaves the others alone. One that is stopped stops the study, and so does a Ray that
    ends. Raises AdaptuneError before anything starts where a sweep's data or budget is wrong, and ClusterError where
    there is no Ray to run on.
    """
    workspace.create()
    plan_study(study, Ledger(workspace.ledger_url), workspace)
    prepare_study(study, workspace)
    outcomes: list[Outcome] = []
    problems: dict[str, str] = {}
    waiting = [spec.name for spec in study.sweeps.values()]
    with _shared_ray(address, workspace) as cluster:
        for spec in study.sweeps.values():
            waiting.remove(spec.name)
            try:
                with watch(spec) as watcher:
                    outcome = run_sweep(
                        spec, workspace, address, retry_failed, accept_stale, watcher, cluster=cluster
                    )
                outcome = conclude(spec, outcome, workspace, seats, address)
            except ClusterError as error:
                if not outcomes and not problems:
                    raise
                problems[spec.name] = str(error)
                break
            except AdaptuneError as error:
                problems[spec.name] = str(error)
                continue
            except Exception:  # noqa: BLE001 - whatever goes wrong in one sweep must not cost the others theirs
                problems[spec.name] = traceback.format_exc()
                continue
            outcomes.append(outcome)
            if outcome.stopped:
                break
    return StudyOutcome(study.name, outcomes, problems, waiting)


@contextmanager
def _shared_ray(
    address: str | None, workspace: Workspace
) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Yield what gives each sweep the same Ray, started when the first one asks for it."""
    from orchestrator.running.cluster import ray_cluster

    with ExitStack() as stack:
        started = False

        @contextmanager
        def share() -> Iterator[None]:
            nonlocal started
            if not started:
                stack.enter_context(ray_cluster(address, workspace.home))
                started = True
            yield

        yield share
