"""The score store: several writers at once, then lookups of which half are there.

    python recipes/benchmarks/scores.py                        # 2 million scores, half a minute
    python recipes/benchmarks/scores.py --scores 20000000      # the claim; minutes

Prints scores written per second (all writers together, each put on the disk, merges included), lookups per
second, and the peak of resident memory that is not file-backed (RssAnon), over what the imports take, of the
writers and of the reader. The reader also checks every answer. Where others use the machine, too, the rates per
CPU second are the ones to compare.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from watching import Watch

from hfneg.base.hashing import HASH, mix
from hfneg.base.store.scores import ScoreStore

TEACHER = "benchmark"


def keys_of(numbers: Any) -> Any:
    """The key of pair number i, for each i."""
    keys = np.empty(len(numbers), dtype=HASH)
    keys["high"], keys["low"] = mix(1, numbers), mix(2, numbers)
    return keys


def scores_of(numbers: Any) -> Any:
    return (numbers % 1_000_003).astype(np.float32)


def write(start: int, stop: int, batch: int, results: Any) -> None:
    """Put the scores of pairs [start, stop), `batch` at a time."""
    watch, scores = Watch(), ScoreStore(TEACHER)
    for first in range(start, stop, batch):
        numbers = np.arange(first, min(first + batch, stop))
        scores.put(keys_of(numbers), scores_of(numbers))
    results.put(watch.megabytes)


def run_writers(given: argparse.Namespace) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    bounds = np.linspace(0, given.scores, given.writers + 1).astype(int).tolist()
    spans = itertools.pairwise(bounds)
    processes = [context.Process(target=write, args=(*span, given.batch, results)) for span in spans]
    began = time.perf_counter()
    for process in processes:
        process.start()
    peaks = [results.get() for _ in processes]
    seconds = time.perf_counter() - began
    for process in processes:
        process.join()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = given.scores / (used.ru_utime + used.ru_stime)
    print(f"written   {given.scores / seconds:12,.0f} scores/s ({cpu:,.0f} per CPU second), {seconds:.1f} s")
    print(f"          writers' peak +{max(peaks):.0f} MB")


def run_reader(given: argparse.Namespace) -> None:
    watch, scores, generator = Watch(), ScoreStore(TEACHER), np.random.default_rng(0)
    print(f"on disk   {scores.nbytes / 1e6:12,.0f} MB         {scores.segments} segments, {len(scores):,} scores")
    for label in ("as left by the writers", "compacted"):
        seconds, cpu = [], []
        for _ in range(given.rounds):
            numbers = generator.integers(2 * given.scores, size=given.lookups)  # half of them are there
            keys = keys_of(numbers)
            began, cpu_began = time.perf_counter(), time.process_time()
            found = scores.get(keys)
            seconds.append(time.perf_counter() - began)
            cpu.append(time.process_time() - cpu_began)
            expected = np.where(numbers < given.scores, scores_of(numbers), np.nan)
            np.testing.assert_array_equal(found, expected)
        rate, cpu_rate = (given.lookups / statistics.median(times) for times in (seconds, cpu))
        print(f"found     {rate:12,.0f} lookups/s ({cpu_rate:,.0f} per CPU second), {label}")
        print(f"          reader's peak +{watch.megabytes:.0f} MB")
        if label != "compacted":
            began = time.perf_counter()
            scores.compact()
            print(f"compacted in {time.perf_counter() - began:.1f} s to {scores.segments} segment")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=2_000_000)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--batch", type=int, default=20_000, help="scores per put")
    parser.add_argument("--lookups", type=int, default=100_000, help="keys per get")
    parser.add_argument("--rounds", type=int, default=50, help="how many gets")
    parser.add_argument("--store", type=Path, help="where to write (default: a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.store) as folder:
        os.environ["HFNEG_STORE"] = folder
        print(f"{given.scores:,} scores by {given.writers} writers, {given.batch:,} a put, {given.lookups:,} a get")
        run_writers(given)
        run_reader(given)


if __name__ == "__main__":
    main()
