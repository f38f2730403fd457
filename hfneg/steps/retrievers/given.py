"""Bring your own candidates: a column of ids or texts becomes a retriever."""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hfneg.base import columns, store
from hfneg.base.arrays import Ints
from hfneg.base.files import disk
from hfneg.base.hashing import HashIndex, hash_texts, normal_form
from hfneg.base.lists import Lists, lists_of, texts_of
from hfneg.base.settings import is_number
from hfneg.data.corpus import Corpus
from hfneg.errors import ColumnError, EmptyInputError, InputError
from hfneg.steps.retrievers.base import Scores

log = logging.getLogger(__name__)

Given = tuple[list[str], list[float] | None]
"""Candidates, best first, and their scores."""


def candidates_from(
    dataset: Any, column: str, *, anchor: str, scores: str | None = None, name: str = "given"
) -> BroughtCandidates:
    """Candidates that a column already holds, as a retriever.

    >>> mine = candidates_from([{"q": "What slips?", "found": ["d1", "d7"]}], "found", anchor="q")
    >>> mine.name
    'given'

    Args:
        dataset: rows with an anchor and its candidates, best first (a `Dataset` or any iterable of mappings).
        column: a list of ids or of texts of the corpus per row, or one of them.
        anchor: the column of the anchors' texts.
        scores: a column of aligned scores, falling; without it the i-th candidate scores 1 / i.
        name: what the source is called in ``hard_negative_sources``.

    Several rows of one anchor (one row per candidate, say) are one list: by score where there are scores, otherwise
    in the order of the rows; what repeats counts where it comes first. An anchor that the dataset does not have gets
    no candidates. Candidates that the corpus does not have are left out and counted in a log line.
    """
    if not isinstance(dataset, Iterable) or isinstance(dataset, str | Mapping):
        raise InputError(
            f"candidates_from cannot read {dataset!r}, a {type(dataset).__name__}; pass a Dataset (one split of a "
            "DatasetDict) or a list of rows"
        )
    names = getattr(dataset, "column_names", None)
    for wanted, role in ((column, "candidates"), (anchor, "anchor"), (scores, "scores of the candidates")):
        if wanted is not None and names is not None:
            columns.require(wanted, names, role)
    given: dict[str, list[Given]] = {}
    for row in dataset:
        text, found = _row(row, anchor, column, scores)
        given.setdefault(normal_form(text), []).append(found)
    if not given:
        raise EmptyInputError("candidates_from was given no rows")
    several = [len(lists) for lists in given.values() if len(lists) > 1]
    if several:
        log.info(
            "%d anchors stand in several rows (%d in all): their candidates are joined", len(several), sum(several)
        )
    return BroughtCandidates(_write({text: _joined(lists) for text, lists in given.items()}), name)


def _joined(lists: list[Given]) -> Given:
    """The candidates of an anchor's rows as one list, best first, each once."""
    if len(lists) == 1:
        return lists[0]
    values = [value for own, _ in lists for value in own]
    marks = [mark for _, own in lists for mark in own or ()]
    if not marks:
        return list(dict.fromkeys(values)), None
    best: dict[str, float] = {}
    for i in sorted(range(len(values)), key=lambda i: -marks[i]):
        best.setdefault(values[i], marks[i])
    return list(best), list(best.values())


def _row(row: Mapping[str, Any], anchor: str, column: str, scores: str | None) -> tuple[str, Given]:
    for wanted, role in ((column, "candidates"), (anchor, "anchor"), (scores, "scores of the candidates")):
        if wanted is not None:
            columns.require(wanted, row, role)
    values = lists_of([row[column]], column).flat
    if scores is None:
        return texts_of([row[anchor]], anchor)[0], (values, None)
    marks = row[scores].tolist() if isinstance(row[scores], np.ndarray | np.generic) else row[scores]
    marks = [marks] if is_number(marks) and isinstance(row[column], str) else marks
    if not isinstance(marks, list | tuple) or not all(is_number(mark) for mark in marks):
        raise ColumnError(
            f"column {scores!r} holds {reprlib.repr(marks)}; expected a list of finite numbers, one per candidate in "
            f"{column!r}: remove such rows, or leave scores= out to score by rank"
        )
    if len(marks) != len(values):
        raise ColumnError(
            f"{len(values)} candidates in {column!r} but {len(marks)} scores in {scores!r} in one row; give one score "
            "per candidate, or leave scores= out to score by rank"
        )
    order = sorted(range(len(marks)), key=lambda i: -marks[i])
    return texts_of([row[anchor]], anchor)[0], ([values[i] for i in order], [float(marks[i]) for i in order])


def _write(given: dict[str, Given]) -> str:
    """Into the store, so that a transform carries a digest and no candidates."""
    from hfneg.base.files.strings import StringsWriter

    lists = [values for values, _ in given.values()]
    marks = Lists.of(
        ([1.0 / (i + 1) for i in range(len(v))] if m is None else m for v, m in given.values()), np.float32
    )
    hashes = hash_texts(given)
    flat = [value for values in lists for value in values]
    digest = store.digest_of(1, hashes, marks.indptr, marks.flat, hash_texts(flat))

    def fill(folder: Any) -> None:
        HashIndex.write(folder, "anchors", hashes, np.arange(len(hashes)))
        disk.save_array(folder / "indptr.npy", marks.indptr)
        disk.save_array(folder / "scores.npy", marks.flat)
        with StringsWriter(folder, "candidates") as writer:
            writer.append(flat)

    store.build("candidates", digest, fill)
    return digest


class BroughtCandidates:
    """A retriever over given lists; made by `candidates_from`."""

    def __init__(self, digest: str, name: str) -> None:
        self.digest, self.name = digest, name
        self.block = 4096
        self.exact = True
        self.scores = False

    def __repr__(self) -> str:
        return f"candidates_from(digest={self.digest[:12]!r}, name={self.name!r})"

    def open(self, corpus: Corpus) -> BroughtIndex:
        return BroughtIndex(self.digest, corpus)


class BroughtIndex:
    def __init__(self, digest: str, corpus: Corpus) -> None:
        from hfneg.base.files.strings import open_strings

        folder = store.require("candidates", digest)
        self._anchors = HashIndex.open(folder, "anchors")
        self._indptr: Ints = np.load(folder / "indptr.npy", mmap_mode="r")
        self._scores: Scores = np.load(folder / "scores.npy", mmap_mode="r")
        self._values = open_strings(folder, "candidates")
        self._corpus = corpus

    def search(self, queries: Sequence[str], k: int) -> tuple[Scores, Ints]:
        at = self._anchors.rows_of([normal_form(text) for text in queries])
        scores = np.full((len(at), k), -np.inf, dtype=np.float32)
        rows = np.full((len(at), k), -1, dtype=np.int64)
        missing = 0
        for i in np.flatnonzero(at >= 0):
            start, end = self._indptr[at[i]], self._indptr[at[i] + 1]
            values = self._values.slice(start, end - start).to_pylist()
            found = self._corpus.rows_of_ids(values)
            by_text = self._corpus.rows_of_texts(values)
            found = np.where(found >= 0, found, by_text)
            _, first = np.unique(found, return_index=True)
            kept = np.sort(first[found[first] >= 0])[:k]
            missing += int((found < 0).sum())
            rows[i, : len(kept)], scores[i, : len(kept)] = found[kept], self._scores[start:end][kept]
        if missing:
            log.warning("%d given candidates are not in the corpus and were left out", missing)
        return scores, rows
