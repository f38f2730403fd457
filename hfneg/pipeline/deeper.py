"""Anchors with too few negatives are searched once more, deeper; what is new is judged behind what there is.

Nothing of the first search changes: neither order nor scores nor verdicts. So a candidate's place in the sampler's
order is (search, place), and the teacher is asked on demand again, about the new candidates alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hfneg.base.arrays import Ints, Mask
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.search import SourceHits
from hfneg.steps.block.block import Block
from hfneg.steps.scorer import Scorer

Close = Callable[[Block], Mask]

HELD = 2_000_000
"""Candidates of a deeper search that are judged at once."""


def longer_lists(retrieve: Retrieve, first: Block, found: Sequence[SourceHits]) -> Block:
    """The lists of the first search with what a deeper one found behind them, in its fused order."""
    deeper = retrieve.fuse(first.numbers, found)
    return replace(first.extended(deeper), deeper_positive_scores=deeper.positive_scores)


def deepened(
    retrieve: Retrieve,
    policy: Policy,
    block: Block,
    found: Sequence[SourceHits],
    scorer: Scorer | None,
    close: Close | None = None,
) -> Block:
    """With the lists of short anchors made longer and judged; `found` is what a deeper search for them has given.

    What was decided stays as it is. `close` says which documents are kept for other anchors.
    """
    anchors, short = retrieve.anchors, block.short(policy.sampler.n)
    positives = anchors.positives(block.numbers[short])
    pieces = []
    for at in _slices(short, found):
        longer = longer_lists(retrieve, block.take(short[at]), [source.take(positives, at) for source in found])
        if close is not None and longer.closed is not None:
            longer = replace(longer, closed=np.where(longer.appended, close(longer), longer.closed))
        codes = np.where(longer.appended, policy.guard.marked(anchors, longer).verdicts, longer.verdicts)
        pieces.append((short[at], policy.judged(anchors, replace(longer, verdicts=codes), scorer)))
    return block.replaced(pieces)


def _slices(short: Ints, found: Sequence[SourceHits]) -> list[Ints]:
    """Positions among the short anchors, so many at a time that about HELD candidates are."""
    if not len(short):
        return []
    ends = np.cumsum(np.sum([source.lists.lengths for source in found], axis=0))
    return np.split(np.arange(len(short)), np.flatnonzero(np.diff(ends // HELD)) + 1)
