"""The embedded data set: one seeded population of users with planted preferences and a known truth.

A user's rating is a cut of `utility + noise`, where

    utility = quality[item] + taste * like-mindedness(user now, item) + profile * fit(user's profile, item)

Each channel is planted by its own setting, and at 0 nothing is planted through it:

- `taste`: each user likes half of the genres and dislikes the others. Nothing but feedback shows which.
- `choice`: users pick items of genres they like somewhat more often.
- `drift`: a share of users gets another taste in mid-history.
- `profile`: each category (age band, region, device) likes some genres and dislikes others.
"""

from math import erf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.config import SyntheticSettings
from components.data.source import Recording
from components.randomness import derive_seed

VERSION = 2
START = 1_600_000_000
DAY = 86_400
QUALITY = 0.5
TWO_GENRES = 0.2
TIE = 0.2
RATING_SHARES = (0.15, 0.15, 0.2, 0.3, 0.2)
PROFILE = {
    "age": ["unknown", "under 25", "25-39", "40-59", "60 and over"],
    "region": ["unknown", "north", "east", "south", "west"],
}
GENRES = {
    "Comedy": "Joke Clown Prank Laugh Banana Giggle",
    "Thriller": "Secret Chase Witness Shadow Ransom Alibi",
    "Romance": "Kiss Heart Letter Wedding Rose Promise",
    "Space": "Comet Planet Orbit Rocket Galaxy Probe",
    "Horror": "Ghost Crypt Scream Curse Fang Cellar",
    "Western": "Saddle Canyon Sheriff Prairie Spur Saloon",
    "Music": "Song Piano Chorus Guitar Rhythm Opera",
    "History": "Empire Crown Castle Treaty Knight Throne",
}
MOODS = [
    *("Silent", "Golden", "Broken", "Hidden", "Distant", "Little"),
    *("Last", "Burning", "Winter", "Second", "Wild", "Paper"),
    *("Lonely", "Crooked", "Velvet", "Electric"),
]
CHUNK = 4_000_000


def files(settings: SyntheticSettings) -> dict[str, Path]:
    """Nothing is read: the settings decide everything."""
    return {}


def read(settings: SyntheticSettings) -> Recording:
    """Generate the population."""
    import pyarrow as pa

    rng = np.random.default_rng(derive_seed("synthetic", settings.seed))
    genres = _genre_names(settings.genres)
    genres_IG, mood_I, titles = _make_items(settings, rng)
    weights_IG = genres_IG / genres_IG.sum(axis=1, keepdims=True)
    quality_I = rng.normal(0, QUALITY, settings.items)
    profile_UF, fit_UM = _make_profiles(settings, rng)
    tastes_2UG = np.stack([_make_tastes(settings, rng) for _ in range(2)])
    drifts_U = rng.random(settings.users) < settings.drift
    counts_U = _event_counts(settings, rng)
    switch_U = np.where(drifts_U, (counts_U * rng.uniform(0.3, 0.6, settings.users)).astype(int), counts_U)

    user, item, late = _choose(settings, rng, tastes_2UG, weights_IG, counts_U, switch_U)
    taste_E = (tastes_2UG[late.astype(int), user] * weights_IG[item]).sum(axis=1)
    fit_E = fit_UM[user, mood_I[item]]
    utility = quality_I[item] + settings.taste * taste_E + settings.profile * fit_E
    felt = utility + rng.normal(0, 1, len(user))
    cuts = np.quantile(felt, np.cumsum(RATING_SHARES)[:-1])
    rating = 1 + np.searchsorted(cuts, felt)
    lowest_like = int(np.ceil(settings.like_threshold))
    return Recording(
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        value=((rating - 3) / 2).astype(np.float32),
        like=rating >= settings.like_threshold,
        timestamp=_times(rng, counts_U),
        user_ids=[f"user-{number}" for number in range(settings.users)],
        item_ids=[f"item-{number}" for number in range(settings.items)],
        item_titles=titles,
        item_genres=[[genres[g] for g in np.flatnonzero(row)] for row in genres_IG],
        genres=genres,
        item_years=rng.integers(1960, 2020, settings.items).astype(np.int32),
        profile=profile_UF.astype(np.int32),
        profile_fields=PROFILE,
        oracle=_normal_cdf(utility - cuts[lowest_like - 2]).astype(np.float32),
        truth={
            "truth": pa.table(
                {
                    "user": [f"user-{number}" for number in range(settings.users)],
                    "taste": list(tastes_2UG[0]),
                    "later_taste": list(tastes_2UG[1]),
                    "switch": switch_U,
                    "profile_taste": list(fit_UM),
                }
            )
        },
    )


def _genre_names(count: int) -> list[str]:
    names = list(GENRES)[:count]
    return names + [f"Genre {number}" for number in range(len(names), count)]


def _make_items(settings: SyntheticSettings, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.int64], list[str]]:
    """Give each item one genre or two, and a title whose noun hints at the first."""
    first = rng.permutation(np.arange(settings.items) % settings.genres)
    second = (first + rng.integers(1, settings.genres, settings.items)) % settings.genres
    genres_IG = np.zeros((settings.items, settings.genres), bool)
    rows = np.arange(settings.items)
    genres_IG[rows, first] = True
    two = rng.random(settings.items) < TWO_GENRES
    genres_IG[rows[two], second[two]] = True
    mood_I = rng.permutation(rows % len(MOODS))
    names = list(GENRES)
    titles = []
    for number, genre in enumerate(first):
        nouns = GENRES[names[genre]].split() if genre < len(names) else [f"Tale {genre}"]
        titles.append(f"The {MOODS[mood_I[number]]} {rng.choice(nouns)} {number}")
    return genres_IG, mood_I, titles


def _make_tastes(settings: SyntheticSettings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Let each user like half of the genres and dislike the others, some more than others."""
    ranks = rng.random((settings.users, settings.genres)).argsort(axis=1).argsort(axis=1)
    sign = np.where(ranks < settings.genres // 2, 1.0, -1.0)
    return sign * rng.uniform(0.8, 1.2, sign.shape)


def _make_profiles(
    settings: SyntheticSettings, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw each user's categories, and add up what they say about the genres."""
    columns, fit_UM = [], np.zeros((settings.users, len(MOODS)))
    for categories in PROFILE.values():
        shifts = rng.permuted(np.tile(np.resize([1.0, -1.0], len(MOODS)), (len(categories), 1)), axis=1)
        column = rng.integers(1, len(categories), settings.users)
        columns.append(column)
        fit_UM += shifts[column]
    return np.stack(columns, axis=1), fit_UM


def _event_counts(settings: SyntheticSettings, rng: np.random.Generator) -> NDArray[np.int64]:
    counts = rng.integers(int(settings.events * 0.6), int(settings.events * 1.4) + 1, settings.users)
    return np.minimum(counts, settings.items)


def _choose(
    settings: SyntheticSettings,
    rng: np.random.Generator,
    tastes_2UG: NDArray[np.float64],
    weights_IG: NDArray[np.float64],
    counts_U: NDArray[np.int64],
    switch_U: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Let users pick items without repetition, more often of genres they like (Gumbel top-k sampling).

    Returns user, item and whether the later taste holds, in each user's order of time.
    """
    popularity_I = rng.normal(0, 0.5, settings.items)
    users, items, late = [], [], []
    step = max(1, CHUNK // settings.items)
    for start in range(0, settings.users, step):
        chunk = np.arange(start, min(start + step, settings.users))
        keys = popularity_I + rng.gumbel(size=(len(chunk), settings.items))
        early = np.argsort(-(keys + settings.choice * tastes_2UG[0, chunk] @ weights_IG.T), axis=1)
        position = np.arange(settings.items)
        is_early = np.zeros_like(early, bool)
        np.put_along_axis(is_early, early, position < switch_U[chunk, None], axis=1)
        later_keys = keys + settings.choice * tastes_2UG[1, chunk] @ weights_IG.T
        later = np.argsort(np.where(is_early, np.inf, -later_keys), axis=1)
        later = np.take_along_axis(later, np.maximum(position - switch_U[chunk, None], 0), axis=1)
        picked = np.where(position < switch_U[chunk, None], early, later)
        kept = position < counts_U[chunk, None]
        users.append(np.repeat(chunk, counts_U[chunk]))
        items.append(picked[kept])
        late.append((position >= switch_U[chunk, None])[kept])
    return np.concatenate(users), np.concatenate(items), np.concatenate(late)


def _times(rng: np.random.Generator, counts_U: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give each user a first day and gaps of hours to days; one event in five shares its predecessor's instant."""
    total = int(counts_U.sum())
    gaps = np.ceil(rng.lognormal(np.log(DAY / 2), 1.0, total)).astype(np.int64)
    gaps[rng.random(total) < TIE] = 0
    first = np.concatenate([[0], np.cumsum(counts_U)[:-1]])
    elapsed = np.cumsum(gaps)
    base = START + rng.integers(0, 365 * DAY, len(counts_U)) - elapsed[first]
    return elapsed + np.repeat(base, counts_U)


def _normal_cdf(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1 + np.array([erf(value) for value in values / np.sqrt(2)]))
