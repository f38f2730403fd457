"""A BEIR folder for the table: pairs to train on, queries to test on, and what is known to be relevant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

import hfneg
from hfneg.base.files import json_lines
from hfneg.data.files.beir import load_beir
from hfneg.data.files.qrels import must_be_qrels


@dataclass
class Collection:
    """`relevant`: for each anchor's text the corpus rows that truth calls relevant, where there is a truth beyond the
    training labels (more qrels, or hidden positives); None where there is not."""

    name: str
    pairs: Dataset  # query, positive: one row per pair
    corpus: hfneg.Corpus
    texts: list[str]
    queries: list[str]
    grades: list[dict[int, float]]
    relevant: dict[str, set[int]] | None


def load(folder: Path, test: str, truth: list[Path], show: int | None, anchors: int | None) -> Collection:
    """`anchors` takes a random part of the training anchors; `show` hides all but so many positives of each."""
    rows, corpus = load_beir(folder, "train", show)
    if anchors is not None and anchors < len(rows):
        rows = rows.select(sorted(np.random.default_rng(0).choice(len(rows), anchors, replace=False).tolist()))
    pairs = [(row["query"], text) for row in rows for text in row["positive"]]
    queries, grades = judged(folder, test, corpus)
    relevant = None
    if truth or show is not None:
        relevant = {
            row["query"]: set(corpus.rows_of_ids(row.get("hidden_positive_ids") or []).tolist()) for row in rows
        }
        names = {row["query_id"]: row["query"] for row in rows}
        for path in truth:
            for query, document in must_be_qrels(path).relevant:
                if query in names:
                    relevant[names[query]] |= set(corpus.rows_of_ids([document]).tolist())
    return Collection(
        folder.name,
        Dataset.from_dict({"query": [query for query, _ in pairs], "positive": [text for _, text in pairs]}),
        corpus,
        corpus.texts(range(len(corpus))).to_pylist(),
        queries,
        grades,
        relevant,
    )


def judged(folder: Path, split: str, corpus: hfneg.Corpus) -> tuple[list[str], list[dict[int, float]]]:
    """Test queries and their relevant rows with grades."""
    texts = {str(row["_id"]): row["text"] for row in json_lines.read(folder / "queries.jsonl")}
    found: dict[str, dict[int, float]] = {}
    for query, document, grade in qrels(folder / "qrels" / f"{split}.tsv"):
        row = int(corpus.rows_of_ids([document])[0])
        if grade > 0 and row >= 0:
            found.setdefault(query, {})[row] = grade
    return [texts[query] for query in found], list(found.values())


def qrels(path: Path) -> Any:
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        yield query, document, float(grade)
