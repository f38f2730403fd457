"""A teacher that counts what it is asked."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import hfneg

Pairs = list[tuple[str, str]]


ids = (f"judge-{i}" for i in itertools.count())


class Judge:
    """A teacher's function that keeps every pair it was asked about."""

    def __init__(self, of: Callable[[str, str], float]) -> None:
        self.of = of
        self.pairs: Pairs = []

    def __call__(self, anchors: list[str], documents: list[str]) -> list[float]:
        asked = list(zip(anchors, documents, strict=True))
        self.pairs += asked
        return [self.of(*pair) for pair in asked]

    def teacher(self, **kwargs: Any) -> hfneg.FunctionTeacher:
        return hfneg.FunctionTeacher(self, **{"id": next(ids), "scale": "from_zero", **kwargs})

    def forget(self) -> int:
        """How many pairs it was asked about since the last time."""
        count = len(self.pairs)
        self.pairs = []
        return count
