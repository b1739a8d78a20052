"""How much of a passage an answer takes, compared with what could have been taken.

Users who like different answers to the same question differ in nothing but this. All of it is read off the passage
and the kind of question, so it can be told of any answer without knowing which others were acceptable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data.questions import Questions

EXTENTS = 6
PRIOR_ANSWERS = 5
"""Answers of the mean length that every kind's own mean is shrunk by."""

Numbers = NDArray[np.float32]


def extent_of(
    start: int,
    end: int,
    sentence: NDArray[np.integer],
    clause_start: NDArray[np.bool_],
    clause_end: NDArray[np.bool_],
    usual_log_length: float,
) -> list[float]:
    """Describe the answer `start:end` in a passage whose tokens' sentences and clause cuts are given, [T] each.

    `usual_log_length` is what the log of a short answer's length in tokens usually is for this kind of question.
    """
    end = max(end, start + 1)
    begins, ends = np.flatnonzero(clause_start[: start + 1]), np.flatnonzero(clause_end[end - 1 :])
    clause_from = int(begins[-1]) if len(begins) else 0
    clause_to = end + int(ends[0]) if len(ends) else len(sentence)
    tokens = end - start
    in_sentence = int((sentence == sentence[start]).sum())
    begins_at_cut, ends_at_cut = bool(clause_start[start]), bool(clause_end[end - 1])
    return [
        np.log(tokens) - usual_log_length,
        begins_at_cut,
        ends_at_cut,
        tokens / max(1, in_sentence),
        np.log(tokens / (clause_to - clause_from)),
        begins_at_cut and ends_at_cut,
    ]


@dataclass(frozen=True)
class ExtentScale:
    """What is usual in training: how long short answers are, and mean and spread of extents."""

    log_length: Mapping[str, float]
    """Mean log of the length in tokens, by kind of question."""
    mean: tuple[float, ...]
    spread: tuple[float, ...]

    @classmethod
    def of(cls, data: Questions) -> "ExtentScale":
        """Measure the acceptable answers to training questions in every style."""
        training = np.flatnonzero(data.part == 0)
        length = np.log(np.maximum(1, data.answer_end[training, 0] - data.answer_start[training, 0]))
        overall = float(length.mean()) if len(length) else 0.0
        log_length = {}
        for number, kind in enumerate(data.kinds):
            of_kind = length[data.kind[training] == number]
            log_length[kind] = float(
                (of_kind.sum() + PRIOR_ANSWERS * overall) / (len(of_kind) + PRIOR_ANSWERS)
            )
        raw = cls(log_length, (0.0,) * EXTENTS, (1.0,) * EXTENTS)
        question = np.repeat(training, data.answer_start.shape[1])
        extents = raw.extents(
            data, question, data.answer_start[training].ravel(), data.answer_end[training].ravel()
        )
        spread = np.maximum(extents.std(axis=0), 1e-2)
        return cls(log_length, tuple(extents.mean(axis=0).tolist()), tuple(spread.tolist()))

    def scaled(self, extents: NDArray[np.floating]) -> Numbers:
        """Centre and scale extents (..., EXTENTS)."""
        return ((extents - np.array(self.mean)) / np.array(self.spread)).astype(np.float32)

    def extents(
        self,
        data: Questions,
        question: NDArray[np.integer],
        start: NDArray[np.integer],
        end: NDArray[np.integer],
    ) -> Numbers:
        """Describe answers (all [N]) to prepared questions: [N, EXTENTS], scaled."""
        usual = np.array([self.log_length[kind] for kind in data.kinds])
        rows = []
        for asked, first, last in zip(question.tolist(), start.tolist(), end.tolist(), strict=True):
            passage = data.passage_of[asked]
            tokens = slice(data.passage_offsets[passage], data.passage_offsets[passage + 1])
            rows.append(
                extent_of(
                    first,
                    last,
                    data.sentence[tokens],
                    data.clause_start[tokens],
                    data.clause_end[tokens],
                    usual[data.kind[asked]],
                )
            )
        return self.scaled(np.array(rows, np.float64).reshape(-1, EXTENTS))

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return {"log_length": dict(self.log_length), "mean": list(self.mean), "spread": list(self.spread)}

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> "ExtentScale":
        """Read what `as_json` returned."""
        return cls(dict(known["log_length"]), tuple(known["mean"]), tuple(known["spread"]))
