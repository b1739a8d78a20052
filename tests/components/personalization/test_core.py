import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.config import PersonalizationSettings
from components.personalization.core import PersonalizationCore
from components.personalization.events import Events
from components.personalization.initialization import initialize
from components.personalization.running import CHUNK

CONTENT, FACETS, RESIDUALS, KINDS = 6, 3, 2, 2
SIZES = [3, 4]


def make_core(seed: int = 0, **switches: object) -> PersonalizationCore:
    chosen = PersonalizationSettings(**({"hidden": 16, "window": 5, "heads": 2, "layers": 2} | switches))
    core = PersonalizationCore(chosen, CONTENT, KINDS, SIZES, FACETS, RESIDUALS)
    initialize(core, seed)
    return core.eval()


def make_events(batch: int, length: int, seed: int) -> Events:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch, length, *shape, generator=generator)

    return Events(
        content_BTC=normal(CONTENT),
        facet_BTK=(normal(FACETS) > 0).float(),
        value_BT=normal().tanh(),
        kind_BT=torch.randint(KINDS, (batch, length), generator=generator),
        gap_BT=normal().abs(),
        residual_BTR=normal(RESIDUALS).tanh(),
    )


def at(events: Events, time: int) -> Events:
    return Events(*(field[:, time] for field in events))


@settings(max_examples=15, deadline=None)
@given(
    length=st.integers(1, 25),
    window=st.integers(1, 12),
    feedback=st.booleans(),
    attention=st.booleans(),
    seed=st.integers(0, 1000),
    read=st.lists(st.integers(0, 1000), min_size=3, max_size=3),
)
@example(
    length=CHUNK + 9, window=11, feedback=True, attention=True, seed=0, read=[CHUNK, CHUNK + 1, CHUNK + 9]
)
def test_encode_equals_repeated_step(length, window, feedback, attention, seed, read):
    read = [moment % (length + 1) for moment in read]
    core = make_core(window=window, feedback=feedback, attention=attention)
    events = make_events(3, length, seed)
    query = torch.randn(3, 2, CONTENT, generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        encoded = core.encode(events)
        picked = core.state_at(encoded, torch.tensor(read))
        before = torch.tensor(read)[:, None].expand(3, 2)
        banded = core.attend(encoded, query, before)
        state = core.initial_state(3)
        for time in range(length + 1):
            for user in (index for index, moment in enumerate(read) if moment == time):
                for name, value in picked.items():
                    torch.testing.assert_close(value[user], state[name][user], atol=1e-5, rtol=1e-5)
                if attention:
                    looked = core.attend(state, query)
                    torch.testing.assert_close(banded[user], looked[user], atol=1e-5, rtol=1e-5)
            if time < length:
                state = core.step(state, at(events, time))


def test_stepping_on_from_an_encoded_state_goes_on_as_before():
    core = make_core(window=4)
    events = make_events(2, 20, 1)
    with torch.inference_mode():
        encoded = core.encode(events)
        state = core.state_at(encoded, torch.tensor([11, 11]))
        for time in range(11, 20):
            state = core.step(state, at(events, time))
        expected = core.state_at(encoded, torch.tensor([20, 20]))
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, atol=1e-5, rtol=1e-5)


def test_padding_after_the_end_changes_nothing():
    core = make_core()
    events = make_events(2, 30, 2)
    other = make_events(2, 30, 3)
    mixed = Events(*(torch.cat([a[:, :12], b[:, 12:]], dim=1) for a, b in zip(events, other, strict=True)))
    with torch.inference_mode():
        one, two = (core.state_at(core.encode(each), torch.tensor([12, 7])) for each in (events, mixed))
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=0, rtol=0)


def test_a_step_leaves_the_old_state_alone():
    core = make_core()
    state = core.initial_state(1)
    kept = {name: value.clone() for name, value in state.items()}
    core.step(state, at(make_events(1, 1, 4), 0))
    assert all(torch.equal(state[name], kept[name]) for name in kept)


@pytest.mark.parametrize("switch", ["history", "attention", "feedback", "profile"])
def test_a_part_switched_off_has_no_parameters_and_changes_no_other(switch):
    full = dict(make_core().named_parameters())
    less = dict(make_core(**{switch: False}).named_parameters())
    assert set(less) < set(full)
    same = {name for name in less if less[name].shape == full[name].shape}
    assert len(same) >= len(less) - 1  # attention reads no residuals without feedback: its value map is wider
    for name in same:
        assert torch.equal(less[name], full[name]), name


def test_initial_values_follow_from_the_seed_alone():
    one = dict(make_core(seed=1).named_parameters())
    torch.manual_seed(7)
    again = dict(make_core(seed=1).named_parameters())
    other = dict(make_core(seed=2).named_parameters())
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_initialize_resets_every_parameter():
    core = make_core(seed=3)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.fill_(float("nan"))
    initialize(core, 3)
    for name, parameter in core.named_parameters():
        assert torch.isfinite(parameter).all(), name


def test_initialize_refuses_parameters_that_nothing_resets():
    class Careless(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(2))

    with pytest.raises(TypeError, match="Careless"):
        initialize(Careless(), 0)


def test_the_profile_enters_additively_and_needs_no_new_state():
    core = make_core()
    with torch.inference_mode():
        state = core.state_at(core.encode(make_events(1, 9, 5)), torch.tensor([9]))
        summary = core.summary(state)
        context = core.attend(state, core.question(summary))
        profiles = [torch.tensor([[a, b]]) for a, b in [(0, 0), (1, 0), (0, 2), (1, 2)]]
        vectors = [core.user_vector(summary, context, profile) for profile in profiles]
    before = [torch.atanh(vector) for vector in vectors]
    torch.testing.assert_close(before[1] - before[0], before[3] - before[2], atol=1e-4, rtol=1e-4)
