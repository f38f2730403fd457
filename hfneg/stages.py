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
from hfneg.select import Selection

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
        chosen = self.transform.select.policy.run(anchors, candidates)
        entries = ledger.table(anchors, candidates, chosen)
        store.replace_file(self.ledger / f"{part:06d}.parquet", lambda path: pq.write_table(entries, path))
        arrays = {
            "indptr": chosen.negatives.indptr,
            "rows": chosen.negatives.flat,
            "scores": chosen.scores,
            "sources": chosen.sources,
            "positive_scores": candidates.positive_scores[:, 0],
            "verdicts": np.bincount(chosen.verdicts, minlength=256),
        }
        _save(self.folder / f"{part:06d}.npz", arrays)


def _save(path: Path, arrays: dict[str, Any]) -> None:
    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, **arrays)

    store.replace_file(path, write)


class Selections:
    """What `Choose` left for all anchors, as mapped arrays, so that RAM does not grow with them."""

    def __init__(self, folder: Path, anchors: Anchors) -> None:
        self._anchors = anchors
        self._arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("indptr", *_DTYPES)}
        self.verdicts: Rows = np.load(folder / "verdicts.npy")

    @classmethod
    def gather(cls, folder: Path, gathered: Path, anchors: Anchors) -> Selections:
        """Append the parts, in order, to one file per array."""
        lengths, verdicts = [np.zeros(1, dtype=np.int64)], np.zeros(256, dtype=np.int64)
        files = {name: (gathered / f"{name}.raw").open("wb") for name in _DTYPES}
        for part in range(len(Parts(len(anchors)))):
            with np.load(folder / f"{part:06d}.npz") as arrays:
                lengths.append(np.diff(arrays["indptr"]))
                verdicts += arrays["verdicts"]
                for name, dtype in _DTYPES.items():
                    files[name].write(arrays[name].astype(dtype).tobytes())
        np.save(gathered / "indptr.npy", np.cumsum(np.concatenate(lengths)))
        np.save(gathered / "verdicts.npy", verdicts)
        for name, dtype in _DTYPES.items():
            files[name].close()
            raw = gathered / f"{name}.raw"
            size = raw.stat().st_size // np.dtype(dtype).itemsize
            values = np.memmap(raw, dtype=dtype, mode="r") if size else np.empty(0, dtype=dtype)
            np.save(gathered / f"{name}.npy", values)
            raw.unlink()
        return cls(gathered, anchors)

    @property
    def lengths(self) -> Rows:
        """int64: how many negatives each anchor got."""
        lengths: Rows = np.diff(self._arrays["indptr"])
        return lengths

    def take(self, numbers: Rows) -> tuple[Selection, Lists]:
        """The selection for some anchors, and the scores of their positives."""
        indptr = self._arrays["indptr"]
        starts, ends = indptr[numbers], indptr[numbers + 1]
        negatives = Lists.gather(self._arrays["rows"], starts, ends)
        scores, sources = (Lists.gather(self._arrays[name], starts, ends).flat for name in ("scores", "sources"))
        chosen = Selection(numbers, negatives, scores, sources, np.empty(0, dtype=np.uint8))
        return chosen, self._anchors.of_positives(self._arrays["positive_scores"], numbers)


_DTYPES = {"rows": np.int64, "scores": np.float32, "sources": np.uint8, "positive_scores": np.float32}
