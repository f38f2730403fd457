"""Cosines between documents, from the stored vectors of a corpus."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hfneg.base.arrays import Floats, Ints
from hfneg.base.lists import Lists, offsets
from hfneg.models import exact_search_plain
from hfneg.models.vectors import Vectors

ROWS, PAIRS = 32_768, 1_000_000
"""At most so many vectors are in RAM, and so many pairs are compared, at a time (but for a single list's)."""


def cosines(vectors: Vectors, left: Ints, right: Ints) -> Floats:
    """float32 [m]: of the documents ``left[i]`` and ``right[i]``; 0 where one has the zero vector.

    The value of a pair does not depend on the other pairs. Encodes what is missing.
    """
    out = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), ROWS // 2):
        some = slice(start, start + ROWS // 2)
        out[some] = _cosines(vectors, left[some], right[some])
    return out


def highest_cosines(vectors: Vectors, left: Lists, right: Lists) -> Floats:
    """float32 [len(left.flat)]: the highest cosine of each document with those of its owner in `right`.

    ``left[o]`` and ``right[o]`` are rows of owner o, which has at least one in `right`.
    """
    out = np.empty(len(left.flat), dtype=np.float32)
    for block in _blocks(left, right):
        ours, theirs = left.take(block), right.take(block)
        each = theirs.lengths[ours.owners]  # how many each is compared with
        compared = theirs.take(ours.owners)
        found = _cosines(vectors, np.repeat(ours.flat, each), compared.flat)
        first, last = left.indptr[block[0]], left.indptr[block[-1] + 1]
        if last > first:
            out[first:last] = np.maximum.reduceat(found, offsets(each)[:-1])
    return out


def _blocks(left: Lists, right: Lists) -> Iterator[Ints]:
    """Consecutive owners, together within ROWS and PAIRS, or one owner."""
    rows, pairs = left.lengths + right.lengths, left.lengths * right.lengths
    start, read, compared = 0, 0, 0
    for owner, (more_rows, more_pairs) in enumerate(zip(rows.tolist(), pairs.tolist(), strict=True)):
        read, compared = read + more_rows, compared + more_pairs
        if owner > start and (read > ROWS or compared > PAIRS):
            yield np.arange(start, owner)
            start, read, compared = owner, more_rows, more_pairs
    if start < len(left):
        yield np.arange(start, len(left))


def _cosines(vectors: Vectors, left: Ints, right: Ints) -> Floats:
    read, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    if not len(read):
        return np.empty(0, dtype=np.float32)
    texts = vectors.rows(read)
    every, squares = np.arange(len(read)), np.empty(len(read), dtype=np.float32)
    exact_search_plain.scored(texts, texts, every, every, squares)
    products = np.empty(len(left), dtype=np.float32)
    exact_search_plain.scored(texts, texts, place[: len(left)], place[len(left) :], products)
    lengths = np.sqrt(squares.astype(np.float64))
    both = lengths[place[: len(left)]] * lengths[place[len(left) :]]
    values: Floats = np.divide(products, both, out=np.zeros_like(both), where=both > 0).astype(np.float32)
    return values
