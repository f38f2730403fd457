"""From a mined dataset of any kind to the same kind in a training shape, and what is said about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.errors import ColumnError, EmptyInputError, InputError, SettingError
from hfneg.formats.layout import Kind, TrainerLayout, column_kinds
from hfneg.formats.rows import read_rows
from hfneg.formats.shapes import Shape

logger = logging.getLogger("hfneg.formats")

Data = TypeVar("Data", bound=Dataset | DatasetDict | IterableDataset | IterableDatasetDict)
# As many as `datasets` writes into a record batch, so that a batch is read without copying its texts.
READ_ROWS = 1_000


@dataclass(frozen=True)
class Convert:
    """Arrow table of mined rows -> Arrow table of training rows; `version` is there for the cache's hash."""

    layout: TrainerLayout
    shape: Shape
    version: int = 1

    def __call__(self, table: pa.Table) -> pa.Table:
        schema = self.shape.features().arrow_schema
        columns = self.shape.build(read_rows(table, self.layout))
        return pa.Table.from_arrays(
            [column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
        )


@dataclass
class Counts:
    """What became of the rows; adds up over batches."""

    rows: int = 0
    written: int = 0
    without_positive: int = 0
    too_few: int = 0
    unscored: int = 0

    @property
    def dropped(self) -> int:
        return self.without_positive + self.too_few

    def add(self, shape: Shape, positives: Ints, negatives: Ints, unscored: int) -> None:
        """Count a batch of rows with so many positives and negatives each."""
        self.rows += len(positives)
        self.written += int(shape.written(positives, negatives).sum())
        self.without_positive += int(np.count_nonzero(positives == 0))
        self.too_few += int(np.count_nonzero((positives > 0) & (negatives < shape.minimum)))
        self.unscored += unscored

    def report(self, shape: Shape, where: str = "", hint: str = "") -> None:
        """WARNING where something was dropped, INFO where rows were multiplied."""
        reasons = []
        if self.too_few:
            few = "no negative to use" if shape.minimum == 1 else f"fewer than {shape.minimum} negatives"
            reasons.append((self.too_few, few))
        if self.without_positive:
            reasons.append((self.without_positive, "no anchor or no positive to use"))
        if reasons:
            counted = len(reasons) > 1
            said = ", ".join(f"{text} ({count})" if counted else text for count, text in reasons)
            logger.warning("%s: %d of %d rows dropped%s: %s%s", shape.name, self.dropped, self.rows, where, said, hint)
        if self.unscored:
            logger.warning("%s: %d negatives without a finite score left out%s", shape.name, self.unscored, where)
        kept = self.rows - self.dropped
        if self.written != kept:
            logger.info("%s: %d rows became %d%s", shape.name, kept, self.written, where)


@dataclass
class ConvertStream:
    """The same for a stream's batches (dicts of lists), counting as it goes.

    Nobody tells a stream that it has ended, so it reports after the first batch and then whenever the
    number of rows seen has doubled. Worker processes count for themselves.
    """

    convert: Convert
    counts: Counts = field(default_factory=Counts)
    said_at: int = 0

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        table = stream_table(batch, self.convert.layout)
        rows = read_rows(table, self.convert.layout)
        shape = self.convert.shape
        self.counts.add(shape, rows.positives.lengths, rows.negatives.lengths, rows.unscored)
        if self.counts.rows >= 2 * self.said_at:
            self.said_at = self.counts.rows
            self.counts.report(shape, f" so far, after {_plural(self.counts.rows, 'row')} of the stream")
        return cast("dict[str, list[Any]]", self.convert(table).to_pydict())


def stream_table(batch: Mapping[str, Any], layout: TrainerLayout) -> pa.Table:
    """The columns that `layout` reads, out of a dict of lists."""
    return pa.table({name: pa.array(batch[name], from_pandas=False) for name in layout.columns})


@dataclass(frozen=True)
class Mined:
    """A mined dataset, split by split, and where its columns are."""

    given: Any
    splits: Mapping[str | None, Dataset | IterableDataset]
    layout: TrainerLayout

    def to(self, shape: Shape) -> Any:
        """The dataset in `shape`, of the kind that was given; says what was dropped or multiplied."""
        done = {name: _convert(split, self.layout, shape, name) for name, split in self.splits.items()}
        return type(self.given)(done) if isinstance(self.given, dict) else done[None]

    def count(self, n: int | None, format: str) -> int:
        """`n`, checked; for None the length of the longest list of usable negatives over all rows."""
        if n is None:
            return self._longest(format)
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise SettingError(f"{format}: n={n!r} should be the number of negatives of a row, 1 or more")
        return n

    def _longest(self, format: str) -> int:
        if any(isinstance(split, IterableDataset) for split in self.splits.values()):
            raise SettingError(
                f"{format}: a stream does not say how many negatives its rows have; pass n=..., e.g. n=5"
            )
        lengths = [survey(split, self.layout)[1] for split in self.splits.values()]
        longest = max((int(found.max()) for found in lengths if len(found)), default=0)
        if longest == 0:
            raise EmptyInputError(
                f"{format}: no row has a negative to use, so there is nothing to train on; were they all "
                "filtered out when mining? Loosen the filters or mine deeper"
            )
        return longest


def open_mined(ds: Data, layout_of: Callable[[Mapping[str, Kind]], TrainerLayout]) -> Mined:
    """Look at the columns of every split; all must have what the first one's layout reads."""
    if not isinstance(ds, Dataset | DatasetDict | IterableDataset | IterableDatasetDict):
        raise InputError(f"expected a mined Dataset, DatasetDict or IterableDataset, got {type(ds).__name__}")
    splits = dict(ds) if isinstance(ds, dict) else {None: ds}
    if not splits:
        raise EmptyInputError("the DatasetDict has no splits")
    layouts = {}
    for name, split in splits.items():
        try:
            layouts[name] = layout_of(column_kinds(split))
        except ColumnError as error:
            raise (error if name is None else ColumnError(f"split {name!r}: {error}")) from None
    found = list(dict.fromkeys(layouts.values()))
    if len(found) > 1:
        raise ColumnError(
            "the splits would be read from different columns "
            f"({'; '.join(f'{name}: {layout.columns}' for name, layout in layouts.items())}); "
            "name them with anchor=, positive= and scores=, or convert split by split"
        )
    return Mined(ds, splits, found[0])


def survey(ds: Dataset, layout: TrainerLayout) -> tuple[Ints, Ints, int]:
    """Usable positives and negatives per row, (rows,) each, and how many negatives lack a score."""
    positives, negatives, unscored = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], 0
    for table in tables(ds, layout):
        rows = read_rows(table, layout)
        positives.append(rows.positives.lengths)
        negatives.append(rows.negatives.lengths)
        unscored += rows.unscored
    return np.concatenate(positives), np.concatenate(negatives), unscored


def tables(ds: Dataset | IterableDataset, layout: TrainerLayout, size: int = READ_ROWS) -> Iterator[pa.Table]:
    """The columns that `layout` reads, `size` rows at a time, as Arrow."""
    if isinstance(ds, IterableDataset):
        for batch in ds.with_format(None).iter(batch_size=size):
            yield stream_table(batch, layout)
    else:
        yield from ds.select_columns(layout.columns).with_format("arrow").iter(batch_size=size)


@store.disk_full_is_said()  # `datasets` writes what it maps
def _convert(ds: Dataset | IterableDataset, layout: TrainerLayout, shape: Shape, split: str | None) -> Any:
    convert, features = Convert(layout, shape), shape.features()
    if isinstance(ds, IterableDataset):
        return ds.with_format(None).map(
            ConvertStream(convert), batched=True, remove_columns=list(column_kinds(ds)), features=features
        )
    # Counted apart from the conversion: a conversion that comes from the cache would count nothing.
    positives, negatives, unscored = survey(ds, layout)
    counts = Counts()
    counts.add(shape, positives, negatives, unscored)
    counts.report(shape, "" if split is None else f" in {split}", _hint(shape, positives, negatives))
    if len(ds) == 0:
        return Dataset(features.arrow_schema.empty_table())
    read = ds.select_columns(layout.columns)
    made = read.with_format("arrow").map(
        convert, batched=True, remove_columns=read.column_names, features=features, desc=shape.name
    )
    return made.with_format(None)


def _hint(shape: Shape, positives: Ints, negatives: Ints) -> str:
    """The n that would keep 95% of the rows, where that is fewer than were asked for."""
    lengths = negatives[positives > 0]
    if shape.minimum < 2 or not len(lengths):
        return ""
    fewer = int(np.quantile(lengths, 0.05, method="lower"))
    if not 1 <= fewer < shape.minimum:
        return ""
    return f" (n={fewer} would keep {int(np.count_nonzero(lengths >= fewer))})"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
