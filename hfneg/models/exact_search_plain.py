"""Exact search for the largest inner products in plain NumPy, bit-equal to `dense_kernels`; see `hfneg.base.small`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints
from hfneg.base.small import Allowance

Vectors32 = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

ALLOWANCE = Allowance(1e8)  # products of two numbers
LANES = 64  # of the definition of a score, see `dense_kernels.dot`
AT_ONCE = 1 << 22  # numbers multiplied at once
LARGE = 1e37  # products near the end of float32 are left to the kernels, which know when to refuse them


def search(queries: Vectors32, blocks: Iterable[tuple[int, Vectors32]], k: int) -> tuple[Scores, Ints] | None:
    """As `dense_kernels.search`; None where a product might not fit into float32."""
    firsts, parts = zip(*((first, np.asarray(block)) for first, block in blocks), strict=True)
    if max(_longest(part) for part in parts) * _longest(queries) >= LARGE:
        return None
    numbers = np.concatenate([np.arange(first, first + len(part)) for first, part in zip(firsts, parts, strict=True)])
    found = np.concatenate([_all_pairs(queries, part) for part in parts], axis=1)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    for i, values in enumerate(found):
        order = np.lexsort((numbers, -values))[:k]
        scores[i, : len(order)], rows[i, : len(order)] = values[order], numbers[order]
    return scores, rows


def score_pairs(queries: Vectors32, vectors: Vectors32, of_query: Ints, of_vector: Ints, out: Scores) -> None:
    """As `dense_kernels.score_pairs`."""
    step = max(1, AT_ONCE // max(1, queries.shape[1]))
    for at in range(0, len(of_query), step):
        some = slice(at, at + step)
        left = np.asarray(queries[of_query[some]], dtype=np.float64)
        out[some] = _sums(left * vectors[of_vector[some]])


def scored(queries: Vectors32, vectors: Vectors32, of_query: Ints, of_vector: Ints, out: Scores) -> None:
    """out[i] = the score of queries[of_query[i]] and vectors[of_vector[i]], plainly or by the kernels."""
    if ALLOWANCE.takes(len(of_query) * queries.shape[1]):
        score_pairs(queries, vectors, of_query, of_vector, out)
        return
    from hfneg.models import exact_search

    exact_search.score_pairs(queries, vectors, of_query, of_vector, out)


def _longest(vectors: Vectors32) -> float:
    return float(np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1).max(initial=0.0)))


def _all_pairs(queries: Vectors32, vectors: Vectors32) -> Scores:
    """float32 [queries, vectors]."""
    wide = vectors.astype(np.float64)
    found = np.empty((len(queries), len(vectors)), dtype=np.float32)
    step = max(1, AT_ONCE // max(1, vectors.shape[1]))
    for i, query in enumerate(queries):
        for at in range(0, len(vectors), step):
            found[i, at : at + step] = _sums(wide[at : at + step] * query)
    return found


def _sums(products: npt.NDArray[np.float64]) -> Scores:
    """float32 [n]: each row's sum in the order of `dense_kernels.dot`."""
    n, d = products.shape
    sums = np.zeros((n, LANES))
    whole = d // LANES * LANES
    for start in range(0, whole, LANES):
        sums += products[:, start : start + LANES]
    sums[:, : d - whole] += products[:, whole:]
    left = LANES
    while left > 1:
        left //= 2
        sums[:, :left] += sums[:, left : 2 * left]
    return sums[:, 0].astype(np.float32)
