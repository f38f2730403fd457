"""Mined rows as ids and scores, and the texts they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hfneg.base import columns
from hfneg.base.arrays import Ints
from hfneg.base.hashing import first_occurrences, hash_texts
from hfneg.data.anchors import Anchors
from hfneg.data.layouts import names
from hfneg.errors import InputError
from hfneg.formats.identifying import derived_ids
from hfneg.formats.rows import flatten
from hfneg.hub.id_texts import NamedTexts, replaced, tables_of
from hfneg.runs.folder.form import Summary

ADDED = r"^added-\d+$"
"""Ids that `Corpus.with_texts` gives to positives it adds; another run gives them to other texts."""

LISTS = {
    "negative_scores": columns.NEGATIVE_SCORES,
    "negative_teacher_scores": columns.NEGATIVE_TEACHER_SCORES,
    "negative_sources": columns.NEGATIVE_SOURCES,
}
OF_POSITIVES = {
    "positive_score": columns.POSITIVE_SCORES,
    "positive_teacher_score": columns.POSITIVE_TEACHER_SCORES,
}


class IdRows:
    """Writes the rows of a mined folder as ids, one row per (row, positive).

    Columns: ``query_id``, ``positive_id``, ``negative_ids`` and, aligned with them, ``negative_scores``,
    ``negative_sources``, ``positive_score`` and the teacher's. Documents keep their ids of the corpus; those that
    mining added get one derived from the text, as do anchors without an id column of their own.

    Args:
        anchors: what the folder was mined for; None where the store has lost it: then a positive given as a text
            gets an id derived from it, and one given as an id is refused.
    """

    def __init__(
        self, folder: Path, summary: Summary, anchors: Anchors | None, queries: NamedTexts, documents: NamedTexts
    ) -> None:
        self.folder, self.anchors, self.queries, self.documents = folder, anchors, queries, documents
        self.anchor, self.positive = summary["columns"]["anchor"], summary["columns"]["positive"]
        self.by_id = summary.get("positives_are") == "id" or (anchors is not None and anchors.positives_are == "id")
        self.added = summary["added_positives"] > 0
        self.splits = list(summary["rows"])
        self.query_column = self._query_column()
        if self.by_id and anchors is None:
            raise InputError(
                f"{folder} names its positives by id, and the store no longer has their texts; make the corpus again "
                "(hfneg.Corpus.from_dataset and the like, from the same data) and pass corpus="
            )

    def write(self, split: str, path: Path) -> int:
        """One split; returns the number of rows."""
        written, writer = 0, None
        try:
            for table in tables_of(self.folder, split):
                rows = self._rows(table)
                if writer is None:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    writer = pq.ParquetWriter(path, rows.schema)
                writer.write_table(rows)
                written += len(rows)
        finally:
            if writer is not None:
                writer.close()
        return written

    def _rows(self, table: pa.Table) -> pa.Table:
        """A block: its ids, after queries and documents have been noted."""
        query_ids, texts = self._query_ids(table)
        self.queries.add(query_ids, texts)
        positive_ids, place = self._positives(table)
        negatives, counts = flatten(_whole(table[columns.NEGATIVES]))
        ids, _ = flatten(_whole(table[columns.NEGATIVE_IDS]))
        ids = self._lasting(ids.cast(pa.string()), negatives)
        self.documents.add(ids, negatives)
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]), type=pa.int32())
        lists = {"negative_ids": pa.ListArray.from_arrays(offsets, ids)}
        lists |= {name: _whole(table[given]) for name, given in LISTS.items() if given in table.column_names}
        at = pa.array(place)
        found = {"query_id": query_ids.take(at), "positive_id": positive_ids}
        found |= {name: array.take(at) for name, array in lists.items()}
        for name, given in OF_POSITIVES.items():
            if given in table.column_names:
                found[name] = self._scores(table, given, place)
        return pa.table(found)

    # Anchors.

    def _query_column(self) -> str | None:
        """The user's own column of query ids, where each of its ids stands for one text."""
        schema = pq.read_schema(next((self.folder / "data").glob("*.parquet")))
        name = names.one_of(schema.names, names.ANCHOR_IDS)
        kind = schema.field(name).type if name is not None else None
        if name is None or not (pa.types.is_string(kind) or pa.types.is_integer(kind)) or not names.is_id(name):
            return None
        ids, texts = [], []
        for split in self.splits:
            for table in tables_of(self.folder, split):
                if table[name].null_count:
                    return None
                ids.append(hash_texts(_whole(table[name]).cast(pa.string()).to_pylist()))
                texts.append(hash_texts(_whole(table[self.anchor]).cast(pa.string()).to_pylist()))
        all_ids, all_texts = np.concatenate(ids), np.concatenate(texts)
        return name if bool((all_texts[first_occurrences(all_ids)] == all_texts).all()) else None

    def _query_ids(self, table: pa.Table) -> tuple[pa.Array, pa.Array]:
        texts = _whole(table[self.anchor]).cast(pa.string())
        if self.query_column is not None:
            return _whole(table[self.query_column]).cast(pa.string()), texts
        return derived_ids(texts), texts

    # Positives.

    def _positives(self, table: pa.Table) -> tuple[pa.Array, Ints]:
        """(the id of every positive of every row, the row of each); notes their texts."""
        values, counts = flatten(_whole(table[self.positive]))
        values = values.cast(pa.string())
        if self.anchors is None:
            ids, texts = derived_ids(values), values
        else:
            corpus = self.anchors.corpus
            look_up = corpus.rows_of_ids if self.by_id else corpus.rows_of_texts
            rows = look_up(values.to_pylist())
            texts = corpus.texts(rows).cast(pa.string())
            ids = self._lasting(corpus.ids_arrow(rows).cast(pa.string()), texts)
        self.documents.add(ids, texts)
        return ids, np.repeat(np.arange(len(counts), dtype=np.int64), counts)

    def _lasting(self, ids: pa.Array, texts: pa.Array) -> pa.Array:
        """Ids that stay: those of added positives are derived from their texts."""
        if not self.added or not len(ids):
            return ids
        mask = pc.match_substring_regex(ids, ADDED)
        return replaced(ids, mask, derived_ids(texts.cast(pa.string()).filter(mask)))

    def _scores(self, table: pa.Table, name: str, place: Ints) -> pa.Array:
        """One score per positive; null where a row has none (its source cannot score)."""
        values, counts = flatten(_whole(table[name]))
        wanted = np.bincount(place, minlength=len(counts))
        starts = np.cumsum(counts) - counts
        inside = np.arange(len(place)) - (np.cumsum(wanted) - wanted)[place]
        there = (counts == wanted)[place]
        at = pa.array(np.where(there, starts[place] + inside, 0), mask=~there)
        return values.take(at) if len(values) else pa.nulls(len(place), pa.float32())


def _whole(column: Any) -> pa.Array:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
