"""Connected components of the graph of anchors and their positives: what is resampled together, and split together.

Anchors that share a positive tell of the same document twice, so the components, not the anchors, are independent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import mix
from hfneg.base.lists import Lists


def components(positives: Lists) -> Ints:
    """int64 [n]: for each anchor the least number of an anchor that it is connected with over shared positives.

    Args:
        positives: documents of each of n anchors.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    _, documents = np.unique(positives.flat, return_inverse=True)
    size = len(positives) + len(documents)
    edges = np.ones(len(documents), dtype=bool), (positives.owners, len(positives) + documents.reshape(-1))
    _, labels = connected_components(coo_matrix(edges, shape=(size, size)), directed=False)
    _, first, place = np.unique(labels[: len(positives)], return_index=True, return_inverse=True)
    least: Ints = first[place.reshape(-1)]
    return least


def first_half(labels: Ints, hashes: npt.NDArray[np.uint64], seed: int = 0) -> Mask:
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
