"""Exact maximum inner product search (imported at first use only: numba is slow to import).

The score of a pair is defined by `dot`: products and sums in float64, in an order that depends on the
number of dimensions alone, rounded to float32. A float32 matrix product (BLAS, whose last bits depend on
shape and threads) only decides which pairs are worth scoring, and never decides wrongly:

    Let u = 2**-24, g(m) = m u / (1 - m u), and |q|, |x| the lengths of the two vectors. In whatever order
    BLAS adds, fused or not, its value differs from the true one by at most g(d) |q| |x| (Higham, Accuracy
    and Stability of Numerical Algorithms, 2002, section 3.1). `dot` differs by far less than u |q| |x|, and
    rounding its value to float32 by at most u |q| |x| (1 + small). So BLAS and score are never further
    apart than slack = g(d + 2) |q| |x|, plus d times the smallest normal float32 for what underflows.

A pair can therefore be among the k best only if its BLAS value is at least the k-th score so far less one
slack. Inside one block, k BLAS values >= v mean k scores >= v - slack, so it also needs v - 2 slack. All
pairs above both are scored, however many there are: nothing has to be widened, and a thousand documents
with one vector come out in the order of their rows.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from hfneg.errors import NonFiniteError

TILE_QUERIES, TILE_ROWS = 2_048, 8_192  # 64 MB of float32
SEGMENT = 2_048  # BLAS values between two looks at the k-th best of them: selecting among few is cheap
LANES = 64  # sums of `dot`; part of the definition of a score
CHUNK = 128  # BLAS values looked at together; most chunks hold nothing worth keeping
TASK = 64  # queries per task of a thread

Vectors32 = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def compiled(function: Callable[..., Any]) -> Any:
    """numba.njit without the GIL, kept on disk where a folder for it can be written (NUMBA_CACHE_DIR)."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": neither the package's folder nor the user's cache is writable
        return numba.njit(nogil=True)(function)


# The definition of a score.


@compiled
def dot(x: Vectors32, y: Vectors32, sums: Floats) -> float:
    """The inner product in float64, as LANES sums, then halves added to halves. `sums` is scratch [LANES].

    Sums side by side, because their loop has no order inside it: it vectorises without permission to
    change one. Dimension i goes to sum i % LANES, in ascending order.
    """
    d = len(x)
    whole = d // LANES * LANES
    sums[:LANES] = 0.0
    for start in range(0, whole, LANES):
        for i in range(LANES):
            sums[i] += np.float64(x[start + i]) * np.float64(y[start + i])
    for i in range(whole, d):
        sums[i - whole] += np.float64(x[i]) * np.float64(y[i])
    left = LANES
    while left > 1:
        left //= 2
        for i in range(left):
            sums[i] += sums[i + left]
    return sums[0]  # type: ignore[no-any-return]


@compiled
def _lengths(vectors: Vectors32, out: Floats) -> None:
    sums = np.empty(LANES, dtype=np.float64)
    for i in range(len(vectors)):
        out[i] = math.sqrt(dot(vectors[i], vectors[i], sums))


@compiled
def score_pairs(queries: Vectors32, vectors: Vectors32, of_query: Rows, of_vector: Rows, out: Scores) -> None:
    """out[i] = the score of queries[of_query[i]] and vectors[of_vector[i]]."""
    sums = np.empty(LANES, dtype=np.float64)
    for i in range(len(of_query)):
        out[i] = np.float32(dot(queries[of_query[i]], vectors[of_vector[i]], sums))


# A heap per query with the worst of its k best at the root: lowest score, of equal scores the highest row.


@compiled
def _worse(score: float, row: int, other_score: float, other_row: int) -> bool:
    return score < other_score or (score == other_score and row > other_row)


@compiled
def _sink(scores: Scores, rows: Rows, size: int, score: float, row: int) -> None:
    """Put (score, row) in the root's place and restore the heap of the first `size` entries."""
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _worse(scores[child + 1], rows[child + 1], scores[child], rows[child]):
            child += 1
        if not _worse(scores[child], rows[child], score, row):
            break
        scores[at], rows[at] = scores[child], rows[child]
        at = child
    scores[at], rows[at] = score, row


@compiled
def sort_heaps(scores: Scores, rows: Rows, start: int, stop: int) -> None:
    """Turn the heaps of queries `start` .. `stop` - 1 into lists, best first."""
    for i in range(start, stop):
        for size in range(scores.shape[1] - 1, 0, -1):
            score, row = scores[i, size], rows[i, size]
            scores[i, size], rows[i, size] = scores[i, 0], rows[i, 0]
            _sink(scores[i], rows[i], size, score, row)


# The search.


@compiled
def _at_least(values: Scores, first: int, last: int, cut: float, found: Rows, count: int) -> int:
    """Append the positions (`first` .. `last` - 1) of values >= cut to found[:count]; the new count."""
    for start in range(first, last, CHUNK):
        chunk = values[start : min(start + CHUNK, last)]
        here = 0
        for i in range(len(chunk)):
            here += chunk[i] >= cut
        if here:
            for i in range(len(chunk)):
                if chunk[i] >= cut:
                    found[count] = start + i
                    count += 1
    return count


@compiled
def _keep(values: Scores, cut: float, found: Rows, count: int) -> int:
    """Drop from found[:count] what is below the cut; the new count."""
    kept = 0
    for i in range(count):
        if values[found[i]] >= cut:
            found[kept] = found[i]
            kept += 1
    return kept


@compiled
def _survivors(values: Scores, k: int, cut: float, slack: float, found: Rows) -> int:
    """Positions of the BLAS values that can still be among the k best into `found`, ascending; their count."""
    count = 0
    for start in range(0, len(values), SEGMENT):
        stop = min(start + SEGMENT, len(values))
        count = _at_least(values, start, stop, cut, found, count)
        if count > 2 * k or (count > k and stop == len(values)):
            kth = np.partition(values[found[:count]], count - k)[count - k]
            if np.float64(kth) - 2 * slack > cut:
                cut = np.float64(kth) - 2 * slack
                count = _keep(values, cut, found, count)
    return count


@compiled
def merge(
    tile: Scores,
    queries: Vectors32,
    vectors: Vectors32,
    first_row: int,
    slack: Floats,
    scores: Scores,
    rows: Rows,
    start: int,
    stop: int,
) -> None:
    """Bring one block into the heaps of queries `start` .. `stop` - 1; tile: BLAS values [queries, vectors]."""
    k = scores.shape[1]
    sums = np.empty(LANES, dtype=np.float64)
    found = np.empty(len(vectors), dtype=np.int64)
    for i in range(start, stop):
        cut = np.float64(scores[i, 0]) - slack[i]
        for j in found[: _survivors(tile[i], k, cut, slack[i], found)]:
            if tile[i, j] >= cut:
                score = np.float32(dot(queries[i], vectors[j], sums))
                if _worse(scores[i, 0], rows[i, 0], score, first_row + j):
                    _sink(scores[i], rows[i], k, score, first_row + j)
                    cut = np.float64(scores[i, 0]) - slack[i]


def search(queries: Vectors32, blocks: Iterable[tuple[int, Vectors32]], k: int) -> tuple[Scores, Rows]:
    """float32 [n, k] and int64 [n, k]: the k best by (-score, row); -inf and -1 behind the last document.

    Args:
        queries: float32 [n, d].
        blocks: (row of the block's first vector, float32 [rows, d]); each is read once, for all queries.

    Equal in every bit for any blocks, any number of queries at once and any number of threads. Beside the
    result it holds one tile (64 MB). Raises NonFiniteError where a product cannot be held in float32.
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    tile = np.empty(min(len(queries), TILE_QUERIES) * TILE_ROWS, dtype=np.float32)
    with ThreadPoolExecutor(n_threads()) as pool:
        lengths = _all_lengths(pool, queries)
        for first, block in blocks:
            for at in range(0, len(block), TILE_ROWS):
                part = block[at : at + TILE_ROWS]
                slack = _slack(queries.shape[1], lengths, float(_all_lengths(pool, part).max(initial=0.0)))
                _search_block(pool, tile, queries, part, first + at, slack, scores, rows)
        _each(pool, len(queries), functools.partial(sort_heaps, scores, rows))
    return scores, rows


def _search_block(
    pool: Executor,
    tile: Scores,
    queries: Vectors32,
    block: Vectors32,
    first: int,
    slack: Floats,
    scores: Scores,
    rows: Rows,
) -> None:
    for at in range(0, len(queries), TILE_QUERIES):
        some = slice(at, at + TILE_QUERIES)
        ours = queries[some]
        values = tile[: len(ours) * len(block)].reshape(len(ours), len(block))
        np.matmul(ours, block.T, out=values)
        _each(
            pool,
            len(ours),
            functools.partial(merge, values, ours, block, first, slack[some], scores[some], rows[some]),
        )


def _slack(d: int, lengths: Floats, longest: float) -> Floats:
    """float64 [n]: how far BLAS and score can be apart, for queries of `lengths`; see the module's text."""
    sizes = lengths * longest * (1 + 1e-12)  # the lengths themselves were rounded
    if not (sizes < 1e38).all():
        raise NonFiniteError(
            f"inner products of vectors of lengths {float(lengths.max()):.3g} and {longest:.3g} do not fit float32; "
            "normalise the vectors (similarity_fn_name='cosine')"
        )
    unit = (d + 2) * 2.0**-24
    slack: Floats = unit / (1 - unit) * sizes + d * float(np.finfo(np.float32).tiny)
    return slack


def _all_lengths(pool: Executor, vectors: Vectors32) -> Floats:
    out = np.empty(len(vectors), dtype=np.float64)
    _each(pool, len(vectors), lambda start, stop: _lengths(vectors[start:stop], out[start:stop]), task=1024)
    return out


def _each(pool: Executor, n: int, work: Callable[[int, int], None], task: int = TASK) -> None:
    """`work(start, stop)` over 0 .. n, in threads."""
    for future in [pool.submit(work, start, min(start + task, n)) for start in range(0, n, task)]:
        future.result()


def n_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
