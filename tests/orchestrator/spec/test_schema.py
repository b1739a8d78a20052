"""The schema for editors allows what ships and marks what is wrong."""

from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from components.tasks import TASKS
from orchestrator.spec.load import load_sweep
from orchestrator.spec.schema import sweep_schema
from orchestrator.spec.source import parse_file

ROOT = Path(__file__).parents[3]
SWEEPS = sorted((ROOT / "sweeps").rglob("*.yaml"))
SMALL = {"name": "demo", "task": "recommendation", "data": {"source": "synthetic"}}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = sweep_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_shipped_sweeps(file: Path, validator: Draft202012Validator, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ADAPTUNE_DATA", "/data")
    spec = load_sweep(file)
    assert spec.task in TASKS
    assert not list(validator.iter_errors(parse_file(file)[0].plain()))


@pytest.mark.parametrize("file", [*SWEEPS, ROOT / "cluster.yaml"], ids=lambda file: file.name)
def test_shipped_files_open_with_a_comment(file: Path):
    opening = file.read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in opening.splitlines())
    assert all(word in opening for word in ("Purpose:", "Command:", "Cost:"))


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.name)
def test_shipped_sweeps_mean_the_same_to_other_readers(file: Path):
    """Another YAML reader, with other rules for plain scalars, sees the same keys and lists."""
    other = yaml.safe_load(file.read_text())
    assert list(other) == list(parse_file(file, expand=False)[0].plain())


@pytest.mark.parametrize(
    "change",
    [
        {"task": "nothing"},
        {"colour": "red"},
        {"data": {"source": "movielens"}},
        {"model": {"personalization": {"layres": 2}}},
        {"model": None},
        {"training": {"epochs": 0}},
        {"grid": {"training.lr": [1]}},
        {"grid": {"training.epochs": []}},
        {"grid": {"training.epochs": ["x"]}},
        {"grid": {"training.seed": [1]}},
        {"ablations": {"a": {"model.nothing": 1}}},
        {"controls": ["other"]},
        {"objective": {"metric": "bleu"}},
        {"promote": {"gates": [{"metric": "bleu", "min": 1}]}},
        {"seeds": []},
        {"search": {"method": "random", "trials": 2, "space": {"training.lr": {"uniform": [0, 1]}}}},
        {"search": {"method": "random", "trials": 2, "space": {"training.epochs": {"integer": [0, 1]}}}},
        {"stop": {"method": "asha", "batch": 3}},
    ],
    ids=repr,
)
def test_what_is_wrong_is_marked(change: dict, validator: Draft202012Validator):
    assert list(validator.iter_errors({**SMALL, **change}))


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"personalization": None}},
        {"grid": {"model.personalization": [None, {"hidden": 16}], "training.epochs": [1]}},
        {"ablations": {"no-attention": {"model.personalization.attention": False}}},
        {"objective": {"metric": "auc"}},
        {"search": {"method": "optuna", "trials": 2, "space": {"training.epochs": {"int": [1, 9]}}}},
        {"stop": {"method": "median", "min_samples_required": 5}},
        {"data": {"source": "table", "events": "events.csv", "columns": {"user": "who"}}},
    ],
    ids=repr,
)
def test_what_is_right_is_not_marked(change: dict, validator: Draft202012Validator):
    assert not list(validator.iter_errors({**SMALL, **change}))


def test_every_setting_is_described():
    schema = sweep_schema()
    for name, definition in schema["$defs"].items():
        for key, setting in definition.get("properties", {}).items():
            assert setting.get("description") or key == "source", (name, key)
