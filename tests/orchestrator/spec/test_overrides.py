"""`--set key=value`, checked like the file."""

from pathlib import Path

import pytest

from orchestrator.spec.load import SpecErrors, load_sweep

TEXT = """\
name: demo
task: recommendation
data: {source: synthetic}
training: &shared {epochs: 3}
grid:
  training.learning_rate: [0.1, 0.01]
ablations:
  small: {model.dropout: 0.1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(TEXT)
    return path


def test_values_are_yaml(file: Path, monkeypatch):
    monkeypatch.setenv("PROJECT", "mine")
    spec = load_sweep(
        file,
        [
            "training.epochs=5",
            "training.weight_decay=1e-3",
            "seeds=[1, 2]",
            "data={source: synthetic, users: 50}",
            "tracking.project=${PROJECT}",
            "budget.max_trials=7",
            "model.personalization.heads=2",
        ],
    )
    assert (spec.training.epochs, spec.training.weight_decay) == (5, 0.001)
    assert spec.seeds == (1, 2)
    assert spec.data.users == 50
    assert spec.tracking.project == "mine"
    assert spec.budget.max_trials == 7
    assert spec.model.personalization.heads == 2


def test_grid_and_ablations_are_keyed_by_paths(file: Path):
    spec = load_sweep(
        file,
        [
            "grid.training.learning_rate=[0.5]",
            "grid.training.batch_size=[8, 16]",
            "ablations.small.model.dropout=0.3",
            "ablations.tiny={model.embedding: 8}",
        ],
    )
    assert spec.grid == {"training.learning_rate": (0.5,), "training.batch_size": (8, 16)}
    assert spec.ablations["small"] == {"model.dropout": 0.3}
    assert spec.ablations["tiny"] == {"model.embedding": 8}
    assert load_sweep(file, ["grid={}"]).grid == {}


def test_the_last_one_counts(file: Path):
    assert load_sweep(file, ["training.epochs=5", "training.epochs=6"]).training.epochs == 6


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=x", "expected a whole number of at least 1, got 'x'"),
        ("training.epohcs=3", "unknown key 'epohcs'; did you mean 'epochs'?"),
        ("training.epochs", "expected `key=value`"),
        ("=3", "expected `key=value`"),
        ("training..epochs=3", "expected `key=value`"),
        ("training.epochs.x=3", "'training.epochs' is no section"),
        ("training.learning_rate=0.5", "use `--set 'grid.training.learning_rate=[…]'`"),
        ("seeds=[1", "expected `,` or `]`"),
        ("seeds=!!python/tuple [1]", "`!!python/tuple` is refused"),
        ("tracking.project=${NO_SUCH_NAME}", "NO_SUCH_NAME is not set"),
        ("grid.training.lr=[1]", "did you mean 'learning_rate'?"),
        ("model.personalization=null", "nothing differs from the baseline"),
        ("data.source=movielns", "did you mean 'movielens'?"),
    ],
)
def test_errors_name_the_option(override: str, message: str, file: Path):
    with pytest.raises(SpecErrors) as refusal:
        load_sweep(file, [override])
    (error,) = refusal.value.errors
    assert (error.path, error.line, error.column) == (f"--set {override}", None, None)
    assert message in error.message


def test_an_alias_keeps_its_own_value(tmp_path: Path):
    path = tmp_path / "sweep.yaml"
    path.write_text(TEXT + "  other: &o {model.dropout: 0.3}\n  again: *o\n")
    spec = load_sweep(path, ["ablations.again.model.dropout=0.5"])
    assert spec.ablations["other"] == {"model.dropout": 0.3}
    assert spec.ablations["again"] == {"model.dropout": 0.5}


def test_a_seed_is_not_set_beside_a_list_of_seeds(file: Path):
    assert load_sweep(file, ["training.seed=7"]).seeds == (7,)
    with pytest.raises(SpecErrors, match=r"changes nothing: use `--set 'seeds=\[…\]'`"):
        load_sweep(file, ["seeds=[0, 1]", "training.seed=7"])
