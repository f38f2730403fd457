"""Replicates: an anchor with one of its known positives hidden, as if nobody had labelled it.

A replicate keeps its anchor's candidates, scores and ranks; the hidden positive stands among them where retrieval
put it. Candidates that the guard had dropped as near-duplicates of a positive are looked at again, because they may
have been those of the hidden one alone. Such a one was never shown to a teacher; nearly the same text, it counts with
the hidden positive's score.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import Hashes
from hfneg.base.lists import Lists, offsets
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.runs.folder.ledger_files import LedgerBlock
from hfneg.steps.block import verdicts
from hfneg.steps.block.pool import Pool
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


class View(Anchors):
    """The anchors, of which those of one block have other known positives."""

    def __init__(self, anchors: Anchors, numbers: Ints, positives: Lists) -> None:
        self.all, self._numbers, self._own = anchors, numbers, positives
        self.anchor, self.positive, self.digest = anchors.anchor, anchors.positive, anchors.digest

    def __len__(self) -> int:
        return len(self.all)

    @cached_property
    def corpus(self) -> Corpus:
        return self.all.corpus

    @cached_property
    def text_hashes(self) -> Hashes:
        return self.all.text_hashes

    @cached_property
    def normal_hashes(self) -> npt.NDArray[np.uint64]:
        return self.all.normal_hashes

    def texts(self, numbers: Any) -> pa.LargeStringArray:
        return self.all.texts(numbers)

    def positives(self, numbers: Ints) -> Lists:
        """Of the block's anchors those that are not hidden; of others, which a filter may ask for, all."""
        return self._own if np.array_equal(numbers, self._numbers) else self.all.positives(numbers)


@dataclass(frozen=True)
class Replicates:
    """r replicates as a block of a ledger.

    Attributes:
        block: its verdicts hold what the guard says, `SPARE` elsewhere.
        view: the anchors as the replicates know them.
        hidden: bool [m], which candidate is the hidden positive; one per replicate.
    """

    block: LedgerBlock
    view: View
    hidden: Mask

    def taken(self, at: Ints) -> tuple[LedgerBlock, View]:
        """Some of the replicates, by position: block and view."""
        block = self.block.take(at)
        return block, View(self.view.all, block.numbers, block.positives)

    def take(self, at: Ints) -> Replicates:
        """Some of the replicates, by position."""
        hidden = Lists(self.block.candidates.indptr, self.hidden).take(at).flat
        return Replicates(*self.taken(at), hidden)


def hide(
    anchors: Anchors,
    block: LedgerBlock,
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
    is_hidden = taken.candidates.rows == block.positives.flat[hidden][taken.candidates.owners]
    if taken.teacher_scores is not None and block.positive_teacher_scores is not None:
        own = block.positive_teacher_scores[hidden][taken.candidates.owners]
        taken = dataclasses.replace(taken, teacher_scores=np.where(is_hidden, own, taken.teacher_scores))
    if k is not None:
        kept = _first(taken, is_hidden, k)
        taken, is_hidden = taken.only(kept), is_hidden[kept]
    if against == "others":
        taken = _without(taken, block, at, hidden)
    elif against == "donor":
        assert donors is not None
        taken = _with_donors(taken, donors)
    view = View(anchors, taken.numbers, taken.positives)
    codes = _guarded(taken, view, is_hidden, guard)
    if against == "itself":
        codes[is_hidden] = verdicts.SPARE
    if taken.teacher_scores is not None and block.positive_teacher_scores is not None:
        freed = np.isin(taken.verdicts, verdicts.ALIKE) & (codes == verdicts.SPARE) & np.isnan(taken.teacher_scores)
        own = block.positive_teacher_scores[hidden][taken.candidates.owners]
        taken = dataclasses.replace(taken, teacher_scores=np.where(freed, own, taken.teacher_scores))
    return Replicates(dataclasses.replace(taken, verdicts=codes), view, is_hidden)


def _first(block: LedgerBlock, hidden: Mask, k: int) -> Mask:
    """Up to the k-th candidate that is no known positive, the hidden one counted."""
    c = block.candidates
    wanted = (block.verdicts != verdicts.KNOWN_POSITIVE) | hidden
    before = np.cumsum(wanted) - wanted
    kept: Mask = before - np.append(before, 0)[c.indptr[:-1]][c.owners] < k
    return kept


def _without(taken: LedgerBlock, block: LedgerBlock, at: Ints, hidden: Ints) -> LedgerBlock:
    """The other positives only."""
    places = Lists(block.positives.indptr, np.arange(len(block.positives.flat))).take(at)
    kept = places.flat != hidden[places.owners]
    lengths = np.bincount(places.owners[kept], minlength=len(at))
    taught = taken.positive_teacher_scores
    return dataclasses.replace(
        taken,
        positives=Lists(offsets(lengths), taken.positives.flat[kept]),
        candidates=dataclasses.replace(taken.candidates, positive_scores=taken.candidates.positive_scores[kept]),
        positive_teacher_scores=None if taught is None else taught[kept],
    )


def _with_donors(taken: LedgerBlock, donors: Donors) -> LedgerBlock:
    """One positive each, of another anchor."""
    return dataclasses.replace(
        taken,
        positives=Lists(np.arange(len(donors.rows) + 1), donors.rows),
        candidates=dataclasses.replace(taken.candidates, positive_scores=donors.scores),
        positive_teacher_scores=donors.teacher_scores,
    )


def _guarded(block: LedgerBlock, view: View, hidden: Mask, guard: Guard) -> npt.NDArray[np.uint8]:
    """The guard's verdicts: as they stood, but asked again where they may depend on the hidden positive."""
    codes = np.where(np.isin(block.verdicts, verdicts.GUARDED), block.verdicts, np.uint8(verdicts.SPARE))
    again = hidden | np.isin(codes, verdicts.ALIKE)
    codes[again] = guard.verdicts(Pool(view, block.only(again).candidates))
    return codes
