"""CrossEncoderTeacher.score against CrossEncoder.predict once per anchor: the same model and run, ratios only.

    python recipes/benchmarks/teacher.py MODEL --texts CORPUS.jsonl --queries QUERIES.jsonl --pairs 2000

Each anchor has as many candidates, drawn from the corpus: consecutive documents of a random place, so that anchors
have documents in common. Without files texts of random length are made up. The two take turns; each ratio is one
turn's. Beside the time it counts how many scores differ at all when the same pairs come in another order.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from sentence_transformers import CrossEncoder

from hfneg.teachers import CrossEncoderTeacher


def texts_of(path: Path | None, n: int, rng: np.random.Generator, longest: int) -> list[str]:
    """The texts of a BEIR file (title, newline, text), or n made-up ones of 1 to `longest` words."""
    if path is None:
        return [" ".join(f"word{i}" for i in rng.integers(0, 5_000, rng.integers(1, longest))) for _ in range(n)]
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    return ["\n".join(filter(None, (row.get("title"), row["text"]))) for row in rows]


def pairs_of(anchors: list[str], documents: list[str], n: int, each: int, rng: np.random.Generator) -> list[list[str]]:
    """[anchor, document] x n, `each` per anchor, anchor by anchor."""
    made = []
    for anchor in rng.permutation(len(anchors))[: -(-n // each)]:
        first = int(rng.integers(len(documents)))
        made += [[anchors[anchor], documents[(first + i) % len(documents)]] for i in range(each)]
    return made[:n]


def per_anchor(model: CrossEncoder, pairs: list[list[str]]) -> np.ndarray:
    """As mine_hard_negatives asks: one call per anchor, batches of 32."""
    identity = torch.nn.Identity()
    groups = [list(group) for _, group in groupby(pairs, key=lambda pair: pair[0])]
    return np.concatenate([model.predict(group, activation_fn=identity, show_progress_bar=False) for group in groups])


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(seconds, CPU seconds, result)."""
    start, used = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - used, result


def compare(teacher: CrossEncoderTeacher, model: CrossEncoder, pairs: list[list[str]], turns: int) -> None:
    anchors, documents = map(list, zip(*pairs, strict=True))
    teacher.score(anchors[:8], documents[:8])  # load
    per_anchor(model, pairs[:8])
    ours, theirs = [], []
    for _ in range(turns):
        *seconds, scores = timed(lambda: teacher.score(anchors, documents))
        ours.append(seconds)
        *seconds, reference = timed(lambda: per_anchor(model, pairs))
        theirs.append(seconds)
    fast, slow = (len(pairs) / min(seconds for seconds, _ in runs) for runs in (ours, theirs))
    wall, cpu = (statistics.median(b[i] / a[i] for a, b in zip(ours, theirs, strict=True)) for i in (0, 1))
    print(f"{len(pairs)} pairs of {len(set(anchors))} anchors, {torch.get_num_threads()} threads, {teacher!r}")
    print(f"  hfneg {fast:.0f} pairs/s, predict {slow:.0f} (fastest turns)")
    print(f"  median ratio {wall:.2f}x (CPU time {cpu:.2f}x)")
    print(f"  by turn: {', '.join(f'{b[0] / a[0]:.2f}x' for a, b in zip(ours, theirs, strict=True))}")
    apart = np.abs(scores - reference).max()
    print(f"  largest difference {apart:.1e} of logits {scores.min():.1f} .. {scores.max():.1f}")
    shuffled = np.random.default_rng(1).permutation(len(pairs))
    again = teacher.score([anchors[i] for i in shuffled], [documents[i] for i in shuffled])
    print(f"  in another order {(again != scores[shuffled]).mean():.1%} of the scores differ at all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--queries", type=Path)
    for name, default in (("pairs", 2_000), ("candidates", 100), ("turns", 3), ("max-length", 128), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--dtype", help="of the teacher; predict stays as saved")
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    rng = np.random.default_rng(0)
    documents = texts_of(chosen.texts, 5_000, rng, 2 * chosen.max_length)
    anchors = texts_of(chosen.queries, 1_000, rng, 20)
    pairs = pairs_of(anchors, documents, chosen.pairs, chosen.candidates, rng)
    teacher = CrossEncoderTeacher(
        chosen.model, max_length=chosen.max_length, batch_size=chosen.batch_size, dtype=chosen.dtype
    )
    model = CrossEncoder(chosen.model, max_length=chosen.max_length, device=os.environ.get("HFNEG_DEVICE"))
    compare(teacher, model, pairs, chosen.turns)


if __name__ == "__main__":
    main()
