"""Where a cheap teacher is sure enough, by judged pairs: the band of a `Cascade`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base.arrays import Floats, Numbers
from hfneg.base.settings import is_number
from hfneg.data import judgments
from hfneg.errors import InputError, SettingError
from hfneg.review.intervals import TAIL
from hfneg.steps.teachers.base import Teacher

LEAST = 30
"""Fewer judged pairs say nothing about either end."""


@dataclass(frozen=True)
class Band:
    """The limits of a cascade, and what they are from.

    Attributes:
        between: (low, high), for ``Cascade([cheap, costly], between=...)``.
        judged: pairs; `below` low, `above` high, and how many of each of these two are on the wrong side.
        unsure: the share of the judged between them, which the costly teacher would be asked about.
    """

    between: tuple[float, float]
    judged: int
    below: int
    above: int
    wrong_below: int
    wrong_above: int

    @property
    def unsure(self) -> float:
        return 1 - (self.below + self.above) / self.judged


def cascade_band(cheap: Teacher, judge: Any, *, errors: float = 0.05, relevant_from: float | None = None) -> Band:
    """The widest limits at which a cheap teacher errs in at most a share `errors` of what it decides alone.

    ::

        band = hfneg.cascade_band(hfneg.CrossEncoderTeacher("..."), "judged.csv")
        teacher = hfneg.Cascade([hfneg.CrossEncoderTeacher("..."), judge], between=band.between)

    Judged pairs are gone through by the cheap teacher's score from either end, and the limit is the farthest at which
    the upper end of a 95% interval (Clopper and Pearson 1934) of the share on the wrong side is below `errors`. Where
    that is never so, that side is left to the costly teacher.

    It holds for pairs like the judged ones: have a sample of the negatives judged that are mined without a filter
    (``hfneg calibrate mined --sample 300``), for about such the costly teacher is asked. Among candidates further down
    fewer are relevant, and a band from these lets too much through at the top.

    Args:
        cheap: is asked about the pairs.
        judge: a table of judged pairs with texts; see `hfneg.calibrate`.
        relevant_from: the least grade that is relevant.

    Raises InputError: no texts, fewer than LEAST pairs, none relevant or all.
    """
    if not (is_number(errors) and 0 < errors < 0.5):
        raise SettingError(f"errors={errors!r} must be a share above 0 and below a half")
    given = judgments.read(judge)
    labels = np.array(judgments.relevant(given.relevance, relevant_from), dtype=np.float64)
    at = [i for i, label in enumerate(labels.tolist()) if label == label and given.anchors[i] and given.documents[i]]
    if len(at) < LEAST or not 0 < labels[at].sum() < len(at):
        raise InputError(
            f"{len(at)} judged pairs have texts, and {int(labels[at].sum())} of them are relevant; at least {LEAST} "
            "are needed, relevant ones and others (hfneg calibrate MINED --sample N writes pairs to judge)"
        )
    raw = cheap.score([given.anchors[i] or "" for i in at], [given.documents[i] or "" for i in at])
    return band_of(cheap.scaled(raw), labels[at], errors)


def band_of(scores: Floats, labels: Numbers, errors: float) -> Band:
    """Of scores float32 [n] and labels float64 [n], 1 relevant."""
    values = scores.astype(np.float64)
    low, high = _end(values, labels, errors), -_end(-values, 1 - labels, errors)
    low = min(low, high)  # where each could decide what the other does, they meet
    below, above = values < low, values > high
    wrong = int(labels[below].sum()), int((1 - labels[above]).sum())
    return Band((low, high), len(values), int(below.sum()), int(above.sum()), *wrong)


def _end(scores: Numbers, wrong: Numbers, errors: float) -> float:
    """The score below which it is sure enough."""
    from scipy.stats import beta

    distinct, order = np.unique(scores), np.argsort(scores, kind="stable")
    counts = np.searchsorted(scores[order], distinct, "left")  # strictly below each
    sums = np.concatenate([[0.0], np.cumsum(wrong[order])])[counts]
    with np.errstate(invalid="ignore"):
        upper = np.where(counts > sums, beta.ppf(1 - TAIL, sums + 1, np.maximum(counts - sums, 1)), 1.0)
    return float(distinct[np.flatnonzero((upper < errors) | (counts == 0))[-1]])
