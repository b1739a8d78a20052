"""Gates over parties: what they may name, and the party file beside the sweep file, all wrong places at once."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from orchestrator.planning.plan import Planner
from orchestrator.spec.gates import party_file_of
from orchestrator.spec.load import SpecErrors, load_sweep, sweep_from_values
from orchestrator.spec.schema import sweep_schema
from orchestrator.spec.sweep import SweepSpec
from tests.orchestrator.conftest import TINY, tiny_spec
from tests.orchestrator.spec.test_parties import GOOD

HEAD = "name: demo\ntask: recommendation\ndata: {source: synthetic}\n"
SECTION = "secure_evaluation: {parties: parties.yaml}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "parties.yaml").write_text(GOOD + "part: validation\n")
    return tmp_path


def gates(*lines: str) -> str:
    return "promote:\n  gates:\n" + "".join(f"    - {{{line}}}\n" for line in lines)


def load(folder: Path, text: str, *overrides: str, parties: bool = True) -> SweepSpec:
    file = folder / "sweep.yaml"
    file.write_text(text)
    return load_sweep(file, overrides, parties=parties)


def errors(folder: Path, text: str, *overrides: str) -> list[tuple[str, int | None, int | None, str]]:
    with pytest.raises(SpecErrors) as refusal:
        load(folder, text, *overrides)
    return [(Path(each.path).name, each.line, each.column, each.message) for each in refusal.value.errors]


def test_the_party_file_counts_from_the_sweep_file_and_in_a_set_from_here(folder, monkeypatch):
    spec = load(folder, HEAD + SECTION + gates("metric: pooled_accuracy, over: parties, min: 0.7"))
    assert spec.secure_evaluation is not None
    assert spec.secure_evaluation.parties == folder / "parties.yaml"
    assert party_file_of(spec).names == ("north", "south")
    assert sweep_from_values(spec.model_dump(mode="json")) == spec
    monkeypatch.chdir(folder / "north")
    here = load(folder, HEAD, "secure_evaluation.parties=p.yaml", parties=False)
    assert here.secure_evaluation.parties == folder / "north" / "p.yaml"


def test_a_sweep_without_the_section_has_no_party_file():
    assert party_file_of(tiny_spec()) is None


def test_no_trial_changes_when_its_winner_is_to_be_evaluated_over_parties():
    gate = {"metric": "accuracy", "over": "parties", "min": 0.5}
    asked = tiny_spec(secure_evaluation={"parties": "p.yaml"}, promote={"gates": [gate]})
    plain, others = Planner(tiny_spec()).grid(), Planner(asked).grid()
    assert [trial.id for trial in plain.trials] == [trial.id for trial in others.trials]
    assert [trial.config for trial in plain.trials] == [trial.config for trial in others.trials]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            SECTION + gates("metric: pooled_acuracy, over: parties, min: 1"),
            7, 16, "named 'pooled_acuracy'; did you mean 'pooled_accuracy'?",
        ),
        (
            SECTION + gates("metric: adapted, over: parties, min: 1"),
            7, 16, "the parties add up no metric of recommendation named 'adapted'",
        ),
        (SECTION + gates("metric: hit_rate@5, min: 1"), 7, 16, "over the parties' users only: add `over: parties`"),
        (gates("metric: auc, over: parties, min: 1"), 6, 27, "`over: parties` needs the section `secure_evaluation`"),
        (
            SECTION + gates("metric: auc, over: parties, min_difference: 0"),
            7, 52, "`min_difference` compares with the baseline, which the parties never see: with `over: parties`",
        ),
        (
            SECTION + gates("metric: auc, max_p_value: 0.05, over: parties, min: 0.5"),
            7, 34, "`max_p_value` compares with the baseline",
        ),
        (SECTION + gates("metric: auc, over: parties"), 7, 7, "the gate has no bound"),
        (SECTION + gates("metric: auc, over: party, min: 1"), 7, 27, "expected 'data' or 'parties', got 'party'"),
        ("secure_evaluation: {paties: a}\n", 4, 21, "unknown key 'paties'; did you mean 'parties'?"),
        ("secure_evaluation: {parties: 3}\n", 4, 30, "expected a path, got 3"),
        ("secure_evaluation: parties.yaml\n", 4, 20, "expected a section or null, got 'parties.yaml'"),
        ("secure_evaluation: {parties: paties.yaml}\n", 4, 30, "no such file; did you mean 'parties.yaml'?"),
        ("secure_evaluation: {}\n", 4, 1, "the key 'secure_evaluation.parties' is missing"),
    ],
)  # fmt: skip
def test_broken_sections_and_gates(folder, text, line, column, message):
    found = errors(folder, HEAD + text)
    assert any(each[:3] == ("sweep.yaml", line, column) and message in each[3] for each in found), found
    assert len(found) == 1 + ("{paties" in text)


@pytest.mark.parametrize("task", ["question-answering", "captioning"])
def test_what_is_measured_of_changing_users_alone_chooses_and_judges_nothing(folder, task):
    head = f"name: demo\ntask: {task}\ndata: {{source: synthetic}}\n"
    found = errors(folder, head + "objective: {metric: adapted}\n" + gates("metric: adapted, min: 0.5"))
    assert [each[1:3] for each in found] == [(4, 21), (7, 16)]
    for each in found:
        assert "'adapted' is measured over unseen users whose preference changed alone" in each[3]


def test_errors_of_both_files_are_said_at_once(folder):
    (folder / "parties.yaml").write_text(GOOD + "minimum_cohort: 0\n")
    found = errors(folder, HEAD + SECTION + "seeds: [0, 0]\n")
    assert [each[:3] for each in found] == [("parties.yaml", 5, 17), ("sweep.yaml", 5, 12)]


def test_test_data_of_the_parties_feeds_no_gate(folder):
    """`part` is `test` unless the party file says otherwise."""
    (folder / "parties.yaml").write_text(GOOD)
    text = HEAD + SECTION + gates("metric: auc, min: 0.5", "metric: auc, over: parties, min: 0.5")
    assert errors(folder, text) == [
        (
            "sweep.yaml", 8, 27,
            f"`over: parties` would let test data decide: `part` in {folder / 'parties.yaml'} is test, and gates "
            "look at validation data only; write `part: validation` there",
        )
    ]  # fmt: skip
    assert load(folder, HEAD + SECTION)  # without such a gate the test part may be looked at


def test_a_sweep_is_read_without_its_party_file_where_nothing_is_evaluated(folder):
    (folder / "parties.yaml").unlink()
    spec = load(folder, HEAD + SECTION, parties=False)
    with pytest.raises(SpecErrors, match=r"demo.secure_evaluation.parties: .*no such file"):
        party_file_of(spec)


def test_the_schema_allows_the_metrics_of_parties_to_gates_over_them_alone():
    validator = Draft202012Validator(sweep_schema())

    def wrong(**gate: object) -> bool:
        section = {"secure_evaluation": {"parties": "p.yaml"}, "promote": {"gates": [gate]}}
        return not validator.is_valid({**TINY, **section})

    assert not wrong(metric="pooled_f1", over="parties", min=0.5)
    assert not wrong(metric="auc", over="parties", min=0.5) and not wrong(metric="auc", min=0.5)
    assert wrong(metric="pooled_f1", min=0.5) and wrong(metric="adapted", over="parties", min=0.5)
