import ast
from pathlib import Path

from pydantic import Field

from components.config import RecommendationSettings, TrainingSettings, TrialConfig
from orchestrator.planning import identity
from orchestrator.planning.identity import trial_and_run_id, trial_document
from tests.orchestrator.conftest import tiny_spec


def document(config: TrialConfig, digest: str = "d", device: str = "cpu", workers: int = 1) -> dict:
    return trial_document(config, digest, device, workers)


def test_trials_that_differ_only_in_epochs_share_a_run() -> None:
    spec = tiny_spec()
    short, long = (document(spec.resolve({"training.epochs": epochs}, 0)) for epochs in (1, 2))
    assert trial_and_run_id(short)[0] != trial_and_run_id(long)[0]
    assert trial_and_run_id(short)[1] == trial_and_run_id(long)[1]


def test_everything_that_defines_a_trial_changes_its_id() -> None:
    spec = tiny_spec()
    base = spec.resolve({}, 0)
    ids = {
        trial_and_run_id(each)[0]
        for each in (
            document(base),
            document(spec.resolve({}, 1)),
            document(spec.resolve({"model.personalization": None}, 0)),
            document(spec.resolve({"training.precision": "bf16-mixed"}, 0)),
            document(base, digest="other data"),
            document(base, device="gpu"),
            document(base, workers=2),
        )
    }
    assert len(ids) == 7


def test_names_tracking_and_resources_are_no_part_of_an_id() -> None:
    other = tiny_spec(name="renamed", tracking={"project": "elsewhere"}, budget={"max_trials": 7})
    assert document(other.resolve({}, 0)) == document(tiny_spec().resolve({}, 0))


def test_a_key_added_later_at_its_default_leaves_old_ids_as_they_are() -> None:
    class Later(RecommendationSettings):
        temperature: float = Field(default=1.0)

    class LaterTraining(TrainingSettings):
        warm_up: int = 0

    old = tiny_spec().resolve({}, 3)
    values = {"model": Later(**dict(old.model)), "training": LaterTraining(**dict(old.training))}
    new = old.model_copy(update=values)
    assert trial_and_run_id(document(new)) == trial_and_run_id(document(old))
    changed = old.model_copy(update={"model": Later(**dict(old.model), temperature=2.0)})
    assert trial_and_run_id(document(changed)) != trial_and_run_id(document(old))


def test_comments_and_docstrings_do_not_change_the_syntax_but_code_does(tmp_path: Path) -> None:
    def syntax(text: str) -> str:
        path = tmp_path / "code.py"
        path.write_text(text)
        return identity._syntax(path)

    plain = syntax("def double(x):\n    return 2 * x\n")
    assert syntax('"""Module."""\ndef double(x):\n    """Doc."""\n    # why\n    return 2 * x\n') == plain
    assert syntax("def double(x):\n    return 3 * x\n") != plain


def test_validity_covers_what_the_task_imports_and_nothing_else() -> None:
    found = identity._imported_components("components.tasks.recommendation.task", "components.training")
    assert {"components.personalization.core", "components.metrics.rows", "components.training"} <= set(found)
    assert not any(name.startswith("components.privacy") for name in found)
    assert all(ast.parse(path.read_text()) for path in found.values())


def test_ids_of_the_first_version_stay_as_they_are() -> None:
    """Ledgers in use hold these; a change here orphans every finished trial."""
    spec = tiny_spec()
    documents = [
        document(spec.resolve(point, 3))
        for point in ({}, {"model.personalization": None}, {"training.epochs": 20})
    ]
    assert [trial_and_run_id(each) for each in documents] == [
        ("b8be837f891d", "0265ba177b3a"),
        ("bbce69a2a06d", "74202297a6e2"),
        ("f166b2c6e8e8", "0265ba177b3a"),
    ]
    assert identity.trivial_id("recommendation", "item-bias", "d") == "5eb0c8a90906"
