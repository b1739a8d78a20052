"""A recommender that its owner keeps: the open part reads users, and what is opened is what the whole model gives."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from components.data.party_folders import split_by_users
from components.errors import DataError
from components.privacy import ENCODER
from components.privacy.divided_model import Kept, Shape, load_encoder, write_encoder
from components.privacy.encoded_users import encode_users
from components.privacy.failures import OutOfBounds
from components.privacy.private_evaluation import known_part, like_tests
from components.privacy.private_scoring import _check
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.evaluation import Examples, predict
from components.tasks.recommendation.serving import load_servable
from orchestrator.secure.model_files import model_digest, whole_digest
from tests.components.privacy.models import Tiny, make_tiny
from tests.components.privacy.seats import DEALER, run

COHORT = 3
CHOSEN = [
    (group, name) for group in ("seen", "unseen") for name in ("accuracy", "recall", "confusion", "next_item")
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Tiny:
    return make_tiny("recommendation", tmp_path_factory.mktemp("private"))


@pytest.fixture(scope="module")
def encoder_folder(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(tiny.model, folder, "digest")
    return folder


def plain_logits(tiny: Tiny, data):
    servable = load_servable(tiny.model)
    examples = Examples.of(data, "test")
    with torch.inference_mode():
        return predict(servable.model, data, examples, np.arange(len(data.user_ids)), -1)[0]


def scored_by_parts(kept: Kept, shape: Shape, likes):
    """The same score from both parts, in floating point."""
    vectors, through_head = np.split(kept.items[likes.item], [shape.vector], axis=1)
    before = (through_head.reshape(len(vectors), shape.modalities, -1) * likes.weight[..., None]).sum(
        1
    ) + likes.hidden @ kept.hidden
    head = np.maximum(before, 0) @ kept.last
    return (likes.vector * vectors).sum(1) + (likes.linear @ kept.linear + head)[:, 0] + likes.base


def test_the_two_parts_give_the_scores_of_the_whole(tiny, encoder_folder):
    encoder, data = load_encoder(encoder_folder), tiny.data
    likes = encode_users(encoder, data, "test").likes
    kept, shape = Kept.of(load_servable(tiny.model)), Shape.of(encoder)
    order = np.argsort(likes.user, kind="stable")  # batches go by length of history
    scores = scored_by_parts(kept, shape, likes)[order]
    assert np.abs(scores - plain_logits(tiny, data)).max() < 1e-4


def test_any_modalities_are_divided_alike_and_what_they_are_made_of_stays(tmp_path):
    tiny = make_tiny("recommendation", tmp_path, everything=True)
    folder = tmp_path / "encoder"
    folder.mkdir()
    write_encoder(tiny.model, folder, "digest")
    encoder = load_encoder(folder)
    likes = encode_users(encoder, tiny.data, "test").likes
    kept, shape = Kept.of(load_servable(tiny.model)), Shape.of(encoder)
    assert shape.modalities == likes.weight.shape[1] == 6
    scores = scored_by_parts(kept, shape, likes)[np.argsort(likes.user, kind="stable")]
    assert np.abs(scores - plain_logits(tiny, tiny.data)).max() < 1e-4
    whole, opened = Catalogue.read(tiny.model), Catalogue.read(folder)
    assert whole.posters.any() and whole.vectors.any() and any(whole.overviews) and whole.overview_words
    assert not (
        opened.posters.any() or opened.vectors.any() or any(opened.overviews) or opened.overview_words
    )
    assert not [name for name in safetensors.numpy.load_file(folder / ENCODER) if "poster" in name]


def test_the_open_part_holds_nothing_of_what_is_kept(tiny, encoder_folder):
    whole = safetensors.numpy.load_file(tiny.model / "model.safetensors")
    opened = safetensors.numpy.load_file(encoder_folder / ENCODER)
    kept = whole.keys() - opened.keys()
    assert {"items.identity.weight", "head_item.weight", "head_out.weight", "like_context.weight"} <= kept
    assert not [name for name in opened if name.startswith(("head", "items.word", "items.genre", "like_t"))]
    assert not list(encoder_folder.glob("model.safetensors"))
    encoder = load_encoder(encoder_folder)
    assert not encoder.table.modality_IME.any() and not encoder.model.head_item.weight.any()


def test_a_folder_without_an_encoder_or_with_a_foreign_one_is_refused(tiny, encoder_folder, tmp_path):
    with pytest.raises(DataError, match="adaptune export"):
        load_encoder(tiny.model)
    foreign = Path(shutil.copytree(encoder_folder, tmp_path / "foreign"))
    config = json.loads((foreign / "config.json").read_text())
    config["model"]["personalization"]["attention"] = False
    (foreign / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="not those of the model"):
        load_encoder(foreign)


def test_other_weights_of_the_head_make_another_encoder(tiny, encoder_folder, tmp_path):
    """The digest that parties agree on, and their ledgers remember, stands for all weights."""
    changed = Path(shutil.copytree(tiny.model, tmp_path / "changed"))
    weights = safetensors.numpy.load_file(changed / "model.safetensors")
    weights["head_out.weight"] = weights["head_out.weight"] + 1
    safetensors.numpy.save_file(weights, changed / "model.safetensors")
    other = tmp_path / "encoder"
    other.mkdir()
    write_encoder(changed, other, "digest")
    first, second = (safetensors.numpy.load_file(folder / ENCODER) for folder in (encoder_folder, other))
    assert all((first[name] == second[name]).all() for name in first)
    assert model_digest(other) != model_digest(encoder_folder)
    again = tmp_path / "again"
    again.mkdir()
    write_encoder(tiny.model, again, "digest")
    assert model_digest(again) == model_digest(encoder_folder) and whole_digest(again) == "digest"


def test_the_open_settings_tell_no_seed_and_no_path(encoder_folder):
    assert set(json.loads((encoder_folder / "config.json").read_text())) == {"task", "model"}


def test_weights_that_could_overflow_are_refused(tiny, encoder_folder):
    kept, shape = Kept.of(load_servable(tiny.model)), Shape.of(load_encoder(encoder_folder))
    _check(kept, shape)
    with pytest.raises(OutOfBounds, match="so large"):
        _check(Kept(kept.items, kept.linear, kept.hidden, kept.last * 1e9), shape)


def test_a_million_is_divided_among_the_examples_of_each_user(tiny, encoder_folder):
    users = encode_users(load_encoder(encoder_folder), tiny.data, "test")
    all_liked = like_tests(users, [("seen", "recall")]).sum(0) + known_part(users, [("seen", "recall")])
    assert all_liked[0] == 1_000_000 * known_part(users, [("seen", "recall")])[1]


EVALUATE = """
from pathlib import Path
from components.data.interactions import open_interactions
from components.privacy.divided_model import Kept, Shape, load_encoder
from components.privacy.encoded_users import EncodedUsers, encode_users
from components.privacy.evaluation import Request
from components.privacy.private_evaluation import evaluate_private
from components.tasks.recommendation.serving import load_servable
encoder = load_encoder(Path({encoder!r}))
folder = {folders!r}[rank]
shape = Shape.of(encoder)
users = encode_users(encoder, open_interactions(Path(folder)), "test") if folder else EncodedUsers.nobody(shape)
kept = Kept.of(load_servable(Path({model!r}))) if rank == {owner} else None
request = Request("recommendation", "digest", "test", tuple("abc"[:parties]), receiver, {cohort}, owner={owner})
with join(seat) as session:
    found = evaluate_private(session, rank, request, users, kept, shape)
    if found is not None:
        say(found={{group: result.to_json() for group, result in found.items()}})
"""


@pytest.mark.parametrize(
    ("folders", "owner"),
    [(2, 1), pytest.param(3, 0, marks=pytest.mark.slow)],
    ids=["two parties", "a party without users keeps the model"],
)
def test_what_is_opened_is_what_the_whole_model_gives(tiny, encoder_folder, tmp_path, folders, owner):
    places: list[str | None] = [
        str(place) for place in split_by_users(tiny.data.folder, 2, tmp_path / "parts")
    ]
    if folders == 3:
        places = [None, *places]
    program = EVALUATE.format(
        encoder=str(encoder_folder), folders=places, model=str(tiny.model), owner=owner, cohort=COHORT
    )
    said = run([program] * folders + [DEALER], receiver=folders - 1)
    assert "failure" not in said[folders - 1], said
    assert not any("found" in seat for seat in said[: folders - 1])
    found = said[folders - 1]["found"]
    numbers = plain_numbers(tiny, encoder_folder)
    for group in found:
        for name, opened in found[group]["opened"].items():
            assert opened == numbers[group, name], (group, name)
    assert "seen" in found and 0 < found["seen"]["metrics"]["accuracy"] < 1
    assert found["seen"]["metrics"]["next_ndcg@10"] > 0


def plain_numbers(tiny: Tiny, encoder_folder: Path) -> dict[tuple[str, str], list[int]]:
    """The opened numbers, computed with the whole model on the undivided data."""
    data, servable = tiny.data, load_servable(tiny.model)
    users = encode_users(load_encoder(encoder_folder), data, "test")
    order = np.argsort(users.likes.user, kind="stable")
    logits = np.empty(len(order))
    logits[order] = plain_logits(tiny, data)
    assert np.abs(logits).min() > 1e-4, "too near to a tie to be compared"
    numbers = {}
    ranks = plain_ranks(servable, data)
    for group, name in CHOSEN:
        if name == "next_item":
            members = np.flatnonzero(users.members(group))
            found = np.bincount(np.minimum(ranks[members], 10), minlength=11)
        else:
            sums = (like_tests(users, [(group, name)]) * (logits >= 0)[:, None]).sum(0)[:-1]
            found = known_part(users, [(group, name)])
            found[: len(sums)] += sums
        numbers[group, name] = found.tolist()
    return numbers


def plain_ranks(servable, data) -> np.ndarray:
    """Items above the next one, for each user, by the model's own ranking of the catalogue."""
    model, table = servable.model, servable._table
    examples = Examples.of(data, "test")
    ranks = np.zeros(len(data.user_ids), np.int64)
    with torch.inference_mode():
        for user in np.flatnonzero(examples.part_start >= 0):
            start = int(data.user_offsets[user])
            state = servable.initial_state()
            for event in list(data.events_of(user))[: examples.part_start[user]]:
                state = servable.step(state, event)
            profile = torch.from_numpy(data.profile[user : user + 1].astype(np.int64))
            scores = model.ranking_logits(table, model.read(state, profile), None)[0, 0].numpy().copy()
            first = examples.row[np.searchsorted(examples.user, user)]
            target = data.content[first]
            met = data.content[start : start + examples.part_start[user]]
            rivals = np.setdiff1d(np.arange(len(scores)), [*met, target])
            assert np.abs(scores[rivals] - scores[target]).min() > 1e-4
            ranks[user] = (scores[rivals] > scores[target]).sum()
    return ranks
