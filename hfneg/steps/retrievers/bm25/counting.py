"""The inner loops of building a BM25 index: vocabulary, document frequencies, counting sort."""

from __future__ import annotations

from typing import Any

import numpy as np

from hfneg.base.compiling import compiled


@compiled
def insert_terms(high: Any, low: Any, ids: Any, size: int, new_high: Any, new_low: Any, out: Any) -> int:
    """Look up or insert 128-bit hashes in an open table (2^n slots, id -1 = free); the new size."""
    mask = np.uint64(len(ids) - 1)
    for i in range(len(out)):
        slot = new_low[i] & mask
        while ids[slot] >= 0 and (low[slot] != new_low[i] or high[slot] != new_high[i]):
            slot = (slot + np.uint64(1)) & mask
        if ids[slot] < 0:
            high[slot], low[slot], ids[slot] = new_high[i], new_low[i], size
            size += 1
        out[i] = ids[slot]
    return size


@compiled
def count_documents(tokens: Any, offsets: Any, last: Any, frequencies: Any) -> None:
    """Add up in how many documents each term occurs; `last` (all -1) is scratch."""
    for document in range(len(offsets) - 1):
        for j in range(offsets[document], offsets[document + 1]):
            term = tokens[j]
            if last[term] != document:
                last[term] = document
                frequencies[term] += 1


@compiled
def fill_postings(tokens: Any, offsets: Any, last: Any, heads: Any, indices: Any, counts: Any) -> None:
    """Counting sort into CSC: rows and term counts; `heads` starts as indptr[:-1], `last` as all -1."""
    for document in range(len(offsets) - 1):
        for j in range(offsets[document], offsets[document + 1]):
            term = tokens[j]
            head = heads[term]
            if last[term] == document:
                counts[head - 1] += 1
            else:
                last[term] = document
                indices[head] = document
                counts[head] = 1
                heads[term] = head + 1
