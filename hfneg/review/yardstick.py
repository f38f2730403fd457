"""What a rate of false negatives is compared with: that of skipping as many first ranks as makes them as hard.

Any filter has fewer false negatives where it takes easier documents. The simplest way to easier ones is to skip ranks
(``range_min`` of `mine_hard_negatives`, `RankWindow` here), so a filter is worth something only where its rate is below
that of the skip whose negatives are as hard, by a model that is neither miner nor teacher, and as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hfneg.base.arrays import Ints, Numbers
from hfneg.base.lists import offsets
from hfneg.errors import InputError
from hfneg.review.calibrate.isotonic import falling

SKIPS = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300)
DRAWS = 1_000
WHOLE = 0.99
"""A skip counts where it still gives this share of the negatives that it is to give."""
TAIL = 0.025

Place = Literal["inside", "harder than any skip", "easier than any skip"]


@dataclass(frozen=True)
class Pairs:
    """m pairs of n anchors, anchors ascending and each one's pairs in their order.

    Attributes:
        owners: int64 [m], the anchor of each, 0 .. n-1.
        relevance: float64 [m], 1 relevant, 0 not, or a probability.
        hardness: float64 [m], s(anchor, document) - s(anchor, positive) by the reference.
    """

    owners: Ints
    relevance: Numbers
    hardness: Numbers


@dataclass(frozen=True)
class Point:
    """A skip, as it is seen: how many ranks, the negatives' rate of false ones, and how hard the true ones are."""

    skip: int
    rate: float
    hardness: float


@dataclass(frozen=True)
class BesideSkips:
    """A set of negatives beside the skips.

    Attributes:
        rate, hardness: its own.
        skip, skip_rate: of the skip that is as hard, between those that were tried; of the nearest where `place` says
            that none is.
        ratio: rate / skip_rate; NaN where both are 0. low, high: 95%, over components of anchors.
        curve: the skips.
    """

    rate: float
    hardness: float
    skip: float
    skip_rate: float
    ratio: float
    low: float
    high: float
    place: Place
    curve: tuple[Point, ...]

    @property
    def in_words(self) -> str:
        """ "0.70 times (95%: 0.51 to 0.93) the rate of skipping 8 ranks, which is as hard" """
        times = f"{self.ratio:.2f} times (95%: {self.low:.2f} to {self.high:.2f}) the rate of"
        if self.place == "inside":
            return f"{times} skipping {self.skip:.0f} ranks, which is as hard"
        return f"{times} skipping {self.skip:.0f} ranks; these negatives are {self.place}"


def beside_skips(
    taken: Pairs, ranked: Pairs, anchors: int, *, labels: Ints | None = None, skips: Sequence[int] = SKIPS
) -> BesideSkips:
    """Compare negatives with skips over a ranked list that give each anchor as many.

    Args:
        taken: the negatives.
        ranked: the lists that skips are made in, best first, without known positives and what else is never taken.
        anchors: n.
        labels: int64 [n], the component of each anchor; None: each is one of its own.
        skips: are tried as long as the lists are long enough for them.

    Along the skips hardness and rate are made monotone (pooled adjacent violators), and between two skips the rate is
    linear in hardness. The interval is a Bayesian bootstrap over components, in which for the upper end one unseen
    component that is relevant throughout is reckoned with, and for the lower end one such among the skips'.

    Raises InputError: no negatives, none of them true, or lists too short for a single skip.
    """
    counts = np.bincount(taken.owners, minlength=anchors)
    if not counts.sum() or not (1 - taken.relevance).sum() > 0:
        raise InputError("there are no true negatives to say how hard they are")
    own = _sums(taken, np.arange(len(taken.owners)), anchors)
    tried, sums = _windows(ranked, counts, anchors, skips)
    _, place = np.unique(np.arange(anchors) if labels is None else labels, return_inverse=True)
    weights = _weights(place.reshape(-1))
    unseen = float(counts.sum()) / len(np.unique(place))
    seen = _ratio(np.ones((1, anchors)), own, sums, tried, 0.0, 0.0)
    high = _ratio(weights, own, sums, tried, unseen, 0.0)[2]
    low = _ratio(weights, own, sums, tried, 0.0, unseen)[2]
    (rate, hard), (skip, skip_rate), ratio = _first(seen)
    (rates,), (hards,) = _curve(np.ones((1, anchors)), sums, 0.0)
    where: Place = "inside"
    if hard > hards[0]:
        where = "harder than any skip"
    elif hard < hards[-1]:
        where = "easier than any skip"
    points = tuple(
        Point(int(s), float(r), float(h)) for s, r, h in zip(tried, rates.tolist(), hards.tolist(), strict=True)
    )
    ends = float(np.quantile(low, TAIL, method="lower")), float(np.quantile(high, 1 - TAIL, method="higher"))
    ends = (0.0, ends[1]) if np.isnan(ratio) else (min(ends[0], ratio), max(ends[1], ratio))
    return BesideSkips(rate, hard, skip, skip_rate, ratio, *ends, where, points)


def _first(seen: tuple[tuple[Numbers, Numbers], tuple[Numbers, Numbers], Numbers]) -> tuple:  # type: ignore[type-arg]
    (rate, hard), (skip, skip_rate), ratio = seen
    return (float(rate[0]), float(hard[0])), (float(skip[0]), float(skip_rate[0])), float(ratio[0])


def _sums(pairs: Pairs, at: Ints, anchors: int) -> Numbers:
    """float64 [4, n] of each anchor: relevance, pairs, hardness of true ones, how many true ones."""
    owners, relevance = pairs.owners[at], pairs.relevance[at]
    true = 1 - relevance
    parts = (relevance, np.ones(len(at)), true * pairs.hardness[at], true)
    return np.stack([np.bincount(owners, weights=part, minlength=anchors) for part in parts])


def _windows(ranked: Pairs, counts: Ints, anchors: int, skips: Sequence[int]) -> tuple[list[int], Numbers]:
    """The skips for which the lists are long enough, and float64 [k, 4, n]: `_sums` of each."""
    starts = offsets(np.bincount(ranked.owners, minlength=anchors))
    place = np.arange(len(ranked.owners)) - starts[ranked.owners]
    tried, sums = [], []
    for skip in sorted(set(skips)):
        at = np.flatnonzero((place >= skip) & (place < skip + counts[ranked.owners]))
        if len(at) < WHOLE * counts.sum():
            break
        tried.append(skip)
        sums.append(_sums(ranked, at, anchors))
    if not tried:
        raise InputError(
            f"the ranked lists have {len(ranked.owners):,} documents and are too short to take {counts.sum():,} from "
            "their top"
        )
    return tried, np.stack(sums)


def _weights(place: Ints) -> Numbers:
    """float64 [DRAWS, n]: exponential, one for each component."""
    drawn = np.random.default_rng(0).standard_exponential((DRAWS, int(place.max()) + 1))
    return drawn[:, place]


def _curve(weights: Numbers, sums: Numbers, unseen: float) -> tuple[Numbers, Numbers]:
    """(rates, hardness), float64 [draws, k] each, both non-increasing along the skips."""
    relevant, pairs, hard, true = np.einsum("dn,kpn->pdk", weights, sums)
    rates = (relevant + unseen) / np.maximum(pairs + unseen, 1e-12)
    hardness = hard / np.maximum(true, 1e-12)
    return np.stack([*map(falling, rates)]), np.stack([*map(falling, hardness)])


def _ratio(
    weights: Numbers, own: Numbers, sums: Numbers, tried: list[int], unseen: float, unseen_skip: float
) -> tuple[tuple[Numbers, Numbers], tuple[Numbers, Numbers], Numbers]:
    """((rate, hardness), (skip, its rate), ratio), float64 [draws] each."""
    relevant, pairs, hard, true = np.einsum("dn,pn->pd", weights, own)
    rate = (relevant + unseen) / (pairs + unseen)
    hardness = hard / np.maximum(true, 1e-12)
    rates, hards = _curve(weights, sums, unseen_skip)
    skip_rate, skip = np.empty(len(rate)), np.empty(len(rate))
    for i in range(len(rate)):
        skip_rate[i] = np.interp(hardness[i], hards[i, ::-1], rates[i, ::-1])
        skip[i] = np.interp(-hardness[i], -hards[i], np.asarray(tried, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = rate / skip_rate
    return (rate, hardness), (skip, skip_rate), ratio
