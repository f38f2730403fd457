"""Reading a batch as `datasets` hands it over, and flat lists of numbers.

The batch of a transform is a `LazyBatch`, a dict of arrays or a `pa.Table`, depending on the dataset's
format; only ``batch["column"]`` works on all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base.arrays import Ints
from hfneg.base.files.strings import not_unicode
from hfneg.errors import ColumnError


@dataclass(frozen=True)
class Lists:
    """Ragged lists, flat: list i is ``flat[indptr[i]:indptr[i + 1]]``; `flat` is a NumPy or an Arrow array."""

    indptr: Ints
    flat: Any

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, i: int) -> Any:
        return self.flat[self.indptr[i] : self.indptr[i + 1]]

    @property
    def lengths(self) -> Ints:
        return np.diff(self.indptr)

    @property
    def owners(self) -> Ints:
        """int64 [len(flat)]: the list to which each element belongs."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def places(self) -> Lists:
        """The place of each element in `flat`, as lists: `take` them to take what is aligned with `flat`."""
        return Lists(self.indptr, np.arange(self.indptr[-1]))

    @classmethod
    def gather(cls, values: Any, starts: Ints, ends: Ints) -> Lists:
        """The lists values[starts[i]:ends[i]], one behind the other."""
        lengths = ends - starts
        indptr = offsets(lengths)
        positions = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
        return cls(indptr, values.take(pa.array(positions)) if isinstance(values, pa.Array) else values[positions])

    def take(self, numbers: Ints) -> Lists:
        """The lists with these numbers, in this order."""
        return Lists.gather(self.flat, self.indptr[numbers], self.indptr[numbers + 1])

    @classmethod
    def of(cls, lists: Iterable[Any], dtype: npt.DTypeLike) -> Lists:
        arrays = [np.asarray(values, dtype=dtype) for values in lists]
        flat = np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
        return cls(offsets([len(values) for values in arrays]), flat)

    def split(self) -> list[Any]:
        """One array per list, in the form from which `datasets` knows the type even when all are empty.

        Texts come as object arrays (a fixed-width array would pad each to the longest), but an empty one
        must be of a text type: an empty object array would be read as a column of nulls.
        """
        flat = self.flat.to_numpy(zero_copy_only=False) if isinstance(self.flat, pa.Array) else self.flat
        empty = np.empty(0, dtype="<U1") if flat.dtype == object else flat[:0]
        return [
            flat[start:end] if end > start else empty
            for start, end in zip(self.indptr[:-1], self.indptr[1:], strict=True)
        ]

    def arrow(self) -> pa.ListArray:
        """The same as an Arrow list array."""
        flat = self.flat if isinstance(self.flat, pa.Array) else pa.array(self.flat)
        if pa.types.is_large_string(flat.type):
            flat = flat.cast(pa.string())
        return pa.ListArray.from_arrays(pa.array(self.indptr.astype(np.int32)), flat)


def offsets(lengths: Any) -> Ints:
    """int64 [n + 1] from n lengths."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


SKIP = "load_pairs(..., skip_missing=True) leaves such rows out, and so does dataset.filter"
"""What to do about rows without a text."""


def values_of(column: Any) -> list[Any]:
    """A column of a batch, whatever its format, as a list of Python objects."""
    if isinstance(column, pa.ChunkedArray | pa.Array):
        values: list[Any] = column.to_pylist()
        return values
    return list(column)


def texts_of(column: Any, name: str) -> list[str]:
    """A column that must hold one text per row."""
    _refuse_row(column, name)
    texts = [_text(value, name, position) for position, value in enumerate(values_of(column))]
    refuse_surrogates(texts, name)
    return texts


def lists_of(column: Any, name: str) -> Lists:
    """A column that holds a text or a list of texts per row; numbers (ids) become texts."""
    _refuse_row(column, name)
    flat: list[str] = []
    ends = [0]
    for position, value in enumerate(values_of(column)):
        several = isinstance(value, list | tuple | np.ndarray)
        flat.extend(_name(item, name, position) for item in (value if several else [value]))
        ends.append(len(flat))
    refuse_surrogates(flat, name)
    return Lists(np.asarray(ends, dtype=np.int64), flat)


def _refuse_row(column: Any, name: str) -> None:
    """Raises ColumnError where a batch is one row, which is what `Dataset.map` hands over unless told otherwise."""
    if isinstance(column, str):
        raise ColumnError(
            f"column {name!r} is one text, {_shown(column)}, where a batch of rows was expected: "
            "dataset.map(step, batched=True)"
        )


def _text(value: Any, name: str, position: int) -> str:
    if isinstance(value, str):
        return str(value)  # a numpy string is a str too
    raise ColumnError(
        f"column {name!r} must hold one text per row; row {position} holds {_shown(value)}, "
        f"a {type(value).__name__}{_way_out(value)}"
    )


def _name(value: Any, name: str, position: int) -> str:
    if isinstance(value, str | int | np.integer) and not isinstance(value, bool):
        return str(value)
    raise ColumnError(
        f"column {name!r} must hold a text, an id or a list of either per row; row {position} holds "
        f"{_shown(value)}, a {type(value).__name__}{_way_out(value)}"
    )


def refuse_surrogates(texts: list[str], name: str) -> None:
    """Raises ColumnError where a text is no valid Unicode; `name` says whose."""
    wrong = not_unicode(texts)
    if wrong is not None:
        raise ColumnError(
            f"column {name!r} holds {_shown(texts[wrong])}, which is no valid Unicode (a lone surrogate): remove such "
            "rows, or clean them with text.encode('utf-8', 'replace').decode()"
        )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _way_out(value: Any) -> str:
    if value is None:
        return f"; {SKIP}"
    if isinstance(value, list | tuple | np.ndarray):
        return "; give one row per text"
    return "; name the column that holds texts, or turn its values into texts first"
