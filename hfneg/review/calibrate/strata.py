"""Strata of the mined pairs, and which of them are to be judged.

The bounds are quantiles of the folder's own negatives, so that they are found again from the ledger alone, whatever
comes back from the judges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import uniform
from hfneg.review.calibrate.bounds import likely
from hfneg.review.calibrate.frame import Frame

PARTS = np.array([0.2, 0.4, 0.6, 0.8])
BEYOND = np.array([0.1, 0.25, 0.5, 0.75])
SKIPPED = "skip: rank"
"""What the strata of skips are by; a file of judgments that says so in its column stratum was drawn for skips."""
EVEN = 0.5
"""This share of a sample is spread as the pairs are, so that no stratum that looks safe goes unseen."""


@dataclass(frozen=True)
class Strata:
    """`by` is "teacher_score", "rank", or SKIPPED.

    `bounds` float64, ascending: stratum i is above bound i-1, up to bound i.
    """

    by: str
    bounds: npt.NDArray[np.float64]
    of: Ints

    def __len__(self) -> int:
        return len(self.bounds) + 1

    def name(self, i: int) -> str:
        """ "teacher_score in (0.2, 0.4]" """
        if not len(self.bounds):
            return f"any {self.by}"
        if i == 0:
            return f"{self.by} up to {self.bounds[0]:.4g}"
        if i == len(self.bounds):
            return f"{self.by} above {self.bounds[-1]:.4g}"
        return f"{self.by} {self.bounds[i - 1]:.4g} to {self.bounds[i]:.4g}"


def by_rank(frame: Frame, n: int) -> Strata:
    """Up to rank n, 2n, 4n and so on: for skips, whose negatives are told apart by their ranks alone."""
    ranks = frame.ranks.astype(np.float64)
    bounds = n * 2.0 ** np.arange(0, 32)
    bounds = bounds[bounds < ranks.max(initial=0)]
    return Strata(SKIPPED, bounds, np.searchsorted(bounds, ranks, "left"))


def strata(frame: Frame) -> Strata:
    """By the teacher's score, or by retrieval rank where there is no teacher.

    Five parts of the folder's own negatives; what only other settings mine lies beyond them, cut at quantiles of the
    known positives' scores (at doubled ranks where there is no teacher).
    """
    own = frame.mined[0]
    values = (frame.ranks if frame.teacher is None else frame.best).astype(np.float64)
    by = "rank" if frame.teacher is None else "teacher_score"
    if not own.any():
        return Strata(by, np.empty(0), np.zeros(len(values), dtype=np.int64))
    bounds = np.quantile(values[own], PARTS, method="lower")
    top = values[own].max()
    if frame.teacher is None:
        beyond = top * 2.0 ** np.arange(1, 4)
    else:  # a judge need not have been asked about the positives
        beyond = np.quantile(frame.positives, BEYOND) if len(frame.positives) else np.empty(0)
    if (values > top).any():
        bounds = np.concatenate([bounds, [top], beyond[beyond > top]])
    bounds = np.unique(bounds)
    bounds = bounds[bounds < values.max()]
    return Strata(by, bounds, np.searchsorted(bounds, values, "left"))


def allocate(n: int, frame: Frame, layers: Strata, inside: Mask, *, alike: bool = False) -> Ints:
    """How many of `n` pairs each stratum gets: half evenly, half by size times sqrt(p (1 - p)) (Neyman 1934).

    p is a guess from the scores alone (`bounding.likely`): it says where the doubt is, and steers only the width.
    `alike`: each stratum as many, for strata of which each is to be told by itself.
    """
    sizes = np.bincount(layers.of[inside], minlength=len(layers))
    guess = likely(frame.positives, frame.candidates, frame.best[inside])
    doubt = np.bincount(layers.of[inside], weights=guess, minlength=len(layers)) / np.maximum(sizes, 1)
    spread = sizes * np.sqrt(np.maximum(doubt * (1 - doubt), 0.01))
    even = 0.0 if alike else EVEN
    if alike:
        spread = (sizes > 0).astype(np.float64)
    wanted = n * (even * sizes / max(sizes.sum(), 1) + (1 - even) * spread / max(spread.sum(), 1e-12))
    least = min(2, n // max(int((sizes > 0).sum()), 1))
    given: Ints = np.minimum(np.maximum(np.floor(wanted).astype(np.int64), least), sizes)
    while given.sum() < min(n, int(sizes.sum())):
        left = np.where(given < sizes, wanted - given, -np.inf)
        given[int(np.argmax(left))] += 1
    while given.sum() > n:
        given[int(np.argmax(np.where(given > least, given - wanted, -np.inf)))] -= 1
    return given


def draw(given: Ints, frame: Frame, layers: Strata, inside: Mask, seed: int, judged: Mask | None = None) -> Ints:
    """Positions of the pairs to be judged: of each stratum those with the least number drawn for (seed, pair).

    A larger sample holds the smaller one; what is `judged` (bool [n]) stands first, and a stratum gets no fewer. The
    order mixes the strata, so that whoever stops early has still judged a sample of each.
    """
    at = np.flatnonzero(inside)
    drawn = uniform(seed, frame.numbers[at], frame.rows[at])
    if judged is not None:
        drawn = drawn - judged[at]
        given = np.maximum(given, np.bincount(layers.of[at[judged[at]]], minlength=len(layers)))
    order = np.lexsort((drawn, layers.of[at]))
    starts = np.concatenate([[0], np.cumsum(np.bincount(layers.of[at], minlength=len(layers)))])[layers.of[at[order]]]
    place = np.arange(len(at)) - starts
    wanted = given[layers.of[at[order]]]
    kept = place < wanted
    mixed = np.lexsort((drawn[order][kept], (place[kept] + 0.5) / wanted[kept]))
    taken: Ints = at[order[kept][mixed]]
    return taken
