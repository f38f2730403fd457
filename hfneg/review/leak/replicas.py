"""Replicates of a whole ledger: drawn, replayed block by block, and what became of the hidden positives."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import NormalDist

import numpy as np

from hfneg.base.arrays import Ints, Mask, Numbers
from hfneg.base.hashing import mix, uniform
from hfneg.data.anchors import Anchors
from hfneg.errors import NeedsTeacher
from hfneg.pipeline.recipe import Recipe
from hfneg.review.components import components
from hfneg.review.leak.hiding import Against, Donors, Replicates, hide
from hfneg.runs.folder.ledger import KnownPositives
from hfneg.runs.folder.ledger_files import MinedLedger
from hfneg.runs.replay import Replay, Unscored, needs_teacher, replayed_policy
from hfneg.runs.reselect import guard_of, slots_of
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.block.pool import SCORE, TEACHER
from hfneg.steps.short import Keep, Relax

MOST = 50_000
"""Replicates of a kind; of more a sample is drawn."""
CANDIDATES = 500_000
"""Candidates of the replicates that are replayed at once."""
UNDECIDED = 0.1
"""The share of retrieved replicates that may hang on missing teacher scores."""
TRIES = 8
CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
"""Of the scores of two positives of an anchor, between unrelated and alike."""
MINED = (verdicts.SELECTED, verdicts.RELAXED)


@dataclass(frozen=True)
class Outcomes:
    """r replicates of a kind.

    Attributes:
        anchors: int64 [r], the anchors' numbers; `labels` their components.
        retrieved, leaked: bool [r], whether the hidden positive was retrieved, and mined.
        undecided: bool [r], whether that hangs on a teacher score that the ledger does not have.
    """

    anchors: Ints
    labels: Ints
    retrieved: Mask
    leaked: Mask
    undecided: Mask

    def take(self, kept: Mask) -> Outcomes:
        """Some of them."""
        return Outcomes(*(getattr(self, field.name)[kept] for field in dataclasses.fields(self)))


class Hiding:
    """The replicates of a ledger under a policy."""

    def __init__(self, source: MinedLedger, recipe: Recipe, anchors: Anchors, most: int, seed: int) -> None:
        self.source, self.anchors, self.most, self.seed = source, anchors, most, seed
        self.policy = policy = replayed_policy(source, recipe, anchors)
        teacher = policy.teacher
        if teacher is not None and not teacher.asks_positives and any(step.reads_teacher() for step in policy.filters):
            raise NeedsTeacher(
                f"{teacher!r} was not asked about known positives, so how often it would let one through is not known: "
                "mine with positives=True"
            )
        self.known: KnownPositives = source.known_positives
        self.labels = components(self.known.rows)
        short = Keep() if recipe.short.draws else recipe.short
        self.replay = Replay(source, policy, anchors, short=short, same_guard=True)
        slots = slots_of(source)
        self.same_guard = guard_of(source) == policy.guard
        one_list = len(source.names) == 1 and slots.get("deeper") is None
        self.k = int(slots["k"]) if one_list else None
        compared = policy.sampler.compares_with_positive() is not None or policy.promote is not None
        compared |= isinstance(short, Relax) and source.taught
        self.free = not any(step.uses_own_positives for step in policy.filters) and not compared

    def outcomes(self) -> tuple[Outcomes, tuple[Outcomes, ...]]:
        """Of exact replicates; and of those that are not, compared with itself and with donors of each correlation."""
        several = self.known.rows.lengths[self._owners] > 1
        exact = self._run(self._sample(several), "others")
        single = self._sample(~several)
        if self.free:
            return _joined(exact, self._run(single, "donor")), ()
        if not len(single):
            return exact, ()
        return exact, (self._run(single, "itself"), *(self._run(single, "donor", r) for r in CORRELATIONS))

    def negatives(self) -> int:
        """How many the policy mines in all."""
        blocks = (self._with_guard(block.retrieved()) for block in self.source.blocks())
        return sum(int(self.replay.run(block).negatives_per_anchor.sum()) for block in blocks)

    def _sample(self, wanted: Mask) -> Ints:
        """Places of known positives, at most `most` of those that are wanted, by a hash of seed, anchor and row."""
        at = np.flatnonzero(wanted)
        if len(at) <= self.most:
            return at
        hashes = np.asarray(self.anchors.normal_hashes)[self._owners[at]]
        return np.sort(at[np.argsort(mix(self.seed, hashes, self.known.rows.flat[at]), kind="stable")[: self.most]])

    def _run(self, places: Ints, against: Against, correlation: float = 0.0) -> Outcomes:
        """Replay the hiding of the known positives at these places."""
        owners = self._owners[places]
        retrieved, leaked, undecided = np.zeros((3, len(places)), dtype=bool)
        pairs = 0
        for block in self.source.blocks():
            first, last = np.searchsorted(owners, [block.numbers[0], block.numbers[-1] + 1])
            if first == last:
                continue
            block = self._with_guard(block.retrieved())
            at = owners[first:last] - block.numbers[0]
            hidden = places[first:last] - self.known.rows.indptr[block.numbers[0]]
            listed = _Listed(block, len(self.anchors.corpus))
            found = listed(at, block.positives.flat[hidden])
            retrieved[first:last] = found
            for some in _chunks(np.flatnonzero(found), at, block):
                donors = None
                if against == "donor":
                    donors = self._donors(block, listed, at[some], hidden[some], correlation)
                made = hide(self.anchors, block, at[some], hidden[some], self.policy.guard, against, donors, self.k)
                leaked[first + some], lacking, missing = self._replayed(made)
                undecided[first + some[lacking]] = True
                pairs += missing
        if undecided.sum() > UNDECIDED * retrieved.sum():
            short = len(np.unique(owners[undecided]))
            raise needs_teacher(self.source.folder, pairs, short, len(self.source))
        return Outcomes(owners, self.labels[owners], retrieved, leaked, undecided)

    def _replayed(self, made: Replicates) -> tuple[Mask, Ints, int]:
        """(whether each hidden one is mined, which replicates lack teacher scores, how many at least)."""
        try:
            block = self.replay.run(made.block)
        except Unscored:
            lacking, pairs = self.replay.missing(made.block)
            mined = np.zeros(len(made.block.numbers), dtype=bool)
            rest = np.delete(np.arange(len(mined)), lacking)
            if len(rest):
                mined[rest] = self._replayed(made.take(rest))[0]
            return mined, lacking, pairs
        return np.isin(block.verdicts[made.hidden], MINED), np.empty(0, dtype=np.int64), 0

    def _with_guard(self, block: Block) -> Block:
        """The block with this policy's guard's verdicts."""
        if self.same_guard:
            return block
        return self.policy.guard.marked(self.anchors, block)

    def _donors(self, block: Block, listed: _Listed, at: Ints, hidden: Ints, correlation: float) -> Donors:
        """For each replicate a known positive of another anchor that is not among its candidates.

        Its rank among all known positives is drawn given that of the hidden one, by a Gaussian copula.
        """
        known, numbers, rows = self.known, block.numbers[at], block.positives.flat[hidden]
        hashes, owners = np.asarray(self.anchors.normal_hashes[numbers]), self._owners
        own = self._levels[known.rows.indptr[block.numbers[0]] + hidden]
        chosen, open_ = np.zeros(len(at), dtype=np.int64), np.arange(len(at))
        for attempt in range(TRIES):
            drawn = normal_quantile(uniform(self.seed, attempt + 1, hashes[open_], rows[open_]))
            level = correlation * own[open_] + np.sqrt(1 - correlation**2) * drawn
            place = np.floor(normal_share(level) * len(owners)).astype(np.int64)
            chosen[open_] = self._order[np.minimum(place, len(owners) - 1)]
            same = owners[chosen[open_]] == numbers[open_]
            open_ = open_[same | listed(at[open_], known.rows.flat[chosen[open_]])]
        taught = None if known.teacher_scores is None else known.teacher_scores[chosen]
        return Donors(known.rows.flat[chosen], known.scores[chosen], taught)

    @cached_property
    def _owners(self) -> Ints:
        """int64 [p]: the anchor of each known positive."""
        return self.known.rows.owners

    @cached_property
    def _order(self) -> Ints:
        """int64 [p]: places of the known positives, ascending by the score that the policy compares."""
        by = next((by for _, by in self.policy.compared_scores()), TEACHER if self.source.taught else SCORE)
        if by == TEACHER and self.known.teacher_scores is not None:
            scores = self.known.teacher_scores
        else:
            scores = self.known.scores[:, 1 + self.source.names.index(by) if by in self.source.names else 0]
        hashes = np.asarray(self.anchors.normal_hashes)[self._owners]
        return np.lexsort((mix(self.seed, hashes, self.known.rows.flat), scores))

    @cached_property
    def _levels(self) -> Numbers:
        """float64 [p]: the normal score of each known positive's rank in that order."""
        levels = np.empty(len(self._order))
        levels[self._order] = normal_quantile((np.arange(len(levels)) + 0.5) / max(len(levels), 1))
        return levels


def _joined(one: Outcomes, other: Outcomes) -> Outcomes:
    both = ((getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return Outcomes(*(np.concatenate(arrays) for arrays in both))


@cache
def _normal() -> tuple[Numbers, Numbers]:
    """(shares, quantiles) of the standard normal on a grid."""
    shares = np.arange(1, 8192) / 8192
    return shares, np.array([NormalDist().inv_cdf(share) for share in shares.tolist()])


def normal_quantile(shares: Numbers) -> Numbers:
    """The standard normal's quantiles; beyond the grid (1/8192 from either end) that of its end."""
    return np.asarray(np.interp(shares, *_normal()), dtype=np.float64)


def normal_share(levels: Numbers) -> Numbers:
    """The standard normal's distribution function, to the same precision."""
    return np.asarray(np.interp(levels, *_normal()[::-1]), dtype=np.float64)


class _Listed:
    """Which documents are among the candidates of which anchors of a block."""

    def __init__(self, block: Block, documents: int) -> None:
        self._wide = documents
        self._keys = np.sort(block.owners * documents + block.rows)

    def __call__(self, at: Ints, rows: Ints) -> Mask:
        """bool: for each position of an anchor and row of the corpus."""
        if not len(self._keys):
            return np.zeros(len(at), dtype=bool)
        wanted = at * self._wide + rows
        found: Mask = self._keys[np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)] == wanted
        return found


def _chunks(some: Ints, at: Ints, block: Block) -> Iterator[Ints]:
    """Replicates in chunks of at most CANDIDATES candidates, or of one replicate."""
    ends = np.cumsum(np.diff(block.indptr)[at[some]])
    start = 0
    while start < len(some):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CANDIDATES, "right")))
        yield some[start:stop]
        start = stop
