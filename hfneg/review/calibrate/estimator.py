"""The rate of a set of mined pairs, by the best method there are judgments for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hfneg.base.arrays import Ints, Mask, Numbers
from hfneg.errors import InputError
from hfneg.review import intervals
from hfneg.review.calibrate import bounds, prediction
from hfneg.review.calibrate.findings import LIKE_THESE, THESE, Rate, Sensitivity, Stratum
from hfneg.review.calibrate.frame import Frame
from hfneg.review.calibrate.strata import Strata

UNKNOWN = 0.5
"""An interval whose upper end cannot fall below a half says nothing; it decides how many judgments are needed."""
NEEDED = intervals.needed(UNKNOWN)
LIKE = 0.25
"""Standard deviations by which the judged anchors' negatives may score otherwise."""
SPREAD = 0.8
"""Judged pairs that lie on fewer than this share of the anchors of a random sample were not drawn one by one."""


@dataclass(frozen=True)
class Estimator:
    """Estimates rates of pairs of one frame.

    Attributes:
        labels: float64 [n]: 1 relevant, 0 not, NaN not judged. None without judgments.
        by_anchor: what is judged are anchors, not pairs drawn one by one.
        curve: float64 [n], P(relevant) by the cross-fitted curve; None where it is not used.
    """

    frame: Frame
    layers: Strata
    labels: Numbers | None
    by_anchor: bool = False
    curve: Numbers | None = None

    @classmethod
    def of(cls, frame: Frame, layers: Strata, labels: Numbers | None, whole_anchors: bool) -> Estimator:
        """Chooses the method. Raises InputError where there is too little to say anything."""
        if labels is None:
            _check_scores(frame)
            return cls(frame, layers, None)
        own = frame.mined[0] & ~np.isnan(labels)
        by_anchor = whole_anchors or bunched(frame.numbers[frame.mined[0]], frame.numbers[own])
        units = len(np.unique(frame.component[own])) if by_anchor else int(own.sum())
        if units < NEEDED:
            what = "groups of anchors that share no positive" if by_anchor else "mined pairs"
            raise InputError(
                f"{units} {what} are judged; at least {NEEDED} are needed: with fewer even the rate's upper end of a "
                f"spotless sample would be above {UNKNOWN:.0%}. Judge more: sample=N (--sample N) writes pairs to judge"
            )
        if not by_anchor:
            return cls(frame, layers, labels)
        judged = np.flatnonzero(~np.isnan(labels))
        curve = prediction.curve(features(frame), judged, labels[judged], frame.component)
        return cls(frame, layers, labels, True, curve)

    def rate(self, inside: Mask, elsewhere: bool = False, given: int = 0) -> Rate | None:
        """Of the pairs `inside`, and of so many given negatives beside them; None where too few are judged.

        `elsewhere`: the interval is for other anchors like these, and not for these pairs: over components.
        """
        found = self._rate(inside, elsewhere)
        if found is None or not given:
            return found
        share, known = int(inside.sum()) / (int(inside.sum()) + given), found.rate
        return replace(
            found,
            rate=None if known is None else known * share,
            low=found.low * share,
            high=found.high * share,
            negatives=found.negatives + given,
        )

    def _rate(self, inside: Mask, elsewhere: bool) -> Rate | None:
        if self.labels is None:
            return Rate("no judgments", None, 0.0, self._end(inside), False, int(inside.sum()))
        judged = inside & ~np.isnan(self.labels)
        if not judged.any():
            return None
        return self._by_anchor(inside, judged) if self.by_anchor else self._by_stratum(inside, judged, elsewhere)

    def _end(self, inside: Mask) -> float:
        """The largest bound; 1 where there is nothing to bound it by."""
        if why_no_bound(self.frame) is not None or not inside.any():
            return 1.0
        found = bounds.bounds(self.frame.positives, self.frame.candidates, self.frame.best[inside])
        return max(bound.rate for bound in found)

    def _by_stratum(self, inside: Mask, judged: Mask, elsewhere: bool) -> Rate | None:
        assert self.labels is not None
        n = int(judged.sum())
        if n < NEEDED:
            return None
        wide, of = len(self.layers), self.layers.of
        sizes = np.bincount(of[inside], minlength=wide)
        counts = np.bincount(of[judged], minlength=wide)
        yes = np.bincount(of[judged], weights=self.labels[judged], minlength=wide).astype(np.int64)
        rate, low, high = intervals.stratified(yes, counts, sizes, endless=elsewhere)
        units, of_what = n, THESE
        if elsewhere:
            of_what = LIKE_THESE
            weights = (sizes / np.maximum(counts, 1))[of[judged]]
            names, place = np.unique(self.frame.component[judged], return_inverse=True)
            sums = np.bincount(place.reshape(-1), weights=weights * self.labels[judged])
            far = intervals.clustered(sums, np.bincount(place.reshape(-1), weights=weights))
            low, high, units = min(low, far[0]), max(high, far[1]), len(names)
        parts = zip(sizes.tolist(), counts.tolist(), yes.tolist(), strict=True)
        strata = tuple(Stratum(self.layers.name(i), *part) for i, part in enumerate(parts) if part[0])
        return Rate(
            "judged sample", rate, low, high, True, int(inside.sum()), n, int(yes.sum()), units, of_what, strata
        )

    def _by_anchor(self, inside: Mask, judged: Mask) -> Rate | None:
        assert self.labels is not None
        assert self.curve is not None
        components = self.frame.component[inside]
        units = len(np.unique(self.frame.component[judged]))
        if units < NEEDED:
            return None
        at = np.flatnonzero(judged[inside])
        known = self.labels[judged]
        found = prediction.predict(self.curve[inside], at, known, components)
        return Rate(
            "judged anchors",
            found.rate,
            found.low,
            found.high,
            True,
            int(inside.sum()),
            len(at),
            int(known.sum()),
            units,
            LIKE_THESE,
            trust=found.trust,
        )

    def relevance(self, inside: Mask) -> Numbers:
        """float64 [n]: what is known or thought of each pair: its judgment, else the curve's, else its stratum's."""
        n = len(self.frame.numbers)
        if self.labels is None:
            return np.zeros(n)
        if self.curve is not None:
            guess = self.curve
        else:
            judged = inside & ~np.isnan(self.labels)
            counts = np.bincount(self.layers.of[judged], minlength=len(self.layers))
            yes = np.bincount(self.layers.of[judged], weights=self.labels[judged], minlength=len(self.layers))
            guess = (yes / np.maximum(counts, 1))[self.layers.of]
        return np.where(np.isnan(self.labels), guess, self.labels)


def sensitivity(frame: Frame) -> tuple[Sensitivity, ...]:
    """Of the folder's own negatives; empty where there are too few scores for it.

    What is said of a shift is the largest over all shifts up to it, so that it never falls: see `bounds`.
    """
    if why_no_bound(frame) is not None or not frame.mined[0].any():
        return ()
    found = bounds.bounds(frame.positives, frame.candidates, frame.best[frame.mined[0]])
    return tuple(Sensitivity(bound.shift, bound.rate) for bound in found)


def why_no_bound(frame: Frame) -> str | None:
    """What is missing for a bound from scores alone; None where nothing is."""
    for what, scores in (("known positives", frame.positives), ("candidates", frame.candidates)):
        if len(scores) < bounds.NEEDED:
            return (
                f"{len(scores)} {what} have a score, and at least {bounds.NEEDED} are needed to know their "
                f"distribution within {bounds.DOUBT}"
            )
    return None


def _check_scores(frame: Frame) -> None:
    if (why := why_no_bound(frame)) is not None:
        raise InputError(
            f"nothing is judged, and without judgments {why}: have a sample judged (sample=N, --sample N, writes it; "
            "judge=FILE, --judge FILE, reads it back)"
        )


def unlike(frame: Frame, labels: Numbers) -> str | None:
    """A warning where the judged anchors' negatives score otherwise than the others': they are no random sample."""
    own = frame.mined[0]
    judged = np.isin(frame.numbers, frame.numbers[own & ~np.isnan(labels)])
    groups = [own & judged, own & ~judged]
    if not all(inside.any() for inside in groups):
        return None
    means, errors = zip(*(_mean(frame.best[inside], frame.component[inside]) for inside in groups), strict=True)
    far, spread = abs(means[0] - means[1]), float(frame.best[own].std())
    if far <= LIKE * spread or far <= 3 * float(np.hypot(*errors)):
        return None
    return (
        f"the judged anchors' negatives score otherwise than the others' ({means[0]:.3g} and {means[1]:.3g} on "
        f"average, standard deviation {spread:.3g}): the interval takes the judged anchors for a random sample, so "
        "judge anchors drawn at random"
    )


def _mean(scores: Any, components: Ints) -> tuple[float, float]:
    """(mean, its standard error over components)."""
    _, place = np.unique(components, return_inverse=True)
    counts = np.bincount(place.reshape(-1))
    mean = float(scores.mean())
    off = np.bincount(place.reshape(-1), weights=scores) - mean * counts
    return mean, float(np.sqrt((off**2).sum())) / len(scores)


def bunched(mined: Ints, judged: Ints) -> bool:
    """Whether the judged pairs lie on clearly fewer anchors than as many pairs drawn one by one would."""
    if not len(judged):
        return False
    _, counts = np.unique(mined, return_counts=True)
    share = min(len(judged) / len(mined), 1.0)
    expected = float((1 - (1 - share) ** counts).sum())
    return len(np.unique(judged)) < SPREAD * expected


def features(frame: Frame) -> Numbers:
    """float64 [n, d]: rank, score, the teacher's score, and how far the best of these is below the positives'."""
    columns: list[Any] = [-np.log(frame.ranks), frame.scores, frame.best]
    columns.append(frame.best - frame.positive_mean[frame.numbers])
    return np.stack([np.asarray(c, dtype=np.float64) for c in columns if np.isfinite(c).all()], axis=1)
