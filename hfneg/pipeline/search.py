"""Asking one index about anchors: as wide as each one's positives need, checked, cut after the k-th document."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Floats, Ints
from hfneg.base.lists import Lists, offsets
from hfneg.data.anchors import Anchors
from hfneg.errors import NonFiniteError, RetrieverError
from hfneg.models.returned import as_numbers
from hfneg.steps.block.block import is_in

CHUNK = 4096
"""Anchors whose results are looked through at once."""


@dataclass(frozen=True)
class SourceHits:
    """One source's lists, best first, and its scores of the anchors' known positives (NaN: cannot score)."""

    lists: Lists  # rows of the corpus per anchor
    scores: Floats  # aligned with lists.flat
    positive_scores: Floats  # aligned with Anchors.positives(numbers).flat

    @property
    def ranks(self) -> Ints:
        return np.arange(len(self.scores)) - np.repeat(self.lists.indptr[:-1], self.lists.lengths) + 1

    def take(self, positives: Lists, at: Ints) -> SourceHits:
        """The lists at these positions; `positives` are the known positives of all anchors that are here."""
        lists, scores = self.lists.take(at), Lists(self.lists.indptr, self.scores).take(at)
        return SourceHits(lists, scores.flat, Lists(positives.indptr, self.positive_scores).take(at).flat)


class Searcher:
    """One index asked about anchors: widened for each by its known positives, checked, cut."""

    def __init__(self, index: Any, name: str, anchors: Anchors, k: int) -> None:
        self.index, self.name, self.anchors, self.k = index, name, anchors, k

    def hits(self, numbers: Ints) -> SourceHits:
        """In groups of like width, so that one anchor with 300 positives does not widen all others."""
        positives = self.anchors.positives(numbers)
        extra = 1 << np.ceil(np.log2(np.maximum(positives.lengths, 1))).astype(np.int64)
        found: list[tuple[Ints, Lists, Floats]] = []
        positive_scores = np.full(len(positives.flat), np.nan, dtype=np.float32)
        for width in np.unique(extra):
            group = np.flatnonzero(extra == width)
            queries = self._queries(numbers[group])
            found.extend(self._search(queries, numbers, group, int(width)))
            if hasattr(self.index, "score"):
                own = positives.take(group)
                flat = np.repeat(positives.indptr[group] - own.indptr[:-1], own.lengths) + np.arange(len(own.flat))
                positive_scores[flat] = self._score(queries, numbers[group], own)
        return _assembled(found, len(numbers), positive_scores)

    def scores(self, numbers: Ints, documents: Lists) -> Floats:
        """float32, aligned with ``documents.flat``: the scores of given documents, at least one per anchor."""
        return self._score(self._queries(numbers), numbers, documents)

    def _queries(self, numbers: Ints) -> Any:
        if hasattr(self.index, "queries"):
            return self.index.queries(self.anchors, numbers)
        return self.anchors.texts(numbers).to_pylist()

    def _search(self, queries: Any, numbers: Ints, group: Ints, extra: int) -> Iterator[tuple[Ints, Lists, Floats]]:
        """(positions, rows, scores) of some anchors at a time: up to the k-th that is no known positive."""
        k = min(self.k + extra + len(self.anchors.corpus.empty_rows), len(self.anchors.corpus))
        scores, rows = self._checked(self.index.search(queries, k), numbers[group], k)
        for start in range(0, len(group), CHUNK):
            some = slice(start, start + CHUNK)
            kept = self._kept(numbers[group[some]], rows[some])
            lists = Lists(offsets(kept.sum(axis=1)), rows[some][kept])
            yield group[some], lists, scores[some][kept]

    def _kept(self, numbers: Ints, rows: Ints) -> npt.NDArray[np.bool_]:
        """bool, shape of `rows`: found here first, not empty, not behind the k-th that is no known positive."""
        found = (rows >= 0) & ~_repeats(rows)
        if len(self.anchors.corpus.empty_rows):
            found &= ~np.isin(rows, self.anchors.corpus.empty_rows)
        owners = np.repeat(np.arange(len(numbers)), rows.shape[1])
        positive = is_in(self.anchors.positives(numbers), owners, rows.reshape(-1)).reshape(rows.shape)
        wanted = found & ~positive
        kept: npt.NDArray[np.bool_] = found & (np.cumsum(wanted, axis=1) - wanted < self.k)
        return kept

    def _score(self, queries: Any, numbers: Ints, own: Lists) -> Floats:
        """The scores of documents of the anchors (their known positives), flat."""
        wide = np.full((len(own), int(own.lengths.max())), -1, dtype=np.int64)
        filled = np.arange(wide.shape[1]) < own.lengths[:, None]
        wide[filled] = own.flat
        answer = self.index.score(queries, wide)
        scores = _numbers(answer)
        if scores is None or scores.shape != wide.shape:
            given = reprlib.repr(answer) if scores is None else f"scores of shape {scores.shape}"
            raise RetrieverError(
                f"{self.name}.score(texts, rows) for rows of shape {wide.shape} returned {given}; it must return one "
                "score per row, of the same shape"
            )
        scores = scores.astype(np.float32)
        self._refuse_non_finite(scores, wide, numbers)
        values: Floats = scores[filled]
        return values

    def _checked(self, answer: Any, numbers: Ints, k: int) -> tuple[Floats, Ints]:
        """The contract of `search`, held against foreign retrievers as well as our own."""
        parts = [_numbers(part) for part in answer] if isinstance(answer, tuple | list) else []
        arrays = [part for part in parts if part is not None]
        if len(parts) != 2 or len(arrays) != 2:
            raise RetrieverError(
                f"{self.name}.search(texts, k={k}) returned {reprlib.repr(answer)}, a {type(answer).__name__}; it "
                f"must return (scores, rows), two arrays of numbers of shape [{len(numbers)}, {k}] "
                "(corpus.rows_of_ids turns ids into rows)"
            )
        scores, rows = arrays
        if rows.shape != (len(numbers), k) or scores.shape != rows.shape or rows.dtype.kind not in "iu":
            raise RetrieverError(
                f"{self.name}.search(texts, k={k}) for {len(numbers)} texts returned scores of shape {scores.shape} "
                f"and rows of shape {rows.shape} ({rows.dtype}); both must be [{len(numbers)}, {k}], rows whole "
                "numbers (fill up with row -1 where there are fewer)"
            )
        rows, scores = rows.astype(np.int64, copy=False), scores.astype(np.float32, copy=False)
        outside = rows[(rows < -1) | (rows >= len(self.anchors.corpus))]
        if len(outside):
            raise RetrieverError(
                f"{self.name}.search returned row {outside[0]}; rows are 0 .. {len(self.anchors.corpus) - 1} "
                "(corpus.rows_of_ids turns ids into rows), or -1"
            )
        self._refuse_non_finite(scores, rows, numbers)
        falling = (scores[:, 1:] <= scores[:, :-1]) | (rows[:, 1:] < 0)
        if not falling.all():
            i = int(np.flatnonzero(~falling.all(axis=1))[0])
            raise RetrieverError(
                f"{self.name}.search returned scores that are not best first for {self._anchor(numbers[i])}; sort them"
            )
        return scores, rows

    def _refuse_non_finite(self, scores: Floats, rows: Ints, numbers: Ints) -> None:
        bad = ~np.isfinite(scores) & (rows >= 0)
        if bad.any():
            i, j = map(int, np.argwhere(bad)[0])
            document = self.anchors.corpus.ids([rows[i, j]])[0]
            raise NonFiniteError(
                f"{self.name} scored document {document!r} as {scores[i, j]} for {self._anchor(numbers[i])}; a score "
                "must be a finite number: look at the model that made it"
            )

    def _anchor(self, number: int) -> str:
        return f"anchor {self.anchors.texts([number])[0].as_py()[:60]!r}"


def _assembled(found: list[tuple[Ints, Lists, Floats]], n: int, positive_scores: Floats) -> SourceHits:
    """One list per anchor, in the anchors' order, from chunks that came in another."""
    lengths = np.zeros(n, dtype=np.int64)
    for positions, lists, _ in found:
        lengths[positions] = lists.lengths
    indptr = offsets(lengths)
    rows, scores = np.empty(indptr[-1], dtype=np.int64), np.empty(indptr[-1], dtype=np.float32)
    for positions, lists, values in found:
        at = np.repeat(indptr[positions] - lists.indptr[:-1], lists.lengths) + np.arange(len(lists.flat))
        rows[at], scores[at] = lists.flat, values
    return SourceHits(Lists(indptr, rows), scores, positive_scores)


def _repeats(rows: Ints) -> npt.NDArray[np.bool_]:
    """bool, shape of `rows`: the row stands in the same list before."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    again = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return again


def _numbers(given: Any) -> npt.NDArray[Any] | None:
    """An array of whole or floating numbers, or None where it cannot be one."""
    try:
        array = as_numbers(given)
    except (TypeError, ValueError):  # ragged lists, texts, complex numbers
        return None
    return array if array.dtype.kind in "iuf" else array.astype(np.float64)
