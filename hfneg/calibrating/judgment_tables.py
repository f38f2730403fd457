"""Judgments from wherever they come: tables of judged pairs, qrels of BEIR and TREC, mappings, BEIR folders."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hfneg import loading
from hfneg.calibrating import spreadsheets
from hfneg.errors import ColumnError, InputError, SettingError

ANCHOR_IDS = ("anchor_id", "query_id", "query-id", "qid")
DOCUMENT_IDS = ("document_id", "corpus-id", "corpus_id", "doc_id", "docid", "pid", "negative_id")
ANCHORS = ("anchor", "query", "question")
DOCUMENTS = ("document", "text", "passage", "negative", "doc")
RELEVANCE = ("relevance", "relevant", "label", "judgment", "rel", "grade", "score")
QRELS = (".tsv", ".qrels", ".qrel", ".trec", ".txt")
WORDS = {"true": 1.0, "yes": 1.0, "relevant": 1.0, "false": 0.0, "no": 0.0, "not relevant": 0.0, "irrelevant": 0.0}

Texts = Sequence[str | None]


@dataclass(frozen=True)
class Judgments:
    """Pairs by ids, by texts, or both (None where one is not known), aligned; `relevance` as it was given.

    `listed_only_relevant`: the form of qrels that name relevant documents only.
    """

    anchor_ids: Texts
    anchors: Texts
    document_ids: Texts
    documents: Texts
    relevance: Sequence[Any]
    listed_only_relevant: bool = False


def read(given: Any, split: str | None = None) -> Judgments:
    """Judgments from `given`.

    Args:
        given: a table (a Dataset, a list of rows, or a file: csv, tsv, jsonl, parquet) with a column of relevance, and
            of anchors and documents as ids or texts; qrels, as ``query-id, corpus-id, score`` between tabs or in
            TREC's four columns; a BEIR folder (`split` names its qrels); or ``{query: {document: score}}`` or
            ``{query: [documents]}``.

    Raises InputError, ColumnError where it is none of these.
    """
    if isinstance(given, Mapping):
        return _of_mapping(given)
    if isinstance(given, str | Path):
        path = Path(given)
        if loading.is_beir(path):
            return _of_beir(path, split)
        folder = path.parent.parent
        if path.is_file() and path.parent.name == "qrels" and loading.is_beir(folder):
            return _of_beir(folder, path.stem)
        if path.suffix.lower() in QRELS and path.is_file() and (rows := _qrels(path)) is not None:
            return _of_triples(rows)
        own = spreadsheets.read(path) if path.suffix.lower() == ".csv" and path.is_file() else None
        given = loading.load_any(str(given)) if own is None else own
    if isinstance(given, Mapping):
        raise InputError(f"the judgments have several splits ({', '.join(given)}); give one of them")
    return _of_table(given)


def _of_triples(rows: Iterable[tuple[str, str, Any]]) -> Judgments:
    """Of names that may be ids or texts."""
    queries, documents, scores = ([*column] for column in zip(*rows, strict=True)) if rows else ([], [], [])
    only = all(_number(score) != 0 for score in scores)
    return Judgments(queries, queries, documents, documents, scores, only)


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
    return _of_triples(rows)


def _of_beir(folder: Path, split: str | None) -> Judgments:
    """Also by text, so that a folder whose rows have no ids is matched."""
    rows, _ = loading.load_beir(folder, split)
    flat = [
        (row["query_id"], row[loading.BEIR_ANCHOR], name, text)
        for row in rows
        for name, text in zip(row["positive_ids"], row[loading.BEIR_POSITIVE], strict=True)
    ]
    queries, anchors, names, texts = ([*column] for column in zip(*flat, strict=True))
    return Judgments(queries, anchors, names, texts, [1] * len(flat), listed_only_relevant=True)


def _qrels(path: Path) -> list[tuple[str, str, Any]] | None:
    """The lines of BEIR's or TREC's qrels; None where the first line is a header of other columns."""
    found: list[tuple[str, str, Any]] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            words = row if len(row) > 1 else (row[0].split() if row else [])
            if number == 1 and not (len(words) in (3, 4) and _number(words[-1]) is not None):
                if words[:1] == ["query-id"] and len(words) == 3:
                    continue
                return None
            if not words:
                continue
            if len(words) not in (3, 4):
                raise InputError(
                    f"{path}, line {number}: expected query-id, corpus-id and score between tabs, or TREC's four "
                    f"columns (topic, iteration, document, relevance), found {row!r}"
                )
            if math.isnan(_number(words[-1]) or 0.0):
                raise InputError(f"{path}, line {number}: {words[-1]!r} is no judgment; correct or remove the line")
            found.append((words[0], words[-2], words[-1]))
    return found


def _of_table(given: Any) -> Judgments:
    if isinstance(given, list) and all(isinstance(row, Mapping) for row in given):
        names = list(dict.fromkeys(name for row in given for name in row))
        columns = {name: [row.get(name) for row in given] for name in names}
    elif hasattr(given, "column_names") and given.column_names and hasattr(given, "__len__"):
        names = list(given.column_names)
        wanted = {name for group in (ANCHOR_IDS, DOCUMENT_IDS, ANCHORS, DOCUMENTS, RELEVANCE) for name in group}
        columns = {name: list(given[name]) for name in names if name in wanted}
    else:
        raise InputError(
            f"cannot read judgments from a {type(given).__name__}; expected a table (a Dataset, a list of rows, a csv, "
            "jsonl or parquet file), qrels, a BEIR folder, or {query: {document: score}}"
        )

    def column(allowed: tuple[str, ...]) -> list[Any] | None:
        return next((columns[name] for name in allowed if name in columns), None)

    relevance = column(RELEVANCE)
    keys = [column(allowed) for allowed in (ANCHOR_IDS, ANCHORS, DOCUMENT_IDS, DOCUMENTS)]
    for what, known, allowed in (
        ("relevance", relevance is not None, RELEVANCE),
        ("anchors", keys[0] is not None or keys[1] is not None, ANCHOR_IDS + ANCHORS),
        ("documents", keys[2] is not None or keys[3] is not None, DOCUMENT_IDS + DOCUMENTS),
    ):
        if not known:
            raise ColumnError(
                f"the judgments have no column of {what}; it may be named {', '.join(allowed)}, and the columns are "
                f"{', '.join(names) or 'none'}"
            )
    assert relevance is not None
    none: list[Any] = [None] * len(relevance)
    texts = [[None if v is None else str(v) for v in (key if key is not None else none)] for key in keys]
    return Judgments(texts[0], texts[1], texts[2], texts[3], relevance)


def relevant(values: Sequence[Any], least: float | None) -> list[float]:
    """1, 0, or NaN for not judged (None, "", NaN), of each value; `least` is the least grade that is relevant.

    Raises InputError for labels that are neither grades nor yes and no, naming them.
    """
    if least is not None and not (isinstance(least, int | float) and math.isfinite(least)):
        raise SettingError(f"relevant_from={least!r} must be a number: the least grade that counts as relevant")
    numbers = [_number(value) for value in values]
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


def _number(value: Any) -> float | None:
    """The grade; NaN for nothing, None for what is no grade."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return None if math.isinf(number) else number
