"""Near-duplicates: the kernels against the definition in plain Python."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from near_oracle import PIECES, jaccard, lengths_agree, shingles, variants

from hfneg.base.lists import Lists, offsets
from hfneg.data.near_duplicates import LEAST, LIKE, contained, near_duplicates, shingle_sets, similar_pairs


def containment(left: str, right: str) -> float:
    """0 for texts that are too short, or too much of one length, to be asked about."""
    a, b = shingles(left), shingles(right)
    smaller = min(len(a), len(b))
    return len(a & b) / smaller if smaller >= LEAST and lengths_agree(left, right) < LIKE else 0.0


@pytest.mark.parametrize("share", [0.5, 0.55, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_exactly_the_pairs_of_the_definition_are_found(share: float) -> None:
    """Sampling the shingles rules out no pair whose lengths and sets agree, and lets none through that do not."""
    draw = random.Random(int(share * 100))
    found = 0
    for _ in range(40):
        texts = variants(draw, 12)
        left = Lists(offsets([3, 0, 3]), np.array([draw.randrange(12) for _ in range(6)]))
        right = Lists(offsets([3, 2, 3]), np.array([draw.randrange(12) for _ in range(8)]))
        of_one_owner = [
            (i, j, texts[left.flat[i]], texts[right.flat[j]])
            for i in range(len(left.flat))
            for j in range(len(right.flat))
            if left.owners[i] == right.owners[j]
        ]
        similar = [(i, j) for i, j, a, b in of_one_owner if jaccard(a, b) >= share]
        alike = [(i, j) for i, j, a, b in of_one_owner if jaccard(a, b) >= share and lengths_agree(a, b) >= share]
        i, j = similar_pairs(shingle_sets(texts), left, right, share)
        assert list(zip(i.tolist(), j.tolist(), strict=True)) == similar
        i, j = near_duplicates(pa.array(texts, pa.large_string()), left, right, share)
        assert list(zip(i.tolist(), j.tolist(), strict=True)) == alike
        found += len(alike)
    assert found > 40


def parts(draw: random.Random, count: int) -> list[str]:
    """Pieces of one text, edited, some among other pieces."""
    texts = []
    for text in variants(draw, count):
        start, stop = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
        around = "".join(draw.choice(PIECES) for _ in range(draw.randrange(40)))
        texts.append(draw.choice((text, text[start:stop] or "x", around + text, text[start:stop] + around + "x")))
    return texts


@pytest.mark.parametrize("share", [0.5, 0.55, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_exactly_the_pairs_that_contain_one_another_are_found(share: float) -> None:
    """Sampling the shingles rules out no pair of which one contains the other, and lets none through that does not."""
    draw = random.Random(int(share * 1000))
    found = 0
    for _ in range(40):
        texts = parts(draw, 12)
        left = Lists(offsets([3, 0, 3]), np.array([draw.randrange(12) for _ in range(6)]))
        right = Lists(offsets([3, 2, 3]), np.array([draw.randrange(12) for _ in range(8)]))
        expected = [
            (i, j)
            for i in range(len(left.flat))
            for j in range(len(right.flat))
            if left.owners[i] == right.owners[j] and containment(texts[left.flat[i]], texts[right.flat[j]]) >= share
        ]
        i, j = contained(pa.array(texts, pa.large_string()), left, right, share)
        assert list(zip(i.tolist(), j.tolist(), strict=True)) == expected
        found += len(expected)
    assert found > 40


def test_nothing_to_compare() -> None:
    """No texts and no lists give no pairs."""
    nothing = Lists(np.zeros(1, dtype=np.int64), np.empty(0, dtype=np.int64))
    i, j = near_duplicates(pa.array([], pa.large_string()), nothing, nothing, 0.9)
    assert len(i) == len(j) == 0
