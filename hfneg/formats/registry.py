"""All formats by name, and one function that writes any of them to disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from datasets import Dataset, IterableDataset

from hfneg.errors import InputError, SettingError, near_miss
from hfneg.formats import writing
from hfneg.formats.files import write_flagembedding, write_tevatron
from hfneg.formats.identifying import ids
from hfneg.formats.pylate import write_pylate
from hfneg.formats.training import distillation, labelled_pairs, listwise, margin_mse, scored_pairs, triplets, tuples

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

    `format` is a name of FORMATS, `options` are that function's. Trainer formats become one file, of the kind that the
    suffix of `path` names (.parquet, .jsonl, .json, .csv; the last three also with .gz), which ``load_dataset(
    "parquet", data_files=path)`` (or "json", "csv") opens; the others what their tool reads. Raises SettingError for
    another suffix, and for lists in a CSV file.

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
    writing.kind_of(path)
    return writing.write(TRAINER_FORMATS[format](ds, **options), path, overwrite)
