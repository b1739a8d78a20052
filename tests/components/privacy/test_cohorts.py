"""What is withheld does not follow from what is opened, and no number of users behind it is told."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.privacy.cohorts import barring, cells_of, standing
from components.privacy.evaluation import Request, evaluate
from components.privacy.totals import MEASURES, Tally
from tests.components.privacy.meeting import Table
from tests.components.privacy.seats import DEALER, run
from tests.components.privacy.users import invent_user, together

COHORT = 4
QA, CAPTIONS = MEASURES["question-answering"], MEASURES["captioning"]


def answers(style_of_user: dict[int, str]) -> Tally:
    """Users with an answer each, in the one style that each wants."""
    users = np.array(list(style_of_user))
    wanted = np.array(list(style_of_user.values()))
    em = (users % 2).astype(float)
    scores = dict.fromkeys(QA.scores, em) | {"satisfaction": 1 + 4 * em}
    scores |= {f"em_{style}": np.where(wanted == style, em, np.nan) for style in ("short", "long", "clause")}
    scores |= dict.fromkeys(("reference_em", "reference_f1"), np.where(wanted != "clause", em, np.nan))
    return Tally(users, scores, {})


def opened_of(task: str, theirs: Tally, receivers: Tally | None = None) -> tuple[set[str], Table]:
    """Evaluate with a receiver and one other party; return what was opened of the last group."""
    group = MEASURES[task].groups[-1]
    asked = Request(task, "digest", "test", ("a", "b"), 0, COHORT)
    table, held = Table(2), ({group: receivers} if receivers else None, {group: theirs})
    results = table.together(lambda chair: evaluate(chair, chair.rank, asked, held[chair.rank]))
    assert isinstance(results[0], dict), results
    return set(results[0][group].opened), table


def styles(short: int, long: int, clause: int) -> Tally:
    names = ["short"] * short + ["long"] * long + ["clause"] * clause
    return answers(dict(enumerate(names)))


BY_STYLE = {"em_short", "em_long", "em_clause"}
REFERENCES = {"reference_em", "reference_f1"}


@pytest.mark.parametrize(
    ("short", "long", "clause", "withheld"),
    [
        (4, 4, 4, set()),
        (3, 4, 4, BY_STYLE),  # EM less the two large parts would be the small one
        (4, 4, 3, BY_STYLE | REFERENCES),  # and the official EM less that of the references
        (4, 4, 0, {"em_clause"}),  # of nobody there is nothing to tell
        (3, 0, 4, BY_STYLE | REFERENCES),
    ],
)
def test_a_part_of_few_users_withholds_what_would_tell_it(short, long, clause, withheld):
    opened, _ = opened_of("question-answering", styles(short, long, clause))
    assert set(QA.names) - opened == withheld


def test_the_receivers_own_users_do_not_count():
    opened, _ = opened_of("question-answering", styles(4, 4, 3), receivers=styles(9, 9, 9))
    assert set(QA.names) - opened == BY_STYLE | REFERENCES


def test_a_histogram_with_a_cell_of_one_user_is_withheld_and_a_coarser_one_is_not():
    measures = MEASURES["recommendation"]
    users = [invent_user(measures, np.random.default_rng(0), number) for number in range(12)]
    ranks = [0] * 4 + [1, 2, 3, 4] + [10] * 4
    tally = together(users)
    tally.counts["first_hit"][:] = np.eye(11, dtype=np.int64)[ranks]
    tally.counts["first_hit_bands"][:] = np.add.reduceat(tally.counts["first_hit"], (0, 1, 5, 10), axis=1)
    tally.scores["hr@10"][:] = np.array(ranks) < 10
    opened, _ = opened_of("recommendation", tally)
    assert "first_hit_bands" in opened and "first_hit" not in opened


@pytest.mark.parametrize("task", ["question-answering", "captioning"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), users=st.integers(4, 30))
def test_every_sum_that_follows_from_opened_ones_stands_on_none_or_enough_users(task, seed, users):
    """What is left of an opened whole without any of its opened parts is of nobody, or of enough users."""
    measures, generator = MEASURES[task], np.random.default_rng(seed)
    tally = together([invent_user(measures, generator, number) for number in range(users)])
    opened, _ = opened_of(task, tally)
    for whole, parts in measures.parts.items():
        known = [part for part in parts if part in opened]
        for chosen in itertools.chain.from_iterable(
            itertools.combinations(known, size) for size in range(1, len(known) + 1)
        ):
            rest = measures.concerned(whole, tally) & ~np.any(
                [measures.concerned(part, tally) for part in chosen], axis=0
            )
            concerned = tally.users_of(rest) if whole in opened else 0
            assert concerned == 0 or concerned >= COHORT, (whole, chosen)


def test_only_sums_are_opened_and_no_number_of_users():
    opened, table = opened_of("question-answering", styles(3, 4, 4))
    assert [len(each) for each in table.opened] == [2 * len(opened)]


MATRIX = barring(CAPTIONS)
SUFFICIENT = """
standing = np.array({standing})
answers = session.sufficient(standing, {least}, np.array({barring}))
say(answers=answers.astype(int).tolist())
"""


def test_numbers_of_users_are_compared_on_shares():
    """Three parties, two groups; what comes out is what the numbers in the clear give, at each of them."""
    generator = np.random.default_rng(5)
    held = [
        np.stack(
            [
                standing(
                    CAPTIONS, together([invent_user(CAPTIONS, generator, each) for each in range(users)])
                )
                for users in (3, 14)
            ]
        )
        for _ in range(3)
    ]
    held[0][:, :2] = 0  # a measure at which only the others are
    total, measures = sum(held), len(CAPTIONS.names)
    least = int(np.median(total))
    few = (total[:, measures:] > 0) & (total[:, measures:] < least)
    wanted = (total[:, :measures] >= least) & ~(few @ MATRIX.T > 0)
    assert 0 < wanted.sum() < wanted.size
    programs = [
        SUFFICIENT.format(standing=own.tolist(), least=least, barring=MATRIX.tolist()) for own in held
    ]
    for seat in run([*programs, DEALER])[:3]:
        assert seat.get("answers") == wanted.astype(int).tolist(), seat


def test_measures_and_cells_are_counted_in_the_same_order():
    tally = styles(2, 3, 1)
    numbers = dict(zip([*QA.names, *range(len(cells_of(QA)))], standing(QA, tally).tolist(), strict=True))
    assert (numbers["em"], numbers["em_short"], numbers["reference_em"]) == (6, 2, 5)
    assert list(numbers.values())[len(QA.names) :] == [2, 3, 1, 0, 5, 1, 5, 1]
    assert standing(QA, None).tolist() == [0] * len(numbers)
    assert standing(QA, replace(tally, user=np.zeros(6, int))).max() == 1
