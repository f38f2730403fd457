"""How well scores tell positives from mined candidates: AUC within anchors and over all, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
RESAMPLES = 1_000


@dataclass(frozen=True)
class Judged:
    """Pairs of held-out anchors: p positives and c candidates, n = p + c in all.

    Attributes:
        numbers: int64 [m], the anchors measured.
        owners: int64 [n], which of them a pair belongs to.
        anchors, documents: n texts each.
        is_positive: bool [n].
        retrieved: float64 [n], the retriever's score.
    """

    numbers: Ints
    owners: Ints
    anchors: list[str]
    documents: list[str]
    is_positive: npt.NDArray[np.bool_]
    retrieved: Floats


def measured(judged: Judged, scores: Floats, parts: Ints, seed: int) -> dict[str, dict[str, float]]:
    """AUC within each anchor (the mean over anchors) and over all pairs, each with its 95% interval.

    Within is what a margin lives on, over all what one threshold for all anchors lives on. Components of anchors are
    resampled.
    """
    _, places = np.unique(parts, return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(
        places.max() + 1, [1 / (places.max() + 1)] * (places.max() + 1), RESAMPLES
    )
    inside = np.array(
        [auc(scores[judged.owners == i], judged.is_positive[judged.owners == i]) for i in range(len(parts))]
    )
    weights = draws[:, places].astype(np.float64)  # [resamples, anchors]
    resampled: dict[str, tuple[float, Callable[[Floats], float]]] = {
        "within_anchors": (float(inside.mean()), lambda weight: float(weight @ inside / weight.sum())),
        "over_all": (
            auc(scores, judged.is_positive),
            lambda weight: auc(scores, judged.is_positive, weight[judged.owners]),
        ),
    }
    quality = {}
    for name, (value, again) in resampled.items():
        low, high = np.quantile([again(weight) for weight in weights], [0.025, 0.975])
        quality[name] = {"auc": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}
    return quality


def auc(scores: Floats, positive: npt.NDArray[np.bool_], weights: Floats | None = None) -> float:
    """The (weighted) chance that a positive scores above another pair; a tie counts half."""
    weights = np.ones(len(scores)) if weights is None else weights
    _, level = np.unique(scores, return_inverse=True)
    above = np.bincount(level, weights * positive)
    below = np.bincount(level, weights * ~positive)
    beaten = np.cumsum(below) - below / 2
    return float(above @ beaten / (above.sum() * below.sum()))
