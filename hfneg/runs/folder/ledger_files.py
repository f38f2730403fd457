"""A mined folder's ledger, read back block by block: candidates, verdicts and teacher scores as arrays.

Reading is by row groups, so that memory does not grow with the number of anchors. Only numbers are read; neither
corpus nor anchors are opened.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.base.arrays import Codes, Floats, Ints
from hfneg.base.lists import Lists, offsets
from hfneg.errors import InputError
from hfneg.runs.folder.mined import open_summary, refuse_damaged
from hfneg.steps.block import verdicts
from hfneg.steps.block.candidates import Candidates

CANDIDATES = 1_000_000
"""Candidates of a block, about (30 bytes each, and 8 more per source)."""


@dataclass(frozen=True)
class LedgerBlock:
    """Consecutive anchors of a ledger: n anchors, m candidates, p known positives.

    Attributes:
        candidates: as they were retrieved, in rank order, known positives left in; numbers, scores and ranks of all
            sources, scores of the known positives.
        positives: corpus rows of each anchor's known positives, ascending.
        verdicts: uint8 [m], codes of `MinedLedger.verdict_names`.
        teacher_scores: float32 [m], scaled; NaN where the teacher was not asked. None without a teacher.
        positive_teacher_scores: float32 [p], aligned with ``positives.flat``. None without a teacher.
    """

    candidates: Candidates
    positives: Lists
    verdicts: Codes
    teacher_scores: Floats | None
    positive_teacher_scores: Floats | None

    @property
    def numbers(self) -> Ints:
        """int64 [n]: the anchors' numbers."""
        return self.candidates.numbers

    def take(self, at: Ints) -> LedgerBlock:
        """The anchors at these positions (0 .. n-1) of the block, in this order; one may come several times."""
        c = self.candidates
        here = Lists(c.indptr, np.arange(len(c.rows))).take(at)
        known = Lists(self.positives.indptr, np.arange(len(self.positives.flat))).take(at)
        p = known.flat
        deeper = c.deeper_positive_scores
        own = {
            "numbers": c.numbers[at],
            "positive_scores": c.positive_scores[p],
            "first": None if c.first is None else c.first[at],
            "deeper_positive_scores": None if deeper is None else deeper[p],
        }
        taught = self.positive_teacher_scores
        return dataclasses.replace(
            self._of(here.indptr, here.flat, own),
            positives=Lists(known.indptr, self.positives.flat[p]),
            positive_teacher_scores=None if taught is None else taught[p],
        )

    def only(self, kept: npt.NDArray[np.bool_]) -> LedgerBlock:
        """The candidates that are kept (bool [m])."""
        c = self.candidates
        lengths = np.bincount(c.owners[kept], minlength=len(c.numbers))
        first = None
        if c.first is not None:
            inside = kept & (c.ranks <= c.first[c.owners])
            first = np.bincount(c.owners[inside], minlength=len(c.numbers))
        return self._of(offsets(lengths), np.flatnonzero(kept), {"first": first})

    def retrieved(self) -> LedgerBlock:
        """Without the documents that were drawn at random for anchors that were short."""
        random = self.verdicts == verdicts.FILLED
        return self.only(~random) if random.any() else self

    def _of(self, indptr: Ints, flat: Ints, own: dict[str, Any]) -> LedgerBlock:
        """The candidates at the positions `flat`; `own` are arrays that are not per candidate."""
        c = self.candidates
        names = ("rows", "scores", "sources", "source_scores", "source_ranks", "closed")
        per_candidate = {name: values[flat] for name in names if (values := getattr(c, name)) is not None}
        scores = self.teacher_scores
        return dataclasses.replace(
            self,
            candidates=dataclasses.replace(c, indptr=indptr, **{**own, **per_candidate}),
            verdicts=self.verdicts[flat],
            teacher_scores=None if scores is None else scores[flat],
        )


@dataclass(frozen=True)
class KnownPositives:
    """All known positives of all anchors; p in all.

    Attributes:
        rows: corpus rows per anchor, ascending.
        scores: float32 [p, 1 + S]: the score that ranks, then each source's; NaN where a source cannot score.
        teacher_scores: float32 [p], scaled; None without a teacher.
    """

    rows: Lists
    scores: Floats
    teacher_scores: Floats | None


class MinedLedger:
    """The ledger of a finished mined folder.

    >>> ledger = MinedLedger("mined/")  # doctest: +SKIP
    >>> for block in ledger.blocks():  # doctest: +SKIP
    ...     block.candidates.scores, block.verdicts, block.teacher_scores

    Raises InputError: no mined folder, no ledger in it, or one that is damaged or of another run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.summary = open_summary(folder)
        self._files = sorted((self.folder / "ledger").glob("*.parquet"))
        if not self._files:
            raise InputError(
                f"{folder} has no ledger (ledger/*.parquet), which holds the candidates and their scores; mine again, "
                "or copy the whole folder"
            )
        found = sum(self._open(path).metadata.num_rows for path in self._files)
        if found != len(self):
            raise InputError(
                f"the ledger of {folder} has {found} anchors, its summary says {len(self)}; a file of it is missing or "
                "of another run: copy the whole folder, or mine again"
            )

    def __len__(self) -> int:
        """How many anchors."""
        return int(self.summary["anchors"])

    @property
    def names(self) -> tuple[str, ...]:
        """The sources."""
        return tuple(self.summary["sources"])

    @property
    def taught(self) -> bool:
        """Whether there was a teacher."""
        return "teacher" in self.summary

    @property
    def verdict_names(self) -> dict[int, str]:
        """Code -> name."""
        return {int(code): name for code, name in self.summary["verdict_codes"].items()}

    def blocks(self, candidates: int = CANDIDATES) -> Iterator[LedgerBlock]:
        """All anchors in order, cut after about this many candidates (an anchor stays whole)."""
        for path, first in self.files():
            yield from self.blocks_of(path, first, candidates)

    def files(self) -> list[tuple[Path, int]]:
        """The files, in order, each with the number of its first anchor."""
        lengths = [self._open(path).metadata.num_rows for path in self._files]
        return list(zip(self._files, [0, *np.cumsum(lengths).tolist()], strict=False))

    def blocks_of(self, path: Path, first: int, candidates: int = CANDIDATES) -> Iterator[LedgerBlock]:
        """The blocks of one of `files`."""
        for _, block in self.tables_of(path, first, self._columns, candidates):
            yield block

    def tables_of(
        self, path: Path, first: int, columns: list[str] | None = None, candidates: int = CANDIDATES
    ) -> Iterator[tuple[pa.Table, LedgerBlock]]:
        """The same, each with its rows as they are; all columns unless said."""
        for table in self._groups(path, columns):
            lengths = table["rows"].combine_chunks().value_lengths().to_numpy()
            for start, stop in _cuts(lengths, candidates):
                some = table.slice(start, stop - start)
                yield some, self._block(some, first + start)
            first += len(table)

    @cached_property
    def known_positives(self) -> KnownPositives:
        """In memory: 12 bytes a positive, and 4 per source."""
        names = [name for name in self._columns if "positive_" in name and "deeper" not in name]
        return self._positives(pa.concat_tables(table for path in self._files for table in self._groups(path, names)))

    @property
    def _columns(self) -> list[str]:
        several = self.names if len(self.names) > 1 else ()
        of_source = [f"{name}_{what}" for name in several for what in ("ranks", "scores", "positive_scores")]
        taught = ["teacher_scores", "positive_teacher_scores"] if self.taught else []
        deeper = ["deeper_positive_scores"] if self._deeper else []
        own = ["positive_rows", "positive_scores", "rows", "scores", "sources", "verdicts", "searched_first"]
        return [*own, *of_source, *taught, *deeper]

    @cached_property
    def _deeper(self) -> bool:
        """Whether there are scores of positives in the lists of a deeper search."""
        return "deeper_positive_scores" in self._open(self._files[0]).schema_arrow.names

    def _open(self, path: Path) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read ({error}); copy the whole folder, or mine again") from error

    def _groups(self, path: Path, columns: list[str] | None) -> Iterator[pa.Table]:
        """Row group by row group; the first in a process compares the file's checksum."""
        refuse_damaged(self.folder, f"ledger/{path.name}")
        file = self._open(path)
        absent = [name for name in columns or self._columns if name not in file.schema_arrow.names]
        if absent:
            raise InputError(
                f"{path} has no column {', '.join(map(repr, absent))}; it was written by another version of hfneg: "
                "mine again"
            )
        for i in range(file.num_row_groups):
            try:
                table = file.read_row_group(i, columns=columns)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{path} is damaged ({error}); copy the whole folder, or mine again") from error
            yield table

    def _positives(self, table: pa.Table) -> KnownPositives:
        rows = _lists(table, "positive_rows")
        several = self.names if len(self.names) > 1 else ()
        scores = [_lists(table, f"{name}_positive_scores").flat for name in several]
        fused = _lists(table, "positive_scores").flat
        taught = _lists(table, "positive_teacher_scores").flat if self.taught else None
        return KnownPositives(
            Lists(rows.indptr, rows.flat.astype(np.int64)),
            np.stack([fused, *(scores or [fused])], axis=1),
            taught,
        )

    def _block(self, table: pa.Table, first: int) -> LedgerBlock:
        known = self._positives(table)
        rows, scores = _lists(table, "rows"), _lists(table, "scores").flat
        lengths = rows.lengths
        if len(self.names) > 1:
            source_scores = np.stack([_lists(table, f"{name}_scores").flat for name in self.names], axis=1)
            source_ranks = np.stack([_lists(table, f"{name}_ranks").flat for name in self.names], axis=1)
        else:
            ranks = np.arange(len(scores)) - np.repeat(rows.indptr[:-1], lengths) + 1
            source_scores, source_ranks = scores[:, None], ranks.astype(np.int32)[:, None]
        first_search = table["searched_first"].to_numpy().astype(np.int64)
        deeper = None
        if self._deeper:
            fused = _lists(table, "deeper_positive_scores").flat
            of_sources = np.where(np.isnan(fused)[:, None], np.float32(np.nan), known.scores[:, 1:])
            deeper = np.concatenate([fused[:, None], of_sources], axis=1)
        candidates = Candidates(
            names=self.names,
            numbers=np.arange(first, first + len(table)),
            indptr=rows.indptr,
            rows=rows.flat.astype(np.int64),
            scores=scores,
            sources=_lists(table, "sources").flat,
            source_scores=source_scores,
            source_ranks=source_ranks,
            positive_scores=known.scores,
            first=None if (first_search == lengths).all() else first_search,
            deeper_positive_scores=deeper,
        )
        taught = _lists(table, "teacher_scores").flat if self.taught else None
        return LedgerBlock(candidates, known.rows, _lists(table, "verdicts").flat, taught, known.teacher_scores)


def _lists(table: pa.Table, name: str) -> Lists:
    """A list column as flat NumPy arrays; null becomes NaN."""
    column: Any = table[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # of a table without rows
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Lists(indptr, column.flatten().to_numpy(zero_copy_only=False))


def _cuts(lengths: npt.NDArray[Any], most: int) -> list[tuple[int, int]]:
    """Spans of anchors with at most this many candidates in all, or of one anchor."""
    ends = np.cumsum(lengths, dtype=np.int64)
    cuts, start = [], 0
    while start < len(lengths):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, "right")))
        cuts.append((start, stop))
        start = stop
    return cuts
