"""How near a party comes to a private recommender with nothing but its encoder.

    python -m benchmarks.private_model_estimated MODEL DATA

MODEL is a promoted version's folder, DATA a party's. What an event carries of an item is a mix of the vectors that
the owner keeps, by weights that are open; genres and title words are shared by many items, so that least squares
take the mix apart. Prints how often the ranking by the estimated vectors has the same items among the first 10 as the
whole model's, and its HR@10 of the next item.

I items, M modalities, E embedding.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.interactions import open_interactions
from components.privacy.divided_model import Encoder, Kept, load_encoder, write_encoder
from components.privacy.encoded_users import RankQuestions, encode_users
from components.tasks.recommendation.serving import load_servable

MODALITIES = ("identity", "genres", "title")
"""What the estimate knows how to tell apart."""
RIDGE = 0.1
CUTOFF = 10

Floats = NDArray[np.float64]


def estimated(encoder: Encoder) -> Floats:
    """Estimate the items' vectors from the open part alone, [I, M, E]: ridge regression, the rest as identity."""
    items, catalogue = encoder.model.items, encoder.catalogue
    content = encoder.table.content_IC[:, : encoder.model.settings.embedding].double().numpy()
    attention = encoder.table.attention_IM.double().numpy()
    share = attention / attention.sum(axis=1, keepdims=True)
    genres = items.genre_IG.double().numpy()
    words = np.zeros((len(content), len(catalogue.words) + 1))
    np.add.at(words, (np.arange(len(content))[:, None], items.word_IL.numpy()), 1)
    words = words[:, 1:] / np.maximum(words[:, 1:].sum(axis=1, keepdims=True), 1)
    known = np.hstack([share[:, :1] * catalogue.lead, share[:, :1] * catalogue.follow])
    known = np.hstack([known, share[:, 1:2] * genres, share[:, 2:] * words])
    found = np.linalg.solve(known.T @ known + RIDGE * np.eye(known.shape[1]), known.T @ content)
    start = 2 * catalogue.lead.shape[1]
    of_genres = genres @ found[start : start + genres.shape[1]]
    of_words = words @ found[start + genres.shape[1] :]
    identity = (content - share[:, 1:2] * of_genres - share[:, 2:] * of_words) / share[:, :1]
    return np.stack([identity, of_genres, of_words], axis=1)


def scores(ranks: RankQuestions, vectors_IME: Floats) -> Floats:
    """Return the ranking scores, [R, I]; items that do not compete have minus infinity."""
    alike = np.einsum("re,ime,rim->ri", ranks.query, vectors_IME, ranks.weight)
    barred = ranks.barred.copy()
    barred[np.arange(len(barred)), ranks.target] = False
    return np.where(barred, -np.inf, alike + ranks.base)


def compare(model: Path, data: Path) -> dict[str, float]:
    """Rank a party's users by the whole model and by the estimate."""
    with tempfile.TemporaryDirectory() as folder:
        write_encoder(model, Path(folder), "measured")
        encoder = load_encoder(Path(folder))
    if encoder.model.items.modalities != MODALITIES:
        raise SystemExit(
            f"{model}: only models that describe items by {', '.join(MODALITIES)} can be estimated"
        )
    kept = Kept.of(load_servable(model)).items
    size = encoder.model.settings.embedding
    whole = kept[:, : len(MODALITIES) * size].reshape(len(kept), len(MODALITIES), size)
    ranks = encode_users(encoder, open_interactions(data), "test").ranks
    by_whole, by_estimate = (scores(ranks, vectors) for vectors in (whole, estimated(encoder)))
    tops = [np.argsort(-each, axis=1)[:, :CUTOFF] for each in (by_whole, by_estimate)]
    shared = [len(np.intersect1d(*pair)) / CUTOFF for pair in zip(*tops, strict=True)]
    hits = [float((top == ranks.target[:, None]).any(axis=1).mean()) for top in tops]
    return {"top 10 shared": float(np.mean(shared)), "HR@10 whole": hits[0], "HR@10 estimated": hits[1]}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    print(json.dumps({name: round(value, 3) for name, value in compare(options.model, options.data).items()}))


if __name__ == "__main__":
    main()
