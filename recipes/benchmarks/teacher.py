"""CrossEncoderTeacher.score, by engine and precision, against CrossEncoder.predict once per anchor: ratios of one run.

    python recipes/benchmarks/teacher.py MODEL --texts CORPUS.jsonl --queries QUERIES.jsonl --pairs 2000

Each anchor has as many candidates, drawn from the corpus: consecutive documents of a random place, so that anchors
have documents in common. Without files texts of random length are made up. All take turns; a ratio is of the two in
the same turn, and the median of the turns is printed, by the clock and by CPU time (where others use the machine,
the one to look at). Beside it stand the largest difference of a logit and of a probability from predict's, and how
many scores differ in any bit when the same pairs come in another order.
"""

from __future__ import annotations

import argparse
import importlib.util
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

from hfneg.steps.teachers import CrossEncoderTeacher
from hfneg.steps.teachers.base import sigmoid

WARM_UP = 64  # pairs


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
    """As mine_hard_negatives asks: one call per anchor, batches of 32; logits."""
    identity = torch.nn.Identity()
    asked = {"batch_size": 32, "convert_to_tensor": True, "activation_fn": identity}
    groups = [list(group) for _, group in groupby(pairs, key=lambda pair: pair[0])]
    return np.concatenate([model.predict(group, **asked).cpu().numpy() for group in groups])


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """(seconds, CPU seconds, result)."""
    start, used = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - start, time.process_time() - used, result


def teachers_of(model: str, engines: list[str], dtypes: list[str], **settings: Any) -> dict[str, CrossEncoderTeacher]:
    """By "engine dtype"; engines that are not installed are left out."""
    there = [engine for engine in engines if engine == "torch" or importlib.util.find_spec(engine)]
    kinds = [(engine, dtype) for engine in there for dtype in dtypes]
    return {f"{e} {d}": CrossEncoderTeacher(model, engine=e, dtype=d, **settings) for e, d in kinds}


def compare(
    teachers: dict[str, CrossEncoderTeacher], model: CrossEncoder, pairs: list[list[str]], turns: int
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, np.ndarray]]:
    """Seconds and CPU seconds of each turn, and the scores, by name; "predict" is the peer."""
    anchors, documents = map(list, zip(*pairs, strict=True))
    work: dict[str, Callable[[], Any]] = {"predict": lambda: per_anchor(model, pairs)}
    for name, teacher in teachers.items():
        teacher.score(anchors[:WARM_UP], documents[:WARM_UP])  # load, convert
        work[name] = lambda teacher=teacher: teacher.score(anchors, documents)
    per_anchor(model, pairs[:WARM_UP])
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    scores = {}
    for _ in range(turns):
        for name, run in work.items():
            wall, cpu, scores[name] = timed(run)
            seconds[name].append((wall, cpu))
    return seconds, scores


def report(
    teachers: dict[str, CrossEncoderTeacher],
    seconds: dict[str, list[tuple[float, float]]],
    scores: dict[str, np.ndarray],
    pairs: list[list[str]],
) -> None:
    peer, wanted = seconds["predict"], scores["predict"]
    shuffled = np.random.default_rng(1).permutation(len(pairs))
    anchors, documents = ([pairs[i][side] for i in shuffled] for side in (0, 1))
    fastest = len(pairs) / min(cpu for _, cpu in peer)
    print(f"predict: {fastest:.0f} pairs per CPU second; logits {wanted.min():.1f} .. {wanted.max():.1f}")
    print(f"{'':20}{'clock':>8}{'CPU':>8}   {'CPU, by turn':<24}{'logits':>9}{'probab.':>9}{'bits':>7}")
    for name, teacher in teachers.items():
        ratios = [[b[i] / a[i] for a, b in zip(seconds[name], peer, strict=True)] for i in (0, 1)]
        wall, cpu = map(statistics.median, ratios)
        apart = np.abs(scores[name] - wanted).max()
        judged = np.abs(sigmoid(scores[name]) - sigmoid(wanted)).max()
        again = (teacher.score(anchors, documents) != scores[name][shuffled]).mean()
        turns = " ".join(f"{ratio:.2f}" for ratio in ratios[1])
        print(f"{name:20}{wall:7.2f}x{cpu:7.2f}x   {turns:<24}{apart:9.1e}{judged:9.1e}{again:7.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--queries", type=Path)
    for name, default in (("pairs", 2_000), ("candidates", 100), ("turns", 3), ("max-length", 128), ("threads", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--engines", nargs="+", default=["torch", "openvino"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    rng = np.random.default_rng(0)
    documents = texts_of(chosen.texts, 5_000, rng, 2 * chosen.max_length)
    anchors = texts_of(chosen.queries, 1_000, rng, 20)
    pairs = pairs_of(anchors, documents, chosen.pairs, chosen.candidates, rng)
    teachers = teachers_of(
        chosen.model, chosen.engines, chosen.dtypes, max_length=chosen.max_length, batch_size=chosen.batch_size
    )
    model = CrossEncoder(chosen.model, max_length=chosen.max_length, device=os.environ.get("HFNEG_DEVICE"))
    tokens = model.preprocess(pairs)["attention_mask"].sum(1)
    full = float((tokens == chosen.max_length).float().mean())
    print(f"{len(pairs)} pairs, {chosen.candidates} per anchor, {torch.get_num_threads()} threads;", end=" ")
    print(f"{float(tokens.float().mean()):.0f} tokens a pair, {full:.0%} are cut at {chosen.max_length}")
    report(teachers, *compare(teachers, model, pairs, chosen.turns), pairs)


if __name__ == "__main__":
    main()
