"""Simulated users of tasks with several acceptable outputs: what each prefers, and a history that shows it.

Content is what an output is about, such as a question, or a picture. Each has one output in each of several styles. A
plain user always prefers one style. A conditional one prefers a style for some kinds of content and another one for
the others. A drifting one changes from one plain preference to another in mid-history. A history is a series of
outputs that the user was shown and liked, or disliked. It is about content of the training part only, so that nobody
has met what a model is evaluated on.

Q contents, K kinds of content, S styles, M tables of a conditional preference, U users, E events, N pairs.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from components.data.splits import TRAIN, keyed_hash
from components.randomness import derive_seed

VERSION = 2
"""Raised whenever the same settings make other users."""

UNSEEN_SHARE = 0.2
REJECTED_SHARE = 1 / 3
"""Share of events in which the user dislikes an output; it is one of a style that the user does not want."""
TOPIC_SHARE = 0.3
"""Share of a user's events that are about the user's topic, which says nothing of the preference."""
PAIRS = 6
"""Unseen users that a content is evaluated for, drifting ones aside: one of each style, the others conditional."""
DRIFTING_PAIRS = 1
DRIFT_SPAN = (0.4, 0.6)
"""Shares of a history between which a preference changes."""

START, DAY, YEAR = 1_600_000_000, 86_400, 31_536_000

Indices = NDArray[np.integer]
Flags = NDArray[np.bool_]


class UserSettings(Protocol):
    """The settings of a data set that say how its users are simulated."""

    @property
    def users(self) -> int:
        """Number of users."""

    @property
    def history(self) -> int:
        """Events a user."""

    @property
    def noise(self) -> float:
        """Chance that an output that the user likes is in another style than the user prefers."""

    @property
    def conditional(self) -> float:
        """Share of conditional users among those who do not drift."""

    @property
    def drift(self) -> float:
        """Share of drifting users."""

    @property
    def seed(self) -> int:
        """Seed of the simulation."""


@dataclass(frozen=True)
class Content:
    """What the simulation needs to know of the contents."""

    kind: Indices
    """[Q] index of the kind."""
    part: Indices
    """[Q] `TRAIN`, `VALIDATION` or `TEST`; at least one is `TRAIN`."""
    topic: Indices
    """[Q] number of the topic, from 1; 0 where it is none. Only contents of the training part count."""
    alike: Flags
    """[Q, S, S] whether two styles have the same output, so that nobody who wants the one dislikes the other."""
    mixed: Indices
    """[M, K] the preferences that a conditional user may have: index of the style wanted for each kind."""


@dataclass(frozen=True)
class Simulated:
    """The users, their events and what is evaluated."""

    user_ids: list[str]
    unseen: Flags
    """[U] whether nothing of the user may train anything."""
    conditional: Flags
    """[U] whether the preference depends on the kind of content."""
    preference: NDArray[np.int8]
    """[U, K] index of the style that the user wants, after a change if there is one."""
    preference_before: NDArray[np.int8]
    """[U, K] what the user wanted at first; the same as `preference` unless the user drifts."""
    drift_at: NDArray[np.int32]
    """[U] number of the user's events before the change; -1 where there is none."""
    topic: NDArray[np.int32]
    """[U] the user's topic; 0 if there are no topics."""
    event_user: NDArray[np.int32]
    event_content: NDArray[np.int32]
    event_style: NDArray[np.int8]
    """[E] truth: the style of the output that the user was shown."""
    event_wanted: NDArray[np.int8]
    """[E] truth: the style that the user wanted at that time."""
    event_value: NDArray[np.float32]
    event_timestamp: NDArray[np.int64]
    pair_user: NDArray[np.int32]
    pair_content: NDArray[np.int32]


def simulate(settings: UserSettings, content: Content, unseen: Flags | None = None) -> Simulated:
    """Draw users, their events about training content, and which unseen user is evaluated on what.

    `unseen` says who is unseen, [U]; by default it is one user in five, by keyed hash of the id.
    """
    user_ids = [f"user-{number}" for number in range(settings.users)]
    unseen = _unseen(user_ids) if unseen is None else unseen
    conditional, drift_at = _sorts(settings, unseen)
    generator = np.random.default_rng(derive_seed("simulated users", VERSION, settings.seed))
    preference, before = _preferences(content, unseen, conditional, drift_at, generator)
    topics = np.unique(content.topic[(content.part == TRAIN) & (content.topic > 0)])
    topic = generator.choice(topics, settings.users) if len(topics) else np.zeros(settings.users, np.int64)
    user = np.repeat(np.arange(settings.users, dtype=np.int32), settings.history)
    shown = _event_contents(content, topic[user], generator)
    number = np.tile(np.arange(settings.history), settings.users)
    now = preference_after(preference, before, drift_at, user, number + 1)
    wanted = now[np.arange(len(user)), content.kind[shown]]
    style, value = _reactions(settings, content.alike[shown], wanted, generator)
    pair_user, pair_content = _pairs(content, unseen, conditional, drift_at >= 0, preference, generator)
    return Simulated(
        user_ids=user_ids,
        unseen=unseen,
        conditional=conditional,
        preference=preference,
        preference_before=before,
        drift_at=drift_at,
        topic=topic.astype(np.int32),
        event_user=user,
        event_content=shown.astype(np.int32),
        event_style=style.astype(np.int8),
        event_wanted=wanted,
        event_value=value.astype(np.float32),
        event_timestamp=_times(settings, generator),
        pair_user=pair_user,
        pair_content=pair_content,
    )


def preference_after(
    preference: NDArray[np.int8],
    before: NDArray[np.int8],
    drift_at: NDArray[np.int32],
    user: Indices,
    events: Indices,
) -> NDArray[np.int8]:
    """Return what users want, [N, K], at the time of their event number `events` ([N], from 1).

    `events` 0 is the time before the first. The other arguments are `Simulated`'s, and the numbers of N users.
    """
    return np.where((events > drift_at[user])[:, None], preference[user], before[user])


def _unseen(user_ids: list[str]) -> Flags:
    """Choose one user in five, by keyed hash of the id."""
    order = np.argsort(keyed_hash("adaptune unseen reader", user_ids), kind="stable")
    unseen = np.zeros(len(user_ids), bool)
    unseen[order[: round(len(user_ids) * UNSEEN_SHARE)]] = True
    return unseen


def _sorts(settings: UserSettings, unseen: Flags) -> tuple[Flags, NDArray[np.int32]]:
    """Draw who is conditional, [U], and after how many events users drift, [U]; in equal shares, seen and unseen.

    The task has no part in it: who is conditional in one task, or drifts, does so in every one.
    """
    generator = np.random.default_rng(derive_seed("sorts of users", VERSION, settings.seed))
    conditional, drift_at = np.zeros(len(unseen), bool), np.full(len(unseen), -1, np.int32)
    low, high = (max(1, int(share * settings.history)) for share in DRIFT_SPAN)
    for group in (unseen, ~unseen):
        users = generator.permutation(np.flatnonzero(group))
        count = round(len(users) * settings.drift) if settings.history > 1 else 0
        drifting, rest = np.split(users, [count])
        drift_at[drifting] = generator.integers(low, high, count, endpoint=True)
        conditional[rest[: round(len(rest) * settings.conditional)]] = True
    return conditional, drift_at


def _preferences(
    content: Content,
    unseen: Flags,
    conditional: Flags,
    drift_at: NDArray[np.int32],
    generator: np.random.Generator,
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Draw what everybody wants at the end and at first, [U, K]; all tables equally often, seen and unseen."""
    kinds, styles = content.mixed.shape[1], content.alike.shape[1]
    plain = np.repeat(np.arange(styles)[:, None], kinds, axis=1)
    changes = np.array([(one, other) for one in range(styles) for other in range(styles) if one != other])
    preference = np.zeros((len(unseen), kinds), np.int8)
    before = np.zeros_like(preference)
    drifting = drift_at >= 0
    for group in (unseen, ~unseen):
        for sort, tables in ((conditional, content.mixed), (~conditional & ~drifting, plain)):
            members = np.flatnonzero(group & sort)
            drawn = generator.permutation(len(tables))[np.arange(len(members)) % len(tables)]
            preference[members] = before[members] = tables[generator.permutation(drawn)]
        members = np.flatnonzero(group & drifting)
        drawn = generator.permutation(len(changes))[np.arange(len(members)) % len(changes)]
        first, last = changes[drawn].T
        before[members], preference[members] = plain[first], plain[last]
    return preference, before


def _event_contents(content: Content, topic_E: Indices, generator: np.random.Generator) -> Indices:
    """Draw the content of each event: any of the training part, or one about the user's topic."""
    training = np.flatnonzero(content.part == TRAIN)
    training = training[np.argsort(content.topic[training], kind="stable")]
    topics = content.topic[training]
    first, last = (np.searchsorted(topics, topic_E, side=side) for side in ("left", "right"))
    on_topic = (generator.random(len(topic_E)) < TOPIC_SHARE) & (topic_E > 0)
    low, high = np.where(on_topic, first, 0), np.where(on_topic, last, len(training))
    return training[generator.integers(low, high)]


def _reactions(
    settings: UserSettings, alike_ESS: Flags, wanted: Indices, generator: np.random.Generator
) -> tuple[Indices, NDArray[np.float64]]:
    """Draw the style of the output that each event shows, [E], and the feedback on it, [E].

    A disliked output is never the same as the one wanted; where all styles have one output, nobody dislikes it.
    """
    count, styles = alike_ESS.shape[:2]
    row = np.arange(count)
    turn = generator.integers(1, styles, count)
    other, differs = wanted, np.zeros(count, bool)
    for step in range(1, styles):
        tried = (wanted + 1 + (turn + step) % (styles - 1)) % styles
        unlike = ~alike_ESS[row, tried, wanted]
        other, differs = np.where(unlike & ~differs, tried, other), differs | unlike
    rejects = (generator.random(count) < REJECTED_SHARE) & differs
    errs = generator.random(count) < settings.noise
    return np.where(rejects | errs, other, wanted), np.where(rejects, -1.0, 1.0)


def _times(settings: UserSettings, generator: np.random.Generator) -> NDArray[np.int64]:
    """Give each user a first day and gaps of hours to days, none of them empty."""
    gaps = 1 + generator.exponential(DAY / 2, (settings.users, settings.history)).astype(np.int64)
    first = START + generator.integers(0, YEAR, (settings.users, 1))
    return (first + np.cumsum(gaps, axis=1)).ravel()


def _pairs(
    content: Content,
    unseen: Flags,
    conditional: Flags,
    drifting: Flags,
    preference: NDArray[np.int8],
    generator: np.random.Generator,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Draw the unseen users, all different, for whom each content of validation and test is evaluated."""
    plain = unseen & ~conditional & ~drifting
    groups = [np.flatnonzero(plain & (preference[:, 0] == style)) for style in range(content.alike.shape[1])]
    mixed, changing = np.flatnonzero(unseen & conditional), np.flatnonzero(unseen & drifting)
    contents = np.flatnonzero(content.part != TRAIN)
    users = []
    for _ in contents:
        drawn = [generator.choice(group, 1) for group in groups if len(group)]
        for group, most in ((mixed, PAIRS - len(drawn)), (changing, DRIFTING_PAIRS)):
            drawn.append(generator.choice(group, min(most, len(group)), replace=False))
        users.append(np.concatenate(drawn))
    lengths = [len(each) for each in users]
    return np.concatenate(users).astype(np.int32), np.repeat(contents, lengths).astype(np.int32)
