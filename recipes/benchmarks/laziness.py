"""What asking on demand saves: (anchor, document) pairs that the teacher is asked about, against all candidates.

    python recipes/benchmarks/laziness.py --anchors 500 --candidates 100

The teacher is simulated: it puts a positive at 1, and so many candidates above the margin's limit as the column says,
wherever they stand in the list. Both ways run in the same process, each with an empty score store, and must choose
the same negatives. Counts of pairs, which are exact, not times: a teacher that costs something costs it per pair.

Real unlabelled positives gather at the top of a list, where they are asked about first. The last column is the bound
for that: the share if all rejected candidates stood above all others.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np

REJECTED = (0.1, 0.3, 0.5)
NEGATIVES = (5, 7, 10)


class Simulated:
    """Counts its pairs; the score of a pair depends on its texts alone."""

    def __init__(self, rate: float) -> None:
        self.rate, self.asked = rate, 0

    def __call__(self, anchors: Sequence[str], documents: Sequence[str]) -> list[float]:
        from hfneg.base.hashing import hash_texts, uniform

        self.asked += len(anchors)
        drawn = uniform(hash_texts([a + d for a, d in zip(anchors, documents, strict=True)])["low"])
        answers = [
            anchor.rpartition(" ")[2] == document.rpartition(" ")[2]
            for anchor, document in zip(anchors, documents, strict=True)
        ]
        return np.where(answers, 1.0, np.where(drawn < self.rate, 0.99, drawn * 0.9)).tolist()


class Listed:
    """Every anchor's candidates: the documents that follow its number, so that neighbours share most of them."""

    name = "listed"

    def __init__(self, documents: int) -> None:
        self.documents = documents

    def search(self, texts: Sequence[str], k: int) -> tuple[Any, Any]:
        first = np.array([int(text.rpartition(" ")[2]) for text in texts])
        rows = (first[:, None] + np.arange(1, k + 1)) % self.documents
        return np.broadcast_to(np.arange(k, 0, -1, dtype=np.float32), rows.shape), rows


def asked(rate: float, n: int, candidates: int, anchors: Any, batch: Any) -> tuple[int, list[Any]]:
    """Pairs asked, and the negatives, with an empty store."""
    import hfneg

    teacher = Simulated(rate)
    recipe = hfneg.Recipe(
        retrievers=Listed(len(anchors.corpus)),
        k=candidates,
        teacher=hfneg.FunctionTeacher(teacher, id="simulated", scale="from_zero"),
        filters=hfneg.Margin(relative=0.05),
        sampler=hfneg.TakeTop(n),
    )
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, HFNEG_STORE=folder):
        negatives = recipe.transform(anchors)(batch)["hard_negative_ids"]
    return teacher.asked, negatives


def compare(ask: Callable[..., tuple[int, list[Any]]], rate: float, n: int, candidates: int) -> str:
    """One line of the table."""
    from hfneg.pipeline.policy import Policy

    lazily, chosen = ask(rate, n)
    with mock.patch.object(Policy, "why_not_lazy", "the benchmark"):
        fully, expected = ask(rate, n)
    assert chosen == expected, "asking on demand chose other negatives"
    worst = (rate * candidates + n + 1) / (candidates + 1)
    ratios = f"{lazily / fully:>6.1%}  {fully / lazily:>5.1f}x  {worst:>6.1%}"
    return f"{n:>9}  {rate:>8.0%}  {lazily:>9,}  {fully:>9,}  {ratios}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, default=500)
    parser.add_argument("--candidates", type=int, default=100)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HFNEG_STORE"] = folder
        import hfneg

        logging.getLogger("hfneg").setLevel(logging.ERROR)  # it would warn that everything is scored
        count = chosen.anchors + chosen.candidates + 100
        draw = np.random.default_rng(0)
        texts = [" ".join(f"w{word}" for word in draw.integers(0, 10**6, 6)) + f" {i}" for i in range(count)]
        batch = {"query": [f"question {i}" for i in range(chosen.anchors)], "answer": texts[: chosen.anchors]}
        rows = [{"query": q, "answer": a} for q, a in zip(batch["query"], batch["answer"], strict=True)]
        anchors = hfneg.Anchors(rows, hfneg.Corpus.from_texts(texts), anchor="query", positive="answer")

        def ask(rate: float, n: int) -> tuple[int, list[Any]]:
            return asked(rate, n, chosen.candidates, anchors, batch)

        print(f"{chosen.anchors} anchors with {chosen.candidates} candidates and one positive each")
        print("negatives  rejected     lazily        all   share  saving   worst")
        for rate in REJECTED:
            for n in NEGATIVES:
                print(compare(ask, rate, n, chosen.candidates))


if __name__ == "__main__":
    main()
