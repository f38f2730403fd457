"""The inner loops of a BM25 search, compiled by numba (imported at first use only: numba is slow to import).

Pure functions on arrays; they release the GIL and write into what they are given. `postings` and `query`
are the tuples of arrays in bm25.py: their integers are unsigned, because numba guards every signed index
against being negative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hfneg.base.compiling import compiled
from hfneg.base.selecting_kernels import select_largest as select_largest

CHUNK = 16  # documents whose maximum is one or two vector instructions
CHUNKS = 8  # chunks per block; 1 where the corpus is so small that whole blocks would bound nothing
SPARSE = 12  # with fewer than documents / SPARSE postings it is cheaper to visit the postings again

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


class Workspace(NamedTuple):
    """One thread's scratch, used again for every query."""

    sums: Any
    """float32 [blocks * chunks * CHUNK]: the running score of each document; zero between queries."""

    bits: Any
    """`sums` as int32: non-negative floats order alike, and numba vectorises the maximum of integers."""

    maxima: Any
    """int32 [blocks]: the largest bits of each block."""

    order: Any
    """int32 [blocks]: the positive maxima, partly sorted."""

    order_floats: Any
    """`order` as float32."""

    keys: Any
    """uint64 [more than 2 k]: candidates."""

    chunks: int
    """Chunks per block."""


def workspace(documents: int, k: int) -> Workspace:
    """For searching `documents` documents for the `k` best (k >= 1)."""
    chunks = CHUNKS if documents > 4 * k * CHUNKS * CHUNK else 1
    blocks = -(-documents // (chunks * CHUNK))
    sums = np.zeros(blocks * chunks * CHUNK, dtype=np.float32)
    order = np.empty(blocks, dtype=np.int32)
    keys = np.empty(2 * k + 1024, dtype=np.uint64)
    return Workspace(sums, sums.view(np.int32), np.empty_like(order), order, order.view(np.float32), keys, chunks)


# A candidate is one uint64 key, (bits of its positive score, inverted row): the larger key comes
# first in the order (-score, row), and no two are equal.


@compiled
def offer(keys: Any, count: int, k: int, floor: Any, key: Any) -> Any:
    """Append a key above `floor`; when the buffer is full, keep the k largest. Returns (count, floor)."""
    if key > floor:
        keys[count] = key
        count += 1
        if count == len(keys):
            select_largest(keys, count, k)
            count, floor = k, keys[k - 1]
    return count, floor


@compiled
def add_up(postings: Any, terms: Any, sums: Any) -> Any:
    """Add the postings of a query's terms, in the query's order, to `sums`; how many there were."""
    indptr, indices, data = postings
    total = np.uint64(0)
    for term in terms:
        start, stop = indptr[term], indptr[term + 1]
        total += stop - start
        for j in range(start, stop):
            sums[indices[j]] += data[j]
    return total


@compiled
def collect_touched(postings: Any, terms: Any, extra: Any, space: Any, k: int) -> Any:
    """Candidates of a query with few postings, by visiting those again; leaves the sums zero."""
    sums, bits, keys = space.sums, space.bits, space.keys
    count, floor = np.int64(0), np.uint64(0)
    for term in terms:
        for j in range(postings.indptr[term], postings.indptr[term + 1]):
            row = postings.indices[j]
            if sums[row] > 0:
                sums[row] += extra
                key = (np.uint64(bits[row]) << _HALF) | (_LOW - np.uint64(row))
                count, floor = offer(keys, count, k, floor, key)
            sums[row] = 0
    return count


@compiled
def block_maxima(bits: Any, maxima: Any) -> None:
    """The largest bits of each block of CHUNKS * CHUNK, or 0."""
    for block in range(len(maxima)):
        largest = np.int32(0)
        for i in range(block * CHUNKS * CHUNK, (block + 1) * CHUNKS * CHUNK):  # a constant length: vectorised
            largest = max(largest, bits[i])
        maxima[block] = largest


@compiled
def chunk_maxima(bits: Any, maxima: Any) -> None:
    """The largest bits of each chunk, or 0."""
    for chunk in range(len(maxima)):
        largest = np.int32(0)
        for i in range(chunk * CHUNK, (chunk + 1) * CHUNK):
            largest = max(largest, bits[i])
        maxima[chunk] = largest


@compiled
def lower_bound(space: Any, k: int, extra: Any) -> Any:
    """Bits at or above which all of the k best sums lie: the k-th largest maximum (1 where there are fewer).

    With `extra`, sums that differ may round to one score; the bound steps back by more than that rounding.
    """
    order, count = space.order, np.int64(0)
    for value in space.maxima:
        order[count] = value
        count += int(value > 0)
    if count < k:
        return np.int32(1)
    select_largest(order, count, k)
    if extra > 0:
        order[0] = order[k - 1]
        bound = space.order_floats[0]
        space.order_floats[0] = max(bound - (bound + extra) * np.float32(1e-6), np.float32(0))
        return max(order[0], np.int32(1))
    return order[k - 1]


@compiled
def collect_blocks(extra: Any, space: Any, k: int) -> Any:
    """Candidates of a query with many postings, from the blocks that can hold one; leaves the sums zero."""
    sums, bits, keys = space.sums, space.bits, space.keys
    if space.chunks == 1:
        chunk_maxima(bits, space.maxima)
    else:
        block_maxima(bits, space.maxima)
    bound = lower_bound(space, k, extra)
    count, floor = np.int64(0), np.uint64(0)
    for block in range(len(space.maxima)):
        if space.maxima[block] < bound:
            continue
        for chunk in range(block * space.chunks, (block + 1) * space.chunks):
            largest = np.int32(0)
            for i in range(chunk * CHUNK, (chunk + 1) * CHUNK):
                largest = max(largest, bits[i])
            if largest < bound:
                continue
            for row in range(chunk * CHUNK, (chunk + 1) * CHUNK):
                if bits[row] >= bound:
                    sums[row] += extra
                    key = (np.uint64(bits[row]) << _HALF) | (_LOW - np.uint64(row))
                    count, floor = offer(keys, count, k, floor, key)
    sums[:] = 0
    return count


@compiled
def search(
    postings: Any,
    query: Any,
    space: Any,
    documents: int,
    k: int,
    first: int,
    step: int,
    found: Any,
) -> None:
    """Exact top-k of the queries first, first + step, ...: their keys, in no order, into uint64 [queries, k]."""
    keys = space.keys
    for i in range(first, len(query.extras), step):
        terms = query.terms[query.offsets[i] : query.offsets[i + 1]]
        total = add_up(postings, terms, space.sums)
        if total * np.uint64(SPARSE) < np.uint64(documents):
            count = collect_touched(postings, terms, query.extras[i], space, k)
        else:
            count = collect_blocks(query.extras[i], space, k)
        if count > k:
            select_largest(keys, count, k)
            count = k
        for j in range(count):
            found[i, j] = keys[j]


def unpack(found: Any, scores: Any, rows: Any) -> None:
    """Keys as `search` leaves them -> float32 and int64 [n, k or more], best first; what is no key leaves its place.

    Sorts `found`. NumPy does, because a compiled sort takes longer to compile than all that is above.
    """
    found.sort(axis=1)
    best, k = found[:, ::-1], found.shape[1]
    there = best > 0
    np.copyto(scores[:, :k], (best >> _HALF).astype(np.uint32).view(np.float32), where=there)
    np.copyto(rows[:, :k], (_LOW - (best & _LOW)).astype(np.int64), where=there)


@compiled
def find(indices: Any, start: Any, stop: Any, row: Any) -> Any:
    """The first position in ``indices[start:stop]`` (ascending) whose row is not below `row`."""
    while start < stop:
        middle = (start + stop) >> np.uint64(1)
        if indices[middle] < row:
            start = middle + np.uint64(1)
        else:
            stop = middle
    return start


@compiled
def score_pair(postings: Any, terms: Any, extra: Any, row: Any) -> Any:
    """The document's score: terms found by binary search, added in the order in which `search` adds."""
    total = np.float32(0)
    for term in terms:
        stop = postings.indptr[term + 1]
        at = find(postings.indices, postings.indptr[term], stop, row)
        if at < stop and postings.indices[at] == row:
            total += postings.data[at]
    return total + extra if total > 0 else np.float32(0)


@compiled
def score(postings: Any, query: Any, rows: Any, first: int, step: int, scores: Any) -> None:
    """Scores of the queries first, first + step, ... with the given rows; NaN where a row is -1."""
    for i in range(first, len(query.extras), step):
        terms = query.terms[query.offsets[i] : query.offsets[i + 1]]
        for j in range(rows.shape[1]):
            if rows[i, j] < 0:
                scores[i, j] = np.nan
            else:
                scores[i, j] = score_pair(postings, terms, query.extras[i], np.uint32(rows[i, j]))
