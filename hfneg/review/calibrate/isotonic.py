"""Monotone relevance curves: P(relevant | score, rank, ...) that never falls as a candidate looks more relevant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints, Numbers

STEPS, RIDGE = 25, 1.0
KNOTS = 512
"""Features are turned into their quantiles with so many knots, so that no scale and no outlier matters."""


@dataclass(frozen=True)
class Curve:
    """A non-decreasing function: linear between the knots `at`, constant beyond."""

    at: Numbers
    value: Numbers

    def __call__(self, x: npt.NDArray[np.floating]) -> Numbers:
        found: Numbers = np.interp(x, self.at, self.value)
        return found


def isotonic(x: npt.NDArray[np.floating], y: Numbers) -> Curve:
    """The least-squares non-decreasing curve of `y` over `x` (Ayer et al. 1955); equal x are one point."""
    at, place, counts = np.unique(x.astype(np.float64), return_inverse=True, return_counts=True)
    return isotonic_means(at, np.bincount(place.reshape(-1), weights=y) / counts, counts)


def falling(y: Numbers) -> Numbers:
    """float64, shape of `y`: the least-squares non-increasing values along a sequence (Ayer et al. 1955)."""
    at = np.arange(len(y), dtype=np.float64)
    return -isotonic(at, -y)(at)


def isotonic_means(at: Numbers, means: Numbers, counts: Ints) -> Curve:
    """The same from the mean of `y` at each distinct x, ascending, and how many there are."""
    from scipy.optimize import isotonic_regression

    return Curve(at, np.asarray(isotonic_regression(means, weights=counts).x))


@dataclass(frozen=True)
class ComponentIndex:
    """Several features as one number that grows with relevance: a ridge logistic regression on their quantiles."""

    knots: tuple[Curve, ...]
    weights: Numbers

    @classmethod
    def fit(cls, features: Numbers, y: Numbers) -> ComponentIndex:
        """`features` float64 [n, d], each finite; `y` 0 to 1. Newton's method, at most `STEPS` steps."""
        knots = tuple(_quantiles(column) for column in features.T)
        x = _design(knots, features)
        w = np.zeros(x.shape[1])
        ridge = np.diag([1e-6, *[RIDGE] * features.shape[1]])
        for _ in range(STEPS):
            p = 1 / (1 + np.exp(-(x @ w)))
            step = np.linalg.solve((x.T * np.maximum(p * (1 - p), 1e-9)) @ x + ridge, x.T @ (y - p) - ridge @ w)
            w += np.clip(step, -4, 4)
            if np.abs(step).max() < 1e-8:
                break
        return cls(knots, w)

    def __call__(self, features: Numbers) -> Numbers:
        index: Numbers = _design(self.knots, features) @ self.weights
        return index


def _quantiles(column: Numbers) -> Curve:
    levels = np.linspace(0, 1, KNOTS)
    at, first = np.unique(np.quantile(column, levels), return_index=True)
    return Curve(at, levels[first] - 0.5)


def _design(knots: tuple[Curve, ...], features: Numbers) -> Numbers:
    columns = [curve(column) for curve, column in zip(knots, features.T, strict=True)]
    return np.stack([np.ones(len(features)), *columns], axis=1)
