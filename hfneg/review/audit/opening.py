"""What is to be audited: a dataset or a stream, read as tables from its beginning, as often as needed."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hfneg.base.columns import roles_in
from hfneg.data import files
from hfneg.data.files.readable import check_name
from hfneg.errors import ColumnError, EmptyInputError, InputError, near_miss
from hfneg.runs.folder import mined as mined_folder
from hfneg.runs.folder.work_area import SUMMARY

BATCH = 1_000


@dataclass(frozen=True)
class AuditedRows:
    """Rows and what is known of them. `anchor`, `positive` and `recipe` are those of a mined folder."""

    name: str
    rows: Any
    anchor: str | None = None
    positive: str | None = None
    recipe: str = ""

    @property
    def is_stream(self) -> bool:
        return not hasattr(self.rows, "num_rows")

    @property
    def features(self) -> Any:
        """The types; of a stream that does not say, those of its first rows."""
        import datasets

        if self.rows.features is not None:
            return self.rows.features
        first = next(iter(self.rows.with_format(None).iter(BATCH)), None)
        if first is None:
            raise EmptyInputError(f"{self.name} has no rows; there is nothing to audit")
        return datasets.Features.from_arrow_schema(_table(first, self.name).schema)

    def tables(self, columns: Sequence[str] | None = None, features: Any = None) -> Iterator[pa.Table]:
        """All rows in order, about a thousand at a time; only `columns`, or all. `features`: cast to these."""
        features = features if features is not None else self.features
        if columns is not None:
            features = type(features)({name: features[name] for name in columns})
        schema = features.arrow_schema
        yield from self._stream(schema, features) if self.is_stream else self._stored(list(features))

    def _stored(self, names: list[str]) -> Iterator[pa.Table]:
        rows = self.rows.with_format("arrow").select_columns(names)
        for start in range(0, rows.num_rows, BATCH):
            yield rows[start : start + BATCH]

    def _stream(self, schema: pa.Schema, features: Any) -> Iterator[pa.Table]:
        rows = self.rows.with_format(None)
        rows = (rows.decode(False) if rows.features is not None else rows).select_columns(schema.names)
        for batch in rows.iter(BATCH):
            try:
                yield pa.Table.from_pydict(features.encode_batch(batch), schema=schema)
            except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
                raise ColumnError(
                    f"the rows of {self.name} do not all have the same types ({error}); say which they have: "
                    "stream.cast(Features({...}))"
                ) from error


def _table(batch: Mapping[str, Any], name: str) -> pa.Table:
    try:
        return pa.Table.from_pydict(dict(batch))
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
        raise ColumnError(f"the first rows of {name} do not have columns of one type each ({error})") from error


def open_source(dataset: Any, split: str | None = None, columns: Sequence[str] | None = None) -> AuditedRows:
    """A Dataset, a stream, a DatasetDict (of one split, or with `split`), a mined folder or what `load_any` opens.

    Raises InputError (nothing of these, several splits), EmptyInputError (no rows).
    """
    if isinstance(dataset, str | Path):
        check_name(dataset)
        return _open_path(str(dataset), split, columns)
    kind = type(dataset).__name__
    rows = _one_split(dataset, f"this {kind}", split)
    roles = {role: name for role, name in roles_in(rows).items() if name in (rows.column_names or ())}
    return _checked(AuditedRows(f"this {kind}", rows, roles.get("anchor"), roles.get("positive")))


def _open_path(path: str, split: str | None, columns: Sequence[str] | None) -> AuditedRows:
    if (Path(path) / SUMMARY).is_file():
        recipe = str(mined_folder.open_summary(path).get("recipe", ""))
        mined_folder.refuse_damaged(Path(path))
        rows, anchor, positive = mined_folder.open_split(Path(path), split)
        return _checked(AuditedRows(path, rows, anchor, positive, recipe))
    return _checked(AuditedRows(path, _one_split(files.load_any(path, split, columns), path, None)))


def _one_split(dataset: Any, name: str, split: str | None) -> Any:
    if isinstance(dataset, dict):
        wanted = split or (next(iter(dataset)) if len(dataset) == 1 else None)
        if wanted not in dataset:
            raise InputError(
                f"{name} has the splits {', '.join(dataset) or 'none'}; say which (split=...)."
                f"{near_miss(split, dataset) if split else ''}"
            )
        return dataset[wanted]
    if split is not None:
        raise InputError(f"{name} has no splits, but the split {split!r} was asked for")
    return dataset


def _checked(source: AuditedRows) -> AuditedRows:
    rows = source.rows
    if not hasattr(rows, "with_format") or not hasattr(rows, "select_columns"):
        raise InputError(
            f"cannot audit {reprlib.repr(rows)}, a {type(rows).__name__}; expected a Dataset, one split of a "
            "DatasetDict, an IterableDataset, a mined folder, a file or a Hub id (Dataset.from_list makes a Dataset of "
            "a list of rows)"
        )
    if not source.is_stream and not rows.num_rows:
        raise EmptyInputError(f"{source.name} has no rows; there is nothing to audit")
    return source
