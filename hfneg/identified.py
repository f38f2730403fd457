"""Rows of ids, whose texts are in other configs of the same dataset: see `hfneg.inputs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hfneg import loading
from hfneg.corpus import Corpus
from hfneg.errors import ColumnError, EmptyInputError, InputError, PositiveError
from hfneg.sources import source_of

CORPUS_CONFIGS = ("corpus", "passage", "passages", "documents", "docs", "collection")
QUERY_CONFIGS = ("queries", "query", "topics")
ROW_CONFIGS = ("qrels", "default")
QUERY_IDS = ("query-id", "query_id", "qid", "anchor_id", "query", "anchor")
DOCUMENT_IDS = ("corpus-id", "corpus_id", "doc_id", "docid", "document_id", "passage_id", "pid")
POSITIVE_IDS = ("positive_id", "positive_ids", "positive", "pos_id", "pid_pos")
SCORES = ("score", "label", "relevance", "rel")
QUERY_TEXTS = ("text", "query", "question")
IDS = "positive_ids"


@dataclass(frozen=True)
class Configs:
    """What the configs of a dataset are for; `place` is its id, `qrels` where its judgments are."""

    place: str
    corpus: str
    queries: str
    qrels: str


def named_configs(path: str) -> Configs | None:
    """The configs of queries, corpus and rows; None where there are no such configs."""
    place, config = loading.place_of(path)
    names = loading.config_names(place)
    corpus = next((name for name in CORPUS_CONFIGS if name in names), None)
    queries = next((name for name in QUERY_CONFIGS if name in names), None)
    if corpus is None or queries is None:
        return None
    if config is not None:
        return None if config in (corpus, queries) else Configs(place, corpus, queries, f"{place}:{config}")
    others = [name for name in names if name not in (corpus, queries)]
    rows = next((name for name in ROW_CONFIGS if name in others), others[0] if len(others) == 1 else None)
    if rows is not None:
        return Configs(place, corpus, queries, f"{place}:{rows}")
    if others:
        raise InputError(f"{path} has the configs {', '.join(others)}; say which: {place}:{others[0]}")
    return Configs(place, corpus, queries, f"{place}-qrels")  # as BeIR/scifact has BeIR/scifact-qrels


def by_ids(path: str, configs: Configs, split: str | None) -> tuple[Any, Corpus, str]:
    """(rows with ``query``, and lists ``positive_ids`` and ``positive``; corpus; layout)."""
    rows = loading.load_any(configs.qrels, split)
    corpus = loading.as_corpus(loading.only_split(loading.load_any(f"{configs.place}:{configs.corpus}")))
    assert corpus is not None
    queries = _texts_of_queries(f"{configs.place}:{configs.queries}")
    layouts: list[str] = []

    def converted(part: Any) -> Any:
        table, layout = _identified(path, part.with_format("arrow")[:])
        layouts.append(layout)
        return _dataset(_with_positive_texts(path, _with_query_texts(path, table, queries), corpus))

    found = {name: converted(part) for name, part in rows.items()} if isinstance(rows, dict) else converted(rows)
    result = _as_splits(found) if isinstance(found, dict) else found
    source = source_of(rows)
    if source is not None:  # what was made of them is no download any more
        result.source = {**source, "layout": layouts[0]}
    return result, corpus, layouts[0]


def _identified(path: str, table: pa.Table) -> tuple[pa.Table, str]:
    """The rows with columns ``query_id`` and ``positive_ids`` (lists of texts), and their layout."""
    names = table.column_names
    query = _one_of(names, QUERY_IDS)
    if query is None:
        raise ColumnError(f"{path}: no column of query ids among {', '.join(names)}; expected {', '.join(QUERY_IDS)}")
    if "doc_ids" in names and "labels" in names:
        return _renamed(table, query, _positive_of_lists(path, table)), "labelled lists"
    document, score = _one_of(names, DOCUMENT_IDS), _one_of(names, SCORES)
    positive = _one_of(names, POSITIVE_IDS)
    if positive is not None:
        return _renamed(table, query, _as_lists(table[positive])), "ids"
    if document is None:
        raise ColumnError(
            f"{path}: no column of document ids among {', '.join(names)}; expected {', '.join(DOCUMENT_IDS)} with a "
            f"score, or {', '.join(POSITIVE_IDS)}"
        )
    return _grouped(path, table, query, document, score), "judged"


def _one_of(names: Iterable[str], usual: tuple[str, ...]) -> str | None:
    return next((name for name in usual if name in set(names)), None)


def _renamed(table: pa.Table, query: str, positives: Any) -> pa.Table:
    ids = table[query].cast(pa.string())
    kept = [
        name
        for name in table.column_names
        if name not in (query, "query_id", loading.BEIR_ANCHOR, loading.BEIR_POSITIVE, IDS)
    ]
    return table.select(kept).add_column(0, IDS, positives).add_column(0, "query_id", ids)


def _as_lists(column: Any) -> Any:
    """One id, or a list of ids, as a list of texts."""
    column = column.combine_chunks()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(pa.large_list(pa.large_string()))
    ids = column.cast(pa.large_string())
    return pa.LargeListArray.from_arrays(pa.array(range(len(ids) + 1), pa.int64()), ids)


def _positive_of_lists(path: str, table: pa.Table) -> Any:
    """Of ``doc_ids`` those whose label is above zero."""
    documents, labels = table["doc_ids"].combine_chunks(), table["labels"].combine_chunks()
    if not documents.value_lengths().equals(labels.value_lengths()):
        raise ColumnError("doc_ids and labels are not of the same length in every row")
    positive = pc.greater(_grades(path, "labels", labels.flatten()), 0)
    owners = pc.list_parent_indices(documents).filter(positive)
    return _lists(owners.to_numpy(), documents.flatten().filter(positive).cast(pa.large_string()), len(documents))


def _lists(owners: Any, values: Any, n: int) -> pa.LargeListArray:
    """Lists of `values` per owner 0 .. n-1, from ascending owners."""
    return pa.LargeListArray.from_arrays(pa.array(np.searchsorted(owners, np.arange(n + 1)), pa.int64()), values)


def _grouped(path: str, table: pa.Table, query: str, document: str, score: str | None) -> pa.Table:
    """One row per query, in the order of appearance, with all its documents that are judged relevant."""
    table = table.combine_chunks()
    if score is not None:
        table = table.filter(pc.greater(_grades(path, score, table[score].combine_chunks()), 0))
    if not table.num_rows:
        raise EmptyInputError(f"{path}: the judgments name no relevant document")
    encoded = table[query].combine_chunks().cast(pa.large_string()).dictionary_encode()
    numbers = encoded.indices.to_numpy()
    order = np.argsort(numbers, kind="stable")
    documents = table[document].combine_chunks().cast(pa.large_string()).take(pa.array(order))
    lists = _lists(numbers[order], documents, len(encoded.dictionary))
    return pa.table({"query_id": encoded.dictionary, IDS: lists})


def _grades(path: str, column: str, values: Any) -> Any:
    """Judgments as float64. Raises InputError for NaN and for what is missing: neither relevant nor not."""
    grades = values.cast(pa.float64())
    bad = pc.invert(pc.fill_null(pc.is_finite(grades), False))
    if (wrong := int(pc.sum(bad).as_py() or 0)) > 0:
        raise InputError(
            f"{path}: {wrong} of {len(grades)} judgments in {column!r} are missing or no finite number, the first in "
            f"row {pc.index(bad, True).as_py()}; correct or remove these rows"
        )
    return grades


def _texts_of_queries(place: str) -> tuple[Any, Any]:
    """(ids, texts) of the config of queries."""
    queries = loading.only_split(loading.load_any(place))
    names = queries.column_names
    id, text = _one_of(names, loading.ID_NAMES + QUERY_IDS[:4]), _one_of(names, QUERY_TEXTS)
    if id is None or text is None:
        raise ColumnError(
            f"{place}: expected a column of ids ({', '.join(loading.ID_NAMES)}) and one of texts "
            f"({', '.join(QUERY_TEXTS)}); it has {', '.join(names)}"
        )
    table = queries.with_format("arrow")[:]
    ids, texts = (table[name].combine_chunks().cast(pa.large_string()) for name in (id, text))
    _refuse_two_texts(place, ids, texts)
    return ids, texts


def _refuse_two_texts(place: str, ids: Any, texts: Any) -> None:
    """Raises InputError where one id stands for different texts."""
    distinct = pa.table({"id": ids, "text": texts}).group_by(["id", "text"]).aggregate([])["id"].combine_chunks()
    counts = distinct.value_counts()
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise InputError(
            f"{place}: {len(twice)} ids stand for different texts, the first is {twice[0].as_py()!r}; give each query "
            "an id of its own"
        )


def _with_query_texts(path: str, table: pa.Table, queries: tuple[Any, Any]) -> pa.Table:
    ids, texts = queries
    asked = table["query_id"].cast(pa.large_string())
    place = pc.index_in(asked, value_set=ids)
    if place.null_count:
        missing = asked.filter(pc.is_null(place))[0].as_py()
        raise PositiveError(f"{path}: the rows name the query {missing!r}, which the queries do not have")
    column = pa.chunked_array([texts.take(place.combine_chunks())]).cast(pa.string())
    return table.add_column(1, loading.BEIR_ANCHOR, column)


def _with_positive_texts(path: str, table: pa.Table, corpus: Corpus) -> pa.Table:
    """The texts of the positives, in lists as their ids are."""
    ids = table[IDS].combine_chunks()
    rows = corpus.rows_of_ids(ids.flatten().to_pylist())
    if (rows < 0).any():
        missing = ids.flatten()[int(np.flatnonzero(rows < 0)[0])].as_py()
        raise PositiveError(f"{path}: the rows name the document {missing!r}, which the corpus does not have")
    lengths = ids.value_lengths().to_numpy()
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    texts = pa.LargeListArray.from_arrays(ends, corpus.texts(rows))
    return table.add_column(table.column_names.index(IDS) + 1, loading.BEIR_POSITIVE, texts)


def _dataset(table: pa.Table) -> Any:
    import datasets

    texts = pa.list_(pa.string())
    narrow = {"query_id": pa.string(), IDS: texts, loading.BEIR_POSITIVE: texts}
    for name, kind in narrow.items():
        table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    return datasets.Dataset(table)


def _as_splits(parts: Mapping[str, Any]) -> Any:
    import datasets

    return datasets.DatasetDict(parts)
