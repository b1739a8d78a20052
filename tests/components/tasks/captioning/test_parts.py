import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import AdaptuneError
from components.metrics.rows import FULL_HISTORY
from components.tasks.captioning import task as captioning
from components.tasks.captioning.batches import augmented, taught
from components.tasks.captioning.beam import (
    IMPOSSIBLE,
    Following,
    beam_search,
    guided,
    in_question,
    plausible,
)
from components.tasks.captioning.decoder import Decoder, Layout
from components.tasks.captioning.evaluation import OTHER_PICTURES, another_image, cases_of, predict
from components.tasks.captioning.image import ConvolutionalEncoder, tag_loss
from components.tasks.captioning.model import Search, Stream
from components.tasks.captioning.vocabulary import (
    BEGIN,
    END,
    FIRST_WORD,
    PADDING,
    UNKNOWN,
    Vocabulary,
    caption_words,
    padded,
)
from tests.components.tasks.captioning.fixtures import tiny_config, tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("flickr"))


@pytest.fixture(scope="module")
def vocabulary(data):
    return Vocabulary.of(data, 1)


@pytest.fixture(scope="module")
def module(data):
    """Not trained, but with users who make a difference."""
    module = captioning.build(tiny_config(data.folder), data)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part, spread in ((module.model.decoder, 0.2), (module.model.wish, 2.0)):
            for parameter in part.parameters():
                parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    module.model.eval()
    return module


# The vocabulary


def test_the_vocabulary_survives_writing(vocabulary, tmp_path):
    vocabulary.write(tmp_path)
    assert Vocabulary.read(tmp_path) == vocabulary
    assert {path.suffix for path in tmp_path.iterdir()} == {".arrow", ".json"}


def test_a_vocabulary_of_words_that_were_cut_in_another_way_is_refused(vocabulary, tmp_path, monkeypatch):
    vocabulary.write(tmp_path)
    monkeypatch.setattr("components.tasks.captioning.vocabulary.WORDS_VERSION", 0)
    with pytest.raises(ValueError, match="in another way when it was trained"):
        Vocabulary.read(tmp_path)


def test_the_vocabulary_holds_training_words_only(data, vocabulary):
    changed = data.caption_word.copy()
    changed[np.repeat(data.part[data.caption_image] > 0, np.diff(data.caption_offsets))] = 0
    assert Vocabulary.of(dataclasses.replace(data, caption_word=changed), 1) == vocabulary


def test_rare_words_are_unknown_and_never_written(data, vocabulary):
    few = Vocabulary.of(data, 50)
    assert 0 < len(few.words) < len(vocabulary.words)
    rare = next(word for word in vocabulary.words if word not in few.words)
    assert few.numbers([rare, few.words[0]]).tolist() == [UNKNOWN, FIRST_WORD]
    assert few.text([BEGIN, UNKNOWN, FIRST_WORD, END, PADDING]) == few.words[0]


def test_a_vocabulary_that_would_hold_no_word_is_refused_with_the_most_that_can_be_asked_for(data):
    with pytest.raises(AdaptuneError, match=r"`model\.vocabulary` 100000: no word") as refused:
        Vocabulary.of(data, 100_000)
    most = int(str(refused.value).rsplit(" ", 1)[1])
    assert f"the most frequent one {most:,} times" in str(refused.value)
    assert len(Vocabulary.of(data, most).words) == 1
    with pytest.raises(AdaptuneError, match=f"at most {most}"):
        Vocabulary.of(data, most + 1)


def test_tags_are_words_of_plain_captions(vocabulary):
    assert {"dog", "cat"} <= set(vocabulary.tags) <= set(vocabulary.words)
    assert "gold" not in vocabulary.tags  # what only humorous captions say
    assert (np.diff(vocabulary.tag_share) <= 0).all()
    assert sorted(vocabulary.tag_of_number[vocabulary.tag_of_number > 0]) == list(
        range(1, len(vocabulary.tags) + 1)
    )


# What is learnt


def test_what_is_read_and_what_is_to_be_written():
    word, following = taught(padded([np.array([7, 8, 9]), np.array([5])]))
    assert word.tolist() == [[BEGIN, 7, 8, 9], [BEGIN, 5, PADDING, PADDING]]
    assert following.tolist() == [[7, 8, 9, END], [5, END, PADDING, PADDING]]
    assert ((word == PADDING) == (following == PADDING)).all()


def test_tag_shares_count_plain_captions(data, module):
    image = int(np.flatnonzero(data.part == 0)[3])
    [share] = module.library.tag_shares(np.array([image]))
    plain = data.captions_of(image, 0)
    for tag, word in enumerate(module.vocabulary.tags):
        containing = [word in [data.words[w] for w in caption_words(data, int(c))] for c in plain]
        assert share[tag] == pytest.approx(np.mean(containing))


def test_the_loss_of_tags_is_least_at_their_share():
    share = torch.tensor([[0.2, 0.8]])
    best = tag_loss(torch.logit(share), share)
    assert best < tag_loss(torch.logit(share) + 0.1, share)
    assert best < tag_loss(torch.logit(share) - 0.1, share)


def test_augmented_pictures_keep_their_shape_and_colours():
    pixels = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype(np.uint8)
    changed = augmented(pixels, np.random.default_rng(1))
    assert changed.shape == pixels.shape and changed.dtype == pixels.dtype
    assert (changed != pixels).any()
    assert all(set(one.reshape(-1).tolist()) <= set(two.reshape(-1).tolist()) for one, two in
               zip(changed, pixels, strict=True))  # fmt: skip


@pytest.mark.parametrize("size", [16, 30, 64])
def test_the_encoder_counts_its_regions(size):
    encoder = ConvolutionalEncoder(size)
    regions = encoder(torch.zeros(2, size, size, 3, dtype=torch.uint8))
    assert regions.shape == (2, encoder.regions, encoder.region_size)


def test_another_image_encoder_takes_the_place_of_the_trained_one(data, vocabulary):
    """Such as features of a pretrained network, computed beforehand."""
    from components.config import CaptioningSettings
    from components.tasks.captioning.model import CaptioningModel

    class Averages(torch.nn.Module):
        regions, region_size = 1, 3

        def forward(self, pixels):
            return pixels.float().mean((1, 2))[:, None] / 255

    model = CaptioningModel(CaptioningSettings(hidden=16), vocabulary, Averages()).eval()
    with torch.inference_mode():
        picture = model.see(torch.from_numpy(data.pixels[:2].copy()))
        assert model.write(picture, None, None).word_BQT.shape[:2] == (2, 1)


# Decoding


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), beam=st.integers(1, 3))
def test_decoding_with_kept_keys_equals_reading_whole_captions(seed, beam):
    torch.manual_seed(seed)
    decoder = Decoder(20, 16, 2, 2, 0.0, 8, True, True).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    region, user = torch.randn(2, 5, 16), torch.randn(2, 3, 8)
    word = torch.randint(FIRST_WORD, 20, (2, 3, 6))
    word[..., 0] = BEGIN
    with torch.inference_mode():
        seen = decoder.look(region, user)
        whole = decoder(seen, word).unflatten(0, (2, 3, 6))
        caches = None
        for step in range(6):
            state, caches = decoder.step(seen, word[..., step], caches)
            torch.testing.assert_close(state, whole[:, :, step], atol=1e-5, rtol=1e-4)


def test_padding_and_neighbours_change_nothing():
    torch.manual_seed(0)
    decoder = Decoder(20, 16, 2, 2, 0.0, 8, True, True).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    region, user = torch.randn(2, 5, 16), torch.randn(2, 2, 8)
    word = torch.tensor([[[1, 5, 6, 7], [1, 8, 0, 0]], [[1, 9, 9, 0], [1, 0, 0, 0]]])
    with torch.inference_mode():
        together = decoder(decoder.look(region, user), word)
        alone = decoder(decoder.look(region[:1], user[:1, 1:]), word[:1, 1:, :2])
    torch.testing.assert_close(together[4:6], alone, atol=1e-5, rtol=1e-4)
    layout = Layout.of(word != PADDING)
    torch.testing.assert_close(layout.pick(layout.spread(together)), together)


class Toy:
    """Next words that depend on the last word alone."""

    def __init__(self, table_WW):
        self.table = table_WW.log_softmax(-1)

    def step(self, word, parent):
        return Following(self.table[word], torch.arange(len(self.table)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), length_penalty=st.sampled_from([0.0, 0.7, 1.0]))
def test_a_wide_beam_search_finds_what_exhaustive_search_finds(seed, length_penalty):
    words, most = 3, 3
    size = FIRST_WORD + words
    table = 2 * torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    toy = Toy(table)
    best, best_score = (), -float("inf")
    for length in range(most + 1):
        for caption in itertools.product(range(FIRST_WORD, size), repeat=length):
            path = [BEGIN, *caption, END]
            total = sum(float(toy.table[one, two]) for one, two in itertools.pairwise(path))
            score = total / (length + 1) ** length_penalty
            if score > best_score:
                best, best_score = caption, score
    written = beam_search(toy, (1, 2), words**most, length_penalty, most, torch.device("cpu"))
    for row, score in zip(written.word_BQT[0].tolist(), written.score_BQ[0].tolist(), strict=True):
        assert tuple(number for number in row if number != PADDING) == best
        assert score == pytest.approx(best_score, abs=1e-4)


def test_guidance_favours_what_the_user_is_likelier_to_read():
    words = [0.0] * FIRST_WORD
    user = torch.tensor([*words, 0.5, 0.4, 0.1, 0.001]).log()
    nobody = torch.tensor([*words, 0.6, 0.2, 0.1, 0.1]).clamp(min=1e-9).log()
    real = plausible(user)
    assert real.tolist() == [False] * FIRST_WORD + [True, True, True, False]
    written = {share: guided(user.clamp(min=-99), nobody, real, share)[FIRST_WORD:] for share in (1.0, 3.0)}
    assert torch.allclose(written[1.0].exp()[:3], torch.tensor([0.5, 0.4, 0.1]))
    assert written[3.0].argmax() == 1
    assert written[3.0][3] < IMPOSSIBLE / 2  # implausible, whatever nobody thinks of it
    assert written[3.0].exp().sum() == pytest.approx(1)


def test_something_that_can_be_written_is_always_plausible():
    logit = torch.zeros(FIRST_WORD + 3)
    logit[UNKNOWN] = 50
    assert plausible(logit).tolist() == [True] * len(logit)
    logit[FIRST_WORD] = 10
    assert plausible(logit).nonzero().squeeze(-1).tolist() == [UNKNOWN, FIRST_WORD]


def test_words_out_of_question_change_nothing():
    generator = torch.Generator().manual_seed(0)
    user, nobody = 4 * torch.randn(2, 2, 3, 2, 50, generator=generator)
    real = plausible(user)
    word = in_question(real)
    assert {END, FIRST_WORD} < set(word.tolist()) and len(word) < 50
    every = guided(user, nobody, real, 2.0)
    some = guided(user[..., word], nobody[..., word], real[..., word], 2.0)
    torch.testing.assert_close(some, every[..., word])


def test_a_hidden_picture_is_read_as_no_picture(data, module):
    """So that what training teaches of hidden pictures is what guidance pushes away from."""
    model = module.model
    user = torch.randn(2, 3, model.decoder.layers[0].user.in_features)
    word = torch.randint(FIRST_WORD, model.decoder.word.num_embeddings, (2, 3, 4))
    with torch.inference_mode():
        region = model.see(torch.from_numpy(data.pixels[:2].copy())).region_BRH
        shown, hidden = (model.see.darkened(region, share) for share in (0.0, 1.0))
        assert torch.equal(shown, region)
        read, unseen = (
            model.decoder(model.decoder.look(slots, user), word) for slots in (hidden, model.see.unseen(2))
        )
    torch.testing.assert_close(read, unseen, atol=1e-5, rtol=1e-4)


def test_users_are_written_for_as_if_each_were_alone(data, module):
    """Keys and values follow their hypotheses through the beam, for every user and stream."""
    model = module.model
    generator = torch.Generator().manual_seed(2)
    size = model.decoder.layers[0].user.in_features
    user = torch.randn(2, 3, size, generator=generator)
    nobody = torch.randn(2, 3, size, generator=generator)
    with torch.inference_mode():
        picture = model.see(torch.from_numpy(data.pixels[:2].copy()))
        together = model.write(picture, user, nobody)
        for row, column in itertools.product(range(2), range(3)):
            one = type(picture)(*(field[row : row + 1] for field in picture))
            at = (slice(row, row + 1), slice(column, column + 1))
            alone = model.write(one, user[at], nobody[at])
            assert torch.equal(alone.word_BQT[0, 0], together.word_BQT[row, column])
        # Read as a whole, the hypothesis has the score that the search gave it.
        text = together.word_BQT[0, 0].tolist()
        path = [BEGIN, *(number for number in text if number != PADDING)]
        streams = [
            Stream(model.decoder, picture.region_BRH, user),
            Stream(model.decoder, model.see.unseen(2), nobody),
        ]
        search = Search(streams, model.settings.guidance)
        total, parent = 0.0, None
        for here, following in itertools.pairwise([*path, END]):
            log, word = search.step(torch.full((2, 3, 1), here), parent)
            parent = torch.zeros(2, 3, 1, dtype=torch.long)
            total += float(log[0, 0, 0, word == following])
        compared = total / len(path) ** model.settings.length_penalty
        assert compared == pytest.approx(float(together.score_BQ[0, 0]), rel=1e-5)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_caption_has_a_word_even_where_the_end_is_by_far_the_likeliest(data, module, guidance):
    model = copy.deepcopy(module.model)
    model.settings = model.settings.model_copy(update={"guidance": guidance})
    size = model.decoder.layers[0].user.in_features
    user = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        model.decoder.output_bias.bias[END] = 100
        picture = model.see(torch.from_numpy(data.pixels[:2].copy()))
        written = model.write(picture, user, user)
    assert ((written.word_BQT >= FIRST_WORD).sum(-1) == 1).all()
    assert written.score_BQ.isfinite().all() and (written.score_BQ > IMPOSSIBLE / 100).all()


# Evaluation


def test_controls_give_somebody_and_something_else(data):
    reader, unseen = data.another_user(), np.flatnonzero(data.unseen)
    assert data.unseen[reader[unseen]].all()
    assert (data.preference[reader[unseen]] != data.preference[unseen]).any(axis=1).all()
    assert ((data.drift_at[reader] >= 0) == (data.drift_at >= 0)).all()
    assert (reader[~data.unseen] == np.flatnonzero(~data.unseen)).all()
    own = np.arange(len(data.image_names))
    others = np.unique(data.part, return_counts=True)[1].min() - 1
    turns = [another_image(data, turn) for turn in range(min(OTHER_PICTURES, others))]
    for turn, shown in enumerate(turns):
        assert (shown != own).all() and len(set(shown.tolist())) == len(shown)
        assert (data.part[shown] == data.part).all()
        assert all((shown != earlier).all() for earlier in turns[:turn])


def test_histories_are_cut_to_the_newest_events_and_after_a_change_to_the_first(data):
    pair = np.arange(len(data.pair_user))
    same = (np.arange(len(data.user_ids)), np.arange(len(data.image_names)))
    available = np.diff(data.event_offsets)[data.pair_user]
    before = data.drift_at[data.pair_user]
    drifted = before >= 0
    assert drifted.any() and not drifted.all()
    for cut in (0, 2, 5, FULL_HISTORY):
        cases = cases_of(data, pair, cut, *same)
        kept = available if cut == FULL_HISTORY else np.minimum(cut, available)
        assert (cases.length[~drifted] == kept[~drifted]).all()
        assert (cases.first + cases.length == available)[~drifted].all()
        assert (cases.first[drifted] == 0).all()
        since = available if cut == FULL_HISTORY else np.minimum(before + cut, available)
        assert (cases.length[drifted] == since[drifted]).all()


def test_what_is_the_same_is_written_once_and_batches_change_nothing(data, module, monkeypatch):
    from components.tasks.captioning import evaluation

    pair = np.flatnonzero(data.part[data.pair_image] == 1)
    same = (np.arange(len(data.user_ids)), np.arange(len(data.image_names)))
    every = cases_of(data, pair, 0, *same)
    generic = captioning.build(tiny_config(data.folder, None), data)
    chosen, stands = every.distinct(generic.model, data.profile)
    assert len(chosen.image) == len(np.unique(data.pair_image[pair]))
    assert (chosen.image[stands] == every.image).all()
    texts = predict(module.model, module.library, pair, (FULL_HISTORY, 1), *same)
    assert len({tuple(part) for part in texts}) == 2
    monkeypatch.setattr(evaluation, "BATCH_CASES", 3)
    assert predict(module.model, module.library, pair, (FULL_HISTORY, 1), *same) == texts
