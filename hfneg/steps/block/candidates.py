"""Candidates of a block of anchors: flat arrays from the index to the ledger.

The list of an anchor holds what was retrieved, in rank order and before any removal: known positives,
the anchor's own text and repeats are still in it. So the rank of a candidate is its position + 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base import columns
from hfneg.base.arrays import Floats, Ints
from hfneg.base.lists import Lists, offsets, values_of
from hfneg.data.anchors import Anchors


@dataclass(frozen=True)
class Candidates:
    """m candidates of n anchors from S sources; p known positives in all.

    Attributes:
        names: the sources, S of them; bit i of `sources` means ``names[i]``.
        numbers: int64 [n], the anchors.
        indptr: int64 [n + 1]; anchor i's candidates are ``indptr[i] .. indptr[i + 1] - 1``.
        rows: int64 [m], rows of the corpus.
        scores: float32 [m], what ranks them: the source's score, or the fused one.
        sources: uint8 [m], bit mask.
        source_scores: float32 [m, S]; NaN where the source did not retrieve it.
        source_ranks: int32 [m, S], from 1; 0 where the source did not retrieve it.
        positive_scores: float32 [p, 1 + S], for `Anchors.positives(numbers)` in its flat order: the ranking
            score, then each source's; NaN where a source cannot score.
        first: int64 [n], how many of each list the first search has found; what a deeper search adds stands behind
            them. None: all.
        deeper_positive_scores: as `positive_scores`, in the lists of the deeper search; NaN where there was none.
        closed: bool [m], documents that are kept for other anchors, see `hfneg.steps.filters.hubs`; None: unknown.
    """

    names: tuple[str, ...]
    numbers: Ints
    indptr: Ints
    rows: Ints
    scores: Floats
    sources: npt.NDArray[np.uint8]
    source_scores: Floats
    source_ranks: npt.NDArray[np.int32]
    positive_scores: Floats
    first: Ints | None = None
    deeper_positive_scores: Floats | None = None
    closed: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def owners(self) -> Ints:
        """int64 [m]: position (not number) of each candidate's anchor in this block."""
        return np.repeat(np.arange(len(self.numbers)), np.diff(self.indptr))

    @property
    def ranks(self) -> Ints:
        """int64 [m], from 1."""
        return np.arange(len(self.rows)) - np.repeat(self.indptr[:-1], np.diff(self.indptr)) + 1

    @property
    def appended(self) -> npt.NDArray[np.bool_]:
        """bool [m]: not of the first search."""
        if self.first is None:
            return np.zeros(len(self), dtype=bool)
        return self.ranks > np.repeat(self.first, np.diff(self.indptr))

    # Parts and longer lists.

    def take(self, anchors: Anchors, at: Ints) -> Candidates:
        """The lists of the anchors at these positions, in this order."""
        lists = Lists(self.indptr, np.arange(len(self))).take(at)
        positives = anchors.positives(self.numbers)
        own = Lists(positives.indptr, np.arange(len(positives.flat))).take(at).flat
        deeper = self.deeper_positive_scores
        return replace(
            self,
            numbers=self.numbers[at],
            indptr=lists.indptr,
            positive_scores=self.positive_scores[own],
            first=None if self.first is None else self.first[at],
            deeper_positive_scores=None if deeper is None else deeper[own],
            **{name: values[lists.flat] for name, values in self._flat.items()},
        )

    def extended(self, more: Candidates) -> Candidates:
        """Behind each list what `more`, of the same anchors, has and this has not, in the order of `more`."""
        wide = int(max(self.rows.max(initial=0), more.rows.max(initial=0))) + 1
        new = ~np.isin(more.owners * wide + more.rows, self.owners * wide + self.rows)
        order = np.argsort(np.concatenate([self.owners, more.owners[new]]), kind="stable")
        lengths = np.diff(self.indptr)
        longer: dict[str, Any] = {
            name: np.concatenate([values, more._flat[name][new]])[order]
            for name, values in self._flat.items()
            if name in more._flat
        }
        return replace(
            self,
            indptr=offsets(lengths + np.bincount(more.owners[new], minlength=len(lengths))),
            first=lengths if self.first is None else self.first,
            closed=longer.pop("closed", None),
            **longer,
        )

    def spliced(self, anchors: Anchors, pieces: Sequence[tuple[Ints, Candidates]]) -> tuple[Candidates, Splice]:
        """With the lists of some anchors (their positions) replaced by longer ones."""
        splice = Splice(self.indptr, [(at, piece.indptr) for at, piece in pieces])
        positives = anchors.positives(self.numbers)
        first = np.diff(self.indptr) if self.first is None else self.first.copy()
        deeper = np.full_like(self.positive_scores, np.nan)
        for at, piece in pieces:
            own = Lists(positives.indptr, np.arange(len(positives.flat))).take(at).flat
            first[at] = np.diff(piece.indptr) if piece.first is None else piece.first
            deeper[own] = np.nan if piece.deeper_positive_scores is None else piece.deeper_positive_scores
        flat = {name: splice(values, [p._flat.get(name) for _, p in pieces]) for name, values in self._flat.items()}
        longer = replace(self, indptr=splice.indptr, first=first, deeper_positive_scores=deeper, **flat)
        return longer, splice

    @property
    def _flat(self) -> dict[str, Any]:
        """The arrays with one element per candidate."""
        names = ("rows", "scores", "sources", "source_scores", "source_ranks", "closed")
        return {name: values for name in names if (values := getattr(self, name)) is not None}

    # In columns, between two `.map` calls.

    def columns(self, anchors: Anchors, *, with_first: bool = False) -> dict[str, Lists]:
        """The columns in which candidates travel, one list per anchor of the block."""
        wide = 1 + len(self.names)
        several = len(self.names) > 1
        positives = anchors.positives(self.numbers)
        origin = np.tile(np.array([anchors.digest, *self.names], dtype=object), len(self.numbers))
        found = {
            columns.CANDIDATE_ROWS: Lists(self.indptr, self.rows),
            columns.CANDIDATE_SCORES: Lists(self.indptr, self.scores),
            columns.CANDIDATE_SOURCES: Lists(self.indptr, self.sources),
            columns.CANDIDATE_ORIGIN: Lists(np.arange(len(self.numbers) + 1) * wide, origin),
            columns.CANDIDATE_POSITIVE_SCORES: Lists(positives.indptr * wide, self.positive_scores.reshape(-1)),
        }
        if several:
            found[columns.CANDIDATE_SOURCE_SCORES] = Lists(
                self.indptr * len(self.names), self.source_scores.reshape(-1)
            )
            found[columns.CANDIDATE_SOURCE_RANKS] = Lists(self.indptr * len(self.names), self.source_ranks.reshape(-1))
        if with_first:
            first = np.diff(self.indptr) if self.first is None else self.first
            deeper = self.deeper_positive_scores
            deeper = np.full_like(self.positive_scores, np.nan) if deeper is None else deeper
            found[columns.CANDIDATE_FIRST] = Lists(np.arange(len(first) + 1), first)
            found[columns.CANDIDATE_DEEPER_POSITIVE_SCORES] = Lists(positives.indptr * wide, deeper.reshape(-1))
        return found

    @classmethod
    def from_columns(cls, anchors: Anchors, batch: Mapping[str, Any], chosen: Ints, numbers: Ints) -> Candidates:
        """Back from the columns: the batch's rows `chosen`, whose anchors are `numbers`.

        Raises ValueError where they are not candidates of these anchors.
        """
        digest, *names = (str(word) for word in values_of(batch[columns.CANDIDATE_ORIGIN])[int(chosen[0])])
        if digest != anchors.digest:
            raise ValueError(f"they were retrieved for the anchors {digest[:12]}, these are {anchors.digest[:12]}")

        def lists(column: str, dtype: npt.DTypeLike) -> Lists:
            values = values_of(batch[column])
            return Lists.of((values[i] for i in chosen), dtype)

        rows = lists(columns.CANDIDATE_ROWS, np.int64)
        scores = lists(columns.CANDIDATE_SCORES, np.float32).flat
        if len(names) > 1:
            source_scores = lists(columns.CANDIDATE_SOURCE_SCORES, np.float32).flat
            source_ranks = lists(columns.CANDIDATE_SOURCE_RANKS, np.int32).flat
        else:
            source_scores = scores.copy()
            source_ranks = (np.arange(len(rows.flat)) - np.repeat(rows.indptr[:-1], rows.lengths) + 1).astype(np.int32)
        first = deeper = None
        if columns.CANDIDATE_FIRST in (batch.column_names if isinstance(batch, pa.Table) else batch):
            first = lists(columns.CANDIDATE_FIRST, np.int64).flat
            deeper = lists(columns.CANDIDATE_DEEPER_POSITIVE_SCORES, np.float32).flat.reshape(-1, 1 + len(names))
        return cls(
            first=first,
            deeper_positive_scores=deeper,
            names=tuple(names),
            numbers=numbers,
            indptr=rows.indptr,
            rows=rows.flat,
            scores=scores,
            sources=lists(columns.CANDIDATE_SOURCES, np.uint8).flat,
            source_scores=source_scores.reshape(-1, len(names)),
            source_ranks=source_ranks.reshape(-1, len(names)),
            positive_scores=lists(columns.CANDIDATE_POSITIVE_SCORES, np.float32).flat.reshape(-1, 1 + len(names)),
        )

    def check(self, anchors: Anchors) -> None:
        """Raise ValueError unless the arrays belong together and to `anchors`."""
        m, known = len(self.rows), len(anchors.positives(self.numbers).flat)
        lengths = {len(values) for values in (self.scores, self.sources, self.source_scores, self.source_ranks)}
        if lengths != {m}:
            raise ValueError(f"{m} rows, but {', '.join(map(str, sorted(lengths)))} scores, sources or ranks")
        if len(self.positive_scores) != known:
            raise ValueError(f"scores of {len(self.positive_scores)} positives, but {known} are known")
        if m and not 0 <= self.rows.min() <= self.rows.max() < len(anchors.corpus):
            raise ValueError(f"rows {self.rows.min()} .. {self.rows.max()} of {len(anchors.corpus)} documents")


class Splice:
    """Where the elements of ragged lists are when some lists are replaced by others."""

    def __init__(self, indptr: Ints, pieces: Sequence[tuple[Ints, Ints]]) -> None:
        starts, ends, base = indptr[:-1].copy(), indptr[1:].copy(), int(indptr[-1])
        for at, own in pieces:
            starts[at], ends[at] = base + own[:-1], base + own[1:]
            base += int(own[-1])
        lists = Lists.gather(np.arange(base), starts, ends)
        self.indptr, self._positions = lists.indptr, lists.flat

    def __call__(self, values: Any, others: Sequence[Any]) -> Any:
        """The elements: `values` of the old lists, `others` of each piece."""
        return np.concatenate([values, *others])[self._positions]


def unretrieved(candidates: Candidates, owners: Ints, rows: Ints, scores: Floats | None = None) -> Candidates:
    """Documents as candidates of the same anchors (owners ascending) that no source has retrieved."""
    m, s = len(rows), len(candidates.names)
    return replace(
        candidates,
        indptr=offsets(np.bincount(owners, minlength=len(candidates.numbers))),
        rows=rows,
        scores=np.zeros(m, dtype=np.float32) if scores is None else scores,
        sources=np.zeros(m, dtype=np.uint8),
        source_scores=np.full((m, s), np.nan, dtype=np.float32),
        source_ranks=np.zeros((m, s), dtype=np.int32),
        first=None,
        deeper_positive_scores=None,
        closed=None,
    )


def is_given(anchors: Anchors, numbers: Ints, owners: Ints, rows: Ints) -> npt.NDArray[np.bool_]:
    """bool, shape of `rows`: whether the document is a given negative of its owner's anchor."""
    if not anchors.given:
        return np.zeros(rows.shape, dtype=bool)
    given, wide = anchors.negatives(numbers), len(anchors.corpus)
    met: npt.NDArray[np.bool_] = np.isin(owners * wide + rows, given.owners * wide + given.flat)
    return met


def is_positive(anchors: Anchors, numbers: Ints, owners: Ints, rows: Ints) -> npt.NDArray[np.bool_]:
    """bool, shape of `rows`: whether the document is a known positive of its owner's anchor."""
    positives = anchors.positives(numbers)
    wide = len(anchors.corpus)
    known = positives.owners * wide + positives.flat  # ascending: owners ascend, rows ascend within an owner
    wanted = owners * wide + rows
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    met: npt.NDArray[np.bool_] = known[at] == wanted
    return met
