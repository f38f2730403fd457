"""Connected components of the graph of anchors and their positives: what is resampled together, and split together.

Anchors that share a positive tell of the same document twice, so the components, not the anchors, are independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.hashing import mix
from hfneg.base.lists import Lists

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

DRAWS = 4_000


@dataclass(frozen=True)
class Share:
    """A share and its interval, all from 0 to 1."""

    value: float
    low: float
    high: float


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


def share(hits: Mask, labels: Rows, undecided: Mask | None = None, level: float = 0.95, seed: int = 0) -> Share:
    """The share of `hits` with an interval over components.

    Args:
        hits: bool [r].
        labels: int64 [r], the component of each.
        undecided: bool [r], of which nobody knows: not in the value, no hits at the lower end and hits at the upper.

    The interval is a Bayesian bootstrap (Rubin 1981): components get exponential weights. One more component of mean
    size, in which for the upper end all and for the lower end none are hits, is reckoned with, so that nothing seen
    among few does not mean a width of zero; with components of one it is the interval of Clopper and Pearson (1934).
    """
    unknown = np.zeros(len(hits), dtype=bool) if undecided is None else undecided
    decided = hits[~unknown]
    if not len(decided):
        return Share(float("nan"), 0.0, 1.0)
    tail = (1 - level) / 2
    low, _ = _draws(hits & ~unknown, labels, seed)
    _, high = _draws(hits | unknown, labels, seed)
    return Share(float(np.mean(decided)), float(np.quantile(low, tail)), float(np.quantile(high, 1 - tail)))


def _draws(hits: Mask, labels: Rows, seed: int) -> tuple[Numbers, Numbers]:
    """float64 [DRAWS] each: shares with one more component without hits, and with one more of hits alone.

    Components of like content share one gamma draw, which is the sum of their weights, and makes a million of them
    cheap.
    """
    _, place = np.unique(labels, return_inverse=True)
    counts = np.bincount(place)
    sums = np.bincount(place, weights=hits)
    kinds, many = np.unique(np.stack([sums, counts]), axis=1, return_counts=True)
    draw = np.random.default_rng(seed)
    top, bottom = np.zeros(DRAWS), np.zeros(DRAWS)
    for total, count, alike in zip(*kinds.tolist(), many.tolist(), strict=True):
        weights = draw.standard_gamma(alike, DRAWS)
        top += weights * total
        bottom += weights * count
    extra = draw.standard_exponential(DRAWS) * float(counts.mean())
    return top / (bottom + extra), (top + extra) / (bottom + extra)
