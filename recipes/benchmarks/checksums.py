"""What it costs to compare files with their checksums at their first use, beside what follows, in one run.

    python recipes/benchmarks/checksums.py                       # 100,000 documents, about a minute
    python recipes/benchmarks/checksums.py --documents 1000000   # minutes

For each kind of artefact: MB, CPU milliseconds of a comparison (all files read and hashed, from the page cache), and
the CPU time of one use as a multiple of it: a pass over all texts, an exact search for 1,000 queries, one look-up of
100,000 scores. Medians over rounds. A process compares once, however often it then searches.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hfneg.base import store
from hfneg.base.files import checksums
from hfneg.base.hashing import HASH
from hfneg.base.store.old_files import part_fault
from hfneg.base.store.score_files import Segment
from hfneg.base.store.scores import ScoreStore

DIMENSIONS = 384


class RandomVectors:
    """Stands for a model: a vector of its own for every text, at no cost."""

    id = "random-vectors"
    similarity_fn_name = "cosine"

    def encode(self, texts: list[str]) -> Any:
        vectors = np.random.default_rng(len(texts)).normal(size=(len(texts), DIMENSIONS)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def texts(count: int, words: int) -> list[str]:
    """Words follow Zipf's law."""
    ranks = np.random.default_rng(words).zipf(1.2, size=(count, words)) % 200_000
    return [" ".join(f"w{rank}x" for rank in row) for row in ranks]


def cpu(rounds: int, call: Callable[[], Any]) -> float:
    """Median CPU seconds, of all threads."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def compare(folder: Path, look: Callable[[Path], Any]) -> None:
    """As a new process does."""
    checksums.forget()
    assert look(folder) is None


def report(name: str, folder: Path, use: str, given: argparse.Namespace, look: Any, call: Callable[[], Any]) -> None:
    call()  # compiled, opened, in the page cache
    compared, used = cpu(given.rounds, lambda: compare(folder, look)), cpu(given.rounds, call)
    size = store.size_of(folder) / 1e6
    print(
        f"{name:8} {size:8.1f} MB   {compared * 1e3:8.1f} ms ({size / 1e3 / compared:4.1f} GB/s)   "
        f"{used / compared:8.1f}x   {use}"
    )


def parts(folder: Path) -> Any:
    return next((fault for path in folder.glob("*.npy") if (fault := part_fault(path)) is not None), None)


def segments(folder: Path) -> Any:
    for path in folder.glob("*.scores"):
        Segment(path).verify()


def scores(count: int) -> tuple[ScoreStore, Any]:
    """A store of `count` scores, and 100,000 keys of which some are in it."""
    rng = np.random.default_rng(0)
    keys = np.frombuffer(rng.bytes(16 * count), dtype=HASH)
    kept = ScoreStore("benchmark")
    kept.put(keys, np.zeros(count, dtype=np.float32))
    return kept, keys[rng.integers(count, size=100_000)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HFNEG_STORE"] = folder
        run(given)


def run(given: argparse.Namespace) -> None:
    import hfneg

    queries = texts(given.queries, 8)
    corpus = hfneg.Corpus.from_texts(texts(given.documents, 40))
    lexical, dense = hfneg.BM25().open(corpus), hfneg.Dense(RandomVectors()).open(corpus)
    dense.vectors.build()
    kept, keys = scores(10 * given.documents)
    print("kind         size     comparing                one use, as a multiple of it")
    for name, place, use, look, call in (
        ("corpus", store.artefact("corpus", corpus.digest), "every text, as Python strings", store.fault_in,
         lambda: [corpus.text_slice(i, i + 2_000).to_pylist() for i in range(0, len(corpus), 2_000)]),
        ("bm25", store.artefact("bm25", lexical.digest), f"search, {given.queries:,} queries", store.fault_in,
         lambda: lexical.search(queries, 100)),
        ("vectors", dense.vectors.folder, f"exact search, {given.queries:,} queries", parts,
         lambda: dense.search(queries, 100)),
        ("scores", kept.folder, "one look-up of 100,000 pairs", segments, lambda: kept.get(keys)),
    ):  # fmt: skip
        report(name, place, use, given, look, call)


if __name__ == "__main__":
    main()
