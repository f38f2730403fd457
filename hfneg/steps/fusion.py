"""Several retrievers' lists into one: reciprocal rank fusion, weighted sum, round robin with quotas.

A fusion is a pure function of where each source put a document: ``ranks`` and ``scores``, both [m, S] for
m documents and S sources, rank 0 and score NaN where a source did not retrieve it. It is summed in float64,
the least part first, so that the order of the sources makes no difference in any bit, and rounded to float32.
Known positives take part like any other document, so a positive's fused score is on the same scale as a
negative's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.settings import check, is_number, is_whole
from hfneg.errors import SettingError, near_miss
from hfneg.steps import papers
from hfneg.steps.step import Step

Ranks = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Fusion(Step):
    """Base of the fusions."""

    def fuse(self, names: tuple[str, ...], owners: Ranks, ranks: Ranks, scores: Floats) -> Floats:
        """float64 [m], higher is better. `owners` [m] says whose list a document is in, ascending."""
        raise NotImplementedError

    def quota(self, source: str) -> int | None:
        """How many documents of this source take part at most; known positives are not counted."""
        return None

    def check_sources(self, names: tuple[str, ...]) -> None:
        """Raise SettingError where a setting names a source that does not exist."""
        for setting in ("weights", "quotas"):
            for name in getattr(self, setting, None) or {}:
                if name not in names:
                    raise SettingError(
                        f"{type(self).__name__}({setting}=...) names the source {name!r}; the sources are "
                        f"{', '.join(map(repr, names))}.{near_miss(name, names)}"
                    )


def _check_weights(step: Any) -> None:
    weights = step.weights
    good = isinstance(weights, dict) and all(is_number(weight) and weight >= 0 for weight in weights.values())
    check(good, step, "weights", step.weights, "non-negative numbers by source name")


def _weighted(names: tuple[str, ...], weights: dict[str, float], parts: Floats) -> Floats:
    """float64 [m]: the sum over the sources, the least part first."""
    weighted = parts * np.array([weights.get(name, 1.0) for name in names])
    total = np.zeros(len(parts))
    for part in np.sort(weighted, axis=1).T:
        total += part
    return total


@dataclass(frozen=True)
class RRF(Fusion):
    """Reciprocal rank fusion: the sum of weight / (k + rank) over the sources.

    Source: Cormack, Clarke and Buettcher, SIGIR 2009, which uses k = 60.
    """

    k: int = 60
    weights: dict[str, float] = field(default_factory=dict)

    cites = (papers.RECIPROCAL_RANKS,)

    def __post_init__(self) -> None:
        check(is_whole(self.k), self, "k", self.k, "a whole number, 0 or more")
        _check_weights(self)

    def fuse(self, names: tuple[str, ...], owners: Ranks, ranks: Ranks, scores: Floats) -> Floats:
        return _weighted(names, self.weights, np.where(ranks > 0, 1.0 / (self.k + np.maximum(ranks, 1)), 0.0))


@dataclass(frozen=True)
class WeightedSum(Fusion):
    """The sum of weight x score, each source's scores scaled to 0 .. 1 over the anchor's list.

    A list whose scores are all equal counts 1 throughout. Source: Fox and Shaw, TREC-2 1994 (CombSUM).
    """

    weights: dict[str, float] = field(default_factory=dict)

    cites = (papers.COMBINATION,)

    def __post_init__(self) -> None:
        _check_weights(self)

    def fuse(self, names: tuple[str, ...], owners: Ranks, ranks: Ranks, scores: Floats) -> Floats:
        n = int(owners[-1]) + 1 if len(owners) else 0
        low, high = np.full((n, len(names)), np.inf), np.full((n, len(names)), -np.inf)
        np.minimum.at(low, owners, np.where(ranks > 0, scores, np.inf))
        np.maximum.at(high, owners, np.where(ranks > 0, scores, -np.inf))
        width = np.where(high > low, high - low, 1.0)[owners]
        scaled = np.where((high > low)[owners], (scores - low[owners]) / width, 1.0)
        return _weighted(names, self.weights, np.where(ranks > 0, scaled, 0.0))


@dataclass(frozen=True)
class RoundRobin(Fusion):
    """The first of each source, then the second of each, and so on.

    `quotas` bounds how many documents a source may bring (known positives not counted). A document stands
    at its best place p = rank + (place of the source) / S, and scores 1 / p.
    """

    quotas: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        good = isinstance(self.quotas, dict) and all(is_whole(n, 1) for n in self.quotas.values())
        check(good, self, "quotas", self.quotas, "whole numbers of at least 1 by source name")

    def quota(self, source: str) -> int | None:
        return self.quotas.get(source)

    def fuse(self, names: tuple[str, ...], owners: Ranks, ranks: Ranks, scores: Floats) -> Floats:
        places = np.where(ranks > 0, ranks + np.arange(len(names)) / len(names), np.inf)
        best: Floats = 1.0 / places.min(axis=1)
        return best


FUSIONS: list[type[Fusion]] = [RRF, WeightedSum, RoundRobin]
