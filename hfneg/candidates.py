"""Candidates of a block of anchors: flat arrays from the index to the ledger.

The list of an anchor holds what was retrieved, in rank order and before any removal: known positives,
the anchor's own text and repeats are still in it. So the rank of a candidate is its position + 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg import columns
from hfneg.anchors import Anchors
from hfneg.batches import Lists, values_of

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


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
    """

    names: tuple[str, ...]
    numbers: Rows
    indptr: Rows
    rows: Rows
    scores: Floats
    sources: npt.NDArray[np.uint8]
    source_scores: Floats
    source_ranks: npt.NDArray[np.int32]
    positive_scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def owners(self) -> Rows:
        """int64 [m]: position (not number) of each candidate's anchor in this block."""
        return np.repeat(np.arange(len(self.numbers)), np.diff(self.indptr))

    @property
    def ranks(self) -> Rows:
        """int64 [m], from 1."""
        return np.arange(len(self.rows)) - np.repeat(self.indptr[:-1], np.diff(self.indptr)) + 1

    # On disk, for resumable runs.

    def save(self, path: Path) -> None:
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with path.open("wb") as file:
            np.savez(file, names=np.array(self.names), **arrays)

    @classmethod
    def load(cls, path: Path) -> Candidates:
        with np.load(path) as arrays:
            return cls(names=tuple(map(str, arrays["names"])), **{name: arrays[name] for name in _ARRAYS})

    # In columns, between two `.map` calls.

    def columns(self, anchors: Anchors) -> dict[str, Lists]:
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
        return found

    @classmethod
    def from_columns(cls, anchors: Anchors, batch: Mapping[str, Any], chosen: Rows, numbers: Rows) -> Candidates:
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
        return cls(
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


_ARRAYS = ("numbers", "indptr", "rows", "scores", "sources", "source_scores", "source_ranks", "positive_scores")


def is_positive(anchors: Anchors, numbers: Rows, owners: Rows, rows: Rows) -> npt.NDArray[np.bool_]:
    """bool, shape of `rows`: whether the document is a known positive of its owner's anchor."""
    positives = anchors.positives(numbers)
    wide = len(anchors.corpus)
    known = positives.owners * wide + positives.flat  # ascending: owners ascend, rows ascend within an owner
    wanted = owners * wide + rows
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    met: npt.NDArray[np.bool_] = known[at] == wanted
    return met
