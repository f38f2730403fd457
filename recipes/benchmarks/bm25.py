"""BM25: hfneg against bm25s with its numba backend, from texts to the exact top k, in one run.

    python recipes/benchmarks/bm25.py                        # generated texts, about a minute
    python recipes/benchmarks/bm25.py --beir data/scifact    # a BEIR folder

Both get the same words (Snowball English stems, bm25s's stop words). Times are medians over rounds in
which the two take turns; what counts is the ratio. Compilation is not timed. With "bm25l" and "bm25+" bm25s's
numba backend adds the weights of missing terms in another order than its own `get_scores`, to which hfneg is
equal: there a share of scores differs in the last bit.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Texts = list[str]


def generated(documents: int, queries: int) -> tuple[Texts, Texts]:
    """Texts whose words follow Zipf's law: 40 words a document, 8 a query."""
    rng = np.random.default_rng(0)

    def texts(count: int, words: int) -> Texts:
        ranks = rng.zipf(1.2, size=(count, words)) % 200_000
        return [" ".join(f"w{rank}x" for rank in row) for row in ranks]

    return texts(documents, 40), texts(queries, 8)


def beir(folder: Path) -> tuple[Texts, Texts]:
    """Title and text of the documents, and all queries, of a BEIR folder."""
    documents = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    queries = [json.loads(line)["text"] for line in (folder / "queries.jsonl").open(encoding="utf-8")]
    return [f"{row.get('title', '')}\n{row['text']}".lstrip() for row in documents], queries


def medians(rounds: int, ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of both, taking turns."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, seconds in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def peer(documents: Texts, method: str) -> Any:
    """A bm25s index over the same words."""
    import bm25s

    model = bm25s.BM25(k1=1.2, b=0.75, method=method, backend="numba")
    model.index(peer_words(documents), show_progress=False)
    return model


def peer_words(texts: Texts) -> Any:
    import bm25s
    import Stemmer

    return bm25s.tokenize(texts, stemmer=Stemmer.Stemmer("english"), show_progress=False)


def compare_build(documents: Texts, method: str, rounds: int) -> tuple[float, float]:
    """Seconds from texts to an index; ours lies on disk afterwards."""
    from hfneg.data.corpus import Corpus
    from hfneg.steps.retrievers.bm25 import BM25

    corpus = Corpus.from_texts(documents)

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "corpus").symlink_to(Path(os.environ["HFNEG_STORE"]) / "corpus")
            here, os.environ["HFNEG_STORE"] = os.environ["HFNEG_STORE"], folder
            BM25(method=method).open(corpus)
            os.environ["HFNEG_STORE"] = here

    ours()
    return medians(rounds, ours, lambda: peer(documents, method))


def compare_search(
    documents: Texts, queries: Texts, k: int, method: str, rounds: int, threads: int
) -> tuple[float, float, float]:
    """Seconds from query texts to the top k; and the share of equal scores."""
    from hfneg.base import small
    from hfneg.data.corpus import Corpus
    from hfneg.steps.retrievers.bm25 import BM25

    small.ENABLED = False  # the kernels are what is compared
    index = BM25(method=method).open(Corpus.from_texts(documents))
    model = peer(documents, method)

    def ours() -> Any:
        return index.search(queries, k)[0]

    def theirs() -> Any:
        words = peer_words(queries)
        return model.retrieve(words, k=k, show_progress=False, n_threads=threads).scores

    found, expected = ours(), theirs()
    equal = float((np.where(np.isneginf(found), 0, found) == expected).mean())
    return *medians(rounds, ours, theirs), equal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beir", type=Path, help="a BEIR folder instead of generated texts")
    parser.add_argument("--documents", type=int, default=100_000, help="how many texts to generate")
    parser.add_argument("--queries", type=int, default=1_000, help="how many queries, at most")
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--method", default="lucene")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    documents, queries = beir(arguments.beir) if arguments.beir else generated(arguments.documents, arguments.queries)
    documents, queries = list(dict.fromkeys(documents)), queries[: arguments.queries]
    k, cores = min(arguments.k, len(documents)), sorted(os.sched_getaffinity(0))
    from datasets.utils import disable_progress_bars

    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HFNEG_STORE"] = folder
        print(f"{len(documents)} documents, {len(queries)} queries, top {k}, {arguments.method}")
        print(f"{'':28}{'hfneg':>12}{'bm25s numba':>14}{'ratio':>8}{'equal scores':>14}")
        ours, theirs = compare_build(documents, arguments.method, min(arguments.rounds, 3))
        print(f"{'build, s':28}{ours:12.2f}{theirs:14.2f}{theirs / ours:7.2f}x")
        for threads in sorted({1, len(cores)}):
            os.sched_setaffinity(0, cores[:threads])
            ours, theirs, equal = compare_search(documents, queries, k, arguments.method, arguments.rounds, threads)
            label = f"search, {threads} threads, us/query" if threads > 1 else "search, 1 thread, us/query"
            ours, theirs = (seconds / len(queries) * 1e6 for seconds in (ours, theirs))
            print(f"{label:28}{ours:12.1f}{theirs:14.1f}{theirs / ours:7.2f}x{equal:14.4f}")


if __name__ == "__main__":
    main()
