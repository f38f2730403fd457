"""Does memory stay bounded? Mines a generated collection with a stub encoder and watches this process.

    python recipes/benchmarks/memory.py                     # 500,000 documents, 20,000 anchors: minutes
    python recipes/benchmarks/memory.py --documents 5000000 --anchors 200000        # the claim; hours

Prints the peak of resident memory that is not file-backed (RssAnon), over what the imports take, stage by
stage, and how often the vectors were read.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

WORDS = [f"{a}{b}" for a in "bcdfghjklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "it")]


class StubEncoder:
    """32 dimensions from a hash of each word, summed: texts that share words have similar vectors."""

    id = "stub-32"

    def __init__(self) -> None:
        table = np.random.default_rng(0).standard_normal((len(WORDS), 32)).astype(np.float32)
        self.vector = {word: table[i] for i, word in enumerate(WORDS)}
        self.zero = np.zeros(32, dtype=np.float32)

    def encode(self, texts: list[str]) -> Any:
        out = np.empty((len(texts), 32), dtype=np.float32)
        for i, text in enumerate(texts):
            total = self.zero.copy()
            for word in text.split():
                total += self.vector.get(word, self.zero)
            total[0] += xxhash.xxh3_64_intdigest(text.encode()) / 2**64
            out[i] = total / np.linalg.norm(total)
        return out


def text(number: int, words: int) -> str:
    generator = np.random.default_rng(number)
    return " ".join(WORDS[i] for i in generator.integers(len(WORDS), size=words)) + f" {number}"


def rss_anon() -> int:
    """Bytes of resident memory of this process that are not file-backed."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("this benchmark needs Linux (/proc/self/status)")


class Watch(threading.Thread):
    """Samples memory; `mark` closes a stage."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.base = rss_anon()
        self.peak = self.total_peak = self.base
        self.began = time.perf_counter()
        self.start()

    def run(self) -> None:
        while True:
            now = rss_anon()
            self.peak, self.total_peak = max(self.peak, now), max(self.total_peak, now)
            time.sleep(0.05)

    def mark(self, stage: str) -> None:
        seconds = time.perf_counter() - self.began
        print(
            f"{stage:<28} {seconds:8.1f} s   peak +{(self.peak - self.base) / 1e9:5.2f} GB over the imports", flush=True
        )
        self.peak, self.began = rss_anon(), time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--anchors", type=int, default=20_000)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--bm25", action="store_true", help="BM25 as well")
    given = parser.parse_args()

    import datasets
    import faiss  # noqa: F401  (part of the imports, not of the work)

    import hfneg
    from hfneg import vectors

    reads = {"document": 0, "query": 0}
    part = vectors.Vectors.part

    def counted(self: vectors.Vectors, i: int) -> Any:
        reads[self.role] += 1
        return part(self, i)

    vectors.Vectors.part = counted  # type: ignore[method-assign]

    def documents() -> Iterator[dict[str, str]]:
        for number in range(given.documents):
            yield {"id": f"d{number}", "text": text(number, 8)}

    def pairs() -> Iterator[dict[str, str]]:
        for number in range(given.anchors):
            yield {"query": text(10**9 + number, 4), "answer": f"d{number * 7 % given.documents}"}

    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ["HFNEG_STORE"] = f"{folder}/store"
        rows = datasets.Dataset.from_generator(pairs, cache_dir=f"{folder}/cache")
        watch = Watch()
        corpus = hfneg.Corpus.from_dataset(documents(), id="id")
        watch.mark("corpus")
        dense = hfneg.Dense(StubEncoder())
        recipe = hfneg.Recipe(retrievers=[dense, hfneg.BM25()] if given.bm25 else [dense], k=given.k)
        index = dense.open(corpus)
        index.vectors.build()
        watch.mark("vectors")
        reads["document"] = 0
        hfneg.mine(rows, corpus, recipe, anchor="query", positive="answer", out=f"{folder}/mined")
        watch.mark("mine")
        passes = reads["document"] / index.vectors.n_parts
        print(f"{given.documents:,} documents, {given.anchors:,} anchors, k={given.k}")
        print(f"vectors read {passes:.2f} times; peak +{(watch.total_peak - watch.base) / 1e9:.2f} GB not file-backed")


if __name__ == "__main__":
    main()
