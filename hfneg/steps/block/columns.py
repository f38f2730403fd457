"""Candidates as columns of a dataset, between two `.map` calls: ``.map(Retrieve(...))``, then ``.map(Select(...))``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base import columns
from hfneg.base.arrays import Ints
from hfneg.base.lists import Lists, values_of
from hfneg.data.anchors import Anchors
from hfneg.steps.block.block import Block


def columns_of(block: Block, anchors: Anchors, *, with_first: bool = False) -> dict[str, Lists]:
    """The columns in which candidates travel, one list per anchor of the block."""
    wide = 1 + len(block.names)
    several = len(block.names) > 1
    origin = np.tile(np.array([anchors.digest, *block.names], dtype=object), len(block.numbers))
    found = {
        columns.CANDIDATE_ROWS: Lists(block.indptr, block.rows),
        columns.CANDIDATE_SCORES: Lists(block.indptr, block.scores),
        columns.CANDIDATE_SOURCES: Lists(block.indptr, block.sources),
        columns.CANDIDATE_ORIGIN: Lists(np.arange(len(block.numbers) + 1) * wide, origin),
        columns.CANDIDATE_POSITIVE_SCORES: Lists(block.positives.indptr * wide, block.positive_scores.reshape(-1)),
    }
    if several:
        own = block.indptr * len(block.names)
        found[columns.CANDIDATE_SOURCE_SCORES] = Lists(own, block.source_scores.reshape(-1))
        found[columns.CANDIDATE_SOURCE_RANKS] = Lists(own, block.source_ranks.reshape(-1))
    if with_first:
        deeper = block.deeper_positive_scores
        deeper = np.full_like(block.positive_scores, np.nan) if deeper is None else deeper
        found[columns.CANDIDATE_FIRST] = Lists(np.arange(len(block.first) + 1), block.first)
        found[columns.CANDIDATE_DEEPER_POSITIVE_SCORES] = Lists(block.positives.indptr * wide, deeper.reshape(-1))
    return found


def from_columns(anchors: Anchors, batch: Mapping[str, Any], chosen: Ints, numbers: Ints) -> Block:
    """Back from the columns: the batch's rows `chosen`, whose anchors are `numbers`.

    Raises ValueError where they are not candidates of these anchors.
    """
    digest, *names = (str(word) for word in values_of(batch[columns.CANDIDATE_ORIGIN])[int(chosen[0])])
    if digest != anchors.digest:
        raise ValueError(f"they were retrieved for the anchors {digest[:12]}, these are {anchors.digest[:12]}")

    def lists(column: str, dtype: npt.DTypeLike) -> Lists:
        values = values_of(batch[column])
        return Lists.of((values[i] for i in chosen), dtype)

    rows = lists(columns.CANDIDATE_ROWS, np.int64)
    scores = lists(columns.CANDIDATE_SCORES, np.float32).flat
    if len(names) > 1:
        source_scores = lists(columns.CANDIDATE_SOURCE_SCORES, np.float32).flat
        source_ranks = lists(columns.CANDIDATE_SOURCE_RANKS, np.int32).flat
    else:
        source_scores = scores.copy()
        source_ranks = (np.arange(len(rows.flat)) - np.repeat(rows.indptr[:-1], rows.lengths) + 1).astype(np.int32)
    deeper: dict[str, Any] = {}
    if columns.CANDIDATE_FIRST in (batch.column_names if isinstance(batch, pa.Table) else batch):
        positive_scores = lists(columns.CANDIDATE_DEEPER_POSITIVE_SCORES, np.float32).flat
        deeper["first"] = lists(columns.CANDIDATE_FIRST, np.int64).flat
        deeper["deeper_positive_scores"] = positive_scores.reshape(-1, 1 + len(names))
    return Block.found(
        names=tuple(names),
        positives=anchors.positives(numbers),
        numbers=numbers,
        indptr=rows.indptr,
        rows=rows.flat,
        scores=scores,
        sources=lists(columns.CANDIDATE_SOURCES, np.uint8).flat,
        source_scores=source_scores.reshape(-1, len(names)),
        source_ranks=source_ranks.reshape(-1, len(names)),
        positive_scores=lists(columns.CANDIDATE_POSITIVE_SCORES, np.float32).flat.reshape(-1, 1 + len(names)),
        **deeper,
    )


def check(block: Block, anchors: Anchors) -> None:
    """Raise ValueError unless the arrays belong together and to `anchors`."""
    m, known = len(block.rows), len(block.positives.flat)
    lengths = {len(values) for values in (block.scores, block.sources, block.source_scores, block.source_ranks)}
    if lengths != {m}:
        raise ValueError(f"{m} rows, but {', '.join(map(str, sorted(lengths)))} scores, sources or ranks")
    if len(block.positive_scores) != known:
        raise ValueError(f"scores of {len(block.positive_scores)} positives, but {known} are known")
    if m and not 0 <= block.rows.min() <= block.rows.max() < len(anchors.corpus):
        raise ValueError(f"rows {block.rows.min()} .. {block.rows.max()} of {len(anchors.corpus)} documents")
