"""What a filter is: one question to every candidate, answered with what it KEEPS."""

from __future__ import annotations

from typing import ClassVar

from hfneg.base.settings import Step
from hfneg.data.anchors import Anchors
from hfneg.steps.block.pool import Mask, Pool


class Filter(Step):
    """Base of the filters; a subclass is a frozen dataclass with `verdict` and `keep`.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class EvenRows(Filter):
    ...     verdict = "odd_row"
    ...     def keep(self, pool):
    ...         return pool.rows % 2 == 0

    One that reads ``pool.score("teacher")`` says ``needs_teacher = True``, or has a setting ``by``, which names a
    score (a `by` of None becomes "teacher" where there is a teacher, else "score").
    """

    verdict: ClassVar[str]
    """What a candidate that is not kept is called in the ledger."""

    meaning: ClassVar[str] = "was dropped by the filter of this name"
    """The verdict in words, for tables: what the candidate did or is."""

    pointwise: ClassVar[bool] = True
    """Whether a verdict depends on this candidate's scores and its anchor's positives alone (no counts, no ranks
    among the survivors). A teacher whose scores the filter reads may be asked on demand only then."""

    needs_teacher: ClassVar[bool] = False
    """Whether `keep` reads the teacher's score, ``pool.score("teacher")``, though no setting ``by="teacher"`` says so.
    It is then asked after the filters that do not, and about no more candidates than are needed."""

    over_all_anchors: ClassVar[bool] = False
    """Whether it needs to know the candidates of all anchors, so that only `hfneg.mine` can apply it."""

    least_teachers: ClassVar[int] = 0
    """How many teachers it compares; more than one needs an ensemble."""

    def keep(self, pool: Pool) -> Mask:
        """bool [m]: True for the candidates that may become negatives."""
        raise NotImplementedError

    def check_anchors(self, anchors: Anchors) -> None:
        """Raise SettingError where it cannot work on these anchors and their corpus; called before any work."""

    def compares_with_positive(self) -> str | None:
        """The score ("score" or a source's name) whose value for the positive it needs, or None."""
        return None

    def reads_known_positives(self) -> bool:
        """Whether it reads ``pool.positive_quantile``, which there is for the teacher's scores only."""
        return False

    def is_relative(self) -> bool:
        """Whether it takes a share of a score, which makes no sense where scores can be negative (logits)."""
        return False
