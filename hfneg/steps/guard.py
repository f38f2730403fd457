"""The leakage guard: what is never a negative, whatever the policy says.

Known positives of the anchor; documents that differ from one in case, white space or Unicode form only, are
near-duplicates of one, contain one or lie inside one; the anchor's own text, exact or nearly; repeats of an earlier
candidate; empty documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Codes, Ints, Mask
from hfneg.base.hashing import hash_normal_forms
from hfneg.base.lists import Lists
from hfneg.base.settings import check, is_number
from hfneg.data.anchors import Anchors
from hfneg.data.near_duplicates import LEAST, Sampled
from hfneg.steps import papers
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.block.pool import Pool
from hfneg.steps.step import Step

READ = 64_000_000
"""Bytes of candidates' texts that are compared at a time."""
EMPTY = hash_normal_forms([""])[0]


@dataclass(frozen=True)
class Guard(Step):
    """Refuses leaks; always on.

    Args:
        near_duplicate: two texts are near-duplicates when their lengths and their sets of 8-byte shingles
            (of the normal form) agree to at least this share: min/max of the lengths, Jaccard similarity of
            the sets (Broder 1997). None: only equality of the normal forms counts.
        contained: a candidate contains a positive, or lies inside one, when their lengths differ by more than a tenth
            and of the smaller set of shingles at least this share is in the larger one (Broder's containment): chunks
            of one document, windows around it.
            Texts of fewer than 32 distinct shingles (39 letters) are left out, for a name or a date stands in many
            documents. A document that contains the anchor's text is no leak: pages quote questions. None: nothing is
            looked for inside anything.
    """

    near_duplicate: float | None = 0.9
    contained: float | None = 0.95

    cites = (papers.RESEMBLANCE,)

    def __post_init__(self) -> None:
        for setting in ("near_duplicate", "contained"):
            t = getattr(self, setting)
            good = t is None or (is_number(t) and 0.5 <= t <= 1.0)
            check(good, self, setting, t, "None or a share from 0.5 to 1.0")

    def marked(self, anchors: Anchors, block: Block) -> Block:
        """The block with these verdicts on what leaks."""
        return block.learned(verdicts=self.verdicts(Pool(anchors, block)))

    def verdicts(self, pool: Pool) -> Codes:
        """uint8 [m]: a code of `hfneg.steps.block.verdicts`; `SPARE` where the guard has nothing to say."""
        codes = np.full(len(pool), verdicts.SPARE, dtype=np.uint8)
        normal = np.asarray(pool.corpus.normal_hashes[pool.rows])
        positive = pool.block.is_positive
        own = normal == pool.anchor_hashes
        near_positive = _same_as_positive(pool, normal)
        alike = _alike(pool, ~positive, self)
        given = pool.block.is_given(pool.anchors)  # somebody has looked at these
        codes[_repeats(pool, normal, given)] = verdicts.REPEAT
        codes[alike.contained & ~given] = verdicts.CONTAINED
        codes[(near_positive | alike.near) & ~given] = verdicts.NEAR_POSITIVE
        codes[own | alike.own] = verdicts.OWN_TEXT
        codes[normal == EMPTY] = verdicts.EMPTY
        codes[positive] = verdicts.KNOWN_POSITIVE
        return codes


@dataclass(frozen=True)
class Alike:
    """bool [m] each: like the anchor's own text, like a known positive, in one or around one."""

    own: Mask
    near: Mask
    contained: Mask


def pairs_in(owners: Ints, hashes: npt.NDArray[np.uint64], known_owners: Ints, known: npt.NDArray[np.uint64]) -> Mask:
    """bool: whether (owner, hash) is among the known pairs."""
    both, place = np.unique(np.concatenate([known, hashes]), return_inverse=True)
    wide = len(both)
    known_keys = known_owners * wide + place[: len(known)]
    keys = owners * wide + place[len(known) :]
    return np.isin(keys, known_keys)


def _same_as_positive(pool: Pool, normal: npt.NDArray[np.uint64]) -> Mask:
    positives = pool.positives
    return pairs_in(pool.owners, normal, positives.owners, np.asarray(pool.corpus.normal_hashes[positives.flat]))


def _repeats(pool: Pool, normal: npt.NDArray[np.uint64], given: Mask) -> Mask:
    """All but the first of each anchor's candidates with one normal form; a given negative comes before all others."""
    order = np.lexsort((pool.ranks, ~given, normal, pool.owners))
    same = np.zeros(len(pool), dtype=bool)
    owners, hashes = pool.owners[order], normal[order]
    same[order[1:]] = (owners[1:] == owners[:-1]) & (hashes[1:] == hashes[:-1])
    return same


def _alike(pool: Pool, asked: Mask, guard: Guard) -> Alike:
    """Of those asked about; only texts are read whose lengths make one of the answers possible."""
    found = Alike(*(np.zeros(len(pool), dtype=bool) for _ in range(3)))
    n, positives = len(pool.numbers), pool.positives
    owners = np.concatenate([np.arange(n), positives.owners])  # targets: the anchors' own texts, the positives
    target_lengths = np.concatenate([_anchor_lengths(pool), _lengths(pool, positives.flat)])
    lengths = _lengths(pool, pool.rows)
    fitting, targets = np.zeros(len(pool), dtype=bool), np.zeros(len(owners), dtype=bool)
    if guard.near_duplicate is not None:
        fitting |= asked & _length_fits(pool.owners, lengths, owners, target_lengths, guard.near_duplicate)
        targets |= _length_fits(owners, target_lengths, pool.owners, lengths, guard.near_duplicate)
    if guard.contained is not None:
        long = (target_lengths >= LEAST) & (np.arange(len(owners)) >= n)
        fitting |= asked & (lengths >= LEAST) & np.isin(pool.owners, owners[long])
        targets |= long & np.isin(owners, pool.owners[fitting])
    ours, theirs = np.flatnonzero(fitting), np.flatnonzero(targets)
    theirs = theirs[np.argsort(owners[theirs], kind="stable")]
    by_owner = _by_owner(pool.owners[ours], ours, n), _by_owner(owners[theirs], theirs, n)
    for block in _blocks(pool, by_owner[0]):
        _compare(pool, by_owner[0].take(block), by_owner[1].take(block), guard, found)
    return found


def _blocks(pool: Pool, fitting: Lists) -> Iterator[Ints]:
    """Owners in blocks that read at most READ bytes of candidates, or of one owner."""
    waiting = [np.arange(len(fitting))]
    while waiting:
        block = waiting.pop()
        read = np.unique(pool.rows[fitting.take(block).flat])
        if len(block) > 1 and _lengths(pool, read).sum() > READ:
            half = len(block) // 2
            waiting += [block[half:], block[:half]]
        elif len(read):
            yield block


def _compare(pool: Pool, fitting: Lists, targets: Lists, guard: Guard, found: Alike) -> None:
    """Fill `found` for some candidates. A target below n is the n-th anchor's own text, from n on a positive."""
    n = len(pool.numbers)
    is_own = targets.flat < n
    positives = pool.positives.flat[targets.flat[~is_own] - n]
    read, place = np.unique(np.concatenate([pool.rows[fitting.flat], positives]), return_inverse=True)
    anchors = pool.numbers[targets.flat[is_own]]
    texts = Sampled(pa.concat_arrays([pool.corpus.texts(read), pool.anchors.texts(anchors)]))
    numbers = np.empty(len(targets.flat), dtype=np.int64)
    numbers[is_own] = len(read) + np.arange(len(anchors))
    numbers[~is_own] = place[len(fitting.flat) :]
    left = Lists(fitting.indptr, place[: len(fitting.flat)])
    if guard.near_duplicate is not None:
        i, j = texts.near_duplicates(left, Lists(targets.indptr, numbers), guard.near_duplicate)
        found.own[fitting.flat[i[is_own[j]]]] = True
        found.near[fitting.flat[i[~is_own[j]]]] = True
    if guard.contained is not None:
        right = _by_owner(targets.owners[~is_own], numbers[~is_own], len(targets))
        i, _ = texts.contained(left, right, guard.contained)
        found.contained[fitting.flat[i]] = True


def _by_owner(owners: Ints, values: Ints, n: int) -> Lists:
    """Lists per owner from ascending owners."""
    return Lists(np.searchsorted(owners, np.arange(n + 1)).astype(np.int64), values)


def _lengths(pool: Pool, rows: Ints) -> Ints:
    """Bytes of the documents' texts, without reading them."""
    return pool.corpus.sizes(rows)


def _anchor_lengths(pool: Pool) -> Ints:
    """Bytes of the anchors' texts."""
    lengths: Ints = pc.binary_length(pool.anchors.texts(pool.numbers)).to_numpy()
    return lengths


def _length_fits(owners: Ints, lengths: Ints, target_owners: Ints, targets: Ints, share: float) -> Mask:
    """Whether some target of the same owner has a length within `share` of the candidate's, or a byte beyond."""
    wide = int(max(lengths.max(initial=1), targets.max(initial=1)) / share) + 2
    keys = np.sort(target_owners * wide + targets)
    low = np.floor(lengths * share).astype(np.int64)
    high = np.ceil(lengths / share).astype(np.int64)
    fits: Mask = np.searchsorted(keys, owners * wide + low, "left") < np.searchsorted(
        keys, owners * wide + high, "right"
    )
    return fits
