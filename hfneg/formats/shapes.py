"""What a training row looks like: one small class per shape, from flat rows to columns.

A shape says its columns (`features`), how many rows it makes of an input row (`written`), the fewest
negatives it needs (`minimum`), and makes them (`build`). Nothing here knows of `datasets` beyond the types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from hfneg.base.arrays import Ints
from hfneg.errors import ColumnError
from hfneg.formats.rows import Ragged, Rows, ranges

TEXT = Value("string")
TEXTS = List(Value("string"))
SCORE = Value("float32")
SCORES = List(Value("float32"))


class Shape(Protocol):
    """The columns of one training format."""

    @property
    def name(self) -> str:
        """The format's public name, for messages."""

    @property
    def minimum(self) -> int:
        """How many negatives a row needs; rows with fewer are dropped."""

    def features(self) -> Features:
        """The columns in their order, with their types."""

    def written(self, positives: Ints, negatives: Ints) -> Ints:
        """How many rows come of rows with so many positives and negatives, (rows,) each."""

    def build(self, rows: Rows) -> list[pa.Array]:
        """The columns, in the order of `features`."""


@dataclass(frozen=True)
class Tuples:
    """anchor, positive, negative_1 .. negative_n and, where `label` is named, the n + 1 scores."""

    name: str
    anchor: str
    positive: str
    n: int
    label: str | None = None

    @property
    def minimum(self) -> int:
        return self.n

    def features(self) -> Features:
        names = [self.anchor, self.positive, *(f"negative_{i + 1}" for i in range(self.n))]
        return _features(*((name, TEXT) for name in names), *([(self.label, SCORES)] if self.label else []))

    def written(self, positives: Ints, negatives: Ints) -> Ints:
        return np.where(negatives >= self.n, positives, 0)

    def build(self, rows: Rows) -> list[pa.Array]:
        row, chosen = examples(rows, self.n)
        first = rows.negatives.starts[row]
        columns = [_take(rows.anchors, row), _take(rows.positives.values, chosen)]
        columns += [_take(rows.negatives.values, first + i) for i in range(self.n)]
        return columns + ([_tuple_scores(rows, row, chosen, self.n)] if self.label else [])


@dataclass(frozen=True)
class Triplets:
    """anchor, positive, negative: one row for each pair of a positive and a negative."""

    name: str
    anchor: str
    positive: str
    minimum: int = 1

    def features(self) -> Features:
        return _features((self.anchor, TEXT), (self.positive, TEXT), ("negative", TEXT))

    def written(self, positives: Ints, negatives: Ints) -> Ints:
        return positives * negatives

    def build(self, rows: Rows) -> list[pa.Array]:
        row, chosen = examples(rows, 1)
        counts = rows.negatives.lengths[row]
        negatives = ranges(rows.negatives.starts[row], counts)
        return [
            _take(rows.anchors, np.repeat(row, counts)),
            _take(rows.positives.values, np.repeat(chosen, counts)),
            _take(rows.negatives.values, negatives),
        ]


@dataclass(frozen=True)
class PairShape:
    """anchor, document and 1 or 0 (or the score): each positive once, then each negative once."""

    name: str
    anchor: str
    scored: bool = False
    minimum: int = 0

    def features(self) -> Features:
        label = ("score", SCORE) if self.scored else ("label", Value("int64"))
        return _features((self.anchor, TEXT), ("document", TEXT), label)

    def written(self, positives: Ints, negatives: Ints) -> Ints:
        return np.where(positives > 0, positives + negatives, 0)

    def build(self, rows: Rows) -> list[pa.Array]:
        row, documents, labels = _merged(rows, self.scored)
        return [_take(rows.anchors, row), documents, pa.array(labels)]


@dataclass(frozen=True)
class ListShape:
    """anchor, documents and labels of the same length: the positives, then the negatives."""

    name: str
    anchor: str
    scored: bool = False
    minimum: int = 1

    def features(self) -> Features:
        labels = SCORES if self.scored else List(Value("int64"))
        return _features((self.anchor, TEXT), ("documents", TEXTS), ("labels", labels))

    def written(self, positives: Ints, negatives: Ints) -> Ints:
        return ((positives > 0) & (negatives > 0)).astype(np.int64)

    def build(self, rows: Rows) -> list[pa.Array]:
        kept = self.written(rows.positives.lengths, rows.negatives.lengths) > 0
        row, documents, labels = _merged(rows, self.scored)
        inside = np.flatnonzero(kept[row])
        counts = (rows.positives.lengths + rows.negatives.lengths)[kept]
        return [
            _take(rows.anchors, np.flatnonzero(kept)),
            lists(_take(documents, inside), counts),
            lists(pa.array(labels[inside]), counts),
        ]


@dataclass(frozen=True)
class IdTuples:
    """query_id, positive_id and negative_ids, always n of them: what ``resolve_ids`` turns into text."""

    name: str
    n: int

    @property
    def minimum(self) -> int:
        return self.n

    def features(self) -> Features:
        return _features(("query_id", TEXT), ("positive_id", TEXT), ("negative_ids", TEXTS))

    def written(self, positives: Ints, negatives: Ints) -> Ints:
        return np.where(negatives >= self.n, positives, 0)

    def build(self, rows: Rows) -> list[pa.Array]:
        row, chosen = examples(rows, self.n)
        counts = np.full(len(row), self.n, dtype=np.int64)
        negatives = _take(rows.negatives.values, ranges(rows.negatives.starts[row], counts))
        return [
            _take(rows.anchors, row),
            _take(rows.positives.values, chosen),
            lists(negatives, counts),
        ]


def _features(*columns: tuple[str, Value | List]) -> Features:
    """Features in this order; two columns of one name would silently become one."""
    names = [name for name, _ in columns]
    for name in names:
        if names.count(name) > 1:
            raise ColumnError(f"this format makes a column {name!r} of its own; rename yours, the columns: {names}")
    return Features(dict(columns))


def examples(rows: Rows, minimum: int) -> tuple[Ints, Ints]:
    """For each positive of a row with enough negatives: its row, and its place among the positives."""
    row = rows.positives.rows
    chosen = np.flatnonzero(rows.negatives.lengths[row] >= minimum)
    return row[chosen], chosen


def tuple_scores(rows: Rows, row: Ints, chosen: Ints, n: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Scores of the positive and the first n negatives of each example, (examples, n + 1)."""
    places = rows.negatives.starts[row][:, None] + np.arange(n)
    return np.concatenate([_scores(rows.positives)[chosen][:, None], _scores(rows.negatives)[places]], axis=1)


def _tuple_scores(rows: Rows, row: Ints, chosen: Ints, n: int) -> pa.Array:
    matrix = tuple_scores(rows, row, chosen, n)
    return lists(pa.array(matrix.reshape(-1)), np.full(len(row), n + 1, dtype=np.int64))


def _scores(ragged: Ragged) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if ragged.scores is None:
        raise ValueError("this shape needs scores, and the layout did not name their columns")
    return ragged.scores


def _merged(rows: Rows, scored: bool) -> tuple[Ints, pa.Array, np.ndarray[tuple[int], np.dtype[np.generic]]]:
    """Row, text and label of all documents of the rows that have a positive, positives first in each row."""
    positives, negatives = rows.positives, rows.negatives
    row = np.concatenate([positives.rows, negatives.rows])
    order = np.argsort(row, kind="stable")
    order = order[positives.lengths[row[order]] > 0]
    labels: np.ndarray[tuple[int], np.dtype[np.generic]]
    if scored:
        labels = np.concatenate([_scores(positives), _scores(negatives)])
    else:
        ones = np.ones(len(positives.values), dtype=np.int64)
        labels = np.concatenate([ones, np.zeros(len(negatives.values), dtype=np.int64)])
    documents = pa.concat_arrays([positives.values, negatives.values])
    return row[order], _take(documents, order), labels[order]


def _take(array: pa.Array, places: Ints) -> pa.Array:
    return array.take(pa.array(places))


def lists(values: pa.Array, lengths: Ints) -> pa.Array:
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, type=pa.int32()), values)
