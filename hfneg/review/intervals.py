"""95% intervals that hold at small counts: of a rate, one unseen unit at the far end is always reckoned with.

All are Bayesian bootstraps (Rubin 1981) with one pseudo-unit: for the upper end one more unit that is relevant
throughout, for the lower end one more that is not. With single pairs and one stratum that is exactly the interval of
Clopper and Pearson (1934): the weights of x relevant among n are Beta(x + 1, n - x) and Beta(x, n - x + 1). So nothing
seen never means a width of zero. With whole components of correlated pairs the unseen unit is a component.

Of a finite population only what was not judged is unknown: with p drawn so, Binomial(N - n, p) of the N - n others are
relevant. Of one stratum that is again exact, the hypergeometric interval: that at most x of n drawn
from N with K relevant are relevant is as probable as x + Beta-binomial(N - n; x + 1, n - x) >= K (both say that of N
ranks in random order the (x + 1)-th of the n lies behind the K-th). It ends at a width of zero where all are judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints, Mask, Numbers

Span = tuple[float, float]

LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
DRAWS = 4_000
CELLS = 4_000_000
"""Random numbers held at once."""


@dataclass(frozen=True)
class Share:
    """A share and its interval, all from 0 to 1."""

    value: float
    low: float
    high: float


def stratified(relevant: Ints, judged: Ints, sizes: Ints, *, endless: bool = False) -> tuple[float, float, float]:
    """(rate, low, high) of a population from independent samples of its strata.

    Args:
        relevant, judged: int64 [h], of each stratum's sample, drawn without replacement.
        sizes: int64 [h], the pairs of each stratum in the population.
        endless: the rate is that of pairs yet to come, of which all of these are a sample, too.

    The rate is the mean of the strata's shares, weighted by size. The pseudo-unit lies in the stratum where it moves
    the end furthest; where nothing, or everything, was relevant, that end is exact instead (see `_spotless`). Of a
    stratum without a judged pair nothing is known: it counts as a half, 0 and 1.
    """
    weights = sizes / max(int(sizes.sum()), 1)
    blind = judged == 0
    unknown = float(weights[blind].sum())
    x, n, sizes, weights = relevant[~blind], judged[~blind], sizes[~blind], weights[~blind]
    rate = float(weights @ (x / n)) if len(n) else 0.0
    if not len(n):
        return 0.5, 0.0, 1.0
    left = sizes - n
    if not endless and not left.any():
        return rate + unknown / 2, rate, min(rate + unknown, 1.0)
    draw = np.random.default_rng(0)
    shares = [_betas(draw, x, n - x), _betas(draw, x + 1, n - x), _betas(draw, x, n - x + 1)]
    if not endless:
        shares = [(x[:, None] + draw.binomial(left[:, None], p)) / sizes[:, None] for p in shares]
    plain, up, down = (weights[:, None] * share for share in shares)
    total = plain.sum(axis=0)
    high = max(float(np.quantile(total + one, 1 - TAIL)) for one in up - plain)
    low = min(float(np.quantile(total + one, TAIL)) for one in down - plain)
    if not x.any() or np.array_equal(x, n):
        most = _spotless(n, weights) if endless else float(weights @ (_spotless_left(n, sizes) / sizes))
        low, high = (0.0, most) if not x.any() else (float(weights.sum()) - most, float(weights.sum()))
    return rate + unknown / 2, max(low, 0.0), min(high + unknown, 1.0)


def _spotless(judged: Ints, weights: Numbers) -> float:
    """The largest rate with which a sample without a single relevant pair has a chance of 2.5%.

    The largest sum of w p over strata with sum of n log(1 - p) = log 0.025: there 1 - p is proportional to n / w,
    and at most 1. By bisection.
    """
    per_weight = judged / weights
    low, high = 0.0, 1.0 / float(per_weight.min())
    for _ in range(60):
        middle = (low + high) / 2
        chance = float(judged @ np.log(np.minimum(middle * per_weight, 1.0)))
        low, high = (middle, high) if chance < math.log(TAIL) else (low, middle)
    return float(weights @ (1 - np.minimum(high * per_weight, 1.0)))


def _spotless_left(judged: Ints, sizes: Ints) -> Ints:
    """The same of a finite population: int64 [h], the most relevant pairs that could be among those not judged.

    With K relevant of N a sample of n has none with chance C(N - K, n) / C(N, n), and each further one makes that
    1 - n / (N - K) times as large. So the most in all are had by adding where (N - K) / n is largest: all steps down to
    a limit of that, found by bisection, then of those just below it as many as there is room for.
    """

    def steps(limit: float) -> Ints:
        taken: Ints = np.clip(np.floor(sizes - limit * judged).astype(np.int64) + 1, 0, sizes - judged)
        return taken

    low, high = 1.0, float((sizes / judged).max()) + 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _chance(steps(middle), judged, sizes) >= math.log(TAIL) else (middle, high)
    found = steps(high)
    for i in np.flatnonzero(steps(low) > found):
        more = found + (np.arange(len(found)) == i)
        found = more if _chance(more, judged, sizes) >= math.log(TAIL) else found
    return found


def _chance(relevant: Ints, judged: Ints, sizes: Ints) -> float:
    """The logarithm of the chance that none of so many relevant pairs of each stratum is among the judged."""
    parts = zip(relevant.tolist(), judged.tolist(), sizes.tolist(), strict=True)
    return sum(_ways(size - k, n) - _ways(size, n) for k, n, size in parts)


def _ways(size: int, n: int) -> float:
    """log(size! / (size - n)!)"""
    return math.lgamma(size + 1) - math.lgamma(size - n + 1)


def _betas(draw: np.random.Generator, a: Ints, b: Ints) -> Numbers:
    """float64 [h, DRAWS]; Beta(0, b) is 0 and Beta(a, 0) is 1."""
    drawn = draw.beta(np.maximum(a, 1)[:, None], np.maximum(b, 1)[:, None], size=(len(a), DRAWS))
    drawn[a == 0], drawn[b == 0] = 0.0, 1.0
    return drawn


def clustered(sums: Any, counts: Any, shift: float = 0.0, unseen: float = 0.0) -> Span:
    """(low, high) of sum(sums) / sum(counts) + shift over components that are drawn independently.

    Args:
        sums, counts: float64 [c], of each component: what is averaged, and over how many pairs.
        shift: added to the mean; `unseen` is subtracted from the pseudo-component's mean of 1 or 0. Both are 0 for a
            plain rate; see `hfneg.review.calibrate.prediction`.
    """
    sums, counts = np.asarray(sums, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    size, width = float(counts.mean()), len(sums)
    draw = np.random.default_rng(0)
    low, high = np.empty(DRAWS), np.empty(DRAWS)
    step = max(CELLS // max(width, 1), 1)
    for start in range(0, DRAWS, step):
        weights = draw.standard_exponential((min(step, DRAWS - start), width))
        extra = draw.standard_exponential(len(weights)) * size
        top, bottom = weights @ sums, weights @ counts + extra
        high[start : start + step] = (top + extra * (1 - unseen)) / bottom
        low[start : start + step] = (top - extra * unseen) / bottom
    ends = float(np.quantile(low, TAIL)) + shift, float(np.quantile(high, 1 - TAIL)) + shift
    return max(min(ends[0], 1.0), 0.0), min(max(ends[1], 0.0), 1.0)


def needed(below: float) -> int:
    """The least number of independent units with which an upper end can be `below`, should none be relevant.

    From Clopper and Pearson's upper end 1 - 0.025 ** (1 / n).
    """
    return math.ceil(math.log(TAIL) / math.log1p(-below)) if 0 < below < 1 else 1


def share(hits: Mask, labels: Ints, undecided: Mask | None = None, level: float = 0.95, seed: int = 0) -> Share:
    """The share of `hits` with an interval over components.

    Args:
        hits: bool [r].
        labels: int64 [r], the component of each.
        undecided: bool [r], of which nobody knows: not in the value, no hits at the lower end and hits at the upper.

    Components get exponential weights. One more component of mean
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


def _draws(hits: Mask, labels: Ints, seed: int) -> tuple[Numbers, Numbers]:
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


def mean(sums: Any, counts: Any, labels: Ints) -> Span:
    """(low, high) of sum(sums) / sum(counts) over components that are drawn independently.

    Args:
        sums, counts: float64 [n], of each anchor: what is averaged, and over how many.
        labels: int64 [n], the component of each.

    A mean has no far end, so no unseen component is reckoned with; of one component the two ends are equal.
    """
    _, place = np.unique(labels, return_inverse=True)
    top, bottom = (np.bincount(place, weights=np.asarray(values, dtype=np.float64)) for values in (sums, counts))
    draw, drawn = np.random.default_rng(0), np.empty(DRAWS)
    step = max(CELLS // max(len(top), 1), 1)
    for start in range(0, DRAWS, step):
        weights = draw.standard_exponential((min(step, DRAWS - start), len(top)))
        drawn[start : start + step] = (weights @ top) / (weights @ bottom)
    return float(np.quantile(drawn, TAIL)), float(np.quantile(drawn, 1 - TAIL))
