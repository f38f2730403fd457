"""Counts of values in bins, gathered block by block: the same whatever the blocks and their order.

A bin is 2**e wide and begins at a multiple of its width, where e is the least exponent with which the values' range
takes at most `BINS` bins. So joining two histograms, or doubling the bins' width, is exact: it adds whole bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 512
FINEST = -40
"""The narrowest bin is 2**-40 wide."""

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Histogram:
    """How many values lie where.

    >>> histogram = Histogram()
    >>> histogram.add([0.1, 0.4, float("nan")])
    >>> histogram.count, histogram.missing, histogram.mean
    (2, 1, 0.25)

    Attributes:
        exponent: a bin is 2**exponent wide.
        start: the first bin begins at start * 2**exponent.
        counts: int64 [bins].
        missing: values that were NaN.
        low, high: the least and the greatest value; inf and -inf where there is none.
        total: the sum of the values.
    """

    def __init__(self) -> None:
        self.exponent, self.start = FINEST, 0
        self.counts: Counts = np.zeros(0, dtype=np.int64)
        self.missing = 0
        self.low, self.high, self.total = math.inf, -math.inf, 0.0

    @property
    def count(self) -> int:
        """How many values, the missing ones left out."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """NaN where there are no values."""
        return self.total / self.count if self.count else math.nan

    @property
    def width(self) -> float:
        return math.ldexp(1.0, self.exponent)

    def add(self, values: npt.ArrayLike) -> None:
        """Count more values; NaN counts as missing, infinity is refused (no score is infinite)."""
        given = np.asarray(values, dtype=np.float64).reshape(-1)
        known = given[~np.isnan(given)]
        self.missing += len(given) - len(known)
        if not len(known):
            return
        low, high = float(known.min()), float(known.max())
        self._widen(min(self.low, low), max(self.high, high))
        at = np.floor(np.ldexp(known, -self.exponent)).astype(np.int64) - self.start
        self.counts += np.bincount(at, minlength=len(self.counts))
        self.total += float(known.sum())

    def merge(self, other: Histogram) -> None:
        """Count what another one has counted."""
        self.missing += other.missing
        if not other.count:
            return
        self._widen(min(self.low, other.low), max(self.high, other.high))
        moved = other.coarser(self.exponent)
        first = moved.start - self.start
        self.counts[first : first + len(moved.counts)] += moved.counts
        self.total += other.total

    def coarser(self, exponent: int) -> Histogram:
        """The same values in bins 2**exponent wide, no narrower than they are."""
        step = exponent - self.exponent
        wide = Histogram()
        wide.__dict__.update(self.__dict__)
        wide.exponent = exponent
        if not len(self.counts):
            return wide
        bins = np.arange(self.start, self.start + len(self.counts)) >> min(step, 62)
        wide.start = int(bins[0])
        wide.counts = np.zeros(int(bins[-1]) - wide.start + 1, dtype=np.int64)
        np.add.at(wide.counts, bins - wide.start, self.counts)
        return wide

    def quantile(self, q: float) -> float:
        """The value below which a share q lies, as exact as a bin is wide; NaN where there are no values."""
        if not self.count:
            return math.nan
        ends = np.cumsum(self.counts)
        wanted = q * self.count
        bin = int(np.searchsorted(ends, wanted, "left"))
        inside = (wanted - (ends[bin] - self.counts[bin])) / self.counts[bin] if self.counts[bin] else 0.0
        return float(np.clip((self.start + bin + inside) * self.width, self.low, self.high))

    def _widen(self, low: float, high: float) -> None:
        """Make room for values from low to high."""
        exponent = exponent_for(low, high)
        if len(self.counts) and exponent > self.exponent:
            self.__dict__.update(self.coarser(exponent).__dict__)
        first, last = (math.floor(math.ldexp(value, -exponent)) for value in (low, high))
        counts = np.zeros(last - first + 1, dtype=np.int64)
        counts[self.start - first if len(self.counts) else 0 :][: len(self.counts)] = self.counts
        self.exponent, self.start, self.counts, self.low, self.high = exponent, first, counts, low, high

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` takes it back."""
        return {
            "exponent": self.exponent,
            "start": self.start,
            "counts": self.counts.tolist(),
            "missing": self.missing,
            **({"low": self.low, "high": self.high, "total": self.total} if self.count else {}),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Histogram:
        histogram = cls()
        histogram.__dict__.update(facts)
        histogram.counts = np.array(facts["counts"], dtype=np.int64)
        return histogram


def exponent_for(low: float, high: float, bins: int = BINS) -> int:
    """The least e >= FINEST for which low .. high lies in at most `bins` bins 2**e wide, numbered within 2**52."""
    largest = max(abs(low), abs(high))
    narrowest = math.frexp((high - low) / bins)[1] - 1 if high > low else FINEST
    start = max(FINEST, math.frexp(largest)[1] - 52, narrowest)
    return next(e for e in range(start, 1100) if math.floor(high / 2.0**e) - math.floor(low / 2.0**e) < bins)
