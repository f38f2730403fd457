"""Rows in memory as a `Dataset`: lists of dictionaries, pandas' and polars' frames, Arrow tables.

Whatever has ``__arrow_c_stream__`` is read by that, so that no library has to be imported for its frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from hfneg.errors import ColumnError, InputError


def as_dataset(given: Any, what: str) -> Any:
    """`given` as a `Dataset` (`DatasetDict` of splits) where it is rows in memory; anything else as it is.

    `what` names it in an error. Raises ColumnError: a column of values that do not go together.
    """
    if isinstance(given, Mapping) and any(is_rows(split) for split in given.values()):
        import datasets

        return datasets.DatasetDict({name: as_dataset(split, f"{what} ({name})") for name, split in given.items()})
    if not is_rows(given):
        return given
    import datasets

    return datasets.Dataset(_table(given, what))


def is_rows(given: Any) -> bool:
    """Whether these are rows in memory that are no `Dataset` yet."""
    if isinstance(given, list | tuple):
        return bool(given) and all(isinstance(row, Mapping) for row in given)
    if hasattr(given, "with_format") or hasattr(given, "to_list") or isinstance(given, pa.ChunkedArray):  # a column
        return False
    return _is_pandas(given) or hasattr(given, "__arrow_c_stream__")


def _is_pandas(given: Any) -> bool:
    return any(kind.__module__.startswith("pandas.") and kind.__name__ == "DataFrame" for kind in type(given).__mro__)


def _table(given: Any, what: str) -> pa.Table:
    try:
        if _is_pandas(given):
            named = any(name is not None for name in given.index.names)
            rows = given.reset_index() if named else given
            table = pa.Table.from_pandas(rows, preserve_index=False)
        elif isinstance(given, list | tuple):
            table = _of_rows(given)
        else:
            table = pa.table(given)
        return table.cast(pa.schema([(field.name, _plain(field.type)) for field in table.schema]))
    except InputError:
        raise
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise ColumnError(
            f"{what}, a {type(given).__name__}, cannot be read as rows with columns of one type each ({said}); cast or "
            "leave out that column"
        ) from error


def _of_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """With the columns of all rows, in the order in which they come; what a row does not have is missing."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"a row has the key {name!r}, a {type(name).__name__}; the names of columns are texts")
    return pa.table({name: pa.array([row.get(name) for row in rows], from_pandas=True) for name in names})


def _plain(type: pa.DataType) -> pa.DataType:
    """Views, categories and large lists as what a `Dataset` has for them."""
    if pa.types.is_dictionary(type):
        return _plain(type.value_type)
    if pa.types.is_string_view(type):
        return pa.large_string()
    if pa.types.is_binary_view(type):
        return pa.large_binary()
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_list_view(type):
        return pa.list_(_plain(type.value_type))
    return type
