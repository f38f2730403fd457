"""A few rows of a mined folder, cut to what a table can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base import columns
from hfneg.base.scrubbing import masked_example
from hfneg.runs.folder.card.markdown import escaped, one_line

LONGEST = 240
ROWS = 5
NEGATIVES = 3


@dataclass(frozen=True)
class Line:
    """One text of a sample: what it is to the anchor, and what was said of it."""

    role: str
    text: str
    score: float | None = None
    source: str = ""


@dataclass(frozen=True)
class SampleRow:
    """An anchor, its positives and its first negatives."""

    anchor: str
    lines: tuple[Line, ...]
    more: int


def read_samples(folder: Path, names: Mapping[str, str], rows: int = ROWS) -> list[SampleRow]:
    """`rows` rows that have negatives, from the beginning of the first shard.

    Args:
        folder: a mined folder.
        names: its columns, ``{"anchor": ..., "positive": ...}``.
    """
    found: list[SampleRow] = []
    for path in sorted((folder / "data").glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=100):
            for row in _readable(batch, names).to_pylist():
                if row[columns.NEGATIVES] and _short(row[names["anchor"]]) not in (sample.anchor for sample in found):
                    found.append(_sample(row, names))
                if len(found) == rows:
                    return found
    return found


def _readable(batch: pa.RecordBatch, names: Mapping[str, str]) -> pa.RecordBatch:
    wanted = (*names.values(), *columns.MINED)
    return batch.select([name for name in batch.schema.names if name in wanted])


def _sample(row: Mapping[str, Any], names: Mapping[str, str]) -> SampleRow:
    positives = row[names["positive"]]
    taught = columns.NEGATIVE_TEACHER_SCORES in row
    of_positives = row.get(columns.POSITIVE_TEACHER_SCORES if taught else columns.POSITIVE_SCORES) or []
    of_negatives = row.get(columns.NEGATIVE_TEACHER_SCORES if taught else columns.NEGATIVE_SCORES) or []
    sources = row.get(columns.NEGATIVE_SOURCES) or []
    lines = [
        Line("positive", _short(text), _at(of_positives, i))
        for i, text in enumerate(positives if isinstance(positives, list) else [positives])
        if text is not None
    ]
    negatives = row[columns.NEGATIVES]
    lines += [
        Line("negative", _short(text), _at(of_negatives, i), str(_at(sources, i) or ""))
        for i, text in enumerate(negatives[:NEGATIVES])
    ]
    return SampleRow(_short(row[names["anchor"]]), tuple(lines), max(0, len(negatives) - NEGATIVES))


def _at(values: list[Any], i: int) -> Any:
    return values[i] if i < len(values) else None


def _short(text: Any) -> str:
    """Masked, then cut to what a table can show (half a token has no form), and escaped."""
    line = masked_example(one_line(text))
    return escaped(line if len(line) <= LONGEST else line[: LONGEST - 1] + "…")
