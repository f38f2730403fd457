"""The ledger: one row per unique anchor, with all its candidates, their scores, and the verdict on each.

Columns: ``anchor`` (its text), ``positive_rows`` and ``positive_scores`` (all known positives), and flat
aligned lists over the candidates in rank order (the rank is the position + 1): ``rows`` (of the corpus),
``scores``, ``sources`` (bit mask), ``verdicts`` (codes; ``summary.json`` names them), and for several
sources ``SOURCE_ranks`` (0 = not retrieved), ``SOURCE_scores`` and ``SOURCE_positive_scores``. With a teacher
also ``teacher_scores`` (scaled, aligned with ``rows``; null where it was not asked) and ``positive_teacher_scores``.
``searched_first`` is how many of the candidates the first search has found; those behind them come from a deeper one
(where several sources are fused, the positives' scores in its lists are ``deeper_positive_scores``), or are random
documents that fill up (no source).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base.arrays import Floats
from hfneg.base.files.part_files import load_table
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.steps.block.block import Block

ROW_GROUP = 4096
SHARD_BYTES = 500_000_000


def table(anchors: Anchors, block: Block) -> pa.Table:
    """The ledger rows of a decided block."""
    positives = block.positives
    narrow = pa.int32() if len(anchors.corpus) < 2**31 else pa.int64()
    lists = {
        "positive_rows": positives,
        "positive_scores": Lists(positives.indptr, block.positive_scores[:, 0]),
        "rows": Lists(block.indptr, block.rows),
        "scores": Lists(block.indptr, block.scores),
        "sources": Lists(block.indptr, block.sources),
        "verdicts": Lists(block.indptr, block.verdicts),
    }
    if len(block.names) > 1:
        for i, name in enumerate(block.names):
            lists[f"{name}_ranks"] = Lists(block.indptr, block.source_ranks[:, i])
            lists[f"{name}_scores"] = Lists(block.indptr, block.source_scores[:, i])
            lists[f"{name}_positive_scores"] = Lists(positives.indptr, block.positive_scores[:, 1 + i])
    arrays = {name: values.arrow() for name, values in lists.items()}
    if block.teacher_scores is not None:
        arrays["teacher_scores"] = _with_nulls(block.indptr, block.teacher_scores)
        arrays["positive_teacher_scores"] = _with_nulls(positives.indptr, block.positive_teacher_scores)
    arrays["searched_first"] = pa.array(block.first.astype(np.int32))
    if block.deeper_positive_scores is not None and len(block.names) > 1:
        arrays["deeper_positive_scores"] = _with_nulls(positives.indptr, block.deeper_positive_scores[:, 0])
    for name in ("positive_rows", "rows"):
        arrays[name] = arrays[name].cast(pa.list_(narrow))
    return pa.table({"anchor": anchors.texts(block.numbers).cast(pa.string()), **arrays})


def with_scores(table: pa.Table, block: Block) -> pa.Table:
    """The same rows with the block's teacher scores and verdicts."""
    new = {
        "verdicts": Lists(block.indptr, block.verdicts).arrow(),
        "teacher_scores": _with_nulls(block.indptr, block.teacher_scores),
    }
    for name, values in new.items():
        table = table.set_column(table.column_names.index(name), name, values)
    return table


def columns(names: Sequence[str], *, taught: bool, deeper: bool) -> list[str]:
    """The columns of numbers."""
    several = names if len(names) > 1 else ()
    of_source = [f"{name}_{what}" for name in several for what in ("ranks", "scores", "positive_scores")]
    of_teacher = ["teacher_scores", "positive_teacher_scores"] if taught else []
    of_deeper = ["deeper_positive_scores"] if deeper else []
    own = ["positive_rows", "positive_scores", "rows", "scores", "sources", "verdicts", "searched_first"]
    return [*own, *of_source, *of_teacher, *of_deeper]


@dataclass(frozen=True)
class KnownPositives:
    """All known positives of some anchors; p in all.

    Attributes:
        rows: corpus rows per anchor, ascending.
        scores: float32 [p, 1 + S]: the score that ranks, then each source's; NaN where a source cannot score.
        teacher_scores: float32 [p], scaled; None without a teacher.
    """

    rows: Lists
    scores: Floats
    teacher_scores: Floats | None


def known_positives(table: pa.Table, names: Sequence[str]) -> KnownPositives:
    """The known positives of a ledger's rows."""
    rows, fused = _lists(table, "positive_rows"), _lists(table, "positive_scores").flat
    of_sources = [_lists(table, f"{name}_positive_scores").flat for name in names] if len(names) > 1 else [fused]
    taught = "positive_teacher_scores" in table.column_names
    return KnownPositives(
        Lists(rows.indptr, rows.flat.astype(np.int64)),
        np.stack([fused, *of_sources], axis=1),
        _lists(table, "positive_teacher_scores").flat if taught else None,
    )


def block(table: pa.Table, names: tuple[str, ...], first: int) -> Block:
    """A ledger's rows as a block again; `first` is the number of the first anchor."""
    known = known_positives(table, names)
    rows, scores = _lists(table, "rows"), _lists(table, "scores").flat
    if len(names) > 1:
        source_scores = np.stack([_lists(table, f"{name}_scores").flat for name in names], axis=1)
        source_ranks = np.stack([_lists(table, f"{name}_ranks").flat for name in names], axis=1)
    else:
        ranks = np.arange(len(scores)) - np.repeat(rows.indptr[:-1], rows.lengths) + 1
        source_scores, source_ranks = scores[:, None], ranks.astype(np.int32)[:, None]
    deeper = None
    if "deeper_positive_scores" in table.column_names:
        fused = _lists(table, "deeper_positive_scores").flat
        of_sources = np.where(np.isnan(fused)[:, None], np.float32(np.nan), known.scores[:, 1:])
        deeper = np.concatenate([fused[:, None], of_sources], axis=1)
    return Block(
        names=names,
        indptr=rows.indptr,
        positives=known.rows,
        numbers=np.arange(first, first + len(table)),
        first=table["searched_first"].to_numpy().astype(np.int64),
        positive_scores=known.scores,
        rows=rows.flat.astype(np.int64),
        scores=scores,
        sources=_lists(table, "sources").flat,
        source_scores=source_scores,
        source_ranks=source_ranks,
        verdicts=_lists(table, "verdicts").flat,
        turns=np.full(len(scores), -1, dtype=np.int64),
        deeper_positive_scores=deeper,
        positive_teacher_scores=known.teacher_scores,
        teacher_scores=None if known.teacher_scores is None else _lists(table, "teacher_scores").flat,
    )


def _lists(table: pa.Table, name: str) -> Lists:
    """A list column as flat NumPy arrays; null becomes NaN."""
    column: Any = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # of a table without rows
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Lists(indptr, column.flatten().to_numpy(zero_copy_only=False))


def _with_nulls(indptr: Any, scores: Any) -> pa.ListArray:
    """NaN, which stands for "not asked", becomes null."""
    return Lists(indptr, pa.array(scores, from_pandas=True)).arrow()


def compact(parts: Sequence[Path], folder: Path) -> None:
    """Many part files into few of about 500 MB, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    groups: list[list[Path]] = [[]]
    size = 0
    for part in parts:
        if size > SHARD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += part.stat().st_size
    for i, group in enumerate(groups):
        path = folder / f"anchors-{i:05d}-of-{len(groups):05d}.parquet"
        with pq.ParquetWriter(path, load_table(group[0]).schema) as writer:
            for part in group:
                writer.write_table(load_table(part))
