"""Noise hides a user: caps hold, sensitivities bound what one user changes, and draws have the scale that is said."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.privacy import noise as noise_module
from components.privacy import noisy_metrics as noisy_metrics_module
from components.privacy.evaluation import CohortTooSmall, Request, evaluate
from components.privacy.noise import (
    USERS,
    Noise,
    capped,
    laplace,
    load_opendp,
    noisy_numbers,
    noisy_users,
    scales,
    sensitivities,
    width_of,
)
from components.privacy.noisy_metrics import noisy_metrics, possible
from components.privacy.totals import MEASURES, Implausible, metrics_of
from tests.components.privacy.meeting import Table
from tests.components.privacy.users import invent_user, mixed, together

TASKS = list(MEASURES)
every_task = pytest.mark.parametrize("task", TASKS)
seeds = st.integers(0, 2**32 - 1)


def crowd(task, seed, users, **options):
    generator = np.random.default_rng(seed)
    return [invent_user(MEASURES[task], generator, number, **options) for number in range(users)]


def exact_numbers(task, tallies, noise, monkeypatch):
    """What `noisy_numbers` would hide: the same, with draws of nothing."""
    measures = MEASURES[task]
    with monkeypatch.context() as patch:
        patch.setattr(noise_module, "laplace", lambda scale, numbers: np.zeros(numbers, np.int64))
        return (
            noisy_users(measures, noise, tallies),
            noisy_numbers(measures, noise, tallies, measures.groups),
        )


@every_task
@settings(max_examples=60, deadline=None)
@given(seed=seeds, users=st.integers(1, 6), contributions=st.integers(1, 8), change=st.integers(0, 2))
def test_one_user_changes_numbers_by_no_more_than_epsilon_allows(task, seed, users, contributions, change):
    """Change / scale, over all numbers, is what privacy costs, whether a user comes, goes or is another.

    Scores, counts and numbers of rows of the user are anything, at their ends and beyond.
    """
    measures, noise = MEASURES[task], Noise(1.5, contributions)
    generator = np.random.default_rng(seed)
    group = measures.groups[int(generator.integers(len(measures.groups)))]
    others = crowd(task, seed + 1, users)
    user = int(generator.integers(users))
    mine = [invent_user(measures, generator, user, wild=bool(generator.integers(2))) for _ in range(2)]
    rest = [each for number, each in enumerate(others) if number != user]
    before = [*rest, mine[0]] if change < 2 else rest
    after = [*rest, mine[1]] if change > 0 else rest
    sides = [
        {group: mixed(tally, generator)} if (tally := together(side)) else {} for side in (before, after)
    ]
    with pytest.MonkeyPatch.context() as patch:
        (users_before, first), (users_after, second) = (
            exact_numbers(task, side, noise, patch) for side in sides
        )
    widths = scales(measures, noise)
    spent = float(np.abs(users_after - users_before).sum()) / widths[USERS][0]
    chosen = [(each, name) for each in measures.groups for name in measures.names]
    start, changed = 0, np.abs(second - first)
    bounds = sensitivities(measures, contributions)
    for _, name in chosen:
        size = measures.size(name)
        found, start = changed[start : start + size], start + size
        if name in measures.counts:
            assert found.sum() <= bounds[name][0], name
            spent += found.sum() / widths[name][0]
        else:
            assert found[0] <= bounds[name][0], name
            spent += found[0] / widths[name][0]
            if name not in measures.alike:
                assert found[1] <= bounds[name][1], name
                spent += found[1] / widths[name][1]
    assert spent <= noise.epsilon


@every_task
def test_sensitivities_are_reached_so_no_noise_is_wasted(task):
    """A user of nothing against one who has the most of everything."""
    measures, contributions = MEASURES[task], 3
    generator = np.random.default_rng(0)
    user = invent_user(measures, generator, 0)
    while measures.unit != "user" and len(user.user) < contributions:
        user = invent_user(measures, generator, 0)
    for name, (_, highest) in measures.scores.items():
        user.scores[name][:] = highest
    for name, count in measures.counts.items():
        if not count.histogram:
            user.counts[name][:] = 10**6
    most = capped(measures, user, contributions)
    for name, bound in sensitivities(measures, contributions).items():
        if name in measures.scores:
            total, number = measures.numbers(name, most).tolist()
            assert bound[0] - 1 <= total <= bound[0] and number in (bound[1], *([number] * (bound[1] == 0)))
        elif name in measures.counts:
            share = 2 if measures.counts[name].histogram else 1
            assert measures.numbers(name, most).sum() * share == bound[0]


@every_task
@settings(max_examples=30, deadline=None)
@given(seed=seeds, users=st.integers(1, 8), contributions=st.integers(1, 6))
def test_a_users_contributions_are_capped_whoever_else_is_there(task, seed, users, contributions):
    measures = MEASURES[task]
    people = crowd(task, seed, users)
    whole = capped(measures, mixed(together(people), np.random.default_rng(seed)), contributions)
    limit = 1 if measures.unit == "user" else contributions
    for number, person in enumerate(people):
        assert np.count_nonzero(whole.user == number) == min(len(person.user), limit)
        alone = capped(measures, person, contributions)
        for name in measures.scores:
            kept = whole.scores[name][whole.user == number]
            np.testing.assert_array_equal(kept, alone.scores[name])


@pytest.mark.parametrize("scale", [0.8, 25.0, 4e6])
def test_draws_have_the_distribution_of_their_scale(scale):
    """The mean size, the share beyond the scale, and the mean lie within five standard errors."""
    draws, p = laplace(scale, 20_000), math.exp(-1 / scale)
    size = 2 * p / (1 - p * p)
    variance = 2 * p / (1 - p) ** 2
    assert abs(np.abs(draws).mean() - size) < 5 * math.sqrt((variance - size**2) / len(draws))
    assert abs(draws.mean()) < 5 * math.sqrt(variance / len(draws))
    beyond = 2 * p ** math.ceil(scale) / (1 + p)
    found = (np.abs(draws) >= math.ceil(scale)).mean()
    assert abs(found - beyond) < 5 * math.sqrt(beyond * (1 - beyond) / len(draws))
    assert (laplace(scale, 50) != laplace(scale, 50)).any()


@every_task
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
def test_what_opendp_says_the_draws_cost_adds_up_to_epsilon(task, epsilon):
    opendp, measures = load_opendp(), MEASURES[task]
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l1_distance(T="i64")
    noise, spent = Noise(epsilon, 20), 0.0
    for name, block in sensitivities(measures, 20).items():
        for sensitivity, width in zip(block, scales(measures, noise)[name], strict=True):
            assert (width > 0) == (sensitivity > 0)
            spent += opendp.m.make_laplace(*space, scale=width).map(sensitivity) if width else 0.0
    assert epsilon * 0.999999 < spent <= epsilon


def test_the_noise_that_the_docs_speak_of():
    widths = scales(MEASURES["recommendation"], Noise(1.0, 20))
    assert widths["accuracy"] == pytest.approx((17e6, 17)) and widths[USERS] == pytest.approx((17,))


PARTIES = ("a", "b", "c")


ANY = -(10**9)
"""A minimum cohort that every number of users exceeds, whatever its noise."""


def asked(task, epsilon, contributions=20):
    return Request(task, "digest", "test", PARTIES, 0, ANY, Noise(epsilon, contributions))


def opened_of(request, held):
    """The results at the receiver, who is the first."""
    result, *others = Table(len(PARTIES)).together(
        lambda chair: evaluate(chair, chair.rank, request, held[chair.rank])
    )
    assert isinstance(result, dict) and others == [None, None], result
    return result


@every_task
def test_what_is_opened_has_the_noise_of_every_party_with_data_and_of_no_other(task, monkeypatch):
    """The first party has no data, so two draws are in every number, and in none three."""
    monkeypatch.setattr(noisy_metrics_module, "_DRAWS", 1)
    measures, noise = MEASURES[task], Noise(2.0, 20)
    group = measures.groups[0]
    held = [None] + [{group: together(crowd(task, seed, 60))} for seed in (1, 2)]
    least = [capped(measures, each[group], noise.contributions) for each in held[1:]]
    ratios = []
    for _ in range(30):
        opened = opened_of(asked(task, noise.epsilon), held)[group].opened
        for name, numbers in opened.items():
            exact = sum(measures.numbers(name, each) for each in least)
            own = (
                slice(0, 1) if name in measures.alike else slice(None)
            )  # the others' number is drawn elsewhere
            ratios += ((numbers - exact) / width_of(measures, noise, name))[own].tolist()
        for name, other in measures.alike.items():
            assert opened[name][1] == opened[other][1]
    # a sum of two Laplace draws of scale 1 has mean size 3/2 (one draw 1, three 15/8) and variance 4
    assert abs(np.mean(np.abs(ratios)) - 1.5) < 5 * math.sqrt((4 - 2.25) / len(ratios)) < 0.35
    assert abs(np.mean(ratios)) < 5 * math.sqrt(4 / len(ratios))


def test_numbers_of_users_are_announced_with_noise_and_a_party_without_data_announces_none(monkeypatch):
    monkeypatch.setattr(noise_module, "laplace", lambda scale, numbers: np.full(numbers, 7))
    task = "question-answering"
    group = MEASURES[task].groups[0]
    held = [None] + [{group: together(crowd(task, seed, 500))} for seed in (1, 2)]
    table, heard = Table(3), []

    def step(chair):
        tell = chair.announce
        chair.announce = lambda numbers: heard.append((chair.rank, numbers.tolist())) or tell(numbers)
        return evaluate(chair, chair.rank, asked(task, 0.5), held[chair.rank])

    table.together(step)
    said = {rank: [each for who, each in heard if who == rank] for rank in range(3)}
    assert said[0] == [[0], [0]]
    assert said[1] == said[2] == [[1], [507]]


@every_task
def test_metrics_with_much_data_are_within_their_margin_19_times_of_20(task, monkeypatch):
    """Of more than 50 metrics, which are correlated within an evaluation: so a generous bound."""
    generator = np.random.default_rng(11)
    monkeypatch.setattr(
        noise_module,
        "laplace",
        lambda scale, numbers: np.rint(generator.laplace(0, scale, numbers)).astype(np.int64),
    )
    measures = MEASURES[task]
    group = measures.groups[0]
    tally = together(crowd(task, 3, 300))
    exact = {name: measures.numbers(name, capped(measures, tally, 20)) for name in measures.names}
    plain = {
        metric: value for name in exact for metric, value in metrics_of(measures, {name: exact[name]}).items()
    }
    within = []
    for _ in range(6):
        found = opened_of(asked(task, 200.0), [None, {group: tally}, None])[group]
        assert set(found.margins) <= set(found.metrics) == set(plain)
        assert all(found.margins[name] < 0.5 for name in measures.scores)
        within += [abs(found.metrics[name] - plain[name]) <= margin for name, margin in found.margins.items()]
    assert len(within) > 50 and 0.8 < np.mean(within) <= 1


@every_task
def test_numbers_that_noise_made_impossible_are_moved_and_named(task):
    """With far too little epsilon: everything is noise, and still every metric is one that can be."""
    measures = MEASURES[task]
    held = [{measures.groups[0]: together(crowd(task, seed, 30))} for seed in range(3)]
    results = opened_of(asked(task, 0.01), held)
    assert set(results) == set(measures.groups) and any(found.moved for found in results.values())
    for found in results.values():
        assert not found.holders and not found.withheld
        for name, value in found.metrics.items():
            lowest, highest = measures.scores.get(name, (0.0, 1.0))
            assert lowest - 1e-6 <= value <= highest + 1e-6, name


def test_a_cohort_that_is_too_small_with_its_noise_says_what_it_cost():
    request = replace(asked("captioning", 1.0), minimum_cohort=10**6)
    permitted = []
    errors = Table(3).together(
        lambda chair: evaluate(chair, chair.rank, request, {}, lambda: permitted.append(chair.rank))
    )
    assert all(isinstance(error, CohortTooSmall) and "epsilon is spent" in str(error) for error in errors)
    assert sorted(permitted) == [0, 1, 2]  # before the numbers of users are announced


@pytest.mark.parametrize("name", ["accuracy", "confusion", "first_hit"])
def test_numbers_further_off_than_noise_can_be_are_refused(name):
    measures, noise = MEASURES["recommendation"], Noise(1.0, 20)
    off = -1000 * width_of(measures, noise, name).max()
    numbers = np.full(measures.size(name), int(off), np.int64)
    with pytest.raises(Implausible, match="further from possible"):
        noisy_metrics(measures, noise, {name: numbers}, parties=3)


@every_task
@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_possible_numbers_stay_and_impossible_ones_become_possible(task, seed):
    measures = MEASURES[task]
    tally = together(crowd(task, seed, 5))
    generator = np.random.default_rng(seed)
    for name in measures.names:
        numbers = measures.numbers(name, tally)
        np.testing.assert_array_equal(possible(measures, name, numbers), numbers)
        wild = possible(measures, name, numbers + generator.integers(-(10**8), 10**8, len(numbers)))
        np.testing.assert_array_equal(possible(measures, name, wild), wild)


def test_captions_without_length_that_noise_gave_words_have_a_bleu():
    measures = MEASURES["captioning"]
    statistics = possible(measures, "bleu", np.array([-7, -3, 2, 1, 1, 1, 9, 8, 7, 6]))
    assert statistics.tolist() == [9, 0, 2, 1, 1, 1, 9, 8, 7, 6]
    assert all(0 < value < 1 for value in metrics_of(measures, {"bleu": statistics}).values())


@every_task
def test_without_noise_sums_are_exact(task):
    measures = MEASURES[task]
    group = measures.groups[0]
    held = [{group: together(crowd(task, seed, 40))} for seed in range(3)]
    found = opened_of(replace(asked(task, 1.0), minimum_cohort=1, noise=None), held)[group]
    assert found.margins is None and not found.moved and found.holders == PARTIES
    for name, numbers in found.opened.items():
        assert numbers == sum(measures.numbers(name, each[group]) for each in held).tolist()


def test_a_histogram_that_noise_drowns_has_no_margin():
    """Whatever five users did, noise of far more is what stands in the numbers."""
    measures, noise = MEASURES["recommendation"], asked("recommendation", 0.5).noise
    few = np.array([-300, 500, 250, -100, 40, 700, -20, 10, -400, 90, 30], np.int64)
    found = noisy_metrics(measures, noise, {"first_hit": few}, 2)
    assert "mrr@10" in found.metrics and "mrr@10" not in found.margins and found.moved == ("first_hit",)
    many = np.full(11, 10**6, np.int64)
    assert "mrr@10" in noisy_metrics(measures, noise, {"first_hit": many}, 2).margins
