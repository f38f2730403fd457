"""The last stage: the user's rows with our columns, as parquet shards, in the user's order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from hfneg.base import columns, store
from hfneg.base.files import checksums, part_files
from hfneg.base.files.checksums import Fault
from hfneg.base.lists import lists_of
from hfneg.data.anchors import Anchors
from hfneg.errors import ColumnError
from hfneg.pipeline.select import added_columns, mined_columns
from hfneg.pipeline.transform import unique, with_columns
from hfneg.runs.folder.plan import Plan
from hfneg.runs.folder.selections import Selections

if TYPE_CHECKING:
    import datasets

BATCH = 1_000
SHARD_BYTES = 500_000_000
UNKNOWN_ROW_BYTES = 1_000  # of a stream, whose size nobody knows


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

    def __init__(self, plan: Plan, selections: Selections, split: Any) -> None:
        self.plan, self.anchors, self.selections = plan, plan.anchors, selections
        self.features = _features(split)
        self.split = split.with_format("arrow") if hasattr(split, "num_rows") else _undecoded(split)

    def write(self, shard: Shard, folder: Path, counted: Path) -> None:
        """The shard, then its counts and its checksum as JSON: where these are, the shard is finished."""
        counts = HiddenCount()

        def fill(path: Path) -> None:
            kept = {name: feature for name, feature in self.features.items() if name not in columns.OURS}
            schema = with_columns(kept, added_columns(self.plan.policy)).arrow_schema
            with pq.ParquetWriter(path, schema) as writer:
                for batch in self._batches(shard):
                    writer.write_table(self._mined(batch, counts).cast(schema))

        store.replace_file(folder / shard.name, fill)
        facts = {"counts": counts.__dict__, "file": checksums.sum_of(folder / shard.name)}
        part_files.save_facts(_facts_of(shard, counted), facts)

    def _batches(self, shard: Shard) -> Iterator[pa.Table]:
        if hasattr(self.split, "num_rows"):
            for start in range(shard.start, shard.stop, BATCH):
                yield self.split[start : min(start + BATCH, shard.stop)]
            return
        # not in the format "arrow", which takes the types of a Python row from that row alone
        for rows in self.split.skip(shard.start).take(shard.stop - shard.start).iter(BATCH):
            try:
                yield pa.Table.from_pydict(self.features.encode_batch(rows), schema=self.features.arrow_schema)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise ColumnError(
                    f"the rows of the stream {shard.split!r} do not all have the same types ({error}); say which they "
                    "have: stream.cast(Features({...}))"
                ) from error

    def _mined(self, batch: pa.Table, counts: HiddenCount) -> pa.Table:
        kept = [name for name in batch.column_names if name not in columns.OURS]
        batch = batch.select(kept)
        _, numbers, place = unique(self.anchors.numbers(batch))
        chosen = self.selections.take(numbers)
        new = mined_columns(self.anchors, batch, place, chosen, self.plan.names)
        if self.plan.hidden is not None:
            counts.add(self._count_hidden(batch, self.plan.hidden, chosen.rows.take(place)))
        for name, lists in new.items():
            batch = batch.append_column(name, lists.arrow())
        return batch

    def _count_hidden(self, batch: pa.Table, hidden: str, negatives: Any) -> HiddenCount:
        """How many of the negatives are in the row's hidden column."""
        given = lists_of([[] if value is None else value for value in batch[hidden].to_pylist()], hidden)
        corpus = self.anchors.corpus
        rows = corpus.rows_of_ids(given.flat)
        rows = np.where(rows >= 0, rows, corpus.rows_of_texts(given.flat))
        wide = len(corpus)
        known = (given.owners * wide + rows)[rows >= 0]  # an unknown one is no document of the row before
        found = np.isin(negatives.owners * wide + negatives.flat, known)
        return HiddenCount(len(negatives.flat), int(found.sum()), len(given.flat))


def _features(split: Any) -> datasets.Features:
    """The user's types; of a stream that does not say, those of its first rows."""
    import datasets

    if split.features is not None:
        return split.features
    first = next(iter(split.with_format(None).iter(BATCH)))
    return datasets.Features.from_arrow_schema(pa.Table.from_pydict(first).schema)


def _undecoded(stream: Any) -> Any:
    """As Python rows; images and sounds stay the bytes they are."""
    stream = stream.with_format(None)
    return stream.decode(False) if stream.features is not None else stream


def shards_of(name: str, rows: int, row_bytes: float) -> list[Shard]:
    """A split cut into shards of about 500 MB."""
    count = max(1, min(rows, round(rows * row_bytes / SHARD_BYTES)))
    edges = [rows * i // count for i in range(count + 1)]
    return [
        Shard(name, start, stop, f"{name}-{i:05d}-of-{count:05d}.parquet")
        for i, (start, stop) in enumerate(pairwise(edges))
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


def is_written(shard: Shard, folder: Path, counted: Path) -> bool:
    """Whether `RowWriter.write` has finished the shard, and it is as it was left; if not it is set aside."""
    facts = part_files.load_facts(_facts_of(shard, counted))
    if facts is None or "file" not in facts:  # of an earlier version
        return False
    fault = checksums.file_fault(folder / shard.name, checksums.Sum(*facts["file"]))
    part_files.give_up([] if fault is None else [fault])
    return fault is None


def _facts_of(shard: Shard, counted: Path) -> Path:
    return (counted / shard.name).with_suffix(".json")


def load_counts(paths: list[Path]) -> HiddenCount:
    """The sum over shards."""
    total = HiddenCount()
    for path in paths:
        facts = part_files.load_facts(path)
        if facts is None:
            raise part_files.damaged(Fault(path, "it was whole a moment ago"))
        total.add(HiddenCount(**facts["counts"]))
    return total
