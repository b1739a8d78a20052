"""Evaluation of the captioning model: per picture, with full and with cut histories, and under the controls.

Users unseen in training look at pictures unseen in training. Where several pairs of user and picture come to the
same, such as users of whom nothing is known, the caption is written once.

Dimensions: N pairs of user and picture, X distinct cases, B pictures, Q cases of each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from components.data.captions import Captions
from components.data.simulation import preference_after
from components.data.splits import TEST, VALIDATION
from components.metrics.captions import caption_rows
from components.metrics.rows import FULL_HISTORY, concat_rows, mean_rows
from components.randomness import derive_seed
from components.tasks.captioning.batches import Library
from components.tasks.captioning.events import History
from components.tasks.captioning.model import CaptioningModel, Viewers

PARTS = {"validation": VALIDATION, "test": TEST}
HISTORY_CUTS = (0, 1, 2, 5, 20)
BATCH_CASES = 320
"""About so many captions are written at a time."""
OTHER_PICTURES = 6
"""For the control, each picture is taken for so many others in turn: with one, chance weighs as much as the model.

Their choice adds to the standard error of the difference: with 6, that of BLEU-4 is 4 % below that with 3, measured
on validation.
"""

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Cases:
    """What captions are asked for, [X] each: a picture, and somebody's stretch of history."""

    image: Indices
    user: Indices
    first: Indices
    """Number of the first event, among the user's own."""
    length: Indices
    style: Indices
    """The style that the user wants, for a model that is told."""

    def distinct(self, model: CaptioningModel, profile_UF: NDArray[np.int32]) -> tuple["Cases", Indices]:
        """Keep one of those that are the same to `model`, and say which one stands for each of these."""
        nothing = np.zeros_like(self.image)
        profiled = model.core is not None and len(model.core.profile) > 0
        reads = model.events is not None
        key = [
            self.image,
            np.where(self.length > 0, self.user + 1, 0) if reads else nothing,
            np.where(self.length > 0, self.first, 0) if reads else nothing,
            self.length if reads else nothing,
            self.style if model.told is not None else nothing,
            *(profile_UF[self.user].T if profiled else ()),
        ]
        _, chosen, stands = np.unique(np.stack(key), axis=1, return_index=True, return_inverse=True)
        return self.take(chosen), stands.reshape(-1)

    def take(self, rows: Indices) -> "Cases":
        """Select rows."""
        return Cases(self.image[rows], self.user[rows], self.first[rows], self.length[rows], self.style[rows])


def rows_of(
    model: CaptioningModel,
    library: Library,
    part: Literal["validation", "test"],
    control: str | None,
    slices: bool,
) -> pa.Table:
    """Return the evaluation rows of a part; see `components.tasks.protocol.Task.evaluate`."""
    data = library.data
    pair = np.flatnonzero(data.part[data.pair_image] == PARTS[part])
    if not slices:  # users who have changed their preference have rows in the slices only
        pair = pair[data.drift_at[data.pair_user[pair]] < 0]
    cuts = (FULL_HISTORY, *HISTORY_CUTS) if slices else (FULL_HISTORY,)
    reader, pictures = controlled(data, control)
    takes = []
    for shown in pictures:
        texts = predict(model, library, pair, cuts, reader, shown)
        takes.append(concat_rows([
            caption_rows(data, pair, written, cut, slices) for cut, written in zip(cuts, texts, strict=True)
        ]))  # fmt: skip
    return mean_rows(takes)


def controlled(data: Captions, control: str | None) -> tuple[Indices, list[Indices]]:
    """Return whose history each user is given, [U], and which picture each one is taken for, [I], in every take."""
    reader, own = np.arange(len(data.user_ids)), np.arange(len(data.image_names))
    if control == "shuffled-users":
        return data.another_user(), [own]
    if control == "shuffled-images":
        return reader, [another_image(data, turn) for turn in range(OTHER_PICTURES)]
    assert control is None, control
    return reader, [own]


def another_image(data: Captions, turn: int) -> Indices:
    """Take every picture for another one of the same part: `turn` + 1 further in an order that the data decides.

    A part of fewer pictures than turns repeats them; a part of one picture has no other.
    """
    shown = np.arange(len(data.image_names))
    generator = np.random.default_rng(derive_seed("shuffled-images", data.digest))
    for part in np.unique(data.part):
        order = generator.permutation(np.flatnonzero(data.part == part))
        shown[order] = np.roll(order, 1 + turn % max(1, len(order) - 1))
    return shown


def cases_of(data: Captions, pair: Indices, cut: int, reader: Indices, shown: Indices) -> Cases:
    """What is asked for with histories cut to `cut` events.

    Of a user whose preference has changed, the events before the change count as long known: the cut is of those
    after it.
    """
    user = reader[data.pair_user[pair]]
    available = np.diff(data.event_offsets)[user]
    before = data.drift_at[user].astype(np.int64)
    drifted = before >= 0
    length = available if cut == FULL_HISTORY else np.minimum(available, cut)
    since = available if cut == FULL_HISTORY else np.minimum(available, before + cut)
    wanted = preference_after(data.preference, data.preference_before, data.drift_at, user, available)
    style = wanted[np.arange(len(user)), data.kind[data.pair_image[pair]]]
    return Cases(
        image=shown[data.pair_image[pair]],
        user=user,
        first=np.where(drifted, 0, available - length),
        length=np.where(drifted, since, length),
        style=style.astype(np.int64),
    )


def predict(
    model: CaptioningModel,
    library: Library,
    pair: Indices,
    cuts: tuple[int, ...],
    reader: Indices,
    shown: Indices,
) -> list[list[str]]:
    """Caption the pictures of pairs under each cut of the history: [N] texts each."""
    data = library.data
    each = [cases_of(data, pair, cut, reader, shown) for cut in cuts]
    every = Cases(
        *(np.concatenate(parts) for parts in zip(*(vars(one).values() for one in each), strict=True))
    )
    cases, stands = every.distinct(model, data.profile)
    was_training = model.training
    model.eval()
    texts = [""] * len(cases.image)
    with torch.inference_mode():
        for place_BQ in _batches(cases):
            for place, text in zip(place_BQ.ravel(), _write(model, library, cases, place_BQ), strict=True):
                texts[place] = text
    model.train(was_training)
    return [[texts[case] for case in part] for part in np.split(stands, len(cuts))]


def _write(model: CaptioningModel, library: Library, cases: Cases, place_BQ: Indices) -> list[str]:
    """Write the captions of a batch of cases, picture by picture."""
    device = next(model.parameters()).device
    chosen = cases.take(place_BQ.ravel())
    picture = model.see(library.images(cases.image[place_BQ[:, 0]]).to(device))
    viewers = _viewers(library, chosen, device)
    user = model.users(picture, viewers)
    written = model.write(picture, user, model.nobody(picture, viewers.profile_NF))
    words = written.word_BQT.expand(*place_BQ.shape, -1).flatten(0, 1)
    return [library.vocabulary.text(row) for row in words.tolist()]


def _viewers(library: Library, cases: Cases, device: torch.device) -> Viewers:
    """Those stretches of the users' histories."""
    step = np.arange(max(1, int(cases.length.max(initial=0))))
    first = library.log.offsets[cases.user] + cases.first
    row = first[:, None] + np.minimum(step, np.maximum(cases.length, 1)[:, None] - 1)
    viewers = library.viewers(row, cases.length, cases.user, cases.style)
    history = History(*(field.to(device) for field in viewers.history))
    return Viewers(history, *(field.to(device) for field in viewers[1:]))


def _batches(cases: Cases) -> Iterator[Indices]:
    """Yield places in `cases` (B, Q) by picture; cases repeat where a picture has fewer."""
    places = np.argsort(cases.image, kind="stable")
    _, count = np.unique(cases.image, return_counts=True)
    first = np.cumsum(count) - count
    order = np.argsort(count, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, BATCH_CASES // int(count[order[start]]))
        chosen = order[start : start + size]
        start += len(chosen)
        step = np.arange(int(count[chosen].max()))
        yield places[first[chosen][:, None] + np.minimum(step, count[chosen][:, None] - 1)]
