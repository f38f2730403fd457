"""From judged anchors to all: a relevance curve, cross-fitted over components, and its mean error on what was judged.

The rate is the mean of the curve over all mined pairs plus the mean of (judgment - curve) over the judged ones: the
prediction-powered estimate (Angelopoulos et al. 2023; cross-fitted: Zrnic and Candes 2024). A bad curve makes it
wide, not wrong, as long as the judged anchors are like the others. How far the curve is trusted at all is the factor
`trust` that makes the variance least; 0 is the plain share of the judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Ints, Numbers
from hfneg.review.calibrate.isotonic import ComponentIndex, isotonic
from hfneg.review.intervals import clustered

FOLDS = 5


@dataclass(frozen=True)
class Predicted:
    """A rate from judged components; `trust` is how far the curve was used."""

    rate: float
    low: float
    high: float
    trust: float


def folds_of(components: Ints, seed: int = 0) -> Ints:
    """The fold of each pair: whole components, dealt out at random, so that no curve has seen its own."""
    names, place = np.unique(components, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(names))
    return (order % FOLDS)[place.reshape(-1)]


def curve(features: Numbers, judged: Ints, relevance: Numbers, components: Ints) -> Numbers:
    """P(relevant) of n pairs by curves that never saw a pair of the same component.

    Args:
        features: float64 [n, d], each growing with relevance or not, finite.
        judged: int64 [j], positions of judged pairs; `relevance` float64 [j], theirs.
        components: int64 [n].
    """
    folds = folds_of(components)
    predicted = np.empty(len(features))
    for fold in range(FOLDS):
        inside, known = folds == fold, folds[judged] != fold
        if not inside.any():
            continue
        seen, y = features[judged[known]], relevance[known]
        if not len(y) or y.min() == y.max():
            predicted[inside] = y.mean() if len(y) else 0.0
            continue
        index = ComponentIndex.fit(seen, y)
        predicted[inside] = isotonic(index(seen), y)(index(features[inside]))
    return predicted


def predict(predicted: Numbers, judged: Ints, relevance: Numbers, components: Ints) -> Predicted:
    """The rate of n pairs, of which those at `judged` are known; `predicted` is what `curve` gave.

    The interval is a bootstrap over components (see `intervals.clustered`).
    """
    _, place = np.unique(components[judged], return_inverse=True)
    place = place.reshape(-1)
    counts = np.bincount(place).astype(np.float64)
    sums = np.bincount(place, weights=relevance)
    guesses = np.bincount(place, weights=predicted[judged])
    mean, guess, overall = sums.sum() / counts.sum(), guesses.sum() / counts.sum(), float(predicted.mean())
    off, guessed = sums - mean * counts, guesses - guess * counts
    share = len(judged) / len(predicted)
    spread = float(guessed @ guessed) * (1 + share)
    trust = float(np.clip((off @ guessed) / spread, 0, 1)) if spread > 0 else 0.0
    rate = float(mean + trust * (overall - guess))
    low, high = clustered(sums - trust * guesses, counts, trust * overall, trust * float(guess))
    rate = min(max(rate, 0.0), 1.0)
    return Predicted(rate, min(low, rate), max(high, rate), trust)
