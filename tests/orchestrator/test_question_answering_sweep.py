"""The second task from its sweep file to a served model, with the same commands as the first."""

import re
from pathlib import Path
from typing import Any

import pytest

from components.data.population import Population
from orchestrator.release.registry import Registry, load_servable
from tests.components.tasks.question_answering.fixtures import write_squad
from tests.orchestrator.sweeping import Call, adaptune, end, start, write_sweep

pytestmark = pytest.mark.xdist_group("ray")

TRIALS = 4
"""Model, baseline, one ablation and the ceiling."""


def reading(root: Path) -> dict[str, Any]:
    return {
        "name": "reading",
        "task": "question-answering",
        "data": {"source": "squad", "root": str(root), "users": 40, "history": 6},
        "model": {
            "embedding": 8,
            "hidden": 8,
            "personalization": {"layers": 1, "hidden": 16, "window": 4, "heads": 2},
        },
        "training": {"batch_size": 16, "epochs": 1, "learning_rate": 0.003},
        "ablations": {
            "no-attention": {"model.personalization.attention": False},
            "oracle": {"model.told": True},
        },
        "controls": ["shuffled-users"],
        "tracking": {"enabled": False},
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Call]:
    folder = tmp_path_factory.mktemp("reading")
    sweep = write_sweep(folder, reading(write_squad(folder / "squad", articles=4)))
    call = end(start("run", sweep, "--home", folder / "home", "--json"))
    assert call.code == 0, call.err
    return sweep, folder / "home", call


def test_the_plan_counts_the_trials(finished):
    sweep, home, call = finished
    assert (call.document["finished"], call.document["failed"]) == (TRIALS, 0)
    assert set(call.document["best"]["metrics"]) >= {"f1", "em", "official_f1", "satisfaction"}
    plan = adaptune("plan", sweep, "--home", home, "--json").document
    assert (plan["task"], plan["done"], plan["to_run"]) == ("question-answering", TRIALS, 0)


def test_rows_are_paired_by_passage_and_speak_of_passages(finished):
    _, home, _ = finished
    document = adaptune("compare", "reading", "--home", home, "--json").document
    rows = {row["name"]: row for row in document["rows"]}
    assert document["unit"] == "passage" and document["objective"] == {"metric": "f1", "mode": "max"}
    assert list(rows) == [
        *("model", "no-attention", "shuffled-users", "baseline"),
        *("lexical", "lexical-told", "style-short", "style-long", "style-clause"),
        "oracle",
    ]
    assert rows["oracle"]["role"] == "oracle"
    lines = {line["row"] for line in document["paper"]["ablations"]["f1"]}
    assert lines == {"model", "no-attention", "baseline"}
    assert {row["units"] for row in rows.values()} == {5}  # the passages of the one test article
    assert rows["style-short"]["metrics"]["official_em"]["mean"] == 1
    assert rows["style-short"]["metrics"]["em_short"]["mean"] == 1
    assert rows["baseline"]["parameters"] < rows["model"]["parameters"]
    text = " ".join(adaptune("compare", "reading", "--home", home).out.split())
    assert "test part, unseen users (5 passages), 1 seed(s)" in text
    assert "Only 5 passages stand behind the main figures" in text
    assert "best trivial row, lexical " in text


def test_the_report_speaks_of_passages(finished, tmp_path):
    _, home, _ = finished
    call = adaptune("report", "reading", "--home", home, "--out", tmp_path / "report.html")
    assert call.code == 0, call.err
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "report.html").read_text()))
    for said in (
        "mean over 5 passages, read for users that training never saw, with their full histories",
        "bootstrap over passages",
        "passages, read for unseen users whose preference depends on the kind of question, no difference is shown",
        "Unseen users whose preference depends on the question",
        "Unseen users with one preference",
        "Cold start",
        "After a change of preference",
        "Beside the paper",
        "no-attention",
    ):
        assert said in page, said
    assert "seen in training" not in page


def test_the_winner_is_promoted_with_its_users_and_answers(finished, tmp_path):
    sweep, home, _ = finished
    call = adaptune("promote", sweep, "--home", home)
    assert call.code == 0, call.err
    version = Registry(home / "registry").version("question-answering/champion")
    model, population = load_servable(version), Population(version.folder)
    assert len(population) == 40 and population.event_count == 240
    state = model.initial_state()
    for event in population.history("user-3"):
        state = model.step(state, event)
    passage = "The old mill in Lund was built by the young baker Anna in the year 1777."
    answered = model.answer(state, population.profile("user-3"), "Who built the mill?", passage)
    assert answered.text and passage[answered.start : answered.end] == answered.text
    users = tmp_path / "users.csv"
    users.write_text("user\nuser-3\n")
    refused = adaptune(
        "predict",
        "question-answering/champion",
        "--users",
        users,
        "--out",
        tmp_path / "o.csv",
        "--home",
        home,
    )
    assert refused.code == 2 and "a model of question-answering recommends nothing" in refused.err


def test_a_broken_data_set_is_refused_before_anything_starts(tmp_path):
    root = write_squad(tmp_path / "squad", articles=2)
    (root / "train.json").write_text('{"data": [{"title": "x", "para')
    call = adaptune("run", write_sweep(tmp_path, reading(root)), "--home", tmp_path / "home")
    assert call.code == 2 and "train.json:1: the file is cut off" in call.err
