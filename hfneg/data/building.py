"""Building anchors: the pairs read once, their documents found, rows of one anchor joined, all of it written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.files import disk
from hfneg.base.files.strings import StringsWriter, open_strings
from hfneg.base.hashing import HashIndex, first_occurrences, hash_texts
from hfneg.base.lists import Lists
from hfneg.data import grouping, reading
from hfneg.data.corpus import Corpus
from hfneg.data.files.beir import Missing
from hfneg.data.reading import Read
from hfneg.data.resolving import ID, TEXT, PositivesAre, Resolved, kind_of
from hfneg.errors import PositiveError

FORMAT = 2
EXACT = (ID, TEXT)


@dataclass(frozen=True)
class Said:
    """What was said of the pairs; see `hfneg.data.anchors.Anchors`."""

    anchor: str
    positive: str
    negatives: tuple[str, ...] | None = None
    positives_are: Literal["auto", "text", "id"] = "auto"
    missing: Missing | None = None
    given: Literal["first", "ignore"] = "first"
    symmetric: bool = False
    label: Literal[False] | None = None

    @property
    def in_words(self) -> dict[str, Any]:
        """What was said that is not said by default, as arguments of `Anchors`."""
        said = {"missing": self.missing, "given": self.given, "symmetric": self.symmetric}
        usual = {"missing": None, "given": "first", "symmetric": False}
        found: dict[str, Any] = {name: value for name, value in said.items() if value != usual[name]}
        return found if self.negatives is None else {**found, "negative": list(self.negatives)}


@dataclass(frozen=True)
class _Found:
    """Documents of all values: positives, given negatives, and the corpus with what was added to it."""

    corpus: Corpus
    kind: PositivesAre
    positives: Resolved
    negatives: Resolved
    added: int


@dataclass(frozen=True)
class Built:
    """What was built, and what is known of these pairs alone: other pairs may make the same anchors.

    matched: way -> how many positives were found so. left_out: rows that no positive is known of.
    """

    digest: str
    matched: dict[str, int]
    left_out: int


def build(pairs: Any, corpus: Corpus | None, said: Said) -> Built:
    """Read everything once into scratch, resolve, group, and give the result its name."""
    with store.scratch_folder() as scratch:
        wanted = reading.WantedColumns(False if said.given == "ignore" else said.negatives, said.label)
        read = reading.read(pairs, scratch, said.anchor, said.positive, wanted)
        found = _resolve(read, scratch, corpus, said)
        grouped = _Grouped.of(read, found, said)
        return Built(grouped.write(scratch, read, found), found.positives.how, grouped.left_out)


def _resolve(read: Read, scratch: Path, corpus: Corpus | None, said: Said) -> _Found:
    values, negatives = open_strings(scratch, "positives"), open_strings(scratch, "negatives")
    kind: PositivesAre = "text"
    if corpus is not None:
        kind = kind_of(values, corpus, said.positive) if said.positives_are == "auto" else said.positives_are
    if read.numbered and kind == "text":
        grouping.refuse_numbers(said.positive)
    few = corpus is not None
    if corpus is None:
        grouping.warn_of_ids(values, said.positive)
        both_sides = [open_strings(scratch, "anchors")] if said.symmetric else []
        corpus = Corpus.from_texts(grouping.distinct(values, negatives, *both_sides))
    positives, added = grouping.resolve(values, corpus, said.positive, kind, said.missing, few=few)
    against = Resolved(np.empty(0, dtype=np.int64))
    if len(negatives):
        column = ", ".join(said.negatives or ("negative",))
        theirs = kind_of(negatives, corpus, column) if said.positives_are == "auto" else kind
        against, more = grouping.resolve(negatives, corpus, column, theirs, said.missing, few=False, given=True)
        added = list(dict.fromkeys([*added, *more]))
    if added:
        corpus = corpus.with_texts(added)
        grouping.find_added(positives, values, corpus)
        grouping.find_added(against, negatives, corpus)
    return _Found(corpus, kind, positives, against, len(added))


@dataclass(frozen=True)
class _Grouped:
    """n anchors of the rows that are kept: the first row of each, its positives and given negatives."""

    rows: Ints
    positives: Lists
    negatives: Lists
    splits: dict[str, int]
    kept_rows: Ints  # of all rows
    left_out: int
    skipped: int  # values in the kept rows that are in no document

    @classmethod
    def of(cls, read: Read, found: _Found, said: Said) -> _Grouped:
        first = first_occurrences(read.hashes)
        anchors = np.flatnonzero(first == np.arange(len(first)))
        number = np.searchsorted(anchors, first)
        n, m = len(anchors), len(found.corpus)
        owners, rows = _with_also(np.repeat(number, np.diff(read.indptr)), found.positives)
        positives = Lists(*grouping.group(owners, np.ones_like(owners), rows, n, m))
        negatives = Lists(np.zeros(n + 1, dtype=np.int64), np.empty(0, dtype=np.int64))
        if len(found.negatives.rows):
            each = np.diff(read.negative_indptr)
            negatives = Lists(*grouping.in_order(number, each, found.negatives.rows, n, m))
        if said.symmetric:
            positives = grouping.closed(positives, read.short_hashes[anchors], found.corpus)
        elif n > 1:
            grouping.hint_at_both_sides(positives, read.short_hashes[anchors], found.corpus)
        kept = np.flatnonzero(positives.lengths)
        if not len(kept):
            raise PositiveError(
                f"no positive (column {said.positive!r}) is in the corpus, so that nothing is left to mine"
            )
        rows_kept = np.flatnonzero(positives.lengths[number] > 0)
        of_rows = np.bincount(read.split_of_row[rows_kept], minlength=len(read.splits))
        splits = dict(zip(read.splits, of_rows.tolist(), strict=True))
        lists = positives.take(kept), negatives.take(kept)
        missing = np.repeat(np.arange(len(number)), np.diff(read.indptr))[found.positives.unknown]
        skipped = int(np.isin(missing, rows_kept).sum())
        return cls(anchors[kept], *lists, splits, rows_kept, len(number) - len(rows_kept), skipped)

    def write(self, scratch: Path, read: Read, found: _Found) -> str:
        """Into the store; returns the digest."""
        corpus, texts = found.corpus, open_strings(scratch, "anchors")
        own = texts.take(pa.array(self.rows))
        if len(self.negatives.flat):
            grouping.refuse_conflicts(self.positives, self.negatives, corpus, own)
        aliases = _aliases(found.positives, open_strings(scratch, "positives"))
        text_digest = _text_digest(texts, self.kept_rows, read) if self.left_out else read.text_digest
        identity = (corpus.digest, found.kind, text_digest, self.splits, found.added)
        more: list[Any] = [self.negatives.indptr, self.negatives.flat] if len(self.negatives.flat) else []
        more += [] if aliases is None else list(aliases)
        more += [self.skipped] if self.skipped else []
        parts = (read.hashes[self.rows], self.positives.indptr, self.positives.flat)
        digest = store.digest_of(FORMAT, *identity, *parts, *more)

        def fill(folder: Path) -> None:
            disk.save_array(folder / "positives.indptr.npy", self.positives.indptr)
            disk.save_array(folder / "positives.rows.npy", self.positives.flat)
            if len(self.negatives.flat):
                disk.save_array(folder / "negatives.indptr.npy", self.negatives.indptr)
                disk.save_array(folder / "negatives.rows.npy", self.negatives.flat)
            if aliases is not None:
                HashIndex.write(folder, "aliases", *aliases)
            disk.save_array(folder / "hashes.npy", read.short_hashes[self.rows])
            HashIndex.write(folder, "normal", read.hashes[self.rows], np.arange(len(self.rows)))
            disk.save_array(folder / "text_hashes.npy", _write_texts(folder, texts, self.rows))
            facts = {"corpus": corpus.digest, "rows": sum(self.splits.values()), "anchors": len(self.rows)}
            facts |= {"added": found.added, "splits": self.splits, "positives_are": found.kind}
            facts |= {"given": len(self.negatives.flat), "skipped": self.skipped}
            store.write_json(folder / "anchors.json", facts)

        store.build("anchors", digest, fill)
        return digest


def _text_digest(texts: pa.LargeStringArray, rows: Ints, read: Read) -> str:
    """As `reading.read` makes it, of these rows alone: the digest is that of the pairs without those left out."""
    digests = []
    for split in range(len(read.splits)):
        own = rows[read.split_of_row[rows] == split]
        for start in range(0, len(own), reading.BATCH):
            some = texts.take(pa.array(own[start : start + reading.BATCH])).to_pylist()
            digests.append(store.digest_of(hash_texts(some)))
    return store.digest_of(digests)


def _with_also(owners: Ints, found: Resolved) -> tuple[Ints, Ints]:
    """(anchor, document) of all values that were found, and of the documents that equal them but for their title."""
    known = found.rows >= 0
    positions, rows = found.also
    return np.concatenate([owners[known], owners[positions]]), np.concatenate([found.rows[known], rows])


def _aliases(found: Resolved, values: pa.LargeStringArray) -> tuple[Any, Ints] | None:
    """(hashes, rows) of the texts that were not found as they are, so that a batch of rows is understood."""
    if not set(found.how) - {*EXACT, "added", "left out"}:
        return None
    exact = found.inexact
    texts = values.take(pa.array(exact))
    coded = texts.dictionary_encode()
    _, first = np.unique(coded.indices.to_numpy(), return_index=True)
    return hash_texts(coded.dictionary.to_pylist()), found.rows[exact[first]]


def _write_texts(folder: Path, texts: pa.LargeStringArray, rows: Ints) -> Any:
    """The anchors' texts, in blocks; returns their hashes."""
    hashes = []
    with StringsWriter(folder, "texts") as writer:
        for start in range(0, len(rows), 50_000):
            some = texts.take(pa.array(rows[start : start + 50_000]))
            writer.append_arrow(some)
            hashes.append(hash_texts(some.to_pylist()))
    return np.concatenate(hashes)
