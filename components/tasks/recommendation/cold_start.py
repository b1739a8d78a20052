"""What the content of items lets expect that training has never met: how popular they are, and what goes with them.

Ridge regression from content, fitted to the items that training met (Gantner et al., Learning attribute-to-feature
mappings for cold-start recommendations, ICDM 2010). I items, D features, N items that it is fitted to, Q items
that it is asked about, S numbers to expect.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse

from components.config import ModalitySettings
from components.tasks.recommendation.texts import word_presence

if TYPE_CHECKING:
    from components.tasks.recommendation.catalogue import Catalogue

RIDGE = 10.0
"""Penalty of a squared coefficient; chosen on the validation part of MovieLens 100K without a tenth of its items."""
TRUSTED_EVENTS = 20
"""After this many events what is known of an item counts half as much as it ever can."""
MOST_FITTED = 4_096
"""Of more items, this many are fitted to: the N x N matrix has to be solved for."""
POSTER_GRID = (6, 4)
"""Of a poster, the mean colours of so many rows and columns count."""
TOGETHER = 2_048

Floats = NDArray[np.float64]


def expectations(catalogue: "Catalogue", chosen: ModalitySettings) -> dict[str, Any]:
    """Return the fields of a catalogue that are about items without a training event, as content lets expect them."""
    count = catalogue.count.astype(np.float64)
    met, new = _some_of(np.flatnonzero(count), count), np.flatnonzero(count == 0)
    expected, knowledge = catalogue.count.copy(), np.hstack([catalogue.lead, catalogue.follow])
    if len(met) and len(new):
        features = content_features(catalogue, chosen)
        alike = (features[np.r_[met, new]] @ features[met].T).toarray()
        log_count = regress(alike, np.log1p(count[met, None]), np.ones(len(met)))[:, 0]
        expected[new] = np.maximum(np.expm1(log_count), 0)
        knowledge[new] = regress(alike, knowledge[met], count[met] / (count[met] + TRUSTED_EVENTS))
    lead, follow = np.hsplit(knowledge, 2)
    return {"expected": expected, "lead": lead.copy(), "follow": follow.copy()}


def content_features(catalogue: "Catalogue", chosen: ModalitySettings) -> sparse.csr_matrix:
    """Describe items by what is switched on, [I, D]; nothing where an item lacks it."""
    blocks: list[Any] = []
    if chosen.genres:
        blocks.append(catalogue.genre_matrix())
    if chosen.title:
        blocks.append(word_presence(catalogue.word_matrix(), len(catalogue.words)))
    if chosen.overview:
        word_IL, weight_IL = catalogue.weighted_overviews()
        row, column = np.nonzero(weight_IL)
        shape = (len(word_IL), len(catalogue.overview_words) + 1)
        blocks.append(sparse.csr_matrix((weight_IL[row, column], (row, word_IL[row, column])), shape))
    if chosen.poster:
        assert catalogue.posters is not None and catalogue.has_poster is not None
        blocks.append(_centred(_colours(catalogue.posters), catalogue.has_poster))
    if chosen.vectors:
        assert catalogue.vectors is not None and catalogue.has_vector is not None
        length = np.linalg.norm(catalogue.vectors, axis=1, keepdims=True)
        blocks.append(_centred(catalogue.vectors / np.maximum(length, 1e-12), catalogue.has_vector))
    return sparse.hstack([sparse.csr_matrix(block, dtype=np.float64) for block in blocks], format="csr")


def regress(alike: Floats, target: NDArray[Any], weight: Floats) -> Floats:
    """Predict S numbers of each of Q items by weighted ridge regression, (Q, S), the constant not penalised.

    `target`, [N, S], and `weight`, [N], are of the items that it is fitted to; `alike`, [N + Q, N], holds the scalar
    products of features of those, and of the Q items after them, with theirs: the dual form.
    """
    fitted = len(weight)
    share, root = weight / weight.sum(), np.sqrt(weight)[:, None]
    mean = share @ alike[:fitted]
    alike = alike - (alike @ share)[:, None] - mean + mean @ share  # as if features had mean 0
    middle = share @ target
    kernel = root * alike[:fitted] * root.T + RIDGE * np.eye(fitted)
    found = np.linalg.solve(kernel, root * (target - middle))
    return np.asarray(middle + alike[fitted:] @ (root * found))


def _some_of(items: NDArray[np.integer], count: Floats) -> NDArray[np.integer]:
    """Choose at most `MOST_FITTED` of the items, evenly spaced in their order by events."""
    if len(items) <= MOST_FITTED:
        return items
    by_count = items[np.argsort(count[items], kind="stable")]
    return by_count[np.linspace(0, len(items) - 1, MOST_FITTED).astype(np.int64)]


def _colours(posters: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the mean colours of the fields of a grid, [I, D], from 0 to 1."""
    parts = (posters[start : start + TOGETHER] for start in range(0, len(posters), TOGETHER))
    grids = [F.adaptive_avg_pool2d(torch.tensor(part).float() / 255, POSTER_GRID) for part in parts]
    return torch.cat(grids).flatten(1).numpy()


def _centred(values: NDArray[Any], has: NDArray[np.bool_]) -> NDArray[Any]:
    """Subtract the mean of the items that have them; zeros elsewhere."""
    return np.where(has[:, None], values - values[has].mean(0) if has.any() else values, 0)
