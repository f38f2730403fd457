"""What hard negatives do to a model: the same base, budget and seeds on negatives from different places.

    python recipes/effect/effect.py path/to/scifact --miner sentence-transformers/all-MiniLM-L6-v2 --seeds 10
    python recipes/effect/effect.py path/to/medquad --miner MODEL --teacher CROSS_ENCODER --negatives 5

FOLDER is a BEIR folder with qrels/train.tsv and qrels/test.tsv. The student is a static model of 128 dimensions made
from the miner's vocabulary (--student NAME trains another). Every row gets the same number of optimiser steps; rounds
share them out. Metrics are of the test queries, against all documents; intervals resample seeds and queries together.

False: the share of negatives that further judgments call relevant (--truth FILE, or the positives that --show hides);
hard: the mean of s(anchor, negative) - s(anchor, positive) under the untrained student, over the others. Results of
finished trainings are kept in --work, so a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
import collection
import comparing
import numpy as np
import students

MEASURED = 1_000
"""Training rows of which false negatives and hardness are measured."""


def main(given: Sequence[str] | None = None) -> None:
    chosen = parse(given)
    os.environ.setdefault("HFNEG_STORE", str(chosen.work / "store"))
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    chosen.work.mkdir(parents=True, exist_ok=True)
    data = collection.load(chosen.folder, chosen.test, chosen.truth, chosen.show, chosen.anchors)
    base = students.base(chosen.student, chosen.miner, chosen.work)
    steps = max(1, round(chosen.epochs * len(data.pairs) / chosen.batch))
    print(
        f"{data.name}: {len(data.pairs):,} pairs, {len(data.texts):,} documents, {len(data.queries):,} test queries; "
        f"{chosen.negatives} negatives, {steps} steps of {chosen.batch}, seeds 0 .. {chosen.seeds - 1}\n",
        flush=True,
    )
    rows = [
        arm
        for arm in arms.arms(chosen.miner, chosen.teacher, chosen.negatives, chosen.dtype)
        if chosen.rows is None or arm.name[1] in chosen.rows
    ]
    results = {}
    for arm in rows:
        began = time.perf_counter()
        results[arm.name] = Run(arm, data, base, steps, chosen).results()
        print(f"  {arm.name}: {time.perf_counter() - began:.0f} s", flush=True)
    report(results, untrained(data, base), chosen)


def parse(given: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--miner", required=True, help="the SentenceTransformer that mines the first round")
    parser.add_argument("--teacher", help="a CrossEncoder; without one the rows that need it are left out")
    parser.add_argument("--dtype", help="bfloat16: the teacher, ours and the peer's, computes in it")
    parser.add_argument("--student", default=students.STATIC, help='"static", or a SentenceTransformer')
    parser.add_argument("--negatives", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, help="learning rate (0.1 for the static student, 2e-5 for others)")
    parser.add_argument("--test", default="test", help="split of the qrels")
    parser.add_argument(
        "--truth", type=Path, action="append", default=[], help="qrels file of further relevant documents"
    )
    parser.add_argument("--show", type=int, help="show only so many positives of each training anchor")
    parser.add_argument("--anchors", type=int, help="a random part of the training anchors")
    parser.add_argument("--rows", help="letters of the rows to run, as adeg")
    parser.add_argument("--work", type=Path, default=Path("effect-work"))
    chosen = parser.parse_args(given)
    if chosen.rate is None:
        chosen.rate = 0.1 if chosen.student == students.STATIC else 2e-5
    return chosen


class Run:
    """One row of the table: mined once, trained once per seed."""

    def __init__(self, arm: arms.Arm, data: Any, base: str, steps: int, chosen: Any) -> None:
        self.arm, self.data, self.base, self.steps, self.chosen = arm, data, base, steps, chosen
        name = "".join(letter if letter.isalnum() else "-" for letter in arm.name)
        settings = (
            data.name,
            chosen.student,
            chosen.negatives,
            chosen.epochs,
            chosen.batch,
            chosen.rate,
            chosen.show,
            chosen.anchors,
            arm,
        )
        from hfneg.base.store import digest_of

        self.folder = chosen.work / f"{data.name}-{name}-{digest_of(*map(str, settings))[:8]}"
        self.folder.mkdir(exist_ok=True)

    def results(self) -> dict[str, Any]:
        """{"metrics": name -> [seeds, queries], "facts": false share, hardness, negatives, rows}"""
        found = [self._of_seed(seed) for seed in range(self.chosen.seeds)]
        stacked = {name: np.array([one["metrics"][name] for one in found]) for name in comparing.METRICS}
        return {"metrics": stacked, "facts": found[-1]["facts"]}

    def _of_seed(self, seed: int) -> dict[str, Any]:
        path = self.folder / f"seed-{seed}.json"
        if path.is_file():
            kept: dict[str, Any] = json.loads(path.read_text())
            return kept
        model, facts = self._trained(seed)
        values = comparing.metrics(students.ranking(model, self.data.queries, self.data.texts), self.data.grades)
        result = {"metrics": {name: value.tolist() for name, value in values.items()}, "facts": facts}
        path.write_text(json.dumps(result))
        return result

    def _trained(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """The last round's model; rounds are the parts of one training, their negatives are thrown away."""
        if self.arm.by == "callback":
            return self._refreshed(seed)
        rounds, miner, facts = self.arm.rounds, self.base if self.arm.by == "student" else self.chosen.miner, {}
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            for number in range(rounds):
                rows, facts = self._rows(number, seed, miner, place)
                end = None if rounds == 1 else self.steps * (number + 1) // rounds
                model = students.train(
                    self.base, rows, self.arm.distil, self.chosen, seed, self.steps, place / "out", end=end
                )
                miner = str(place / f"round-{number}")
                model.save_pretrained(miner)
        return model, facts

    def _refreshed(self, seed: int) -> tuple[Any, dict[str, Any]]:
        """One training in which a callback mines as often as there are rounds."""
        import hfneg

        data = self.data
        anchors = hfneg.Anchors(data.pairs, data.corpus, anchor="query", positive="positive")
        recipe = hfneg.Recipe.from_yaml(self.arm.recipe)
        every = -(-self.steps // self.arm.rounds)
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            refresh = hfneg.HardNegativeRefresh(anchors, data.pairs, recipe, out=place / "versions", every_steps=every)
            model = students.train(
                self.base, refresh.dataset, False, self.chosen, seed, self.steps, place / "out", [refresh]
            )
            names = [f"negative_{i}" for i in range(1, self.chosen.negatives + 1)]
            facts = self._facts(sample(refresh.dataset), names)
            seconds = sum(record["seconds"] for record in refresh.history)
        return model, {**facts, "rows": len(data.pairs), "pairs": len(data.pairs), "mining": seconds}

    def _rows(self, number: int, seed: int, miner: str, scratch: Path) -> tuple[Any, dict[str, Any]]:
        """Training rows and what is known of their negatives; the first round's are the same for all seeds."""
        data, n = self.data, self.chosen.negatives
        if self.arm.recipe is not None:
            folder = self.folder / "mined" if number == 0 else scratch / f"mined-{number}"
            rows = arms.mined(self.arm, data, folder, miner, self.chosen.miner, n)
        elif self.arm.peer is not None:
            rows = self._peers(n)
        else:
            rows = data.pairs
        names = [name for name in rows.column_names if name.startswith("negative")]
        return rows, {**self._facts(sample(rows), names), "rows": len(rows), "pairs": len(data.pairs)}

    def _peers(self, n: int) -> Any:
        """Mined by `mine_hard_negatives`, once for all seeds."""
        from datasets import Dataset

        from hfneg.base.store import digest_of

        path = self.folder / "peer.parquet"
        if not path.is_file():
            vectors = self.chosen.work / f"peer-vectors-{digest_of(self.chosen.miner)[:8]}"
            arms.peers(self.arm, self.data, self.chosen.miner, n, vectors).to_parquet(path)
        return Dataset.from_parquet(str(path), cache_dir=str(self.folder))

    def _facts(self, rows: Any, names: list[str]) -> dict[str, float]:
        """False share and hardness of the negatives in these columns; NaN (null) where there is nothing to say."""
        if not names:
            return {"false": float("nan"), "hard": float("nan"), "negatives": 0.0}
        model = students.load(self.base)
        false = count = 0
        differences: list[float] = []
        for row in rows:
            query, positive, negatives = row["query"], row["positive"], [row[name] for name in names]
            known = (self.data.relevant or {}).get(query, set())
            wrong = [found in known for found in self.data.corpus.rows_of_texts(negatives).tolist()]
            false, count = false + sum(wrong), count + len(negatives)
            vectors = model.encode([query, positive, *negatives], normalize_embeddings=True, show_progress_bar=False)
            scores = vectors[1:] @ vectors[0]
            differences += [float(score - scores[0]) for score, bad in zip(scores[1:], wrong, strict=True) if not bad]
        return {
            "false": false / max(count, 1) if self.data.relevant is not None else float("nan"),
            "hard": float(np.mean(differences)) if differences else float("nan"),
            "negatives": count / len(rows),
        }


def sample(rows: Any) -> Any:
    picked = np.random.default_rng(0).permutation(len(rows))[:MEASURED]
    return rows.select(sorted(picked.tolist()))


def untrained(data: Any, base: str) -> float:
    found = students.ranking(students.load(base), data.queries, data.texts)
    return float(comparing.metrics(found, data.grades)["nDCG@10"].mean())


def report(results: dict[str, Any], before: float, chosen: Any) -> None:
    """The table, then hfneg's best row against each of the peer's."""
    main = {name: found["metrics"]["nDCG@10"] for name, found in results.items()}
    base = next(iter(results))
    against = comparing.compared(main, base)
    print(f"\nuntrained: nDCG@10 {before:.3f}. Differences are to {base}; p is Holm-corrected over rows.\n")
    heads = [
        "negatives from",
        "nDCG@10",
        "recall@100",
        "MRR@10",
        "difference (95%)",
        "p",
        "false",
        "hard",
        "per row",
        "rows",
    ]
    print("| " + " | ".join(heads) + " |\n|---" + "|---:" * (len(heads) - 1) + "|")
    for name, found in results.items():
        values = [f"{found['metrics'][metric].mean():.3f}" for metric in comparing.METRICS]
        one = against.get(name)
        difference = "" if one is None else f"{one['mean']:+.3f} ({one['low']:+.3f} .. {one['high']:+.3f})"
        facts = found["facts"]
        cells = [name, *values, difference, "" if one is None else f"{one['p_holm']:.3f}"]
        cells += [
            comparing.shown(facts["false"]),
            comparing.shown(facts["hard"]),
            f"{facts['negatives']:.1f}",
            f"{facts['rows']:,}",
        ]
        print("| " + " | ".join(cells) + " |")
    ours = {name: values for name, values in main.items() if "hfneg" in name}
    peers = {name: values for name, values in main.items() if "mine_hard" in name}
    if not ours or not peers:
        return
    best = max(ours, key=lambda name: ours[name].mean())
    print(f"\nhfneg's best row here, {best}, chosen by this very table, minus:\n")
    for name, one in comparing.compared({best: main[best], **peers}, best).items():
        verdict = "no difference" if -one["high"] <= 0 <= -one["low"] else "better" if -one["high"] > 0 else "worse"
        bounds = f"({-one['high']:+.3f} .. {-one['low']:+.3f})"
        print(f"  {name}: {-one['mean']:+.3f} {bounds}, p {one['p_holm']:.3f}: {verdict}")


if __name__ == "__main__":
    main()
