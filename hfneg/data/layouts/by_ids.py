"""Rows of ids, whose texts are in other configs of the same dataset: see `hfneg.data.loading`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Ints
from hfneg.data import files
from hfneg.data.corpus import Corpus
from hfneg.data.files import beir, separated
from hfneg.data.files.beir import NEGATIVE, NEGATIVE_IDS, POSITIVE, POSITIVE_IDS, Missing
from hfneg.data.layouts import names
from hfneg.data.origins import source_of
from hfneg.errors import ColumnError, EmptyInputError, InputError, PositiveError

ANCHOR = beir.ANCHOR
TEXTS = pa.large_list(pa.large_string())
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Configs:
    """What the configs of a dataset are for; `place` is its id, `qrels` where its judgments are."""

    place: str
    corpus: str
    queries: str
    qrels: str


@dataclass(frozen=True)
class Asked:
    """What the user says of the judgments; see `hfneg.data.files.beir.load_beir`."""

    min_grade: float | None = None
    missing: Missing | None = None


def named_configs(path: str) -> Configs | None:
    """The configs of queries, corpus and rows; None where there are no such configs."""
    place, config = files.place_of(path)
    there = files.config_names(place)
    corpus, queries = names.one_of(there, names.CORPUS_CONFIGS), names.one_of(there, names.QUERY_CONFIGS)
    if corpus is None or queries is None:
        return None
    if config is not None:
        return None if config in (corpus, queries) else Configs(place, corpus, queries, f"{place}:{config}")
    others = [name for name in there if name not in (corpus, queries)]
    rows = names.one_of(others, names.ROW_CONFIGS) or (others[0] if len(others) == 1 else None)
    if rows is not None:
        return Configs(place, corpus, queries, f"{place}:{rows}")
    if others:
        raise InputError(f"{path} has the configs {', '.join(others)}; say which: {place}:{others[0]}")
    return Configs(place, corpus, queries, f"{place}-qrels")  # as BeIR/scifact has BeIR/scifact-qrels


def by_ids(path: str, configs: Configs, corpus: Corpus, split: str | None, asked: Asked) -> tuple[Any, str]:
    """(rows with ``query``, lists ``positive_ids``, ``positive`` and perhaps of given negatives; layout)."""
    rows = files.load_any(configs.qrels, split)
    queries = _texts_of_queries(f"{configs.place}:{configs.queries}")
    layouts: list[str] = []

    def converted(part: Any) -> Any:
        table, layout = _identified(path, part.with_format("arrow")[:], asked)
        layouts.append(layout)
        table = _with_query_texts(path, table, queries, asked)
        return _dataset(path, _with_document_texts(path, table, corpus, asked))

    found = {name: converted(part) for name, part in rows.items()} if isinstance(rows, dict) else converted(rows)
    result = _as_splits(found) if isinstance(found, dict) else found
    source = source_of(rows)
    if source is not None:  # what was made of them is no download any more
        said = {name: value for name, value in vars(asked).items() if value is not None}
        result.source = {**source, "layout": layouts[0], **({"read_as": said} if said else {})}
    return result, layouts[0]


def _identified(path: str, table: pa.Table, asked: Asked) -> tuple[pa.Table, str]:
    """The rows with columns ``query_id``, ``positive_ids`` and perhaps ``negative_ids``, and their layout."""
    there = table.column_names
    query = names.one_of(there, names.QUERY_IDS)
    if query is None:
        row = " (the first line looks like a judgment: give the file's columns names)"
        raise ColumnError(
            f"{path}: no column of query ids among {', '.join(there)}; expected {', '.join(names.QUERY_IDS)}"
            + (row if separated.looks_like_a_row(there) else "")
        )
    if "doc_ids" in there and "labels" in there:
        positives, negatives = _of_labelled_lists(table)
        return _renamed(table, query, positives, negatives), "labelled lists"
    positive = names.one_of([name for name in there if name != query], names.POSITIVE_IDS)
    if positive is not None:
        return _renamed(table, query, _as_lists(table[positive]), _negatives_of(table)), "ids"
    document, score = names.one_of(there, names.JUDGED_IDS), names.one_of(there, names.RELEVANCE)
    if document is None:
        raise ColumnError(
            f"{path}: no column of document ids among {', '.join(there)}; expected {', '.join(names.JUDGED_IDS)} with "
            f"a score, or {', '.join(names.POSITIVE_IDS)}"
        )
    return _grouped(path, table, query, document, score, asked), "judged"


def _renamed(table: pa.Table, query: str, positives: Any, negatives: Any) -> pa.Table:
    ids = table[query].cast(pa.string())
    ours = (query, "query_id", ANCHOR, POSITIVE, POSITIVE_IDS, NEGATIVE, NEGATIVE_IDS)
    kept = table.select([name for name in table.column_names if name not in ours])
    found = kept.add_column(0, POSITIVE_IDS, positives).add_column(0, "query_id", ids)
    return found if negatives is None else found.add_column(2, NEGATIVE_IDS, negatives)


def _as_lists(column: Any) -> Any:
    """One id, or a list of ids, as a list of texts; nothing as an empty list."""
    column = column.combine_chunks()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(TEXTS)
    ids = column.cast(pa.large_string())
    return _lists(np.flatnonzero(ids.is_valid().to_numpy(zero_copy_only=False)), ids.drop_null(), len(ids))


def _negatives_of(table: pa.Table) -> Any:
    """The columns of given negatives' ids, joined; None where there are none."""
    numbered = [name for name in table.column_names if names.NUMBERED_NEGATIVE.match(name)]
    single = names.one_of(table.column_names, (*names.NEGATIVE_IDS, *names.NEGATIVES))
    found = numbered or ([single] if single is not None else [])
    if not found:
        return None
    parts = [_as_lists(table[name]) for name in found]
    owners = np.concatenate([np.asarray(pc.list_parent_indices(part)) for part in parts])
    flat = pa.concat_arrays([part.flatten() for part in parts])
    order = np.argsort(owners, kind="stable")
    return _lists(owners[order], flat.take(pa.array(order)), len(table))


def _of_labelled_lists(table: pa.Table) -> tuple[Any, Any]:
    """Of ``doc_ids`` those whose label is above zero, and the others."""
    documents, labels = table["doc_ids"].combine_chunks(), table["labels"].combine_chunks()
    if not documents.value_lengths().equals(labels.value_lengths()):
        raise ColumnError("doc_ids and labels are not of the same length in every row")
    positive = pc.greater(labels.flatten(), 0).fill_null(False)
    owners, flat = pc.list_parent_indices(documents), documents.flatten().cast(pa.large_string())
    found = (
        _lists(owners.filter(mask).to_numpy(), flat.filter(mask), len(documents))
        for mask in (positive, pc.invert(positive))
    )
    positives, negatives = found
    return positives, negatives if len(negatives.flatten()) else None


def _lists(owners: Any, values: Any, n: int) -> pa.LargeListArray:
    """Lists of `values` per owner 0 .. n-1, from ascending owners."""
    return pa.LargeListArray.from_arrays(pa.array(np.searchsorted(owners, np.arange(n + 1)), pa.int64()), values)


def _grouped(path: str, table: pa.Table, query: str, document: str, score: str | None, asked: Asked) -> pa.Table:
    """One row per query with a relevant document, in the order of appearance, with all its judged documents."""
    queries, documents = (table[name].combine_chunks().cast(pa.large_string()) for name in (query, document))
    grades = np.ones(len(table)) if score is None else _grades(path, table[score], queries, score)
    kept = _each_once(path, queries, documents, grades)
    queries, documents, grades = queries.take(pa.array(kept)), documents.take(pa.array(kept)), grades[kept]
    relevant = grades > 0 if asked.min_grade is None else grades >= asked.min_grade
    if not relevant.any():
        raise EmptyInputError(f"{path}: the judgments name no relevant document")
    encoded = queries.filter(pa.array(relevant)).dictionary_encode()
    owner = pc.index_in(queries, value_set=encoded.dictionary).fill_null(-1).to_numpy(zero_copy_only=False)
    if (owner < 0).any():
        alone = pc.count_distinct(queries.filter(pa.array(owner < 0))).as_py()
        log.warning("%s: %d queries have negatives alone; they are judged, and left out of mining", path, alone)
    found = {"query_id": encoded.dictionary}
    for name, mask in ((POSITIVE_IDS, relevant), (NEGATIVE_IDS, ~relevant & (owner >= 0))):
        at = np.flatnonzero(mask)
        at = at[np.argsort(owner[at], kind="stable")]
        if len(at):
            found[name] = _lists(owner[at], documents.take(pa.array(at)), len(encoded.dictionary))
    return pa.table(found)


def _grades(path: str, column: Any, queries: Any, name: str) -> npt.NDArray[np.float64]:
    try:
        grades: npt.NDArray[np.float64] = column.combine_chunks().cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: column {name!r} holds something else than numbers ({error})") from error
    wrong = np.flatnonzero(~np.isfinite(grades))
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong[0]} (query {queries[int(wrong[0])].as_py()!r}): the relevance in column {name!r} is "
            f"{column[int(wrong[0])].as_py()!r}, which is no finite number; correct or remove the row"
        )
    return grades


def _each_once(path: str, queries: Any, documents: Any, grades: npt.NDArray[np.float64]) -> Ints:
    """Rows of the distinct pairs, in order. Raises InputError for a pair with two grades."""
    q, d = (column.dictionary_encode() for column in (queries, documents))
    codes = [column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for column in (q, d)]
    keys = codes[0] * len(d.dictionary) + codes[1]
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    unlike = np.flatnonzero(grades != grades[first[place]])
    if len(unlike):
        i = int(unlike[0])
        raise InputError(
            f"{path}, row {i}: query {queries[i].as_py()!r} and document {documents[i].as_py()!r} are judged "
            f"{grades[i]:g} here and {grades[first[place[i]]]:g} before; keep one of the two rows"
        )
    if len(first) < len(keys):
        log.warning("%s: %d rows repeat an earlier judgment and count once", path, len(keys) - len(first))
    return np.sort(first)


def _texts_of_queries(place: str) -> tuple[Any, Any]:
    """(ids, texts) of the config of queries. Raises InputError for an id with two texts."""
    queries = files.only_split(files.load_any(place))
    there = queries.column_names
    id = names.one_of(there, names.LONG_KNOWN_IDS + names.QUERY_IDS[:7])
    text = names.one_of([name for name in there if name != id], names.QUERY_TEXTS)
    if id is None or text is None:
        raise ColumnError(
            f"{place}: expected a column of ids ({', '.join(names.LONG_KNOWN_IDS + names.QUERY_IDS[:7])}) and one of "
            f"texts ({', '.join(names.QUERY_TEXTS)}); it has {', '.join(there)}"
        )
    table = queries.with_format("arrow")[:]
    ids, texts = (table[name].combine_chunks().cast(pa.large_string()) for name in (id, text))
    first = pc.index_in(ids, value_set=ids).to_numpy(zero_copy_only=False).astype(np.int64)
    unlike = np.flatnonzero(pc.not_equal(texts, texts.take(pa.array(first))).fill_null(False))
    if len(unlike):
        i = int(unlike[0])
        raise InputError(
            f"{place}: the query {ids[i].as_py()!r} is there with two texts, {texts[int(first[i])].as_py()!r} and "
            f"{texts[i].as_py()!r}; give each query an id of its own"
        )
    return ids, texts


def _with_query_texts(path: str, table: pa.Table, queries: tuple[Any, Any], asked: Asked) -> pa.Table:
    ids, texts = queries
    wanted = table["query_id"].cast(pa.large_string())
    place = pc.index_in(wanted, value_set=ids)
    if place.null_count:
        missing = wanted.filter(pc.is_null(place))[0].as_py()
        _refuse_or_say(path, f"the query {missing!r}, which the queries do", place.null_count, len(place), asked)
        table, place = table.filter(pc.is_valid(place)), place.drop_null()
    column = pa.chunked_array([texts.take(place.combine_chunks())]).cast(pa.string())
    return table.add_column(1, ANCHOR, column)


def _refuse_or_say(path: str, what: str, missing: int, all_: int, asked: Asked) -> None:
    if asked.missing != "skip":
        raise PositiveError(
            f"{path}: the rows name {what} not have ({missing:,} of {all_:,} that are named); add it, or leave what is "
            "missing out with missing='skip'"
        )
    log.warning("%s: the rows name %s not have; %d of %d that are named are left out", path, what, missing, all_)


def _with_document_texts(path: str, table: pa.Table, corpus: Corpus, asked: Asked) -> pa.Table:
    """The texts of positives and given negatives, in lists as their ids are."""
    for ids_name, name in ((POSITIVE_IDS, POSITIVE), (NEGATIVE_IDS, NEGATIVE)):
        if ids_name not in table.column_names:
            continue
        ids = table[ids_name].combine_chunks()
        rows = corpus.rows_of_ids(ids.flatten().to_pylist())
        if (rows < 0).any():
            missing = ids.flatten()[int(np.flatnonzero(rows < 0)[0])].as_py()
            what = f"the document {missing!r}, which the corpus does"
            _refuse_or_say(path, what, int((rows < 0).sum()), len(rows), asked)
        owners, known = np.asarray(pc.list_parent_indices(ids)), rows >= 0
        lists = _lists(owners[known], ids.flatten().filter(pa.array(known)), len(ids))
        at = table.column_names.index(ids_name)
        table = table.set_column(at, ids_name, lists)
        table = table.add_column(at + 1, name, _lists(owners[known], corpus.texts(rows[known]), len(ids)))
    return table.filter(pc.greater(pc.list_value_length(table[POSITIVE_IDS]), 0))


def _dataset(path: str, table: pa.Table) -> Any:
    import datasets

    if not table.num_rows:
        raise EmptyInputError(f"{path}: no row is left whose query and positive are there")
    lists = (POSITIVE_IDS, POSITIVE, NEGATIVE_IDS, NEGATIVE)
    narrow = {"query_id": pa.string(), **dict.fromkeys(lists, pa.list_(pa.string()))}
    for name, kind in narrow.items():
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(kind))
    return datasets.Dataset(table)


def _as_splits(parts: Mapping[str, Any]) -> Any:
    import datasets

    return datasets.DatasetDict(parts)
