"""What the recommendation model knows of items beside learned parameters: texts, genres and training counts.

`Catalogue` is built from a prepared log, or read back from what `write` left beside a model's weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from components.baselines.ranking import ease_weights, item_matrix
from components.config import ModalitySettings, RecommendationSettings
from components.data.interactions import Interactions
from components.data.successions import count_successions
from components.tasks.recommendation.cold_start import expectations
from components.tasks.recommendation.rates import like_rate_prior
from components.tasks.recommendation.texts import known_words, weighted_words, word_matrix, word_presence

REACH = 20
"""How many events back an event counts as a successor."""
COUNT_PRIOR = 5
"""Events added to each item's in the normalisation, so that rare items do not lead anywhere for sure."""


@dataclass(frozen=True)
class Catalogue:
    """Items with their texts, genres and what the training part says of each; and the other vocabularies."""

    item_ids: Sequence[str]
    titles: Sequence[str]
    item_genres: Sequence[Sequence[str]]
    count: NDArray[np.float32]
    """[I] training events of each item."""
    likes: NDArray[np.float32]
    """[I] how many of them are likes."""
    value_sum: NDArray[np.float32]
    """[I] sum of their feedback."""
    prior_rate: NDArray[np.float32]
    """[I] like rate that is expected of each item before its own events; see `like_rate_prior`."""
    prior_events: float
    """How many events that expectation is worth."""
    lead: NDArray[np.float32]
    follow: NDArray[np.float32]
    """[I, S] each: the product of `lead` of one item and `follow` of another says how much having met the one speaks
    for the other; see `knowledge_vectors`. With `cold_start` expected of items that training never met."""
    genres: Sequence[str]
    words: Sequence[str]
    kinds: Sequence[str]
    profile_fields: Mapping[str, Sequence[str]]
    least_liked_value: float
    """Feedback of at least this is a like."""
    expected: NDArray[np.float32] | None = None
    """[I] `count`, and in place of 0 how many events content lets expect; None without `cold_start`."""
    overviews: Sequence[str] | None = None
    """[I]; like the rest below, None where the model does not look at it, and nothing where an item has none."""
    overview_words: Sequence[str] = ()
    posters: NDArray[np.uint8] | None = None
    """[I, 3, H, W]"""
    has_poster: NDArray[np.bool_] | None = None
    vectors: NDArray[np.float32] | None = None
    """[I, D] of a pretrained encoder."""
    has_vector: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, data: Interactions, settings: RecommendationSettings) -> "Catalogue":
        """Count the training part of the users that training may see, and collect title words."""
        items = len(data.item_ids)
        user = np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))
        train = (data.part == 0) & ~data.unseen[user]
        content = data.content[train]
        lead, follow = knowledge_vectors(data, train, settings)
        count = np.bincount(content, minlength=items).astype(np.float32)
        likes = np.bincount(content, data.like[train], minlength=items).astype(np.float32)
        words = known_words(data.item_titles)
        genres, titled = genre_matrix(data.item_genres, data.genres), word_matrix(data.item_titles, words)
        prior_rate, prior_events = like_rate_prior(
            likes, count, np.hstack([genres, word_presence(titled, len(words))])
        )
        catalogue = cls(
            item_ids=data.item_ids,
            titles=data.item_titles,
            item_genres=data.item_genres,
            count=count,
            likes=likes,
            value_sum=np.bincount(content, data.value[train], minlength=items).astype(np.float32),
            prior_rate=prior_rate,
            prior_events=prior_events,
            lead=lead,
            follow=follow,
            genres=data.genres,
            words=words,
            kinds=data.kinds,
            profile_fields=data.profile_fields,
            least_liked_value=float(data.value[train][data.like[train]].min(initial=1.0)),
            **_contents(data, settings.modalities),
        )
        return (
            replace(catalogue, **expectations(catalogue, settings.modalities))
            if settings.cold_start
            else catalogue
        )

    def genre_matrix(self) -> NDArray[np.float32]:
        """Return [I, G]: 1 where an item has a genre."""
        return genre_matrix(self.item_genres, self.genres)

    def word_matrix(self) -> NDArray[np.int64]:
        """Return the word numbers of each title, [I, L], from 1; 0 is padding."""
        return word_matrix(self.titles, self.words)

    def weighted_overviews(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the word numbers of each overview, [I, L], and their weights; see `weighted_words`."""
        assert self.overviews is not None
        return weighted_words(self.overviews, self.overview_words)

    def write(self, folder: Path) -> None:
        """Write `items.arrow` and `vocabulary.json`; what the model looks at travels along, pictures included."""
        table = pa.table(
            {
                "id": pa.array(list(self.item_ids), pa.string()),
                "title": pa.array(list(self.titles), pa.string()),
                "genres": pa.array([list(genres) for genres in self.item_genres], pa.list_(pa.string())),
                "count": self.count,
                "likes": self.likes,
                "value_sum": self.value_sum,
                "prior_rate": self.prior_rate,
                "lead": pa.array(list(self.lead), pa.list_(pa.float32())),
                "follow": pa.array(list(self.follow), pa.list_(pa.float32())),
                **self._content_columns(),
            }
        )
        with (
            pa.OSFile(str(folder / "items.arrow"), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
        vocabulary: dict[str, Any] = {
            "genres": list(self.genres),
            "words": list(self.words),
            "kinds": list(self.kinds),
            "profile_fields": {name: list(values) for name, values in self.profile_fields.items()},
            "prior_events": self.prior_events,
            "least_liked_value": self.least_liked_value,
        }
        if self.overviews is not None:
            vocabulary["overview_words"] = list(self.overview_words)
        text = json.dumps(vocabulary, indent=1, ensure_ascii=False)
        (folder / "vocabulary.json").write_text(text, encoding="utf-8")

    def without_contents(self) -> "Catalogue":
        """Return the same items with nothing in place of their overviews, pictures and vectors."""
        none = np.zeros(len(self.item_ids), bool)
        blank: dict[str, Any] = {}
        if self.overviews is not None:
            blank |= {"overviews": [""] * len(none), "overview_words": ()}
        if self.posters is not None:
            blank |= {"posters": np.zeros((len(none), 3, 1, 1), np.uint8), "has_poster": none}
        if self.vectors is not None:
            blank |= {"vectors": np.zeros((len(none), 1), np.float32), "has_vector": none}
        return replace(self, **blank)

    def _content_columns(self) -> dict[str, pa.Array]:
        columns: dict[str, pa.Array] = {}
        if self.expected is not None:
            columns["expected"] = pa.array(self.expected)
        if self.overviews is not None:
            columns["overview"] = pa.array(list(self.overviews), pa.string())
        for name, values, has in (
            ("poster", self.posters, self.has_poster),
            ("vector", self.vectors, self.has_vector),
        ):
            if values is not None:
                columns[name] = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(values))
                columns[f"has_{name}"] = pa.array(has)
        return columns

    @classmethod
    def read(cls, folder: Path) -> "Catalogue":
        """Read what `write` wrote."""
        with pa.memory_map(str(folder / "items.arrow")) as source:
            table = pa.ipc.open_file(source).read_all()
            columns = {name: table[name].to_pylist() for name in ("id", "title", "genres")}
            numbers = {
                name: table[name].to_numpy().copy() for name in ("count", "likes", "value_sum", "prior_rate")
            }
            for name in ("lead", "follow"):
                flat = table[name].combine_chunks().flatten().to_numpy()
                numbers[name] = flat.reshape(len(table), flat.size // max(1, len(table))).copy()
            contents: dict[str, Any] = {}
            if "expected" in table.column_names:
                contents["expected"] = table["expected"].to_numpy().copy()
            if "overview" in table.column_names:
                contents["overviews"] = table["overview"].to_pylist()
            for name in ("poster", "vector"):
                if name in table.column_names:
                    contents[f"{name}s"] = table[name].combine_chunks().to_numpy_ndarray().copy()
                    contents[f"has_{name}"] = table[f"has_{name}"].to_numpy()
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        return cls(columns["id"], columns["title"], columns["genres"], **numbers, **vocabulary, **contents)


def _contents(data: Interactions, chosen: ModalitySettings) -> dict[str, Any]:
    """Take what the model looks at of the items' overviews, pictures and vectors."""
    contents: dict[str, Any] = {}
    if chosen.overview:
        assert data.item_overviews is not None, "`model.modalities.overview` without overviews"
        contents |= {"overviews": data.item_overviews, "overview_words": known_words(data.item_overviews)}
    if chosen.poster:
        assert data.item_posters is not None, "`model.modalities.poster` without posters"
        contents |= {"posters": data.item_posters, "has_poster": data.item_has_poster}
    if chosen.vectors:
        assert data.item_vectors is not None, "`model.modalities.vectors` without vectors"
        contents |= {"vectors": data.item_vectors, "has_vector": data.item_has_vector}
    return contents


def genre_matrix(item_genres: Sequence[Sequence[str]], genres: Sequence[str]) -> NDArray[np.float32]:
    """Return [I, G]: 1 where an item has a genre."""
    column = {genre: index for index, genre in enumerate(genres)}
    matrix = np.zeros((len(item_genres), len(genres)), np.float32)
    for row, names in enumerate(item_genres):
        matrix[row, [column[name] for name in names]] = 1
    return matrix


Vectors = NDArray[np.float32]


def knowledge_vectors(
    data: Interactions, train: NDArray[np.bool_], settings: RecommendationSettings
) -> tuple[Vectors, Vectors]:
    """Factorise what counting knows of pairs of items, transitions beside co-occurrence: two matrices [I, S]."""
    none = np.zeros((len(data.item_ids), 0), np.float32)
    lead, follow = (
        succession_vectors(data, train, settings.transitions) if settings.transitions else (none, none)
    )
    if settings.co_occurrence:
        given, found = co_occurrence_vectors(data, train, settings.co_occurrence)
        lead, follow = np.hstack([lead, given]), np.hstack([follow, found])
    return lead, follow


def succession_vectors(data: Interactions, train: NDArray[np.bool_], size: int) -> tuple[Vectors, Vectors]:
    """Factorise which items come soon after which: two matrices [I, S].

    An event counts for the `REACH` events before its own instant, the d-th of them (from 0) with weight
    1 / sqrt(1 + d); counts n(i, j) are divided by the root of both items' events and the matrix is cut to its
    largest `size` singular values. Rows have length 1 on average over events.
    """
    items = len(data.item_ids)
    count = np.bincount(data.content[train], minlength=items)
    size = min(size, items - 1)
    pairs = count_successions(data, train, [(1 + distance) ** -0.5 for distance in range(REACH)])
    scale = sparse.diags((count + COUNT_PRIOR) ** -0.5)
    return _factors(scale @ pairs @ scale, size, count)


def co_occurrence_vectors(data: Interactions, train: NDArray[np.bool_], size: int) -> tuple[Vectors, Vectors]:
    """Factorise which items speak for which, whatever their order, as EASE weighs them: two matrices [I, S].

    The weights (Steck, Embarrassingly Shallow Autoencoders, WWW 2019) are cut to their largest `size` singular
    values. Rows have length 1 on average over events.
    """
    items = len(data.item_ids)
    frequent, weight = ease_weights(item_matrix(data, train))
    size = min(size, len(frequent) - 1)
    lead, follow = np.zeros((items, size), np.float32), np.zeros((items, size), np.float32)
    count = np.bincount(data.content[train], minlength=items)
    lead[frequent], follow[frequent] = _factors(weight, size, count[frequent])
    return lead, follow


def _factors(
    pairs: sparse.spmatrix | NDArray[np.float64], size: int, count: NDArray[np.int64]
) -> tuple[Vectors, Vectors]:
    """Cut a matrix to its largest singular values, shared by two matrices of rows of length 1 on average.

    They are zero where the matrix is, for example without any event to train on, and empty with a single item.
    """
    if size == 0 or abs(pairs).max() == 0:
        return np.zeros((pairs.shape[0], size), np.float32), np.zeros((pairs.shape[0], size), np.float32)
    left, strength, right = svds(pairs, k=size, v0=np.ones(pairs.shape[0]))
    lead, follow = left * np.sqrt(strength), right.T * np.sqrt(strength)

    def of_unit_length(vectors: NDArray[np.float64]) -> Vectors:
        length = np.linalg.norm(vectors, axis=1) @ count / max(1, count.sum())
        return np.ascontiguousarray(vectors[:, ::-1] / max(length, 1e-12), np.float32)

    return of_unit_length(lead), of_unit_length(follow)
