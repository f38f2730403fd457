"""`NamedTexts`: each id with its text once, written as it comes, so that memory holds hashes and no texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfneg.base.arrays import Ints
from hfneg.base.hashing import HASH, HashIndex, first_occurrences, hash_texts
from hfneg.errors import PublishError

ROW_GROUP = 10_000
SHARD_BYTES = 500_000_000


class NamedTexts:
    """Texts by id: those that are published already, and new ones, which go into shards.

    Args:
        column: the id column's name; the other is ``text``.
        folder, prefix: the shards are ``folder/PREFIX-00000.parquet`` ...

    Memory: 40 bytes per id, twice that while runs are merged.
    """

    def __init__(self, column: str, folder: Path, prefix: str) -> None:
        self.schema = pa.schema([(column, pa.string()), ("text", pa.string())])
        self.column, self.folder, self.prefix = column, folder, prefix
        self.rows = 0
        self.paths: list[Path] = []
        self._texts: list[npt.NDArray[Any]] = []  # hashes of texts, a run each
        self._runs: list[HashIndex] = []
        self._pending: list[pa.Table] = []
        self._writer: pq.ParquetWriter | None = None
        self._written = 0

    def known(self, path: Path, where: str) -> None:
        """Take in what is published already; `where` names it in errors."""
        for batch in pq.ParquetFile(path).iter_batches(batch_size=ROW_GROUP):
            if batch.schema.names != self.schema.names:
                raise PublishError(
                    f"{where} has the columns {', '.join(batch.schema.names)}; expected "
                    f"{', '.join(self.schema.names)}: it was not written by hfneg, so publish into another repository"
                )
            self._take(batch.column(0), batch.column(1))

    def add(self, ids: Any, texts: Any) -> None:
        """Ids and their texts (Arrow strings, aligned); those that are new are written.

        Raises PublishError where an id has another text than before.
        """
        ids, texts = ids.cast(pa.string()), texts.cast(pa.string())
        new = self._take(ids, texts)
        if len(new):
            at = pa.array(new)
            self._pending.append(pa.table([ids.take(at), texts.take(at)], schema=self.schema))
            self.rows += len(new)
        if sum(map(len, self._pending)) >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is left."""
        if self._pending:
            self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _take(self, ids: pa.Array, texts: pa.Array) -> Ints:
        """Positions of ids not seen before, each once."""
        names = ids.to_pylist()
        hashes, of_texts = hash_texts(names), hash_texts(texts.to_pylist())
        first = first_occurrences(hashes)
        self._refuse(of_texts[first] != of_texts, ids)
        seen = self._texts_of(names)
        self._refuse((seen["high"] != 0) & (seen != of_texts), ids)
        new: Ints = np.flatnonzero((first == np.arange(len(first))) & (seen["high"] == 0))
        if len(new):
            self._remember(hashes[new], of_texts[new])
        return new

    def _texts_of(self, names: list[str]) -> npt.NDArray[Any]:
        """The hashes of the texts of ids seen before; zero for the others."""
        found = np.zeros(len(names), dtype=HASH)
        for run, texts in zip(self._runs, self._texts, strict=True):
            rows = run.rows_of(names)
            found[rows >= 0] = texts[rows[rows >= 0]]
        return found

    def _remember(self, hashes: npt.NDArray[Any], texts: npt.NDArray[Any]) -> None:
        """A new run; runs of like size become one, so that there are only a few."""
        while self._runs and len(self._runs[-1]) <= 2 * len(hashes):
            earlier, rows = self._runs.pop().entries()
            hashes = np.concatenate([hashes, earlier])
            texts = np.concatenate([texts, self._texts.pop()[rows]])
        order = np.lexsort((hashes["low"], hashes["high"]))
        sorted_hashes = hashes[order]
        self._runs.append(HashIndex(sorted_hashes["high"], sorted_hashes["low"], np.arange(len(order))))
        self._texts.append(texts[order])

    def _refuse(self, wrong: npt.NDArray[np.bool_], ids: pa.Array) -> None:
        if wrong.any():
            example = ids[int(np.flatnonzero(wrong)[0])].as_py()
            raise PublishError(
                f"{self.column} {example!r} has two different texts: in this folder, or in this one and in what the "
                "repository holds already (a round mined from another corpus?); publish into another repository"
            )

    def _flush(self) -> None:
        table = pa.concat_tables(self._pending)
        self._pending.clear()
        if self._writer is not None and self._written > SHARD_BYTES:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.paths.append(self.folder / f"{self.prefix}-{len(self.paths):05d}.parquet")
            self._writer, self._written = pq.ParquetWriter(self.paths[-1], self.schema), 0
        self._writer.write_table(table)
        self._written += table.nbytes


def tables_of(folder: Path, split: str) -> Iterator[pa.Table]:
    """The mined rows of a split, block by block."""
    for path in sorted((folder / "data").glob(f"{split}-*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=ROW_GROUP):
            yield pa.Table.from_batches([batch])


def replaced(values: pa.Array, mask: Any, new: Any) -> pa.Array:
    """`values` with those at `mask` taken from `new`, in order."""
    return pc.replace_with_mask(values, mask, new)
