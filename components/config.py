"""The settings that a trial is made of, with every default in its one place.

A sweep file's `data`, `model` and `training` sections are these models. They are frozen and refuse unknown keys.
A trial's identity is a hash of the settings that differ from their defaults, so a key added later at its
default leaves the ids of older trials as they are. Those of data sets are written in `components.data_settings`.
"""

from typing import Any, Literal, Self

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator, model_validator

from components.data_settings import DataSettings as DataSettings
from components.data_settings import FlickrSettings as FlickrSettings
from components.data_settings import LogSettings as LogSettings
from components.data_settings import MovieLensSettings as MovieLensSettings
from components.data_settings import SquadSettings as SquadSettings
from components.data_settings import SyntheticSettings as SyntheticSettings
from components.data_settings import TableColumns as TableColumns
from components.data_settings import TableSettings as TableSettings
from components.settings import Settings as Settings


class PersonalizationSettings(Settings):
    """The personalisation core. A part that is switched off has no parameters; all off is the baseline."""

    encoder: Literal["gru"] = "gru"
    """What reads the history."""
    layers: int = Field(default=2, ge=1, le=8)
    """Recurrent layers."""
    hidden: int = Field(default=128, ge=4, le=4096)
    """Units a layer, and the size of the user vector."""
    window: int = Field(default=50, ge=1, le=4096)
    """Number of most recent events that attention looks at (the ring buffer's size)."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads; must divide `hidden` and leave each head at least 4 units."""
    history: bool = True
    """Read the interaction log. Off also silences `attention` and `feedback`, which read it."""
    attention: bool = True
    """Attend to the most relevant recent events, given the content at hand."""
    feedback: bool = True
    """Let the events carry what the user thought of the content."""
    profile: bool = True
    """Add the user's profile to the user vector."""
    attention_modulation: bool = True
    """Let the user vector bias the task model's attention."""
    fusion_modulation: bool = True
    """Let the user vector gate the task model's fusion of modalities."""

    @model_validator(mode="after")
    def _heads_divide_hidden(self) -> "PersonalizationSettings":
        if self.hidden % self.heads:
            nearest = max(self.hidden - self.hidden % self.heads, 4 * self.heads)
            raise ValueError(
                f"`heads` {self.heads} does not divide `hidden` {self.hidden}: "
                f"change `heads`, or make `hidden` a multiple of it such as {nearest}"
            )
        if self.hidden // self.heads < 4:
            raise ValueError(
                f"`heads` {self.heads} leaves each head {self.hidden // self.heads} of the {self.hidden} units of "
                f"`hidden`: use at most {max(1, self.hidden // 4)} heads, or make `hidden` at least {4 * self.heads}"
            )
        return self


SILENT_WITHOUT = {"attention": "history", "feedback": "history"}
"""Parts of the core that are as good as off while another one is off, which they read."""


class ModalitySettings(Settings):
    """What describes an item beside its identity. What is switched off has no parameters."""

    genres: bool = True
    """The item's genres."""
    title: bool = True
    """The words of its title."""
    overview: bool = False
    """The words of its overview, by tf-idf; needs `data.overviews`."""
    poster: bool = False
    """Its picture, through a small convolutional network that is trained along; needs `data.posters`."""
    vectors: bool = False
    """Its vector by a pretrained encoder; needs `data.item_vectors`."""


NEEDED_DATA = {"overview": "overviews", "poster": "posters", "vectors": "item_vectors"}
"""Modalities that only some data has, and the key under `data` that brings it in."""


class RecommendationSettings(Settings):
    """The recommendation model."""

    personalization: PersonalizationSettings | None = PersonalizationSettings()
    """The personalisation core; `null` is the non-personalised baseline."""
    modalities: ModalitySettings = ModalitySettings()
    """What describes an item beside its identity."""
    cold_start: bool = False
    """Know items without a training event by their content alone: how popular they are and what they go with is
    what `modalities` let expect, and they have no identity."""
    embedding: int = Field(default=64, ge=4, le=4096)
    """Size of an item vector."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout on item, user and hidden vectors."""
    softmax: Literal["sampled", "full"] = "sampled"
    """What the ranking loss contrasts an item with: `negatives` items drawn a step, or the whole catalogue."""
    negatives: int = Field(default=256, ge=1)
    """Items drawn a step for the sampled softmax of the ranking loss; the whole catalogue if it is smaller."""
    ranking_weight: float = Field(default=0.2, ge=0)
    """Weight of the ranking loss beside the like loss."""
    like_weight: float = Field(default=0.3, ge=0)
    """Weight of the log-odds of a like beside the ranking logit when the catalogue is ranked."""
    transitions: int = Field(default=32, ge=0, le=4096)
    """Size of the vectors that hold which items came soon after which in training; 0 is without."""
    co_occurrence: int = Field(default=0, ge=0, le=4096)
    """Size of the vectors that hold which items speak for which, as EASE weighs them; 0 is without."""
    counting_weight: float = Field(default=0.0, ge=0)
    """Weight of what these two say by themselves of the latest events, beside what is learned, when ranking."""

    @model_validator(mode="after")
    def _cold_items_have_content(self) -> Self:
        if self.cold_start and not any(self.modalities.model_dump().values()):
            raise ValueError(
                "`cold_start` knows items by their content, and all of `modalities` are off: switch one on, or leave "
                "`cold_start` out"
            )
        return self


LEAST_HEAD = 8
"""Units that an attention head must have where it carries all that an answer's extent or a caption's manner tells."""


def _check_heads(core: PersonalizationSettings | None, task: str) -> None:
    """Raise `ValueError` where attention heads are too small for a task."""
    if core is not None and core.attention and core.hidden // core.heads < LEAST_HEAD:
        raise ValueError(
            f"`personalization.heads` {core.heads} leaves each head {core.hidden // core.heads} of the "
            f"{core.hidden} units of `personalization.hidden`, and {task} needs {LEAST_HEAD}: "
            f"use fewer heads, or make `hidden` at least {LEAST_HEAD * core.heads}"
        )


class QuestionAnsweringSettings(Settings):
    """The question answering model."""

    personalization: PersonalizationSettings | None = PersonalizationSettings()
    """The personalisation core; `null` is the non-personalised baseline."""
    embedding: int = Field(default=96, ge=4, le=4096)
    """Size of a word vector."""
    hidden: int = Field(default=96, ge=4, le=4096)
    """Units of the reader."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout on word, question and passage vectors."""
    users_per_question: int = Field(default=4, ge=1, le=64)
    """Users that a question is answered for each time it is read in training."""
    beam: int = Field(default=5, ge=1, le=64)
    """Starts of an answer that are followed up when one is chosen."""
    told: bool = False
    """Tell the model which style its user wants, in place of the history: the ceiling. It cannot be served."""

    @model_validator(mode="after")
    def _told_users(self) -> Self:
        if self.told and self.personalization is None:
            raise ValueError(
                "`told` describes users to the core's modulation, and `personalization` is null: "
                "give it settings, or leave `told` out"
            )
        return self

    @model_validator(mode="after")
    def _heads_hold_extents(self) -> Self:
        _check_heads(self.personalization, "question answering")
        return self


class CaptioningSettings(Settings):
    """The captioning model."""

    personalization: PersonalizationSettings | None = PersonalizationSettings()
    """The personalisation core; `null` is the non-personalised baseline."""
    hidden: int = Field(default=192, ge=8, le=4096)
    """Size of the vectors of words and picture regions."""
    layers: int = Field(default=2, ge=1, le=24)
    """Layers of the decoder."""
    heads: int = Field(default=4, ge=1, le=64)
    """Attention heads of the decoder; must divide `hidden`."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout in the decoder."""
    vocabulary: int = Field(default=3, ge=1)
    """Times that a word must occur in the training captions to be one of the model's words."""
    users_per_image: int = Field(default=3, ge=1, le=64)
    """Users that a picture is captioned for each time it is seen in training."""
    beam: int = Field(default=3, ge=1, le=64)
    """Beginnings of a caption that are followed up when one is written."""
    length_penalty: float = Field(default=0.7, ge=0, le=4)
    """Captions compete by log-probability divided by length to this power: 0 favours short ones, 1 is the mean."""
    guidance: float = Field(default=2.0, ge=1, le=10)
    """How far captions are pushed away from what an unknown user would get without a picture; 1 is not at all."""
    told: bool = False
    """Tell the model which style its user wants, in place of the history: the ceiling. It cannot be served."""

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        _check_heads(self.personalization, "captioning")
        if self.hidden % self.heads:
            nearest = max(self.hidden - self.hidden % self.heads, self.heads)
            raise ValueError(
                f"`heads` {self.heads} does not divide `hidden` {self.hidden}: "
                f"change `heads`, or make `hidden` a multiple of it such as {nearest}"
            )
        return self


MODEL_SETTINGS: dict[str, type[Settings]] = {
    "recommendation": RecommendationSettings,
    "question-answering": QuestionAnsweringSettings,
    "captioning": CaptioningSettings,
}
"""The model settings of each task."""


class TrainingSettings(Settings):
    """How a model is trained."""

    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """AdamW's learning rate, constant over training, so that trials of different length share their beginning."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decoupled weight decay."""
    batch_size: int = Field(default=32, ge=1)
    """Users a step, each with all of the user's events, in recommendation; questions a step in
    question answering, pictures in captioning."""
    epochs: int = Field(default=20, ge=1)
    """Passes over the training data; the result is the model's state after exactly this many."""
    seed: int = Field(default=0, ge=0)
    """Decides initial values, order and dropout."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Largest gradient norm."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Lightning's precision flag."""


class TrialConfig(Settings):
    """Everything that defines one trial."""

    task: str
    """A name in `components.tasks.TASKS`."""
    data: DataSettings
    """Where the data comes from."""
    model: SerializeAsAny[Settings]
    """The task's own model settings, of the class that `MODEL_SETTINGS` names."""
    training: TrainingSettings
    """How it is trained."""

    @field_validator("model", mode="before")
    @classmethod
    def _of_the_task(cls, value: Any, info: ValidationInfo) -> Any:
        task = info.data.get("task")
        if task not in MODEL_SETTINGS:
            raise ValueError(f"there is no task named {task!r}; the tasks are {', '.join(MODEL_SETTINGS)}")
        return MODEL_SETTINGS[task].model_validate(value)

    @model_validator(mode="after")
    def _modalities_have_data(self) -> Self:
        if isinstance(self.model, RecommendationSettings):
            for modality, key in NEEDED_DATA.items():
                if getattr(self.model.modalities, modality) and not getattr(self.data, key, None):
                    raise ValueError(
                        f"`model.modalities.{modality}` is on, and the data comes without: set `data.{key}`, or "
                        f"switch `model.modalities.{modality}` off"
                    )
        return self
