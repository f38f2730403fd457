"""The units of a long run: encode parts, search parts of anchors, select parts of anchors.

A unit's result is a file renamed into place. Anchors are cut into parts of fixed size, so that the files
are the same whatever the number of workers; a unit of search may cover many parts, because a dense search
reads all vectors once per unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hfneg import ledger, store
from hfneg.anchors import Anchors
from hfneg.batches import Lists
from hfneg.pipeline import Mine
from hfneg.searching import SourceHits
from hfneg.selections import arrays_of

PART = 4096
"""Anchors per part file."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Span:
    """Consecutive parts of anchors, first .. last - 1."""

    first: int
    last: int


@dataclass(frozen=True)
class Parts:
    """The anchors of a run, cut into parts."""

    anchors: int

    def __len__(self) -> int:
        return -(-self.anchors // PART)

    def numbers(self, part: int) -> Rows:
        return np.arange(part * PART, min((part + 1) * PART, self.anchors))

    def size(self, span: Span) -> int:
        return min(span.last * PART, self.anchors) - span.first * PART

    def missing(self, folder: Path, suffix: str) -> list[int]:
        return [part for part in range(len(self)) if not (folder / f"{part:06d}{suffix}").exists()]

    def spans(self, missing: list[int], anchors: int, workers: int) -> list[Span]:
        """Runs of missing parts, none of more than `anchors`, and shared out among the workers."""
        longest = max(1, min(anchors // PART, -(-len(missing) // workers)))
        spans: list[Span] = []
        for part in missing:
            if spans and spans[-1].last == part and part - spans[-1].first < longest:
                spans[-1] = Span(spans[-1].first, part + 1)
            else:
                spans.append(Span(part, part + 1))
        return spans


@dataclass(frozen=True)
class Encode:
    """Work on one part of stored vectors (documents or queries)."""

    vectors: Any

    def __call__(self, part: int) -> None:
        self.vectors.build_part(part)


@dataclass(frozen=True)
class Search:
    """Work on a span of anchors: one source's lists, one file per part."""

    transform: Mine
    position: int
    folder: Path

    def __call__(self, span: Span) -> None:
        parts = Parts(len(self.transform.anchors))
        numbers = np.concatenate([parts.numbers(part) for part in range(span.first, span.last)])
        hits = self.transform.retrieve.search(self.position, numbers)
        positives = self.transform.anchors.positives(numbers)
        for part in range(span.first, span.last):
            at = parts.numbers(part) - numbers[0]
            lists, scores = hits.lists.take(at), Lists(hits.lists.indptr, hits.scores).take(at)
            own = Lists(positives.indptr, hits.positive_scores).take(at)
            arrays = {"indptr": lists.indptr, "rows": lists.flat, "scores": scores.flat, "positive_scores": own.flat}
            _save(self.folder / f"{part:06d}.npz", arrays)


def load_hits(path: Path) -> SourceHits:
    """One part of one source."""
    with np.load(path) as arrays:
        return SourceHits(Lists(arrays["indptr"], arrays["rows"]), arrays["scores"], arrays["positive_scores"])


@dataclass(frozen=True)
class Choose:
    """Work on one part of anchors: fuse the sources' lists, apply the policy, write ledger and selection."""

    transform: Mine
    searched: tuple[Path, ...]
    ledger: Path
    folder: Path

    def __call__(self, part: int) -> None:
        anchors: Anchors = self.transform.anchors
        numbers = Parts(len(anchors)).numbers(part)
        found = [load_hits(folder / f"{part:06d}.npz") for folder in self.searched]
        candidates = self.transform.retrieve.fuse(numbers, found)
        scorer = self.transform.select.scorer
        nothing = np.zeros(2, dtype=np.int64)
        before = nothing if scorer is None else scorer.calls
        chosen = self.transform.select.run(candidates)
        calls = nothing if scorer is None else scorer.calls - before
        entries = ledger.table(anchors, candidates, chosen)
        store.replace_file(self.ledger / f"{part:06d}.parquet", lambda path: pq.write_table(entries, path))
        _save(self.folder / f"{part:06d}.npz", arrays_of(chosen, calls))


def _save(path: Path, arrays: dict[str, Any]) -> None:
    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, **arrays)

    store.replace_file(path, write)
