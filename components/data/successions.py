"""Which items follow which in users' logs, counted without a dense item-by-item matrix."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.data.interactions import Interactions


def count_successions(
    data: Interactions, chosen: NDArray[np.bool_], weights: Sequence[float]
) -> sparse.csr_matrix:
    """Count how often users went from one item to another, [I, I]: from the row to the column.

    Each chosen event, [E], counts for the events before its own instant, the d-th of them, from the latest on, with
    `weights[d]`. Two events of the same instant have no order, so they are no succession.
    """
    items = len(data.item_ids)
    row = np.flatnonzero(chosen)
    start = np.repeat(data.user_offsets[:-1], np.diff(data.user_offsets))[row]
    pairs = sparse.csr_matrix((items, items), dtype=np.float64)
    for distance, weight in enumerate(weights):
        source = start + data.before[row] - 1 - distance
        real = source >= start
        weight_of_pair = np.full(int(real.sum()), weight)
        pairs += sparse.csr_matrix(
            (weight_of_pair, (data.content[source[real]], data.content[row[real]])), shape=(items, items)
        )
    return pairs
