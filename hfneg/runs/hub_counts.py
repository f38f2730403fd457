"""Which anchors may use a document that many anchors have in their lists: those that rank it best.

Counted over the lists of ALL anchors, part by part: a part's tally is its (document, rank, anchor) triples by document;
from all tallies comes, for each document in more than c lists, the cut: the rank and the anchor's hash of the c-th. The
lists themselves are never in memory together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints, Mask
from hfneg.base.files.part_files import finish, is_finished, open_array, save_array as save_array
from hfneg.data.anchors import Anchors
from hfneg.steps.block.block import Block

ENTRY = np.dtype([("row", "<i8"), ("rank", "<i8"), ("hash", "<u8")])
DONE = "done"
HELD = 4_000_000
"""Entries of a tally that are sorted at once."""


def tally(anchors: Anchors, block: Block, wanted: Mask | None = None) -> Any:
    """The (row, rank, anchor's hash) of each candidate that could be a negative, by row; ENTRY [..].

    Known positives of the anchor and its own text could not, and take nobody's place.
    """
    hashes = np.asarray(anchors.normal_hashes[block.numbers])[block.owners]
    kept = ~block.is_positive
    kept &= block.sources > 0  # given negatives were not retrieved, and take nobody's place either
    kept &= np.asarray(anchors.corpus.normal_hashes[block.rows]) != hashes
    if wanted is not None:
        kept &= wanted
    entries = np.empty(int(kept.sum()), dtype=ENTRY)
    entries["row"], entries["rank"], entries["hash"] = block.rows[kept], block.ranks[kept], hashes[kept]
    return entries[np.argsort(entries["row"], kind="stable")]


def write_cuts(tallies: Sequence[Path], most: int | npt.NDArray[np.int32], documents: int, folder: Path) -> None:
    """The cuts of all documents in more than `most` lists (one number, or one per document), into `folder`."""
    limits = np.broadcast_to(np.asarray(most, dtype=np.int32), (documents,))
    counts = np.zeros(documents, dtype=np.int32)
    for path in tallies:
        rows, times = np.unique(open_array(path)["row"], return_counts=True)
        counts[rows] += times.astype(np.int32)
    hubs = np.flatnonzero(counts > limits)
    ranks, hashes = np.zeros(len(hubs), dtype=np.int64), np.zeros(len(hubs), dtype=np.uint64)
    for some in _groups(counts[hubs]):
        rows = hubs[some]
        entries = np.concatenate([_of_rows(open_array(path), rows) for path in tallies])
        entries = entries[np.lexsort((entries["hash"], entries["rank"], entries["row"]))]
        starts = np.searchsorted(entries["row"], rows)
        last = entries[starts + np.maximum(limits[rows], 1) - 1]
        ranks[some] = np.where(limits[rows] > 0, last["rank"], 0)  # no rank is 0: nobody may use it
        hashes[some] = last["hash"]
    left = np.maximum(limits - counts, 0).astype(np.int32)
    for name, values in (("rows", hubs), ("ranks", ranks), ("hashes", hashes), ("left", left)):
        save_array(folder / f"{name}.npy", values)
    finish(folder / DONE, folder, folder.glob("*.npy"))


class Cuts:
    """What `write_cuts` has written, as mapped arrays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def there(folder: Path) -> bool:
        """Whether they were written to the end."""
        return is_finished(folder / DONE, folder)

    @cached_property
    def left(self) -> npt.NDArray[np.int32]:
        """int32 [documents]: how many more anchors may use a document."""
        left: npt.NDArray[np.int32] = self._array("left")
        return left

    def closed(self, anchors: Anchors, block: Block) -> Mask:
        """bool [m]: the document is kept for anchors that rank it better."""
        hubs, ranks, hashes = (self._array(name) for name in ("rows", "ranks", "hashes"))
        if not len(hubs):
            return np.zeros(len(block), dtype=bool)
        at = np.minimum(np.searchsorted(hubs, block.rows), len(hubs) - 1)
        own = np.asarray(anchors.normal_hashes[block.numbers])[block.owners]
        behind = (block.ranks > ranks[at]) | ((block.ranks == ranks[at]) & (own > hashes[at]))
        closed: Mask = (hubs[at] == block.rows) & behind
        return closed

    def _array(self, name: str) -> Any:
        return open_array(self._folder / f"{name}.npy")


def _groups(counts: npt.NDArray[np.int32]) -> Iterator[slice]:
    """Consecutive documents with about HELD entries in all."""
    ends = np.cumsum(counts, dtype=np.int64)
    edges = [0, *(np.flatnonzero(np.diff(ends // HELD)) + 1).tolist(), len(counts)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield slice(start, stop)


def _of_rows(entries: Any, rows: Ints) -> Any:
    """The entries of these documents (ascending)."""
    found = np.ascontiguousarray(entries["row"])
    low, high = np.searchsorted(found, rows[0]), np.searchsorted(found, rows[-1], "right")
    return entries[low:high][np.isin(found[low:high], rows)]
