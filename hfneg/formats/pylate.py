"""PyLate's training data: triples for its contrastive loss, three tables for its distillation loss.

Read from PyLate's ``utils/processing.py`` (KDProcessing), ``utils/collator.py`` and its page on datasets.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.errors import SettingError
from hfneg.formats.converting import Convert, Counts, Mined, tables
from hfneg.formats.files import Source, open_one, replacing
from hfneg.formats.identifying import Texts, identified_layout, with_ids
from hfneg.formats.layout import Kind, Scores, TrainerLayout, score_columns
from hfneg.formats.rows import Rows, read_rows
from hfneg.formats.shapes import Triplets, Tuples, examples, lists, tuple_scores
from hfneg.formats.training import unscored_layout
from hfneg.formats.writing import SUFFIXES

CARD = """---
configs:
- config_name: train
  data_files: train.parquet
  default: true
- config_name: queries
  data_files: queries.parquet
- config_name: documents
  data_files: documents.parquet
---
"""
FILES = ("README.md", "train.parquet", "queries.parquet", "documents.parquet")


def write_pylate(
    ds: Source,
    path: str | os.PathLike[str],
    *,
    layout: Literal["distillation", "contrastive"] = "distillation",
    n: int | None = None,
    scores: Scores | None = None,
    anchor: str | None = None,
    positive: str | None = None,
    anchor_id: str | None = None,
    positive_id: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write what PyLate trains on; returns the number of training rows.

    ``layout="distillation"`` makes a folder: train.parquet (query_id, document_ids, scores: the positive,
    then `n` negatives, one row per positive), queries.parquet (query_id, text), documents.parquet
    (document_id, text) and a README.md, so that ``load_dataset(path, "train")`` opens it. All rows have
    n + 1 documents, which the loss needs; PyLate's KDProcessing cuts to its ``n_ways`` (32). Each query
    and document once; their texts are held in memory until the end.

    ``layout="contrastive"`` makes one parquet file: query, positive, negative, one row per negative, or with
    `n` query, positive, negative_1 .. negative_n. The names are fixed, because PyLate tells queries from
    documents by them.

    Example::

        hfneg.formats.write_pylate(mined, "colbert-data/", n=15, scores="teacher")
    """
    if layout == "contrastive":
        if scores is not None:
            raise SettingError("the contrastive layout has no scores; leave scores= out, or use layout='distillation'")
        if Path(path).suffix != ".parquet":
            raise SettingError(
                f"the contrastive layout is a parquet file: give {os.fspath(path)!r} the suffix .parquet"
            )
        return _write_triples(open_one(ds, unscored_layout(anchor, positive, "all")), path, n, overwrite)
    if layout != "distillation":
        raise SettingError(f"layout={layout!r} should be 'distillation' or 'contrastive'")
    if Path(path).name.lower().endswith(SUFFIXES):
        raise SettingError(
            f"the distillation layout is a folder, which {os.fspath(path)!r} says is a file: name a folder"
        )
    mined = open_one(ds, _distillation_layout(anchor, positive, anchor_id, positive_id, scores))
    return _write_folder(mined, path, mined.count(n, "pylate"), overwrite)


def _distillation_layout(
    anchor: str | None,
    positive: str | None,
    anchor_id: str | None,
    positive_id: str | None,
    scores: Scores | None,
) -> Callable[[Mapping[str, Kind]], TrainerLayout]:
    identified = identified_layout(anchor, positive, anchor_id, positive_id, derive=True)

    def layout_of(kinds: Mapping[str, Kind]) -> TrainerLayout:
        ours, theirs = score_columns(kinds, scores)
        return replace(identified(kinds), positive_scores=ours, negative_scores=theirs)

    return layout_of


def _write_triples(mined: Mined, path: str | os.PathLike[str], n: int | None, overwrite: bool) -> int:
    shape: Any = Triplets("pylate", "query", "positive")
    if n is not None:
        shape = Tuples("pylate", "query", "positive", mined.count(n, "pylate"))
    convert, counts = Convert(mined.layout, shape), Counts()
    with replacing(path, overwrite) as part, pq.ParquetWriter(part, shape.features().arrow_schema) as writer:
        for table in tables(mined.splits[None], mined.layout):
            rows = read_rows(table, mined.layout)
            counts.add(shape, rows.positives.lengths, rows.negatives.lengths, rows.unscored)
            writer.write_table(convert(table))
    counts.report(shape)
    return counts.written


def _write_folder(mined: Mined, path: str | os.PathLike[str], n: int, overwrite: bool) -> int:
    shape, counts = Tuples("pylate", "query_id", "positive", n), Counts()
    queries, documents = Texts("query_id"), Texts("document_id")
    schema = pa.schema(
        {"query_id": pa.string(), "document_ids": pa.list_(pa.string()), "scores": pa.list_(pa.float32())}
    )
    with replacing(path, overwrite, FILES) as part:
        part.mkdir()
        with pq.ParquetWriter(part / "train.parquet", schema) as writer:
            for table in tables(mined.splits[None], mined.layout):
                rows = with_ids(read_rows(table, mined.layout))
                counts.add(shape, rows.positives.lengths, rows.negatives.lengths, rows.unscored)
                writer.write_table(_training_table(rows, n, schema, queries, documents))
        _write_texts(part, queries, documents)
    counts.report(shape)
    return counts.written


def _training_table(rows: Rows, n: int, schema: pa.Schema, queries: Texts, documents: Texts) -> pa.Table:
    """The rows of train.parquet; their texts go into `queries` and `documents`."""
    row, chosen = examples(rows, n)
    negatives = (rows.negatives.starts[row][:, None] + np.arange(n)).reshape(-1)
    # Positives stand before the negatives in the joined array; the places of each example's documents in it:
    places = np.concatenate([chosen[:, None], len(rows.positives.values) + negatives.reshape(-1, n)], axis=1)
    places = pa.array(places.reshape(-1))
    keys = pa.concat_arrays([rows.positives.ids, rows.negatives.ids]).take(places)
    documents.add(keys, pa.concat_arrays([rows.positives.values, rows.negatives.values]).take(places))
    anchor_ids = pa.array(rows.anchor_ids).take(pa.array(row))
    queries.add(anchor_ids, rows.anchors.take(pa.array(row)))
    counts = np.full(len(row), n + 1, dtype=np.int64)
    scores = pa.array(tuple_scores(rows, row, chosen, n).reshape(-1))
    return pa.Table.from_arrays([anchor_ids, lists(keys, counts), lists(scores, counts)], schema=schema)


def _write_texts(folder: Path, queries: Texts, documents: Texts) -> None:
    for texts, name in ((queries, "queries"), (documents, "documents")):
        texts.report("pylate")
        pq.write_table(texts.table(), folder / f"{name}.parquet")
    (folder / "README.md").write_text(CARD, encoding="utf-8")
