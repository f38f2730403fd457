"""Does the interval of `calibrate` hold the truth? Collections with complete judgments, one positive shown per anchor.

    python recipes/benchmarks/calibration.py path/to/collections --teacher path/to/cross-encoder --model path/to/encoder

Each cell is a collection and a policy. Its negatives are mined with one known positive per anchor; which of them are
relevant is known from the judgments that mining was not shown. A sample of pairs is drawn and judged by these (and, in
a second way, all negatives of some anchors), `calibrate` estimates the rate from that alone, and the interval is held
against the truth. Two who do not look are asked too: one says "none is false", one the mean rate of all cells.
A relevant document that the judgments do not know counts as not relevant on both sides.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

import hfneg

QRELS = {"medquad": ("train", "train_equiv")}  # of the others "train" holds all there is


@dataclass(frozen=True)
class Collection:
    """Some anchors of a BEIR folder, and some documents with all that are relevant to them."""

    name: str
    relevant: dict[str, set[str]]
    queries: dict[str, str]
    corpus: hfneg.Corpus
    pairs: datasets.Dataset

    @classmethod
    def load(cls, folder: Path, anchors: int, documents: int) -> Collection:
        relevant: dict[str, list[str]] = {}
        for split in QRELS.get(folder.name, ("train",)):
            with (folder / "qrels" / f"{split}.tsv").open(encoding="utf-8", newline="") as lines:
                for query, document, score in list(csv.reader(lines, delimiter="\t"))[1:]:
                    if float(score) > 0:
                        relevant.setdefault(query, []).append(document)
        draw = random.Random(13)
        chosen = draw.sample(sorted(relevant), min(anchors, len(relevant)))
        every = hfneg.Corpus.from_beir(folder)  # of documents with one text the first id is the document's
        relevant = {query: every.ids(every.rows_of_ids(relevant[query])) for query in chosen}
        names = every.ids(range(len(every)))
        kept = set(draw.sample(names, min(documents, len(names))))
        kept.update(name for query in chosen for name in relevant[query])
        rows = [row for row, name in enumerate(names) if name in kept]
        texts = every.texts(rows).to_pylist()
        some = [{"_id": names[row], "text": text} for row, text in zip(rows, texts, strict=True)]
        corpus = hfneg.Corpus.from_dataset(some, id="_id")
        shown, _ = hfneg.load_beir(folder, "train", show=1)
        pairs = shown.filter(lambda row: row["query_id"] in set(chosen))
        pairs = pairs.map(lambda row: {"positive_ids": every.ids(every.rows_of_ids(row["positive_ids"]))})
        queries = dict(zip(pairs["query_id"], pairs["query"], strict=True))
        return cls(folder.name, {query: set(relevant[query]) for query in queries}, queries, corpus, pairs)


def policies(model: str | None, teacher: str | None) -> Iterator[tuple[str, hfneg.Recipe]]:
    lists: dict[str, list[Any]] = {"BM25": [hfneg.BM25()]}
    if model is not None:
        lists["dense"] = [hfneg.Dense(model)]
    judge = None if teacher is None else hfneg.CrossEncoderTeacher(teacher, max_length=128)
    for name, retrievers in lists.items():
        settings: dict[str, dict[str, Any]] = {
            "top 5": {},
            "skip 10, top 5": {"filters": [hfneg.RankWindow(skip=10)]},
        }
        if judge is not None:
            settings["95% of the positive, top 5"] = {"teacher": judge, "filters": [hfneg.Margin(relative=0.05)]}
            settings["below the .1 quantile, top 5"] = {"teacher": judge, "filters": [hfneg.BelowPositives(0.1)]}
        for what, slots in settings.items():
            yield f"{name}, {what}", hfneg.Recipe(retrievers=retrievers, k=40, sampler=hfneg.TakeTop(5), **slots)


@dataclass(frozen=True)
class Cell:
    collection: str
    policy: str
    way: str
    truth: float
    rate: float
    low: float
    high: float
    negatives: int
    judged: int

    @property
    def covered(self) -> bool:
        return self.low <= self.truth <= self.high


def cells(one: Collection, policy: str, recipe: hfneg.Recipe, judged: int, repeats: int) -> Iterator[Cell]:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "mined"
        rows = hfneg.mine(one.pairs, one.corpus, recipe, anchor="query", positive="positive_ids", out=out)
        mined = [(r["query_id"], name) for r in rows for name in r["hard_negative_ids"]]
        if not mined:
            return
        truth = sum(name in one.relevant[query] for query, name in mined) / len(mined)
        bound = hfneg.calibrate(out)
        ends = ", ".join(f"{end.at_most:.3f}" for end in bound.sensitivity)
        print(f"{one.name:15} {policy:32} {'none':8} {truth:6.3f}  at most {ends} (shifts 0, 0.5, 1; no confidence)")
        for seed in range(repeats):
            for way, table in (("sample", sample(one, out, judged, seed)), ("anchors", some(one, mined, judged, seed))):
                found = hfneg.calibrate(out, judge=table).false_negatives
                yield Cell(
                    one.name, policy, way, truth, found.rate or 0.0, found.low, found.high, len(mined), found.judged
                )


def sample(one: Collection, mined: Path, judged: int, seed: int) -> list[dict[str, Any]]:
    """The pairs that `calibrate` asks for, judged."""
    path = mined.parent / "sample.jsonl"
    hfneg.calibrate(mined, sample=judged, out=path, seed=seed, overwrite=True)
    rows = datasets.load_dataset("json", data_files=str(path), split="train").to_list()
    return [{**row, "relevance": int(row["document_id"] in one.relevant[row["anchor_id"]])} for row in rows]


def some(one: Collection, mined: list[tuple[str, str]], judged: int, seed: int) -> list[dict[str, Any]]:
    """All negatives of some anchors, as many as make the same number of pairs."""
    queries = sorted({query for query, _ in mined})
    random.Random(seed).shuffle(queries)
    chosen: set[str] = set()
    for query in queries:
        if sum(q in chosen for q, _ in mined) < judged:
            chosen.add(query)
    return [
        {"query_id": query, "document_id": name, "relevance": int(name in one.relevant[query])}
        for query, name in mined
        if query in chosen
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--collections", nargs="+", default=["banking77", "bible_parallel", "medquad", "scifact"])
    parser.add_argument("--teacher")
    parser.add_argument("--model")
    parser.add_argument("--anchors", type=int, default=300)
    parser.add_argument("--documents", type=int, default=3_000)
    parser.add_argument("--judged", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    datasets.disable_progress_bars()
    found: list[Cell] = []
    print(
        f"{'collection':15} {'policy':32} {'way':8} {'truth':>6} {'rate':>6} {'low':>6} {'high':>6} {'width':>6}  held"
    )
    for name in given.collections:
        one = Collection.load(given.data / name, given.anchors, given.documents)
        for policy, recipe in policies(given.model, given.teacher):
            these = list(cells(one, policy, recipe, given.judged, given.repeats))
            found += these
            for way in ("sample", "anchors"):
                some_cells = [cell for cell in these if cell.way == way]
                if some_cells:
                    show(some_cells)
    summary(found)


def show(these: list[Cell]) -> None:
    """The first draw, and how many of all draws hold the truth."""
    one, held = these[0], sum(cell.covered for cell in these)
    numbers = (one.truth, one.rate, one.low, one.high, one.high - one.low)
    shown = " ".join(f"{number:6.3f}" for number in numbers)
    print(f"{one.collection:15} {one.policy:32} {one.way:8} {shown}  {held} of {len(these)}", flush=True)


def summary(found: list[Cell]) -> None:
    for way in ("sample", "anchors"):
        these = [cell for cell in found if cell.way == way]
        truths = {(cell.collection, cell.policy): cell.truth for cell in these}
        mean = sum(truths.values()) / len(truths)
        errors = {
            "calibrate": sum(abs(cell.rate - cell.truth) for cell in these) / len(these),
            "always zero": sum(truths.values()) / len(truths),
            "always the mean": sum(abs(truth - mean) for truth in truths.values()) / len(truths),
        }
        held, width = sum(cell.covered for cell in these), sum(cell.high - cell.low for cell in these) / len(these)
        print(f"\n{way}: the 95% interval holds the truth in {held} of {len(these)} draws of {len(truths)} cells")
        print(f"mean width {width:.3f}; mean error {', '.join(f'{name} {e:.4f}' for name, e in errors.items())}")


if __name__ == "__main__":
    main()
