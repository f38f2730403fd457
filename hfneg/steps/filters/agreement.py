from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from hfneg.base.arrays import Mask
from hfneg.base.settings import check
from hfneg.steps.block.pool import TEACHER, Pool
from hfneg.steps.filters.base import Filter


@dataclass(frozen=True)
class Agreement(Filter):
    """Keeps candidates that a filter keeps by every single teacher's scores: all must agree.

    ``Agreement(Margin(relative=0.05))`` with ``teacher=MeanOfTeachers([one, other])``: each member compares the
    candidate with the positive on its own scores; what the columns show is still the ensemble's score.
    """

    of: Any  # a Filter; Any, so that recipe text may nest it

    verdict = "disagreement"
    meaning = "is no negative to one of the teachers"
    needs_teacher = True
    least_teachers = 2

    def __post_init__(self) -> None:
        good = isinstance(self.of, Filter) and not isinstance(self.of, Agreement)
        check(good, self, "of", self.of, "a filter that looks at the teacher's score, such as Margin(relative=0.05)")
        if "by" in self.of.settings() and self.of.settings()["by"] is None:
            object.__setattr__(self, "of", dataclasses.replace(self.of, by=TEACHER))
        taught = self.of.needs_teacher or self.of.settings().get("by") == TEACHER
        check(taught, self, "of", self.of, "a filter that looks at the teacher's score; this one does not")

    @property
    def pointwise(self) -> bool:  # type: ignore[override]
        return bool(self.of.pointwise)

    def keep(self, pool: Pool) -> Mask:
        kept: Mask = np.logical_and.reduce([self.of.keep(view) for view in pool.of_teachers()])
        return kept

    def reads_known_positives(self) -> bool:
        return bool(self.of.reads_known_positives())

    def is_relative(self) -> bool:
        return bool(self.of.is_relative())
