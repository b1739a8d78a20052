"""The mirror in Weights & Biases: one W&B run a trial, written by the worker that trains it, and one for the report.

Runs are laid out so that a workspace needs no arranging: the group is the sweep, the job type the role of the row,
tags name the row, the task and the seed, every chart has the epoch as its axis, and the summary holds the metrics of
the result (not the best of any epoch) with a table of its slices.

The ledger is the truth and the mirror a copy, so nothing that goes wrong here reaches the training: the
failure is kept in `Mirror.problems`, and what failed once is not waited for again.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

if TYPE_CHECKING:
    import pyarrow as pa
    import wandb

    from orchestrator.spec.sweep import Tracking

Mode = Literal["online", "offline"]
Metrics = Mapping[str, float | None]

PATIENCE = 10
"""Seconds that W&B may take to start its service, to accept a run, and to take a run's last data."""
LONGEST_TAG = 64
CODE_DIGITS = 8
EPOCH = "epoch"


class Mirror:
    """Writes trials to W&B: online where a key is present, else into `folder` for a later `wandb sync`.

    Several trials may be open at once. A trial whose training is resumed is opened anew and given its whole
    curve again: steps that W&B has are left out, and what the interrupted attempt left in `folder` is
    replaced. `WANDB_MODE` (`offline`, `disabled`) is respected.
    """

    _failed: ClassVar[dict[Mode, str]] = {}
    """Why a mode does not work in this process: the trials that follow do not wait for it again."""

    def __init__(self, project: str, group: str, enabled: bool, folder: Path) -> None:
        """Mirror into `project` as the sweep `group`; W&B wants `folder` to be called `wandb`."""
        assert folder.name == "wandb", folder
        self.problems: list[str] = []
        self._project = project
        self._group = group
        self._enabled = enabled and os.environ.get("WANDB_MODE") != "disabled"
        self._folder = folder.absolute()
        for place in (
            ("DATA", "CACHE") if self._enabled else ()
        ):  # else tables wait for `wandb sync` elsewhere
            os.environ.setdefault(f"WANDB_{place}_DIR", str(self._folder / place.lower()))
        self._runs: dict[str, wandb.Run] = {}
        self._next_step: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Return the mirror; leaving it ends every run that is still open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every open run, as failed if an exception passes through; what the driver has ended has not failed."""
        ended = isinstance(error, SystemExit) and not error.code
        for trial_id in list(self._runs):
            self.close(trial_id, exit_code=0 if kind is None or ended else 1)

    def open(
        self, trial_id: str, config: Mapping[str, Any], role: str, tags: Sequence[str] = (), code: str = ""
    ) -> None:
        """Begin a trial's run, or take it up again; `role` is its job type.

        The run is called as the trial, and its id is the trial's with the first digits of `code`, the digest of
        what trains it: under other code a trial has a run of its own, beside the earlier one and its curve.
        """
        run_id = "-".join(part for part in (trial_id, code[:CODE_DIGITS]) if part)
        for mode in self._modes():
            instead = f", only in {self._folder} for `wandb sync`" if mode == "online" else ""
            with self._keeping_problems(f"trial {trial_id} is not mirrored {mode}{instead}", mode):
                earlier = self._attempts(run_id)
                run = _start(
                    mode,
                    id=run_id,
                    name=trial_id,
                    project=self._project,
                    group=self._group,
                    job_type=role,
                    tags=[tag[:LONGEST_TAG] for tag in tags if tag],
                    config=dict(config),
                    dir=self._folder.parent,
                )
                run.define_metric(EPOCH, hidden=True)
                run.define_metric("*", step_metric=EPOCH)
                self._runs[trial_id] = run
                self._next_step[trial_id] = run.starting_step
                for folder in earlier:
                    shutil.rmtree(folder, ignore_errors=True)
                return
            self._stop_service()

    def log(self, trial_id: str, epoch: int, metrics: Metrics) -> None:
        """Write the metrics after `epoch`, which is W&B's step, unless W&B has that step already."""
        if trial_id not in self._runs or epoch < self._next_step[trial_id]:
            return
        run = self._runs.pop(trial_id)
        with self._keeping_problems(
            f"trial {trial_id} is mirrored up to epoch {self._next_step[trial_id] - 1}"
        ):
            run.log({**_defined(metrics), EPOCH: epoch}, step=epoch, commit=True)
            self._runs[trial_id] = run
            self._next_step[trial_id] = epoch + 1
            return
        self._stop_service()

    def close(
        self,
        trial_id: str,
        summary: Metrics | None = None,
        exit_code: int = 0,
        tables: Mapping[str, "pa.Table"] | None = None,
        page: Path | None = None,
    ) -> None:
        """End a trial's run with its final metrics; an `exit_code` other than 0 marks it as failed.

        `tables` are shown by their names. An HTML `page` is shown as it is, and kept as an artefact of type `report`
        that is called as the run.
        """
        run = self._runs.pop(trial_id, None)
        if run is None:
            return
        mode: Mode | None = None if run.offline else "online"
        with self._keeping_problems(
            f"the end of trial {trial_id} is only in {self._folder} for `wandb sync`", mode
        ):
            run.summary.update(_defined(summary or {}))
            run.summary.update({name: _shown(table) for name, table in (tables or {}).items()})
            if page is not None:
                _publish(run, page)
            run.finish(exit_code=exit_code)
            return
        self._stop_service()

    def _modes(self) -> list[Mode]:
        """The modes that are worth a try, the best first; none where W&B can write nothing."""
        if not self._enabled:
            return []
        with self._keeping_problems("nothing is mirrored"):
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK):  # W&B would quietly go to a temporary folder
                raise PermissionError(f"{self._folder} is not writable")
            wanted: list[Mode] = ["offline"]
            with self._keeping_problems("W&B's key cannot be used", "online"):
                if os.environ.get("WANDB_MODE", "online") == "online" and _has_key():
                    wanted = ["online", "offline"]
            for mode in wanted:
                if mode in self._failed:
                    self._report(self._failed[mode])
            return [mode for mode in wanted if mode not in self._failed]
        self._enabled = False
        return []

    def _attempts(self, run_id: str) -> list[Path]:
        """The folders that earlier attempts at this run left behind."""
        return [path.parent for path in self._folder.glob(f"*run-*/run-{run_id}.wandb")]

    def _stop_service(self) -> None:
        """After a failure the service may be dead, or keep the run's id: the next trial gets a new one."""
        if not self._runs:
            with self._keeping_problems("W&B's service was not stopped"):
                _library().teardown()

    @contextmanager
    def _keeping_problems(self, consequence: str, mode: Mode | None = None) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever W&B does wrong is reported and costs no trial its result
            reason = " ".join(str(error).split()) or type(error).__name__
            if mode:
                self._failed[mode] = f"W&B failed {mode} in this process: {reason}"
            self._report(f"{consequence}: {reason}")

    def _report(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _library() -> ModuleType:
    """W&B, silenced: what it prints has no place in a training's log."""
    # It also reports on itself, and where its server is out of reach a process waits for that at its end.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    wandb.setup(settings=wandb.Settings(silent=True))
    return wandb


def mirror_report(sweep: str, task: str, tracking: "Tracking", folder: Path, page: Path) -> list[str]:
    """Mirror a sweep's report as the run `report-SWEEP` of its group, in place of an older one.

    Returns what went wrong.
    """
    with Mirror(tracking.project, sweep, enabled=tracking.enabled, folder=folder) as mirror:
        run_id = f"report-{sweep}"
        mirror.open(run_id, {"sweep": sweep, "task": task}, role="report", tags=[task])
        mirror.close(run_id, page=page)
    return mirror.problems


def _has_key() -> bool:
    """Whether W&B finds credentials by itself (environment, netrc, settings); never asks, never connects."""
    host = _library().setup().settings.base_url
    from wandb.sdk.lib.wbauth import authenticate_session

    return authenticate_session(host=host, source="mirror", prompt=False, update_session=False) is not None


def _start(mode: Mode, **about: Any) -> "wandb.Run":
    wandb = _library()
    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
        label_disable=True,
        symlink=False,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        init_timeout=PATIENCE,
        x_service_wait=PATIENCE,
        x_graphql_timeout_seconds=PATIENCE / 2,
        x_graphql_retry_max=1,
        finish_timeout=PATIENCE,
        finish_timeout_raises=True,
    )
    # `create_new` leaves the process's other runs open, as trials that share their first epochs need.
    return wandb.init(mode=mode, resume="allow", reinit="create_new", settings=settings, **about)


def _shown(table: "pa.Table") -> "wandb.Table":
    """What W&B shows as a table."""
    columns = table.column_names
    data = [[row[name] for name in columns] for row in table.to_pylist()]
    return _library().Table(columns=columns, data=data)


def _publish(run: "wandb.Run", page: Path) -> None:
    wandb = _library()
    artifact = wandb.Artifact(run.id, type="report")
    artifact.add_file(str(page), name=page.name)
    run.log_artifact(artifact)
    run.summary.update({"report": wandb.Html(page.read_text(encoding="utf-8"), inject=False)})


def _defined(metrics: Metrics) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if value is not None}
