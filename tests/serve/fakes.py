"""A tiny model and a tiny population, with the methods and files of real ones."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from components.data.events import Event
from components.data.interactions import Interactions
from components.data.population import write_population
from components.tasks.servable import UnknownKind, UnusableContent
from orchestrator.registry import Registry, Version

GENRES = ("comedy", "drama", "horror", "western")


@dataclass(frozen=True)
class Item:
    id: str
    title: str
    score: float
    like_probability: float
    genres: tuple[str, ...]


class FakeServable:
    """Item n has genre n modulo 4; a genre scores the feedback on it, newer feedback counting more."""

    kinds = ("rated",)
    profile_fields = ("favourite",)

    def __init__(self, items: int) -> None:
        self.item_ids = [f"i{n}" for n in range(items)]
        self.steps = 0

    def initial_state(self) -> tuple[float, ...]:
        return (0.0,) * len(GENRES)

    def check(self, event: Event) -> None:
        if event.kind not in self.kinds:
            raise UnknownKind(event.kind)
        if event.content not in self.item_ids:
            raise UnusableContent(f"not among {len(self.item_ids)} items")

    def step(self, state, event: Event):
        self.check(event)
        self.steps += 1
        genre = int(event.content[1:]) % len(GENRES)
        return tuple(0.5 * old + (event.value if n == genre else 0.0) for n, old in enumerate(state))

    def recommend(self, state, profile, k, exclude):
        taste = {genre: score for genre, score in zip(GENRES, state, strict=True)}
        if profile.get("favourite"):
            taste[profile["favourite"]] += 0.1
        items = [
            Item(item, f"Title {item}", taste[genre], 0.5, (genre,))
            for n, item in enumerate(self.item_ids)
            if item not in exclude
            for genre in [GENRES[n % len(GENRES)]]
        ]
        return sorted(items, key=lambda item: -item.score)[:k]

    def dump_state(self, state) -> bytes:
        return json.dumps(state).encode()

    def load_state(self, data: bytes):
        return tuple(json.loads(data))


def load_fake(version: Version) -> FakeServable:
    return FakeServable(json.loads((version.folder / "config.json").read_text())["items"])


def interactions(users: int = 3, events: int = 4, items: int = 12, digest: str = "feed") -> Interactions:
    """User n is called `known<n>` and rates the items n, n + 1, … at the times 1000, 1010, …"""
    count = users * events
    return Interactions(
        folder=Path(),
        digest=digest,
        name="fake",
        user_offsets=np.arange(0, count + 1, events),
        content=np.array([(u + e) % items for u in range(users) for e in range(events)], np.int32),
        value=np.tile(np.linspace(-1, 1, events, dtype=np.float32), users),
        timestamp=np.tile(1000 + 10 * np.arange(events), users),
        kind=np.zeros(count, np.int8),
        like=np.zeros(count, bool),
        part=np.zeros(count, np.int8),
        before=np.tile(np.arange(events, dtype=np.int32), users),
        oracle=None,
        kinds=("rated",),
        user_ids=[f"known{u}" for u in range(users)],
        unseen=np.zeros(users, bool),
        profile=np.arange(users, dtype=np.int32).reshape(users, 1) % 3,
        profile_fields={"favourite": ["unknown", "drama", "western"]},
        item_ids=[f"i{n}" for n in range(items)],
        item_titles=[f"Title i{n}" for n in range(items)],
        item_genres=[[GENRES[n % 4]] for n in range(items)],
        genres=list(GENRES),
        item_years=np.zeros(items, np.int32),
    )


def promote(
    registry: Registry, folder: Path, items: int = 12, digest: str = "feed", alias: str | None = "champion"
) -> Version:
    """Make a version of the fake model in `folder` and point the alias at it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"items": items}))
    save_file({"weight": np.ones(2, np.float32)}, folder / "model.safetensors")
    write_population(interactions(items=items, digest=digest), folder)
    version = registry.create("recommendation", folder, {"accuracy": 0.7}, {"sweep": "fake"})
    if alias is not None:
        registry.set_alias("recommendation", alias, version)
    return version
