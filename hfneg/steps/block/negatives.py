"""`Negatives`: what the user's rows are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hfneg.base.arrays import Codes, Floats, Ints
from hfneg.base.lists import Lists, offsets
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block


@dataclass(frozen=True)
class Negatives:
    """The negatives of n anchors; p known positives in all.

    Attributes:
        numbers: int64 [n], the anchors.
        rows: corpus rows per anchor, in the sampler's order.
        scores: float32, aligned with ``rows.flat``.
        sources: uint8, aligned with ``rows.flat``; bit i is source i.
        verdicts: uint8, aligned with ``rows.flat``: selected, given, relaxed or filled.
        positive_scores: float32 [p], flat as in `Anchors.positives(numbers)`; NaN where a source cannot score.
        teacher_scores: float32, aligned with ``rows.flat``; None without a teacher.
        positive_teacher_scores: float32 [p]; None without a teacher.
        promoted: corpus rows per anchor, the highest teacher score first; None where nothing is promoted.
    """

    numbers: Ints
    rows: Lists
    scores: Floats
    sources: Codes
    verdicts: Codes
    positive_scores: Floats
    teacher_scores: Floats | None = None
    positive_teacher_scores: Floats | None = None
    promoted: Lists | None = None

    @classmethod
    def of(cls, block: Block, *, promotes: bool) -> Negatives:
        """Those of a decided block; with `promotes` also its extra positives."""
        at = np.flatnonzero(block.turns >= 0)
        taken = at[np.lexsort((block.turns[at], block.owners[at]))]
        scores = block.teacher_scores
        promoted = np.flatnonzero(block.verdicts == verdicts.PROMOTED)
        if scores is not None:
            promoted = promoted[np.lexsort((block.ranks[promoted], -scores[promoted], block.owners[promoted]))]
        return cls(
            numbers=block.numbers,
            rows=_lists(block, taken),
            scores=block.scores[taken],
            sources=block.sources[taken],
            verdicts=block.verdicts[taken],
            positive_scores=block.positive_scores[:, 0],
            teacher_scores=None if scores is None else scores[taken],
            positive_teacher_scores=block.positive_teacher_scores,
            promoted=_lists(block, promoted) if promotes else None,
        )


def _lists(block: Block, at: Ints) -> Lists:
    """The rows of candidates, whose owners ascend."""
    return Lists(offsets(np.bincount(block.owners[at], minlength=len(block.numbers))), block.rows[at])
