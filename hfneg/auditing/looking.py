"""The second pass: near-duplicates, which need the texts themselves, and the texts of a few rows to show.

A batch at a time; a negative is compared with all positives of its anchor, also those of other rows, which
lie in the scratch file of the first pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.auditing import checks
from hfneg.auditing.facts import Facts, among, byte_lengths
from hfneg.batches import Lists, offsets
from hfneg.data import tables
from hfneg.data.layouts import Layout
from hfneg.data.resolving import untitled as untitled_texts
from hfneg.data.tables import Batch
from hfneg.errors import InputError
from hfneg.near import near_duplicates

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
SHOWN = 5
BLOCK = 50_000


@dataclass(frozen=True)
class RowTexts:
    """The texts of one row."""

    anchor: str
    positives: list[str]
    negatives: list[str]


@dataclass(frozen=True)
class Known:
    """Every positive of every anchor once: `keys` ascend (see `Facts.keys`), `places` are positions in `texts`."""

    keys: Rows
    places: Rows
    lengths: Rows

    @classmethod
    def of(cls, facts: Facts) -> Known:
        owners = facts.positives.owners
        good = np.flatnonzero(~facts.empty_positive & ~facts.empty_anchor[owners])
        keys, first = np.unique(facts.keys(facts.anchors[owners], facts.positives.flat)[good], return_index=True)
        return cls(keys, facts.places[good[first]], facts.positive_lengths[good[first]].astype(np.int64))

    def untitled(self, facts: Facts) -> Rows:
        """`Facts.keys` of the positives without their first line, where the dataset has such a text; ascending."""
        places, place = np.unique(self.places, return_inverse=True)
        numbers = np.full(len(places), -1, dtype=np.int64)
        for start in range(0, len(places), BLOCK):
            numbers[start : start + BLOCK] = _without_title(
                facts.texts.take(pa.array(places[start : start + BLOCK])), facts
            )
        found = numbers[place.reshape(-1)]
        anchors = self.keys // len(facts.numbering)
        return np.unique(facts.keys(anchors, found)[found >= 0])

    def of_anchors(self, facts: Facts, anchors: Rows) -> tuple[Rows, Rows]:
        """(first, last + 1) of each anchor's positives."""
        start, end = (np.searchsorted(self.keys, facts.keys(anchors + more, 0)) for more in (0, 1))
        return start.astype(np.int64), end.astype(np.int64)


@dataclass
class Look:
    """One look at every row. `wanted`: rows (ascending) whose texts are kept; `share`: None for no near-duplicates."""

    layout: Layout
    facts: Facts
    wanted: Rows
    share: float | None
    kept: dict[int, RowTexts] = field(default_factory=dict)
    shown: Counter[str] = field(default_factory=Counter)

    def at(self, every: Iterable[pa.Table]) -> None:
        """Fill the facts' near masks and `kept`. Raises InputError where the rows are not those of the first pass."""
        facts, row = self.facts, 0
        known = Known.of(facts)
        exact = checks.positive_as_negative(facts) | checks.same_as_anchor(facts) | facts.empty_negative
        untitled = known.untitled(facts)
        asked = ~(exact | facts.empty_anchor[facts.owners()])
        for table in every:
            batch = tables.read(table, self.layout)
            self._check_same(batch, row)
            span = slice(*facts.negatives.indptr[[row, row + len(batch.anchors)]])
            if self.share is not None:
                own, near = _near(batch, row, facts, known, asked[span], self.share)
                facts.near_anchor[span], facts.near_positive[span] = own, near
                self._keep(batch, row, self._new("anchor", batch, own))
                self._keep(batch, row, self._new("positive", batch, near))
            facts.titled[span] = _titled(batch, row, facts, known, untitled) & ~exact[span]
            self._keep(batch, row, self._new("titled", batch, facts.titled[span]))
            low, high = np.searchsorted(self.wanted, [row, row + len(batch.anchors)])
            self._keep(batch, row, self.wanted[low:high] - row)
            row += len(batch.anchors)

    def _check_same(self, batch: Batch, row: int) -> None:
        facts, end = self.facts, row + len(batch.anchors)
        same = end <= facts.rows and np.array_equal(
            np.diff(facts.negatives.indptr[row : end + 1]), batch.negatives.lengths
        )
        if same:
            numbers = facts.numbering.of_texts(batch.anchors.fill_null("").to_pylist())
            same = np.array_equal(numbers, facts.anchors[row:end])
        if not same:
            raise InputError(
                f"the stream gave other rows (from row {row} on) when it was read a second time; audit reads it more "
                "than once: give it a fixed order (no shuffle without a seed), or make a Dataset of it"
            )

    def _new(self, kind: str, batch: Batch, found: Mask) -> Rows:
        """The first rows with a find of a kind, until enough to show are kept."""
        rows = np.unique(batch.negatives.owners[found])[: SHOWN - self.shown[kind]]
        self.shown[kind] += len(rows)
        return rows

    def _keep(self, batch: Batch, row: int, inside: Rows) -> None:
        for i in inside.tolist():
            self.kept[row + i] = RowTexts(
                batch.anchors[i].as_py() or "", *(_texts(lists[i]) for lists in (batch.positives, batch.negatives))
            )


def _texts(values: pa.Array) -> list[str]:
    return [text or "" for text in values.to_pylist()]


def _near(batch: Batch, row: int, facts: Facts, known: Known, asked: Mask, share: float) -> tuple[Mask, Mask]:
    """(near the anchor's own text, near a positive of the anchor): bool [negatives of the batch] each."""
    numbers, first, local = np.unique(
        facts.anchors[row : row + len(batch.anchors)], return_index=True, return_inverse=True
    )
    start, end = known.of_anchors(facts, numbers.astype(np.int64))
    targets = Lists.gather(np.arange(len(known.keys)), start, end)
    owners = np.concatenate([targets.owners, np.arange(len(numbers))])
    is_own = np.arange(len(owners)) >= len(targets.flat)
    anchors = batch.anchors.fill_null("").take(pa.array(first))
    target_lengths = np.concatenate([known.lengths[targets.flat], byte_lengths(anchors)])
    negative_owners, lengths = local[batch.negatives.owners], byte_lengths(batch.negatives.flat).astype(np.int64)
    ours = np.flatnonzero(asked & _fits(negative_owners, lengths, owners, target_lengths, share))
    theirs = np.flatnonzero(_fits(owners, target_lengths, negative_owners[ours], lengths[ours], share))
    ours = ours[np.argsort(negative_owners[ours], kind="stable")]
    theirs = theirs[np.argsort(owners[theirs], kind="stable")]
    positives = theirs[~is_own[theirs]]
    texts = [
        batch.negatives.flat.take(pa.array(ours)),
        facts.texts.take(pa.array(known.places[targets.flat[positives]])),
    ]
    place = np.empty(len(theirs), dtype=np.int64)
    place[~is_own[theirs]] = len(ours) + np.arange(len(positives))
    place[is_own[theirs]] = len(ours) + len(positives) + theirs[is_own[theirs]] - len(targets.flat)
    left = _lists(negative_owners[ours], np.arange(len(ours)), len(numbers))
    right = _lists(owners[theirs], place, len(numbers))
    i, j = near_duplicates(pa.concat_arrays([*texts, anchors]), left, right, share)
    own, near = np.zeros(len(asked), dtype=bool), np.zeros(len(asked), dtype=bool)
    own[ours[i[is_own[theirs[j]]]]] = True
    near[ours[i[~is_own[theirs[j]]]]] = True
    return own, near


def _without_title(texts: pa.Array, facts: Facts) -> Rows:
    """int64: the number of each text without its first line; -1 for none, or where the dataset has no such text."""
    rest = untitled_texts(texts)
    found = np.full(len(texts), -1, dtype=np.int64)
    there = np.flatnonzero(rest.is_valid().to_numpy(zero_copy_only=False))
    if len(there):
        coded = rest.take(pa.array(there)).dictionary_encode()
        found[there] = facts.numbering.of_texts(coded.dictionary.to_pylist())[coded.indices.to_numpy()]
    return found


def _titled(batch: Batch, row: int, facts: Facts, known: Known, untitled: Rows) -> Mask:
    """bool [negatives of the batch]: a positive of the same anchor, but that one of the two has a title before it."""
    anchors = facts.anchors[row : row + len(batch.anchors)][batch.negatives.owners]
    own = facts.negatives.flat[facts.negatives.indptr[row] : facts.negatives.indptr[row + len(batch.anchors)]]
    found = among(facts.keys(anchors, own), untitled)
    numbers = _without_title(batch.negatives.flat, facts)
    bare = numbers >= 0
    found[bare] |= among(facts.keys(anchors[bare], numbers[bare]), known.keys)
    return found


def _lists(owners: Rows, values: Rows, n: int) -> Lists:
    return Lists(offsets(np.bincount(owners, minlength=n)), values)


def _fits(owners: Rows, lengths: Rows, other_owners: Rows, others: Rows, share: float) -> Mask:
    """Whether some other text of the same owner has a length within `share` of this one's, or a byte beyond."""
    wide = int(max(lengths.max(initial=1), others.max(initial=1)) / share) + 3
    keys = np.sort(other_owners * wide + others)
    low = owners * wide + np.floor(lengths * share).astype(np.int64)
    high = owners * wide + np.ceil(lengths / share).astype(np.int64) + 1
    fits: Mask = np.searchsorted(keys, low, "left") < np.searchsorted(keys, high, "left")
    return fits
