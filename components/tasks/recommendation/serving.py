"""The recommendation model as serving uses it: one user at a time, one event at a time."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from components.config import RecommendationSettings, TrialConfig
from components.data.events import Event
from components.personalization.events import State, scaled_gap
from components.tasks.recommendation.batches import History
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.model import RecommendationModel
from components.tasks.recommendation.ranking import rank
from components.tasks.servable import UnknownKind, UnusableContent, dump_state, load_state

LAST_TIME = "last_time"
"""Key of a state's newest timestamp, beside what the core keeps."""


@dataclass(frozen=True)
class Recommendation:
    """One recommended item."""

    id: str
    title: str
    score: float
    """What recommendations are ordered by; comparable within one answer only."""
    like_probability: float
    genres: tuple[str, ...]


class RecommendationServable:
    """Follows users by their events and recommends items to them. States are never changed in place."""

    def __init__(self, model: RecommendationModel, catalogue: Catalogue) -> None:
        self.model = model.eval()
        self.catalogue = catalogue
        self.item_ids: Sequence[str] = catalogue.item_ids
        self.profile_fields: Mapping[str, Sequence[str]] = catalogue.profile_fields
        self.kinds: Sequence[str] = catalogue.kinds
        self._item = {name: index for index, name in enumerate(catalogue.item_ids)}
        self._kind = {name: index for index, name in enumerate(catalogue.kinds)}
        self._category = {
            field: {name: index for index, name in enumerate(categories)}
            for field, categories in catalogue.profile_fields.items()
        }
        with torch.inference_mode():
            self._table = self.model.items()

    def initial_state(self) -> State:
        """Return the state of a user of whom nothing is known."""
        core = self.model.core
        state = {} if core is None else core.initial_state()
        return state | {LAST_TIME: torch.full((1,), float("nan"), dtype=torch.float64)}

    def check(self, event: Event) -> None:
        """Raise `UnknownKind` or `UnusableContent` unless the model can read the event."""
        if event.kind not in self._kind:
            raise UnknownKind(f"kind {event.kind!r} is not one of {', '.join(self._kind)}")
        self._check_content(event.content)

    def step(self, state: State, event: Event) -> State:
        """Return the state after one more event. Raises what `check` does."""
        self.check(event)
        time = torch.tensor([event.timestamp], dtype=torch.float64)
        core = self.model.core
        if core is None or not core.history:
            return {LAST_TIME: time}
        seconds = torch.nan_to_num(time - state[LAST_TIME], nan=0.0).float()
        history = History(
            item_BT=torch.tensor([[self._item[event.content]]]),
            value_BT=torch.tensor([[float(event.value)]]),
            kind_BT=torch.tensor([[self._kind[event.kind]]]),
            gap_BT=scaled_gap(seconds)[:, None],
        )
        with torch.inference_mode():
            events = self.model.events(self._table, history)
            return core.step(state, type(events)(*(field[:, 0] for field in events))) | {LAST_TIME: time}

    def recommend(
        self, state: State, profile: Mapping[str, str], k: int, exclude: Collection[str] = ()
    ) -> list[Recommendation]:
        """Return the best `k` items, best first; fewer where `exclude` leaves fewer.

        Fields and categories of the profile that the model does not know count as unknown, as do
        unknown ids in `exclude`.
        """
        excluded = np.array([self._item[name] for name in exclude if name in self._item], np.int64)
        with torch.inference_mode():
            ranking = rank(self.model, self._table, state, self._profile(profile), [excluded], k)
            item = ranking.item_BK[0].tolist()
            score = ranking.score_BK[0].tolist()
            probability = ranking.like_logit_BK[0].sigmoid().tolist()
        catalogue = self.catalogue
        return [
            Recommendation(
                id=catalogue.item_ids[index],
                title=catalogue.titles[index],
                score=value,
                like_probability=like,
                genres=tuple(catalogue.item_genres[index]),
            )
            for index, value, like in zip(item, score, probability, strict=True)
            if index >= 0
        ]

    def like_probability(
        self, state: State, profile: Mapping[str, str], contents: Sequence[str]
    ) -> list[float]:
        """Return the probability that the user likes each of `contents`. Raises `UnusableContent`."""
        for name in contents:
            self._check_content(name)
        item = torch.tensor([[self._item[name] for name in contents]])
        with torch.inference_mode():
            reading = self.model.read(state, self._profile(profile))
            logits = self.model.like_logits(self._table, state, reading, item)
            return logits.expand(item.shape)[0].sigmoid().tolist()

    def dump_state(self, state: State) -> bytes:
        """Write a state as bytes that hold no code."""
        return dump_state(state)

    def load_state(self, data: bytes) -> State:
        """Read what `dump_state` wrote. Raises `ValueError` where it does not fit this model."""
        return load_state(data, like=self.initial_state())

    def _check_content(self, content: str) -> None:
        if content not in self._item:
            raise UnusableContent(
                f"{content[:80]!r} is not among the {len(self._item)} items that the model knows"
            )

    def _profile(self, profile: Mapping[str, str]) -> torch.Tensor:
        indices = [categories.get(profile.get(field, ""), 0) for field, categories in self._category.items()]
        return torch.tensor([indices], dtype=torch.long)


def load_servable(folder: Path) -> RecommendationServable:
    """Load `config.json`, `model.safetensors` and what `Catalogue.write` left beside them."""
    config = TrialConfig.model_validate(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    catalogue = Catalogue.read(folder)
    assert isinstance(config.model, RecommendationSettings), config.model
    model = RecommendationModel(config.model, catalogue)
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    return RecommendationServable(model, catalogue)
