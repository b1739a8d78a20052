"""Tiny models of the three tasks and a tiny population, with the methods and files of real ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from safetensors.numpy import save_file

from components.data.events import Event
from components.data.interactions import Interactions
from components.data.population import write_population
from components.tasks.servable import UnknownKind, UnusableContent
from orchestrator.release.registry import Registry, Version

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
    profile_fields: ClassVar = {"favourite": ("unknown", *GENRES)}

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
        if profile.get("favourite") in taste:
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


@dataclass(frozen=True)
class Said:
    text: str
    start: int = 0
    end: int = 0
    score: float = -1.0


class FakeFollower:
    """Its state is what the user liked last: the content's `wanted`."""

    profile_fields: ClassVar = {}

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def initial_state(self) -> str:
        return ""

    def check(self, event: Event) -> None:
        if event.kind not in self.kinds:
            raise UnknownKind(event.kind)
        if not event.content.startswith('{"wanted": '):
            raise UnusableContent("not an object with `wanted`")

    def step(self, state: str, event: Event) -> str:
        self.check(event)
        return json.loads(event.content)["wanted"] if event.value > 0 else state

    def dump_state(self, state: str) -> bytes:
        return state.encode()

    def load_state(self, data: bytes) -> str:
        return data.decode()


class FakeReader(FakeFollower):
    """Answers with the first word, or with the whole passage to those who want that."""

    def answer(self, state, profile, question, passage):
        if "?" not in question:
            raise UnusableContent("that is no question")
        end = len(passage) if state == "long" else passage.index(" ")
        return Said(passage[:end], 0, end)


class FakeCaptioner(FakeFollower):
    """Says how many bytes an image has."""

    def caption(self, state, profile, image):
        if not image.startswith((b"\xff\xd8", b"\x89PNG")):
            raise UnusableContent("neither JPEG nor PNG")
        return Said(f"{len(image)} bytes{', hurray' if state == 'humorous' else ''}")


def load_fake(version: Version) -> FakeServable | FakeFollower:
    config = json.loads((version.folder / "config.json").read_text())
    if version.task == "recommendation":
        return FakeServable(config["items"])
    return {"question-answering": FakeReader, "captioning": FakeCaptioner}[version.task](*config["kinds"])


def promote_follower(registry: Registry, folder: Path, task: str, *kinds: str) -> Version:
    """Make a fake model that reads events of these kinds the champion of its task."""
    return _promote(registry, folder, {"kinds": kinds}, interactions(users=1), task, "champion")


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
    data = interactions(items=items, digest=digest)
    return _promote(registry, folder, {"items": items}, data, "recommendation", alias)


def _promote(registry, folder, config, data, task, alias) -> Version:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"weight": np.ones(2, np.float32)}, folder / "model.safetensors")
    write_population(data, folder)
    version = registry.create(task, folder, {"accuracy": 0.7}, {"sweep": "fake"})
    if alias is not None:
        registry.set_alias(task, alias, version)
    return version
