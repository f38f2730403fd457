"""The first pass: every text becomes a number, so that all later questions are about whole numbers.

Texts of one normal form get one number. What is gathered (hashes, lengths; the positives' texts, to be compared
with in the second pass) lies in scratch files, and memory does not grow with the texts' lengths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from hfneg.base.arrays import Ints, Mask
from hfneg.base.files import disk
from hfneg.base.files.strings import StringsWriter, open_strings
from hfneg.base.hashing import HASH, Hashes, HashIndex, first_occurrences, hash_texts, normal_form
from hfneg.base.lists import Lists, offsets
from hfneg.data.layouts import Layout, tables
from hfneg.data.layouts.guessing import is_list
from hfneg.data.layouts.tables import TableBatch
from hfneg.review.audit.spill import Spill

Numbers = npt.NDArray[np.int32]
POSITIVES = "positive_texts"
NUMBERING = "numbering"
BLOCK = 500_000
ID = "\0"
"""Put before an id, so that an id and a text never share a number."""


@dataclass(frozen=True)
class Numbering:
    """Normal form -> number, for every text of the dataset."""

    index: HashIndex

    def of_texts(self, texts: Iterable[str]) -> Ints:
        """int64 [len(texts)]; -1 for a text that the dataset does not have."""
        return self.index.rows_of([normal_form(text) for text in texts])

    def of_ids(self, ids: Iterable[str]) -> Ints:
        """The same for ids, where they were read."""
        return self.index.rows_of([ID + name for name in ids])

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Facts:
    """A dataset as flat arrays; texts are numbers of `numbering`.

    anchors: int32 [rows]. positives, negatives: lists of int32. *_lengths: int32, bytes of UTF-8.
    empty_anchor: bool [rows]; empty_positive: bool [positives]; empty_negative: bool [negatives]: null, or
    nothing but white space. whole: bool [rows]; bad_positive: bool [rows]; bad, above: bool [negatives]: see
    `hfneg.data.layouts.tables`. repeated: bool [rows], an earlier row has the same texts. places: int64 [positives],
    the text's position in `texts`. anchor_ids: int32 [rows], negative_ids: int32 [negatives], or empty. near_positive,
    near_anchor, contained: bool [negatives], filled by the second pass, as `titled`: a positive but for a title.
    given: bool [negatives], came with the pairs as a negative, which the rows say of it. id_like_positive: bool
    [positives], id_like_negative: bool [negatives], one word with a digit or the like, as ids are.
    """

    numbering: Numbering
    anchors: Numbers
    positives: Lists
    negatives: Lists
    positive_lengths: Numbers
    negative_lengths: Numbers
    empty_anchor: Mask
    empty_positive: Mask
    empty_negative: Mask
    whole: Mask
    bad_positive: Mask
    bad: Mask
    above: Mask
    repeated: Mask
    places: Ints
    texts: pa.LargeStringArray
    anchor_ids: Numbers
    negative_ids: Numbers
    sources: dict[str, int]
    near_positive: Mask
    near_anchor: Mask
    titled: Mask
    given: Mask
    id_like_positive: Mask
    id_like_negative: Mask
    contained: Mask

    @property
    def rows(self) -> int:
        return len(self.anchors)

    def owners(self) -> Ints:
        """int64 [negatives]: the row of each."""
        return self.negatives.owners

    def keys(self, anchors: Any, texts: Any) -> Ints:
        """One whole number per (anchor, text)."""
        keys: Ints = np.asarray(anchors, dtype=np.int64) * len(self.numbering) + texts
        return keys

    def known_keys(self) -> Ints:
        """`keys` of every (anchor, positive) of all rows, ascending, each once."""
        good = ~self.empty_positive & ~self.empty_anchor[self.positives.owners]
        return np.unique(self.keys(self.anchors[self.positives.owners], self.positives.flat)[good])


def among(values: Any, known: Any) -> Mask:
    """bool [values]: whether each is one of `known`, which ascend."""
    found = np.zeros(len(values), dtype=bool)
    for start in range(0, len(values) if len(known) else 0, BLOCK):
        block = values[start : start + BLOCK]
        found[start : start + BLOCK] = known[np.minimum(np.searchsorted(known, block), len(known) - 1)] == block
    return found


@dataclass
class Reader:
    """Gathers facts over batches; `with_ids` where judgments name ids. `scratch` must outlive the result."""

    layout: Layout
    scratch: Path
    with_ids: bool = False
    sources: Counter[str] = field(default_factory=Counter)
    written: int = 0

    def read(self, every: Iterable[pa.Table]) -> Facts:
        """All of it."""
        with Spill(self.scratch) as self.spill, StringsWriter(self.scratch, POSITIVES) as writer:
            for table in every:
                self._add(table, writer)
        return self._facts()

    def _add(self, table: pa.Table, writer: StringsWriter) -> None:
        batch = tables.read(table, self.layout)
        scores = tables.read_scores(table, self.layout, batch)
        self.sources.update(tables.source_names(table, self.layout))
        hashes = [hashes_of(texts) for texts in (batch.anchors, batch.positives.flat, batch.negatives.flat)]
        coded = batch.positives.flat.fill_null("").dictionary_encode()
        writer.append(coded.dictionary.to_pylist())
        self.spill.append(
            anchors=hashes[0],
            positives=hashes[1],
            negatives=hashes[2],
            row_hashes=row_hashes(hashes[0], batch.positives, hashes[1], batch.negatives, hashes[2]),
            positives_per_row=batch.positives.lengths,
            negatives_per_row=batch.negatives.lengths,
            positive_lengths=byte_lengths(batch.positives.flat),
            negative_lengths=byte_lengths(batch.negatives.flat),
            places=coded.indices.to_numpy() + self.written,
            whole=batch.whole,
            bad_positive=scores.bad_positive,
            bad=scores.bad,
            above=scores.above,
            given=tables.given(table, self.layout, batch),
            id_like_positive=tables.id_like(batch.positives.flat),
            id_like_negative=tables.id_like(batch.negatives.flat),
        )
        self.written += len(coded.dictionary)
        if self.with_ids:
            self._keep_ids(table, batch)

    def _keep_ids(self, table: pa.Table, batch: TableBatch) -> None:
        if self.layout.anchor_id is not None:
            self.spill.append(anchor_ids=_id_hashes(tables.column(table, self.layout.anchor_id)))
        if self.layout.negative_ids is not None:
            ids = tables.texts_of(_as_texts(tables.column(table, self.layout.negative_ids)))
            place = np.where(np.repeat(batch.whole, batch.negatives.lengths), np.arange(len(batch.negatives.flat)), -1)
            hashes = np.concatenate([_id_hashes(ids.flat), _id_hashes(pa.array([""]))])
            if len(ids.flat) != len(place):  # some rows are not whole: their ids stay unknown
                inside = np.repeat(batch.whole, ids.lengths)
                place[place >= 0] = np.flatnonzero(inside)
            self.spill.append(negative_ids=hashes[place])

    def _facts(self) -> Facts:
        kinds = ("anchors", "positives", "negatives", "anchor_ids", "negative_ids")
        names = [name for name in kinds if name in self.spill]
        numbering, numbers = number([self.spill.take(name) for name in names], self.scratch)
        found = dict(zip(names, numbers, strict=True))
        nothing = np.empty(0, dtype=np.int32)
        anchors, positives, negatives = (found.get(name, nothing) for name in kinds[:3])
        empty = int(numbering.of_texts([""])[0])
        take = self.spill.take
        row_hashes = take("row_hashes", HASH)
        return Facts(
            numbering=numbering,
            anchors=anchors,
            positives=Lists(offsets(take("positives_per_row", np.int64)), positives),
            negatives=Lists(offsets(take("negatives_per_row", np.int64)), negatives),
            positive_lengths=take("positive_lengths", np.int32),
            negative_lengths=take("negative_lengths", np.int32),
            empty_anchor=anchors == empty,
            empty_positive=positives == empty,
            empty_negative=negatives == empty,
            whole=take("whole", bool),
            bad_positive=take("bad_positive", bool),
            bad=take("bad", bool),
            above=take("above", bool),
            repeated=first_occurrences(row_hashes) != np.arange(len(row_hashes)),
            places=take("places", np.int64),
            texts=open_strings(self.scratch, POSITIVES),
            anchor_ids=found.get("anchor_ids", nothing),
            negative_ids=found.get("negative_ids", nothing),
            sources=dict(self.sources.most_common()),
            near_positive=np.zeros(len(negatives), dtype=bool),
            near_anchor=np.zeros(len(negatives), dtype=bool),
            titled=np.zeros(len(negatives), dtype=bool),
            given=take("given", bool),
            id_like_positive=take("id_like_positive", bool),
            id_like_negative=take("id_like_negative", bool),
            contained=np.zeros(len(negatives), dtype=bool),
        )


def hashes_of(texts: pa.Array) -> Hashes:
    """128-bit hashes of the normal forms; null counts as empty. Equal texts of a batch are hashed once."""
    coded = texts.fill_null("").dictionary_encode()
    hashes: Hashes = hash_texts(map(normal_form, coded.dictionary.to_pylist()))[coded.indices.to_numpy()]
    return hashes


def _as_texts(values: pa.Array) -> pa.Array:
    """Ids as texts, also where they are numbers."""
    if is_list(values.type):
        return values.cast(pa.large_list(tables.TEXT))
    return values.cast(tables.TEXT)


def _id_hashes(ids: pa.Array) -> Hashes:
    coded = _as_texts(ids).fill_null("").dictionary_encode()
    hashes: Hashes = hash_texts([ID + name for name in coded.dictionary.to_pylist()])[coded.indices.to_numpy()]
    return hashes


def byte_lengths(texts: pa.Array) -> Numbers:
    """int32 [n]: bytes of UTF-8, 0 for null."""
    lengths: Numbers = pc.binary_length(texts).fill_null(0).to_numpy().astype(np.int32)
    return lengths


def row_hashes(anchors: Hashes, positives: Lists, positive: Hashes, negatives: Lists, negative: Hashes) -> Hashes:
    """One hash per row, of all its texts' hashes in order."""
    data = [hashes.tobytes() for hashes in (anchors, positive, negative)]
    starts = [
        (np.arange(len(anchors) + 1) * 16).tolist(),
        *((lists.indptr * 16).tolist() for lists in (positives, negatives)),
    ]
    digest = xxhash.xxh3_128_digest
    joined = b"".join(
        digest(b"|".join(part[start[i] : start[i + 1]] for part, start in zip(data, starts, strict=True)))
        for i in range(len(anchors))
    )
    return np.frombuffer(joined, dtype=anchors.dtype)


def number(parts: list[Hashes], folder: Path) -> tuple[Numbering, list[Numbers]]:
    """Equal hashes get equal numbers, ascending by hash: (the numbering, int32 arrays shaped as `parts`).

    The sorted hashes are kept in files of `folder`.
    """
    ends = np.cumsum([len(part) for part in parts])
    high = np.concatenate([part["high"] for part in parts])
    order = np.argsort(high, kind="stable")
    high = high[order]
    low = np.concatenate([part["low"] for part in parts])[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = high[1:] != high[:-1]
    if (low[1:] != low[:-1])[~new[1:]].any():  # two hashes with one high half: hardly ever
        inside = np.lexsort((low, high))
        order, high, low = order[inside], high[inside], low[inside]
        new[1:] |= low[1:] != low[:-1]
    numbers = np.empty(len(order), dtype=np.int32)
    numbers[order] = np.cumsum(new, dtype=np.int32) - np.int32(1)
    del order
    for name, values in (("high", high[new]), ("low", low[new]), ("rows", np.arange(np.count_nonzero(new)))):
        disk.save_array(folder / f"{NUMBERING}.{name}.npy", values)
    return Numbering(HashIndex.open(folder, NUMBERING)), np.split(numbers, ends[:-1])
