"""Whether a teacher fits the data: how often it puts known positives above candidates of like rank.

Of each anchor, a known positive that the first search found at rank r is compared with the candidates from r/2 to 2r
that the teacher was asked about. Its share is that of the pairs in which the positive scores higher (a tie is half a
pair): the area under the curve of the anchor. What is said is the mean over anchors, with a 95% interval, and beside
it the same of the scores that ranked, over the same pairs. The teacher sees only a part of each list: a positive counts
where it was asked about what stands next before it (where nothing does, next behind it), so that no positive is
compared with what lies below it alone because a filter kept the teacher from the top.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base.arrays import Ints, Mask
from hfneg.runs.folder import ledger
from hfneg.runs.folder.form import TeacherFit
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block

log = logging.getLogger(__name__)

ENOUGH = 30
"""Anchors with pairs to compare; with fewer nothing is said."""
WIDE = 1.96
"""Standard errors of a mean in half a 95% interval."""
BATCH = 512
PAIRS = 1 << 22
"""Pairs compared at once."""

Numbers = npt.NDArray[np.float64]


def measured(files: Path, names: tuple[str, ...]) -> TeacherFit:
    """Of the finished ledger in this folder; `names` are its sources."""
    sums = _Sums(names)
    for block in _blocks(files, names):
        sums.add(block)
    return sums.fit()


def in_words(fit: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """ "81.0% (95%: 78.1% to 84.0%); bm25 63.0%" """
    own = fit["by"]["teacher"]
    others = [f"{called(kind, names)} {share['value']:.1%}" for kind, share in fit["by"].items() if kind != "teacher"]
    return f"{own['value']:.1%} (95%: {own['low']:.1%} to {own['high']:.1%}); {', '.join(others)}"


def called(kind: str, names: tuple[str, ...]) -> str:
    """A score's name: with one source what ranks is that source's."""
    return kind if kind != "score" else names[0] if len(names) == 1 else "the score that ranks"


def warning(fit: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """What to do about a teacher that is worse than what ranks; "" where it is not, or nobody knows."""
    if "worse_than" not in fit:
        return ""
    own, other = fit["by"]["teacher"], fit["by"][fit["worse_than"]]
    return (
        f"the teacher does not fit this data: it puts a known positive above {own['value']:.1%} of the candidates of "
        f"like rank (95%: {own['low']:.1%} to {own['high']:.1%}, {fit['anchors']:,} anchors), "
        f"{called(fit['worse_than'], names)} above {other['value']:.1%} of the same. Train one on your pairs "
        "(recipes/own_teacher), or take a judge that reads (--recipe judge), or leave the teacher out and skip ranks "
        "(hfneg calibrate FOLDER --vary skip says how many)"
    )


def say(fit: TeacherFit, names: tuple[str, ...]) -> None:
    """A warning in the log, where there is one."""
    if line := warning(fit, names):
        log.warning("%s", line)


class _Sums:
    """Shares of anchors, added up with their products, so that nothing grows with the anchors."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.kinds = ("teacher", "score", *(names if len(names) > 1 else ()))
        self.anchors = self.pairs = 0
        self.totals, self.products = np.zeros(len(self.kinds)), np.zeros((len(self.kinds), len(self.kinds)))

    def add(self, block: Block) -> None:
        won, counts = compared(block, self.kinds)
        some = counts > 0
        shares = won[some] / counts[some, None]
        self.anchors += int(some.sum())
        self.pairs += int(counts.sum())
        self.totals += shares.sum(axis=0)
        self.products += shares.T @ shares

    def fit(self) -> TeacherFit:
        if self.anchors < ENOUGH:
            why = f"{self.anchors} anchors have a known positive beside candidates of like rank that the teacher scored"
            return {"anchors": self.anchors, "pairs": self.pairs, "not_said": f"{why}; {ENOUGH} are needed"}
        values = self.totals / self.anchors
        widths = [self._width(np.eye(len(values))[i]) for i in range(len(values))]
        found: TeacherFit = {"anchors": self.anchors, "pairs": self.pairs, "by": {}}
        for kind, value, width in zip(self.kinds, values.tolist(), widths, strict=True):
            low, high = max(value - width, 0.0), min(value + width, 1.0)
            found["by"][kind] = {"value": round(value, 6), "low": round(low, 6), "high": round(high, 6)}
        best = 1 + int(np.argmax(values[1:]))
        between = np.eye(len(values))[0] - np.eye(len(values))[best]
        if values[0] + max(widths[0], self._width(between)) < values[best]:
            found["worse_than"] = self.kinds[best]
        return found

    def _width(self, of: Numbers) -> float:
        """Half the 95% interval of a mean over anchors: of a share, or of the difference of two."""
        total, squares = float(of @ self.totals), float(of @ self.products @ of)
        spread = max(squares - total * total / self.anchors, 0.0) / (self.anchors - 1)
        return WIDE * float(np.sqrt(spread / self.anchors))


def compared(block: Block, kinds: tuple[str, ...]) -> tuple[Numbers, Ints]:
    """(float64 [n, kinds], int64 [n]): of each anchor the pairs that its positives win by each score, and all pairs.

    A source scores what it has not retrieved below all that it has.
    """
    assert block.teacher_scores is not None
    found = (block.sources > 0) & ~block.appended
    known = block.is_positive
    open_ = found & ~known & ~np.isin(block.verdicts, verdicts.GUARDED)
    examined = open_ & ~np.isnan(block.teacher_scores)
    scores = np.stack([_scores(block, kind) for kind in kinds], axis=1)
    positives = np.flatnonzero(known & found & ~np.isnan(scores[:, 0]) & _next_examined(block, open_, examined))
    scores = np.where(np.isnan(scores), -np.inf, scores)
    owners, ranks = block.owners[positives], block.ranks[positives]
    starts = block.indptr[owners] + (ranks + 1) // 2 - 1
    ends = np.minimum(block.indptr[owners] + 2 * ranks, block.indptr[owners + 1])
    won, counts = np.zeros((len(block.numbers), len(kinds))), np.zeros(len(block.numbers), dtype=np.int64)
    for some in _cut(ends - starts):
        lengths = (ends - starts)[some]
        mine = np.repeat(positives[some], lengths)
        theirs = np.arange(len(mine)) + np.repeat(starts[some] - np.cumsum(lengths) + lengths, lengths)
        mine, theirs = mine[examined[theirs]], theirs[examined[theirs]]
        own = block.owners[mine]
        counts += np.bincount(own, minlength=len(counts))
        for i in range(len(kinds)):
            a, b = scores[mine, i], scores[theirs, i]
            won[:, i] += np.bincount(own, weights=(a > b) + 0.5 * (a == b), minlength=len(counts))
    return won, counts


def _scores(block: Block, kind: str) -> Numbers:
    """float64 [m]; of the teacher also where a candidate is a known positive."""
    if kind == "score":
        return block.scores.astype(np.float64)
    if kind != "teacher":
        return block.source_scores[:, block.names.index(kind)].astype(np.float64)
    assert block.teacher_scores is not None
    values, at = block.teacher_scores.astype(np.float64), np.flatnonzero(block.is_positive)
    if block.positive_teacher_scores is not None and len(at):
        wide = int(max(block.rows.max(), block.positives.flat.max())) + 1
        known = block.positives.owners * wide + block.positives.flat  # ascending
        places = np.searchsorted(known, block.owners[at] * wide + block.rows[at])
        values[at] = block.positive_teacher_scores[places]
    return values


def _next_examined(block: Block, open_: Mask, examined: Mask) -> Mask:
    """bool [m]: the nearest open candidate ahead in the list, or behind where none is ahead, was examined."""
    at = np.arange(len(block))
    before = np.maximum.accumulate(np.where(open_, at, -1))
    after = np.minimum.accumulate(np.where(open_, at, len(block))[::-1])[::-1]
    starts, ends = block.indptr[block.owners], block.indptr[block.owners + 1]
    padded = np.append(examined, False)
    return np.where(before >= starts, padded[before], (after < ends) & padded[after])


def _cut(lengths: Ints) -> Iterator[slice]:
    """Parts of the positives with about PAIRS pairs each."""
    parts = np.cumsum(lengths) // PAIRS
    edges = [0, *(np.flatnonzero(np.diff(parts)) + 1).tolist(), len(lengths)]
    yield from (slice(*edge) for edge in pairwise(edges) if edge[0] < edge[1])


def _blocks(files: Path, names: tuple[str, ...]) -> Iterator[Block]:
    columns = ledger.columns(names, taught=True, deeper=False)
    first = 0
    for path in sorted(files.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=columns, batch_size=BATCH):
                yield ledger.block(pa.Table.from_batches([batch]), names, first)
                first += len(batch)
