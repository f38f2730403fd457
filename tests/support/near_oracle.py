"""Near-duplicates in plain Python."""

from __future__ import annotations

import random

from hfneg.base.hashing import normal_form

PIECES = ("a", "ab", "the cat ", "ß", "ﬁ", "é", "  ", "xyz", "İ", "ﷺ")


def shingles(text: str) -> set[bytes]:
    data = normal_form(text).encode().ljust(8, b"\0")
    return {data[i : i + 8] for i in range(len(data) - 7)}


def jaccard(left: str, right: str) -> float:
    a, b = shingles(left), shingles(right)
    return len(a & b) / len(a | b)


def lengths_agree(left: str, right: str) -> float:
    a, b = len(left.encode()), len(right.encode())
    return min(a, b) / max(a, b)


def variants(draw: random.Random, count: int) -> list[str]:
    """Texts that differ in a few places, with characters whose normal form is longer or shorter."""
    base = [draw.choice(PIECES) for _ in range(draw.randrange(1, 200))]
    texts = []
    for _ in range(count):
        pieces = list(base)
        for _ in range(draw.randrange(6)):
            pieces[draw.randrange(len(pieces))] = draw.choice(("q", "Q", "", "ab" * draw.randrange(5)))
        texts.append("".join(pieces) or "x")
    return texts
