"""Rows without an anchor or without a positive: left out where that is asked for, counted and said."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.data.layouts.guessing import is_list
from hfneg.errors import EmptyInputError, InputError

log = logging.getLogger(__name__)


def left_out(rows: Any, names: Iterable[str], what: str) -> Any:
    """`rows` (a `Dataset` or `DatasetDict`) without those where one of the columns holds nothing.

    Nothing is a null, a text of white space, an empty list, or a list with one of these in it. Raises EmptyInputError
    where no row is left, InputError for a stream, whose rows cannot be counted before they are read.
    """
    import datasets

    splits = rows if isinstance(rows, dict) else {"": rows}
    kept: dict[str, Any] = {}
    empty, counted = dict.fromkeys(names, 0), 0
    for split, part in splits.items():
        if not hasattr(part, "num_rows"):
            raise InputError(f"{what} is a stream; skip_missing needs a Dataset: filter its rows before they are given")
        gaps = {name: _gaps(part, name) for name in empty}
        for name, there in gaps.items():
            empty[name] += int(there.sum())
        whole = ~np.any(list(gaps.values()), axis=0)
        counted += int((~whole).sum())
        kept[split] = part if whole.all() else part.select(np.flatnonzero(whole))
    if not counted:
        return rows
    columns = ", ".join(f"{count:,} without {name!r}" for name, count in empty.items() if count)
    total = sum(part.num_rows for part in splits.values())
    if counted == total:
        raise EmptyInputError(f"no row of {what} has all it needs: {columns}")
    log.warning("%d of %d rows were left out: %s", counted, total, columns)
    return datasets.DatasetDict(kept) if isinstance(rows, dict) else kept[""]


def _gaps(rows: Any, name: str) -> npt.NDArray[np.bool_]:
    """bool [rows]: whether the column holds nothing there."""
    tables = rows.select_columns([name]).with_format("arrow").iter(10_000)
    parts = [_nothing(table[name].combine_chunks()) for table in tables]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def _nothing(values: Any) -> npt.NDArray[np.bool_]:
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    found: npt.NDArray[np.bool_] = values.is_null().to_numpy(zero_copy_only=False).copy()
    if is_list(values.type):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        inside = _nothing(pc.list_flatten(values))
        owners = np.repeat(np.arange(len(values)), lengths)
        found |= lengths == 0
        found[owners[inside]] = True
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        blank = pc.equal(pc.utf8_trim_whitespace(values), "")
        found |= pc.fill_null(blank, False).to_numpy(zero_copy_only=False)
    return found
