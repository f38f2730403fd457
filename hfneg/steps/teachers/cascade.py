"""Two teachers as one: the costly one is asked where the cheap one is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hfneg.base import store
from hfneg.base.arrays import Mask
from hfneg.base.settings import check, is_number
from hfneg.errors import SettingError
from hfneg.steps import papers
from hfneg.steps.teachers.base import Scores
from hfneg.steps.teachers.ensemble import Ensemble

FORMAT = 1


@dataclass(frozen=True, repr=False)
class Cascade(Ensemble):
    """The second teacher's score where the first one's lies between two limits, else 0 or 1.

    >>> from hfneg.steps.teachers import FunctionTeacher
    >>> def words(anchors, documents): return [float(len(d.split())) for d in documents]
    >>> def careful(anchors, documents): return [0.0] * len(documents)
    >>> cheap = FunctionTeacher(words, id="words-1", scale="from_zero")
    >>> costly = FunctionTeacher(careful, id="careful-1", scale="probability")
    >>> cascade = Cascade([cheap, costly], between=(2, 3))
    >>> cascade.combine([cheap.scaled([1, 2, 4]), costly.scaled([0, 0, 0])]).tolist()
    [0.0, 0.5, 1.0]

    Scores go from 0, not relevant, to 1: those of a graded judge are divided by its highest grade. So
    ``Band(high=0.5)`` keeps what the judge graded 0 or 1. In rows, ledger and summary stands this score; the summary
    says how many pairs the second teacher was spared.

    Args:
        teachers: the cheap one and the costly one; each a teacher of its own.
        between: (low, high) on the scale of the cheap one. What it scores below `low` counts as not relevant (0), above
            `high` as relevant (1); both included the costly one is asked. `hfneg.cascade_band` finds them from judged
            pairs.

    Source: cascades of judges, Thakur et al. 2025 (RLHN), section 3.

    Raises SettingError: not two teachers, limits that are none, a costly one whose scores have no upper end.
    """

    between: tuple[float, float] = (0.0, 1.0)

    cites = (papers.RELABELLING,)
    partial = True

    def __post_init__(self) -> None:
        super().__post_init__()
        plain = len(self.teachers) == 2 and all(len(one.members) == 1 for one in self.teachers)
        check(plain, self, "teachers", list(self.teachers), "two teachers, the cheap one first, neither an ensemble")
        given = self.between
        limits = tuple(given) if isinstance(given, list | tuple) else (given,)
        right = len(limits) == 2 and all(map(is_number, limits)) and limits[0] <= limits[1]
        check(right, self, "between", given, "two numbers on the cheap one's scale, the lower first")
        object.__setattr__(self, "between", limits)
        if self.teachers[1].highest is None:
            raise SettingError(
                f"{self.teachers[1]!r}: its scores (scale {self.teachers[1].resolved_scale!r}) have no upper end, and "
                "those of a cascade go from 0 to 1: pass scale='probability' to it, or a JudgeTeacher"
            )

    @property
    def digest(self) -> str:
        parts = [[teacher.digest, teacher.resolved_scale] for teacher in self.teachers]
        return store.digest_of(FORMAT, type(self).__name__, parts, list(self.between))

    @property
    def resolved_scale(self) -> str:
        return "probability"

    def wanted(self, before: Sequence[Scores]) -> Mask | None:
        if len(before) != 1:
            return None
        low, high = map(np.float32, self.between)
        unsure: Mask = (before[0] >= low) & (before[0] <= high)
        return unsure

    def combine(self, scaled: Sequence[Scores]) -> Scores:
        cheap, costly = scaled
        unsure, highest = self.wanted([cheap]), self.teachers[1].highest
        assert unsure is not None
        assert highest is not None
        sure = (cheap > np.float32(self.between[1])).astype(np.float32)
        return np.where(unsure | np.isnan(cheap), costly / np.float32(highest), sure).astype(np.float32)
