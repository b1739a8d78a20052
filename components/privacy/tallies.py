"""What a party computes on its own: the open model's scores of its users, ready to be added up.

The model comes whole from its own folder (weights, config, vocabulary), so nothing that it knows depends on whose
data it is tried on; only events and contents come from the party's folder. The scores are those of
`Task.evaluate` with full histories, per user or per example instead of per unit. Modules are imported for the task at
hand and without those for training, which take seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from components.errors import DataError
from components.privacy.totals import Tally

Part = Literal["validation", "test"]


def tallies_of(task: str, model: Path, data: Path, part: Part) -> dict[str, Tally]:
    """Evaluate the model in one folder on the users in another; return a tally for each group that has users.

    Raises `DataError` where the two do not fit together.
    """
    import torch

    torch.set_flush_denormal(True)
    try:
        return _TALLIES[task](model, data, part)
    finally:
        torch.set_flush_denormal(False)


def _recommendation(model: Path, folder: Path, part: Part) -> dict[str, Tally]:
    import torch

    from components.data.interactions import open_interactions
    from components.metrics.rows import FULL_HISTORY
    from components.privacy.user_scores import UserScorer
    from components.tasks.recommendation.evaluation import Examples, predict
    from components.tasks.recommendation.serving import load_servable

    servable, data = load_servable(model), open_interactions(folder)
    check_fit(data, servable.profile_fields, servable.item_ids)
    examples, users = Examples.of(data, part), len(data.user_ids)
    with torch.inference_mode():
        logits, top = predict(servable.model, data, examples, np.arange(users), FULL_HISTORY)
    scores, counts = UserScorer(data, examples).score(logits, top)
    tallies = {}
    for group, members in (("seen", ~data.unseen), ("unseen", data.unseen)):
        present = np.flatnonzero(members & (examples.part_start >= 0))
        if len(present):
            tallies[group] = Tally(
                present,
                {name: values[present] for name, values in scores.items()},
                {name: values[present] for name, values in counts.items()},
            )
    return tallies


def check_fit(data: Any, profile_fields: Mapping[str, Sequence[str]], item_ids: Sequence[str]) -> None:
    """Raise `DataError` unless a party's log has the profile fields and the items of a recommender."""
    _check_profiles(profile_fields, data)
    if list(item_ids) != data.item_ids:
        raise DataError(data.folder, "its items are not those that the model knows, in the same order")


def _question_answering(model: Path, folder: Path, part: Part) -> dict[str, Tally]:
    import torch

    from components.data.questions import open_questions
    from components.metrics.answers import score_answers
    from components.metrics.rows import FULL_HISTORY
    from components.tasks.question_answering.batches import Library
    from components.tasks.question_answering.evaluation import PARTS, predict
    from components.tasks.question_answering.serving import load_servable

    servable, data = load_servable(model), open_questions(folder)
    _check_profiles(servable.profile_fields, data)
    _check_styles(servable, data)
    asked = data.part[data.pair_question] == PARTS[part]
    pair = np.flatnonzero(asked & (data.drift_at[data.pair_user] < 0))
    if not len(pair):
        return {}
    library = Library.of(data, servable.vocabulary)
    own, passage = np.arange(len(data.user_ids)), data.passage_of.astype(np.int64)
    with torch.inference_mode():
        (answers,) = predict(servable.model, library, pair, own, passage, (FULL_HISTORY,))
    scores = score_answers(data, answers)
    scores.pop("adapted")  # of users who have changed their preference; none are among these
    return {"unseen": Tally(data.pair_user[pair], scores, {})}


def _captioning(model: Path, folder: Path, part: Part) -> dict[str, Tally]:
    from components.data.captions import open_captions
    from components.metrics.caption_judge import judge_of
    from components.metrics.captions import NAMED_STYLES, rubric
    from components.metrics.rows import FULL_HISTORY
    from components.tasks.captioning.batches import Library
    from components.tasks.captioning.evaluation import PARTS, controlled, predict
    from components.tasks.captioning.serving import load_servable

    servable, data = load_servable(model), open_captions(folder)
    _check_profiles(servable.profile_fields, data)
    _check_styles(servable, data)
    pair = np.flatnonzero(data.part[data.pair_image] == PARTS[part])
    pair = pair[data.drift_at[data.pair_user[pair]] < 0]
    if not len(pair):
        return {}
    library = Library.of(data, servable.vocabulary)
    reader, (shown,) = controlled(data, None)
    (texts,) = predict(servable.model, library, pair, (FULL_HISTORY,), reader, shown)
    user, image = data.pair_user[pair], data.pair_image[pair]
    wanted = data.preference[user, data.kind[image]].astype(np.int64)
    scores = rubric(data, user, image, texts)
    scores.pop("adapted")  # of users who have changed their preference; none are among these
    compared = judge_of(data.folder).compare(image, wanted, texts, (PARTS[part],))
    style = {
        name: wanted == data.styles.index(name) if name in data.styles else None for name in NAMED_STYLES
    }
    factual = style["factual"]
    scores |= {"cider": compared.cider, "rouge_l": compared.rouge_l}
    scores["cider_factual"] = np.where(factual if factual is not None else False, compared.cider, np.nan)
    counts = {"bleu": compared.statistics}
    for name, chosen in style.items():
        concerned = np.zeros(len(pair), bool) if chosen is None else chosen
        counts[f"bleu_{name}"] = np.where(concerned[:, None], compared.statistics, 0)
    return {"unseen": Tally(user, scores, counts)}


def _check_profiles(profile_fields: Mapping[str, Sequence[str]], data: Any) -> None:
    if {name: list(values) for name, values in profile_fields.items()} != data.profile_fields:
        raise DataError(data.folder, "its profile fields are not those that the model knows")


def _check_styles(servable: Any, data: Any) -> None:
    known = servable.vocabulary
    if (tuple(known.kinds), tuple(known.styles)) != (tuple(data.kinds), tuple(data.styles)):
        raise DataError(data.folder, "its kinds and styles are not those that the model knows")


_TALLIES: Mapping[str, Callable[[Path, Path, Part], dict[str, Tally]]] = {
    "recommendation": _recommendation,
    "question-answering": _question_answering,
    "captioning": _captioning,
}
