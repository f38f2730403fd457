"""From a table of mined rows to flat arrays: pure functions on Arrow and numpy, no row is a Python object."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hfneg.base.arrays import Floats, Ints, Mask
from hfneg.errors import ColumnError
from hfneg.formats.layout import TrainerLayout


def ranges(starts: Ints, lengths: Ints) -> Ints:
    """``starts[0], starts[0]+1, ... (lengths[0] of them), starts[1], ...``, end to end."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total, dtype=np.int64)


def flatten(column: pa.Array) -> tuple[pa.Array, Ints]:
    """The values of a column end to end, and how many each row has (plain: one, or 0 for null)."""
    if pa.types.is_null(column.type):
        return column.slice(0, 0), np.zeros(len(column), dtype=np.int64)
    if not _is_list(column.type):
        return column.drop_null(), _numpy(column.is_valid()).astype(np.int64)
    lengths = _numpy(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    return pc.list_flatten(column), lengths


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _numpy(array: pa.Array) -> npt.NDArray[np.generic]:
    found: npt.NDArray[np.generic] = array.to_numpy(zero_copy_only=False)
    return found


@dataclass(frozen=True)
class Ragged:
    """Lists of texts of differing lengths, flat: row i holds ``lengths[i]`` of the values.

    values: strings (total,). lengths: (rows,). scores: float32 (total,). ids: strings (total,).
    """

    values: pa.Array
    lengths: Ints
    scores: Floats | None = None
    ids: pa.Array | None = None

    @property
    def starts(self) -> Ints:
        """Where each row begins in the flat arrays, (rows,)."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def rows(self) -> Ints:
        """The row of each value, (total,)."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.int64), self.lengths)

    def keep(self, mask: Mask) -> Ragged:
        """Only the values where `mask` (total,) is true; rows stay, shorter."""
        if mask.all():
            return self
        chosen = np.flatnonzero(mask)
        lengths = np.bincount(self.rows[chosen], minlength=len(self.lengths)).astype(np.int64)
        return Ragged(
            self.values.take(pa.array(chosen)),
            lengths,
            None if self.scores is None else self.scores[chosen],
            None if self.ids is None else self.ids.take(pa.array(chosen)),
        )

    def heads(self) -> Ragged:
        """Only the first value of each row."""
        mask = np.zeros(int(self.lengths.sum()), dtype=np.bool_)
        mask[self.starts[self.lengths > 0]] = True
        return self.keep(mask)


@dataclass(frozen=True)
class Rows:
    """A batch of mined rows that can be used: texts that are there, scores that are finite numbers.

    anchors and anchor_ids: strings (rows,). unscored: negatives left out for want of a finite score.
    """

    anchors: pa.Array
    positives: Ragged
    negatives: Ragged
    anchor_ids: pa.Array | None = None
    unscored: int = 0


def read_rows(table: pa.Table, layout: TrainerLayout) -> Rows:
    """The rows of `table` as flat arrays, in their order; unusable texts and scores are left out."""
    anchors = _column(table, layout.anchor).cast(pa.string())
    positives = _read_ragged(table, layout.positive, layout.positive_scores, layout.positive_id, anchors)
    negatives = _read_ragged(table, layout.negatives, layout.negative_scores, layout.negative_id, anchors)
    there = _numpy(anchors.is_valid()).astype(np.bool_)
    positives = _usable(positives.keep(there[positives.rows]))
    usable = _usable(negatives)
    ids = None if layout.anchor_id is None else _column(table, layout.anchor_id).cast(pa.string())
    return Rows(
        anchors,
        positives.heads() if layout.first else positives,
        usable,
        ids,
        unscored=_count_unscored(negatives),
    )


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    # Without any chunk, or with several that do not fit into one, Arrow hands back chunks.
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _read_ragged(table: pa.Table, column: str, scores: str | None, ids: str | None, anchors: pa.Array) -> Ragged:
    values, lengths = flatten(_column(table, column))
    found = Ragged(values.cast(pa.string()), lengths)
    if scores is not None:
        aligned = _aligned(_column(table, scores), scores, lengths, column, anchors)
        found = replace(found, scores=_numpy(aligned.cast(pa.float32())).astype(np.float32))
    if ids is not None:
        aligned = _aligned(_column(table, ids), ids, lengths, column, anchors)
        found = replace(found, ids=aligned.cast(pa.string()))
    return found


def _aligned(array: pa.Array, name: str, lengths: Ints, column: str, anchors: pa.Array) -> pa.Array:
    """The values of `array` that stand beside the `lengths` values of `column`; raise where they cannot."""
    values, found = flatten(array)
    wrong = (found != lengths) & (lengths > 0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ColumnError(
            f"{name!r} and {column!r} should go together value by value, but in the row of the anchor "
            f"{str(anchors[row].as_py())[:80]!r} there are {found[row]} and {lengths[row]}"
        )
    if (found == lengths).all():
        return values
    starts = np.cumsum(found) - found
    return values.take(pa.array(ranges(starts, lengths)))


def _usable(ragged: Ragged) -> Ragged:
    mask = _numpy(ragged.values.is_valid()).astype(np.bool_)
    if ragged.scores is not None:
        mask = mask & np.isfinite(ragged.scores)
    if ragged.ids is not None:
        mask = mask & _numpy(ragged.ids.is_valid()).astype(np.bool_)
    return ragged.keep(mask)


def _count_unscored(ragged: Ragged) -> int:
    return 0 if ragged.scores is None else int(np.count_nonzero(~np.isfinite(ragged.scores)))
