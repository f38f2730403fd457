"""Ranking metrics per query, and comparisons whose intervals resample seeds and queries together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DRAWS = 2_000
METRICS = ("nDCG@10", "recall@100", "MRR@10")


def metrics(found: Any, relevant: list[dict[int, float]]) -> dict[str, Floats]:
    """Each metric for each query [Q], from the rows found (best first, at least 100 where there are so many).

    nDCG with gains 2^grade - 1 would be another measure: here the gain is the grade, as in trec_eval.
    """
    out = {name: np.zeros(len(relevant)) for name in METRICS}
    discounts = 1 / np.log2(np.arange(2, 12))
    for i, grades in enumerate(relevant):
        gains = np.array([grades.get(int(row), 0.0) for row in found[i][:100]])
        ideal = np.sort(np.array(list(grades.values())))[::-1][:10]
        out["nDCG@10"][i] = (gains[:10] * discounts[: len(gains[:10])]).sum() / (ideal * discounts[: len(ideal)]).sum()
        out["recall@100"][i] = (gains > 0).sum() / len(grades)
        hits = np.flatnonzero(gains[:10] > 0)
        out["MRR@10"][i] = 1 / (hits[0] + 1) if len(hits) else 0.0
    return out


def drawn(seeds: int, queries: int, number: int = 0) -> tuple[Any, Any]:
    """Resampled seeds [DRAWS, seeds] and queries [DRAWS, queries]."""
    random = np.random.default_rng(number)
    return random.integers(0, seeds, (DRAWS, seeds)), random.integers(0, queries, (DRAWS, queries))


def means(values: Floats, seeds: Any, queries: Any) -> Floats:
    """The mean of values [S, Q] in each draw [DRAWS]."""
    return np.array([values[np.ix_(s, q)].mean() for s, q in zip(seeds, queries, strict=True)])


def interval(draws: Floats) -> tuple[float, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def compared(rows: Mapping[str, Floats], base: str) -> dict[str, dict[str, float]]:
    """Each row's difference to `base`: mean, 95% interval, and p of the two-sided bootstrap test, Holm-corrected.

    Seeds and queries are drawn once for all rows, so a difference is paired in both.
    """
    shape = rows[base].shape
    seeds, queries = drawn(*shape)
    found = {}
    for name, values in rows.items():
        if name != base:
            differences = means(values - rows[base], seeds, queries)
            low, high = interval(differences)
            worse, better = (differences <= 0).mean(), (differences >= 0).mean()
            p = min(1.0, 2 * max(min(worse, better), 1 / DRAWS))
            found[name] = {"mean": float((values - rows[base]).mean()), "low": low, "high": high, "p": float(p)}
    return holm(found)


def holm(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Adds ``p_holm`` (Holm 1979): the least p times the number of rows, the next times one less, never falling."""
    largest = 0.0
    for i, name in enumerate(sorted(found, key=lambda name: found[name]["p"])):
        largest = max(largest, min(1.0, found[name]["p"] * (len(found) - i)))
        found[name]["p_holm"] = largest
    return found


def shown(value: float, digits: int = 3) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
