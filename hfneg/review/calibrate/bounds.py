"""Without judgments: how relevant the mined could be at most, if unlabelled positives scored like labelled ones.

If a share of the candidates is relevant and scores like the known positives, the candidates' distribution is a
mixture g = (1 - share) g0 + share f, so that the share is at most g(above t) / f(above t) for every t (the bound of
mixture proportion estimation, Scott 2015), and P(relevant | s) = share f(s) / g(s) (Elkan and Noto 2008). It is a
sensitivity analysis and no confidence: that the unlabelled score like the labelled is exactly what is not known, and
they are usually harder. So it is computed again with the positives shifted down.

The bound of one shift alone can fall as the shift grows: positives that are moved past the scores of the mined leave
fewer of these relevant, though there may be more of them (and where scores are few, as 1 / rank, it jumps). How far the
unlabelled are below the labelled is not known, so what is told of a shift is the largest over all shifts up to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints, Numbers
from hfneg.review.calibrate.isotonic import isotonic_means

Floats = npt.NDArray[np.floating]

SHIFTS = (0.0, 0.5, 1.0)
"""Standard deviations of the known positives' scores by which they are moved down at most."""
BETWEEN = 5
"""Shifts that are looked at for each of these: as many steps from the one before it."""
TAILS = np.linspace(0.1, 0.9, 17)
"""Shares of the positives above the thresholds at which the mixture is bounded."""
DOUBT = 0.2
"""How far the positives' distribution may be from what it looks like (Dvoretzky, Kiefer and Wolfowitz, 95%)."""
NEEDED = math.ceil(math.log(2 / 0.05) / (2 * DOUBT**2))


@dataclass(frozen=True)
class Bound:
    """At most so large is the rate if unlabelled positives score like labelled ones up to `shift` deviations lower."""

    shift: float
    rate: float
    share_of_candidates: float


def bounds(positives: Floats, candidates: Floats, mined: Floats) -> list[Bound]:
    """One for each of `SHIFTS`, none below that of a smaller shift.

    Args:
        positives, candidates: scores of the known positives and of all examined candidates that are not known to be
            positive; `mined` those of the negatives, which are among the candidates.
    """
    deviation = float(positives.astype(np.float64).std())
    steps = [np.linspace(before, shift, BETWEEN + 1)[1:] for before, shift in pairwise(SHIFTS)]
    found, known = [], _Candidates.of(candidates)
    for shift in [SHIFTS[0], *np.concatenate(steps).tolist()]:
        moved = positives - shift * deviation
        share = _largest_share(moved, known)
        found.append((shift, float(_relevance(moved, known, mined, share).mean()), share))
    shifts, rates, shares = zip(*found, strict=True)
    most = zip(shifts, np.maximum.accumulate(rates).tolist(), np.maximum.accumulate(shares).tolist(), strict=True)
    return [Bound(*one) for one in most if one[0] in SHIFTS]


def likely(positives: Floats, candidates: Floats, mined: Floats) -> Numbers:
    """float64, shape of `mined`: P(relevant) of each at the middle shift; a half where there is nothing to compare."""
    if len(positives) < 2 or not len(candidates):
        return np.full(len(mined), 0.5)
    moved, known = positives - SHIFTS[1] * float(positives.astype(np.float64).std()), _Candidates.of(candidates)
    return _relevance(moved, known, mined, _largest_share(moved, known))


@dataclass(frozen=True)
class _Candidates:
    """Scores sorted once, for all shifts: `ordered`, and each distinct one (float64) with how often it is there."""

    ordered: Floats
    at: Numbers
    counts: Ints

    @classmethod
    def of(cls, scores: Floats) -> _Candidates:
        ordered = np.sort(scores)
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        return cls(ordered, ordered[first].astype(np.float64), np.diff(first, append=len(ordered)))

    def __len__(self) -> int:
        return len(self.ordered)


def _relevance(positives: Floats, candidates: _Candidates, mined: Floats, share: float) -> Numbers:
    """share f(s) / g(s), with f / g made non-decreasing in s."""
    at, many = np.unique(positives.astype(np.float64), return_counts=True)
    place = np.searchsorted(candidates.at, at)
    new = candidates.at[np.minimum(place, len(candidates.at) - 1)] != at
    both = np.insert(candidates.at, place[new], at[new])
    counts = np.insert(candidates.counts, place[new], 0)
    yes = np.zeros(len(both), dtype=np.int64)
    yes[np.searchsorted(both, at)] = many
    p = np.minimum(isotonic_means(both, yes / (counts + yes), counts + yes)(mined.astype(np.float64)), 1 - 1e-9)
    ratio = p / (1 - p) * (len(candidates) / len(positives))
    relevance: Numbers = np.minimum(share * ratio, 1.0)
    return relevance


def _largest_share(positives: Floats, candidates: _Candidates) -> float:
    """The largest share of the candidates that can be distributed as the positives are.

    The candidates above a threshold are counted with an upper, the positives with a lower end of two standard errors,
    so that few are not taken for none.
    """
    n = len(positives)
    thresholds = np.quantile(positives, 1 - TAILS)
    above = len(candidates) - np.searchsorted(candidates.ordered, thresholds, "left")
    most = (above + 2.0 * np.sqrt(above + 1.0) + 2.0) / len(candidates)
    kept = np.array([np.mean(positives >= one) for one in thresholds])
    least = kept - 2.0 * np.sqrt(kept * (1 - kept) / n)
    usable = least > 0
    return float(min(np.min(most[usable] / least[usable]), 1.0)) if usable.any() else 1.0
