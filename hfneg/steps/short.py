"""What becomes of anchors that have too few negatives when everything was searched and examined.

`Keep` leaves them short, `Relax` takes back what filters have dropped, `Fill` adds random documents. What is taken so
has a verdict of its own, and a label in ``hard_negative_sources``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hfneg.base.arrays import Floats, Ints, Mask
from hfneg.base.hashing import mix
from hfneg.base.lists import Lists, offsets
from hfneg.base.settings import check, is_seed
from hfneg.data.anchors import Anchors
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block, unretrieved
from hfneg.steps.block.pool import TEACHER, Pool
from hfneg.steps.guard import Guard, pairs_in
from hfneg.steps.retrievers.random_documents import permuted
from hfneg.steps.scorer import Scorer
from hfneg.steps.step import Step

DRAWS = 64
"""Random documents that are looked at for an anchor, besides four for each negative it wants."""


@dataclass(frozen=True)
class Resources:
    """What a policy for short anchors may use.

    Attributes:
        anchors: all anchors, and their corpus.
        n: negatives wanted per anchor.
        scorer: asks the teacher; None without one.
        score: the score that ranks, of documents that were not retrieved.
        kept: whether the policy's filters that look at the teacher keep candidates.
    """

    anchors: Anchors
    n: int
    guard: Guard
    scorer: Scorer | None
    score: Callable[[Ints, Lists], Floats]
    kept: Callable[[Pool], Mask]


class Short(Step):
    """Base of the policies for anchors that are still short."""

    label: ClassVar[str] = ""
    """What ``hard_negative_sources`` says of the negatives that it adds."""

    draws: ClassVar[bool] = False
    """Whether it adds documents that no search has found, which the ledger of a run without it does not have."""

    def complete(self, block: Block, resources: Resources) -> Block:
        """The block with what it adds."""
        raise NotImplementedError


@dataclass(frozen=True)
class Keep(Short):
    """Keeps short anchors short: no negative that the filters would not have let through."""

    def complete(self, block: Block, resources: Resources) -> Block:
        return block


@dataclass(frozen=True)
class Relax(Short):
    """Takes candidates that filters have dropped, the least suspicious first, until the anchor has enough.

    With a teacher that is the lowest teacher score first (of equal ones the deepest rank), and never one that the
    teacher puts at or above the least of the anchor's known positives; all candidates that a filter has dropped are
    scored for that. Without one it is the deepest rank first. What the leakage guard refuses, what was promoted and
    what `Hubs` keeps for other anchors is never taken. The verdict is "relaxed", the label "+relaxed".
    """

    label = "relaxed"

    def complete(self, block: Block, resources: Resources) -> Block:
        short = (block.missing(resources.n) > 0)[block.owners]
        among = short & (block.verdicts >= verdicts.FIRST_FILTER)
        if block.closed is not None:
            among &= ~block.closed
        order = -block.ranks.astype(np.float64)
        if resources.scorer is not None and among.any():
            block = _asked(block, among, resources.scorer)
            pool = Pool(resources.anchors, block)
            scores = pool.score(TEACHER)
            among &= _no_positives(pool, resources)
            # two keys in one: the place by score, of equal ones the deeper first
            order = np.empty(len(block))
            order[np.lexsort((-block.ranks, scores))] = np.arange(len(block))
        return block.taking(among, order, resources.n, verdicts.RELAXED)


@dataclass(frozen=True)
class Fill(Short):
    """Adds documents of the corpus at random, by (seed, anchor) alone, until the anchor has enough.

    They pass the leakage guard, repeat no candidate, and the teacher, where there is one, puts them below the least of
    the anchor's known positives; the other filters do not see them. They stand behind the candidates; the verdict is
    "filled", the label "random". Their score is the retriever's, or 0 where several are fused or it cannot say. An
    anchor for which 64 + 4n draws do not suffice stays short.
    """

    seed: int = 0

    label = "random"
    draws = True

    def __post_init__(self) -> None:
        check(is_seed(self.seed), self, "seed", self.seed, "a whole number, 0 or more")

    def complete(self, block: Block, resources: Resources) -> Block:
        drawn = self._drawn(block, resources)
        lengths = drawn.lengths
        turns = np.repeat(block.negatives_per_anchor - offsets(lengths)[:-1], lengths) + np.arange(len(drawn.flat))
        filled = _as_candidates(block, drawn, resources)
        filled = replace(filled, turns=turns, verdicts=np.full(len(turns), verdicts.FILLED, dtype=np.uint8))
        if block.teacher_scores is not None and resources.scorer is not None and len(filled):
            scores = resources.scorer.score(filled.numbers[filled.owners], filled.rows)
            filled = replace(filled, teacher_scores=scores)
        return block.extended(filled)

    def _drawn(self, block: Block, resources: Resources) -> Lists:
        """Rows of the corpus for each anchor, as many as are missing or as can be found."""
        anchors, n = resources.anchors, len(block.numbers)
        documents = len(anchors.corpus)
        keys = mix(self.seed, np.asarray(anchors.normal_hashes[block.numbers]))
        missing, seen = block.missing(resources.n), np.zeros(n, dtype=np.int64)
        most = min(DRAWS + 4 * resources.n, documents)
        owners, rows = block.owners, block.rows  # what is in the lists, then also what was drawn
        while (asked := np.minimum(missing, most - seen)).any():
            places = np.repeat(seen - offsets(asked)[:-1], asked) + np.arange(asked.sum())
            whose, open_ = np.repeat(np.arange(n), asked), (missing > 0)[owners]
            found = permuted(places.astype(np.uint64), keys[whose], documents)
            good = _fit(block, whose, found, (owners[open_], rows[open_]), resources)
            owners, rows = np.concatenate([owners, whose[good]]), np.concatenate([rows, found[good]])
            missing = missing - np.bincount(whose[good], minlength=n)
            seen += asked
        owners, rows = owners[len(block) :], rows[len(block) :]
        return Lists(offsets(np.bincount(owners, minlength=n)), rows[np.argsort(owners, kind="stable")])


SHORT: list[type[Short]] = [Keep, Relax, Fill]


def _asked(block: Block, wanted: Mask, scorer: Scorer) -> Block:
    """With the teacher's scores of those that it has not seen."""
    block = scorer.opened(block)
    assert block.teacher_scores is not None
    wanted = wanted & np.isnan(block.teacher_scores)
    return scorer.examined(block, wanted) if wanted.any() else block


def _fit(block: Block, owners: Ints, rows: Ints, known: tuple[Ints, Ints], resources: Resources) -> Mask:
    """bool: whether drawn documents (owners ascending) may be negatives and repeat none of the known ones."""
    anchors, hashes = resources.anchors, resources.anchors.corpus.normal_hashes
    drawn = resources.guard.marked(anchors, unretrieved(block, owners, rows))
    good = drawn.spare & ~pairs_in(owners, np.asarray(hashes[rows]), known[0], np.asarray(hashes[known[1]]))
    if resources.scorer is not None and good.any():
        none = np.full(len(drawn), np.nan, dtype=np.float32)
        pool = Pool(anchors, _asked(replace(drawn, teacher_scores=none, member_scores=None), good, resources.scorer))
        good &= _no_positives(pool, resources)
    return good


def _no_positives(pool: Pool, resources: Resources) -> Mask:
    """bool [m]: the teacher puts it below the least of its anchor's known positives.

    Where it was not asked about these: the filters that look at its scores keep it.
    """
    positives = pool.block.positive_teacher_scores
    if positives is not None and len(positives) and np.isnan(positives).all():
        return resources.kept(pool)
    below: Mask = pool.score(TEACHER) < pool.positive_score(TEACHER, "min")
    return below


def _as_candidates(block: Block, drawn: Lists, resources: Resources) -> Block:
    filled = unretrieved(block, drawn.owners, drawn.flat)
    some = np.flatnonzero(drawn.lengths)
    if not len(some):
        return filled
    return replace(filled, scores=resources.score(block.numbers[some], drawn.take(some)))
