"""Evaluation of the recommendation model: per user, with full and with cut histories, and with another user's.

Every example is predicted from a state that holds strictly earlier events only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from components.baselines.bias import event_users, part_start, training_events
from components.data.interactions import Interactions
from components.metrics.classification import per_user_auc, per_user_classification
from components.metrics.ranking import CUTOFF, ranking_metrics, satisfaction
from components.metrics.rows import FULL_HISTORY, concat_rows, evaluation_rows
from components.personalization.events import Encoded, State
from components.randomness import derive_seed
from components.tasks.recommendation.batches import History, gather_history, stretch_rows
from components.tasks.recommendation.items import ItemTable
from components.tasks.recommendation.lists import ListMetrics
from components.tasks.recommendation.model import RecommendationModel
from components.tasks.recommendation.ranking import rank, ranking_scores

PARTS = {"validation": 1, "test": 2}
HISTORY_CUTS = (0, 1, 2, 5, 20)
BATCH_EVENTS = 4_096
"""Padded events a batch, about; long histories come in smaller batches."""
BATCH_USERS = 64

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """The N events of a part, in the log's order; `row` is an event's place in the log."""

    row: Indices
    user: Indices
    before: Indices
    part_start: Indices
    """[U] how many events each user had before the part began; -1 for users without examples."""

    @classmethod
    def of(cls, data: Interactions, part: Literal["validation", "test"]) -> "Examples":
        """Collect a part's examples."""
        row = np.flatnonzero(data.part == PARTS[part])
        start = part_start(data, PARTS[part])
        return cls(row, event_users(data)[row], data.before[row].astype(np.int64), start)


class Stretch(NamedTuple):
    """One history to encode and what is asked of it: examples `first:last`, and a ranking after `ranked` events."""

    start: Indices
    length: Indices
    reader: Indices
    """The user whose profile counts."""
    user: Indices
    """The user who is predicted."""
    first: Indices
    last: Indices
    ranked: Indices
    """-1: no ranking asked."""


def rows_of(
    model: RecommendationModel,
    data: Interactions,
    part: Literal["validation", "test"],
    control: str | None,
    slices: bool,
) -> pa.Table:
    """Return the evaluation rows of a part; see `components.tasks.protocol.Task.evaluate`."""
    examples = Examples.of(data, part)
    reader = np.arange(len(data.user_ids))
    if control is not None:
        assert control == "shuffled-users", control
        reader = another_user(data, examples.part_start >= 0)
    was_training = model.training
    model.eval()
    cuts = (FULL_HISTORY, *HISTORY_CUTS) if slices else (FULL_HISTORY,)
    list_metrics = ListMetrics.of(data, PARTS[part])
    with torch.inference_mode():
        table = model.items()
        tables = [_slice(model, data, examples, reader, cut, list_metrics, table) for cut in cuts]
    model.train(was_training)
    return concat_rows(tables)


def another_user(data: Interactions, present: NDArray[np.bool_]) -> Indices:
    """Assign every present user the history and profile of another one, seen to seen and unseen to unseen.

    A cycle through each group in an order that depends on the data alone.
    """
    reader = np.arange(len(data.user_ids))
    generator = np.random.default_rng(derive_seed("shuffled-users", data.digest))
    for group in (data.unseen, ~data.unseen):
        users = generator.permutation(np.flatnonzero(present & group))
        reader[users] = np.roll(users, 1)
    return reader


def _slice(
    model: RecommendationModel,
    data: Interactions,
    examples: Examples,
    reader: Indices,
    cut: int,
    list_metrics: ListMetrics,
    table: ItemTable,
) -> pa.Table:
    logits, top = predict(model, data, examples, reader, cut, table)
    users = len(data.user_ids)
    present = np.flatnonzero(examples.part_start >= 0)
    like, value, item = data.like[examples.row], data.value[examples.row], data.content[examples.row]
    probability = 1 / (1 + np.exp(-logits))
    metrics = per_user_classification(examples.user, probability, like, users)
    bounds = np.searchsorted(examples.user, np.arange(users + 1))
    relevant = [np.unique(item[bounds[user] : bounds[user + 1]]) for user in range(users)]
    metrics |= ranking_metrics(top, relevant)
    metrics["satisfaction"] = satisfaction(examples.user, logits, value, users)
    metrics |= list_metrics(top)
    metrics |= cold_items(model, data, examples, reader, cut, table)
    group = np.where(data.unseen[present], "unseen", "seen")
    return evaluation_rows(
        [data.user_ids[user] for user in present],
        group.tolist(),
        cut,
        np.diff(bounds)[present],
        {name: values[present] for name, values in metrics.items()},
    )


def predict(
    model: RecommendationModel,
    data: Interactions,
    examples: Examples,
    reader: Indices,
    cut: int,
    table: ItemTable | None = None,
) -> tuple[NDArray[np.float64], Indices]:
    """Return the like logits of the examples, [N], and each user's top items at the part's start, [U, 10].

    Users without examples, and places that no item is left for, hold -1. `table` is the encoded catalogue, if it is
    at hand.
    """
    logits = np.zeros(len(examples.row))
    top = np.full((len(data.user_ids), CUTOFF), -1, np.int64)
    table = model.items() if table is None else table
    device = table.content_IC.device
    for batch in in_batches(_stretches(data, examples, reader, cut)):
        source, profile = _encode(model, table, data, batch)
        before, item, index, asked = questions(data, examples, batch, device)
        reading = model.read(source, profile, before)
        answer = model.like_logits(table, source, reading, item, before).expand(item.shape)
        logits[index[asked]] = answer.cpu().numpy()[asked]

        ranked = np.flatnonzero(batch.ranked >= 0)
        if len(ranked):
            users = batch.user[ranked]
            top[users] = top_items(
                model, table, source, batch, ranked, profile[ranked], met_before(data, examples, users)
            )
    return logits, top


def cold_items(
    model: RecommendationModel,
    data: Interactions,
    examples: Examples,
    reader: Indices,
    cut: int,
    table: ItemTable | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Measure how the cold items that users turn to are ranked at the part's start, [U] each.

    Cold is an item without a training event of a seen user: a model knows its content alone. `auc_cold` is the chance
    that one stands above another cold item that the user has not met, and `ndcg_cold@10` the gain of a list of cold
    items alone; both rank them as all items are. `rank_cold` is the share of all items not met whose ranking logit
    is higher, an equal one counting half: the like probability has its say on the few best alone. NaN for users
    without an example of a cold item. `table` is the encoded catalogue, if it is at hand.
    """
    table = model.items() if table is None else table
    users, items = len(data.user_ids), len(data.item_ids)
    cold = np.bincount(data.content[training_events(data)], minlength=items) == 0
    of_cold = cold[data.content[examples.row]]
    turned_to = np.unique(examples.user[of_cold] * items + data.content[examples.row[of_cold]])
    stretches = _stretches(data, examples, reader, cut)
    chosen = np.isin(stretches.user, examples.user[of_cold]) & (stretches.ranked >= 0)
    place, score = [np.empty(0, np.int64)], [np.empty(0)]
    top, above = np.full((users, CUTOFF), -1, np.int64), np.full(users, np.nan)
    for batch in in_batches(Stretch(*(field[chosen] for field in stretches))):
        source, profile = _encode(model, table, data, batch)
        state = state_before(model, source, batch.ranked, np.arange(len(batch.user)))
        new_BI = np.ones((len(batch.user), items), bool)
        for new_I, met in zip(new_BI, met_before(data, examples, batch.user), strict=True):
            new_I[met] = False
        left_BI = new_BI & cold
        most = max(1, int(left_BI.sum(axis=1).max()))
        ranking = rank(model, table, state, profile, [np.flatnonzero(~left_I) for left_I in left_BI], most)
        item_BK, score_BK = ranking.item_BK.cpu().numpy(), ranking.score_BK.cpu().numpy()
        score_BI = np.full(left_BI.shape, -np.inf)
        row, column = np.nonzero(item_BK >= 0)
        score_BI[row, item_BK[row, column]] = score_BK[row, column]
        row, item = np.nonzero(left_BI)
        place.append(batch.user[row] * items + item)
        score.append(score_BI[row, item])
        top[batch.user, : item_BK.shape[1]] = item_BK[:, :CUTOFF]
        logit_BI = ranking_scores(model, table, state, profile).expand(new_BI.shape).cpu().numpy()
        wanted_BI = np.isin(batch.user[:, None] * items + np.arange(items), turned_to) & new_BI
        for user, logit_I, new_I, wanted_I in zip(batch.user, logit_BI, new_BI, wanted_BI, strict=True):
            wanted, others = logit_I[wanted_I, None], logit_I[new_I]
            higher = (others > wanted).sum(-1) + ((others == wanted).sum(-1) - 1) / 2
            above[user] = (higher / max(1, len(others) - 1)).mean() if len(wanted) else np.nan
    where = np.concatenate(place)
    bounds = np.searchsorted(turned_to, np.arange(users + 1) * items)
    relevant = [turned_to[first:last] % items for first, last in pairwise(bounds)]
    return {
        "auc_cold": per_user_auc(where // items, np.concatenate(score), np.isin(where, turned_to), users),
        "ndcg_cold@10": ranking_metrics(top, relevant)["ndcg@10"],
        "rank_cold": above,
    }


def _encode(
    model: RecommendationModel, table: ItemTable, data: Interactions, batch: Stretch
) -> tuple[Encoded | State, torch.Tensor]:
    """Encode the histories of some stretches, and look up their readers' profiles."""
    device = table.content_IC.device
    history = gather_history(data, stretch_rows(batch.start, batch.length))
    profile = torch.from_numpy(data.profile[batch.reader].astype(np.int64)).to(device)
    return model.encode(table, History(*(field.to(device) for field in history))), profile


def questions(
    data: Interactions, examples: Examples, batch: Stretch, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, Indices, NDArray[np.bool_]]:
    """Return what stretches are asked: events before and item (B, Q), numbers of the examples, and which count."""
    count = batch.last - batch.first
    step = np.arange(int(count.max()))
    index = batch.first[:, None] + np.minimum(step, count[:, None] - 1)
    before = torch.from_numpy(np.minimum(examples.before[index], batch.length[:, None])).to(device)
    item = torch.from_numpy(data.content[examples.row[index]].astype(np.int64)).to(device)
    return before, item, index, step < count[:, None]


def top_items(
    model: RecommendationModel,
    table: ItemTable,
    source: Encoded | State,
    batch: Stretch,
    ranked: Indices,
    profile_BF: torch.Tensor,
    met: list[NDArray[np.int32]],
) -> Indices:
    """Return the best items of the stretches `ranked` for these profiles, [R, 10], without those `met`."""
    state = state_before(model, source, batch.ranked[ranked], ranked)
    item = rank(model, table, state, profile_BF, met, CUTOFF).item_BK.cpu().numpy()
    return np.pad(item, ((0, 0), (0, CUTOFF - item.shape[1])), constant_values=-1)


def state_before(
    model: RecommendationModel, source: Encoded | State, before: Indices, place: Indices
) -> State:
    """Return the states after `before` events of the encoded histories at these places; empty without histories."""
    if not isinstance(source, Encoded):
        return {}
    assert model.core is not None
    device = source.hidden_BTLH.device
    return model.core.state_at(
        source, torch.from_numpy(before).to(device), torch.from_numpy(place).to(device)
    )


def met_before(data: Interactions, examples: Examples, users: Indices) -> list[NDArray[np.int32]]:
    """The items that each user had met before the part began; they are not recommended again."""
    start = data.user_offsets[users]
    stop = start + examples.part_start[users]
    return [data.content[first:last] for first, last in zip(start, stop, strict=True)]


def _stretches(data: Interactions, examples: Examples, reader: Indices, cut: int) -> Stretch:
    if cut == FULL_HISTORY:
        return whole_histories(data, examples, reader)
    return _cut(data, examples, reader, cut)


def whole_histories(data: Interactions, examples: Examples, reader: Indices) -> Stretch:
    """One stretch a user: everything that the reader did, as far as the user's last example looks back."""
    user = np.flatnonzero(examples.part_start >= 0)
    first = np.searchsorted(examples.user, user)
    last = np.searchsorted(examples.user, user, side="right")
    available = np.diff(data.user_offsets)[reader[user]]
    length = np.minimum(examples.before[last - 1], available)
    ranked = np.minimum(examples.part_start[user], length)
    return Stretch(data.user_offsets[reader[user]], length, reader[user], user, first, last, ranked)


def _cut(data: Interactions, examples: Examples, reader: Indices, cut: int) -> Stretch:
    """One stretch for each moment at which a user has examples: the `cut` most recent events before it."""
    moment = np.stack([examples.user, examples.before])
    first = np.flatnonzero(np.r_[True, (moment[:, 1:] != moment[:, :-1]).any(axis=0)])
    last = np.r_[first[1:], len(examples.row)]
    user, before = examples.user[first], examples.before[first]
    stop = np.minimum(before, np.diff(data.user_offsets)[reader[user]])
    length = np.minimum(stop, cut)
    start = data.user_offsets[reader[user]] + stop - length
    ranked = np.where(before == examples.part_start[user], length, -1)
    return Stretch(start, length, reader[user], user, first, last, ranked)


def in_batches(stretches: Stretch) -> Iterator[Stretch]:
    """Put stretches of similar size together, about `BATCH_EVENTS` padded events and questions at a time."""
    size = stretches.length + stretches.last - stretches.first
    order = np.argsort(size, kind="stable")[::-1]
    start = 0
    while start < len(order):
        count = int(np.clip(BATCH_EVENTS // max(1, size[order[start]]), 1, BATCH_USERS))
        chosen = order[start : start + count]
        yield Stretch(*(field[chosen] for field in stretches))
        start += count
