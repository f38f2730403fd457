"""Artefacts: what tells negatives from positives without being about the anchor at all.

A model that can tell them apart by such a mark learns the mark. Each is one number over flat arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.review.audit.facts import Facts, among
from hfneg.review.audit.findings import Measure

ENOUGH = 100
"""Positives and negatives below which a number is told and not judged."""
LENGTH_BAND = (0.3, 0.7)
MOST_HUBS = 0.25
MOST_POOL = 0.995


def auc(positives: npt.NDArray[Any], negatives: npt.NDArray[Any]) -> float | None:
    """P(a positive's value is above a negative's) + half of P(equal): 0.5 where the value tells nothing.

    The area under the ROC curve, as the Mann-Whitney statistic; None where there are none of one kind.
    """
    if not len(positives) or not len(negatives):
        return None
    ordered = np.sort(negatives)
    below = np.searchsorted(ordered, positives, "left") + np.searchsorted(ordered, positives, "right")
    return float(below.mean(dtype=np.float64) / 2 / len(ordered))


def length(facts: Facts) -> Measure:
    """Whether length alone tells a positive from a negative."""
    positives = facts.positive_lengths[~facts.empty_positive]
    negatives = facts.negative_lengths[~facts.empty_negative]
    low, high = LENGTH_BAND
    means = {
        "mean_bytes_positives": float(positives.mean()) if len(positives) else None,
        "mean_bytes_negatives": float(negatives.mean()) if len(negatives) else None,
    }
    meaning = "the probability that a positive is longer than a negative (0.5: length tells nothing)"
    return _measure(
        "length_auc", meaning, auc(positives, negatives), (low, high), len(positives), len(negatives), means
    )


def hubs(facts: Facts) -> Measure:
    """The share of the negatives that the 1% most frequent of them make up."""
    _, counts = np.unique(facts.negatives.flat[~facts.empty_negative], return_counts=True)
    top = math.ceil(len(counts) / 100)
    share = float(np.sort(counts)[::-1][:top].sum() / counts.sum()) if len(counts) else None
    detail = {"distinct_negatives": len(counts), "most_frequent": int(counts.max(initial=0))}
    meaning = "the share of all negatives that the 1% most frequent texts make up"
    return _measure("hub_share", meaning, share, (0.0, MOST_HUBS), len(counts), len(counts), detail)


def pool(facts: Facts) -> Measure:
    """Whether being a positive of some anchor, which every positive is, tells a positive from a negative."""
    positives = np.unique(facts.positives.flat[~facts.empty_positive])
    negatives = facts.negatives.flat[~facts.empty_negative]
    shared = float(among(negatives, positives).mean()) if len(negatives) else 0.0
    value = 1 - shared / 2 if len(positives) and len(negatives) else None
    meaning = "0.5: every negative is a positive of some anchor; 1: none is, so a text's origin gives it away"
    band = (0.0, MOST_POOL)
    detail = {"negatives_that_are_positives_somewhere": shared}
    return _measure("positive_pool_auc", meaning, value, band, len(facts.positives.flat), len(negatives), detail)


def _measure(
    name: str,
    meaning: str,
    value: float | None,
    band: tuple[float, float],
    positives: int,
    negatives: int,
    detail: dict[str, Any],
) -> Measure:
    judged = value is not None and min(positives, negatives) >= ENOUGH
    outside = judged and value is not None and not band[0] <= value <= band[1]
    return Measure(name, meaning, "warning" if outside else "info", value, band, detail)


def measures(facts: Facts) -> list[Measure]:
    """All of them."""
    return [length(facts), hubs(facts), pool(facts)]


def per_row(facts: Facts) -> dict[int, int]:
    """How many rows have 0, 1, 2 ... negatives."""
    numbers, counts = np.unique(facts.negatives.lengths, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
