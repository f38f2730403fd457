"""Exact dense search against FAISS's IndexFlatIP: the same machine, the same run, ratios only.

    python recipes/benchmarks/dense.py --documents 100000 --queries 2000 --dimensions 384 --k 100

Vectors are random, 5% of them duplicates. The two take turns; each ratio is one turn's, and the best
time of each is compared too. Beside the time it counts how many of FAISS's lists are in the exact order
(score downwards, then row upwards), which hfneg gives always.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np
import torch  # as where an encoder is loaded: then bfloat16 products are used if the CPU has them

from hfneg.models import exact_search, products


def vectors(rng: np.random.Generator, n: int, d: int, duplicates: float = 0.0) -> np.ndarray:
    """float32 [n, d] of length 1."""
    made = rng.standard_normal((n, d), dtype=np.float32)
    copies = np.flatnonzero(rng.random(n) < duplicates)
    made[copies] = made[rng.integers(n, size=len(copies))]
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compare(documents: np.ndarray, queries: np.ndarray, k: int, turns: int) -> None:
    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(documents)
    product = type(products.fastest(len(queries))).__name__
    blocks = [(at, documents[at : at + 8_192]) for at in range(0, len(documents), 8_192)]
    exact_search.search(queries[:512], blocks[:1], k)  # compile
    ours, theirs = [], []
    for _ in range(turns):
        seconds, (_, rows) = timed(lambda: exact_search.search(queries, blocks, k))
        ours.append(seconds)
        seconds, (_, flat) = timed(lambda: index.search(queries, k))
        theirs.append(seconds)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    same = float((rows == flat).all(axis=1).mean())
    setting = f"{len(queries)} queries, k={k}, {torch.get_num_threads()} threads, {product}"
    print(f"{len(documents)} documents x {documents.shape[1]}, {setting}")
    print(f"  hfneg {min(ours):.2f} s, IndexFlatIP {min(theirs):.2f} s: {min(theirs) / min(ours):.2f}x")
    print(f"  by turn: {', '.join(f'{ratio:.2f}x' for ratio in ratios)}")
    print(f"  IndexFlatIP gives {same:.1%} of the lists in exact order, hfneg all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("documents", 100_000), ("queries", 2_000), ("dimensions", 384), ("k", 100), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    documents = vectors(rng, chosen.documents, chosen.dimensions, duplicates=0.05)
    compare(documents, vectors(rng, chosen.queries, chosen.dimensions), chosen.k, chosen.turns)


if __name__ == "__main__":
    main()
