"""Near-duplicates among texts: sets of 8-byte shingles of the normal form, compared exactly.

Source: Broder, "On the resemblance and containment of documents", 1997, for shingles; Bayardo, Ma and
Srikant, "Scaling up all pairs similarity search", WWW 2007, for prefix filtering.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hfneg.batches import Lists, offsets
from hfneg.hashing import mix, normal_form

Rows = npt.NDArray[np.int64]
WIDTH = 8


def shingle_sets(texts: Sequence[str]) -> Lists:
    """The distinct shingles of each text, ascending (uint64); a text below 8 bytes is one shingle."""
    from hfneg import near_kernels

    normal = [normal_form(text).encode().ljust(WIDTH, b"\0") for text in texts]
    data = np.frombuffer(b"".join(normal), dtype=np.uint8)
    values, ends = near_kernels.shingle_sets(data, offsets([len(text) for text in normal]), WIDTH)
    return Lists(ends, values)


def similar_pairs(sets: Lists, left: Lists, right: Lists, share: float) -> tuple[Rows, Rows]:
    """Pairs of one owner whose sets have a Jaccard similarity of at least `share`.

    ``left[o]`` and ``right[o]`` number the sets of owner o. Returns positions in ``left.flat`` and
    ``right.flat``. Two sets that similar have an element in common among the first |x| - ceil(share |x|) + 1
    of each, in any fixed order; only such pairs are compared.
    """
    from hfneg import near_kernels

    prefixes = sets.indptr[:-1] + sets.lengths - np.ceil(share * sets.lengths).astype(np.int64) + 1
    left_at, left_keys = _prefix_keys(sets, prefixes, left)
    right_at, right_keys = _prefix_keys(sets, prefixes, right)
    order = np.argsort(right_keys, kind="stable")
    right_at, right_keys = right_at[order], right_keys[order]
    low, high = np.searchsorted(right_keys, left_keys, "left"), np.searchsorted(right_keys, left_keys, "right")
    met = Lists.gather(right_at, low, high)
    pairs = np.unique(left_at[met.owners] * len(right.flat) + met.flat)
    i, j = np.divmod(pairs, max(len(right.flat), 1))
    alike = near_kernels.jaccard(sets.flat, sets.indptr, left.flat[i], right.flat[j]) >= share
    same_owner = left.owners[i] == right.owners[j]  # two owners' keys may collide
    return i[alike & same_owner], j[alike & same_owner]


def _prefix_keys(sets: Lists, prefixes: Rows, numbers: Lists) -> tuple[Rows, npt.NDArray[np.uint64]]:
    """For each element of each prefix: the position of its set in `numbers.flat`, and a key of (owner, element)."""
    elements = Lists.gather(sets.flat, sets.indptr[numbers.flat], prefixes[numbers.flat])
    at = elements.owners
    return at, mix(numbers.owners[at], elements.flat)
