"""The settings of each data set: the `data` section of a sweep file. Every default is in its one place here."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.settings import Settings


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
