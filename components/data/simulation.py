"""Simulated users of question answering: each prefers answers of a certain extent, and the history shows which.

A user prefers one of three styles of answer: the shortest reference, the longest one, or the whole clause around the
shortest. Half of the users (a setting) are conditional: they want one style where a fact is asked for and another one
where something is to be explained, each with a border between the two of their own. A history is a series of answers
that the user was shown and liked, or disliked. It is about articles of the training part only, so that nobody has
met an article on which a model is evaluated.

U users, K kinds of question, S styles, Q questions, E events, N pairs.
"""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from components.config import SquadSettings
from components.data.passages import KINDS
from components.data.splits import TRAIN, keyed_hash
from components.randomness import derive_seed

VERSION = 1
"""Raised whenever the same settings make other users."""

STYLES = ("short", "long", "clause")
UNSEEN_SHARE = 0.2
REJECTED_SHARE = 1 / 3
"""Share of events in which the user dislikes an answer; it is one of a style that the user does not want."""
TOPIC_SHARE = 0.3
"""Share of a user's events that are about the article of the user's topic, which says nothing of the preference."""
MOST_TOPICS = 40
PAIRS_A_QUESTION = 6
"""Unseen users that a question is evaluated for: one of each style, the others conditional."""

FACT_TO_EXPLANATION = ("how many", "when", "who", "where", "which", "what", "how", "why", "other")
"""Kinds of question from those that ask for a fact to those that ask for an explanation."""
BORDERS = (3, 4, 5)
"""How many of these are facts to a conditional user."""

START, DAY, YEAR = 1_600_000_000, 86_400, 31_536_000

Indices = NDArray[np.integer]


@dataclass(frozen=True)
class Asked:
    """What the simulation needs to know of the questions, [Q] each."""

    kind: Indices
    part: Indices
    article: Indices
    """Number of the article."""
    start: NDArray[np.int32]
    """[Q, S] first token of the answer in each style."""
    end: NDArray[np.int32]


@dataclass(frozen=True)
class Simulated:
    """The users, their events and what is evaluated; fields as in `components.data.questions.Questions`."""

    user_ids: list[str]
    unseen: NDArray[np.bool_]
    conditional: NDArray[np.bool_]
    preference: NDArray[np.int8]
    topic: NDArray[np.int32]
    """[U] place of the user's topic in `topics`, from 1; 0 would be unknown."""
    topics: Indices
    """Numbers of the articles that are topics."""
    event_user: NDArray[np.int32]
    event_question: NDArray[np.int32]
    event_style: NDArray[np.int8]
    """[E] truth: the style of the answer that the user was shown."""
    event_value: NDArray[np.float32]
    event_timestamp: NDArray[np.int64]
    pair_user: NDArray[np.int32]
    pair_question: NDArray[np.int32]


def simulate(settings: SquadSettings, asked: Asked, titles: list[str]) -> Simulated:
    """Draw users, their events about training questions, and which unseen user is asked what.

    `titles` names the articles. There must be a training question.
    """
    generator = np.random.default_rng(derive_seed("simulated users", VERSION, settings.seed))
    user_ids = [f"user-{number}" for number in range(settings.users)]
    unseen = _unseen(user_ids)
    conditional, preference = _preferences(settings, unseen, generator)
    topics = _topics(asked, titles)
    topic = generator.integers(1, len(topics) + 1, settings.users).astype(np.int32)
    user = np.repeat(np.arange(settings.users, dtype=np.int32), settings.history)
    question = _event_questions(asked, topics[topic - 1][user], generator)
    style, value = _reactions(settings, asked, question, preference[user, asked.kind[question]], generator)
    pair_user, pair_question = _pairs(asked, unseen, conditional, preference, generator)
    return Simulated(
        user_ids=user_ids,
        unseen=unseen,
        conditional=conditional,
        preference=preference,
        topic=topic,
        topics=topics,
        event_user=user,
        event_question=question.astype(np.int32),
        event_style=style.astype(np.int8),
        event_value=value.astype(np.float32),
        event_timestamp=_times(settings, generator),
        pair_user=pair_user,
        pair_question=pair_question,
    )


def _unseen(user_ids: list[str]) -> NDArray[np.bool_]:
    """Choose one user in five, by keyed hash of the id."""
    order = np.argsort(keyed_hash("adaptune unseen reader", user_ids), kind="stable")
    unseen = np.zeros(len(user_ids), bool)
    unseen[order[: round(len(user_ids) * UNSEEN_SHARE)]] = True
    return unseen


def _preferences(
    settings: SquadSettings, unseen: NDArray[np.bool_], generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    """Draw who is conditional, [U], and what everybody wants, [U, K]; all sorts equally often, seen and unseen."""
    plain = [[style] * len(KINDS) for style in range(len(STYLES))]
    mixed = [
        [fact if FACT_TO_EXPLANATION.index(kind) < border else explanation for kind in KINDS]
        for (fact, explanation), border in product(permutations(range(len(STYLES)), 2), BORDERS)
    ]
    conditional = np.zeros(len(unseen), bool)
    preference = np.zeros((len(unseen), len(KINDS)), np.int8)
    for group in (unseen, ~unseen):
        users = generator.permutation(np.flatnonzero(group))
        first, rest = np.split(users, [round(len(users) * settings.conditional)])
        conditional[first] = True
        for members, sorts in ((first, mixed), (rest, plain)):
            preference[members] = np.resize(generator.permutation(sorts), (len(members), len(KINDS)))
    return conditional, preference


def _topics(asked: Asked, titles: list[str]) -> Indices:
    """Choose the training articles that are topics, by keyed hash of the title."""
    articles = np.unique(asked.article[asked.part == TRAIN])
    order = np.argsort(keyed_hash("adaptune topic", [titles[article] for article in articles]), kind="stable")
    return np.sort(articles[order[:MOST_TOPICS]])


def _event_questions(asked: Asked, topic_E: Indices, generator: np.random.Generator) -> Indices:
    """Draw the question of each event: any training question, or one about the article of the user's topic."""
    training = np.flatnonzero(asked.part == TRAIN)
    training = training[np.argsort(asked.article[training], kind="stable")]
    first = np.searchsorted(asked.article[training], topic_E, side="left")
    last = np.searchsorted(asked.article[training], topic_E, side="right")
    on_topic = generator.random(len(topic_E)) < TOPIC_SHARE
    low, high = np.where(on_topic, first, 0), np.where(on_topic, last, len(training))
    return training[generator.integers(low, high)]


def _reactions(
    settings: SquadSettings,
    asked: Asked,
    question: Indices,
    wanted: Indices,
    generator: np.random.Generator,
) -> tuple[Indices, NDArray[np.float64]]:
    """Draw the style of the answer that each event shows, [E], and the feedback on it, [E].

    A disliked answer is never the same as the one wanted; where all styles have one answer, nobody dislikes it.
    """
    count = len(question)
    turn = generator.integers(1, len(STYLES), count)
    other, differs = wanted, np.zeros(count, bool)
    for step in range(1, len(STYLES)):
        tried = (wanted + 1 + (turn + step) % (len(STYLES) - 1)) % len(STYLES)
        unlike = (asked.start[question, tried] != asked.start[question, wanted]) | (
            asked.end[question, tried] != asked.end[question, wanted]
        )
        other, differs = np.where(unlike & ~differs, tried, other), differs | unlike
    rejects = (generator.random(count) < REJECTED_SHARE) & differs
    errs = generator.random(count) < settings.noise
    return np.where(rejects | errs, other, wanted), np.where(rejects, -1.0, 1.0)


def _times(settings: SquadSettings, generator: np.random.Generator) -> NDArray[np.int64]:
    """Give each user a first day and gaps of hours to days, none of them empty."""
    gaps = 1 + generator.exponential(DAY / 2, (settings.users, settings.history)).astype(np.int64)
    first = START + generator.integers(0, YEAR, (settings.users, 1))
    return (first + np.cumsum(gaps, axis=1)).ravel()


def _pairs(
    asked: Asked,
    unseen: NDArray[np.bool_],
    conditional: NDArray[np.bool_],
    preference: NDArray[np.int8],
    generator: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw the unseen users, all different, for whom each validation and test question is evaluated."""
    groups = [
        np.flatnonzero(unseen & ~conditional & (preference[:, 0] == style)) for style in range(len(STYLES))
    ]
    mixed = np.flatnonzero(unseen & conditional)
    questions = np.flatnonzero(asked.part != TRAIN)
    users = []
    for _ in questions:
        drawn = [generator.choice(group, 1) for group in groups if len(group)]
        count = min(PAIRS_A_QUESTION - len(drawn), len(mixed))
        users.append(np.concatenate([*drawn, generator.choice(mixed, count, replace=False)]))
    lengths = [len(each) for each in users]
    return np.concatenate(users).astype(np.int32), np.repeat(questions, lengths).astype(np.int32)
