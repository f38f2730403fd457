"""Connected components of the graph of anchors and their positives: what is resampled together, and split together.

Anchors that share a positive tell of the same document twice, so the components, not the anchors, are independent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hfneg.base.hashing import mix
from hfneg.base.lists import Lists

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def components(positives: Lists) -> Rows:
    """int64 [n]: for each anchor the least number of an anchor that it is connected with over shared positives.

    Args:
        positives: documents of each of n anchors.

    By hooking and pointer jumping (Shiloach and Vishkin 1982), in a number of rounds that grows as log n.
    """
    parent = np.arange(len(positives))
    order = np.argsort(positives.flat, kind="stable")
    anchors, documents = positives.owners[order], positives.flat[order]
    if not len(anchors):
        return parent
    starts = np.flatnonzero(np.concatenate([[True], documents[1:] != documents[:-1]]))
    while True:
        roots = parent[anchors]
        least = np.repeat(np.minimum.reduceat(roots, starts), np.diff([*starts, len(roots)]))
        if (least == roots).all():
            return parent
        np.minimum.at(parent, roots, least)
        while (parent != parent[parent]).any():
            parent = parent[parent]


def first_half(labels: Rows, hashes: npt.NDArray[np.uint64], seed: int = 0) -> Mask:
    """bool [n]: whether an anchor is in the first of two halves; components stay whole.

    Args:
        labels: int64 [n], as `components` gives them.
        hashes: uint64 [n] of the anchors. The half depends on the seed and the least hash of the component alone, not
            on any order.
    """
    least = np.full(len(labels), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, labels, np.asarray(hashes))
    first: Mask = mix(seed, least[labels]) >> np.uint64(63) == 0
    return first
