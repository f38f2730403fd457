"""The anchors of a dataset of pairs: each once, with all its known positives.

`Anchors` is one full pass over all splits. Rows whose anchors have the same normal form (NFKC, case
folded, white space collapsed) are one anchor, numbered 0 .. len-1 in the order of appearance; its text is
that of the first such row. All positives of all its rows are known to it, so that no sibling positive is
ever mined, and a thousand rows of one anchor cost one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base import columns, html, store
from hfneg.base.arrays import Ints
from hfneg.base.files.strings import open_strings
from hfneg.base.hashing import Hashes, HashIndex, normal_form
from hfneg.base.lists import Lists, lists_of, offsets, texts_of
from hfneg.data.building import Said, build
from hfneg.data.corpus import Corpus
from hfneg.data.files.frames import as_dataset
from hfneg.data.resolving import PositivesAre
from hfneg.errors import ColumnError, InputError, PositiveError, SettingError


class Anchors:
    """Unique anchors of `pairs` and the rows of their positives in the corpus.

    >>> corpus = Corpus.from_texts(["Faults slip.", "Waves travel."])
    >>> anchors = Anchors([{"q": "What slips?", "a": "Faults slip."}], corpus, anchor="q", positive="a")
    >>> len(anchors), anchors.positives_of(0)
    (1, array([0]))

    Args:
        pairs: a `Dataset`, `IterableDataset`, `DatasetDict`, or any iterable of mappings. All splits are
            read, so that a positive of one split is never mined in another.
        corpus: where negatives come from. None: the positives and given negatives themselves are the corpus.
        anchor: the column of the anchors' texts.
        positive: the column of positives: a text, an id of the corpus, or a list of either.
        negative: the column or columns of given negatives, which are known not to be relevant: texts, ids, or lists of
            either. None: by their usual names (``negative``, ``negative_1``, ``negatives``, ``neg``).
        positives_are: "text" or "id"; "auto" looks whether the first values are texts or ids of the corpus. A text that
            is no document's is looked up without the documents' titles, then by its normal form.
        missing: positive texts that the corpus does not hold are added to it ("add"), refused ("refuse"), or left out
            with the rows that have no other ("skip"). None: added, and refused where that is more than a tenth of all.
            A missing id is refused unless it is left out.
        given: "first" puts given negatives before mined ones in ``hard_negatives``; "ignore" does not read them.
        symmetric: a pair holds both ways (duplicates, paraphrases), and what hangs together by pairs is known together.
        label: False where all rows are positives, whatever a column of labels says; else such rows are refused.

    Attributes:
        corpus: the corpus, with missing positives added behind it.
        added: how many were added.
        rows: how many rows the pairs have, without those that were left out.
        matched: how many positives were found in which way: "id", "text", "without title", "normal form", "added", ...
        left_out: how many rows were left out, because no positive of their anchor is in the corpus.
        said: the arguments that were not left as they are.

    Raises:
        ColumnError, EmptyInputError, PositiveError: see the messages; nothing is kept then.
    """

    # Of the pairs that this object was made from; not part of what it is, and not there where it was reopened.
    matched: Mapping[str, int] = MappingProxyType({})
    left_out: int = 0
    said: Mapping[str, Any] = MappingProxyType({})

    def __init__(
        self,
        pairs: Any,
        corpus: Corpus | None,
        *,
        anchor: str,
        positive: str,
        negative: str | Sequence[str] | None = None,
        positives_are: Literal["auto", "text", "id"] = "auto",
        missing: Literal["add", "refuse", "skip"] | None = None,
        given: Literal["first", "ignore"] = "first",
        symmetric: bool = False,
        label: Literal[False] | None = None,
    ) -> None:
        if not isinstance(pairs, list | tuple):  # whose rows are read one by one
            pairs = as_dataset(pairs, "pairs")
        if not isinstance(pairs, Iterable) or isinstance(pairs, str):
            raise InputError(
                f"pairs is {pairs!r}, a {type(pairs).__name__}; expected a Dataset, an IterableDataset, a DatasetDict, "
                "a frame of pandas or polars, or a list of rows"
            )
        if corpus is not None and not isinstance(corpus, Corpus):
            raise InputError(
                f"corpus is a {type(corpus).__name__}; expected a Corpus: Corpus.from_dataset(dataset, text=...) or "
                "Corpus.from_texts(texts) makes one"
            )
        if anchor == positive:
            raise ColumnError(f"anchor and positive are both {anchor!r}; they must be two columns")
        for setting, value, allowed in (
            ("positives_are", positives_are, ("auto", "text", "id")),
            ("missing", missing, ("add", "refuse", "skip", None)),
            ("given", given, ("first", "ignore")),
            ("symmetric", symmetric, (True, False)),
            ("label", label, (False, None)),
        ):
            if value not in allowed:
                raise SettingError(f"Anchors({setting}={value!r}): {setting} must be one of {allowed}")
        negatives = (negative,) if isinstance(negative, str) else None if negative is None else tuple(negative)
        for names in _column_names(pairs):
            columns.require(anchor, names, "anchor")
            columns.require(positive, names, "positive")
        self.anchor = anchor
        self.positive = positive
        said = Said(anchor, positive, negatives, positives_are, missing, given, symmetric, label)
        built = build(pairs, corpus, said)
        self.digest, self.matched, self.left_out = built.digest, built.matched, built.left_out
        self.said = said.in_words

    def __repr__(self) -> str:
        return f"Anchors({len(self)} anchors of {self.rows} rows, {anchor_columns(self)}, digest={self.digest[:12]})"

    def _repr_html_(self) -> str:
        facts = {"anchors": len(self), "of rows": self.rows, "anchor": self.anchor, "positive": self.positive}
        first = self.texts(np.arange(min(len(self), 3))).to_pylist()
        return html.facts("Anchors", {**facts, "corpus": self.corpus, "digest": self.digest, "the first": first})

    @classmethod
    def reopen(cls, digest: str, *, anchor: str, positive: str) -> Anchors:
        """Anchors that the store holds already; raises StoreError where it does not."""
        anchors = cls.__new__(cls)
        anchors.anchor, anchors.positive, anchors.digest = anchor, positive, digest
        _ = len(anchors.corpus)
        return anchors

    def __getstate__(self) -> dict[str, str]:
        return {"anchor": self.anchor, "positive": self.positive, "digest": self.digest}

    # What it holds.

    @cached_property
    def _folder(self) -> Path:
        return store.require("anchors", self.digest)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self._folder / "anchors.json").read_text())
        return facts

    @cached_property
    def corpus(self) -> Corpus:
        return Corpus(self._facts["corpus"])

    @property
    def rows(self) -> int:
        return int(self._facts["rows"])

    def rows_of_split(self, name: str | None) -> int:
        """Rows of one split of a `DatasetDict`; of all there is for None."""
        return int(self._facts["splits"].get(name, 0)) if name is not None else self.rows

    @property
    def added(self) -> int:
        return int(self._facts["added"])

    @property
    def given(self) -> int:
        """How many (anchor, given negative) pairs there are."""
        return int(self._facts.get("given", 0))

    @property
    def positives_are(self) -> PositivesAre:
        kind: PositivesAre = self._facts["positives_are"]
        return kind

    def __len__(self) -> int:
        return int(self._facts["anchors"])

    @cached_property
    def _texts(self) -> pa.LargeStringArray:
        return open_strings(self._folder, "texts")

    @cached_property
    def _index(self) -> HashIndex:
        return HashIndex.open(self._folder, "normal")

    @cached_property
    def _aliases(self) -> HashIndex | None:
        """Positives' texts that are no document's as they are -> their document."""
        there = any(self._folder.glob("aliases.*"))
        return HashIndex.open(self._folder, "aliases") if there else None

    @cached_property
    def text_hashes(self) -> Hashes:
        """128-bit hashes [len] of the texts, mapped: what a teacher's scores are kept by."""
        hashes: Hashes = np.load(self._folder / "text_hashes.npy", mmap_mode="r")
        return hashes

    @cached_property
    def normal_hashes(self) -> npt.NDArray[np.uint64]:
        """uint64 [len]: comparable with `Corpus.normal_hashes`; also what per-anchor seeds are made of."""
        hashes: npt.NDArray[np.uint64] = np.load(self._folder / "hashes.npy", mmap_mode="r")
        return hashes

    @cached_property
    def _indptr(self) -> Ints:
        indptr: Ints = np.load(self._folder / "positives.indptr.npy", mmap_mode="r")
        return indptr

    @cached_property
    def _positives(self) -> Ints:
        rows: Ints = np.load(self._folder / "positives.rows.npy", mmap_mode="r")
        return rows

    def texts(self, numbers: Sequence[int] | Ints) -> pa.LargeStringArray:
        """The texts of anchors, as Arrow."""
        return self._texts.take(pa.array(np.asarray(numbers, dtype=np.int64)))

    def text_slice(self, start: int, stop: int) -> pa.LargeStringArray:
        """The texts of anchors `start` .. `stop` - 1, without a copy."""
        return self._texts.slice(start, stop - start)

    def positives_of(self, number: int) -> Ints:
        """Rows of the known positives of one anchor, ascending."""
        return np.array(self._positives[self._indptr[number] : self._indptr[number + 1]])

    def positives(self, numbers: Ints) -> Lists:
        """Rows of the known positives of several anchors, as flat lists."""
        return self.of_positives(self._positives, numbers)

    def of_positives(self, values: Any, numbers: Ints) -> Lists:
        """Any array with one value per (anchor, positive) of all anchors, cut to some anchors."""
        return Lists.gather(values, self._indptr[numbers], self._indptr[numbers + 1])

    @cached_property
    def _negatives(self) -> Lists:
        """Rows of the given negatives of all anchors, in their order."""
        if not self.given:
            return Lists(np.zeros(len(self) + 1, dtype=np.int64), np.empty(0, dtype=np.int64))
        return Lists(*(np.load(self._folder / f"negatives.{name}.npy", mmap_mode="r") for name in ("indptr", "rows")))

    def negatives(self, numbers: Ints) -> Lists:
        """Rows of the given negatives of several anchors, in the order in which they were given."""
        return self._negatives.take(numbers)

    # What a batch of the user's rows means.

    def has(self, batch: Mapping[str, Any]) -> npt.NDArray[np.bool_]:
        """bool [rows of the batch]: whether the row's anchor is one of these; it is not where it was left out."""
        columns.require(self.anchor, _names(batch), "anchor")
        texts = texts_of(batch[self.anchor], self.anchor)
        found: npt.NDArray[np.bool_] = self._index.rows_of([normal_form(text) for text in texts]) >= 0
        return found

    def numbers(self, batch: Mapping[str, Any]) -> Ints:
        """int64 [rows of the batch]: the number of each row's anchor."""
        columns.require(self.anchor, _names(batch), "anchor")
        texts = texts_of(batch[self.anchor], self.anchor)
        numbers = self._index.rows_of([normal_form(text) for text in texts])
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            raise ColumnError(
                f"anchor {texts[unknown[0]]!r} was not in the pairs that Anchors has read; make Anchors from "
                "the same dataset (all its splits) that this step is mapped over"
                + (
                    ", and filter the rows that it left out: rows.filter(anchors.has, batched=True)"
                    * bool(self.left_out)
                )
            )
        return numbers

    def positive_rows(self, batch: Mapping[str, Any]) -> Lists:
        """The corpus rows of each row's own positives, in the row's order."""
        columns.require(self.positive, _names(batch), "positive")
        values = lists_of(batch[self.positive], self.positive)
        look_up = self.corpus.rows_of_ids if self.positives_are == "id" else self.corpus.rows_of_texts
        rows = look_up(values.flat)
        if (rows < 0).any() and self._aliases is not None:
            rows = np.where(rows < 0, self._aliases.rows_of(values.flat), rows)
        if (rows < 0).any() and self._facts.get("skipped"):
            known = rows >= 0
            lengths = np.bincount(values.owners[known], minlength=len(values))
            return Lists(offsets(lengths), rows[known])
        if (rows < 0).any():
            first = values.flat[int(np.flatnonzero(rows < 0)[0])]
            raise PositiveError(
                f"positive {first!r} was not in the pairs that Anchors has read; make Anchors from the same dataset"
            )
        return Lists(values.indptr, rows)


def anchor_columns(anchors: Anchors) -> str:
    """``anchor='query', positive='answer'``"""
    return f"anchor={anchors.anchor!r}, positive={anchors.positive!r}"


def _column_names(pairs: Any) -> list[Sequence[str]]:
    """The columns of each split, where they are known without reading."""
    if isinstance(pairs, Mapping):
        return [names for split in pairs.values() for names in _column_names(split)]
    names = getattr(pairs, "column_names", None)
    return [names] if names is not None else []


def _names(batch: Any) -> list[str]:
    return list(batch.column_names) if isinstance(batch, pa.Table) else list(batch.keys())
