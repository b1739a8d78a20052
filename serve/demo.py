"""A demonstration over HTTP: a newcomer likes one genre and dislikes another, and the recommendations follow.

The liked genre is the one that a newcomer is shown least of, the disliked one that of which most, so the
change goes against what the model would show anyway. A control user, who does nothing, sees no change.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from components.errors import AdaptuneError
from serve.messages import LARGEST_K

TOP = 20
"""How many recommendations are looked at."""
FIRST = 5
"""How many of the first recommendations are shown."""
POSTS = 6
"""How many likes, and how many dislikes, the newcomer posts."""

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
    answer = client.post(path, json=body)
    if answer.is_error:
        raise AdaptuneError(f"{path}: the endpoint answered {answer.status_code}: {answer.text}")
    return answer.json()


def show(url: str, home: Path, as_json: bool) -> None:
    """Demonstrate on the endpoint at `url`, which serves a model in `home`, and print the outcome."""
    with httpx.Client(base_url=url, timeout=60) as client:
        shift = demonstrate(client)
    if as_json:
        print(json.dumps(asdict(shift)))
    else:
        _print(shift, url, home)


def _print(shift: Shift, url: str, home: Path) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{shift.model} answers on {url}. A newcomer, of whom it knows nothing, is shown first:")
    for place, title in enumerate(shift.first, 1):
        console.print(f"  {place}. {title}", markup=False)
    console.print(f"\nThe newcomer posts events. Genres among the top {TOP} items that were not posted:")
    table = Table("genre", "posted", Column("before", justify="right"), Column("after", justify="right"))
    posted = {shift.liked: f"{POSTS} likes", shift.disliked: f"{POSTS} dislikes"}
    others = sorted((shift.before.keys() | shift.after.keys()) - posted.keys())
    for genre in [shift.liked, shift.disliked, *others]:
        style = "green" if genre == shift.liked else "red" if genre == shift.disliked else None
        counts = (str(counts.get(genre, 0)) for counts in (shift.before, shift.after))
        table.add_row(genre, posted.get(genre, ""), *counts, style=style)
    console.print(table)
    same = (
        "exactly what was shown before"
        if shift.control_unchanged
        else "[red]something else than before[/red]"
    )
    console.print(f"A control user, who posted nothing, is shown {same}.")
    option = "" if home == Path("runs") else f" --home {home}"
    console.print("\nTo go on:")
    for command, purpose in (
        (f"adaptune serve{option}", "keep the endpoint running, and print requests to try"),
        (f"adaptune models{option}", "list the promoted models"),
        ("adaptune plan sweeps/recommendation-small.yaml", "see what a sweep on MovieLens would run"),
    ):
        console.print(f"  {command:<48} {purpose}", markup=False)
