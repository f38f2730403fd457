"""Near-duplicates among texts, and texts inside others: sets of 8-byte shingles of the normal form, compared exactly.

Two texts are near-duplicates at a share when their lengths (min/max, in bytes) and their sets of shingles
(Jaccard similarity) agree to at least it. Of two texts of unlike lengths (min/max below LIKE) one contains the other at
a share when of the smaller set at least that share is in the larger one, and both have at least LEAST shingles.

Source: Broder, "On the resemblance and containment of documents", 1997, for the shingles and for comparing
a sample of them first. Here the sample only rules pairs out, so that the answer is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Ints, Mask
from hfneg.base.hashing import normal_form
from hfneg.base.lists import Lists, offsets
from hfneg.data.near_duplicates import plain

WIDTH = 8
ALL = 2**64 - 1
SAMPLE = ALL // 8  # the shingles with the least values, an eighth of all
WIDER = ALL // 4  # a quarter: of texts of any lengths an eighth would rule out too few
LEAST = 32
"""Distinct shingles (39 letters) that a text needs to be looked for inside another, or another inside it: names, dates
and answers of a few words stand in many documents that are not relevant."""
LIKE = 0.9
"""Of texts of lengths that are so much alike, whether they are near-duplicates is the question: variants of one text
lie in one another nearly, too."""
BLOCK = 2_000
READ, PAIRS = 64_000_000, 2_000_000  # of `near_earlier`: bytes of texts, and pairs, at a time


def shingle_sets(texts: Sequence[str]) -> Lists:
    """The distinct shingles of each text, ascending (uint64); a text below 8 bytes is one shingle."""
    return _shingles(texts, ALL)[0]


def similar_pairs(sets: Lists, left: Lists, right: Lists, share: float) -> tuple[Ints, Ints]:
    """Pairs of one owner whose sets have a Jaccard similarity of at least `share`.

    ``left[o]`` and ``right[o]`` number the sets of owner o. Returns positions in ``left.flat`` and
    ``right.flat``, ascending.
    """
    from hfneg.data.near_duplicates import kernels as near_kernels

    return _apart(
        near_kernels.similar_pairs(
            sets.flat, sets.indptr, left.indptr, left.flat, right.indptr, right.flat, float(share)
        )
    )


def _apart(found: tuple[Ints, int]) -> tuple[Ints, Ints]:
    """What the kernels find, as (i, j)."""
    pairs, count = found
    i, j = pairs[: 2 * count].reshape(-1, 2).T
    return np.ascontiguousarray(i), np.ascontiguousarray(j)


def near_duplicates(texts: pa.LargeStringArray, left: Lists, right: Lists, share: float) -> tuple[Ints, Ints]:
    """Pairs of one owner whose texts are near-duplicates; `left`, `right` and the result as in `similar_pairs`."""
    return Sampled(texts, SAMPLE).near_duplicates(left, right, share)


def contained(texts: pa.LargeStringArray, left: Lists, right: Lists, share: float) -> tuple[Ints, Ints]:
    """Pairs of one owner of which one text contains the other; `left`, `right` and the result as in `similar_pairs`."""
    return Sampled(texts).contained(left, right, share)


@dataclass(frozen=True)
class Sampled:
    """Texts to compare. A sample of the shingles, those up to `limit`, is made of every text; the whole set only of
    those that the samples leave."""

    texts: pa.LargeStringArray
    limit: int = WIDER

    @cached_property
    def _sample(self) -> tuple[Lists, Ints]:
        return _in_blocks(self.texts, self.limit)

    @cached_property
    def _lengths(self) -> Ints:
        lengths: Ints = pc.binary_length(self.texts).to_numpy()
        return lengths

    @cached_property
    def _whole(self) -> list[frozenset[bytes]]:
        return [plain.shingles(_filled(text)) for text in self.texts.to_pylist()]

    def _left_by_samples(self, kernel: Callable[..., Any], left: Lists, right: Lists, *how: float) -> tuple[Ints, Ints]:
        """The pairs that the samples do not rule out."""
        sample, windows = self._sample
        lists = (left.indptr, left.flat, right.indptr, right.flat)
        return _apart(kernel(sample.flat, sample.indptr, windows, self._lengths, *lists, *how))

    def _plainly(self, left: Lists, right: Lists) -> bool:
        small = int(self._lengths.sum()) <= plain.MOST_BYTES
        pairs = int((left.lengths * right.lengths).sum()) if small else np.inf
        return plain.ALLOWANCE.takes(pairs)

    def near_duplicates(self, left: Lists, right: Lists, share: float) -> tuple[Ints, Ints]:
        """See the function of this name."""
        if self._plainly(left, right):
            return plain.near_duplicates(self._whole, self._lengths, left, right, share)
        from hfneg.data.near_duplicates import kernels as near_kernels

        i, j = self._left_by_samples(near_kernels.possible_pairs, left, right, float(share))
        alike = _confirmed(self.texts, left.flat[i], right.flat[j], share)
        return i[alike], j[alike]

    def contained(self, left: Lists, right: Lists, share: float) -> tuple[Ints, Ints]:
        """See the function of this name."""
        if self._plainly(left, right):
            return plain.contained(self._whole, self._lengths, left, right, share, LEAST, LIKE)
        from hfneg.data.near_duplicates import kernels as near_kernels

        i, j = self._left_by_samples(near_kernels.possibly_contained_pairs, left, right, float(share), LEAST, LIKE)
        sets, one, other = _pairs(self.texts, left.flat[i], right.flat[j])
        inside, _ = _apart(
            near_kernels.contained_pairs(
                sets.flat, sets.indptr, one.indptr, one.flat, other.indptr, other.flat, float(share), LEAST
            )
        )
        return i[inside], j[inside]


def near_earlier(take: Callable[[Ints], pa.LargeStringArray], lengths: Ints, lists: Lists, share: float) -> Mask:
    """bool [len(lists.flat)]: whether a text is a near-duplicate of one that stands before it in its list.

    `lists` hold numbers for which `take` gives the texts; `lengths` [len(lists.flat)] are the texts' bytes.
    """
    found = np.zeros(len(lists.flat), dtype=bool)
    for start, stop in _blocks(lists, lengths):
        first, last = lists.indptr[start], lists.indptr[stop]
        read, place = np.unique(lists.flat[first:last], return_inverse=True)
        if len(read):
            inside = Lists(lists.indptr[start : stop + 1] - first, place)
            found[first:last][_earlier(take(read), inside, share)] = True
    return found


def _blocks(lists: Lists, lengths: Ints) -> Iterator[tuple[int, int]]:
    """Consecutive lists, start .. stop - 1, whose distinct texts have at most READ bytes, or one list."""
    waiting = [(0, len(lists))]
    while waiting:
        start, stop = waiting.pop()
        inside = slice(lists.indptr[start], lists.indptr[stop])
        _, first = np.unique(lists.flat[inside], return_index=True)
        if stop - start > 1 and lengths[inside][first].sum() > READ:
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
        elif stop > start:
            yield start, stop


def _earlier(texts: pa.LargeStringArray, lists: Lists, share: float) -> Ints:
    """Positions in ``lists.flat`` of the texts that are near-duplicates of one before them."""
    from hfneg.data.near_duplicates import kernels as near_kernels

    lengths = pc.binary_length(texts).to_numpy()
    sample, windows = _in_blocks(texts, SAMPLE)
    found = [np.empty(0, dtype=np.int64)]
    pairs = np.concatenate([[0], np.cumsum(lists.lengths**2 // 2)])
    starts = np.unique(np.searchsorted(pairs, np.arange(0, pairs[-1] + 1, PAIRS), "right") - 1)
    for start, stop in pairwise([*starts.tolist(), len(lists)]):
        i, j = _apart(
            near_kernels.possible_earlier_pairs(
                sample.flat, sample.indptr, windows, lengths, lists.indptr[start : stop + 1], lists.flat, float(share)
            )
        )
        found.append(i[_confirmed(texts, lists.flat[i], lists.flat[j], share)])
    return np.concatenate(found)


def _confirmed(texts: pa.LargeStringArray, left: Ints, right: Ints, share: float) -> Ints:
    """Which of the pairs (left[i], right[i]) of texts have a Jaccard similarity of at least `share`."""
    alike, _ = similar_pairs(*_pairs(texts, left, right), share)
    return alike


def _pairs(texts: pa.LargeStringArray, left: Ints, right: Ints) -> tuple[Lists, Lists, Lists]:
    """(the whole sets, left, right) of pairs of texts, each pair an owner of its own."""
    read, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    sets, _ = _in_blocks(texts.take(pa.array(read)), ALL)
    one_each = np.arange(len(left) + 1)
    return sets, Lists(one_each, place[: len(left)]), Lists(one_each, place[len(left) :])


def _shingles(texts: Sequence[str], limit: int) -> tuple[Lists, Ints]:
    """The distinct shingles up to `limit` of each text, and how many windows each has, repeats counted."""
    from hfneg.data.near_duplicates import kernels as near_kernels

    normal = [_filled(text) for text in texts]
    starts = offsets([len(text) for text in normal])
    values, ends = np.empty(starts[-1], dtype=np.uint64), np.zeros(len(starts), dtype=np.int64)
    near_kernels.windows(np.frombuffer(b"".join(normal), np.uint8), starts, np.uint64(limit), values, ends)
    return _sets(values[: ends[-1]], ends), np.diff(starts) - (WIDTH - 1)


def _filled(text: str) -> bytes:
    """The normal form of a text, at least WIDTH bytes."""
    return normal_form(text).encode().ljust(WIDTH, b"\0")


def _sets(values: npt.NDArray[np.uint64], ends: Ints) -> Lists:
    """Each text's values ascending and once. Sorted by NumPy: a compiled sort takes a second to compile."""
    for start, end in pairwise(ends.tolist()):
        values[start:end].sort()
    first = np.zeros(len(values), dtype=bool)
    first[ends[:-1][ends[:-1] < len(values)]] = True
    first[1:] |= values[1:] != values[:-1]
    before = np.concatenate([[0], np.cumsum(first)])
    return Lists(before[ends], values[first])


def _in_blocks(texts: pa.LargeStringArray, limit: int) -> tuple[Lists, Ints]:
    """`_shingles`, with the Python strings of one block at a time in RAM."""
    starts = range(0, max(len(texts), 1), BLOCK)
    blocks = [_shingles(texts.slice(start, BLOCK).to_pylist(), limit) for start in starts]
    lengths = np.concatenate([sets.lengths for sets, _ in blocks])
    flat = np.concatenate([sets.flat for sets, _ in blocks])
    return Lists(offsets(lengths), flat), np.concatenate([windows for _, windows in blocks])
