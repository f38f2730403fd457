"""Reading pairs: one pass over all splits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base import columns, store
from hfneg.base.arrays import Ints
from hfneg.base.files.strings import StringsWriter
from hfneg.base.hashing import hash_normal_forms, hash_texts, normal_form
from hfneg.base.lists import SKIP, Lists, lists_of, offsets, texts_of, values_of
from hfneg.data import layouts
from hfneg.data.judgments import number_of
from hfneg.data.layouts import Given
from hfneg.errors import ColumnError, EmptyInputError, PositiveError

BATCH = 2_000


@dataclass(frozen=True)
class Columns:
    """The columns that are read of the pairs; None and () stand for none. `label` is looked at, and must say 1."""

    anchor: str
    positive: str
    negatives: tuple[str, ...] = ()
    label: str | None = None

    @property
    def names(self) -> list[str]:
        found = (self.anchor, self.positive, *self.negatives, *((self.label,) if self.label else ()))
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class WantedColumns:
    """What the user said of given negatives and labels: columns, or None to look for usual names, or False."""

    negatives: tuple[str, ...] | Literal[False] | None = None
    label: Literal[False] | None = None


@dataclass
class Read:
    """What one pass over the pairs leaves: hashes in RAM, strings in scratch files.

    hashes: of the normal forms, one per row; short_hashes: the same in 64 bits. indptr: of each row's positives;
    negative_indptr: of each row's given negatives. splits: rows of each split. numbered: whether positives were given
    as numbers, which can only be ids.
    """

    hashes: Any
    short_hashes: npt.NDArray[np.uint64]
    indptr: Ints
    negative_indptr: Ints
    text_digest: str
    splits: dict[str, int]
    numbered: bool
    split_of_row: Ints


def read(pairs: Any, scratch: Path, anchor: str, positive: str, wanted: WantedColumns) -> Read:
    """One pass over all splits; the texts go into files of `scratch`: anchors, positives, negatives."""
    hashes, short, lengths, more, digests = [], [], [], [], []
    splits: dict[str, int] = {}
    numbered = False
    with (
        StringsWriter(scratch, "anchors") as texts,
        StringsWriter(scratch, "positives") as positives,
        StringsWriter(scratch, "negatives") as negatives,
    ):
        for split, place, batch, found in _batches(pairs, Columns(anchor, positive), wanted):
            if found.label is not None:
                _refuse_labels(batch[found.label], found.label, place)
            names = _checked_anchors(batch, anchor, place)
            values = _checked_positives(batch, positive, place)
            given = _given_negatives(batch, found.negatives, len(names), place)
            numbered = numbered or _holds_numbers(batch[positive])
            texts.append(names)
            positives.append(values.flat)
            negatives.append(given.flat)
            normal = [normal_form(name) for name in names]
            hashes.append(hash_texts(normal))
            short.append(hash_normal_forms(names))
            lengths.append(values.lengths)
            more.append(given.lengths)
            digests.append(store.digest_of(hash_texts(names)))
            splits[split] = splits.get(split, 0) + len(names)
    if not hashes:
        raise EmptyInputError("the pairs are empty: there must be at least one row with an anchor and a positive")
    return Read(
        np.concatenate(hashes),
        np.concatenate(short),
        offsets(np.concatenate(lengths)),
        offsets(np.concatenate(more)),
        store.digest_of(digests),
        splits,
        numbered,
        np.repeat(np.arange(len(splits)), list(splits.values())),
    )


def _batches(
    pairs: Any, plain: Columns, wanted: WantedColumns
) -> Iterator[tuple[str, str, dict[str, list[Any]], Columns]]:
    """(split, place for messages, the columns of up to BATCH rows, which they are) over all splits."""
    for name, given in pairs.items() if isinstance(pairs, Mapping) else [("", pairs)]:
        split, found = _columns_of(given, plain, wanted)
        done = 0
        for batch in _split_batches(split, found):
            yield name, f"split {name!r}, row {done}" if name else f"row {done}", batch, found
            done += len(batch[plain.anchor])


def _columns_of(split: Any, plain: Columns, wanted: WantedColumns) -> tuple[Any, Columns]:
    """(the split, whose first row may have been looked at; the columns to read)."""
    features = getattr(split, "features", None)
    if features is not None:
        schema = features.arrow_schema
    else:
        rows = iter(split)
        first = next(rows, None)
        split = split if hasattr(split, "iter") or isinstance(split, Sequence) else _again(first, rows)
        if first is None or plain.anchor not in first or plain.positive not in first:
            return split, plain
        schema = _schema_of(first)
    if wanted.negatives:
        for name in wanted.negatives:
            columns.require(name, schema.names, "given negatives")
        return split, replace(plain, negatives=wanted.negatives)
    layout = layouts.to_mine(schema, Given(plain.anchor, plain.positive, label=wanted.label))
    own = layout.anchor == plain.anchor and layout.positives[:1] in ((), (plain.positive,))
    negatives = layout.negatives if own and layout.name != "tevatron" and wanted.negatives is None else ()
    return split, replace(plain, negatives=negatives, label=layout.label if not layout.negatives else None)


def _again(first: Any, rows: Iterator[Any]) -> Iterator[Any]:
    return rows if first is None else itertools.chain([first], rows)


def _schema_of(row: Mapping[str, Any]) -> pa.Schema:
    """The types of a row's values; null where Arrow has none for a value."""
    fields = []
    for name, value in row.items():
        try:
            fields.append((name, pa.array([value]).type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, UnicodeEncodeError):
            fields.append((name, pa.binary()))
    return pa.schema(fields)


def _split_batches(split: Any, found: Columns) -> Iterator[dict[str, list[Any]]]:
    if hasattr(split, "select_columns"):  # a Dataset or IterableDataset: read these columns only
        if hasattr(split, "with_format"):
            split = split.with_format(None)
        if split.column_names is not None:
            split = split.select_columns(found.names)
    roles = {found.anchor: "anchor", found.positive: "positive"}
    batch: dict[str, list[Any]] = {name: [] for name in found.names}
    if hasattr(split, "iter"):
        for chunk in split.iter(BATCH):
            for name, role in roles.items():
                columns.require(name, chunk, role)
            yield {name: chunk[name] for name in found.names}
        return
    for row in split:
        for name, role in roles.items():
            columns.require(name, row, role)
        for name in found.names:
            batch[name].append(row.get(name))
        if len(batch[found.anchor]) == BATCH:
            yield batch
            batch = {name: [] for name in found.names}
    if batch[found.anchor]:
        yield batch


def _refuse_labels(column: Any, label: str, place: str) -> None:
    """Rows of which a label does not say 1 are no pairs."""
    for position, value in enumerate(values_of(column)):
        for one in value if isinstance(value, list | tuple | np.ndarray) else (value,):
            if number_of(one) != 1:
                raise PositiveError(
                    f"pairs ({place} and following): row {position} of this batch has the label {one!r} (column "
                    f"{label!r}), so that its document need not be a positive; hfneg.load_pairs(pairs, ...) makes "
                    "anchors with positives and given negatives of labelled pairs, and hfneg.mine takes what it gives; "
                    "or say label=False where all rows are positives"
                )


def _given_negatives(batch: Mapping[str, Any], names: Sequence[str], rows: int, place: str) -> Lists:
    """The given negatives of each row, columns in their order; missing and blank ones are left out."""
    if not names:
        return Lists(np.zeros(rows + 1, dtype=np.int64), [])
    parts = []
    for name in names:
        try:
            values = [value if value is not None else [] for value in values_of(batch[name])]
            lists = [[v for v in value if v is not None] if _is_list(value) else value for value in values]
            parts.append(lists_of(lists, name))
        except ColumnError as error:
            raise ColumnError(f"given negatives ({place} and following): {error}") from None
    owners = np.concatenate([part.owners for part in parts])
    flat = [text for part in parts for text in part.flat]
    order = [int(i) for i in np.argsort(owners, kind="stable") if flat[i].strip()]
    lengths = np.bincount(owners[order] if order else owners[:0], minlength=rows)
    return Lists(offsets(lengths), [flat[i] for i in order])


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _checked_anchors(batch: Mapping[str, Any], anchor: str, place: str) -> list[str]:
    try:
        texts = texts_of(batch[anchor], anchor)
    except ColumnError as error:
        raise ColumnError(f"anchors ({place} and following): {error}") from None
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ColumnError(
            f"anchors ({place} and following): row {empty[0]} of this batch has an empty text in column {anchor!r}; an "
            f"anchor must have a text; {SKIP}"
        )
    return texts


def _checked_positives(batch: Mapping[str, Any], positive: str, place: str) -> Lists:
    try:
        values = lists_of(batch[positive], positive)
    except ColumnError as error:
        raise ColumnError(f"positives ({place} and following): {error}") from None
    without = np.flatnonzero(values.lengths == 0)
    if len(without):
        raise PositiveError(
            f"positives ({place} and following): row {without[0]} of this batch has no positive (column {positive!r} "
            f"holds an empty list); {SKIP}"
        )
    empty = [int(owner) for owner, text in zip(values.owners, values.flat, strict=True) if not text.strip()]
    if empty:
        raise PositiveError(
            f"positives ({place} and following): row {empty[0]} of this batch has an empty text in column "
            f"{positive!r}; a positive must have a text; {SKIP}"
        )
    return values


def _holds_numbers(column: Any) -> bool:
    """Whether the first row's first positive is a number (a column of a dataset holds one type)."""
    first = column[0]
    if isinstance(first, list | tuple | np.ndarray):
        first = first[0]
    return not isinstance(first, str)
