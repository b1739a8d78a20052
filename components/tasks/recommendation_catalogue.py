"""What the recommendation model knows of items beside learned parameters: texts, genres and training counts.

`Catalogue` is built from a prepared log, or read back from what `write` left beside a model's weights.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from components.data.interactions import Interactions

WORD = re.compile(r"\w+")
LEAST_WORD_COUNT = 2
"""Title words rarer than this say nothing about other items and are left out."""
MOST_WORDS = 12
COMPANY_SIZE = 32


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
    company: NDArray[np.float32]
    """[I, S] vectors whose products are the share of users that items have in common; see `company_vectors`."""
    genres: Sequence[str]
    words: Sequence[str]
    kinds: Sequence[str]
    profile_fields: Mapping[str, Sequence[str]]
    least_liked_value: float
    """Feedback of at least this is a like."""

    @classmethod
    def of(cls, data: Interactions) -> "Catalogue":
        """Count the training part of the users that training may see, and collect title words."""
        items = len(data.item_ids)
        user = np.repeat(np.arange(len(data.user_ids)), np.diff(data.user_offsets))
        train = (data.part == 0) & ~data.unseen[user]
        content = data.content[train]
        seen = Counter(word for title in data.item_titles for word in set(_words(title)))
        return cls(
            item_ids=data.item_ids,
            titles=data.item_titles,
            item_genres=data.item_genres,
            count=np.bincount(content, minlength=items).astype(np.float32),
            likes=np.bincount(content, data.like[train], minlength=items).astype(np.float32),
            value_sum=np.bincount(content, data.value[train], minlength=items).astype(np.float32),
            company=company_vectors(user[train], content, len(data.user_ids), items),
            genres=data.genres,
            words=sorted(word for word, count in seen.items() if count >= LEAST_WORD_COUNT),
            kinds=data.kinds,
            profile_fields=data.profile_fields,
            least_liked_value=float(data.value[train][data.like[train]].min(initial=1.0)),
        )

    def genre_matrix(self) -> NDArray[np.float32]:
        """Return [I, G]: 1 where an item has a genre."""
        column = {genre: index for index, genre in enumerate(self.genres)}
        matrix = np.zeros((len(self.item_ids), len(self.genres)), np.float32)
        for row, genres in enumerate(self.item_genres):
            for genre in genres:
                matrix[row, column[genre]] = 1
        return matrix

    def word_matrix(self) -> NDArray[np.int64]:
        """Return the word numbers of each title, [I, L], from 1; 0 is padding."""
        number = {word: index + 1 for index, word in enumerate(self.words)}
        rows = [[number[word] for word in _words(title) if word in number][:MOST_WORDS] for title in self.titles]
        matrix = np.zeros((len(rows), max(1, max(map(len, rows), default=0))), np.int64)
        for row, numbers in enumerate(rows):
            matrix[row, : len(numbers)] = numbers
        return matrix

    def write(self, folder: Path) -> None:
        """Write `items.arrow` and `vocabulary.json`."""
        table = pa.table(
            {
                "id": pa.array(list(self.item_ids), pa.string()),
                "title": pa.array(list(self.titles), pa.string()),
                "genres": pa.array([list(genres) for genres in self.item_genres], pa.list_(pa.string())),
                "count": self.count,
                "likes": self.likes,
                "value_sum": self.value_sum,
                "company": pa.FixedSizeListArray.from_arrays(self.company.ravel(), self.company.shape[1]),
            }
        )
        with pa.OSFile(str(folder / "items.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        vocabulary = {
            "genres": list(self.genres),
            "words": list(self.words),
            "kinds": list(self.kinds),
            "profile_fields": {name: list(values) for name, values in self.profile_fields.items()},
            "least_liked_value": self.least_liked_value,
        }
        text = json.dumps(vocabulary, indent=1, ensure_ascii=False)
        (folder / "vocabulary.json").write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Catalogue":
        """Read what `write` wrote."""
        with pa.memory_map(str(folder / "items.arrow")) as source:
            table = pa.ipc.open_file(source).read_all()
            columns = {name: table[name].to_pylist() for name in ("id", "title", "genres")}
            numbers = {name: table[name].to_numpy().copy() for name in ("count", "likes", "value_sum")}
            company = table["company"].combine_chunks()
            numbers["company"] = company.flatten().to_numpy().reshape(len(table), -1).copy()
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        return cls(columns["id"], columns["title"], columns["genres"], **numbers, **vocabulary)


def company_vectors(
    user: NDArray[np.integer], item: NDArray[np.integer], users: int, items: int
) -> NDArray[np.float32]:
    """Factorise which items have users in common: [I, S], products approximate n(i, j) / sqrt(n(i) n(j)).

    The truncated singular value decomposition of the user-item matrix with columns of unit length.
    """
    seen = sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape=(users, items))
    seen.data[:] = 1
    norm = np.sqrt(np.maximum(np.asarray(seen.sum(axis=0)).ravel(), 1))
    size = min(COMPANY_SIZE, min(users, items) - 1)
    start = np.random.default_rng(0).normal(size=min(users, items))
    _, scale, vectors = svds(seen.multiply(1 / norm).tocsr(), k=size, v0=start)
    return np.ascontiguousarray((scale[:, None] * vectors).T[:, ::-1], np.float32)


def _words(title: str) -> list[str]:
    return WORD.findall(title.lower())
