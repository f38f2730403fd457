"""Without judgments: how relevant the mined could be at most, if unlabelled positives scored like labelled ones.

If a share of the candidates is relevant and scores like the known positives, the candidates' distribution is a
mixture g = (1 - share) g0 + share f, so that the share is at most g(above t) / f(above t) for every t (the bound of
mixture proportion estimation, Scott 2015), and P(relevant | s) = share f(s) / g(s) (Elkan and Noto 2008). It is a
sensitivity analysis and no confidence: that the unlabelled score like the labelled is exactly what is not known, and
they are usually harder. So it is computed again with the positives shifted down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Numbers
from hfneg.review.calibrate.isotonic import isotonic

Floats = npt.NDArray[np.floating]

SHIFTS = (0.0, 0.5, 1.0)
"""Standard deviations of the known positives' scores by which they are moved down."""
TAILS = np.linspace(0.1, 0.9, 17)
"""Shares of the positives above the thresholds at which the mixture is bounded."""
DOUBT = 0.2
"""How far the positives' distribution may be from what it looks like (Dvoretzky, Kiefer and Wolfowitz, 95%)."""
NEEDED = math.ceil(math.log(2 / 0.05) / (2 * DOUBT**2))


@dataclass(frozen=True)
class Bound:
    """At most so large is the rate if unlabelled positives score like labelled ones `shift` deviations lower."""

    shift: float
    rate: float
    share_of_candidates: float


def bounds(positives: Floats, candidates: Floats, mined: Floats) -> list[Bound]:
    """One for each of `SHIFTS`.

    Args:
        positives, candidates: scores of the known positives and of all examined candidates that are not known to be
            positive; `mined` those of the negatives, which are among the candidates.
    """
    deviation = float(positives.astype(np.float64).std())
    return [_bound(positives - shift * deviation, candidates, mined, shift) for shift in SHIFTS]


def likely(positives: Floats, candidates: Floats, mined: Floats) -> Numbers:
    """float64, shape of `mined`: P(relevant) of each at the middle shift; a half where there is nothing to compare."""
    if len(positives) < 2 or not len(candidates):
        return np.full(len(mined), 0.5)
    moved = positives - SHIFTS[1] * float(positives.astype(np.float64).std())
    return _relevance(moved, candidates, mined, largest_share(moved, candidates))


def _bound(positives: Floats, candidates: Floats, mined: Floats, shift: float) -> Bound:
    share = largest_share(positives, candidates)
    return Bound(shift, float(_relevance(positives, candidates, mined, share).mean()), share)


def _relevance(positives: Floats, candidates: Floats, mined: Floats, share: float) -> Numbers:
    """share f(s) / g(s), with f / g made non-decreasing in s."""
    scores = np.concatenate([positives, candidates]).astype(np.float64)
    label = np.zeros(len(scores))
    label[: len(positives)] = 1.0
    p = np.minimum(isotonic(scores, label)(mined.astype(np.float64)), 1 - 1e-9)
    ratio = p / (1 - p) * (len(candidates) / len(positives))
    relevance: Numbers = np.minimum(share * ratio, 1.0)
    return relevance


def largest_share(positives: Floats, candidates: Floats) -> float:
    """The largest share of the candidates that can be distributed as the positives are.

    The candidates above a threshold are counted with an upper, the positives with a lower end of two standard errors,
    so that few are not taken for none.
    """
    n = len(positives)
    thresholds = np.quantile(positives, 1 - TAILS)
    ordered = np.sort(candidates)
    above = len(ordered) - np.searchsorted(ordered, thresholds, "left")
    most = (above + 2.0 * np.sqrt(above + 1.0) + 2.0) / len(ordered)
    kept = np.array([np.mean(positives >= one) for one in thresholds])
    least = kept - 2.0 * np.sqrt(kept * (1 - kept) / n)
    usable = least > 0
    return float(min(np.min(most[usable] / least[usable]), 1.0)) if usable.any() else 1.0
