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
from components.personalization.events import Events, State
from components.tasks.recommendation.batches import History
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.model import RecommendationModel
from components.tasks.recommendation.ranking import rank
from components.tasks.servable import Follower, UnusableContent


@dataclass(frozen=True)
class Recommendation:
    """One recommended item."""

    id: str
    title: str
    score: float
    """What recommendations are ordered by; comparable within one answer only."""
    like_probability: float
    genres: tuple[str, ...]


class RecommendationServable(Follower[int]):
    """Follows users by their events and recommends items to them."""

    def __init__(self, model: RecommendationModel, catalogue: Catalogue) -> None:
        super().__init__(model.core, catalogue.kinds, catalogue.profile_fields)
        self.model = model.eval()
        self.catalogue = catalogue
        self.item_ids: Sequence[str] = catalogue.item_ids
        self._item = {name: index for index, name in enumerate(catalogue.item_ids)}
        with torch.inference_mode():
            self._table = self.model.items()

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
        item = torch.tensor([[self._read(name) for name in contents]])
        with torch.inference_mode():
            reading = self.model.read(state, self._profile(profile))
            logits = self.model.like_logits(self._table, state, reading, item)
            return logits.expand(item.shape)[0].sigmoid().tolist()

    def _read(self, content: str) -> int:
        if content not in self._item:
            raise UnusableContent(
                f"{content[:80]!r} is not among the {len(self._item)} items that the model knows"
            )
        return self._item[content]

    def _encode(self, content: int, event: Event, gap_BT: torch.Tensor) -> Events:
        history = History(
            item_BT=torch.tensor([[content]]),
            value_BT=torch.tensor([[float(event.value)]]),
            kind_BT=torch.tensor([[self.kinds.index(event.kind)]]),
            gap_BT=gap_BT,
        )
        return self.model.events(self._table, history)


def load_servable(folder: Path) -> RecommendationServable:
    """Load `config.json`, `model.safetensors` and what `Catalogue.write` left beside them."""
    config = TrialConfig.model_validate(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    catalogue = Catalogue.read(folder)
    assert isinstance(config.model, RecommendationSettings), config.model
    model = RecommendationModel(config.model, catalogue)
    model.load_state_dict(safetensors.torch.load_file(folder / "model.safetensors"))
    return RecommendationServable(model, catalogue)
