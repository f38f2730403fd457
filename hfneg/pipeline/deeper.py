"""Anchors with too few negatives are searched once more, deeper; what is new is judged behind what there is.

Nothing of the first search changes: neither order nor scores nor verdicts. So a candidate's place in the sampler's
order is (search, place), and the teacher is asked on demand again, about the new candidates alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from hfneg.base.arrays import Ints, Mask
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.search import SourceHits
from hfneg.steps.block.candidates import Candidates
from hfneg.steps.block.outcome import Outcome
from hfneg.steps.block.pool import Pool
from hfneg.steps.scorer import Scorer

Close = Callable[[Anchors, Candidates], Mask]

HELD = 2_000_000
"""Candidates of a deeper search that are judged at once."""


def short_anchors(outcome: Outcome, n: int) -> Ints:
    """Positions of the anchors with fewer than n negatives; all their candidates were examined."""
    return np.flatnonzero(outcome.missing(n) > 0)


def longer_lists(retrieve: Retrieve, first: Candidates, found: Sequence[SourceHits]) -> Candidates:
    """The lists of the first search with what a deeper one found behind them, in its fused order."""
    deeper = retrieve.fuse(first.numbers, found)
    return replace(first.extended(deeper), deeper_positive_scores=deeper.positive_scores)


def deepened(
    retrieve: Retrieve,
    policy: Policy,
    outcome: Outcome,
    found: Sequence[SourceHits],
    scorer: Scorer | None,
    close: Close | None = None,
) -> Outcome:
    """With the lists of short anchors made longer and judged; `found` is what a deeper search for them has given.

    `close` says which documents are kept for other anchors.
    """
    anchors, candidates = outcome.pool.anchors, outcome.pool.candidates
    short = short_anchors(outcome, policy.sampler.n)
    positives = anchors.positives(candidates.numbers[short])
    pieces = []
    for at in _slices(short, found):
        hits = [source.take(positives, at) for source in found]
        first = candidates.take(anchors, short[at])
        union = longer_lists(retrieve, first, hits)
        if close is not None and first.closed is not None:
            closed = close(anchors, union)
            closed[~union.appended] = first.closed
            union = replace(union, closed=closed)
        pieces.append((short[at], _judged(policy, outcome, short[at], union, scorer)))
    return _spliced(outcome, pieces)


def _slices(short: Ints, found: Sequence[SourceHits]) -> list[Ints]:
    """Positions among the short anchors, so many at a time that about HELD candidates are."""
    if not len(short):
        return []
    ends = np.cumsum(np.sum([source.lists.lengths for source in found], axis=0))
    return np.split(np.arange(len(short)), np.flatnonzero(np.diff(ends // HELD)) + 1)


def _judged(policy: Policy, outcome: Outcome, at: Ints, union: Candidates, scorer: Scorer | None) -> Outcome:
    """The policy over longer lists, in which what was decided stays as it is."""
    pool = Pool(outcome.pool.anchors, union)
    before, here = ~union.appended, Lists(outcome.pool.candidates.indptr, np.arange(len(outcome.pool))).take(at).flat
    again = Outcome(pool, policy.guard.verdicts(pool))
    again.verdicts[before], again.turns[before] = outcome.verdicts[here], outcome.turns[here]
    if scorer is not None and outcome.pool.teacher_scores is not None:
        asked = np.zeros(len(pool), dtype=bool)
        asked[before] = ~np.isnan(outcome.pool.teacher_scores[here])
        counted = scorer.stored
        scorer.open(pool)
        scorer.examine(pool, asked)
        scorer.stored = counted  # read again, not another pair
    policy.judge(again, scorer)
    return again


def _spliced(outcome: Outcome, pieces: Sequence[tuple[Ints, Outcome]]) -> Outcome:
    """The outcome with that of some anchors replaced."""
    pool = outcome.pool
    candidates, splice = pool.candidates.spliced(pool.anchors, [(at, piece.pool.candidates) for at, piece in pieces])
    longer = Pool(pool.anchors, candidates)
    if pool.teacher_scores is not None:
        longer.teacher_scores = splice(pool.teacher_scores, [piece.pool.teacher_scores for _, piece in pieces])
        longer.positive_teacher_scores = pool.positive_teacher_scores
    return Outcome(
        longer,
        splice(outcome.verdicts, [piece.verdicts for _, piece in pieces]),
        splice(outcome.turns, [piece.turns for _, piece in pieces]),
    )
