"""What a filter is: one question to every candidate, answered with what it KEEPS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Mask
from hfneg.data.anchors import Anchors
from hfneg.steps.block.pool import Pool
from hfneg.steps.step import Judging

Scores = npt.NDArray[np.floating[Any]]

QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5)
"""Of known positives' scores: usual ones for a limit."""


class Filter(Judging):
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

    uses_own_positives: ClassVar[bool] = True
    """Whether a verdict can depend on the known positives of the candidate's own anchor. Where it does not, hiding one
    of these says exactly how often the filter would let it through, see `hfneg.leak_rate`."""

    over_all_anchors: ClassVar[bool] = False
    """Whether it needs to know the candidates of all anchors, so that only `hfneg.mine` can apply it."""

    least_teachers: ClassVar[int] = 0
    """How many teachers it compares; more than one needs an ensemble."""

    def keep(self, pool: Pool) -> Mask:
        """bool [m]: True for the candidates that may become negatives."""
        raise NotImplementedError

    def check_anchors(self, anchors: Anchors) -> None:
        """Raise SettingError where it cannot work on these anchors and their corpus; called before any work."""

    def reads_known_positives(self) -> bool:
        """Whether it reads ``pool.positive_quantile``, which there is for the teacher's scores only."""
        return False

    def counts_over_all(self) -> int | None:
        """How many anchors may use a document, where it counts that; such a filter is `over_all_anchors`."""
        return None

    def variations(self, positives: Scores) -> tuple[str, Sequence[float]] | None:
        """(the setting that is its limit, values worth comparing), for `hfneg.calibrate`; None where it has none.

        `positives`: float [p], the scores of known positives, by the teacher where there is one; may be empty.
        """
        return None

    def is_relative(self) -> bool:
        """Whether it takes a share of a score, which makes no sense where scores can be negative (logits)."""
        return False
