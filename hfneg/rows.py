"""The last stage: the user's rows with our columns, as parquet shards, in the user's order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hfneg import columns, store
from hfneg.anchors import Anchors
from hfneg.batches import lists_of
from hfneg.pipeline import Mine
from hfneg.select import mined_columns
from hfneg.stages import Selections
from hfneg.transform import unique

if TYPE_CHECKING:
    import datasets

BATCH = 1_000
SHARD_BYTES = 500_000_000
UNKNOWN_ROW_BYTES = 1_000  # of a stream, whose size nobody knows

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """Rows start .. stop - 1 of a split, and the file that will hold them."""

    split: str
    start: int
    stop: int
    name: str


@dataclass
class HiddenCount:
    """Hidden positives among the negatives: of how many negatives how many are relevant after all."""

    negatives: int = 0
    hidden_found: int = 0
    hidden: int = 0

    def add(self, other: HiddenCount) -> None:
        self.negatives += other.negatives
        self.hidden_found += other.hidden_found
        self.hidden += other.hidden


class RowWriter:
    """Writes the shards of one split."""

    def __init__(self, transform: Mine, selections: Selections, split: Any, hidden: str | None) -> None:
        self.transform = transform
        self.anchors: Anchors = transform.anchors
        self.selections = selections
        self.split = split.with_format("arrow")
        self.hidden = hidden

    def write(self, shard: Shard, folder: Path, counted: Path, features: datasets.Features | None) -> None:
        """The shard, then its counts as JSON: where the counts are, the shard is finished."""
        counts = HiddenCount()

        def fill(path: Path) -> None:
            writer = None
            for batch in self._batches(shard):
                table = self._mined(batch, counts)
                if writer is None:
                    schema = _schema(table, features, self.transform)
                    writer = pq.ParquetWriter(path, schema)
                writer.write_table(table.cast(writer.schema))
            if writer is not None:
                writer.close()

        store.replace_file(folder / shard.name, fill)
        store.write_json((counted / shard.name).with_suffix(".json"), counts.__dict__)

    def _batches(self, shard: Shard) -> Iterator[pa.Table]:
        if hasattr(self.split, "num_rows"):
            for start in range(shard.start, shard.stop, BATCH):
                yield self.split[start : min(start + BATCH, shard.stop)]
            return
        yield from self.split.skip(shard.start).take(shard.stop - shard.start).iter(BATCH)

    def _mined(self, batch: pa.Table, counts: HiddenCount) -> pa.Table:
        kept = [name for name in batch.column_names if name not in columns.OURS]
        batch = batch.select(kept)
        _, numbers, place = unique(self.anchors.numbers(batch))
        chosen, positive_scores = self.selections.take(numbers)
        new = mined_columns(self.anchors, batch, place, chosen, positive_scores, self.transform.retrieve.names)
        if self.hidden is not None:
            counts.add(self._count_hidden(batch, chosen.negatives.take(place)))
        for name, lists in new.items():
            batch = batch.append_column(name, lists.arrow())
        return batch

    def _count_hidden(self, batch: pa.Table, negatives: Any) -> HiddenCount:
        """How many of the negatives are in the row's hidden column."""
        assert self.hidden is not None
        given = lists_of([[] if value is None else value for value in batch[self.hidden].to_pylist()], self.hidden)
        corpus = self.anchors.corpus
        rows = corpus.rows_of_ids(given.flat)
        rows = np.where(rows >= 0, rows, corpus.rows_of_texts(given.flat))
        wide = len(corpus)
        known = (given.owners * wide + rows)[rows >= 0]  # an unknown one is no document of the row before
        found = np.isin(negatives.owners * wide + negatives.flat, known)
        return HiddenCount(len(negatives.flat), int(found.sum()), len(given.flat))


def _schema(table: pa.Table, features: datasets.Features | None, transform: Mine) -> pa.Schema:
    """The user's features and ours, so that `load_dataset` gives back the very same types."""
    import datasets

    if features is None:
        features = datasets.Features.from_arrow_schema(table.schema)
    kept = {name: feature for name, feature in features.items() if name not in columns.OURS}
    schema: pa.Schema = transform.features(datasets.Features(kept)).arrow_schema
    return schema


def shards_of(name: str, rows: int, row_bytes: float) -> list[Shard]:
    """A split cut into shards of about 500 MB."""
    count = max(1, min(rows, round(rows * row_bytes / SHARD_BYTES)))
    edges = [rows * i // count for i in range(count + 1)]
    return [
        Shard(name, start, stop, f"{name}-{i:05d}-of-{count:05d}.parquet")
        for i, (start, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True))
    ]


def row_bytes(split: Any, anchors: Anchors, n: int) -> float:
    """About how many bytes a mined row has."""
    corpus = anchors.corpus
    mean_document = float(corpus.lengths[-1]) / len(corpus)
    own = UNKNOWN_ROW_BYTES
    if hasattr(split, "num_rows") and split.num_rows:
        sample = split.with_format("arrow")[: min(200, split.num_rows)]
        own = sample.nbytes / len(sample)
    return own + n * (mean_document + 24)


def content_digest(split: Any) -> str | None:
    """A digest of all values of a split, so that a resumed run knows that no column changed; None for a stream."""
    if not hasattr(split, "num_rows"):
        return None
    state = xxhash.xxh3_128()
    arrow = split.with_format("arrow")
    for start in range(0, split.num_rows, 10_000):
        sink = pa.BufferOutputStream()
        table = arrow[start : start + 10_000].combine_chunks()
        with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as stream:
            stream.write_table(table.replace_schema_metadata(None))
        state.update(memoryview(sink.getvalue()))
    return state.hexdigest()


def load_counts(paths: list[Path]) -> HiddenCount:
    """The sum over shards."""
    total = HiddenCount()
    for path in paths:
        total.add(HiddenCount(**json.loads(path.read_text())))
    return total
