"""The nearest anchors of every anchor, by the cosine of their stored vectors.

Found among ALL anchors, never among those of a batch, by the exact search of `hfneg.models.exact_search`. The
result lies in the store in parts of fixed ranges of anchors, each built when it is first asked for: several
processes build different ones, and what a killed run has built stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hfneg.base import store
from hfneg.base.arrays import Floats, Ints
from hfneg.base.files import disk
from hfneg.models.encoder import Encoder, refuse_forked_child
from hfneg.models.vectors import TextSource, Vectors, Vectors32, by_part

FORMAT = 1
PART = 16_384
"""Anchors per part: so many are compared with all others in one pass over the vectors."""
BLOCK = 8_192
"""Anchors that are read at a time to be compared with."""


class NearAnchors:
    """The `neighbours` nearest other anchors of each anchor under `encoder` (fewer where there are not so many)."""

    def __init__(self, anchors: TextSource, encoder: Encoder, neighbours: int) -> None:
        self.vectors = Vectors(anchors, encoder, "query")
        self.neighbours = max(0, min(neighbours, len(anchors) - 1))

    def of(self, numbers: Ints) -> tuple[Ints, Floats]:
        """int64 and float32 [len(numbers), neighbours]: numbers of the nearest, best first, and their cosines.

        Raises ProcessError in a forked child when they are not there yet.
        """
        near = np.empty((len(numbers), self.neighbours), dtype=np.int64)
        cosines = np.empty((len(numbers), self.neighbours), dtype=np.float32)
        for part, positions in by_part(numbers, PART):
            folder = self._part(part)
            inside = numbers[positions] - part * PART
            near[positions] = np.load(folder / "numbers.npy", mmap_mode="r")[inside]
            cosines[positions] = np.load(folder / "cosines.npy", mmap_mode="r")[inside]
        return near, cosines

    def _part(self, part: int) -> Path:
        digest = store.digest_of(FORMAT, self.vectors.digest, self.neighbours, PART, part)

        def fill(folder: Path) -> None:
            refuse_forked_child("compare anchors")
            near, cosines = self._search(np.arange(part * PART, min((part + 1) * PART, len(self.vectors))))
            disk.save_array(folder / "numbers.npy", near.astype(np.int32))
            disk.save_array(folder / "cosines.npy", cosines)

        return store.build("near_anchors", digest, fill)

    def _search(self, numbers: Ints) -> tuple[Ints, Floats]:
        from hfneg.models import exact_search

        self.vectors.build()
        wide = self.neighbours + 1  # the anchor itself is among them, unless as many others have the same vector
        cosines, near = exact_search.search(_unit(self.vectors.rows(numbers)), self._blocks(), wide)
        others = near != numbers[:, None]
        others[others.all(axis=1), -1] = False
        shape = (len(numbers), self.neighbours)
        return near[others].reshape(shape), cosines[others].reshape(shape)

    def _blocks(self) -> Iterator[tuple[int, Vectors32]]:
        for start in range(0, len(self.vectors), BLOCK):
            yield start, _unit(self.vectors.rows(np.arange(start, min(start + BLOCK, len(self.vectors)))))


def _unit(vectors: Vectors32) -> Vectors32:
    """Each row divided by its length; a zero vector stays zero."""
    wide = vectors.astype(np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    lengths[lengths == 0] = 1.0
    unit: Vectors32 = (wide / lengths).astype(np.float32)
    return unit
