"""A teacher that says the same of everything: noticed, and said once with numbers."""

from __future__ import annotations

import logging

import numpy as np

from hfneg.steps.teachers.base import Scores, Teacher

PAIRS = 64  # fewer equal scores may well be so by chance: a judge who says 0 or 1, few documents
SATURATED = 0.5  # share of scores at the end of the scale from which on it is said

log = logging.getLogger(__name__)


class Watch:
    """The scores of one teacher that went by: whether they tell one pair from another.

    Nothing is refused, because what was seen is never all: the next pair may score otherwise. A filter that looks at
    such scores keeps everything or nothing, and the log says so before a long run has ended.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self._raw, self._scaled = Range(), Range()
        self._saturated = 0
        self._said = False

    def see(self, raw: Scores, scaled: Scores) -> None:
        """Take in some scores, float32 [n], as the teacher gave them and as filters see them."""
        if self._said:
            return
        self._raw.see(raw)
        self._scaled.see(scaled)
        if self._teacher.resolved_scale == "probability":
            self._saturated += int(np.count_nonzero((scaled == 0) | (scaled == 1)))

    def say(self) -> None:
        """A warning, once, where all that was seen is equal; asked for when candidates are among it."""
        n, raw = self._raw.n, self._raw
        if self._said or n < PAIRS:
            return
        if raw.low == raw.high:
            log.warning(
                "%r gave %d pairs the score %.6g, and no other: it tells none from another, and a filter that looks at "
                "it keeps all or none. A scoring head that was never trained, a model that knows none of these words, "
                "or a function that ignores its texts does so",
                self._teacher, n, raw.low,
            )  # fmt: skip
        elif self._scaled.low == self._scaled.high or self._saturated > SATURATED * n:
            log.warning(
                "%d of %d pairs have the probability 0 or 1 by %r, though its raw scores go from %.6g to %.6g: float32 "
                "has no numbers between them there, and filters cannot tell these pairs apart. Pass scale='logit' with "
                "Margin(absolute=...), or scale='from_zero' where its scores are probabilities already",
                self._saturated, n, self._teacher, raw.low, raw.high,
            )  # fmt: skip
        else:
            return
        self._said = True


class Range:
    """How many numbers went by, and the least and the largest of them."""

    def __init__(self) -> None:
        self.n, self.low, self.high = 0, np.inf, -np.inf

    def see(self, values: Scores) -> None:
        if len(values):
            self.n += len(values)
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
