from pathlib import Path

import pytest
import yaml

from orchestrator.records.ledger import Ledger
from orchestrator.records.results import recorded_sweep
from orchestrator.records.workspace import Workspace
from orchestrator.spec.load import SpecErrors, load_sweep, sweep_from_values
from tests.orchestrator.conftest import TINY, tiny_spec


def test_a_sweep_that_newer_rules_refuse_can_still_be_read(tmp_path: Path):
    values = tiny_spec(ablations={"one": {"model.dropout": 0.5}}).model_dump(mode="json")
    values["ablations"]["two"] = {"model.dropout": 0.5}
    with pytest.raises(SpecErrors, match="trains the same"):
        sweep_from_values(values)
    workspace = Workspace(tmp_path)
    workspace.create()
    ledger = Ledger(workspace.ledger_url)
    ledger.record_sweep(values["name"], values["task"], "digest", values)
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**TINY, "ablations": values["ablations"]}))
    with pytest.raises(SpecErrors, match="trains the same"):
        load_sweep(file)
    for argument in (values["name"], str(file)):
        assert set(recorded_sweep(argument, ledger).ablations) >= {"one", "two"}
