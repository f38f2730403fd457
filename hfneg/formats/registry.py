"""All formats by name, and one function that writes any of them to disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, IterableDataset

from hfneg.errors import InputError, SettingError, near_miss
from hfneg.formats.converting import READ_ROWS
from hfneg.formats.files import replacing, write_flagembedding, write_tevatron
from hfneg.formats.identifying import ids
from hfneg.formats.pylate import write_pylate
from hfneg.formats.training import (
    distillation,
    labelled_pairs,
    listwise,
    margin_mse,
    scored_pairs,
    triplets,
    tuples,
)

#: Dataset -> dataset of the same kind, for the trainers of sentence-transformers.
TRAINER_FORMATS: dict[str, Callable[..., Any]] = {
    "tuples": tuples,
    "triplets": triplets,
    "labelled_pairs": labelled_pairs,
    "scored_pairs": scored_pairs,
    "margin_mse": margin_mse,
    "distillation": distillation,
    "listwise": listwise,
    "ids": ids,
}
#: (Dataset, path) -> number of rows written, for other tools.
FILE_FORMATS: dict[str, Callable[..., int]] = {
    "flagembedding": write_flagembedding,
    "tevatron": write_tevatron,
    "pylate": write_pylate,
}
FORMATS: dict[str, Callable[..., Any]] = {**TRAINER_FORMATS, **FILE_FORMATS}


def export(
    ds: Dataset | IterableDataset,
    format: str,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    **options: Any,
) -> int:
    """Write one split of a mined dataset in the named format; returns the number of rows written.

    `format` is a name of FORMATS, `options` are that function's. Trainer formats become one parquet file,
    which ``load_dataset("parquet", data_files=path)`` opens; the others what their tool reads.

    Example::

        hfneg.formats.export(mined["train"], "tuples", "train.parquet", n=5)
    """
    if isinstance(ds, dict):
        raise InputError(f"a file holds one split: pass one of {', '.join(f'ds[{name!r}]' for name in ds)}")
    if format in FILE_FORMATS:
        return FILE_FORMATS[format](ds, path, overwrite=overwrite, **options)
    if format not in TRAINER_FORMATS:
        raise SettingError(
            f"format={format!r} is not one of {', '.join(map(repr, FORMATS))}.{near_miss(format, FORMATS)}"
        )
    return _write_parquet(TRAINER_FORMATS[format](ds, **options), path, overwrite)


def _write_parquet(ds: Dataset | IterableDataset, path: str | os.PathLike[str], overwrite: bool) -> int:
    schema, written = ds.features.arrow_schema, 0
    with replacing(path, overwrite) as part, pq.ParquetWriter(part, schema) as writer:
        for table in _batches(ds, schema):
            writer.write_table(table)
            written += len(table)
    return written


def _batches(ds: Dataset | IterableDataset, schema: pa.Schema) -> Iterator[pa.Table]:
    if isinstance(ds, IterableDataset):
        for batch in ds.iter(batch_size=READ_ROWS):
            yield pa.Table.from_pydict(batch, schema=schema)
    else:
        yield from (table.cast(schema) for table in ds.with_format("arrow").iter(batch_size=READ_ROWS))
