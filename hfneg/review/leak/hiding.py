"""Replicates: an anchor with one of its known positives hidden, as if nobody had labelled it.

A replicate keeps its anchor's candidates, scores and ranks; the hidden positive stands among them where retrieval
put it. Candidates that the guard had dropped as near-duplicates of a positive are looked at again, because they may
have been those of the hidden one alone. Such a one was never shown to a teacher; nearly the same text, it counts with
the hidden positive's score.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints, Mask
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.guard import Guard

Against = Literal["others", "donor", "itself"]
"""What the hidden positive is compared with: the anchor's other positives; a positive of another anchor in their place;
or itself, as if a positive of just its scores and text were known."""


@dataclass(frozen=True)
class Donors:
    """Known positives of other anchors, one per replicate, with all their scores."""

    rows: Ints
    scores: npt.NDArray[np.float32]
    teacher_scores: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Replicates:
    """r replicates as a block of a ledger, whose known positives are those that the replicates know.

    Attributes:
        block: its verdicts hold what the guard says, `SPARE` elsewhere.
        hidden: bool [m], which candidate is the hidden positive; one per replicate.
    """

    block: Block
    hidden: Mask

    def take(self, at: Ints) -> Replicates:
        """Some of the replicates, by position."""
        return Replicates(self.block.take(at), Lists(self.block.indptr, self.hidden).take(at).flat)


def hide(
    anchors: Anchors,
    block: Block,
    at: Ints,
    hidden: Ints,
    guard: Guard,
    against: Against = "others",
    donors: Donors | None = None,
    k: int | None = None,
) -> Replicates:
    """Replicates of a block's anchors.

    Args:
        block: with verdicts of `guard`.
        at: int64 [r], positions of anchors in the block.
        hidden: int64 [r], which positive: places in ``block.positives.flat``. It stands among the candidates.
        against: see `Against`; "donor" needs `donors`.
        k: candidates that a search of one source keeps, known positives not counted: the hidden one is counted now,
            so the last one goes. None: no list is cut.
    """
    taken = block.take(at)
    is_hidden = taken.rows == block.positives.flat[hidden][taken.owners]
    if taken.teacher_scores is not None and block.positive_teacher_scores is not None:
        own = block.positive_teacher_scores[hidden][taken.owners]
        taken = dataclasses.replace(taken, teacher_scores=np.where(is_hidden, own, taken.teacher_scores))
    if k is not None:
        kept = _first(taken, is_hidden, k)
        taken, is_hidden = taken.only(kept), is_hidden[kept]
    if against == "others":
        places = block.positives.places.take(at)
        taken = taken.knowing(places.flat != hidden[places.owners])
    elif against == "donor":
        assert donors is not None
        taken = _with_donors(taken, donors)
    codes = _guarded(taken, anchors, is_hidden, guard)
    if against == "itself":
        codes[is_hidden] = verdicts.SPARE
    if taken.teacher_scores is not None and block.positive_teacher_scores is not None:
        freed = np.isin(taken.verdicts, verdicts.ALIKE) & (codes == verdicts.SPARE) & np.isnan(taken.teacher_scores)
        own = block.positive_teacher_scores[hidden][taken.owners]
        taken = dataclasses.replace(taken, teacher_scores=np.where(freed, own, taken.teacher_scores))
    return Replicates(dataclasses.replace(taken, verdicts=codes), is_hidden)


def _first(block: Block, hidden: Mask, k: int) -> Mask:
    """Up to the k-th candidate that is no known positive, the hidden one counted."""
    wanted = (block.verdicts != verdicts.KNOWN_POSITIVE) | hidden
    before = np.cumsum(wanted) - wanted
    kept: Mask = before - np.append(before, 0)[block.indptr[:-1]][block.owners] < k
    return kept


def _with_donors(taken: Block, donors: Donors) -> Block:
    """One positive each, of another anchor."""
    return dataclasses.replace(
        taken,
        positives=Lists(np.arange(len(donors.rows) + 1), donors.rows),
        positive_scores=donors.scores,
        deeper_positive_scores=None,
        positive_teacher_scores=donors.teacher_scores,
    )


def _guarded(block: Block, anchors: Anchors, hidden: Mask, guard: Guard) -> npt.NDArray[np.uint8]:
    """The guard's verdicts: as they stood, but asked again where they may depend on the hidden positive."""
    codes = np.where(np.isin(block.verdicts, verdicts.GUARDED), block.verdicts, np.uint8(verdicts.SPARE))
    again = hidden | np.isin(codes, verdicts.ALIKE)
    codes[again] = guard.marked(anchors, block.only(again)).verdicts
    return codes
