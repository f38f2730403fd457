"""The second pass: near-duplicates, which need the texts themselves, and the texts of a few rows to show.

A batch at a time; a negative is compared with all positives of its anchor, also those of other rows, which
lie in the scratch file of the first pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from hfneg.base.arrays import Ints, Mask
from hfneg.base.lists import Lists, offsets
from hfneg.data.layouts import Layout, tables
from hfneg.data.layouts.tables import TableBatch
from hfneg.data.near_duplicates import LEAST, Sampled
from hfneg.data.resolving import untitled as untitled_texts
from hfneg.errors import InputError
from hfneg.review.audit import checks
from hfneg.review.audit.facts import Facts, among, byte_lengths

SHOWN = 5
BLOCK = 50_000


@dataclass(frozen=True)
class RowTexts:
    """The texts of one row."""

    anchor: str
    positives: list[str]
    negatives: list[str]


@dataclass(frozen=True)
class KnownTexts:
    """Every positive of every anchor once: `keys` ascend (see `Facts.keys`), `places` are positions in `texts`."""

    keys: Ints
    places: Ints
    lengths: Ints

    @classmethod
    def of(cls, facts: Facts) -> KnownTexts:
        owners = facts.positives.owners
        good = np.flatnonzero(~facts.empty_positive & ~facts.empty_anchor[owners])
        keys, first = np.unique(facts.keys(facts.anchors[owners], facts.positives.flat)[good], return_index=True)
        return cls(keys, facts.places[good[first]], facts.positive_lengths[good[first]].astype(np.int64))

    def untitled(self, facts: Facts) -> Ints:
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

    def of_anchors(self, facts: Facts, anchors: Ints) -> tuple[Ints, Ints]:
        """(first, last + 1) of each anchor's positives."""
        start, end = (np.searchsorted(self.keys, facts.keys(anchors + more, 0)) for more in (0, 1))
        return start.astype(np.int64), end.astype(np.int64)


@dataclass
class Look:
    """One look at every row. `wanted`: rows (ascending) whose texts are kept; `share`, `contained`: as in `Guard`."""

    layout: Layout
    facts: Facts
    wanted: Ints
    share: float | None
    contained: float | None
    kept: dict[int, RowTexts] = field(default_factory=dict)
    shown: Counter[str] = field(default_factory=Counter)

    def at(self, every: Iterable[pa.Table]) -> None:
        """Fill the facts' near masks and `kept`. Raises InputError where the rows are not those of the first pass."""
        facts, row = self.facts, 0
        known = KnownTexts.of(facts)
        exact = checks.positive_as_negative(facts) | checks.same_as_anchor(facts) | facts.empty_negative
        untitled = known.untitled(facts)
        asked = ~(exact | facts.empty_anchor[facts.owners()])
        for table in every:
            batch = tables.read(table, self.layout)
            self._check_same(batch, row)
            span = slice(*facts.negatives.indptr[[row, row + len(batch.anchors)]])
            if self.share is not None or self.contained is not None:
                found = _alike(batch, row, facts, known, asked[span], self.share, self.contained)
                for kind, mask in zip((facts.near_anchor, facts.near_positive, facts.contained), found, strict=True):
                    kind[span] = mask
                for name, mask in zip(("anchor", "positive", "contained"), found, strict=True):
                    self._keep(batch, row, self._new(name, batch, mask))
            facts.titled[span] = _titled(batch, row, facts, known, untitled) & ~exact[span]
            self._keep(batch, row, self._new("titled", batch, facts.titled[span]))
            low, high = np.searchsorted(self.wanted, [row, row + len(batch.anchors)])
            self._keep(batch, row, self.wanted[low:high] - row)
            row += len(batch.anchors)

    def _check_same(self, batch: TableBatch, row: int) -> None:
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

    def _new(self, kind: str, batch: TableBatch, found: Mask) -> Ints:
        """The first rows with a find of a kind, until enough to show are kept."""
        rows = np.unique(batch.negatives.owners[found])[: SHOWN - self.shown[kind]]
        self.shown[kind] += len(rows)
        return rows

    def _keep(self, batch: TableBatch, row: int, inside: Ints) -> None:
        for i in inside.tolist():
            self.kept[row + i] = RowTexts(
                batch.anchors[i].as_py() or "", *(_texts(lists[i]) for lists in (batch.positives, batch.negatives))
            )


def _texts(values: pa.Array) -> list[str]:
    return [text or "" for text in values.to_pylist()]


def _alike(
    batch: TableBatch,
    row: int,
    facts: Facts,
    known: KnownTexts,
    asked: Mask,
    share: float | None,
    contained: float | None,
) -> tuple[Mask, Mask, Mask]:
    """(near the anchor's own text, near a positive of the anchor, in one or around one): bool [negatives of the batch]
    each."""
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
    fitting, wanted = np.zeros(len(asked), dtype=bool), np.zeros(len(owners), dtype=bool)
    if share is not None:
        fitting |= asked & _fits(negative_owners, lengths, owners, target_lengths, share)
        wanted |= _fits(owners, target_lengths, negative_owners[fitting], lengths[fitting], share)
    if contained is not None:
        long = (target_lengths >= LEAST) & ~is_own
        fitting |= asked & (lengths >= LEAST) & np.isin(negative_owners, owners[long])
        wanted |= long & np.isin(owners, negative_owners[fitting])
    ours, theirs = np.flatnonzero(fitting), np.flatnonzero(wanted)
    ours = ours[np.argsort(negative_owners[ours], kind="stable")]
    theirs = theirs[np.argsort(owners[theirs], kind="stable")]
    own_text = is_own[theirs]
    positives = theirs[~own_text]
    texts = [
        batch.negatives.flat.take(pa.array(ours)),
        facts.texts.take(pa.array(known.places[targets.flat[positives]])),
    ]
    place = np.empty(len(theirs), dtype=np.int64)
    place[~own_text] = len(ours) + np.arange(len(positives))
    place[own_text] = len(ours) + len(positives) + theirs[own_text] - len(targets.flat)
    sampled = Sampled(pa.concat_arrays([*texts, anchors]))
    left = _lists(negative_owners[ours], np.arange(len(ours)), len(numbers))
    own, near, inside = (np.zeros(len(asked), dtype=bool) for _ in range(3))
    if share is not None:
        i, j = sampled.near_duplicates(left, _lists(owners[theirs], place, len(numbers)), share)
        own[ours[i[own_text[j]]]] = True
        near[ours[i[~own_text[j]]]] = True
    if contained is not None:
        i, _ = sampled.contained(left, _lists(owners[positives], place[~own_text], len(numbers)), contained)
        inside[ours[i]] = True
    return own, near, inside & ~near


def _without_title(texts: pa.Array, facts: Facts) -> Ints:
    """int64: the number of each text without its first line; -1 for none, or where the dataset has no such text."""
    rest = untitled_texts(texts)
    found = np.full(len(texts), -1, dtype=np.int64)
    there = np.flatnonzero(rest.is_valid().to_numpy(zero_copy_only=False))
    if len(there):
        coded = rest.take(pa.array(there)).dictionary_encode()
        found[there] = facts.numbering.of_texts(coded.dictionary.to_pylist())[coded.indices.to_numpy()]
    return found


def _titled(batch: TableBatch, row: int, facts: Facts, known: KnownTexts, untitled: Ints) -> Mask:
    """bool [negatives of the batch]: a positive of the same anchor, but that one of the two has a title before it."""
    anchors = facts.anchors[row : row + len(batch.anchors)][batch.negatives.owners]
    own = facts.negatives.flat[facts.negatives.indptr[row] : facts.negatives.indptr[row + len(batch.anchors)]]
    found = among(facts.keys(anchors, own), untitled)
    numbers = _without_title(batch.negatives.flat, facts)
    bare = numbers >= 0
    found[bare] |= among(facts.keys(anchors[bare], numbers[bare]), known.keys)
    return found


def _lists(owners: Ints, values: Ints, n: int) -> Lists:
    return Lists(offsets(np.bincount(owners, minlength=n)), values)


def _fits(owners: Ints, lengths: Ints, other_owners: Ints, others: Ints, share: float) -> Mask:
    """Whether some other text of the same owner has a length within `share` of this one's, or a byte beyond."""
    wide = int(max(lengths.max(initial=1), others.max(initial=1)) / share) + 3
    keys = np.sort(other_owners * wide + others)
    low = owners * wide + np.floor(lengths * share).astype(np.int64)
    high = owners * wide + np.ceil(lengths / share).astype(np.int64) + 1
    fits: Mask = np.searchsorted(keys, low, "left") < np.searchsorted(keys, high, "left")
    return fits
