"""Scores of (anchor, document) pairs as a policy asks for them, and `TeacherScorer`, which asks a teacher.

Each pair is asked about once in its life: what the score store has is read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
import pyarrow.compute as pc

from hfneg.base import progress
from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import Halves, Hashes
from hfneg.base.scrubbing import scrub
from hfneg.base.store.claims import Claim, Claims
from hfneg.base.store.scores import ScoreStore, pair_keys
from hfneg.data.anchors import Anchors
from hfneg.steps.block.block import Block
from hfneg.steps.flat_scores import Watch
from hfneg.steps.teachers.base import Positions, Scores, Teacher

BLOCK = 2_048
"""Pairs scored and committed together, cut from the pairs in order of length."""

PAIRS = 1 << 17
"""Pairs looked up and sorted at once, so that memory grows by a score a pair, however many are asked for."""

KEEP_EVERY = 10.0
"""Seconds after which answers are committed that do not depend on the rest of their block."""

SAMPLE = 10_000
"""Known positives whose scores stand for those of all."""


class Scorer(Protocol):
    """What a policy asks."""

    def opened(self, block: Block) -> Block:
        """With scores of the known positives; of the candidates none yet. As it is where they are there."""

    def examined(self, block: Block, wanted: Mask) -> Block:
        """With scores of these candidates (bool [m]) of an opened block."""

    def score(self, numbers: Ints, rows: Ints) -> Scores:
        """float32 [n], scaled: of anchor ``numbers[i]`` and document ``rows[i]``."""

    def known_positives(self, member: int | None = None) -> Scores:
        """Scaled scores of known positives, by the teacher or one member of it: what quantiles are taken of."""


class TeacherScorer:
    """Scaled scores of a teacher, from the score store where they are, else from the teacher.

    The missing pairs of a call are sorted by length and cut into blocks; a block is scored whole and committed
    whole. A run that was killed finds its committed blocks, and what is missing then are just the other blocks:
    the same batches come out, and with them the same bits. Between calls with other pairs a score agrees to 1e-5.

    A block is claimed while it is scored (`hfneg.base.store.claims`), so that of several processes each pair is asked
    about by one. A process takes the blocks first in which nobody else is at a pair; then what others leave free of the
    rest; then it waits for their scores. No lock is held while a teacher computes but that of its own claim.

    Attributes:
        asked: pairs that the teacher was asked about by this object.
        stored: pairs that the store answered.
        spared: pairs about which a later member need not be asked.
    """

    def __init__(self, anchors: Anchors, teacher: Teacher) -> None:
        self.anchors, self.teacher = anchors, teacher
        self.asked = self.stored = self.spared = 0

    @property
    def calls(self) -> Ints:
        """int64 [3]: `asked`, `stored` and `spared` so far."""
        return np.array([self.asked, self.stored, self.spared], dtype=np.int64)

    @cached_property
    def _members(self) -> list[tuple[Teacher, ScoreStore]]:
        return [(member, ScoreStore(member.digest, scrub(repr(member))[:200])) for member in self.teacher.members]

    @cached_property
    def _watches(self) -> list[Watch]:
        return [Watch(member) for member in self.teacher.members]

    def opened(self, block: Block) -> Block:
        if block.teacher_scores is not None:
            return block
        if not self.teacher.asks_positives:
            none = np.full(len(block.positives.flat), np.nan, dtype=np.float32)
            return unscored(block, none, [none] * len(self._members))
        members = self.member_scores(block.numbers[block.positives.owners], block.positives.flat)
        return unscored(block, self.teacher.combine(members), members)

    def examined(self, block: Block, wanted: Mask) -> Block:
        members = self.member_scores(block.numbers[block.owners[wanted]], block.rows[wanted])
        for watch in self._watches:
            watch.say()
        return scored(block, wanted, self.teacher.combine(members), members)

    def score(self, numbers: Ints, rows: Ints) -> Scores:
        return self.teacher.combine(self.member_scores(numbers, rows))

    def known_positives(self, member: int | None = None) -> Scores:
        return self.teacher.combine(self._known_positives) if member is None else self._known_positives[member]

    @cached_property
    def _known_positives(self) -> list[Scores]:
        """One array per member.

        Of all (anchor, positive) pairs, or, where there are more than SAMPLE, of those of the anchors with the lowest
        hashes: the same pairs in every process, batch and order.
        """
        order = np.argsort(np.asarray(self.anchors.normal_hashes), kind="stable")[:SAMPLE]
        positives = self.anchors.positives(order)
        numbers, rows = order[positives.owners][:SAMPLE], positives.flat[:SAMPLE]
        return self.member_scores(numbers, rows)

    def member_scores(self, numbers: Ints, rows: Ints) -> list[Scores]:
        """As `score`, one array per member of the teacher, in the order of `Teacher.members`."""
        starts = range(0, max(len(numbers), 1), PAIRS)
        parts = [self._members_of(numbers[start : start + PAIRS], rows[start : start + PAIRS]) for start in starts]
        return [np.concatenate(scores) for scores in zip(*parts, strict=True)]

    def _members_of(self, numbers: Ints, rows: Ints) -> list[Scores]:
        keys = pair_keys(
            np.asarray(self.anchors.text_hashes[numbers]), np.asarray(self.anchors.corpus.text_hashes[rows])
        )
        scaled: list[Scores] = []
        for (member, kept), watch in zip(self._members, self._watches, strict=True):
            wanted = self.teacher.wanted(scaled)
            at = np.arange(len(keys)) if wanted is None else np.flatnonzero(wanted)
            self.spared += len(keys) - len(at)
            raw = kept.get(keys[at])
            missing = at[np.isnan(raw)]
            self.stored += len(at) - len(missing)
            if len(missing):
                self._ask(member, kept, keys[missing], numbers[missing], rows[missing])
                raw = kept.get(keys[at])  # read back: another process may have been first, and the first one counts
            scaled.append(np.full(len(keys), np.nan, dtype=np.float32))
            scaled[-1][at] = member.scaled(raw)
            watch.see(raw, scaled[-1][at])
        return scaled

    def _ask(self, teacher: Teacher, kept: ScoreStore, keys: Hashes, numbers: Ints, rows: Ints) -> None:
        """Have pairs scored, here block by block or by other processes that are at them already."""
        _, first = np.unique(keys, return_index=True)
        keys, numbers, rows = keys[first], numbers[first], rows[first]
        agenda = _Agenda(keys, self._by_length(keys, numbers, rows), kept)
        while len(agenda):
            if (taken := agenda.take()) is None:
                agenda.wait()
                continue
            at, claim = taken
            with claim:
                self._score_block(teacher, kept, keys[at], numbers[at], rows[at], claim)
        self.asked += agenda.taken
        self.stored += len(keys) - agenda.taken

    def _by_length(self, keys: Hashes, numbers: Ints, rows: Ints) -> Positions:
        """The order in which pairs are scored: the longest first."""
        anchors, corpus = self.anchors, self.anchors.corpus
        distinct, places = np.unique(numbers, return_inverse=True)
        of_anchors = pc.utf8_length(anchors.texts(distinct)).to_numpy()[places]
        lengths = corpus.sizes(rows) + of_anchors
        order: Positions = np.lexsort((keys["low"], keys["high"], -lengths))
        return order

    def _score_block(
        self, teacher: Teacher, kept: ScoreStore, keys: Hashes, numbers: Ints, rows: Ints, claim: Claim
    ) -> None:
        """Score pairs, and commit them when all are there (or what there is of them, on an error)."""
        block = _Block(keys, kept, claim, KEEP_EVERY if teacher.alone else np.inf)
        try:
            teacher.score(
                self.anchors.texts(numbers).to_pylist(),
                self.anchors.corpus.texts(rows).to_pylist(),
                on_scored=block,
                expected=kept.teacher_digest,
            )
        finally:
            block.commit()


def unscored(block: Block, positives: Scores, members: Sequence[Scores]) -> Block:
    """With a teacher's scores of the known positives, and those of its members where there are several."""
    none = np.full(len(block), np.nan, dtype=np.float32)
    return block.learned(
        positive_teacher_scores=positives,
        teacher_scores=none,
        positive_member_scores=np.stack(members, axis=1) if len(members) > 1 else None,
        member_scores=np.tile(none[:, None], len(members)) if len(members) > 1 else None,
    )


def scored(block: Block, wanted: Mask, scores: Scores, members: Sequence[Scores]) -> Block:
    """With scores of these candidates (bool [m]) of an opened block."""
    assert block.teacher_scores is not None
    values, of_members = block.teacher_scores.copy(), block.member_scores
    values[wanted] = scores
    if of_members is not None:
        of_members = of_members.copy()
        of_members[wanted] = np.stack(members, axis=1)
    return block.learned(teacher_scores=values, member_scores=of_members)


class _Agenda:
    """The pairs of a call that have no score yet, in blocks; of these, one after another, what is free now.

    Attributes:
        taken: how many pairs were given out.
    """

    def __init__(self, keys: Hashes, order: Positions, kept: ScoreStore) -> None:
        self._keys, self._kept, self._claims = keys, kept, Claims(kept.teacher_digest)
        self._blocks = _cut(order)
        self.taken = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def take(self) -> tuple[Positions, Claim] | None:
        """Positions of pairs to score, claimed; None where others are at all that is left, or nothing is."""
        with self._claims.one_at_a_time():
            # Claims before the store: who ends a claim has committed its scores.
            others = self._claims.others()
            at = self._whole(others)
            if at is None:
                at = self._remnant(others)
            if at is None:
                return None
            self.taken += len(at)
            return at, self._claims.make(self._keys[at])

    def wait(self) -> None:
        if self._blocks:
            self._claims.wait()

    def _whole(self, others: Halves) -> Positions | None:
        """The first block of which nobody else has claimed a pair, without what has a score by now."""
        for block in list(self._blocks):
            if not self._among(others, block).any():
                self._blocks = [other for other in self._blocks if other is not block]
                if len(missing := self._missing(block)):
                    return missing
        return None

    def _remnant(self, others: Halves) -> Positions | None:
        """Up to a block of free pairs, from all that is left; the pairs of others stay for later."""
        if not self._blocks:
            return None
        left = self._missing(np.concatenate(self._blocks))
        claimed = self._among(others, left)
        free = left[~claimed]
        self._blocks = _cut(np.concatenate([free[BLOCK:], left[claimed]]))
        return free[:BLOCK] if len(free) else None

    def _missing(self, positions: Positions) -> Positions:
        return positions[np.isnan(self._kept.get(self._keys[positions]))]

    def _among(self, others: Halves, positions: Positions) -> Mask:
        """bool: somebody else is at the pair. A half of its hash tells: that of another pair makes it wait in vain."""
        return np.isin(self._keys["high"][positions], others)


def _cut(order: Positions) -> list[Positions]:
    return [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]


class _Block:
    """Collects what a teacher has scored of a block, so that an error in its middle loses nothing.

    After `patience` seconds what has come so far is committed, so that a kill loses no more than that.
    """

    def __init__(self, keys: Hashes, kept: ScoreStore, claim: Claim, patience: float) -> None:
        self._keys, self._kept, self._claim, self._patience = keys, kept, claim, patience
        self._scores = np.full(len(keys), np.nan, dtype=np.float32)
        self._committed = time.monotonic()

    def __call__(self, positions: Positions, scores: Scores) -> None:
        self._scores[positions] = scores
        progress.scored(len(scores))
        self._claim.alive()
        if time.monotonic() - self._committed > self._patience:
            self.commit()

    def commit(self) -> None:
        done = ~np.isnan(self._scores)
        if done.any():
            self._kept.put(self._keys[done], self._scores[done])
            self._scores[done] = np.nan
        self._committed = time.monotonic()
