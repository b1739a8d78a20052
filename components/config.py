"""The settings that a trial is made of, with every default in its one place.

A sweep file's `data`, `model` and `training` sections are these models. They are frozen and refuse unknown keys.
A trial's identity is a hash of the settings that differ from their defaults, so a key added later at its
default leaves the ids of older trials as they are.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)


class Settings(BaseModel):
    """Frozen settings in which an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class SyntheticSettings(Settings):
    """The embedded data set: a seeded population of users with planted preferences and a known oracle."""

    source: Literal["synthetic"]
    users: int = Field(default=800, ge=20, le=1_000_000)
    """Number of users; one in ten is unseen in training."""
    items: int = Field(default=240, ge=20, le=1_000_000)
    """Number of items in the catalogue."""
    events: int = Field(default=50, ge=10, le=10_000)
    """Mean number of events a user."""
    genres: int = Field(default=6, ge=2, le=64)
    """Number of genres; an item has one or two."""
    taste: float = Field(default=2.0, ge=0)
    """Strength of each user's own taste in genres: readable from the feedback in the history."""
    choice: float = Field(default=0.15, ge=0)
    """How strongly taste decides what a user picks at all: readable from the history without feedback."""
    drift: float = Field(default=0.25, ge=0, le=1)
    """Share of users whose taste, or preferred style, is replaced by another one in mid-history."""
    profile: float = Field(default=1.0, ge=0)
    """Strength of what a user's profile says about taste: which of the many moods in the titles are liked."""
    seed: int = Field(default=0, ge=0)
    """Seed of the generator; the trial's own seed has no part in it."""
    like_threshold: float = Field(default=4.0, gt=1, le=5)
    """A rating (1 to 5) of at least this is a like."""
    articles: int = Field(default=40, ge=6, le=120)
    """Question answering: articles, a third of them to evaluate on."""
    passages: int = Field(default=8, ge=1, le=1000)
    """Question answering: passages an article."""
    images: int = Field(default=1600, ge=16, le=100_000)
    """Captioning: pictures, a fifth of them to evaluate on."""
    history: int = Field(default=20, ge=1, le=1000)
    """Question answering and captioning: outputs that each user was shown, with the user's feedback."""
    noise: float = Field(default=0.1, ge=0, le=1)
    """Question answering and captioning: chance that an output that a user likes is not in the preferred style."""
    conditional: float = Field(default=0.5, ge=0, le=1)
    """Question answering and captioning: share of users whose preferred style depends on the content, among those
    who do not drift."""
    overviews: bool = False
    """Recommendation: write a text about each item."""
    posters: bool = False
    """Recommendation: draw a poster of each item, 24 x 36 pixels."""
    taste_in: Literal["genres", "poster"] = "genres"
    """Recommendation: what taste is in. `poster`: the colour of what a poster shows, which nothing else tells."""
    cold: float = Field(default=0, ge=0, le=0.9)
    """Recommendation: share of items that nobody meets before the test part: of them, content alone is known."""
    item_vectors: Path | None = None
    """Recommendation: vectors of items, as in the other sources, for `item-0`, `item-1` and so on."""

    @model_validator(mode="after")
    def _enough_items(self) -> Self:
        if self.events > self.items:
            raise ValueError(
                f"events ({self.events}) must not exceed items ({self.items}), "
                "because a user rates an item once: raise items or lower events"
            )
        if self.cold and self.events > self.items - round(self.cold * self.items):
            raise ValueError(
                f"events ({self.events}) must not exceed the items that `cold` {self.cold:g} leaves of {self.items}: "
                "raise items, or lower events or cold"
            )
        return self

    @model_validator(mode="after")
    def _taste_is_shown(self) -> Self:
        if self.taste_in == "poster" and not self.posters:
            raise ValueError("`taste_in: poster` needs posters to show it: write `posters: true` too")
        return self


class LogSettings(Settings):
    """How a log of real users is divided; a base of its sources' settings."""

    split: Literal["temporal", "leave-one-out"] = "temporal"
    """`temporal`: the last tenth of each user's events is test, the tenth before it validation; one user in ten is
    unseen in training. `leave-one-out`, for comparison with published tables: a user's last event is test, the one
    before it validation, and no user is unseen."""
    ties: Literal["hashed", "reversed"] = "hashed"
    """Order of a user's events that share a timestamp: by a hash of user, item and time, or exactly the other way
    round. What changes with it is an artefact of the order."""
    overviews: bool = False
    """Read a text about each item: of MovieLens in `overviews.csv` (`movie_id`, `overview`) beside the ratings, of a
    table in the column `overview` of `items`."""
    posters: bool = False
    """Read a picture of each item, `posters/ID.jpg` or `.png` beside the ratings or `items`; stored as 24 x 36."""
    item_vectors: Path | None = None
    """Vectors of items by a pretrained encoder: an Arrow IPC file with `item_id` (text) and `vector` (float32)."""
    damaged: float = Field(default=0.01, ge=0, le=1)
    """Largest share of posters, and of overviews, that may be unusable or of unknown items; left out and counted."""


class MovieLensSettings(LogSettings):
    """MovieLens as GroupLens publishes it: 100K, 1M, latest, latest-small, 20M, 25M or 32M."""

    source: Literal["movielens"]
    root: Path
    """Folder of the unpacked files, or the zip archive as published, or a folder that holds just the archive."""
    like_threshold: float = Field(default=4.0, gt=1, le=5)
    """A rating (up to 5) of at least this is a like."""


class TableColumns(Settings):
    """Which columns of a table hold what."""

    user: str = "user"
    """Column of user ids."""
    item: str = "item"
    """Column of item ids."""
    timestamp: str = "timestamp"
    """Column of times: seconds since 1970, or ISO 8601."""
    rating: str = "rating"
    """Column of ratings."""


class TableSettings(LogSettings):
    """A data set of one's own: CSV or Parquet files and a mapping of their columns."""

    source: Literal["table"]
    events: Path
    """CSV or Parquet file with one row an event."""
    columns: TableColumns = TableColumns()
    """Names of the event columns."""
    rating_range: tuple[float, float] = (1.0, 5.0)
    """Lowest and highest possible rating; mapped linearly to feedback in [-1, 1]."""
    like_threshold: float = 4.0
    """A rating of at least this is a like, on the table's own scale."""
    items: Path | None = None
    """CSV or Parquet file of items: `item`, and optionally `title` and `genres` (separated by `|`)."""
    users: Path | None = None
    """CSV or Parquet file of users: `user`; every other column is a categorical profile field."""

    @model_validator(mode="after")
    def _threshold_in_range(self) -> "TableSettings":
        lowest, highest = self.rating_range
        if lowest >= highest:
            raise ValueError(
                f"`rating_range` {lowest:g} to {highest:g} is no range: write the lowest first, then the highest"
            )
        if not lowest < self.like_threshold <= highest:
            raise ValueError(
                f"`like_threshold` {self.like_threshold:g} is outside `rating_range` {lowest:g} to {highest:g}: "
                "set it above the lowest and at most to the highest rating"
            )
        if self.overviews and self.items is None:
            raise ValueError(
                "`overviews` reads a column of `items`: name that file, or leave `overviews` out"
            )
        return self


class SquadSettings(Settings):
    """SQuAD v1.1 as published, asked by simulated users whose preferences are known."""

    source: Literal["squad"]
    root: Path
    """Folder that holds `train-v1.1.json` and `dev-v1.1.json`, or the same as `train.json` and `validation.json`."""
    word_vectors: Path | None = None
    """Word vectors that the reader starts from, in GloVe's text format; as long as `model.embedding`."""
    users: int = Field(default=2400, ge=30, le=1_000_000)
    """Number of simulated users; one in five is unseen in training."""
    history: int = Field(default=20, ge=1, le=1000)
    """Events a user: answers that the user was shown, with the user's feedback."""
    noise: float = Field(default=0.1, ge=0, le=1)
    """Chance that an answer that a user likes is not in the style that the user prefers."""
    conditional: float = Field(default=0.5, ge=0, le=1)
    """Share of users whose preferred style depends on the kind of question, among those who do not drift."""
    drift: float = Field(default=0.1, ge=0, le=1)
    """Share of users who change from one preferred style to another in mid-history."""
    seed: int = Field(default=0, ge=0)
    """Seed of the simulation; the trial's own seed has no part in it."""


class FlickrSettings(Settings):
    """Flickr8k, or with `source: flickr30k` Flickr30k, captioned for simulated users whose preferences are known."""

    source: Literal["flickr8k", "flickr30k"]
    root: Path
    """Folder that holds the captions, the lists of training, validation and test pictures, and the pictures."""
    image_size: int = Field(default=64, ge=8, le=1024)
    """Pictures are cut to their central square and scaled to this many pixels a side, once."""
    encoder: Path | None = None
    """A pretrained image encoder, exported by torch (`.pt2`); its features are computed once, in place of pixels."""
    damaged: float = Field(default=0.01, ge=0, le=1)
    """Largest share of pictures that may be missing or damaged; they are left out and counted."""
    users: int = Field(default=6000, ge=30, le=1_000_000)
    """Number of simulated users; one in five is unseen in training."""
    history: int = Field(default=20, ge=1, le=1000)
    """Events a user: captions that the user was shown, with the user's feedback."""
    noise: float = Field(default=0.1, ge=0, le=1)
    """Chance that a caption that a user likes is not in the style that the user prefers."""
    conditional: float = Field(default=0.5, ge=0, le=1)
    """Share of users whose preferred style depends on what the picture shows."""
    drift: float = Field(default=0.1, ge=0, le=1)
    """Share of users whose preferred style changes in mid-history; they are evaluated apart."""
    seed: int = Field(default=0, ge=0)
    """Seed of the simulation; the trial's own seed has no part in it."""


DataSettings = Annotated[
    SyntheticSettings | MovieLensSettings | TableSettings | SquadSettings | FlickrSettings,
    Field(discriminator="source"),
]


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
    """Tell the model the style that the user wants, in place of the history: an oracle, the ceiling of the others."""

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
