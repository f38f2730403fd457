"""``fix``: a copy without what was found, everything else as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfneg.base.arrays import Mask
from hfneg.base.lists import offsets
from hfneg.data.layouts import Layout, tables
from hfneg.errors import SettingError
from hfneg.formats.files import replacing
from hfneg.review.audit.checks import Check
from hfneg.review.audit.facts import Facts
from hfneg.review.audit.findings import Removed
from hfneg.review.audit.opening import AuditedRows

Emptied = Literal["drop", "keep"]
EMPTIED = "without_negatives"
"""The reason of a row that lost its negatives (in n-tuples, which must be full: one of them)."""


@dataclass(frozen=True)
class FixPlan:
    """What stays (bool [negatives], bool [rows]) and how many go for which reason."""

    negatives: Mask
    rows: Mask
    why_negatives: dict[str, int]
    why_rows: dict[str, int]


def check_target(path: Any, layout: Layout, emptied: str) -> Path:
    """The file to write. Raises SettingError before any work."""
    if not isinstance(path, str | os.PathLike) or Path(path).suffix != ".parquet":
        raise SettingError(f"fix={path!r}: the repaired copy is a parquet file; give a name that ends in .parquet")
    if emptied not in ("drop", "keep"):
        raise SettingError(f"emptied={emptied!r} is not one of 'drop', 'keep'")
    if emptied == "keep" and not layout.in_lists:
        raise SettingError(
            f"emptied='keep': a row in the layout {layout.name!r} is nothing without its negative; only layouts with "
            "lists can keep it"
        )
    return Path(path)


def plan(facts: Facts, layout: Layout, found: Sequence[tuple[Check, Mask]], emptied: Emptied) -> FixPlan:
    """Rows first, then the negatives of the rows that stay; each under the first reason that applies."""
    rows, why_rows = np.ones(facts.rows, dtype=bool), dict[str, int]()
    negatives, why_negatives = np.ones(len(facts.negatives.flat), dtype=bool), dict[str, int]()
    for check, mask in found:
        if check.removed == "rows":
            why_rows[check.name] = int(np.count_nonzero(rows & mask))
            rows &= ~mask
    owners = facts.owners()
    for check, mask in found:
        if check.removed == "negatives":
            why_negatives[check.name] = int(np.count_nonzero(rows[owners] & negatives & mask))
            negatives &= ~mask
    lost = np.bincount(owners[~negatives], minlength=facts.rows)
    empty = (lost > 0) & (lost == facts.negatives.lengths) if layout.in_lists else lost > 0
    if emptied == "drop":
        why_rows[EMPTIED] = int(np.count_nonzero(rows & empty))
        rows &= ~empty
    return FixPlan(negatives, rows, *({name: n for name, n in why.items() if n} for why in (why_negatives, why_rows)))


def write(source: AuditedRows, layout: Layout, facts: Facts, plan: FixPlan, path: Path, overwrite: bool) -> Removed:
    """One parquet file, renamed into place when it is complete. Raises OutputExistsError."""
    features = _features(source.features, layout)
    schema, row, written = features.arrow_schema, 0, 0
    with replacing(path, overwrite) as part, pq.ParquetWriter(part, schema) as writer:
        for table in source.tables(features=source.features):
            stop = row + len(table)
            inside = plan.negatives[slice(*facts.negatives.indptr[[row, stop]])]
            kept = _repaired(table, layout, inside).filter(pa.array(plan.rows[row:stop]))
            writer.write_table(kept.select(schema.names).cast(schema))
            written += len(kept)
            row = stop
    after = int(np.count_nonzero(plan.negatives & plan.rows[facts.owners()]))
    before = len(plan.negatives)
    return Removed(str(path), facts.rows, written, before, after, plan.why_negatives, plan.why_rows)


def _lists_of(layout: Layout) -> list[str]:
    """The columns that become shorter with the negatives."""
    if not layout.in_lists:
        return []
    texts = [layout.documents] if layout.documents is not None else list(layout.negatives)
    return list(dict.fromkeys([*texts, *layout.aligned]))


def _features(features: Any, layout: Layout) -> Any:
    """The same types; a list of a fixed length becomes one of any."""
    import datasets

    changed: Mapping[str, Any] = {
        name: datasets.List(features[name].feature)
        for name in _lists_of(layout)
        if getattr(features[name], "length", -1) != -1
    }
    return type(features)({**features, **changed})


def _repaired(table: pa.Table, layout: Layout, kept: Mask) -> pa.Table:
    """`table` with shorter lists; rows whose lists are of unlike lengths are left, for they are dropped."""
    names = _lists_of(layout)
    if not names or kept.all():
        return table
    batch = tables.read(table, layout)
    lengths = tables.texts_of(tables.column(table, names[0])).lengths
    inside = np.ones(int(lengths.sum()), dtype=bool)
    inside[batch.places[~kept]] = False
    for name in names:
        values = tables.column(table, name)
        own = offsets(pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False))
        mask = np.ones(own[-1], dtype=bool)
        mask[np.repeat(batch.whole, np.diff(own))] = inside[np.repeat(batch.whole, lengths)]
        counts = np.add.reduceat(np.append(mask, False).astype(np.int64), own[:-1]) * (np.diff(own) > 0)
        flat = pc.list_flatten(values).filter(pa.array(mask))
        array = pa.LargeListArray.from_arrays(pa.array(offsets(counts)), flat)
        table = table.set_column(table.column_names.index(name), name, array)
    return table
