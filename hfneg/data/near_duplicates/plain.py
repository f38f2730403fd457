"""Near-duplicates and texts inside others without kernels, the same pairs: for small work, see `hfneg.base.small`.

Nothing is sampled here: all shingles of all texts are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.base.lists import Lists
from hfneg.base.small import Allowance

Pair = tuple[int, int]

ALLOWANCE = Allowance(100_000)  # pairs of texts
MOST_BYTES = 2_000_000  # of all texts together; their shingles take some 100 times that
WIDTH = 8


def shingles(text: bytes) -> frozenset[bytes]:
    """The distinct windows of a normal form that has been filled up to WIDTH bytes."""
    return frozenset(text[i : i + WIDTH] for i in range(len(text) - WIDTH + 1))


def near_duplicates(
    sets: Sequence[frozenset[bytes]], lengths: Ints, left: Lists, right: Lists, share: float
) -> tuple[Ints, Ints]:
    """Positions (i, j) of one owner's texts whose lengths agree and whose sets have that Jaccard similarity."""

    def alike(x: int, y: int) -> bool:
        shorter, longer = sorted((int(lengths[x]), int(lengths[y])))
        if longer > 0 and shorter / longer < share:
            return False
        common = len(sets[x] & sets[y])
        return common / (len(sets[x]) + len(sets[y]) - common) >= share

    return _pairs(left, right, alike)


def contained(
    sets: Sequence[frozenset[bytes]], lengths: Ints, left: Lists, right: Lists, share: float, least: int, like: float
) -> tuple[Ints, Ints]:
    """Positions (i, j) of one owner's texts of unlike lengths of which one lies in the other to that share."""

    def inside(x: int, y: int) -> bool:
        shorter, longer = sorted((int(lengths[x]), int(lengths[y])))
        smaller = min(len(sets[x]), len(sets[y]))
        if longer == 0 or shorter / longer >= like or smaller < least:
            return False
        return len(sets[x] & sets[y]) / smaller >= share

    return _pairs(left, right, inside)


def _pairs(left: Lists, right: Lists, holds: Callable[[int, int], bool]) -> tuple[Ints, Ints]:
    one, other = left.flat.tolist(), right.flat.tolist()
    found: list[Pair] = []
    for owner in range(len(left)):
        theirs = range(int(right.indptr[owner]), int(right.indptr[owner + 1]))
        for i in range(int(left.indptr[owner]), int(left.indptr[owner + 1])):
            found += [(i, j) for j in theirs if holds(one[i], other[j])]
    pairs: Ints = np.array(found, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0].copy(), pairs[:, 1].copy()
