"""What goes over the wire: requests, which refuse what they do not know, and answers."""

import json
from typing import Annotated, Any

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

LARGEST_K = 1000
MOST_EVENTS = 1000
LONGEST_TEXT = 20_000
"""Characters of a question or a passage."""
LONGEST_CONTENT = 50_000
"""Characters of an event's content: a question, a passage, and what JSON needs around them."""


def _as_text(content: object) -> object:
    if isinstance(content, dict):
        return json.dumps(content, ensure_ascii=False)
    if not isinstance(content, str):  # pydantic would ask for a "valid string" alone
        raise PydanticCustomError(
            "invalid_content", "expected text, such as the id of an item, or a JSON object"
        )
    return content


Id = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Content = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_CONTENT),
    BeforeValidator(_as_text),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]
"""A text, or a JSON object that stands for the text that it is written as."""


class Request(BaseModel):
    """A request: an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class RecommendRequest(Request):
    """Asks what to show to a user."""

    user: Annotated[Id, Field(examples=["1"])]
    """Id of the user; one that was never heard of is welcome."""
    k: int = Field(default=10, ge=1, le=LARGEST_K, examples=[10])
    """How many items."""


class AnswerRequest(Request):
    """Asks a question about a passage."""

    user: Annotated[Id, Field(examples=["1"])]
    """Id of the user; one that was never heard of is welcome."""
    question: Annotated[Text, Field(examples=["Who built the mill?"])]
    passage: Annotated[Text, Field(examples=["The mill was built by Anna, a baker, in 1777."])]
    """The text that holds the answer."""


class CaptionRequest(Request):
    """Asks for a caption of an image; a form, as browsers upload files."""

    user: Id
    """Id of the user; one that was never heard of is welcome."""
    image: UploadFile
    """A JPEG or PNG file."""


class EventMessage(Request):
    """One thing that the user did."""

    id: Annotated[Id, Field(examples=["evt-1"])]
    """Unique among the user's events: an event that is sent twice counts once."""
    timestamp: float = Field(examples=[1_700_000_000])
    """Seconds since 1970."""
    content: Annotated[Content, Field(examples=["1"])]
    """What it was about: the id of an item of the recommendation model in service; for `answered` an object of
    question, passage, start and end; for `captioned` an object of caption and, if wanted, image."""
    kind: Annotated[Id, Field(examples=["rated"])]
    """What happened; it decides which task takes the event."""
    value: float = Field(ge=-1, le=1, examples=[1.0])
    """What the user thought of it, from -1 (worst) to 1 (best)."""


class EventsRequest(Request):
    """Tells what a user did; if one event is wrong, none is taken."""

    user: Annotated[Id, Field(examples=["1"])]
    """Id of the user, the same in all tasks."""
    events: list[EventMessage] = Field(min_length=1, max_length=MOST_EVENTS)
    """Of any tasks, in any order; a late event counts at its own time."""


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


class AnswerAnswer(Answer):
    """The answer to a question, in the extent that the user wants: characters `start:end` of the passage."""

    user: str
    known: bool
    """Whether the user has a history or a profile in this task."""
    model: str = Field(examples=["question-answering/1"])
    """The version that answered."""
    text: str
    start: int
    """Its first character in the passage; characters are Unicode code points."""
    end: int
    """The character after its last."""
    score: float
    """Log-probability of the answer."""


class CaptionAnswer(Answer):
    """A caption in the style that the user wants."""

    user: str
    known: bool
    """Whether the user has a history or a profile in this task."""
    model: str = Field(examples=["captioning/1"])
    """The version that answered."""
    text: str
    score: float
    """What the search ranked the caption by."""


class EventsAnswer(Answer):
    """What became of the events."""

    user: str
    accepted: int
    """Events that were new; the next answer builds on them."""
    duplicates: int
    """Events that were known already, by their id."""
    model: str = Field(examples=["recommendation/1"])
    """The first of `models`."""
    models: list[str]
    """The versions that took events, in the order of the events."""


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


class TaskHealth(Answer):
    """Whether one task can be answered."""

    alias: str = Field(examples=["recommendation/champion"])
    model: str | None = Field(examples=["recommendation/1"])
    """The version in service."""
    problem: str | None
    """Why what the alias points at is not in service, if so; the model that was stays in service."""


class HealthAnswer(TaskHealth):
    """Whether the endpoint can answer. `alias`, `model` and `problem` are those of the first task in service."""

    status: str = Field(examples=["ok"])
    """`ok`, or `no model` while nothing is promoted."""
    tasks: dict[str, TaskHealth]
    """Every task that is served as soon as something is promoted for it."""


class FieldProblem(Answer):
    """One thing that is wrong with a request."""

    type: str = Field(examples=["invalid_content"])
    loc: list[str | int] = Field(examples=[["body", "events", 0, "content"]])
    """Where: the path of the field."""
    msg: str


class ErrorAnswer(Answer):
    """Why a request was refused."""

    detail: str | list[FieldProblem]
