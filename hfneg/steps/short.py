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
from hfneg.steps.block import verdicts
from hfneg.steps.block.candidates import Candidates, unretrieved
from hfneg.steps.block.outcome import Outcome
from hfneg.steps.block.pool import TEACHER, Pool
from hfneg.steps.guard import Guard, pairs_in
from hfneg.steps.retrievers.random_documents import permuted
from hfneg.steps.scorer import Scorer
from hfneg.steps.step import Step

DRAWS = 64
"""Random documents that are looked at for an anchor, besides four for each negative it wants."""


@dataclass(frozen=True)
class Means:
    """What a policy for short anchors may use.

    Attributes:
        n: negatives wanted per anchor.
        scorer: asks the teacher; None without one.
        score: the score that ranks, of documents that were not retrieved.
    """

    n: int
    guard: Guard
    scorer: Scorer | None
    score: Callable[[Ints, Lists], Floats]


class Short(Step):
    """Base of the policies for anchors that are still short."""

    label: ClassVar[str] = ""
    """What ``hard_negative_sources`` says of the negatives that it adds."""

    draws: ClassVar[bool] = False
    """Whether it adds documents that no search has found, which the ledger of a run without it does not have."""

    def complete(self, outcome: Outcome, means: Means) -> Outcome:
        """The outcome with what it adds."""
        raise NotImplementedError


@dataclass(frozen=True)
class Keep(Short):
    """Keeps short anchors short: no negative that the filters would not have let through."""

    def complete(self, outcome: Outcome, means: Means) -> Outcome:
        return outcome


@dataclass(frozen=True)
class Relax(Short):
    """Takes candidates that filters have dropped, the least suspicious first, until the anchor has enough.

    With a teacher that is the lowest teacher score first (of equal ones the deepest rank), and never one that the
    teacher puts at or above the least of the anchor's known positives; all candidates that a filter has dropped are
    scored for that. Without one it is the deepest rank first. What the leakage guard refuses, what was promoted and
    what `Hubs` keeps for other anchors is never taken. The verdict is "relaxed", the label "+relaxed".
    """

    label = "relaxed"

    def complete(self, outcome: Outcome, means: Means) -> Outcome:
        pool = outcome.pool
        short = (outcome.missing(means.n) > 0)[pool.owners]
        among = short & (outcome.verdicts >= verdicts.FIRST_FILTER)
        if pool.candidates.closed is not None:
            among &= ~pool.candidates.closed
        order = -pool.ranks.astype(np.float64)
        if means.scorer is not None and among.any():
            _ask(pool, among, means.scorer)
            scores = pool.score(TEACHER)
            among &= scores < pool.positive_score(TEACHER, "min")
            # two keys in one: the place by score, of equal ones the deeper first
            order = np.empty(len(pool))
            order[np.lexsort((-pool.ranks, scores))] = np.arange(len(pool))
        outcome.take(among, order, means.n, verdicts.RELAXED)
        return outcome


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

    def complete(self, outcome: Outcome, means: Means) -> Outcome:
        pool = outcome.pool
        drawn = self._drawn(outcome, means)
        lengths = drawn.lengths
        filled = _as_candidates(pool, drawn, means)
        candidates = pool.candidates.extended(filled)
        longer = Pool(pool.anchors, candidates)
        own = np.flatnonzero(candidates.ranks <= np.repeat(np.diff(pool.candidates.indptr), np.diff(candidates.indptr)))
        codes, turns = np.full(len(longer), verdicts.FILLED, dtype=np.uint8), np.empty(len(longer), dtype=np.int64)
        new = np.ones(len(longer), dtype=bool)
        new[own] = False
        codes[own], turns[own] = outcome.verdicts, outcome.turns
        turns[new] = np.repeat(outcome.found - offsets(lengths)[:-1], lengths) + np.arange(len(drawn.flat))
        if pool.teacher_scores is not None and means.scorer is not None:
            scores = np.full(len(longer), np.nan, dtype=np.float32)
            scores[own] = pool.teacher_scores
            longer.teacher_scores, longer.positive_teacher_scores = scores, pool.positive_teacher_scores
            if new.any():
                scores[new] = means.scorer.score(longer.numbers[longer.owners[new]], longer.rows[new])
        return Outcome(longer, codes, turns)

    def _drawn(self, outcome: Outcome, means: Means) -> Lists:
        """Rows of the corpus for each anchor, as many as are missing or as can be found."""
        pool = outcome.pool
        anchors, n = pool.anchors, len(pool.numbers)
        keys = mix(self.seed, np.asarray(anchors.normal_hashes[pool.numbers]))
        missing, seen = outcome.missing(means.n), np.zeros(n, dtype=np.int64)
        most = min(DRAWS + 4 * means.n, len(pool.corpus))
        owners, rows = pool.owners, pool.rows  # what is in the lists, then also what was drawn
        while (asked := np.minimum(missing, most - seen)).any():
            places = np.repeat(seen - offsets(asked)[:-1], asked) + np.arange(asked.sum())
            whose, open_ = np.repeat(np.arange(n), asked), (missing > 0)[owners]
            found = permuted(places.astype(np.uint64), keys[whose], len(pool.corpus))
            good = _fit(pool, whose, found, (owners[open_], rows[open_]), means)
            owners, rows = np.concatenate([owners, whose[good]]), np.concatenate([rows, found[good]])
            missing = missing - np.bincount(whose[good], minlength=n)
            seen += asked
        owners, rows = owners[len(pool) :], rows[len(pool) :]
        return Lists(offsets(np.bincount(owners, minlength=n)), rows[np.argsort(owners, kind="stable")])


SHORT: list[type[Short]] = [Keep, Relax, Fill]


def _ask(pool: Pool, wanted: Mask, scorer: Scorer) -> None:
    """The teacher's scores of those that it has not seen."""
    wanted = wanted & np.isnan(pool.score(TEACHER))
    if wanted.any():
        scorer.examine(pool, wanted)


def _fit(pool: Pool, owners: Ints, rows: Ints, known: tuple[Ints, Ints], means: Means) -> Mask:
    """bool: whether drawn documents (owners ascending) may be negatives and repeat none of the known ones."""
    anchors, corpus = pool.anchors, pool.corpus
    drawn = Pool(anchors, unretrieved(pool.candidates, owners, rows))
    good: Mask = means.guard.verdicts(drawn) == verdicts.SPARE
    hashes, before = np.asarray(corpus.normal_hashes[rows]), np.asarray(corpus.normal_hashes[known[1]])
    good &= ~pairs_in(owners, hashes, known[0], before)
    if means.scorer is not None and good.any():
        drawn.teacher_scores = np.full(len(drawn), np.nan, dtype=np.float32)
        drawn.positive_teacher_scores = pool.positive_teacher_scores
        means.scorer.examine(drawn, good)
        good &= drawn.score(TEACHER) < drawn.positive_score(TEACHER, "min")
    return good


def _as_candidates(pool: Pool, drawn: Lists, means: Means) -> Candidates:
    candidates = unretrieved(pool.candidates, drawn.owners, drawn.flat)
    some = np.flatnonzero(drawn.lengths)
    if not len(some):
        return candidates
    return replace(candidates, scores=means.score(pool.numbers[some], drawn.take(some)))
