"""Exact maximum inner product search (imported at first use only: numba is slow to import).

The score of a pair is defined by `dot`: products and sums in float64, in an order that depends on the
number of dimensions alone, rounded to float32. A fast matrix product (`dense_products`), whose last bits
depend on shape and threads, only decides which pairs are worth scoring, and never decides wrongly: its
value and the score are at most `slack` apart, but for a last rounding by at most `relative` of itself.

A pair can therefore be among the k best only if its product is at least the k-th score so far less one
slack. Inside one block, k products >= v mean k scores >= v - slack, so it also needs v - 2 slack (and a
little, for the last rounding). All pairs above both are scored, however many there are: nothing has to be
widened, and a thousand documents with one vector come out in the order of their rows.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints
from hfneg.base.compiling import compiled
from hfneg.base.selecting_kernels import select_largest
from hfneg.models import products

TILE_QUERIES, TILE_ROWS = 2_048, 8_192  # 64 MB of float32
SEGMENT = 2_048  # products between two looks at the k-th best of them: selecting among few is cheap
LANES = 64  # sums of `dot`; part of the definition of a score
CHUNK = 128  # products looked at together; most chunks hold nothing worth keeping
FEW = 256  # pairs per query and block, beyond k, that may be scored before the product is thought too coarse
TASK = 64  # queries per task of a thread

Vectors32 = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


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
def score_pairs(queries: Vectors32, vectors: Vectors32, of_query: Ints, of_vector: Ints, out: Scores) -> None:
    """out[i] = the score of queries[of_query[i]] and vectors[of_vector[i]]."""
    sums = np.empty(LANES, dtype=np.float64)
    for i in range(len(of_query)):
        out[i] = np.float32(dot(queries[of_query[i]], vectors[of_vector[i]], sums))


# A heap per query with the worst of its k best at the root: lowest score, of equal scores the highest row.


@compiled
def _worse(score: float, row: int, other_score: float, other_row: int) -> bool:
    return score < other_score or (score == other_score and row > other_row)


@compiled
def _sink(scores: Scores, rows: Ints, size: int, score: float, row: int) -> None:
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
def sort_heaps(scores: Scores, rows: Ints, start: int, stop: int) -> None:
    """Turn the heaps of queries `start` .. `stop` - 1 into lists, best first."""
    for i in range(start, stop):
        for size in range(scores.shape[1] - 1, 0, -1):
            score, row = scores[i, size], rows[i, size]
            scores[i, size], rows[i, size] = scores[i, 0], rows[i, 0]
            _sink(scores[i], rows[i], size, score, row)


# The search.


@compiled
def _at_least(values: Scores, first: int, last: int, cut: float, found: Ints, count: int) -> int:
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
def _keep(values: Scores, cut: float, found: Ints, count: int) -> int:
    """Drop from found[:count] what is below the cut; the new count."""
    kept = 0
    for i in range(count):
        if values[found[i]] >= cut:
            found[kept] = found[i]
            kept += 1
    return kept


@compiled
def _least_product(score: float, slack: float, relative: float) -> float:
    """What the product of a pair with at least this score cannot be below."""
    least = score - slack
    return least - relative * abs(least) if least > -np.inf else least


@compiled
def _least_score(product: float, slack: float, relative: float) -> float:
    """What the score of a pair with at least this product cannot be below."""
    return (product / (1 + relative) if product > 0 else product / (1 - relative)) - slack


@compiled
def _survivors(values: Scores, k: int, cut: float, slack: float, relative: float, found: Ints, scratch: Scores) -> int:
    """Positions of the products that can still be among the k best into `found`, ascending; their count."""
    count = 0
    for start in range(0, len(values), SEGMENT):
        stop = min(start + SEGMENT, len(values))
        count = _at_least(values, start, stop, cut, found, count)
        if count > 2 * k or (count > k and stop == len(values)):
            for i in range(count):
                scratch[i] = values[found[i]]
            select_largest(scratch, count, k)
            least = _least_product(_least_score(np.float64(scratch[k - 1]), slack, relative), slack, relative)
            if least > cut:
                cut = least
                count = _keep(values, cut, found, count)
    return count


@compiled
def merge(
    tile: Scores,
    queries: Vectors32,
    vectors: Vectors32,
    first_row: int,
    slack: Floats,
    relative: float,
    scores: Scores,
    rows: Ints,
    start: int,
    stop: int,
) -> int:
    """Bring one block into the heaps of queries `start` .. `stop` - 1; tile: products [queries, vectors].

    Returns how many pairs had to be scored.
    """
    k = scores.shape[1]
    scored = 0
    sums = np.empty(LANES, dtype=np.float64)
    found = np.empty(len(vectors), dtype=np.int64)
    scratch = np.empty(len(vectors), dtype=np.float32)
    for i in range(start, stop):
        cut = _least_product(np.float64(scores[i, 0]), slack[i], relative)
        count = _survivors(tile[i], k, cut, slack[i], relative, found, scratch)
        for at in range(count):
            j = found[at]
            if tile[i, j] >= cut:
                scored += 1
                score = np.float32(dot(queries[i], vectors[j], sums))
                if _worse(scores[i, 0], rows[i, 0], score, first_row + j):
                    _sink(scores[i], rows[i], k, score, first_row + j)
                    cut = _least_product(np.float64(scores[i, 0]), slack[i], relative)
    return scored


def search(queries: Vectors32, blocks: Iterable[tuple[int, Vectors32]], k: int) -> tuple[Scores, Ints]:
    """float32 [n, k] and int64 [n, k]: the k best by (-score, row); -inf and -1 behind the last document.

    Args:
        queries: float32 [n, d].
        blocks: (row of the block's first vector, float32 [rows, d]); each is read once, for all queries.

    Equal in every bit for any blocks, any number of queries at once and any number of threads. Beside the
    result it holds one tile (64 MB, and half as much for bfloat16). Raises NonFiniteError where a product
    cannot be held in float32.
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    tile = np.empty(min(len(queries), TILE_QUERIES) * TILE_ROWS, dtype=np.float32)
    product = products.fastest(len(queries))
    with ThreadPoolExecutor(n_threads()) as pool:
        sizes = _query_sizes(pool, product, queries)
        for first, block in blocks:
            for at in range(0, len(block), TILE_ROWS):
                part = block[at : at + TILE_ROWS]
                scored = _search_block(pool, product, tile, queries, sizes, part, first + at, scores, rows)
                if scored > (k + FEW) * len(queries) and product.relative:  # vectors too close for a coarse product
                    product = products.Float32()
                    sizes = _query_sizes(pool, product, queries)
        _each(pool, len(queries), functools.partial(sort_heaps, scores, rows))
    return scores, rows


def _search_block(
    pool: Executor,
    product: products.Product,
    tile: Scores,
    queries: Vectors32,
    sizes: products.Sizes,
    block: Vectors32,
    first: int,
    scores: Scores,
    rows: Ints,
) -> int:
    """Returns how many pairs had to be scored."""
    documents = product.block(block)
    slack = products.slack(product, queries.shape[1], sizes, _sizes(pool, product, block, documents))
    scored = 0
    for at in range(0, len(queries), TILE_QUERIES):
        some = slice(at, at + TILE_QUERIES)
        ours = queries[some]
        values = tile[: len(ours) * len(block)].reshape(len(ours), len(block))
        product.into(values, ours, documents)
        place = (first, slack[some], product.relative, scores[some], rows[some])
        scored += sum(_each(pool, len(ours), functools.partial(merge, values, ours, block, *place)))
    return scored


def _sizes(pool: Executor, product: products.Product, vectors: Vectors32, block: Any) -> products.Sizes:
    lengths, away = _all_lengths(pool, vectors), product.rounded_away(vectors, block)
    return products.Sizes(lengths, np.zeros_like(lengths) if away is None else _all_lengths(pool, away))


def _query_sizes(pool: Executor, product: products.Product, queries: Vectors32) -> products.Sizes:
    starts = range(0, len(queries), TILE_QUERIES)
    parts = [queries[at : at + TILE_QUERIES] for at in starts]
    sizes = [_sizes(pool, product, part, product.block(part)) for part in parts]
    return products.Sizes(*(np.concatenate(column) for column in zip(*sizes, strict=True)))


def _all_lengths(pool: Executor, vectors: Vectors32) -> Floats:
    out = np.empty(len(vectors), dtype=np.float64)
    _each(pool, len(vectors), lambda start, stop: _lengths(vectors[start:stop], out[start:stop]), task=1024)
    return out


def _each(pool: Executor, n: int, work: Callable[[int, int], Any], task: int = TASK) -> list[Any]:
    """`work(start, stop)` over 0 .. n, in threads; the results in order."""
    return [future.result() for future in [pool.submit(work, at, min(at + task, n)) for at in range(0, n, task)]]


def n_threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
