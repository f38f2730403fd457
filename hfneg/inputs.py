"""`load_pairs`: anchors, positives and the corpus that comes with them, from the usual layouts of retrieval data.

| layout | what tells it | corpus |
|---|---|---|
| beir | a folder with ``corpus.jsonl``, ``queries.jsonl``, ``qrels/`` | ``corpus.jsonl`` |
| judged (BEIR, MTEB on the Hub) | configs ``corpus``, ``queries``; rows of query, document, score | config ``corpus`` |
| ids (sentence-transformers/msmarco) | these configs; rows of ``query_id``, ``positive_id`` | config ``corpus`` |
| labelled lists (the same) | these configs; rows of ``query_id``, ``doc_ids``, ``labels`` | config ``corpus`` |
| passages (Tevatron, RLHN) | ``positive_passages``: structs of ``docid``, ``title``, ``text`` | all its passages |
| flagembedding | ``query``, ``pos``, ``neg`` | all its ``pos`` and ``neg`` |
| texts | two columns of texts | none but the positives |

Judgments become one row per query; the other layouts keep their rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hfneg import columns, identified, loading, store
from hfneg.corpus import Corpus
from hfneg.documents import document_text
from hfneg.errors import (
    ColumnError,
    DocumentError,
    SettingError,
    near_miss,
)
from hfneg.readable import check_name, refuse_half_beir
from hfneg.sources import source_of

log = logging.getLogger(__name__)

PASSAGES = ("positive_passages", "negative_passages")


@dataclass(frozen=True)
class Pairs:
    """Rows of anchors and positives, ready for `mine` or `Anchors`.

    Attributes:
        rows: a `Dataset`, or a `DatasetDict` of several splits.
        corpus: the documents that come with them; None: there are none but the positives.
        anchor, positive: the columns of `rows`.
        positives_are: whether `positive` holds texts or ids of the corpus.
        layout: which of the layouts above it was.
        hidden: the column of positives that were hidden for measuring, if any.
    """

    rows: Any
    corpus: Corpus | None
    anchor: str
    positive: str
    positives_are: Literal["auto", "text", "id"] = "auto"
    layout: str = "texts"
    hidden: str | None = None


@store.disk_full_is_said()
def load_pairs(
    path: str,
    split: str | None = None,
    *,
    anchor: str | None = None,
    positive: str | None = None,
    show: int | None = None,
) -> Pairs:
    """Pairs and their corpus from a folder, a file or a Hub id, whatever the layout.

    ::

        loaded = hfneg.load_pairs("mteb/scifact", "train")
        hfneg.mine(loaded.rows, loaded.corpus, anchor=loaded.anchor, positive=loaded.positive, out="mined/")

    Args:
        path: a BEIR folder, a file, a saved dataset, any folder `load_dataset` opens, or a Hub id; a config behind
            a colon, ``sentence-transformers/msmarco:triplets``.
        split: which one; where there are several and none is named, all of them.
        anchor, positive: columns, where they are not called as usual.
        show: of a BEIR folder only, see `load_beir`.

    Raises InputError where it cannot be loaded or its columns say nothing; the message names what is there.
    """
    check_name(path)
    if loading.is_beir(path):
        rows, corpus = loading.load_beir(path, split, show)
        hidden = loading.BEIR_HIDDEN if show is not None else None
        names = anchor or loading.BEIR_ANCHOR, positive or loading.BEIR_POSITIVE
        return Pairs(rows, corpus, *names, layout="beir", hidden=hidden)
    refuse_half_beir(path)
    if show is not None:
        raise SettingError("--show-positives needs a BEIR folder, where the list of all positives is known")
    named = identified.named_configs(path)
    if named is not None:
        given, documents, layout = identified.by_ids(path, named, split)
        return Pairs(given, documents, loading.BEIR_ANCHOR, loading.BEIR_POSITIVE, "text", layout)
    rows = loading.load_any(path, split)
    kinds = _first(rows).features
    if anchor is None and positive is None and PASSAGES[0] in kinds:
        return _passages(rows)
    names = loading.guess_columns(list(kinds), anchor, positive)
    for name, role in zip(names, ("anchor", "positive"), strict=True):
        columns.require(name, kinds, role)
    if names[1] == "pos" and "neg" in kinds:
        return Pairs(rows, Corpus.from_texts(_flat(rows, ("pos", "neg"))), *names, "text", "flagembedding")
    return Pairs(rows, None, *names)


@store.disk_full_is_said()
def load_corpus(path: str, split: str | None = None, text: str | None = None, id: str | None = None) -> Any:
    """A `Corpus` from a BEIR folder, a file, a saved dataset or a Hub id; `text` and `id` are columns of it."""
    check_name(path)
    if (Path(path) / "corpus.jsonl").is_file():
        return loading.as_corpus(path)
    return loading.as_corpus(loading.load_any(path, split), text=text, id=id)


def _first(rows: Any) -> Any:
    return next(iter(rows.values())) if isinstance(rows, dict) else rows


# Texts of the negatives in the rows themselves.


def _passages(rows: Any) -> Pairs:
    """Tevatron's and RLHN's rows: each passage with its id, title and text."""
    first = _first(rows)
    if "query" not in first.features:
        raise ColumnError(
            f"rows with {PASSAGES[0]} need a column 'query'; the columns are {', '.join(first.features)}."
            f"{near_miss('query', first.features)}"
        )
    try:
        corpus = Corpus.from_dataset(_each_passage(rows), text="text", id="docid", title="title")
    except DocumentError as error:
        log.warning("the passages are numbered anew, because their ids cannot be used: %s", error)
        corpus = Corpus.from_dataset(_each_passage(rows), text="text", title="title")

    pairs = rows.map(_positive_texts, batched=True, desc="Reading passages")
    source = source_of(rows)
    if source is not None:
        pairs.source = {**source, "layout": "passages"}
    return Pairs(pairs, corpus, "query", "positive", "text", "passages")


def _positive_texts(batch: Any) -> dict[str, Any]:
    return {"positive": [[document_text(p.get("title"), p["text"]) for p in row] for row in batch[PASSAGES[0]]]}


def _each_passage(rows: Any) -> Iterator[dict[str, Any]]:
    for name in PASSAGES:
        for passages in _column(rows, name):
            for passage in passages or ():
                yield {"docid": passage.get("docid"), "title": passage.get("title"), "text": passage["text"]}


def _flat(rows: Any, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        for texts in _column(rows, name):
            yield from texts or ()


def _column(rows: Any, name: str) -> Iterator[Any]:
    """The values of one column, over all splits, in batches."""
    for part in rows.values() if isinstance(rows, dict) else (rows,):
        if name in part.column_names:
            for batch in part.select_columns(name).iter(1_000):
                yield from batch[name]
