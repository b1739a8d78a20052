"""Secure evaluation as a part of a sweep: `run` ends with it, `promote` is gated by it, and nothing is added up twice."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.metrics import rows as row_tools
from components.privacy.totals import MEASURES, metric_names
from components.tasks import TASKS
from components.tasks.recommendation.evaluation import rows_of
from orchestrator.release.registry import Registry
from orchestrator.records.workspace import Workspace
from orchestrator.secure.kept import asked_of, kept_result
from orchestrator.secure.model_files import model_digest
from orchestrator.secure.register import Register
from orchestrator.spec.parties import load_parties
from tests.orchestrator.conftest import TINY
from tests.orchestrator.secure.conftest import PARTIES, Divided
from tests.orchestrator.sweeping import Call, Json, adaptune, write_sweep

pytestmark = pytest.mark.xdist_group("ray")

PASSES = {"metric": "accuracy", "over": "parties", "min": 0.0}
REFUSES = {"metric": "pooled_accuracy", "over": "parties", "min": 1.01}
REFUSES_BEFORE = {"metric": "accuracy", "min": 1.01}


@dataclass(frozen=True)
class Asked:
    """The tiny sweep, done, with a file that asks for its winner over the parties."""

    divided: Divided
    run: Call

    def again(self, *gates: Json, command: str = "run") -> Call:
        """Run or promote the sweep with these gates; every trial is done, so Ray never starts."""
        return command_of(self.divided, command, *gates)

    def copy(self, folder: Path) -> "Asked":
        copy = Asked(self.divided.copy(folder), self.run)
        return copy

    def forget(self) -> None:
        """Undo the evaluation: the home's result and the parties' ledgers."""
        for path in [*self.divided.results(), *self.divided.folder.glob("*/evaluations.json")]:
            path.unlink()


def command_of(divided: Divided, command: str, *gates: Json) -> Call:
    section = {"secure_evaluation": {"parties": "parties.yaml"}, "promote": {"gates": list(gates)}}
    sweep = write_sweep(divided.folder, {**TINY, "tracking": {"enabled": True}, **section})
    ran = adaptune("run", sweep, "--home", divided.home, "--json")
    if command == "run" or ran.code not in (0, 3):
        return ran
    return adaptune(command, sweep, "--home", divided.home, "--json")
