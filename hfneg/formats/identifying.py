"""Ids in place of texts, for ``sentence_transformers.util.resolve_ids``, and the texts they stand for."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import pyarrow as pa
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from hfneg.base.columns import NEGATIVE_IDS, NEGATIVES
from hfneg.errors import SettingError
from hfneg.formats.converting import Data, open_mined, tables
from hfneg.formats.layout import Kind, Positives, TrainerLayout, id_columns, ids_layout, require_mined, text_columns
from hfneg.formats.rows import Rows, read_rows
from hfneg.formats.shapes import IdTuples

logger = logging.getLogger("hfneg.formats")


def ids(
    ds: Data,
    *,
    n: int | None = None,
    anchor_id: str | None = None,
    positive_id: str | None = None,
    positives: Positives = "all",
) -> Data:
    """query_id, positive_id and negative_ids (always `n` of them), all strings, and no texts.

    ``resolve_ids`` turns the three into query, positive, negative_1 .. negative_n while training, and they
    are always named so. Texts need not be in the dataset. `anchor_id` and `positive_id` name your columns
    of ids (the latter may hold lists; by default ``query_id`` or ``anchor_id``, and ``positive_ids`` or
    ``positive_id``). Rows with fewer than `n` negatives are dropped, and a warning says how many; `n`
    defaults to the longest list, a stream needs it said.

    Example::

        train = hfneg.formats.ids(mined, n=5)
        train.set_transform(resolve_ids(hfneg.formats.lookups(mined)))
    """
    if positives not in ("all", "first"):
        raise SettingError(f"positives={positives!r} should be 'all' (a row for each) or 'first'")

    def layout_of(kinds: Mapping[str, Kind]) -> TrainerLayout:
        return ids_layout(kinds, anchor_id, positive_id, first=positives == "first")

    mined = open_mined(ds, layout_of)
    return cast(Data, mined.to(IdTuples("ids", mined.count(n, "ids"))))


def lookups(
    ds: Dataset | DatasetDict | IterableDataset | IterableDatasetDict,
    *,
    anchor: str | None = None,
    positive: str | None = None,
    anchor_id: str | None = None,
    positive_id: str | None = None,
) -> dict[str, Dataset]:
    """What ``resolve_ids`` looks the columns of `ids` up in, made of the mined rows' own texts.

    Returns ``{"query_id": queries, "positive_id": documents, "negative_ids": documents}``, in the order in
    which the losses want the columns; queries has query_id and text, documents has document_id and text,
    each text once, held in memory. Only documents that the rows name are there.

    Example::

        transform = resolve_ids(hfneg.formats.lookups(mined))
    """
    mined = open_mined(ds, identified_layout(anchor, positive, anchor_id, positive_id, derive=False))
    queries, documents = Texts("query_id"), Texts("document_id")
    for split in mined.splits.values():
        for table in tables(split, mined.layout):
            rows = with_ids(read_rows(table, mined.layout))
            queries.add(rows.anchor_ids, rows.anchors)
            documents.add(rows.positives.ids, rows.positives.values)
            documents.add(rows.negatives.ids, rows.negatives.values)
    queries.report("lookups")
    documents.report("lookups")
    found = documents.dataset()
    return {"query_id": queries.dataset(), "positive_id": found, "negative_ids": found}


def identified_layout(
    anchor: str | None, positive: str | None, anchor_id: str | None, positive_id: str | None, derive: bool
) -> Callable[[Mapping[str, Kind]], TrainerLayout]:
    """Texts with their ids; `derive` lets ids of anchors and positives be missing (see `with_ids`)."""

    def layout_of(kinds: Mapping[str, Kind]) -> TrainerLayout:
        require_mined(kinds, NEGATIVES)
        require_mined(kinds, NEGATIVE_IDS)
        if not derive:
            ids_layout(kinds, anchor_id, positive_id, first=False)
        of_anchor, of_positive = id_columns(kinds, anchor_id, positive_id)
        return TrainerLayout(
            *text_columns(kinds, anchor, positive),
            anchor_id=of_anchor,
            positive_id=of_positive,
            negative_id=NEGATIVE_IDS,
        )

    return layout_of


def with_ids(rows: Rows) -> Rows:
    """The rows with an id for every text: a missing one is derived from the text, so equal texts share it."""
    anchor_ids = rows.anchor_ids if rows.anchor_ids is not None else derived_ids(rows.anchors)
    positives = rows.positives
    if positives.ids is None:
        positives = replace(positives, ids=derived_ids(positives.values))
    return replace(rows, anchor_ids=anchor_ids, positives=positives)


def derived_ids(texts: pa.Array) -> pa.Array:
    """``text-`` and 24 hex digits of each text: the same for equal texts, everywhere."""
    return pa.array([None if text is None else _digest(text) for text in texts.to_pylist()], type=pa.string())


def _digest(text: str) -> str:
    return "text-" + hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


@dataclass
class Texts:
    """Id -> text, each id once, in order of appearance; of several texts under one id the first counts."""

    id_column: str
    found: dict[str, str] = field(default_factory=dict)
    clashes: set[str] = field(default_factory=set)

    def add(self, keys: pa.Array, texts: pa.Array) -> None:
        """Take in aligned arrays of ids and texts; nulls are passed over."""
        for key, text in zip(keys.to_pylist(), texts.to_pylist(), strict=True):
            if key is not None and text is not None and self.found.setdefault(key, text) != text:
                self.clashes.add(key)

    def report(self, who: str) -> None:
        """Warn where an id had several texts."""
        if self.clashes:
            logger.warning(
                "%s: %d of %d values of %s have more than one text (e.g. %r); the first was taken",
                who, len(self.clashes), len(self.found), self.id_column, min(self.clashes),
            )  # fmt: skip

    def table(self) -> pa.Table:
        """Two columns of strings: the ids, under `id_column`, and ``text``."""
        columns = [pa.array(list(part), type=pa.string()) for part in (self.found, self.found.values())]
        return pa.Table.from_arrays(columns, names=[self.id_column, "text"])

    def dataset(self) -> Dataset:
        """The same as an in-memory Dataset."""
        return Dataset(self.table())
