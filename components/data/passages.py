"""Texts of question answering cut up: tokens, sentences, clauses, the kind of a question, where an answer stands."""

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import regex
from numpy.typing import NDArray

VERSION = 2
"""Raised whenever the same text is cut differently."""

KINDS = ("who", "when", "where", "which", "what", "how many", "how", "why", "other")
"""Kinds of question."""

LEAST_CLAUSE = 4
"""Words that a clause between commas or at a conjunction must have; a shorter one joins its neighbour."""

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
# Numbers, words and single signs. What is written without spaces between words is cut into its characters. A letter
# keeps its combining marks, and the joiners of scripts that write with them.
_TOKEN = regex.compile(
    rf"""\d+(?:[.,]\d+)*
    | [\p{{L}}&&{_UNSPACED}]\p{{M}}*
    | (?:[[\p{{L}}\p{{Nl}}\p{{No}}]--{_UNSPACED}][\p{{M}}\u200c\u200d]*)+
    | [^\s\x1c-\x1f]\p{{M}}*""",
    regex.V1 | regex.VERBOSE,
)
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr st jr sr prof gen col lt sgt rev hon no vs "
    "etc e.g i.e al approx ca inc ltd co corp mt ft fig vol pp".split()
)
# Possessive, and only from the first sign of a run on, so that long runs of signs take no time squared.
_STOP = re.compile(r"(?<![.!?])[.!?]++[\"'”’)\]]*+(?=\s++[\"'“‘(\[]?[A-Z0-9])|\n+")  # noqa: RUF001
_STRONG = frozenset(";:()[]–—")  # noqa: RUF001
_CONJUNCTIONS = frozenset(
    "because although though whereas while unless until if so which who whom whose where when".split()
)
_KIND_WORDS = (
    ("when", re.compile(r"\b(when|(?:what|which) (?:year|date|day|month|century|decade|time))\b")),
    (
        "how many",
        re.compile(
            r"\bhow (?:many|much|long|far|old|large|big|tall|high|deep|often|fast|wide)\b|\bwhat percent"
        ),
    ),
    ("who", re.compile(r"\b(?:who|whom|whose)\b")),
    ("where", re.compile(r"\bwhere\b")),
    ("why", re.compile(r"\bwhy\b")),
    ("which", re.compile(r"\bwhich\b")),
    ("how", re.compile(r"\bhow\b")),
    ("what", re.compile(r"\bwhat\b")),
)


@dataclass(frozen=True)
class Question:
    """A question as published."""

    id: str
    text: str
    answers: tuple[tuple[str, int], ...]
    """Each reference answer, and the character that it is said to begin at, which is sometimes wrong."""


@dataclass(frozen=True)
class Passage:
    """A paragraph as published, and what is asked about it."""

    article: str
    text: str
    questions: tuple[Question, ...] = field(default=())

    @cached_property
    def tokens(self) -> "Tokens":
        """Its text, cut up."""
        return Tokens(self.text)

    def misplaced(self) -> dict[str, int]:
        """Count each question's answers whose text does not begin at their character; by id, those with any."""
        wrong = {
            question.id: sum(not self.text.startswith(text, marked) for text, marked in question.answers)
            for question in self.questions
        }
        return {name: count for name, count in wrong.items() if count}


class Tokens:
    """The T tokens of a text: words, numbers and single signs, with their sentences and clauses."""

    def __init__(self, text: str) -> None:
        found = list(_TOKEN.finditer(text))
        self.text = text
        self.words = [match.group() for match in found]
        self.start = np.array([match.start() for match in found], np.int32)
        """[T] first character of each token."""
        self.end = np.array([match.end() for match in found], np.int32)
        """[T] the character after its last."""

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def _bounds(self) -> tuple[set[int], set[int]]:
        return set(self.start.tolist()), set(self.end.tolist())

    @cached_property
    def sentence(self) -> NDArray[np.int32]:
        """[T] number of each token's sentence, from 0."""
        ends = [match.end() for match in _STOP.finditer(self.text) if not self._is_abbreviation(match)]
        number = np.searchsorted(np.array(ends, np.int64), self.start, side="right")
        return np.unique(number, return_inverse=True)[1].astype(
            np.int32
        )  # a sentence without tokens counts not

    def _is_abbreviation(self, match: re.Match[str]) -> bool:
        if match.group() != ".":
            return False
        last = match.start() - self.text.endswith("\n", 0, match.start())
        first = last
        while first > 0 and not (self.text[first - 1].isspace() or self.text[first - 1] in "(["):
            first -= 1
        word = self.text[first:last]
        return word.lower() in _ABBREVIATIONS or bool(re.fullmatch(r"(?:[A-Z]\.)*[A-Z]", word))

    @cached_property
    def clauses(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """[T], [T] whether a clause begins at, or ends with, each token.

        Sentence ends, semicolons, colons, brackets and dashes always divide; a comma, or a conjunction that opens a
        clause, divides where both sides have `LEAST_CLAUSE` words. The signs between clauses belong to none.
        """
        begins, ends = np.zeros(len(self), bool), np.zeros(len(self), bool)
        words = np.cumsum([0, *(word[0].isalnum() for word in self.words)])
        for first, last in self._segments():
            start = first
            for place in range(first + 1, last):
                word = self.words[place]
                follows_comma = self.words[place - 1] == ","
                cuts = word == "," or (word.lower() in _CONJUNCTIONS and not follows_comma)
                if cuts and min(words[place] - words[start], words[last] - words[place]) >= LEAST_CLAUSE:
                    self._mark(begins, ends, start, place)
                    start = place
            self._mark(begins, ends, start, last)
        return begins, ends

    def _segments(self) -> list[tuple[int, int]]:
        """Divide the tokens where sentences and strong signs do; the signs themselves are left out."""
        segments, first = [], 0
        sentence = self.sentence.tolist()
        for place in range(len(self) + 1):
            over = place == len(self)
            strong = not over and self.words[place] in _STRONG
            if over or strong or (place > first and sentence[place] != sentence[place - 1]):
                segments.append((first, place))
                first = place + 1 if strong else place
        return [segment for segment in segments if segment[0] < segment[1]]

    def _mark(self, begins: NDArray[np.bool_], ends: NDArray[np.bool_], first: int, last: int) -> None:
        """Mark a clause, without the signs around it."""
        while first < last and not self.words[first][0].isalnum():
            first += 1
        while first < last and not self.words[last - 1][0].isalnum():
            last -= 1
        if first < last:
            begins[first] = ends[last - 1] = True

    def locate(self, answer: str, marked: int) -> tuple[int, int] | None:
        """Find the tokens (first, after the last) of the answer's occurrence nearest to character `marked`.

        Occurrences that begin and end with a token are preferred: `art` is no answer inside `party`.
        """
        places = [match.start() for match in re.finditer(f"(?={re.escape(answer)})", self.text)]
        starts, ends = self._bounds
        whole = [place for place in places if place in starts and place + len(answer) in ends]
        if not places:
            return None
        place = min(whole or places, key=lambda each: (abs(each - marked), each))
        first = int(np.searchsorted(self.end, place, side="right"))
        last = int(np.searchsorted(self.start, place + len(answer), side="left"))
        return (first, last) if first < last else None

    def clause_around(self, first: int, last: int) -> tuple[int, int]:
        """Widen tokens `first:last` to the clause, or the clauses, that they stand in."""
        return clause_around(*self.clauses, first, last)


def clause_around(
    begins: NDArray[np.bool_], ends: NDArray[np.bool_], first: int, last: int
) -> tuple[int, int]:
    """Widen tokens `first:last` of a text to the clause, or the clauses, that they stand in; as `Tokens.clauses`."""
    before = np.flatnonzero(begins[: first + 1])
    after = np.flatnonzero(ends[last - 1 :])
    start = int(before[-1]) if len(before) else first
    end = int(after[0]) + last if len(after) else last
    if ends[start:first].any():  # the answer begins with a sign that lies between two clauses
        start = first
    if begins[last:end].any():
        end = last
    return start, end


def kind_of(question: str) -> int:
    """Return the index into `KINDS` of a question: the question word that stands first decides."""
    text = question.lower()
    found = [
        (match.start(), order, kind)
        for order, (kind, pattern) in enumerate(_KIND_WORDS)
        if (match := pattern.search(text))
    ]
    return KINDS.index(min(found)[2] if found else "other")
