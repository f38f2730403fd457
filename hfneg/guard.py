"""The leakage guard: what is never a negative, whatever the policy says.

Known positives of the anchor; documents that differ from one in case, white space or Unicode form only, or
are near-duplicates of one; the anchor's own text, exact or nearly; repeats of an earlier candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg import verdicts
from hfneg.batches import Lists
from hfneg.candidates import is_positive
from hfneg.near import shingle_sets, similar_pairs
from hfneg.pool import Pool
from hfneg.step import Step, check

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Guard(Step):
    """Refuses leaks; always on.

    Args:
        near_duplicate: two texts are near-duplicates when their lengths and their sets of 8-byte shingles
            (of the normal form) agree to at least this share: min/max of the lengths, Jaccard similarity of
            the sets (Broder 1997). None: only equality of the normal forms counts.
    """

    near_duplicate: float | None = 0.9

    def __post_init__(self) -> None:
        t = self.near_duplicate
        check(t is None or 0.5 <= t <= 1.0, self, "near_duplicate", t, "None or a share from 0.5 to 1.0")

    def verdicts(self, pool: Pool) -> Codes:
        """uint8 [m]: a code of `hfneg.verdicts`; `SPARE` where the guard has nothing to say."""
        codes = np.full(len(pool), verdicts.SPARE, dtype=np.uint8)
        normal = np.asarray(pool.corpus.normal_hashes[pool.rows])
        positive = is_positive(pool.anchors, pool.numbers, pool.owners, pool.rows)
        own = normal == pool.anchor_hashes
        near_positive = _same_as_positive(pool, normal)
        if self.near_duplicate is not None:
            near_own, near = _near_duplicates(pool, self.near_duplicate)
            own |= near_own
            near_positive |= near
        codes[_repeats(pool, normal)] = verdicts.REPEAT
        codes[near_positive] = verdicts.NEAR_POSITIVE
        codes[own] = verdicts.OWN_TEXT
        codes[positive] = verdicts.KNOWN_POSITIVE
        return codes


def _pairs_in(owners: Rows, hashes: npt.NDArray[np.uint64], known_owners: Rows, known: npt.NDArray[np.uint64]) -> Mask:
    """bool: whether (owner, hash) is among the known pairs."""
    both, place = np.unique(np.concatenate([known, hashes]), return_inverse=True)
    wide = len(both)
    known_keys = known_owners * wide + place[: len(known)]
    keys = owners * wide + place[len(known) :]
    return np.isin(keys, known_keys)


def _same_as_positive(pool: Pool, normal: npt.NDArray[np.uint64]) -> Mask:
    positives = pool.positives
    return _pairs_in(pool.owners, normal, positives.owners, np.asarray(pool.corpus.normal_hashes[positives.flat]))


def _repeats(pool: Pool, normal: npt.NDArray[np.uint64]) -> Mask:
    """All but the first of each anchor's candidates with one normal form."""
    order = np.lexsort((pool.ranks, normal, pool.owners))
    same = np.zeros(len(pool), dtype=bool)
    owners, hashes = pool.owners[order], normal[order]
    same[order[1:]] = (owners[1:] == owners[:-1]) & (hashes[1:] == hashes[:-1])
    return same


def _near_duplicates(pool: Pool, share: float) -> tuple[Mask, Mask]:
    """(near the anchor's own text, near a known positive); only texts whose lengths fit are read."""
    own, near = np.zeros(len(pool), dtype=bool), np.zeros(len(pool), dtype=bool)
    n, positives = len(pool.numbers), pool.positives
    anchor_texts = pool.anchors.texts(pool.numbers)
    anchor_lengths = np.diff(np.frombuffer(anchor_texts.buffers()[1], dtype=np.int64)[: n + 1])
    target_owners = np.concatenate([np.arange(n), positives.owners])
    target_lengths = np.concatenate([anchor_lengths, _lengths(pool, positives.flat)])
    lengths = _lengths(pool, pool.rows)
    fitting = np.flatnonzero(_length_fits(pool.owners, lengths, target_owners, target_lengths, share))
    targets = np.flatnonzero(_length_fits(target_owners, target_lengths, pool.owners, lengths, share))
    targets = targets[np.argsort(target_owners[targets], kind="stable")]
    for start, stop in _blocks(pool, fitting):
    return own, near


def _by_owner(owners: Rows, values: Rows, n: int) -> Lists:
    """Lists per owner from ascending owners."""
    return Lists(np.searchsorted(owners, np.arange(n + 1)).astype(np.int64), values)


def _lengths(pool: Pool, rows: Rows) -> Rows:
    """Bytes of the documents' texts, without reading them."""
    return pool.corpus.lengths[rows + 1] - pool.corpus.lengths[rows]


def _length_fits(owners: Rows, lengths: Rows, target_owners: Rows, targets: Rows, share: float) -> Mask:
    """Whether some target of the same owner has a length within `share` of the candidate's."""
    wide = int(max(lengths.max(initial=1), targets.max(initial=1)) / share) + 2
    keys = np.sort(target_owners * wide + targets)
    low = np.ceil(lengths * share).astype(np.int64)
    high = np.floor(lengths / share).astype(np.int64)
    fits: Mask = np.searchsorted(keys, owners * wide + low, "left") < np.searchsorted(
        keys, owners * wide + high, "right"
    )
    return fits
