"""Simulated users: nobody has met what is evaluated, the truth stays beside the data, a seed fixes every byte."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from components.config import SquadSettings
from components.data import store
from components.data.arrow import open_table, view
from components.data.population import Population, write_population
from components.data.questions import Questions, open_questions
from components.data.questions_form import STYLES
from components.errors import DataError
from tests.components.tasks.question_answering.fixtures import write_squad


def prepared(root: Path, store_root: Path, **changes: float) -> Questions:
    chosen = SquadSettings.model_validate({"source": "squad", "root": root, "users": 60, **changes})
    return open_questions(store.prepare(chosen, store_root, "questions"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squad(tmp_path_factory.mktemp("squad"))


@pytest.fixture(scope="module")
def data(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Questions:
    return prepared(root, tmp_path_factory.mktemp("store"))


def test_parts_go_by_article(data):
    parts: dict[str, set[int]] = {}
    for passage, part in zip(data.passage_of, data.part, strict=True):
        parts.setdefault(data.article[passage], set()).add(int(part))
    assert all(len(part) == 1 for part in parts.values())
    assert {article for article, part in parts.items() if part == {1}} == {"validation 0", "validation 1"}
    assert sum(part == {2} for part in parts.values()) == 1  # one in six of eight


def test_nobody_has_met_an_article_that_is_asked_about(data):
    articles = np.array(data.article)
    assert (data.part[data.event_question] == 0).all()
    met = set(articles[data.passage_of[data.event_question]])
    asked = set(articles[data.passage_of[data.pair_question]])
    assert met and asked and not met & asked


def test_only_unseen_users_are_asked_each_question_by_each_sort(data):
    assert data.unseen[data.pair_user].all() and data.unseen.sum() == 12
    assert set(data.part[data.pair_question]) == {1, 2}
    for question in np.flatnonzero(data.part > 0):
        users = data.pair_user[data.pair_question == question]
        assert len(set(users)) == 7 and data.conditional[users].sum() == 3
        drifting = data.drift_at[users] >= 0
        assert drifting.sum() == 1 and not data.conditional[users[drifting]].any()
        assert sorted(data.preference[users[~data.conditional[users] & ~drifting], 0]) == [0, 1, 2]


def test_only_conditional_users_change_their_preference_with_the_kind(data):
    for table in (data.preference, data.preference_before):
        varies = (table != table[:, :1]).any(axis=1)
        assert (varies == data.conditional).all()
    drifting = data.drift_at >= 0
    assert drifting.sum() == 6 and data.conditional.sum() == 28  # half of those who do not drift: 22 + 6
    assert len({row.tobytes() for row in data.preference[data.conditional]}) > 10


def test_only_drifting_users_change_their_preference_with_time(data):
    changed = (data.preference != data.preference_before).all(axis=1)
    assert (changed == (data.drift_at >= 0)).all()
    assert set(data.drift_at[changed]) <= set(range(8, 13)) and set(data.drift_at[~changed]) == {-1}


def test_events_show_what_the_user_wants_but_for_noise(data):
    style = view(open_table(data.folder / "truth.arrow"), "style")
    user = np.repeat(np.arange(len(data.user_ids)), np.diff(data.event_offsets))
    place = np.arange(len(user)) - data.event_offsets[user]
    table = np.where(
        (place < data.drift_at[user])[:, None], data.preference_before[user], data.preference[user]
    )
    wanted = table[np.arange(len(user)), data.kind[data.event_question]]
    assert (wanted == view(open_table(data.folder / "truth.arrow"), "wanted")).all()
    liked = data.event_value > 0
    assert 0.25 < (~liked).mean() < 0.4
    assert 0.03 < (style != wanted)[liked].mean() < 0.2
    shown = np.stack([data.event_start, data.event_end], axis=1)
    right = np.stack(
        [bounds[data.event_question, wanted] for bounds in (data.answer_start, data.answer_end)], 1
    )
    assert (shown != right).any(axis=1)[~liked].all()  # nobody rejects the very answer that is wanted
    later = np.diff(data.event_timestamp) > 0
    later[data.event_offsets[1:-1] - 1] = True
    assert later.all()


def test_answers_are_what_their_style_says(data):
    assert data.styles == STYLES
    for question, references in enumerate(data.references):
        passage = int(data.passage_of[question])
        bounds = np.stack([data.answer_start[question], data.answer_end[question]], axis=1)
        short, long, clause = (data.span_text(passage, *map(int, each)) for each in bounds)
        assert short == min(references, key=len) and long == max(references, key=len)
        assert short in clause


def test_topics_carry_no_preference(data):
    assert list(data.profile_fields) == ["topic"] and data.profile.shape == (60, 1)
    assert data.profile.min() >= 1 and data.profile.max() < len(data.profile_fields["topic"])
    assert set(data.profile_fields["topic"][1:]) <= set(data.article)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(root, data, tmp_path):
    again, other = prepared(root, tmp_path), prepared(root, tmp_path, seed=1)
    assert again.digest == data.digest != other.digest
    for path in sorted(data.folder.iterdir()):
        assert (again.folder / path.name).read_bytes() == path.read_bytes()
    assert (other.folder / "tokens.arrow").read_bytes() == (data.folder / "tokens.arrow").read_bytes()
    assert (other.folder / "events.arrow").read_bytes() != (data.folder / "events.arrow").read_bytes()


def test_arrays_are_views_and_travel_as_their_folder(data):
    for name in ("passage_word", "answer_start", "preference", "event_value", "pair_user", "clause_start"):
        assert not getattr(data, name).flags.writeable, name
    assert len(pickle.dumps(data)) < 1000
    assert np.array_equal(pickle.loads(pickle.dumps(data)).event_start, data.event_start)
    assert data.passage_ids[:2] == ["train 0#0", "train 0#1"] and len(set(data.passage_ids)) == len(
        data.article
    )


def test_users_travel_with_a_promoted_model(data, tmp_path):
    write_population(data, tmp_path)
    population = Population(tmp_path)
    assert population.history("user-7") == [
        type(event)(
            str(row), *(getattr(event, name) for name in ("user", "timestamp", "content", "kind", "value"))
        )
        for row, event in enumerate(data.events_of(7), start=int(data.event_offsets[7]))
    ]
    content = json.loads(population.history("user-7")[0].content)
    assert set(content) == {"question", "passage", "start", "end"}
    row = int(data.event_offsets[7])
    passage = int(data.passage_of[data.event_question[row]])
    shown = data.span_text(passage, int(data.event_start[row]), int(data.event_end[row]))
    assert content["passage"][content["start"] : content["end"]] == shown
    assert population.profile("user-7")["topic"] in data.profile_fields["topic"][1:]


@pytest.mark.parametrize("off", [1, 99_999])
def test_answers_that_do_not_stand_where_the_file_says_are_counted_and_said(root, data, tmp_path, off):
    assert store.notes(data.folder) == () and "notes" not in json.loads(
        (data.folder / "manifest.json").read_text()
    )
    path = write_squad(tmp_path / "squad") / "train.json"
    document = json.loads(path.read_text())
    question = document["data"][1]["paragraphs"][2]["qas"][0]
    for answer in question["answers"]:
        answer["answer_start"] += off
    path.write_text(json.dumps(document))
    wrong = prepared(path.parent, tmp_path / "store")
    (note,) = store.notes(wrong.folder)
    assert note.startswith(
        f"2 of 900 reference answers do not stand at their `answer_start`, such as of question '{question['id']}';"
    )
    assert (wrong.answer_start == data.answer_start).all()  # its texts occur only once


def test_one_article_is_too_few(tmp_path):
    with pytest.raises(DataError, match="1 article with questions; expected at least 2"):
        prepared(write_squad(tmp_path / "squad", articles=1), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_folder_of_another_form_is_refused(data, tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"preparation": -1}))
    with pytest.raises(DataError, match="prepared by another version"):
        open_questions(tmp_path)
