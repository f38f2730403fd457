"""What a row of a training gets where too few negatives were found: its own again, or random documents."""

from __future__ import annotations

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.base.hashing import uniform
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors


def random_documents(anchors: Anchors, numbers: Ints, n: int) -> Ints:
    """int64 [len(numbers), n]: documents drawn by anchor, the same ones each time, none a known positive."""
    size = len(anchors.corpus)
    hashes = np.asarray(anchors.normal_hashes)[numbers]
    draws = np.stack(
        [np.floor(uniform(i, hashes, np.full(len(numbers), i)) * size).astype(np.int64) for i in range(n)], 1
    )
    positives = anchors.positives(numbers)
    known = positives.owners * size + positives.flat
    for _ in range(size):
        taken = np.isin(np.arange(len(numbers))[:, None] * size + draws, known)
        if not taken.any() or size <= positives.lengths.max():
            break
        draws[taken] = (draws[taken] + 1) % size
    return draws


def filled(negatives: Lists, random: Ints) -> Ints:
    """int64 [anchors, n]: each list repeated up to n; an empty one is left as it is drawn."""
    n, lengths = random.shape[1], negatives.lengths
    at = negatives.indptr[:-1, None] + np.arange(n) % np.maximum(lengths, 1)[:, None]
    flat = np.append(negatives.flat, 0)
    filled: Ints = np.where(lengths[:, None] > 0, flat[np.minimum(at, len(negatives.flat))], random)
    return filled
