"""A demonstration over HTTP: a newcomer likes one genre and dislikes another, and the recommendations follow.

The liked genre is the one that a newcomer is shown least of, the disliked one that of which most, so the
change goes against what the model would show anyway. A control user, who does nothing, sees no change.
"""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from components.errors import AdaptuneError
from serve.demo_styles import POSTS, checked
from serve.messages import LARGEST_K

TOP = 20
"""How many recommendations are looked at."""
FIRST = 5
"""How many of the first recommendations are shown."""

Item = dict[str, Any]


@dataclass(frozen=True)
class Shift:
    """Genres among the newcomer's top unseen items before and after the posts."""

    model: str
    first: tuple[str, ...]
    """Titles of what the newcomer was shown at first, best first."""
    liked: str
    disliked: str
    before: dict[str, int]
    after: dict[str, int]
    control_unchanged: bool


def demonstrate(client: httpx.Client) -> Shift:
    """Let a newcomer post likes and dislikes to the endpoint, and measure what that does."""
    run = uuid.uuid4().hex[:8]
    newcomer, control = f"newcomer-{run}", f"control-{run}"
    answer = _post(client, "/v1/recommend", {"user": newcomer, "k": LARGEST_K})
    ranking = answer["items"]
    control_before = recommend(client, control, LARGEST_K)
    liked, disliked = choose_genres(ranking)
    likes = [item for item in ranking if liked in item["genres"] and disliked not in item["genres"]][:POSTS]
    dislikes = [item for item in ranking if disliked in item["genres"] and liked not in item["genres"]][
        :POSTS
    ]
    posted = [(item, 1.0) for item in likes] + [(item, -1.0) for item in dislikes]
    start = int(time.time()) - len(posted)
    events = [
        {"id": str(n), "timestamp": start + n, "content": item["id"], "kind": "rated", "value": value}
        for n, (item, value) in enumerate(posted)
    ]
    _post(client, "/v1/events", {"user": newcomer, "events": events})
    seen = {item["id"] for item, _ in posted}
    return Shift(
        model=answer["model"],
        first=tuple(item["title"] for item in ranking[:FIRST]),
        liked=liked,
        disliked=disliked,
        before=count_genres([item for item in ranking if item["id"] not in seen][:TOP]),
        after=count_genres(recommend(client, newcomer, TOP)),
        control_unchanged=recommend(client, control, LARGEST_K) == control_before,
    )


def recommend(client: httpx.Client, user: str, k: int) -> list[Item]:
    """Ask the endpoint for the user's top k."""
    return _post(client, "/v1/recommend", {"user": user, "k": k})["items"]


def choose_genres(ranking: Sequence[Item]) -> tuple[str, str]:
    """Return the genres with the least and the most of the top places, among those with items to spare."""
    large = {genre for genre, count in count_genres(ranking).items() if count >= 2 * POSTS}
    if len(large) < 2:
        raise AdaptuneError(
            f"the demonstration needs two genres of at least {2 * POSTS} items each in the catalogue; "
            "promote a model of the `synthetic` or the `movielens` data"
        )
    top = count_genres(ranking[:TOP])
    by_places = sorted(large, key=lambda genre: (top.get(genre, 0), genre))
    return by_places[0], by_places[-1]


def count_genres(items: Sequence[Item]) -> dict[str, int]:
    """Return the number of items of each genre; an item may be of several."""
    return dict(Counter(genre for item in items for genre in item["genres"]))


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return checked(client.post(path, json=body))
