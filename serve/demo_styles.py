"""A demonstration over HTTP for tasks in which one output can have several styles: answers, and captions.

A newcomer likes some outputs in one style and dislikes some in another, and the outputs follow. The liked style is
the one that a newcomer gets least of, the disliked one that of which most, so the change goes against what the model
would say anyway. What is liked, disliked and asked comes from the model's prepared data set, whose styles are known.
"""

import io
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import numpy as np

from components.errors import AdaptuneError

ASKED = 24
"""How many questions or pictures are asked about, at most."""
POSTS = 6
"""How many likes, and how many dislikes, the newcomer posts."""
SECONDS_BETWEEN = 3600
OTHER = "other"

TRAINING, VALIDATION = 0, 1
"""Parts of a data set: events are about the first, questions and pictures are of the second."""


@dataclass(frozen=True)
class StyleShift:
    """Styles among the outputs for the newcomer before and after the posts."""

    model: str
    outputs: str
    """What they are: `answers` or `captions`."""
    liked: str
    disliked: str
    before: dict[str, int]
    after: dict[str, int]
    asked: str
    """One question or picture, …"""
    first: str
    """… what the newcomer was told at first …"""
    then: str
    """… and after the posts."""
    control_unchanged: bool


class Material(Protocol):
    """What a task brings to the demonstration."""

    outputs: str
    kind: str
    """Kind of its events."""
    styles: Sequence[str]
    asked: Sequence[str]
    """What is asked about, in words."""

    def ask(self, client: httpx.Client, user: str) -> list[dict[str, Any]]:
        """Ask about everything."""

    def styles_of(self, texts: Sequence[str]) -> list[str]:
        """Return the style of each output, in the order of what is asked about."""

    def contents(self, style: str, count: int) -> list[dict[str, Any]]:
        """Return contents of events about outputs in a style."""


def demonstrate_styles(client: httpx.Client, material: Material) -> StyleShift:
    """Let a newcomer post likes and dislikes to the endpoint, and measure what that does."""
    run = uuid.uuid4().hex[:8]
    newcomer, control = f"newcomer-{run}", f"control-{run}"
    first = material.ask(client, newcomer)
    control_first = material.ask(client, control)
    before = counted(material, first)
    by_share = sorted(material.styles, key=lambda style: before.get(style, 0))
    liked, disliked = by_share[0], by_share[-1]
    told = [
        (content, value)
        for pair in zip(material.contents(liked, POSTS), material.contents(disliked, POSTS), strict=True)
        for content, value in zip(pair, (1.0, -1.0), strict=True)
    ]
    start = int(time.time()) - SECONDS_BETWEEN * len(told)
    events = [
        {
            "id": str(number),
            "timestamp": start + SECONDS_BETWEEN * number,
            "content": content,
            "kind": material.kind,
            "value": value,
        }
        for number, (content, value) in enumerate(told)
    ]
    checked(client.post("/v1/events", json={"user": newcomer, "events": events}))
    then = material.ask(client, newcomer)
    styles = material.styles_of([each["text"] for each in then])
    texts = enumerate(zip(first, then, strict=True))
    changed = [place for place, (one, other) in texts if one["text"] != other["text"]]
    shown = next((place for place in changed if styles[place] == liked), changed[0] if changed else 0)
    return StyleShift(
        model=first[0]["model"],
        outputs=material.outputs,
        liked=liked,
        disliked=disliked,
        before=before,
        after=counted(material, then),
        asked=material.asked[shown],
        first=first[shown]["text"],
        then=then[shown]["text"],
        control_unchanged=material.ask(client, control) == control_first,
    )


def counted(material: Material, replies: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Return how many of the replies are in each style."""
    return dict(Counter(material.styles_of([reply["text"] for reply in replies])))


class Answers:
    """Questions of a prepared data set in which no two styles want the same answer."""

    outputs = "answers"

    def __init__(self, folder: Path) -> None:
        """Read the data set in `folder`."""
        from components.data.questions import Questions, open_questions

        self.kind = Questions.event_kind
        self._data = data = open_questions(folder)
        self.styles: Sequence[str] = data.styles
        spans = np.stack([data.answer_start, data.answer_end], axis=-1)
        pairs = [(one, other) for one in range(len(self.styles)) for other in range(one)]
        self._distinct = np.all([(spans[:, one] != spans[:, other]).any(-1) for one, other in pairs], axis=0)
        self._questions = _spread(np.flatnonzero(self._distinct & (data.part == VALIDATION)), ASKED, folder)
        self.asked: Sequence[str] = [data.question_text[question] for question in self._questions]

    def ask(self, client: httpx.Client, user: str) -> list[dict[str, Any]]:
        """Ask the questions."""
        data = self._data
        return [
            checked(
                client.post(
                    "/v1/answer",
                    json={
                        "user": user,
                        "question": data.question_text[question],
                        "passage": data.passage_text[data.passage_of[question]],
                    },
                )
            )
            for question in self._questions
        ]

    def styles_of(self, texts: Sequence[str]) -> list[str]:
        """Return the style in which each answer is the wanted one, if it is in any."""
        wanted = [
            {self._text(question, style): name for style, name in enumerate(self.styles)}
            for question in self._questions
        ]
        return [answers.get(text, OTHER) for answers, text in zip(wanted, texts, strict=True)]

    def contents(self, style: str, count: int) -> list[dict[str, Any]]:
        """Return events' contents about the answers in a style to training questions."""
        data, column = self._data, self.styles.index(style)
        contents = []
        for question in _spread(np.flatnonzero(self._distinct & (data.part == TRAINING)), count, data.folder):
            passage, start, end = self._span(question, column)
            first, last = data.span_characters(passage, start, end)
            shown = {"question": data.question_text[question], "passage": data.passage_text[passage]}
            contents.append(shown | {"start": first, "end": last})
        return contents

    def _span(self, question: int, style: int) -> tuple[int, int, int]:
        data = self._data
        place = int(data.answer_start[question, style]), int(data.answer_end[question, style])
        return int(data.passage_of[question]), *place

    def _text(self, question: int, style: int) -> str:
        return self._data.span_text(*self._span(question, style))


class Captions:
    """Pictures of a prepared data set, with the judge of styles that was fitted on its training captions."""

    outputs = "captions"

    def __init__(self, folder: Path) -> None:
        """Read the data set in `folder`."""
        from components.data.caption_styles import open_styles
        from components.data.captions import Captions, open_captions

        self.kind = Captions.event_kind
        self._data = data = open_captions(folder)
        self._judge = open_styles(folder)
        self.styles: Sequence[str] = data.styles
        self._images = _spread(np.flatnonzero(data.part == VALIDATION), ASKED, folder)
        self._files = [_png(data.pixels[image]) for image in self._images]
        self.asked: Sequence[str] = [data.image_names[image] for image in self._images]

    def ask(self, client: httpx.Client, user: str) -> list[dict[str, Any]]:
        """Upload the pictures."""
        return [
            checked(client.post("/v1/caption", data={"user": user}, files={"image": ("picture.png", file)}))
            for file in self._files
        ]

    def styles_of(self, texts: Sequence[str]) -> list[str]:
        """Return the style that the judge puts each caption in."""
        return [self.styles[style] for style in self._judge.classify(texts)]

    def contents(self, style: str, count: int) -> list[dict[str, Any]]:
        """Return events' contents about captions of training pictures in a style."""
        data, number = self._data, self.styles.index(style)
        images = np.flatnonzero(data.part == TRAINING)
        able = np.array([image for image in images if len(data.captions_of(int(image), number))])
        return [
            {
                "caption": data.caption_text[int(data.captions_of(image, number)[0])],
                "image": data.image_names[image],
            }
            for image in _spread(able, count, data.folder)
        ]


MATERIALS: dict[str, Callable[[Path], Material]] = {"answer": Answers, "caption": Captions}
"""What to demonstrate with, by what the models of a task do (`TaskInfo.servable`)."""


def checked(answer: httpx.Response) -> dict[str, Any]:
    """Return an answer's document. Raises `AdaptuneError` if it is an error."""
    if answer.is_error:
        path = answer.request.url.path
        raise AdaptuneError(f"{path}: the endpoint answered {answer.status_code}: {answer.text}")
    return answer.json()


def _spread(rows: np.ndarray, count: int, folder: Path) -> list[int]:
    """Return `count` of the rows, evenly spread, or all if there are fewer."""
    if len(rows) < POSTS:
        found = f"found {len(rows)}"
        raise AdaptuneError(f"{folder}: the demonstration needs {POSTS} examples of every style, {found}")
    return [int(row) for row in rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]]


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
