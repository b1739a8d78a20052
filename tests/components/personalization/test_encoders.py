"""What every history encoder must hold to, also the one that the documentation writes."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config import PersonalizationSettings
from components.personalization.core import PersonalizationCore
from components.personalization.encoders import ENCODERS, HistoryEncoder
from components.personalization.initialization import initialize
from tests.components.personalization.test_core import at, make_events

PAGE = Path(__file__).parents[3] / "docs" / "add-an-encoder.md"
CONTENT, KINDS, SIZES = 6, 2, [3, 4]


def of_the_page() -> dict[str, type[HistoryEncoder]]:
    """Run the page's example; the dictionary is as before afterwards."""
    known = dict(ENCODERS)
    block, *_ = re.findall(
        r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    exec(block, {})
    added = {name: ENCODERS.pop(name) for name in set(ENCODERS) - set(known)}
    assert known == ENCODERS
    return added


ALL = {**ENCODERS, **of_the_page()}
every = pytest.mark.parametrize("name", ALL)
SETTINGS = PersonalizationSettings(hidden=8, layers=2, window=5, heads=2)


def make(name: str) -> HistoryEncoder:
    encoder = ALL[name](SETTINGS, 0.0)
    initialize(encoder, 0)
    return encoder.eval()


def test_the_page_adds_an_encoder():
    assert "recent" in ALL and "gru" in ALL


@every
@settings(max_examples=20, deadline=None)
@given(length=st.integers(2, 14), cut=st.integers(1, 13), seed=st.integers(0, 99))
def test_in_pieces_as_in_one_and_nothing_sees_its_future(name: str, length: int, cut: int, seed: int):
    encoder, cut = make(name), min(cut, length - 1)
    vectors = torch.randn(3, length + 1, 8, generator=torch.Generator().manual_seed(seed))
    start = vectors.new_zeros(3, *encoder.state_shape)
    with torch.inference_mode():
        whole = encoder(vectors[:, :length], start)
        assert whole.shape == (3, length + 1, *encoder.state_shape)
        torch.testing.assert_close(whole[:, 0], start)
        first = encoder(vectors[:, :cut], start)
        second = encoder(vectors[:, cut:length], first[:, -1])
        torch.testing.assert_close(torch.cat([first, second[:, 1:]], dim=1), whole, atol=1e-5, rtol=1e-5)
        longer = encoder(vectors, start)[:, : length + 1]
        torch.testing.assert_close(longer, whole, atol=1e-5, rtol=1e-5)
        read = encoder.read(whole)
        assert read.shape == (3, length + 1, 8) and read.isfinite().all()
        torch.testing.assert_close(read[:, -1], encoder.read(whole[:, -1]), atol=1e-5, rtol=1e-5)


@every
def test_the_core_steps_and_encodes_alike_with_it(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ENCODERS, name, ALL[name])
    chosen = SETTINGS.model_copy(update={"encoder": name})  # past the type, which the page says to extend
    core = PersonalizationCore(chosen, CONTENT, KINDS, SIZES, facets=3, residuals=2)
    initialize(core, 0)
    core.eval()
    events, profile = make_events(2, 12, 0), torch.zeros(2, 2, dtype=torch.long)
    moments = torch.tensor([[0, 3, 12], [1, 7, 12]])
    with torch.inference_mode():
        encoded = core.encode(events)
        vectors = core.user_vector(core.summary(encoded, moments), None, profile)
        state = core.initial_state(2)
        for time in range(13):
            stepped = core.user_vector(core.summary(state), None, profile)
            for user, place in (moments == time).nonzero():
                torch.testing.assert_close(vectors[user, place], stepped[user, 0], atol=1e-5, rtol=1e-5)
            if time < 12:
                state = core.step(state, at(events, time))


def test_a_windowed_encoder_copies_no_window_before_it_is_read():
    encoder = make("recent")
    vectors = torch.randn(2, 50, 8)
    states = encoder(vectors, torch.zeros(2, *encoder.state_shape))
    assert states.untyped_storage().nbytes() == (50 + encoder.state_shape[0]) * 2 * 8 * 4
