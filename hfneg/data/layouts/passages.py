"""Rows whose documents are passages, structs of a text and perhaps a title and an id: Tevatron, RLHN, DPR."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hfneg.data.corpus import Corpus
from hfneg.data.documents import document_text
from hfneg.data.files import beir
from hfneg.data.origins import source_of
from hfneg.errors import ColumnError, DocumentError, near_miss

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Passages:
    """Columns of passages; `ids` are the names of a passage's id."""

    name: str
    anchor: str
    positive: str
    negatives: tuple[str, ...]
    ids: tuple[str, ...]


TEVATRON = Passages("tevatron", "query", "positive_passages", ("negative_passages",), ("docid",))
DPR = Passages("dpr", "question", "positive_ctxs", ("hard_negative_ctxs", "negative_ctxs"), ("passage_id", "psg_id"))
KNOWN = (TEVATRON, DPR)


def found_in(
    columns: Iterable[str], anchor: str | None, positive: str | None, negatives: Sequence[str]
) -> Passages | None:
    """Which of them a dataset with these columns is, unless the user names other columns."""
    names = set(columns)
    for found in KNOWN:
        meant = anchor in (None, found.anchor) and positive in (None, found.positive) and not negatives
        if found.positive in names and meant:
            return found
    return None


def read(rows: Any, layout: Passages) -> tuple[Any, Corpus, bool]:
    """(rows with texts in ``positive`` and ``negative``, all passages as the corpus, whether there are negatives)."""
    splits = list(rows.values()) if isinstance(rows, dict) else [rows]
    there = splits[0].features
    if layout.anchor not in there:
        raise ColumnError(
            f"rows with {layout.positive} need a column {layout.anchor!r}; the columns are {', '.join(there)}."
            f"{near_miss(layout.anchor, there)}"
        )
    try:
        corpus = Corpus.from_dataset(_each(splits, layout), text="text", id="docid", title="title")
    except DocumentError as error:
        log.warning("the passages are numbered anew, because their ids cannot be used: %s", error)
        corpus = Corpus.from_dataset(_each(splits, layout), text="text", title="title")

    pairs = rows.map(_texts, batched=True, fn_kwargs={"layout": layout}, desc="Reading passages")
    source = source_of(rows)
    if source is not None:
        pairs.source = {**source, "layout": "passages"}
    return pairs, corpus, bool(set(layout.negatives) & set(there))


def _texts(batch: Any, layout: Passages) -> dict[str, Any]:
    there = [name for name in layout.negatives if name in batch]
    found = {beir.POSITIVE: _joined(batch, [layout.positive])}
    return {**found, beir.NEGATIVE: _joined(batch, there)} if there else found


def _joined(batch: Any, names: Sequence[str]) -> list[list[str]]:
    rows = zip(*(batch[name] for name in names), strict=True)
    return [[document_text(p.get("title"), p["text"]) for passages in row for p in passages or ()] for row in rows]


def _each(splits: Sequence[Any], layout: Passages) -> Iterator[dict[str, Any]]:
    for name in (layout.positive, *layout.negatives):
        for split in splits:
            for row in split.select_columns([name]) if name in split.column_names else ():
                for passage in row[name] or ():
                    id = next((passage[key] for key in layout.ids if passage.get(key) is not None), None)
                    yield {"docid": id, "title": passage.get("title"), "text": passage["text"]}
