"""What the reader knows of words beside learned parameters; from training passages and questions alone.

`Vocabulary` is built from prepared questions, or read back from what `write` left beside a model's weights.

Dimensions: W distinct word forms, C characters, S shape features.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data import passages
from components.data.questions import Questions
from components.tasks.question_answering.extents import ExtentScale

LEAST_COUNT = 2
"""Words that training shows less often share one vector, the one of unknown words."""
FIRST_CHARACTERS, LAST_CHARACTERS = 8, 6
"""Of a longer word, so many characters of its beginning and of its end are read."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?-'\"()[]/&%$£€"
NUMBER_WORDS = frozenset((
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty",
    "thirty", "forty", "fifty", "hundred", "thousand", "million", "billion", "half", "first", "second", "third",
))  # fmt: skip
MONTHS = frozenset((
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
))  # fmt: skip
SUFFIX = re.compile(r"(?:'s|ings?|edly|ed|ies|es|s|ly|ions?|ments?|al|er|ers|or|ors|e|y)$")
LEAST_STEM = 3
SHAPES = 9

Indices = NDArray[np.int64]
Numbers = NDArray[np.float32]


class Lexicon(NamedTuple):
    """Tables over word forms."""

    word_W: Indices
    """Number of the lower-cased word; 0 is unknown."""
    character_WC: Indices
    """Numbers of characters, 0 is padding."""
    lower_W: Indices
    """Equal for forms that differ in case only."""
    stem_W: Indices
    """Equal for forms of the same stem."""
    rarity_W: Numbers
    """Scaled inverse passage frequency of the stem, 0 (in every passage, or punctuation) to 1 (in none)."""
    shape_WS: Numbers


def stem(word: str) -> str:
    """Cut the ending off a word, crudely: enough to see that `invented` and `inventor` belong together."""
    lower = word.lower()
    for _ in range(2):
        shorter = SUFFIX.sub("", lower)
        if len(shorter) < LEAST_STEM or any(character.isdigit() for character in shorter):
            break
        lower = shorter
    return lower


@dataclass(frozen=True)
class Vocabulary:
    """Known words, how rare stems are, and what is usual for an answer."""

    words: list[str]
    """Lower-cased; number 0 of the reader's table is kept for unknown words, so word i has number i + 1."""
    stem_rarity: Mapping[str, float]
    kinds: tuple[str, ...]
    styles: tuple[str, ...]
    profile_fields: Mapping[str, list[str]]
    extent_scale: ExtentScale

    @classmethod
    def of(cls, data: Questions) -> "Vocabulary":
        """Collect the words of training questions and of the passages that they are about."""
        training = np.flatnonzero(data.part == 0)
        passages = np.unique(data.passage_of[training])
        count: Counter[int] = Counter()
        containing: Counter[str] = Counter()
        stems = [stem(word) for word in data.words]
        for passage in passages:
            forms = data.passage_word[data.passage_offsets[passage] : data.passage_offsets[passage + 1]]
            count.update(forms.tolist())
            containing.update({stems[form] for form in np.unique(forms)})
        for question in training:
            forms = data.question_word[data.question_offsets[question] : data.question_offsets[question + 1]]
            count.update(forms.tolist())
        lower: Counter[str] = Counter()
        for form, times in count.items():
            lower[data.words[form].lower()] += times
        most = np.log(len(passages) + 1)
        rarity = {name: float(np.log((len(passages) + 1) / (found + 1)) / most)
                  for name, found in sorted(containing.items())}  # fmt: skip
        return cls(
            words=sorted(word for word, times in lower.items() if times >= LEAST_COUNT),
            stem_rarity=rarity,
            kinds=data.kinds,
            styles=data.styles,
            profile_fields=data.profile_fields,
            extent_scale=ExtentScale.of(data),
        )

    @cached_property
    def _number(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=1)}

    def lexicon(self, forms: Sequence[str]) -> Lexicon:
        """Look word forms up. Numbers of stems and lower-cased forms mean something within this lexicon only."""
        lower = [form.lower() for form in forms]
        stems = [stem(form) for form in forms]
        rarity = [self.stem_rarity.get(name, 1.0) if any(map(str.isalnum, name)) else 0.0 for name in stems]
        return Lexicon(
            np.array([self._number.get(word, 0) for word in lower], np.int64),
            np.array([_characters(form) for form in forms], np.int64).reshape(
                len(forms), FIRST_CHARACTERS + LAST_CHARACTERS
            ),
            _numbered(lower),
            _numbered(stems),
            np.array(rarity, np.float32),
            np.array([_shape(form) for form in forms], np.float32).reshape(len(forms), SHAPES),
        )

    def write(self, folder: Path) -> None:
        """Write `words.arrow`, `stems.arrow` and `vocabulary.json`."""
        tables = {
            "words": pa.table({"word": self.words}),
            "stems": pa.table({
                "stem": list(self.stem_rarity),
                "rarity": pa.array(self.stem_rarity.values(), pa.float64()),
            }),
        }  # fmt: skip
        for name, table in tables.items():
            path = folder / f"{name}.arrow"
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        known = {
            "kinds": self.kinds,
            "styles": self.styles,
            "profile_fields": self.profile_fields,
            "extent_scale": self.extent_scale.as_json(),
            "passages_version": passages.VERSION,
        }
        (folder / "vocabulary.json").write_text(
            json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8"
        )

    @classmethod
    def read(cls, folder: Path) -> "Vocabulary":
        """Read what `write` wrote; ValueError if texts were cut into other tokens then."""
        words, stems = (
            pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))).read_all()
            for name in ("words", "stems")
        )
        known = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        if known.get("passages_version") != passages.VERSION:
            raise ValueError("texts were cut into tokens in another way when it was trained")
        return cls(
            words=words["word"].to_pylist(),
            stem_rarity=dict(zip(stems["stem"].to_pylist(), stems["rarity"].to_pylist(), strict=True)),
            kinds=tuple(known["kinds"]),
            styles=tuple(known["styles"]),
            profile_fields=known["profile_fields"],
            extent_scale=ExtentScale.from_json(known["extent_scale"]),
        )


def _numbered(names: Iterable[str]) -> Indices:
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], np.int64)


_CHARACTER = {character: number for number, character in enumerate(CHARACTERS, start=2)}


def _characters(form: str) -> list[int]:
    most = FIRST_CHARACTERS + LAST_CHARACTERS
    shown = form if len(form) <= most else form[:FIRST_CHARACTERS] + form[-LAST_CHARACTERS:]
    return [_CHARACTER.get(character, 1) for character in shown] + [0] * (most - len(shown))


def _shape(form: str) -> list[bool]:
    """What a word looks like: case, digits, punctuation."""
    lower = form.lower()
    digits = any(character.isdigit() for character in form)
    return [
        form[:1].isupper(),
        len(form) > 1 and form.isupper(),
        digits,
        len(form) == 4 and form.isdigit() and form[0] in "12",
        digits and not form.isdigit(),
        lower in NUMBER_WORDS,
        lower in MONTHS,
        not any(map(str.isalnum, form)),
        len(form) <= 3,
    ]
