"""A trainer format as a file: the suffix of its name says of which kind, and any other is refused before work."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, IterableDataset

from hfneg.errors import SettingError
from hfneg.formats.converting import READ_ROWS
from hfneg.formats.files import replacing

Tables: TypeAlias = Iterable[pa.Table]
OPENED_BY = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
"""Suffix -> what ``load_dataset`` calls it; each but parquet may end in .gz besides."""
SUFFIXES = (".parquet", ".jsonl", ".json", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz")


def kind_of(path: str | os.PathLike[str]) -> tuple[str, bool]:
    """(the suffix, whether it is packed by gzip). Raises SettingError for a suffix of no kind that can be written."""
    name = Path(path).name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if not name.endswith(SUFFIXES) or name in SUFFIXES:
        raise SettingError(
            f"the suffix of {os.fspath(path)!r} says how the rows are written, and {suffix or 'a name without one'} is "
            f"none of {', '.join(SUFFIXES)}"
        )
    return suffix, name.endswith(".gz")


def check_kind(path: str | os.PathLike[str], features: Any) -> None:
    """Raise SettingError where the suffix is none, or names a file that cannot hold these columns."""
    suffix, _ = kind_of(path)
    lists = [column.name for column in features.arrow_schema if pa.types.is_nested(column.type)]
    if suffix == ".csv" and lists:
        raise SettingError(
            f"{os.fspath(path)!r}: a CSV file has no lists, which {', '.join(lists)} are; write .parquet or .jsonl, or "
            "another format"
        )


def write(ds: Dataset | IterableDataset, path: str | os.PathLike[str], overwrite: bool) -> int:
    """One file, renamed into place; returns the rows written."""
    check_kind(path, ds.features)
    suffix, packed = kind_of(path)
    schema = ds.features.arrow_schema
    with replacing(path, overwrite) as part:
        if suffix == ".parquet":
            return _write_parquet(part, _batches(ds, schema), schema)
        with part.open("wb") as raw:
            packing = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if packed else raw
            text = io.TextIOWrapper(packing, encoding="utf-8", newline="")
            written = WRITERS[suffix](text, _batches(ds, schema), schema)
            text.close()
    return written


def _write_parquet(part: Path, tables: Tables, schema: pa.Schema) -> int:
    written = 0
    with pq.ParquetWriter(part, schema) as writer:
        for table in tables:
            writer.write_table(table)
            written += len(table)
    return written


def _write_lines(file: io.TextIOWrapper, tables: Tables, schema: pa.Schema) -> int:
    """One JSON object a line; a score has the digits of a float64, so that it reads back as it was."""
    written = 0
    for row in _rows(tables):
        file.write(f"{json.dumps(row, ensure_ascii=False)}\n")
        written += 1
    return written


def _write_array(file: io.TextIOWrapper, tables: Tables, schema: pa.Schema) -> int:
    """One JSON document, a list of objects."""
    written = 0
    for row in _rows(tables):
        file.write(f"{',' if written else '['}\n{json.dumps(row, ensure_ascii=False)}")
        written += 1
    file.write("\n]\n" if written else "[]\n")
    return written


def _write_csv(file: io.TextIOWrapper, tables: Tables, schema: pa.Schema) -> int:
    """With a header; every text stands in quotes."""
    written = 0
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(schema.names)
    for row in _rows(tables):
        writer.writerow(row.values())
        written += 1
    return written


WRITERS: dict[str, Callable[[io.TextIOWrapper, Tables, pa.Schema], int]] = {
    ".jsonl": _write_lines,
    ".json": _write_array,
    ".csv": _write_csv,
}


def _rows(tables: Tables) -> Iterator[dict[str, Any]]:
    for table in tables:
        yield from table.to_pylist()


def _batches(ds: Dataset | IterableDataset, schema: pa.Schema) -> Iterator[pa.Table]:
    if isinstance(ds, IterableDataset):
        for batch in ds.iter(batch_size=READ_ROWS):
            yield pa.Table.from_pydict(batch, schema=schema)
    else:
        yield from (table.cast(schema) for table in ds.with_format("arrow").iter(batch_size=READ_ROWS))
