"""The mined pairs of a folder, and of its policy with other settings, as flat arrays.

A pair is (anchor, document), each anchor once however many rows share it. The pairs of all settings are kept once,
with a mask of those that each setting mines: 40 bytes a pair, so that a million anchors fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hfneg.base.arrays import Floats, Ints, Mask
from hfneg.base.hashing import uniform
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.review.components import components, first_half
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.replay import Replay, needs_teacher
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block

SEEN = 1_000_000
"""Candidates, about, whose scores stand for all of them in a distribution."""
MINED = (verdicts.SELECTED, verdicts.RELAXED, verdicts.FILLED)
NO_CANDIDATE = (*verdicts.GUARDED, verdicts.FILLED, verdicts.GIVEN)


@dataclass(frozen=True)
class Frame:
    """n pairs, ascending by (anchor, rank), that at least one of the settings mines.

    Attributes:
        numbers: int64 [n], the anchors; `rows` int64 [n], the documents' rows in the corpus.
        ranks: int64 [n], from 1; `scores` float32 [n], what ranks.
        teacher: float32 [n]; None without a teacher.
        mined: bool [v, n]: the pairs of each setting; ``mined[0]`` are the folder's own negatives.
        components: int64 [anchors]: anchors that share positives have the same.
        first_half: bool [anchors]: half of the components.
        positives, candidates: float32, the scores (see `by`) of the known positives, and of examined candidates that
            are not known to be positive, or of a sample of these.
        positive_mean: float32 [anchors], of the known positives' scores.
        given: int64 [anchors]: given negatives among the folder's negatives, known not to be relevant; no pair of these
            is among the n.
        width: documents of the corpus.
    """

    numbers: Ints
    rows: Ints
    ranks: Ints
    scores: Floats
    teacher: Floats | None
    mined: Mask
    components: Ints
    first_half: Mask
    positives: Floats
    candidates: Floats
    positive_mean: Floats
    given: Ints
    width: int

    @property
    def by(self) -> str:
        """Which score tells relevance best: "teacher" where there is one, else "score"."""
        return "score" if self.teacher is None else "teacher"

    @cached_property
    def best(self) -> Floats:
        """float32 [n]: that score; the least of all for a random document, which has none."""
        scores = self.scores if self.teacher is None else self.teacher
        known = scores[~np.isnan(scores)]
        return np.nan_to_num(scores, nan=float(known.min()) if len(known) else 0.0)

    @cached_property
    def keys(self) -> Ints:
        """int64 [n]: one number per pair."""
        return self.numbers * self.width + self.rows

    @property
    def component(self) -> Ints:
        """int64 [n]: the component of each pair's anchor."""
        return self.components[self.numbers]

    def find(self, numbers: Ints, rows: Ints) -> Ints:
        """int64: the position of each pair, -1 where no setting mines it."""
        wanted = numbers * self.width + rows
        order = np.argsort(self.keys, kind="stable")
        ordered = self.keys[order]
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        return np.where(ordered[at] == wanted, order[at], -1) if len(ordered) else np.full(len(wanted), -1)


def read(ledger: MinedLedger, anchors: Anchors, replays: Sequence[Replay] = ()) -> Frame:
    """The folder's own negatives, then those of each of `replays`, in one pass over the ledger.

    Raises NeedsTeacher where a setting asks for scores that the ledger does not have.
    """
    if replays:
        _check_scores(ledger, replays)
    share = min(SEEN / max(int(ledger.summary["candidates"]), 1), 1.0)
    parts = [_Part.of(block, replays, share) for block in ledger.blocks()]
    known = ledger.known_positives
    labels = components(known.rows)
    positives = known.scores[:, 0] if known.teacher_scores is None else known.teacher_scores

    def joined(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return Frame(
        numbers=joined("numbers"),
        rows=joined("rows"),
        ranks=joined("ranks"),
        scores=joined("scores"),
        teacher=joined("teacher") if ledger.taught else None,
        mined=np.concatenate([part.mined for part in parts], axis=1),
        components=labels,
        first_half=first_half(labels, anchors.normal_hashes),
        positives=positives[~np.isnan(positives)],
        candidates=joined("candidates"),
        positive_mean=_means(known.rows, positives),
        given=joined("given"),
        width=len(anchors.corpus),
    )


def _check_scores(ledger: MinedLedger, replays: Sequence[Replay]) -> None:
    """One error for all settings, with the number of pairs of the most demanding one."""
    if all(replay.scores is None for replay in replays):
        return
    anchors, pairs = np.zeros((2, len(replays)), dtype=np.int64)
    for block in ledger.blocks():
        if block.teacher_scores is None or not np.isnan(block.teacher_scores).any():
            continue
        for i, replay in enumerate(replays):
            at, lacking = replay.missing(block.retrieved())
            anchors[i], pairs[i] = anchors[i] + len(at), pairs[i] + lacking
    worst = int(np.argmax(pairs))
    if pairs[worst]:
        raise needs_teacher(ledger.folder, int(pairs[worst]), int(anchors[worst]), len(ledger))


@dataclass(frozen=True)
class _Part:
    """A block's share of a frame."""

    numbers: Ints
    rows: Ints
    ranks: Ints
    scores: Floats
    teacher: Floats
    mined: Mask
    candidates: Floats
    given: Ints

    @classmethod
    def of(cls, block: Block, replays: Sequence[Replay], share: float) -> _Part:
        taken = np.zeros((1 + len(replays), len(block)), dtype=bool)
        taken[0] = np.isin(block.verdicts, MINED)
        retrieved = block.verdicts != verdicts.FILLED
        for mask, replay in zip(taken[1:], replays, strict=True):
            mask[retrieved] = np.isin(replay.run(block.retrieved()).verdicts, MINED)
        at = np.flatnonzero(taken.any(axis=0))
        best = block.scores if block.teacher_scores is None else block.teacher_scores
        drawn = uniform(0, block.numbers)[block.owners] < share
        drawn &= ~np.isin(block.verdicts, NO_CANDIDATE) & ~np.isnan(best)
        return cls(
            block.numbers[block.owners[at]],
            block.rows[at],
            block.ranks[at],
            block.scores[at],
            best[at],
            taken[:, at],
            best[drawn],
            np.bincount(block.owners[block.verdicts == verdicts.GIVEN], minlength=len(block.numbers)),
        )


def _means(rows: Lists, scores: Floats) -> Floats:
    """Of each list; NaN where one of its scores is."""
    sums = np.add.reduceat(scores.astype(np.float64), rows.indptr[:-1]) if len(scores) else np.zeros(0)
    return (sums / rows.lengths).astype(np.float32)
