"""`Block`: some anchors, their candidates, and all that is known and decided of each, from the search to the ledger.

The list of an anchor holds what was retrieved, in rank order and before any removal: known positives, the anchor's own
text and repeats are still in it. So the rank of a candidate is its position + 1.

Every phase of mining takes a block and gives one: the search finds candidates, the guard marks leaks, the policy
decides (`hfneg.pipeline.policy`), a deeper search and what the recipe says of short anchors make lists longer and
decide what is new, the ledger keeps it. A block is not changed; what a phase has learned stands in its successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Codes, Floats, Ints, Mask
from hfneg.base.lists import Lists, offsets
from hfneg.data.anchors import Anchors
from hfneg.steps.block import verdicts

BLANK: dict[str, Any] = {"closed": False, "teacher_scores": np.nan, "member_scores": np.nan}
"""What stands in a candidate's place in an array that was made before it was found."""


ANCHOR, POSITIVE, CANDIDATE = ({"each": what} for what in ("anchor", "positive", "candidate"))
"""Of a field: it has one element for each of these. `Block.take` and its like go by that."""


@dataclass(frozen=True, eq=False)
class Block:
    """m candidates of n anchors from S sources; p known positives in all, T teachers.

    Attributes:
        names: the sources, S of them; bit i of `sources` means ``names[i]``.
        indptr: int64 [n + 1]; anchor i's candidates are ``indptr[i] .. indptr[i + 1] - 1``.
        positives: rows of the corpus: each anchor's known positives, ascending. Usually all that `Anchors` knows; fewer
            or others where one is hidden.
        numbers: int64 [n], the anchors.
        first: int64 [n], how many of each list the first search has found; what a deeper search adds stands behind
            them.
        positive_scores: float32 [p, 1 + S]: the ranking score, then each source's; NaN where a source cannot score.
        deeper_positive_scores: the same in the lists of the deeper search; NaN where there was none. None: nowhere.
        positive_teacher_scores: float32 [p], scaled; None where no teacher was asked.
        positive_member_scores: float32 [p, T], each member's of an ensemble; None without one.
        rows: int64 [m], rows of the corpus.
        scores: float32 [m], what ranks them: the source's score, or the fused one.
        sources: uint8 [m], bit mask; 0 where no source has retrieved it.
        source_scores: float32 [m, S]; NaN where the source did not retrieve it.
        source_ranks: int32 [m, S], from 1; 0 where the source did not retrieve it.
        verdicts: uint8 [m], codes of `hfneg.steps.block.verdicts`; SPARE where nothing is decided.
        turns: int64 [m], the place of a candidate among its anchor's negatives, from 0; -1 where it is none. A ledger
            does not keep them.
        closed: bool [m], documents that are kept for other anchors, see `hfneg.steps.filters.hubs`; None: unknown.
        teacher_scores: float32 [m], scaled; NaN where the teacher has not been asked. None without one.
        member_scores: float32 [m, T], as `positive_member_scores`.
    """

    names: tuple[str, ...]
    indptr: Ints
    positives: Lists
    numbers: Ints = field(metadata=ANCHOR)
    first: Ints = field(metadata=ANCHOR)
    positive_scores: Floats = field(metadata=POSITIVE)
    rows: Ints = field(metadata=CANDIDATE)
    scores: Floats = field(metadata=CANDIDATE)
    sources: Codes = field(metadata=CANDIDATE)
    source_scores: Floats = field(metadata=CANDIDATE)
    source_ranks: npt.NDArray[np.int32] = field(metadata=CANDIDATE)
    verdicts: Codes = field(metadata=CANDIDATE)
    turns: Ints = field(metadata=CANDIDATE)
    deeper_positive_scores: Floats | None = field(default=None, metadata=POSITIVE)
    positive_teacher_scores: Floats | None = field(default=None, metadata=POSITIVE)
    positive_member_scores: Floats | None = field(default=None, metadata=POSITIVE)
    closed: Mask | None = field(default=None, metadata=CANDIDATE)
    teacher_scores: Floats | None = field(default=None, metadata=CANDIDATE)
    member_scores: Floats | None = field(default=None, metadata=CANDIDATE)

    @classmethod
    def found(cls, *, rows: Ints, indptr: Ints, **known: Any) -> Block:
        """Candidates of which nothing is decided; all of the first search unless said."""
        spare, none = np.full(len(rows), verdicts.SPARE, dtype=np.uint8), np.full(len(rows), -1, dtype=np.int64)
        return cls(**{"first": np.diff(indptr), **known}, rows=rows, indptr=indptr, verdicts=spare, turns=none)

    def __len__(self) -> int:
        """How many candidates."""
        return len(self.rows)

    @cached_property
    def owners(self) -> Ints:
        """int64 [m]: position (not number) of each candidate's anchor in this block."""
        return np.repeat(np.arange(len(self.numbers)), np.diff(self.indptr))

    @cached_property
    def ranks(self) -> Ints:
        """int64 [m], from 1: place in the retrieved (or fused) list, before any removal."""
        return np.arange(len(self.rows)) - np.repeat(self.indptr[:-1], np.diff(self.indptr)) + 1

    @cached_property
    def appended(self) -> Mask:
        """bool [m]: not of the first search."""
        appended: Mask = self.ranks > self.first[self.owners]
        return appended

    @cached_property
    def is_positive(self) -> Mask:
        """bool [m]: a known positive of its anchor."""
        return is_in(self.positives, self.owners, self.rows)

    def is_given(self, anchors: Anchors) -> Mask:
        """bool [m]: a given negative of its anchor."""
        if not anchors.given:
            return np.zeros(len(self), dtype=bool)
        given, wide = anchors.negatives(self.numbers), len(anchors.corpus)
        met: Mask = np.isin(self.owners * wide + self.rows, given.owners * wide + given.flat)
        return met

    # Parts and longer lists.

    def take(self, at: Ints) -> Block:
        """The anchors at these positions (0 .. n-1), in this order; one may come several times."""
        lists, own = Lists(self.indptr, self.rows).places.take(at), self.positives.places.take(at)
        return replace(
            self,
            indptr=lists.indptr,
            positives=Lists(own.indptr, self.positives.flat[own.flat]),
            **{name: values[at] for name, values in self._of("anchor").items()},
            **{name: values[own.flat] for name, values in self._of("positive").items()},
            **{name: values[lists.flat] for name, values in self._of("candidate").items()},
        )

    def only(self, kept: Mask) -> Block:
        """The candidates that are kept (bool [m])."""
        n = len(self.numbers)
        return replace(
            self,
            indptr=offsets(np.bincount(self.owners[kept], minlength=n)),
            first=np.bincount(self.owners[kept & ~self.appended], minlength=n),
            **{name: values[kept] for name, values in self._of("candidate").items()},
        )

    def knowing(self, kept: Mask) -> Block:
        """With those of the known positives only (bool [p]), at least one for each anchor."""
        lengths = np.bincount(self.positives.owners[kept], minlength=len(self.numbers))
        return replace(
            self,
            positives=Lists(offsets(lengths), self.positives.flat[kept]),
            **{name: values[kept] for name, values in self._of("positive").items()},
        )

    def retrieved(self) -> Block:
        """Without the documents that were drawn at random for anchors that were short."""
        random = self.verdicts == verdicts.FILLED
        return self.only(~random) if random.any() else self

    def extended(self, more: Block) -> Block:
        """Behind each list what `more`, of the same anchors, has and this has not, in the order of `more`."""
        wide = int(max(self.rows.max(initial=0), more.rows.max(initial=0))) + 1
        new = ~np.isin(more.owners * wide + more.rows, self.owners * wide + self.rows)
        order = np.argsort(np.concatenate([self.owners, more.owners[new]]), kind="stable")
        theirs = more._of("candidate")

        def joined(name: str, values: Any) -> Any:
            if name not in theirs:
                theirs[name] = np.full((len(more), *values.shape[1:]), BLANK[name], dtype=values.dtype)
            return np.concatenate([values, theirs[name][new]])[order]

        return replace(
            self,
            indptr=offsets(np.diff(self.indptr) + np.bincount(more.owners[new], minlength=len(self.numbers))),
            **{name: joined(name, values) for name, values in self._of("candidate").items()},
        )

    def replaced(self, pieces: Sequence[tuple[Ints, Block]]) -> Block:
        """With the lists of some anchors (their positions) replaced by longer ones, and what goes with them."""
        starts, ends, base = self.indptr[:-1].copy(), self.indptr[1:].copy(), int(self.indptr[-1])
        for at, piece in pieces:
            starts[at], ends[at] = base + piece.indptr[:-1], base + piece.indptr[1:]
            base += int(piece.indptr[-1])
        lists = Lists.gather(np.arange(base), starts, ends)
        parts = [piece._of("candidate") for _, piece in pieces]
        flat = {
            name: np.concatenate([values, *(part[name] for part in parts)])[lists.flat]
            for name, values in self._of("candidate").items()
        }
        known = {name: values.copy() for name, values in self._of("positive").items()}
        for at, piece in pieces:
            own = self.positives.places.take(at).flat
            for name, values in piece._of("positive").items():
                if name not in known:
                    known[name] = np.full((len(self.positives.flat), *values.shape[1:]), np.nan, dtype=values.dtype)
                known[name][own] = values
        return replace(self, indptr=lists.indptr, **known, **flat)

    def _of(self, what: str) -> dict[str, Any]:
        """The arrays that are there with one element per anchor, positive or candidate."""
        return {name: values for name in EACH[what] if (values := getattr(self, name)) is not None}

    # What is decided.

    @property
    def spare(self) -> Mask:
        """bool [m]: not decided yet."""
        spare: Mask = self.verdicts == verdicts.SPARE
        return spare

    @cached_property
    def negatives_per_anchor(self) -> Ints:
        """int64 [n]: how many negatives each anchor has."""
        return np.bincount(self.owners[self.turns >= 0], minlength=len(self.numbers))

    def missing(self, n: int) -> Ints:
        """int64 [n anchors]: how many more negatives it takes to have n."""
        return np.maximum(n - self.negatives_per_anchor, 0)

    def short(self, n: int) -> Ints:
        """Positions of the anchors with fewer than n negatives."""
        return np.flatnonzero(self.missing(n) > 0)

    def learned(self, **arrays: Any) -> Block:
        """With more known, or decided, of the same candidates."""
        successor = replace(self, **arrays)
        successor.__dict__.update({name: self.__dict__[name] for name in LASTING if name in self.__dict__})
        return successor

    def decided(self, these: Mask, verdict: int) -> Block:
        """With this verdict on these candidates."""
        return self.learned(verdicts=np.where(these, np.uint8(verdict), self.verdicts))

    def taking(self, among: Mask, order: Any, n: int, verdict: int) -> Block:
        """With the first of these candidates by `order`, then by rank, until the anchor has n negatives."""
        found = self.negatives_per_anchor
        taken = np.flatnonzero(self.first_of(among, order, np.maximum(n - found, 0)))
        taken = taken[np.lexsort((self.ranks[taken], order[taken], self.owners[taken]))]
        counts = np.bincount(self.owners[taken], minlength=len(found))
        turns, codes = self.turns.copy(), self.verdicts.copy()
        turns[taken] = np.arange(len(taken)) + np.repeat(found - offsets(counts)[:-1], counts)
        codes[taken] = verdict
        return self.learned(turns=turns, verdicts=codes)

    def first_of(self, kept: Mask, order: Any, n: int | Ints) -> Mask:
        """bool [m]: of the kept candidates of each anchor the n that come first by `order`, then by rank.

        `n` is one number, or one per anchor ([n]).
        """
        most = np.broadcast_to(np.asarray(n), len(self.numbers))
        at = np.flatnonzero(kept & (most > 0)[self.owners])
        at = at[np.lexsort((np.asarray(order)[at], self.owners[at]))]  # stable: of equal ones the first in rank
        owners = self.owners[at]
        place = np.arange(len(at)) - np.searchsorted(owners, owners)
        taken = np.zeros(len(self), dtype=bool)
        taken[at[place < most[owners]]] = True
        return taken

    def undecided(self) -> Block:
        """As the guard has left it: no teacher was asked, no negative taken."""
        guarded = np.isin(self.verdicts, verdicts.GUARDED)
        return self.learned(
            verdicts=np.where(guarded, self.verdicts, np.uint8(verdicts.SPARE)),
            turns=np.full(len(self), -1, dtype=np.int64),
            positive_teacher_scores=None,
            positive_member_scores=None,
            teacher_scores=None,
            member_scores=None,
        )


LASTING = ("owners", "ranks", "appended", "is_positive")
"""What is worked out once for a block and its successors with the same candidates and known positives."""

EACH: dict[str, list[str]] = {
    what: [one.name for one in fields(Block) if one.metadata.get("each") == what]
    for what in ("anchor", "positive", "candidate")
}
"""The names of the arrays with one element per anchor, positive and candidate."""


def unretrieved(block: Block, owners: Ints, rows: Ints, scores: Floats | None = None) -> Block:
    """Documents as candidates of the same anchors (owners ascending) that no source has retrieved."""
    m, s = len(rows), len(block.names)
    return Block.found(
        names=block.names,
        indptr=offsets(np.bincount(owners, minlength=len(block.numbers))),
        positives=block.positives,
        numbers=block.numbers,
        positive_scores=block.positive_scores,
        positive_teacher_scores=block.positive_teacher_scores,
        positive_member_scores=block.positive_member_scores,
        rows=rows,
        scores=np.zeros(m, dtype=np.float32) if scores is None else scores,
        sources=np.zeros(m, dtype=np.uint8),
        source_scores=np.full((m, s), np.nan, dtype=np.float32),
        source_ranks=np.zeros((m, s), dtype=np.int32),
    )


def is_in(lists: Lists, owners: Ints, rows: Ints) -> Mask:
    """bool, shape of `rows`: whether the row is in its owner's list; lists ascend, and none is missing."""
    wide = int(max(rows.max(initial=0), lists.flat.max(initial=0))) + 1
    known = lists.owners * wide + lists.flat  # ascending: owners ascend, rows ascend within an owner
    wanted = owners * wide + rows
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    met: Mask = known[at] == wanted
    return met
