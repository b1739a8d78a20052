"""What goes over the wire: requests, which refuse what they do not know, and answers."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

LARGEST_K = 1000
MOST_EVENTS = 1000

Id = Annotated[str, Field(min_length=1, max_length=200)]


class Request(BaseModel):
    """A request: an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class RecommendRequest(Request):
    """Asks what to show to a user."""

    user: Annotated[Id, Field(examples=["1"])]
    """Id of the user; one that was never heard of is welcome."""
    k: int = Field(default=10, ge=1, le=LARGEST_K, examples=[10])
    """How many items."""


class EventMessage(Request):
    """One thing that the user did."""

    id: Annotated[Id, Field(examples=["evt-1"])]
    """Unique among the user's events: an event that is sent twice counts once."""
    timestamp: float = Field(examples=[1_700_000_000])
    """Seconds since 1970."""
    content: Annotated[Id, Field(examples=["1"])]
    """Id of an item of the model in service."""
    kind: Annotated[Id, Field(examples=["rated"])]
    """What happened."""
    value: float = Field(ge=-1, le=1, examples=[1.0])
    """What the user thought of it, from -1 (worst) to 1 (best)."""


class EventsRequest(Request):
    """Tells what a user did; taken whole or not at all."""

    user: Annotated[Id, Field(examples=["1"])]
    """Id of the user."""
    events: list[EventMessage] = Field(min_length=1, max_length=MOST_EVENTS)
    """In any order; a late event counts at its own time."""


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)


class RecommendedItem(Answer):
    """An item to show."""

    id: str
    title: str
    score: float
    """What items are ranked by; comparable inside one answer."""
    like_probability: float
    """The model's probability that the user likes the item."""
    genres: list[str]


class RecommendAnswer(Answer):
    """Items that the user has no event about, best first; fewer than `k` if no more are left."""

    user: str
    known: bool
    """Whether the user has a history or a profile."""
    model: str = Field(examples=["recommendation/1"])
    """The version that answered."""
    items: list[RecommendedItem]


class EventsAnswer(Answer):
    """What became of the events."""

    user: str
    accepted: int
    """Events that were new; the next recommendation builds on them."""
    duplicates: int
    """Events that were known already, by their id."""
    model: str


class ModelAnswer(Answer):
    """A version in the registry."""

    name: str = Field(examples=["recommendation/1"])
    aliases: list[str]
    serving: bool
    """Whether this endpoint answers with it."""
    digest: str | None
    created: str | None
    metrics: dict[str, Any]
    provenance: dict[str, Any]
    problem: str | None
    """Why the version cannot be used, if so."""


class ModelsAnswer(Answer):
    """All versions in the registry."""

    models: list[ModelAnswer]


class HealthAnswer(Answer):
    """Whether the endpoint can answer."""

    status: str = Field(examples=["ok"])
    """`ok`, or `no model` while nothing is promoted."""
    alias: str = Field(examples=["recommendation/champion"])
    model: str | None = Field(examples=["recommendation/1"])
    problem: str | None
    """Why the version that the alias points at is not in service, if so."""


class FieldProblem(Answer):
    """One thing that is wrong with a request."""

    type: str = Field(examples=["invalid_content"])
    loc: list[str | int] = Field(examples=[["body", "events", 0, "content"]])
    """Where: the path of the field."""
    msg: str


class ErrorAnswer(Answer):
    """Why a request was refused."""

    detail: str | list[FieldProblem]
