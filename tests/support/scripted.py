"""Small worlds for the kernels' tests: retrievers that say what they are told to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus

Hits = list[tuple[int, float]]


class SearchOnly:
    """A user's own retriever: one method. `lists` maps an anchor's text to (row, score), best first."""

    def __init__(self, lists: Mapping[str, Hits], name: str = "scripted") -> None:
        self.lists, self.name = dict(lists), name
        self.asked: list[tuple[int, int]] = []  # (texts, k) of each call

    def search(self, texts: Sequence[str], k: int) -> tuple[Any, Any]:
        self.asked.append((len(texts), k))
        scores = np.full((len(texts), k), -np.inf, dtype=np.float32)
        rows = np.full((len(texts), k), -1, dtype=np.int64)
        for i, text in enumerate(texts):
            for j, (row, score) in enumerate(self.lists.get(text, [])[:k]):
                rows[i, j], scores[i, j] = row, score
        return scores, rows


class Scripted(SearchOnly):
    """And with `score`: the listed score, 0 for a row that is not listed."""

    def score(self, texts: Sequence[str], rows: Any) -> Any:
        known = [dict(self.lists.get(text, [])) for text in texts]
        return np.array(
            [[np.nan if r < 0 else known[i].get(int(r), 0.0) for r in row] for i, row in enumerate(rows)],
            dtype=np.float32,
        ).reshape(rows.shape)


def ranked(scores: Mapping[int, float]) -> Hits:
    """(row, score) in hfneg's order: score downwards, then row upwards; scores as float32."""
    return sorted(((row, float(np.float32(score))) for row, score in scores.items()), key=lambda hit: (-hit[1], hit[0]))


def world(documents: Sequence[str], positives: Mapping[str, Sequence[int]]) -> Anchors:
    """Anchors over a corpus of distinct `documents`; `positives` gives each anchor's rows."""
    corpus = Corpus.from_texts(documents)
    pairs = [{"q": text, "a": [documents[row] for row in rows]} for text, rows in positives.items()]
    return Anchors(pairs, corpus, anchor="q", positive="a", positives_are="text")


def decided(policy: Any, anchors: Any, candidates: Any) -> Any:
    """What a policy makes of candidates: a block, its verdicts, and its negatives as lists."""
    block = policy.decided(anchors, policy.guard.marked(anchors, candidates))
    chosen = policy.negatives(block)
    return SimpleNamespace(block=block, verdicts=block.verdicts, negatives=chosen.rows, scores=chosen.scores)
