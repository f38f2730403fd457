"""Which anchors are held out: whole components, so that no positive is on both sides."""

from __future__ import annotations

import argparse

import datasets
import numpy as np
import numpy.typing as npt
from quality import Ints

import hfneg
from hfneg.review.components import components as connected


def components(anchors: hfneg.Anchors) -> Ints:
    """int64 [anchors]: anchors that share a positive, directly or through others, have the same number."""
    return connected(anchors.positives(np.arange(len(anchors))))


def held_out(
    anchors: hfneg.Anchors, pairs: datasets.Dataset, parts: Ints, marked: Ints | None, chosen: argparse.Namespace
) -> npt.NDArray[np.bool_]:
    """bool [anchors]: whole components, in a seeded order, until the share is reached; or those of the split."""
    if marked is not None:
        given = np.zeros(len(anchors), dtype=bool)
        given[anchors.numbers(pairs[:])[marked == 1]] = True
        held: npt.NDArray[np.bool_] = np.isin(parts, parts[given])
        if held.all():
            raise SystemExit(
                f"every anchor shares a positive with one of {chosen.held_out_split!r}: nothing to train on"
            )
        return held
    sizes = np.bincount(parts)
    order = np.random.default_rng(chosen.seed).permutation(np.flatnonzero(sizes))
    wanted = chosen.held_out * len(anchors)
    # a large component is trained on: it would be most of what is measured, or all that there is
    small = order[sizes[order] <= max(wanted / 20, 10)]
    before = np.cumsum(sizes[small]) - sizes[small]
    taken = small[(before < wanted) & (before + sizes[small] <= 2 * wanted)]
    if not len(taken):
        raise SystemExit(
            f"{sizes.max():,} of {len(anchors):,} anchors hang together through shared positives, so nothing can be "
            "held out cleanly: give --held-out a larger share, or a split of its own (--held-out-split)"
        )
    return np.isin(parts, taken)
