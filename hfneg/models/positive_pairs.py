"""How similar two relevant documents of one anchor are: measured on pairs of known positives.

The similarities are computed once, over all anchors, and lie in the store; a quantile of them is a constant of the
anchors and the model, the same for every batch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.files import disk
from hfneg.base.hashing import mix
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.models.cosines import cosines
from hfneg.models.encoder import Encoder
from hfneg.models.vectors import Vectors

FORMAT = 1
LEAST, MOST = 20, 10_000
"""Pairs that are needed at least, and that are measured at most (a sample, by a hash)."""
BLOCK = 65_536  # anchors looked at together


def pairs_of(anchors: Anchors) -> tuple[Ints, Ints]:
    """Rows of the two documents of each pair, at most MOST pairs.

    An anchor with p positives gives p - 1 pairs, each positive with the next in an order by hash, and not all
    p (p - 1) / 2: a few anchors with hundreds of positives would outweigh all others.
    """
    left: Ints = np.empty(0, dtype=np.int64)
    right: Ints = np.empty(0, dtype=np.int64)
    keys = np.empty(0, dtype=np.uint64)
    for start in range(0, len(anchors), BLOCK):
        positives = anchors.positives(np.arange(start, min(start + BLOCK, len(anchors))))
        hashes = mix(positives.owners + start, positives.flat)
        order = np.lexsort((positives.flat, hashes, positives.owners))
        follows = np.flatnonzero(positives.owners[1:] == positives.owners[:-1])  # lists lie one behind the other
        left = np.concatenate([left, positives.flat[order[follows]]])
        right = np.concatenate([right, positives.flat[order[follows + 1]]])
        keys = np.concatenate([keys, hashes[order[follows]]])
        first = np.argsort(keys, kind="stable")[:MOST]
        left, right, keys = left[first], right[first], keys[first]
    return left, right


def require_pairs(anchors: Anchors) -> tuple[Ints, Ints]:
    """`pairs_of`. Raises SettingError where there are too few to say anything."""
    left, right = pairs_of(anchors)
    if len(left) < LEAST:
        raise SettingError(
            f"the anchors have {len(left)} pairs of known positives of one anchor, and a quantile of their similarity "
            f"needs at least {LEAST}: say PositiveSimilarity(model, below=...), a cosine such as 0.8"
        )
    return left, right


def similarity_quantile(anchors: Anchors, encoder: Encoder, quantile: float) -> float:
    """The similarity that this share of the pairs lies below; of a pair that is there, so no interpolation."""
    vectors = Vectors(anchors.corpus, encoder, "document")
    digest = store.digest_of(FORMAT, anchors.digest, vectors.digest, MOST)

    def fill(folder: Path) -> None:
        disk.save_array(folder / "cosines.npy", cosines(vectors, *require_pairs(anchors)))

    found = np.load(store.build("co_positives", digest, fill) / "cosines.npy")
    return float(np.quantile(found, quantile, method="lower"))
