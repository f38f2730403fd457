"""A teacher that any process can import: it scores by words, and says which pairs it was asked about.

Each line of the file that HFNEG_ASKED names is one pair as JSON, written when the pair's batch is begun.
HFNEG_ASKED_PAUSE is how many seconds a batch takes.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass

import numpy as np

from hfneg.base import store
from hfneg.steps.teachers.base import Received, Teacher

BATCH = 4


@dataclass(frozen=True, repr=False)
class WordTeacher(Teacher):
    """The share of the anchor's words that the document has, and a little for the document's length."""

    weight: float = 0.25

    @property
    def digest(self) -> str:
        return store.digest_of("words", self.weight)

    @property
    def resolved_scale(self) -> str:
        return "from_zero"

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        for start in range(0, len(anchors), BATCH):
            pairs = list(zip(anchors[start : start + BATCH], documents[start : start + BATCH], strict=True))
            say_asked(pairs)
            time.sleep(float(os.environ.get("HFNEG_ASKED_PAUSE", "0")))
            done(range(start, start + len(pairs)), np.array([self.of(*pair) for pair in pairs]))

    def of(self, anchor: str, document: str) -> float:
        words, said = anchor.lower().split(), document.lower().split()
        return sum(word in said for word in words) / max(len(words), 1) + self.weight / (1 + len(said))


def say_asked(pairs: list[tuple[str, str]]) -> None:
    if path := os.environ.get("HFNEG_ASKED"):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, "".join(json.dumps(pair) + "\n" for pair in pairs).encode())
        os.close(handle)
