"""Reading pairs: one pass over all splits, then positives resolved to rows and grouped by anchor."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg import columns, store
from hfneg.batches import Lists, lists_of, offsets, texts_of
from hfneg.corpus import Corpus
from hfneg.errors import ColumnError, EmptyInputError, PositiveError
from hfneg.hashing import first_occurrences, hash_normal_forms, hash_texts, normal_form
from hfneg.strings import StringsWriter

BATCH = 2_000

Rows = npt.NDArray[np.int64]
PositivesAre = Literal["text", "id"]
log = logging.getLogger(__name__)


class Read:
    """What one pass over the pairs leaves: hashes in RAM, strings in scratch files."""

    def __init__(
        self,
        hashes: Any,
        short_hashes: npt.NDArray[np.uint64],
        indptr: Rows,
        text_digest: str,
        splits: dict[str, int],
        numbered: bool,
    ) -> None:
        self.hashes = hashes  # of the normal forms, one per row
        self.short_hashes = short_hashes
        self.indptr = indptr  # of each row's positives
        self.text_digest = text_digest
        self.splits = splits  # rows of each split
        self.numbered = numbered  # whether positives were given as numbers, which can only be ids


def read(pairs: Any, scratch: Path, anchor: str, positive: str) -> Read:
    hashes, short, lengths, digests = [], [], [], []
    splits: dict[str, int] = {}
    numbered = False
    with StringsWriter(scratch, "anchors") as texts, StringsWriter(scratch, "positives") as positives:
        for split, place, batch in _batches(pairs, anchor, positive):
            names = _checked_anchors(batch, anchor, place)
            values = _checked_positives(batch, positive, place)
            numbered = numbered or _holds_numbers(batch[positive])
            texts.append(names)
            positives.append(values.flat)
            normal = [normal_form(name) for name in names]
            hashes.append(hash_texts(normal))
            short.append(hash_normal_forms(names))
            lengths.append(values.lengths)
            digests.append(store.digest_of(hash_texts(names)))
            splits[split] = splits.get(split, 0) + len(names)
    if not hashes:
        raise EmptyInputError("the pairs are empty: there must be at least one row with an anchor and a positive")
    indptr = offsets(np.concatenate(lengths))
    return Read(np.concatenate(hashes), np.concatenate(short), indptr, store.digest_of(digests), splits, numbered)


def _batches(pairs: Any, anchor: str, positive: str) -> Iterator[tuple[str, str, dict[str, list[Any]]]]:
    """(split, place for messages, the two columns of up to BATCH rows) over all splits."""
    for name, split in pairs.items() if isinstance(pairs, Mapping) else [("", pairs)]:
        done = 0
        for batch in _split_batches(split, anchor, positive):
            yield name, f"split {name!r}, row {done}" if name else f"row {done}", batch
            done += len(batch[anchor])


def _split_batches(split: Any, anchor: str, positive: str) -> Iterator[dict[str, list[Any]]]:
    if hasattr(split, "select_columns"):  # a Dataset or IterableDataset: read the two columns only
        if hasattr(split, "with_format"):
            split = split.with_format(None)
        if split.column_names is not None:
            split = split.select_columns([anchor, positive])
    batch: dict[str, list[Any]] = {anchor: [], positive: []}
    if hasattr(split, "iter"):
        for chunk in split.iter(BATCH):
            columns.require(anchor, chunk, "anchor")
            columns.require(positive, chunk, "positive")
            yield {anchor: chunk[anchor], positive: chunk[positive]}
        return
    for row in split:
        for column, role in ((anchor, "anchor"), (positive, "positive")):
            columns.require(column, row, role)
            batch[column].append(row[column])
        if len(batch[anchor]) == BATCH:
            yield batch
            batch = {anchor: [], positive: []}
    if batch[anchor]:
        yield batch


def _checked_anchors(batch: Mapping[str, Any], anchor: str, place: str) -> list[str]:
    try:
        texts = texts_of(batch[anchor], anchor)
    except ColumnError as error:
        raise ColumnError(f"anchors ({place} and following): {error}") from None
    empty = [i for i, text in enumerate(texts) if not text.strip()]
    if empty:
        raise ColumnError(
            f"anchors ({place} and following): row {empty[0]} of this batch has an empty text in column {anchor!r}; an "
            "anchor must have a text: remove such rows first"
        )
    return texts


def _checked_positives(batch: Mapping[str, Any], positive: str, place: str) -> Lists:
    try:
        values = lists_of(batch[positive], positive)
    except ColumnError as error:
        raise ColumnError(f"positives ({place} and following): {error}") from None
    without = np.flatnonzero(values.lengths == 0)
    if len(without):
        raise PositiveError(
            f"positives ({place} and following): row {without[0]} of this batch has no positive (column {positive!r} "
            "holds an empty list); remove such rows first"
        )
    empty = [int(owner) for owner, text in zip(values.owners, values.flat, strict=True) if not text.strip()]
    if empty:
        raise PositiveError(
            f"positives ({place} and following): row {empty[0]} of this batch has an empty text in column "
            f"{positive!r}; a positive must have a text: remove such rows first"
        )
    return values


def _holds_numbers(column: Any) -> bool:
    """Whether the first row's first positive is a number (a column of a dataset holds one type)."""
    first = column[0]
    if isinstance(first, list | tuple | np.ndarray):
        first = first[0]
    return not isinstance(first, str)


def distinct(values: pa.LargeStringArray) -> Iterator[str]:
    """Each distinct string once, in order of first appearance."""
    seen = first_occurrences(np.concatenate([hash_texts(chunk) for chunk in _lists(values)]))
    start = 0
    for chunk in _lists(values):
        yield from (text for i, text in enumerate(chunk, start) if seen[i] == i)
        start += len(chunk)


def _lists(values: pa.LargeStringArray) -> Iterator[list[str]]:
    for start in range(0, len(values), BATCH):
        yield values.slice(start, BATCH).to_pylist()


def kind_of(values: pa.LargeStringArray, corpus: Corpus, positive: str) -> PositivesAre:
    """Texts or ids: whichever of the two the corpus knows more of, among the first values."""
    some = values.slice(0, BATCH).to_pylist()
    texts, ids = int((corpus.rows_of_texts(some) >= 0).sum()), int((corpus.rows_of_ids(some) >= 0).sum())
    if ids and texts and ids == texts:
        raise PositiveError(
            f"column {positive!r}: its values are texts as well as ids of the corpus; say which with "
            "positives_are='text' or positives_are='id'"
        )
    return "id" if ids > texts else "text"


def refuse_numbers(positive: str) -> None:
    """Positives that were given as numbers can be ids only."""
    raise PositiveError(
        f"column {positive!r} holds numbers: they are no texts, and the corpus knows none of them as an id; name the "
        "column of the texts, or give a corpus whose ids these are"
    )


def resolve(
    values: pa.LargeStringArray,
    corpus: Corpus,
    positive: str,
    kind: PositivesAre,
    missing: Literal["add", "refuse"],
) -> tuple[Corpus, Rows, int]:
    """The corpus row of every value; unknown texts are added to the corpus."""
    rows = _look_up(values, corpus, kind)
    unknown = np.flatnonzero(rows < 0)
    if not len(unknown):
        return corpus, rows, 0
    examples = [text[:60] for text in values.take(pa.array(unknown[:3])).to_pylist()]
    if kind == "id" or missing == "refuse":
        raise PositiveError(
            f"{len(unknown)} of {len(rows)} positives (column {positive!r}, taken as {kind}s) are not in the corpus, "
            f"for example {', '.join(map(repr, examples))}; "
            + (
                "check that the corpus has these ids"
                if kind == "id"
                else "add them to the corpus, or pass missing='add' to have that done"
            )
        )
    texts = list(dict.fromkeys(values.take(pa.array(unknown)).to_pylist()))
    log.warning("%d positives were not in the corpus and are added to it (for example %r)", len(texts), examples[0])
    corpus = corpus.with_texts(texts)
    return corpus, _look_up(values, corpus, kind), len(texts)


def _look_up(values: pa.LargeStringArray, corpus: Corpus, kind: PositivesAre) -> Rows:
    look_up = corpus.rows_of_ids if kind == "id" else corpus.rows_of_texts
    return np.concatenate([look_up(chunk) for chunk in _lists(values)])


def group(number: Rows, lengths: Rows, rows: Rows, n_anchors: int, n_documents: int) -> tuple[Rows, Rows]:
    """CSR of each anchor's distinct positives, ascending."""
    key = np.unique(np.repeat(number, lengths) * n_documents + rows)
    owner, row = np.divmod(key, n_documents)
    indptr = np.searchsorted(owner, np.arange(n_anchors + 1)).astype(np.int64)
    return indptr, row
