"""The parts that the reader stands on: word tables, overlap features, extents of answers, recurrence, batches."""

import numpy as np
import pytest
import torch

from components.tasks.question_answering.batches import Library, TrainingBatches
from components.tasks.question_answering.extents import ExtentScale, extent_of
from components.tasks.question_answering.features import Passage, overlap_features
from components.tasks.question_answering.model import alike, choice_loss, style_loss
from components.tasks.question_answering.recurrence import BidirectionalLayers, GatedRecurrence
from components.tasks.question_answering.vocabulary import Vocabulary, stem
from tests.components.tasks.question_answering.fixtures import tiny_data


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    data = tiny_data(tmp_path_factory.mktemp("squad"))
    return Library.of(data, Vocabulary.of(data))


@pytest.mark.parametrize(
    ("one", "two"),
    [("invented", "inventor"), ("Cities", "city"), ("walks", "walking"), ("Normans", "norman")],
)
def test_words_of_one_stem(one, two):
    assert stem(one) == stem(two)


def test_numbers_and_short_words_keep_their_letters():
    assert stem("1990s") == "1990s"
    assert stem("is") == "is"
    assert stem("east") != stem("easy")


def test_overlap_features_by_hand():
    vocabulary = Vocabulary(
        [], {"the": 0.0}, ("who",), ("short",), {}, ExtentScale({"who": 0.0}, (0.0,) * 6, (1.0,) * 6)
    )
    words = ["Who", "founded", "the", "club", "Anna", "clubs", "."]
    lexicon = vocabulary.lexicon(words)
    number = {word: place for place, word in enumerate(words)}
    passage = [number[word] for word in ("the", "clubs", ".", "Anna", "founded")]
    features = overlap_features(
        lexicon,
        np.array([number[word] for word in ("Who", "founded", "the", "club")]),
        Passage(
            np.array(passage),
            np.array([0, 0, 0, 1, 1]),
            np.array([True, False, False, True, False]),
            np.array([False, True, False, False, True]),
        ),
    )
    exact, shared, rare = features[:, 0], features[:, 1], features[:, 2]
    assert exact.tolist() == [1, 0, 0, 0, 1]
    assert shared.tolist() == [1, 1, 0, 0, 1]
    assert rare.tolist() == [0, 1, 0, 0, 1]
    third = 1 / 3.001  # of the question's rarity: who, founded, club
    assert features[:, 6] == pytest.approx([third] * 5, abs=1e-4)
    assert features[3, 9] == pytest.approx(np.exp(-2 / 6))
    assert features[0, 10] == pytest.approx(np.exp(-1 / 6))
    assert features[:, 12].tolist() == [1, 0, 0, 1, 0]


def test_extents_by_hand():
    sentence = np.array([0, 0, 0, 0, 1, 1])
    begins = np.array([True, False, True, False, True, False])
    ends = np.array([False, True, False, True, False, True])
    whole = extent_of(2, 4, sentence, begins, ends, 0.0)
    assert whole == pytest.approx([np.log(2), 1, 1, 0.5, 0, 1])
    part = extent_of(3, 4, sentence, begins, ends, 1.0)
    assert part == pytest.approx([-1, 0, 1, 0.25, np.log(0.5), 0])


def test_the_extents_of_training_are_centred_and_tell_styles_apart(library):
    data, scale = library.data, library.vocabulary.extent_scale
    training = np.flatnonzero(data.part == 0)
    by_style = [
        scale.extents(data, training, data.answer_start[training, style], data.answer_end[training, style])
        for style in range(3)
    ]
    assert np.concatenate(by_style).mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-4)
    means = [extents.mean(axis=0) for extents in by_style]
    assert means[0][0] < means[1][0] < means[2][0]
    assert means[2][5] > means[0][5] + 1


def test_the_recurrence_and_its_gradient():
    generator = torch.Generator().manual_seed(0)
    given, logit = (
        torch.randn(5, 3, units, generator=generator, dtype=torch.float64, requires_grad=True)
        for units in (4, 12)
    )
    padding = torch.tensor(
        [4 * 3 + 1, 3 * 3 + 1, 4 * 3 + 2]
    )  # two tokens of the second sequence, one of the third
    real = torch.ones(15, 1, dtype=torch.float64).index_fill(0, padding, 0).view(5, 3, 1)
    new, keep, gate = logit.chunk(3, dim=-1)
    keep, gate = keep.sigmoid(), gate.sigmoid()
    state = torch.zeros(5, 3, 4, dtype=torch.float64)
    for units, times in ((slice(0, 2), range(5)), (slice(2, 4), range(4, -1, -1))):
        before = torch.zeros(3, 2, dtype=torch.float64)
        for time in times:
            fresh = (1 - keep[time, :, units]) * new[time, :, units] * real[time]
            before = keep[time, :, units] * before + fresh
            state[time, :, units] = before.detach()
    expected = given + gate * (state.tanh() - given)
    torch.testing.assert_close(GatedRecurrence.apply(given, logit, padding), expected)
    assert torch.autograd.gradcheck(lambda *both: GatedRecurrence.apply(*both, padding), (given, logit))


def test_both_directions_and_no_trace_of_padding():
    layers = BidirectionalLayers(1, 8, 0.0)
    tokens = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    full = torch.ones(1, 6, dtype=torch.bool)
    with torch.inference_mode():
        short = layers(tokens[:, :4], full[:, :4])
        padded = layers(tokens, torch.arange(6)[None] < 4)[:, :4]
        torch.testing.assert_close(short, padded)
        changed = tokens.clone()
        changed[:, 3] += 1
        moved = (layers(changed, full) - layers(tokens, full)).abs()[0] > 1e-7
    assert moved[4:, :4].any() and not moved[4:, 4:].any()
    assert moved[:3, 4:].any() and not moved[:3, :4].any()


def test_every_training_question_is_met_once_an_epoch(library):
    data = library.data
    batches = TrainingBatches(library, 16, 2, seed=0)
    for epoch in range(2):
        lengths = [length for batch in batches.epoch(epoch) for length in batch.texts.length_B.tolist()]
        assert sorted(lengths) == sorted(library.lengths(data.passage_of[data.part == 0]).tolist())
    assert len(batches) == len(list(batches.epoch(0)))


def test_batches_follow_from_seed_and_epoch(library):
    def starts(seed, epoch):
        return [
            (batch.start_BS.tolist(), batch.readers.wanted_N.tolist())
            for batch in TrainingBatches(library, 16, 2, seed).epoch(epoch)
        ]

    assert starts(0, 1) == starts(0, 1)
    assert starts(0, 1) != starts(0, 2)
    assert starts(0, 1) != starts(1, 1)


def test_no_history_holds_an_event_about_the_passage_at_hand(library):
    data, log = library.data, library.log
    batches = TrainingBatches(library, 16, 4, seed=0)
    owner = np.repeat(np.arange(len(data.user_ids)), np.diff(data.event_offsets))
    generator = np.random.default_rng(0)
    empty, full = 0, 0
    for _ in range(30):
        user = generator.choice(batches.users, 50)
        passage = data.passage_of[generator.choice(batches.questions, 50)]
        row, wanted = batches._histories(user, passage, generator)
        real = np.arange(row.shape[1]) < wanted[:, None]
        assert not (real & (log.passage_E[row] == passage[:, None])).any()
        assert (owner[row] == user[:, None])[real].all()
        assert (np.diff(row, axis=1) > 0)[real[:, 1:]].all()  # oldest first, none twice
        of_user = log.passage_E.reshape(-1, 8)[user]
        most = (of_user != passage[:, None]).sum(axis=1)
        assert (wanted <= most).all()
        empty += (wanted == 0).sum()
        full += ((wanted == most) & (most > 0)).sum()
    assert min(empty, full) > 100


def test_only_seen_users_ask_in_training_and_want_what_they_wanted_at_the_newest_event(library):
    """All of a batch is found again in the data: who asks, by the events, and what is wanted, by the truth."""
    data, log = library.data, library.log
    batches = TrainingBatches(library, 16, 4, seed=0)
    assert not data.unseen[batches.users].any()
    drifted = 0
    for epoch in range(4):
        generator = np.random.default_rng(epoch)
        question = np.sort(generator.choice(batches.questions, 16, replace=False))
        seed = int(generator.integers(1000))
        batch = batches._batch(question, np.random.default_rng(seed))
        again = np.random.default_rng(seed)
        user = again.choice(batches.users, (16, 4))
        row, shown = batches._histories(user.ravel(), np.repeat(data.passage_of[question], 4), again)
        for place, (asker, asked) in enumerate(zip(user.ravel(), np.repeat(question, 4), strict=True)):
            newest = row[place, shown[place] - 1] - log.offsets[asker] + 1 if shown[place] else 0
            changed = 0 <= data.drift_at[asker] < newest
            table = data.preference if changed else data.preference_before
            style = table[asker, data.kind[asked]]
            assert batch.wanted_BU().flatten()[place] == style
            drifted += data.drift_at[asker] >= 0 and changed
        assert (batch.start_BS.numpy() == data.answer_start[question]).all()
        assert (batch.end_BS.numpy() + 1 == data.answer_end[question]).all()
    assert drifted


def test_the_choice_is_among_different_answers():
    likelihood = torch.tensor([[[0.5, 0.25, 0.125]], [[0.5, 0.5, 0.25]], [[0.2, 0.2, 0.2]]]).log()
    start, end = (
        torch.tensor([[0, 1, 2], [0, 0, 1], [3, 3, 3]]),
        torch.tensor([[4, 4, 4], [4, 4, 4], [5, 5, 5]]),
    )
    by_hand = {(0, 1, 2): [4 / 7, 2 / 3, 1], (2, 2, 0): [1 / 7, 1 / 3, 1]}
    for wanted, probability in by_hand.items():
        loss = choice_loss(likelihood, torch.tensor(wanted)[:, None], alike(start, end))
        assert float(loss) == pytest.approx(-np.log(probability).mean(), abs=1e-6)


def test_the_style_may_be_any_that_gives_the_wanted_answer():
    guess = torch.tensor([1.0, 2.0, 5.0]).log().expand(3, 1, 3)
    same = alike(
        torch.tensor([[0, 1, 2], [0, 0, 1], [3, 3, 3]]), torch.tensor([[4, 4, 4], [4, 4, 4], [5, 5, 5]])
    )
    by_hand = {(0, 1, 2): [1 / 8, 3 / 8, 1], (2, 2, 0): [5 / 8, 5 / 8, 1]}
    for wanted, probability in by_hand.items():
        loss = style_loss(guess, torch.tensor(wanted)[:, None], same)
        assert float(loss) == pytest.approx(-np.log(probability).mean(), abs=1e-6)
