"""Judgments from wherever they come: tables of judged pairs, qrels of BEIR and TREC, mappings, BEIR folders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg.base.files import json_lines
from hfneg.data import files
from hfneg.data.corpus import Corpus
from hfneg.data.files import beir, spreadsheets
from hfneg.data.files.qrels import must_be_qrels, read_qrels
from hfneg.data.layouts import names
from hfneg.errors import ColumnError, InputError, SettingError

WORDS = {"true": 1.0, "yes": 1.0, "relevant": 1.0, "false": 0.0, "no": 0.0, "not relevant": 0.0, "irrelevant": 0.0}
ROLES = (names.ANCHOR_IDS, names.ANCHORS, names.JUDGED_IDS, names.JUDGED_DOCUMENTS, names.RELEVANCE)
STRATUM = "stratum"

Texts = Sequence[str | None]


@dataclass(frozen=True)
class Judgments:
    """Pairs by ids, by texts, or both (None where one is not known), aligned; `relevance` as it was given.

    `listed_only_relevant`: the form of qrels that name relevant documents only. `strata`: those that a sample of
    `hfneg.calibrate` says its pairs were drawn from.
    """

    anchor_ids: Texts
    anchors: Texts
    document_ids: Texts
    documents: Texts
    relevance: Sequence[Any]
    listed_only_relevant: bool = False
    strata: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.relevance)


def read(given: Any, split: str | None = None) -> Judgments:
    """Judgments from `given`.

    Args:
        given: a table (a Dataset, a list of rows, or a file: csv, tsv, jsonl, parquet) with a column of relevance, and
            of anchors and documents as ids or texts; qrels in BEIR's three or TREC's four columns, between tabs or
            blanks; a BEIR folder (`split` names its qrels), or a file of its qrels; or
            ``{query: {document: score}}`` or ``{query: [documents]}``.

    Raises InputError, ColumnError where it is none of these, or a pair is judged in two ways.
    """
    if isinstance(given, Mapping):
        return _of_mapping(given)
    if isinstance(given, str | Path):
        path = Path(given)
        if beir.is_beir(path):
            return _of_beir(path, beir.qrels_of(path, split))
        folder = path.parent.parent
        if path.is_file() and path.parent.name == "qrels" and beir.is_beir(folder):
            return _of_beir(folder, path)
        if path.suffix.lower() in beir.SUFFIXES and path.is_file() and (found := read_qrels(path)) is not None:
            return _of_names(found.queries, found.documents, found.grades)
        own = spreadsheets.read(path) if path.suffix.lower() == ".csv" and path.is_file() else None
        given = files.load_any(str(given), split) if own is None else own
    if isinstance(given, Mapping):
        raise InputError(f"the judgments have several splits ({', '.join(given)}); give one of them")
    return _of_table(given)


def _of_names(queries: Sequence[str], documents: Sequence[str], relevance: Sequence[Any]) -> Judgments:
    """Of names that may be ids or texts."""
    only = all(number_of(value) != 0 for value in relevance)
    return Judgments(queries, queries, documents, documents, relevance, only)


def _of_mapping(given: Mapping[Any, Any]) -> Judgments:
    rows = []
    for query, documents in given.items():
        if isinstance(documents, str) or not isinstance(documents, Iterable):
            raise InputError(
                f"the judgments of {query!r} are {documents!r}; expected {{query: {{document: score}}}} or "
                "{query: [documents]}"
            )
        graded = documents if isinstance(documents, Mapping) else dict.fromkeys(documents, 1)
        for name, score in graded.items():
            if isinstance(score, float) and math.isnan(score):
                raise InputError(f"the judgment of {query!r} and {name!r} is {score}; correct it, or leave it out")
        rows += [(str(query), str(name), score) for name, score in graded.items()]
    queries, names_, scores = ([*column] for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return _of_names(queries, names_, scores)


def _of_beir(folder: Path, file: Path) -> Judgments:
    """Also by text, so that a dataset whose rows have no ids is matched; None for what the folder does not have."""
    found = must_be_qrels(file)
    corpus, queries = Corpus.from_beir(folder), {}
    for row in json_lines.read(folder / "queries.jsonl"):
        queries[str(row.get("_id"))] = row.get("text")
    rows = corpus.rows_of_ids(found.documents)
    texts = corpus.texts(rows.clip(0)).to_pylist()
    documents = [text if row >= 0 else None for text, row in zip(texts, rows.tolist(), strict=True)]
    anchors = [queries.get(query) for query in found.queries]
    return Judgments(found.queries, anchors, found.documents, documents, found.grades, listed_only_relevant=True)


def _of_table(given: Any) -> Judgments:
    columns = _columns(given)
    keys = []
    for usual in ROLES:
        name = names.one_of(columns, usual)
        keys.append(None if name is None else columns[name])
    relevance = keys.pop()
    for what, known, usual in (
        ("relevance", relevance is not None, names.RELEVANCE),
        ("anchors", keys[0] is not None or keys[1] is not None, names.ANCHOR_IDS + names.ANCHORS),
        ("documents", keys[2] is not None or keys[3] is not None, names.JUDGED_IDS + names.JUDGED_DOCUMENTS),
    ):
        if not known:
            raise ColumnError(
                f"the judgments have no column of {what}; it may be named {', '.join(usual)}, and the columns are "
                f"{', '.join(columns) or 'none'}"
            )
    assert relevance is not None
    none: list[Any] = [None] * len(relevance)
    texts = [[None if v is None else str(v) for v in (key if key is not None else none)] for key in keys]
    strata = frozenset(str(value) for value in columns.get(STRATUM, ()))
    return Judgments(texts[0], texts[1], texts[2], texts[3], relevance, strata=strata)


def _columns(given: Any) -> dict[str, list[Any]]:
    """Name -> values, of the columns that judgments may have."""
    if isinstance(given, list) and all(isinstance(row, Mapping) for row in given):
        there = list(dict.fromkeys(name for row in given for name in row))
        return {name: [row.get(name) for row in given] for name in there}
    if hasattr(given, "column_names") and given.column_names and hasattr(given, "__len__"):
        wanted = {name for usual in ROLES if (name := names.one_of(given.column_names, usual)) is not None} | {STRATUM}
        return {name: list(given[name]) if name in wanted else [] for name in given.column_names}
    raise InputError(
        f"cannot read judgments from a {type(given).__name__}; expected a table (a Dataset, a list of rows, a csv, "
        "jsonl or parquet file), qrels, a BEIR folder, or {query: {document: score}}"
    )


def relevant(values: Sequence[Any], least: float | None) -> list[float]:
    """1, 0, or NaN for not judged (None, ""), of each value; `least` is the least grade that is relevant.

    Raises InputError for labels that are neither grades nor yes and no, naming them.
    """
    if least is not None and not (isinstance(least, int | float) and math.isfinite(least)):
        raise SettingError(f"relevant_from={least!r} must be a number: the least grade that counts as relevant")
    numbers = [number_of(value) for value in values]
    wrong = [value for value, number in zip(values, numbers, strict=True) if number is None]
    if least is None:
        wrong += [v for v, n in zip(values, numbers, strict=True) if n is not None and not math.isnan(n) and n % 1]
    if wrong:
        shown = ", ".join(sorted({repr(value) for value in wrong})[:5])
        raise InputError(
            f"{len(wrong):,} of {len(values):,} judgments have other labels ({shown}); expected 0 and 1, whole grades "
            "(1 and above is relevant), true and false, or yes and no; for other numbers say from which on a document "
            "is relevant: relevant_from=... (--relevant-from)"
        )
    limit = 1.0 if least is None else float(least)
    return [n if n is None or math.isnan(n) else float(n >= limit) for n in numbers]  # type: ignore[misc]


def number_of(value: Any) -> float | None:
    """The grade; NaN for nothing, None for what is no finite grade."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
