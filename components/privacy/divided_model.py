"""A recommender in two parts: the encoder, which all parties read their users with, and what its owner keeps.

Kept are the vectors of the items' modalities, which scores are products with, and the head. Open are the sequence
encoder, what steers attention and fusion, the query maps, the catalogue with its counts but without overviews,
pictures and vectors, and what the encoder needs of items: the attention on each modality, and the vector of an item
as an event carries it, a mix of its modalities.

Dimensions: I items, M modalities, E embedding, H user vector, U head units, L linear inputs.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from components.config import RecommendationSettings
from components.errors import DataError
from components.privacy import ENCODER, PRIVATE_TASK, WHOLE
from components.tasks.recommendation.catalogue import Catalogue
from components.tasks.recommendation.items import ItemTable
from components.tasks.recommendation.model import HEAD_UNITS, RecommendationModel
from components.tasks.recommendation.serving import RecommendationServable

CONTENT, ATTENTION = "items.content", "items.modality_attention"

_KEPT = ("head_", "like_trend.", "like_taste.", "like_context.", "items.")
_OPEN = "items.slots."
"""Of the items' weights, what attention over modalities looks at; the others make the vectors that are kept."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Encoder:
    """The open part, ready to read users."""

    model: RecommendationModel
    """With zeros in place of what its owner keeps."""
    table: ItemTable
    """With zeros in place of the items' vectors."""
    catalogue: Catalogue


@dataclass(frozen=True)
class Kept:
    """What the owner puts into the protocol, as shares."""

    items: Floats
    """[I, M * E + M * U]: each modality's vector, and what the head's hidden layer makes of it."""
    linear: Floats
    """[L + 1, 1], the last row for a constant."""
    hidden: Floats
    """[2 * H + 1, U]; rows of user vector and context, the last one for a constant. [1, U] without a core."""
    last: Floats
    """[U, 1]"""

    @classmethod
    def of(cls, servable: RecommendationServable) -> "Kept":
        """Take the kept part of a whole model, in float64."""
        model = servable.model
        with torch.inference_mode():
            vectors = model.items().modality_IME.double()
            through_head = vectors @ model.head_item.weight.double().T
        linear = [
            layer.gain * layer.weight.detach().double()[0]
            for name in ("like_trend", "like_taste", "like_context")
            if (layer := getattr(model, name, None)) is not None
        ]
        hidden = [
            layer.weight.detach().double().T
            for name in ("head_user", "head_context")
            if (layer := getattr(model, name, None)) is not None
        ]
        out = model.head_out
        return cls(
            items=torch.cat([vectors.flatten(1), through_head.flatten(1)], dim=1).numpy(),
            linear=torch.cat([*linear, out.gain * out.bias.detach().double()])[:, None].numpy(),
            hidden=torch.cat([*hidden, model.head_item.bias.detach().double()[None]]).numpy(),
            last=out.gain * out.weight.detach().double().T.numpy(),
        )


@dataclass(frozen=True)
class Shape:
    """Sizes of the kept part, which follow from the open one."""

    items: int
    embedding: int
    linear: int
    hidden: int
    """Rows of `Kept.hidden`, without the constant's."""
    modalities: int

    @classmethod
    def of(cls, encoder: Encoder) -> "Shape":
        """Read the sizes off the open part."""
        model = encoder.model
        core = model.core
        linear = hidden = 0
        if core is not None:
            hidden = core.user_size * (1 if core.attention is None else 2)
            linear = core.trend_size * (1 + bool(core.facets)) + (
                core.user_size if core.attention is not None else 0
            )
        items, modalities = encoder.table.attention_IM.shape
        return cls(items, model.settings.embedding, linear, hidden, modalities)

    @property
    def vector(self) -> int:
        """Numbers of an item's vectors, M * E."""
        return self.modalities * self.embedding

    @property
    def width(self) -> int:
        """Numbers that the owner keeps of an item."""
        return self.modalities * (self.embedding + HEAD_UNITS)


def load_encoder(folder: Path) -> Encoder:
    """Load what `write_encoder` wrote. Raises `DataError` where that is not what the folder holds."""
    path = folder / ENCODER
    if not path.is_file():
        raise DataError(
            folder, f"holds no encoder ({ENCODER} is missing): `adaptune export --encoder` makes one"
        )
    state = safetensors.torch.load_file(path)
    content, attention = state.pop(CONTENT), state.pop(ATTENTION)
    catalogue = Catalogue.read(folder)
    model = RecommendationModel(_settings(folder), catalogue)
    with torch.no_grad():
        for _, parameter in _kept(model):
            parameter.zero_()
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) != {name for name, _ in _kept(model)}:
        raise DataError(path, "its numbers are not those of the model that config.json describes")
    vectors = content.new_zeros(*attention.shape, model.settings.embedding)
    return Encoder(model.eval(), ItemTable(vectors, attention, content), catalogue)


def encoder_of(servable: RecommendationServable) -> dict[str, torch.Tensor]:
    """Return the open part's numbers by name."""
    kept = {name for name, _ in _kept(servable.model)}
    state = {name: value for name, value in servable.model.state_dict().items() if name not in kept}
    with torch.inference_mode():
        table = servable.model.items()
    return {**state, CONTENT: table.content_IC.clone(), ATTENTION: table.attention_IM.clone()}


def write_encoder(model: Path, out: Path, digest: str) -> None:
    """Write the open part of the model in one folder into another one: its numbers, settings and catalogue.

    The file also names `digest`, that of the whole model, and a hash of what is kept: whoever agrees on the encoder
    agrees on all weights, and the owner cannot put in others later.
    """
    from components.tasks.recommendation.serving import load_servable

    servable = load_servable(model)
    numbers = {name: value.contiguous() for name, value in encoder_of(servable).items()}
    named = (
        f"{digest} kept {_hash_of_kept(servable.model)}"  # one entry: the file's order of several is random
    )
    safetensors.torch.save_file(numbers, out / ENCODER, metadata={WHOLE: named})
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    told = {"task": config["task"], "model": config["model"]}  # seed and paths are nobody else's concern
    (out / "config.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    servable.catalogue.without_contents().write(out)  # what attention makes of them is among the numbers


def _hash_of_kept(model: RecommendationModel) -> str:
    hasher = hashlib.sha256()
    for name, parameter in sorted(_kept(model)):
        hasher.update(f"{name} {list(parameter.shape)}\n".encode())
        hasher.update(parameter.detach().numpy().tobytes())
    return hasher.hexdigest()


def _kept(model: RecommendationModel) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for name, parameter in model.named_parameters():
        if name.startswith(_KEPT) and not name.startswith(_OPEN):
            yield name, parameter


def _settings(folder: Path) -> RecommendationSettings:
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if told["task"] != PRIVATE_TASK:
        raise DataError(
            folder, f"is of the task {told['task']}; only models of {PRIVATE_TASK} can be private"
        )
    return RecommendationSettings.model_validate(told["model"])
