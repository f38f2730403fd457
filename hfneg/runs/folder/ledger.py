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
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base.files.part_files import load_table
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.pipeline.policy import Selection
from hfneg.steps.block.candidates import Candidates

ROW_GROUP = 4096
SHARD_BYTES = 500_000_000


def table(anchors: Anchors, candidates: Candidates, chosen: Selection, *, deeper: bool = False) -> pa.Table:
    """The ledger rows of a block of anchors; `deeper` where some may have been searched twice."""
    positives = anchors.positives(candidates.numbers)
    narrow = pa.int32() if len(anchors.corpus) < 2**31 else pa.int64()
    lists = {
        "positive_rows": Lists(positives.indptr, positives.flat),
        "positive_scores": Lists(positives.indptr, candidates.positive_scores[:, 0]),
        "rows": Lists(candidates.indptr, candidates.rows),
        "scores": Lists(candidates.indptr, candidates.scores),
        "sources": Lists(candidates.indptr, candidates.sources),
        "verdicts": Lists(candidates.indptr, chosen.verdicts),
    }
    if len(candidates.names) > 1:
        for i, name in enumerate(candidates.names):
            lists[f"{name}_ranks"] = Lists(candidates.indptr, candidates.source_ranks[:, i])
            lists[f"{name}_scores"] = Lists(candidates.indptr, candidates.source_scores[:, i])
            lists[f"{name}_positive_scores"] = Lists(positives.indptr, candidates.positive_scores[:, 1 + i])
    arrays = {name: values.arrow() for name, values in lists.items()}
    if chosen.candidate_teacher_scores is not None:
        arrays["teacher_scores"] = _with_nulls(candidates.indptr, chosen.candidate_teacher_scores)
        arrays["positive_teacher_scores"] = _with_nulls(positives.indptr, chosen.positive_teacher_scores)
    first = np.diff(candidates.indptr) if candidates.first is None else candidates.first
    arrays["searched_first"] = pa.array(first.astype(np.int32))
    if deeper and len(candidates.names) > 1:
        there = candidates.deeper_positive_scores
        scores = np.full_like(candidates.positive_scores, np.nan) if there is None else there
        arrays["deeper_positive_scores"] = _with_nulls(positives.indptr, scores[:, 0])
    for name in ("positive_rows", "rows"):
        arrays[name] = arrays[name].cast(pa.list_(narrow))
    return pa.table({"anchor": anchors.texts(candidates.numbers).cast(pa.string()), **arrays})


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
