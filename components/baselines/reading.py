"""The evaluation rows of what any question answering model must beat, and of what is told a part of the truth.

`lexical` finds the sentence that shares the rarest words with the question and answers with the stretch of other
words in it that suits the question word best; `lexical-told` also knows which style its user wants. The rows
`style-...` are told the right answer and give it to everybody in one style: how far reading alone gets, without
knowing the user.

Q questions asked, N pairs, T tokens of a passage, W words.
"""

import re
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.data.passages import clause_around
from components.data.questions import Questions
from components.data.splits import TEST, TRAIN, VALIDATION
from components.metrics.answers import CLAUSE, Answers, answer_rows
from components.metrics.rows import FULL_HISTORY
from components.tasks.question_answering.vocabulary import MONTHS

PARTS = {"validation": VALIDATION, "test": TEST}
LEXICAL, TOLD = "lexical", "lexical-told"
STYLE = "style-"

REACH = 10.0
"""Tokens at which the nearness of a matched word counts half of what it does beside it."""
SUITS = 3.0
"""How much a stretch of the kind that the question asks for outweighs others."""

_SUFFIX = re.compile(r"(?<=\w{3})(?:'s|ing|ed|es|s|ly|e)$")
_NUMBER = re.compile(
    r"\d|^(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million|half)$"
)
_TIME = re.compile(rf"^(?:1[0-9]{{3}}|20[0-9]{{2}}|{'|'.join(sorted(MONTHS))})$")
_LITTLE = frozenset(
    (
        *(
            "a",
            "an",
            "the",
            "of",
            "in",
            "on",
            "at",
            "to",
            "by",
            "for",
            "with",
            "from",
            "as",
            "and",
            "or",
            "but",
            "that",
        ),
        *(
            "is",
            "are",
            "was",
            "were",
            "be",
            "been",
            "has",
            "have",
            "had",
            "did",
            "do",
            "does",
            "it",
            "its",
            "this",
        ),
        *(
            "what",
            "which",
            "who",
            "whom",
            "whose",
            "where",
            "when",
            "why",
            "how",
            "many",
            "much",
            "which",
            "there",
        ),
    )
)

Indices = NDArray[np.integer]


def trivial_rows(name: str, data: Questions, part: Literal["validation", "test"]) -> pa.Table:
    """Evaluate the row `name` on the pairs of a part, in all groups."""
    pair = np.flatnonzero(data.part[data.pair_question] == PARTS[part])
    asked, place = np.unique(data.pair_question[pair], return_inverse=True)
    if name.startswith(STYLE):
        style = data.styles.index(name.removeprefix(STYLE))
        start, end = (bounds[asked, style][place] for bounds in (data.answer_start, data.answer_end))
    else:
        spans = _Lexical(data).spans(asked)
        start, end = spans[place, 0], spans[place, 1]
        if name == TOLD:
            wanted = data.preference[data.pair_user[pair], data.kind[data.pair_question[pair]]]
            wide = np.array([_widened(data, *span) for span in zip(asked, *spans.T, strict=True)])[place]
            whole = wanted == data.styles.index(CLAUSE)
            start, end = np.where(whole, wide[:, 0], start), np.where(whole, wide[:, 1], end)
    read = data.passage_of[data.pair_question[pair]]
    return answer_rows(data, Answers(pair, start, end, read), FULL_HISTORY, slices=True)


def _widened(data: Questions, question: int, start: int, end: int) -> tuple[int, int]:
    tokens = _tokens(data, question)
    return clause_around(data.clause_start[tokens], data.clause_end[tokens], start, end)


def _tokens(data: Questions, question: int) -> slice:
    passage = data.passage_of[question]
    return slice(int(data.passage_offsets[passage]), int(data.passage_offsets[passage + 1]))


class _Lexical:
    """Answers by word overlap; the rarity of words is counted in the passages of the training part."""

    def __init__(self, data: Questions) -> None:
        self.data = data
        stems: dict[str, int] = {}
        lower = [word.lower() for word in data.words]
        self.stem_W = np.array([stems.setdefault(_SUFFIX.sub("", word), len(stems)) for word in lower])
        self.little_W = np.array([word in _LITTLE or not word[0].isalnum() for word in lower])
        self.number_W = np.array([bool(_NUMBER.search(word)) for word in lower])
        self.time_W = np.array([bool(_TIME.search(word)) for word in lower])
        self.name_W = np.array([word[0].isupper() for word in data.words])
        passages = np.unique(data.passage_of[data.part == TRAIN])
        count = np.zeros(len(stems))
        for passage in passages:
            first, last = data.passage_offsets[passage : passage + 2]
            count[np.unique(self.stem_W[data.passage_word[first:last]])] += 1
        self.rarity = np.log((1 + len(passages)) / (1 + count))

    def spans(self, questions: Indices) -> NDArray[np.int64]:
        """Answer questions, [Q, 2]: first token, counted inside the passage, and the one after the last."""
        return np.array([self._span(int(question)) for question in questions], np.int64).reshape(-1, 2)

    def _span(self, question: int) -> tuple[int, int]:
        data, here = self.data, _tokens(self.data, question)
        word_T, sentence_T = data.passage_word[here], data.sentence[here]
        asked = data.question_word[data.question_offsets[question] : data.question_offsets[question + 1]]
        asked = np.unique(self.stem_W[asked[~self.little_W[asked]]])
        stem_T = self.stem_W[word_T]
        match_T = np.isin(stem_T, asked)
        score = np.zeros(int(sentence_T[-1]) + 1)
        pairs = np.unique(np.stack([sentence_T[match_T], stem_T[match_T]]), axis=1)
        np.add.at(score, pairs[0], self.rarity[pairs[1]])
        inside_T = sentence_T == int(np.argmax(score))
        return self._best_stretch(word_T, match_T & inside_T, inside_T, data.kinds[data.kind[question]])

    def _best_stretch(
        self, word_T: Indices, match_T: NDArray[np.bool_], inside_T: NDArray[np.bool_], kind: str
    ) -> tuple[int, int]:
        """Choose among the maximal stretches of words that are neither little nor in the question."""
        free_T = inside_T & ~match_T & ~self.little_W[word_T]
        suits_T = self._suiting(word_T, kind) & free_T
        if kind in ("who", "where", "when", "how many") and suits_T.any():
            free_T = suits_T
        edges = np.flatnonzero(np.diff(np.concatenate([[False], free_T, [False]]).astype(np.int8)))
        stretches = edges.reshape(-1, 2)
        if not len(stretches):
            whole = np.flatnonzero(inside_T)
            return int(whole[0]), int(whole[-1]) + 1
        matched = np.flatnonzero(match_T)
        scores = []
        for start, end in stretches:
            gaps = np.abs(matched - np.clip(matched, start, end - 1))
            near = (self.rarity[self.stem_W[word_T[matched]]] / (1 + gaps / REACH)).sum()
            scores.append(near + SUITS * suits_T[start:end].any())
        start, end = stretches[int(np.argmax(scores))]
        return int(start), int(end)

    def _suiting(self, word_T: Indices, kind: str) -> NDArray[np.bool_]:
        if kind == "how many":
            return self.number_W[word_T]
        if kind == "when":
            return self.time_W[word_T] | self.number_W[word_T]
        return self.name_W[word_T]
