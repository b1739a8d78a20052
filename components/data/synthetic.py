"""The embedded data set: one seeded population of users with planted preferences and a known truth.

A rating is a cut of `utility + noise`, with standard normal noise and

    utility = quality(item) + taste * (user's taste in its genres) + profile * (profile's fit to its mood)

Each channel is planted by its own setting, and at 0 nothing is planted through it:

- `taste`: a user likes half of the genres and dislikes the others. Only feedback in the history shows which.
- `choice`: a user picks items of liked genres somewhat more often.
- `drift`: a share of the users gets another taste in mid-history, so recent events say more.
- `profile`: each age band and each region likes half of the moods and dislikes the others. There are many
  moods, each with few items, so that a history says little about them and the profile says much.

With `taste_in: poster` taste and choice are in the colours of the items' posters in place of the genres, which then
say nothing. With `cold` nobody meets that share of the items before the test part.

The first word of a title after "The" is its mood and the second hints at its genre. U users, I items,
E events, G genres, M moods, F profile fields, L what taste is in: genres or colours.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import DataSettings, SyntheticSettings
from components.data.source import ItemContent, Recording
from components.data.splits import part_sizes, unseen_users
from components.data.synthetic_items import Posters, choose_cold, draw_posters, write_overviews
from components.data.synthetic_pictures import COLOURS
from components.randomness import derive_seed

VERSION = 3

QUALITY = 0.5
"""Standard deviation of item quality, which a generic model can learn."""
TWO_GENRES = 0.2
"""Share of items with a second genre."""
TIE = 0.2
"""Share of events at the same instant as the one before."""
RATING_SHARES = (0.15, 0.15, 0.2, 0.3, 0.2)
"""Shares of ratings 1 to 5 in the whole population."""
START, DAY, YEAR = 1_600_000_000, 86_400, 31_536_000

PROFILE_FIELDS = {
    "age": ["unknown", "under 25", "25-39", "40-59", "60 and over"],
    "region": ["unknown", "north", "east", "south", "west"],
}
MOODS = (
    *("Silent", "Golden", "Broken", "Hidden", "Distant", "Little", "Last", "Burning"),
    *("Winter", "Second", "Wild", "Paper", "Lonely", "Crooked", "Velvet", "Electric"),
)
GENRES = {
    "Comedy": ("Joke", "Clown", "Prank", "Laugh", "Banana", "Giggle"),
    "Thriller": ("Secret", "Chase", "Witness", "Shadow", "Ransom", "Alibi"),
    "Romance": ("Kiss", "Heart", "Letter", "Wedding", "Rose", "Promise"),
    "Space": ("Comet", "Planet", "Orbit", "Rocket", "Galaxy", "Probe"),
    "Horror": ("Ghost", "Crypt", "Scream", "Curse", "Fang", "Cellar"),
    "Western": ("Saddle", "Canyon", "Sheriff", "Prairie", "Spur", "Saloon"),
    "Music": ("Song", "Piano", "Chorus", "Guitar", "Rhythm", "Opera"),
    "History": ("Empire", "Crown", "Castle", "Treaty", "Knight", "Throne"),
}


@dataclass(frozen=True)
class _Course:
    """How each user's log goes, [U] each."""

    events: NDArray[np.int64]
    switch: NDArray[np.int64]
    """Events before the later taste holds."""
    release: NDArray[np.int64]
    """Events before the user may meet cold items."""


@dataclass(frozen=True)
class _Catalogue:
    """What decides who picks which item."""

    weights_IL: NDArray[np.float64]
    """How much each thing that taste is in has to do with an item; a row adds up to 1."""
    popularity_I: NDArray[np.float64]
    cold_I: NDArray[np.bool_]


def files(settings: SyntheticSettings) -> dict[str, Path]:
    """Name no file: the settings decide everything."""
    return {}


def read(settings: SyntheticSettings) -> Recording:
    """Generate the population."""
    import pyarrow as pa
    from scipy.special import ndtr

    rng = np.random.default_rng(derive_seed("synthetic", settings.seed))
    genres_IG = _draw_genres(settings, rng)
    posters = draw_posters(settings.items, _apart(settings, "posters")) if settings.posters else None
    cold_I = choose_cold(settings.items, settings.cold, _apart(settings, "cold"))
    weights_IL = _taste_weights(settings, genres_IG, posters)
    mood_I = rng.permutation(np.arange(settings.items) % len(MOODS))
    quality_I = rng.normal(0, QUALITY, settings.items)
    profile_UF, fit_UM = _draw_profiles(settings, rng)
    taste_UL, later_taste_UL = (_draw_tastes(settings, rng, weights_IL.shape[1]) for _ in range(2))
    counts_U = rng.integers(
        int(settings.events * 0.6), int(settings.events * 1.4), settings.users, endpoint=True
    )
    counts_U = np.minimum(counts_U, np.count_nonzero(~cold_I))
    drifts_U = rng.random(settings.users) < settings.drift
    switch_U = np.where(drifts_U, (counts_U * rng.uniform(0.3, 0.6, settings.users)).astype(int), counts_U)

    course = _Course(counts_U, switch_U, counts_U - part_sizes(counts_U) if settings.cold else counts_U)
    catalogue = _Catalogue(weights_IL, rng.normal(0, 0.5, settings.items), cold_I)
    user, item, later = _choose_items(settings, rng, (taste_UL, later_taste_UL), catalogue, course)
    taste_E = (np.where(later[:, None], later_taste_UL[user], taste_UL[user]) * weights_IL[item]).sum(axis=1)
    utility = quality_I[item] + settings.taste * taste_E + settings.profile * fit_UM[user, mood_I[item]]
    felt = utility + rng.normal(0, 1, len(user))
    cuts = np.quantile(felt, np.cumsum(RATING_SHARES)[:-1])
    rating = 1 + np.searchsorted(cuts, felt)
    lowest_like = int(np.ceil(settings.like_threshold))

    user_ids = _user_ids(settings)
    item_ids = [f"item-{number}" for number in range(settings.items)]
    genres = [*GENRES, *(f"Genre {number}" for number in range(len(GENRES), 64))][: settings.genres]
    users_truth = {
        "user": user_ids,
        "taste": list(taste_UL),
        "later_taste": list(later_taste_UL),
        "switch": switch_U,
        "mood_fit": list(fit_UM),
    }
    items_truth = {"item": item_ids, "quality": quality_I, "mood": mood_I}
    if posters is not None:
        items_truth["colour"] = posters.colour_I
    if settings.cold:
        items_truth |= {"cold": cold_I, "popularity": catalogue.popularity_I}
    return Recording(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        value=((rating - 3) / 2).astype(np.float32),
        like=rating >= settings.like_threshold,
        timestamp=_draw_times(rng, course),
        user_ids=user_ids,
        item_ids=item_ids,
        item_titles=_draw_titles(rng, genres, genres_IG, mood_I),
        item_genres=[[genres[g] for g in np.flatnonzero(row)] for row in genres_IG],
        genres=genres,
        item_years=rng.integers(1960, 2020, settings.items).astype(np.int32),
        profile=profile_UF.astype(np.int32),
        profile_fields=PROFILE_FIELDS,
        oracle=ndtr(utility - cuts[lowest_like - 2]).astype(np.float32),
        truth={"truth": pa.table(users_truth), "truth_items": pa.table(items_truth)},
        content=ItemContent(
            overviews=_write_overviews(genres, genres_IG, _apart(settings, "overviews"))
            if settings.overviews
            else None,
            posters=None if posters is None else posters.pixels,
            has_poster=None if posters is None else np.ones(settings.items, bool),
        ),
    )


def unseen(settings: DataSettings) -> NDArray[np.bool_] | None:
    """Tell which users are unseen, [U], the same ones in every task; nothing where the population is another one."""
    return unseen_users(_user_ids(settings)) if isinstance(settings, SyntheticSettings) else None


def _user_ids(settings: SyntheticSettings) -> list[str]:
    return [f"user-{number}" for number in range(settings.users)]


def _apart(settings: SyntheticSettings, what: str) -> np.random.Generator:
    """Return a generator for what may be switched on, so that it changes nothing else."""
    return np.random.default_rng(derive_seed("synthetic", what, settings.seed))


def _draw_genres(settings: SyntheticSettings, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Give each item one genre, all equally often, and some items a second one."""
    rows = np.arange(settings.items)
    first = rng.permutation(rows % settings.genres)
    second = (first + rng.integers(1, settings.genres, settings.items)) % settings.genres
    has_two = rng.random(settings.items) < TWO_GENRES
    genres_IG = np.zeros((settings.items, settings.genres), bool)
    genres_IG[rows, first] = True
    genres_IG[rows[has_two], second[has_two]] = True
    return genres_IG


def _draw_titles(
    rng: np.random.Generator, genres: list[str], genres_IG: NDArray[np.bool_], mood_I: NDArray[np.int64]
) -> list[str]:
    """Name each item after its mood and a genre of its own; a number keeps the titles apart."""
    titles = []
    for number, word in enumerate(rng.integers(0, 6, len(mood_I))):
        genre = genres[int(np.argmax(genres_IG[number]))]
        noun = GENRES[genre][word] if genre in GENRES else f"Tale of {genre}"
        titles.append(f"The {MOODS[mood_I[number]]} {noun} {number}")
    return titles


def _write_overviews(
    genres: list[str], genres_IG: NDArray[np.bool_], generator: np.random.Generator
) -> list[str]:
    return write_overviews([GENRES.get(name, (f"tale of {name}",)) for name in genres], genres_IG, generator)


def _taste_weights(
    settings: SyntheticSettings, genres_IG: NDArray[np.bool_], posters: Posters | None
) -> NDArray[np.float64]:
    """Return how much each genre, or each colour, has to do with each item, [I, L]."""
    if settings.taste_in == "poster":
        assert posters is not None
        return np.eye(len(COLOURS))[posters.colour_I]
    return genres_IG / genres_IG.sum(axis=1, keepdims=True)


def _draw_tastes(settings: SyntheticSettings, rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Let each user like half of the genres, or colours, and dislike the others, some a little more than others."""
    ranks = rng.random((settings.users, size)).argsort(axis=1).argsort(axis=1)
    return np.where(ranks < size // 2, 1.0, -1.0) * rng.uniform(0.8, 1.2, ranks.shape)


def _draw_profiles(
    settings: SyntheticSettings, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw each user's categories [U, F], and add up which moods they like and dislike [U, M]."""
    columns, fit_UM = [], np.zeros((settings.users, len(MOODS)))
    balanced = np.resize([1.0, -1.0], len(MOODS))
    for categories in PROFILE_FIELDS.values():
        likes = rng.permuted(np.tile(balanced, (len(categories), 1)), axis=1)
        column = rng.integers(1, len(categories), settings.users)
        columns.append(column)
        fit_UM += likes[column]
    return np.stack(columns, axis=1), fit_UM


def _choose_items(
    settings: SyntheticSettings,
    rng: np.random.Generator,
    tastes_UL: tuple[NDArray[np.float64], NDArray[np.float64]],
    catalogue: _Catalogue,
    course: _Course,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Let users pick items without repetition (Gumbel top-k sampling: Vieira 2014; Kool et al. 2019).

    Returns user [E], item [E] and whether the later taste holds [E], in each user's order of time.
    """
    position = np.arange(settings.items)
    cold_I = catalogue.cold_I
    items = []
    chunk_size = max(1, 4_000_000 // settings.items)
    for start in range(0, settings.users, chunk_size):
        chunk = slice(start, start + chunk_size)
        counts, switch, release = (
            each[chunk, None] for each in (course.events, course.switch, course.release)
        )
        keys = catalogue.popularity_I + rng.gumbel(size=(len(counts), settings.items))
        early, late = (settings.choice * taste_UL[chunk] @ catalogue.weights_IL.T for taste_UL in tastes_UL)
        phases = [
            (np.where(cold_I, -np.inf, keys + early), np.minimum(switch, release)),
            (np.where(cold_I, -np.inf, keys + late), release),
        ]
        if cold_I.any():
            # Anew: what is left of the others has lost every draw so far, and the cold items none.
            keys = catalogue.popularity_I + rng.gumbel(size=keys.shape)
            phases.append((keys + np.where(switch < counts, late, early), counts))
        picked, taken = np.zeros(keys.shape, np.int64), np.zeros(keys.shape, bool)
        begin = np.zeros_like(counts)
        for wish, end in phases:
            order = np.argsort(np.where(taken, np.inf, -wish), axis=1)
            moved = np.take_along_axis(order, np.maximum(position - begin, 0), axis=1)
            picked = np.where(position >= begin, moved, picked)
            newly = np.zeros(keys.shape, bool)
            np.put_along_axis(newly, order, position < end - begin, axis=1)
            taken |= newly
            begin = end
        items.append(picked[position < counts])
    user = np.repeat(np.arange(settings.users), course.events)
    place = np.arange(len(user)) - np.repeat(np.cumsum(course.events) - course.events, course.events)
    return user, np.concatenate(items), place >= course.switch[user]


def _draw_times(rng: np.random.Generator, course: _Course) -> NDArray[np.int64]:
    """Give each user a first day and gaps of hours to days; some events share their predecessor's instant.

    None shares it across the release of cold items, so that the split's cut falls exactly there.
    """
    counts_U = course.events
    gaps = np.ceil(rng.lognormal(np.log(DAY / 2), 1.0, int(counts_U.sum()))).astype(np.int64)
    first_U = np.cumsum(counts_U) - counts_U
    tied = rng.random(len(gaps)) < TIE
    tied[(first_U + course.release)[course.release < counts_U]] = False
    gaps[tied] = 0
    elapsed = np.cumsum(gaps)
    first = START + rng.integers(0, YEAR, len(counts_U))
    return elapsed + np.repeat(first - elapsed[first_U], counts_U)
