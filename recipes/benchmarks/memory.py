"""Does memory stay bounded? Mines a generated collection with a stub encoder and watches this process.

    python recipes/benchmarks/memory.py                     # 500,000 documents, 20,000 anchors: minutes
    python recipes/benchmarks/memory.py --documents 5000000 --anchors 200000        # the claim; hours
    python recipes/benchmarks/memory.py --teacher --documents 100000 --anchors 10000 --k 100     # a million pairs

With --teacher it mines at random instead, and a stub teacher is asked about every candidate (a filter rejects them
all): what scoring a million pairs takes, the score store included.

Prints the peak of resident memory that is not file-backed (RssAnon), over what the imports take, stage by
stage, and how often the vectors were read.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import xxhash
from watching import Watch

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


def pairs(anchors: int, documents: int) -> Iterator[dict[str, str]]:
    for number in range(anchors):
        yield {"query": text(10**9 + number, 4), "answer": f"d{number * 7 % documents}"}


def documents(n: int) -> Iterator[dict[str, str]]:
    for number in range(n):
        yield {"id": f"d{number}", "text": text(number, 8)}


def judge(anchors: list[str], texts: list[str]) -> Any:
    """A share of 0 to 1 by the pair's texts alone."""
    return [xxhash.xxh3_64_intdigest(f"{a}|{t}".encode()) / 2**64 for a, t in zip(anchors, texts, strict=True)]


def mine_by_vectors(rows: Any, corpus: Any, given: argparse.Namespace, out: str, watch: Watch) -> None:
    import hfneg
    from hfneg.models import vectors

    reads = {"document": 0, "query": 0}
    part = vectors.Vectors.part

    def counted(self: vectors.Vectors, i: int) -> Any:
        reads[self.role] += 1
        return part(self, i)

    vectors.Vectors.part = counted  # type: ignore[method-assign]
    dense = hfneg.Dense(StubEncoder())
    recipe = hfneg.Recipe(retrievers=[dense, hfneg.BM25()] if given.bm25 else [dense], k=given.k)
    index = dense.open(corpus)
    index.vectors.build()
    watch.mark("vectors")
    reads["document"] = 0
    hfneg.mine(rows, corpus, recipe, anchor="query", positive="answer", out=out)
    watch.mark("mine")
    print(f"vectors read {reads['document'] / index.vectors.n_parts:.2f} times")


def mine_with_teacher(rows: Any, corpus: Any, given: argparse.Namespace, out: str, watch: Watch) -> None:
    import hfneg
    from hfneg.base.store.scores import ScoreStore

    teacher = hfneg.FunctionTeacher(judge, id="stub", scale="from_zero")
    recipe = hfneg.Recipe(
        retrievers=[hfneg.RandomDocuments()],
        k=given.k,
        teacher=teacher,
        filters=[hfneg.Band(low=2.0, by="teacher")],  # more than the teacher ever gives
    )
    hfneg.mine(rows, corpus, recipe, anchor="query", positive="answer", out=out)
    watch.mark("mine with a teacher")
    kept = ScoreStore(teacher.digest)
    print(f"{len(kept):,} pairs scored, {kept.nbytes / 1e6:,.0f} MB in {kept.segments} segments")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=500_000)
    parser.add_argument("--anchors", type=int, default=20_000)
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--bm25", action="store_true", help="BM25 as well")
    parser.add_argument("--teacher", action="store_true", help="score every candidate")
    given = parser.parse_args()

    import datasets
    import faiss  # noqa: F401  (part of the imports, not of the work)

    import hfneg

    with tempfile.TemporaryDirectory() as folder:
        os.environ["HFNEG_STORE"] = f"{folder}/store"
        rows = datasets.Dataset.from_generator(
            pairs, cache_dir=f"{folder}/cache", gen_kwargs={"anchors": given.anchors, "documents": given.documents}
        )
        watch = Watch()
        corpus = hfneg.Corpus.from_dataset(documents(given.documents), id="id")
        watch.mark("corpus")
        work = mine_with_teacher if given.teacher else mine_by_vectors
        work(rows, corpus, given, f"{folder}/mined", watch)
        print(f"{given.documents:,} documents, {given.anchors:,} anchors, k={given.k}")
        print(f"peak +{(watch.total_peak - watch.base) / 1e9:.2f} GB not file-backed")


if __name__ == "__main__":
    main()
