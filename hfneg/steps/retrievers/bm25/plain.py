"""BM25 search and scores in plain NumPy, bit-equal to the kernels: for small work, see `hfneg.base.small`."""

from __future__ import annotations

from typing import Any

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.base.small import Allowance
from hfneg.steps.retrievers.base import Scores

ALLOWANCE = Allowance(3e7)  # documents looked at, and as much for the steps that every query takes: half a second
QUERY = 20_000


def search(postings: Any, query: Any, documents: int, k: int, scores: Scores, rows: Ints) -> None:
    """As `bm25_kernels.search`, for all queries: writes float32 and int64 [n, k or more]."""
    sums = np.zeros(documents, dtype=np.float32)
    for i, extra in enumerate(query.extras):
        sums[:] = 0
        for term in query.terms[query.offsets[i] : query.offsets[i + 1]]:
            some = slice(postings.indptr[term], postings.indptr[term + 1])
            sums[postings.indices[some]] += postings.data[some]  # a row stands once among a term's postings
        found = np.flatnonzero(sums > 0)
        values = sums[found] + extra
        if len(found) > k:
            kth = np.partition(values, len(found) - k)[len(found) - k]
            found, values = found[values >= kth], values[values >= kth]
        order = np.lexsort((found, -values))[:k]
        scores[i, : len(order)], rows[i, : len(order)] = values[order], found[order]


def score(postings: Any, query: Any, rows: Ints, scores: Scores) -> None:
    """As `bm25_kernels.score`, for all queries."""
    for i, extra in enumerate(query.extras):
        wanted = rows[i]
        total = np.zeros(len(wanted), dtype=np.float32)
        for term in query.terms[query.offsets[i] : query.offsets[i + 1]]:
            some = slice(postings.indptr[term], postings.indptr[term + 1])
            indices, data = postings.indices[some], postings.data[some]
            at = np.minimum(np.searchsorted(indices, wanted), len(indices) - 1)
            there = indices[at] == wanted
            total[there] += data[at[there]]
        scores[i] = np.where(wanted < 0, np.float32(np.nan), np.where(total > 0, total + extra, np.float32(0)))
