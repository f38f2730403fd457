"""A mined folder's ledger, read back block by block: candidates, verdicts and teacher scores as arrays.

Reading is by row groups, so that memory does not grow with the number of anchors. Only numbers are read; neither
corpus nor anchors are opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from hfneg.errors import InputError
from hfneg.runs.folder import ledger
from hfneg.runs.folder.mined import open_summary, refuse_damaged
from hfneg.steps.block.block import Block

CANDIDATES = 1_000_000
"""Candidates of a block, about (30 bytes each, and 8 more per source)."""


class MinedLedger:
    """The ledger of a finished mined folder.

    >>> ledger = MinedLedger("mined/")  # doctest: +SKIP
    >>> for block in ledger.blocks():  # doctest: +SKIP
    ...     block.scores, block.verdicts, block.teacher_scores

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

    def blocks(self, candidates: int = CANDIDATES) -> Iterator[Block]:
        """All anchors in order, cut after about this many candidates (an anchor stays whole)."""
        for path, first in self.files():
            yield from self.blocks_of(path, first, candidates)

    def files(self) -> list[tuple[Path, int]]:
        """The files, in order, each with the number of its first anchor."""
        lengths = [self._open(path).metadata.num_rows for path in self._files]
        return list(zip(self._files, [0, *np.cumsum(lengths).tolist()], strict=False))

    def blocks_of(self, path: Path, first: int, candidates: int = CANDIDATES) -> Iterator[Block]:
        """The blocks of one of `files`."""
        for _, block in self.tables_of(path, first, self._columns, candidates):
            yield block

    def tables_of(
        self, path: Path, first: int, columns: list[str] | None = None, candidates: int = CANDIDATES
    ) -> Iterator[tuple[pa.Table, Block]]:
        """The same, each with its rows as they are; all columns unless said."""
        for table in self._groups(path, columns):
            lengths = table["rows"].combine_chunks().value_lengths().to_numpy()
            for start, stop in _cuts(lengths, candidates):
                some = table.slice(start, stop - start)
                yield some, ledger.block(some, self.names, first + start)
            first += len(table)

    @cached_property
    def known_positives(self) -> ledger.KnownPositives:
        """In memory: 12 bytes a positive, and 4 per source."""
        names = [name for name in self._columns if "positive_" in name and "deeper" not in name]
        tables = [table for path in self._files for table in self._groups(path, names)]
        return ledger.known_positives(pa.concat_tables(tables), self.names)

    @property
    def _columns(self) -> list[str]:
        return ledger.columns(self.names, taught=self.taught, deeper=self._deeper)

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
