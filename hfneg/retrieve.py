"""`Retrieve`: candidates for anchors, from one retriever or several."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hfneg import columns
from hfneg.anchors import Anchors
from hfneg.batches import Lists, offsets
from hfneg.candidates import Candidates, is_positive
from hfneg.errors import NonFiniteError, RetrieverError, SettingError
from hfneg.fusion import RRF, Fusion
from hfneg.pool import SCORE
from hfneg.transform import Transform, unique

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

CHUNK = 4096
"""Anchors whose results are looked through at once."""


class Retrieve(Transform):
    """Add the top-k candidates of each anchor: ``pairs.map(Retrieve(anchors, BM25(), k=100), batched=True)``.

    Args:
        anchors: what the pairs are, and the corpus.
        retriever: one retriever, or a list of them with different names. A user's own needs only
            ``search(texts, k) -> (scores, rows)``, see `hfneg.retrievers.Search`.
        k: documents per source, the anchor's known positives not counted.
        fusion: how several lists become one; `RRF` unless said otherwise.
        remine: replace columns that an earlier mining left.

    Adds the ``candidate_*`` columns, which `Select` reads. Search itself is total-ordered (score
    downwards, then row upwards), so the same candidates come out whatever the batch size.
    """

    def __init__(
        self,
        anchors: Anchors,
        retriever: Any,
        *,
        k: int = 100,
        fusion: Fusion | None = None,
        remine: bool = False,
    ) -> None:
        self.anchors = anchors
        if not isinstance(anchors, Anchors):
            raise SettingError(
                f"Retrieve(anchors=...) is a {type(anchors).__name__}; expected Anchors(pairs, corpus, anchor=..., "
                "positive=...)"
            )
        self.retrievers = tuple(retriever) if isinstance(retriever, list | tuple) else (retriever,)
        self.names = source_names(self.retrievers)
        self.k = _checked_k(k, anchors)
        self.fusion = RRF() if fusion is None else fusion
        if not isinstance(self.fusion, Fusion):
            raise SettingError(f"Retrieve(fusion={fusion!r}): fusion must be a fusion such as RRF()")
        self.fusion.check_sources(self.names)
        self.remine = remine

    def __repr__(self) -> str:
        return f"Retrieve({list(self.retrievers)!r}, k={self.k}, fusion={self.fusion!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "indexes"}

    @property
    def needs(self) -> dict[str, str]:
        return {self.anchors.anchor: "anchor"}

    @property
    def adds(self) -> tuple[str, ...]:
        several = (columns.CANDIDATE_SOURCE_SCORES, columns.CANDIDATE_SOURCE_RANKS) if len(self.names) > 1 else ()
        return (
            columns.CANDIDATE_ROWS,
            columns.CANDIDATE_SCORES,
            columns.CANDIDATE_SOURCES,
            columns.CANDIDATE_SOURCE_NAMES,
            columns.CANDIDATE_POSITIVE_SCORES,
            *several,
        )

    @cached_property
    def indexes(self) -> tuple[Any, ...]:
        """Each retriever over the corpus; opened at first use, once per process."""
        corpus = self.anchors.corpus
        return tuple(r.open(corpus) if hasattr(r, "open") else r for r in self.retrievers)

    def scores_positives(self, position: int) -> bool:
        """Whether a source can score any document it is asked about (needed for margins)."""
        retriever = self.retrievers[position]
        return bool(getattr(retriever, "scores", hasattr(retriever, "score")))

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        _, numbers, place = unique(self.anchors.numbers(batch))
        found = self.run(numbers).columns(self.anchors.positives(numbers))
        return {name: lists.take(place) for name, lists in found.items()}

    # The work, on numbers of anchors.

    def run(self, numbers: Rows) -> Candidates:
        """Candidates of the anchors `numbers`."""
        return self.fuse(numbers, [self.search(i, numbers) for i in range(len(self.retrievers))])

    def search(self, position: int, numbers: Rows) -> SourceHits:
        """One source's list for each anchor: its k best that are no known positive, positives left in."""
        index, name = self.indexes[position], self.names[position]
        k = min(self.fusion.quota(name) or self.k, self.k)
        searcher = _Searcher(index, name, self.anchors, k)
        return searcher.hits(numbers)

    def fuse(self, numbers: Rows, found: Sequence[SourceHits]) -> Candidates:
        """One list per anchor from the sources' lists, in fused order."""
        n_sources, wide = len(found), len(self.anchors.corpus)
        positives = self.anchors.positives(numbers)
        keys = [hits.lists.owners * wide + hits.lists.flat for hits in found]
        documents = np.unique(np.concatenate(keys))  # by owner, then by row
        owners, rows = np.divmod(documents, wide)
        ranks = np.zeros((len(documents), n_sources), dtype=np.int64)
        scores = np.full((len(documents), n_sources), np.nan, dtype=np.float32)
        for i, hits in enumerate(found):
            at = np.searchsorted(documents, keys[i])
            ranks[at, i] = hits.ranks
            scores[at, i] = hits.scores
        if n_sources == 1:
            fused = scores[:, 0]
            positive_scores = np.repeat(found[0].positive_scores[:, None], 2, axis=1)
        else:
            fused = self.fusion.fuse(self.names, owners, ranks, scores.astype(np.float64)).astype(np.float32)
            fused_positives = _look_up(documents, fused, positives.owners * wide + positives.flat)
            positive_scores = np.stack([fused_positives, *(hits.positive_scores for hits in found)], axis=1)
        order = np.lexsort((rows, -fused, owners)) if n_sources > 1 else np.lexsort((ranks[:, 0], owners))
        return Candidates(
            names=self.names,
            numbers=numbers,
            indptr=np.searchsorted(owners, np.arange(len(numbers) + 1)).astype(np.int64),
            rows=rows[order],
            scores=fused[order],
            sources=((ranks > 0) @ (1 << np.arange(n_sources))).astype(np.uint8)[order],
            source_scores=scores[order],
            source_ranks=ranks[order].astype(np.int32),
            positive_scores=positive_scores,
        )


@dataclass(frozen=True)
class SourceHits:
    """One source's lists, best first, and its scores of the anchors' known positives (NaN: cannot score)."""

    lists: Lists  # rows of the corpus per anchor
    scores: Floats  # aligned with lists.flat
    positive_scores: Floats  # aligned with Anchors.positives(numbers).flat

    @property
    def ranks(self) -> Rows:
        return np.arange(len(self.scores)) - np.repeat(self.lists.indptr[:-1], self.lists.lengths) + 1


class _Searcher:
    """One index asked about anchors: widened for each by its known positives, checked, cut."""

    def __init__(self, index: Any, name: str, anchors: Anchors, k: int) -> None:
        self.index, self.name, self.anchors, self.k = index, name, anchors, k

    def hits(self, numbers: Rows) -> SourceHits:
        """In groups of like width, so that one anchor with 300 positives does not widen all others."""
        positives = self.anchors.positives(numbers)
        extra = 1 << np.ceil(np.log2(np.maximum(positives.lengths, 1))).astype(np.int64)
        found: list[tuple[Rows, Lists, Floats]] = []
        positive_scores = np.full(len(positives.flat), np.nan, dtype=np.float32)
        for width in np.unique(extra):
            group = np.flatnonzero(extra == width)
            queries = self._queries(numbers[group])
            found.extend(self._search(queries, numbers, group, int(width)))
            if hasattr(self.index, "score"):
                own = positives.take(group)
                flat = np.repeat(positives.indptr[group] - own.indptr[:-1], own.lengths) + np.arange(len(own.flat))
                positive_scores[flat] = self._score(queries, numbers[group], own)
        return _assembled(found, len(numbers), positive_scores)

    def _queries(self, numbers: Rows) -> Any:
        if hasattr(self.index, "queries"):
            return self.index.queries(self.anchors, numbers)
        return self.anchors.texts(numbers).to_pylist()

    def _search(self, queries: Any, numbers: Rows, group: Rows, extra: int) -> Iterator[tuple[Rows, Lists, Floats]]:
        """(positions, rows, scores) of some anchors at a time: up to the k-th that is no known positive."""
        k = min(self.k + extra, len(self.anchors.corpus))
        scores, rows = self._checked(self.index.search(queries, k), numbers[group], k)
        for start in range(0, len(group), CHUNK):
            some = slice(start, start + CHUNK)
            kept = self._kept(numbers[group[some]], rows[some])
            lists = Lists(offsets(kept.sum(axis=1)), rows[some][kept])
            yield group[some], lists, scores[some][kept]

    def _kept(self, numbers: Rows, rows: Rows) -> npt.NDArray[np.bool_]:
        """bool, shape of `rows`: found here first, and not behind the k-th document that is no known positive."""
        found = (rows >= 0) & ~_repeats(rows)
        owners = np.repeat(np.arange(len(numbers)), rows.shape[1])
        positive = is_positive(self.anchors, numbers, owners, rows.reshape(-1)).reshape(rows.shape)
        wanted = found & ~positive
        kept: npt.NDArray[np.bool_] = found & (np.cumsum(wanted, axis=1) - wanted < self.k)
        return kept

    def _score(self, queries: Any, numbers: Rows, own: Lists) -> Floats:
        """The scores of the anchors' known positives, flat."""
        wide = np.full((len(own), int(own.lengths.max())), -1, dtype=np.int64)
        filled = np.arange(wide.shape[1]) < own.lengths[:, None]
        wide[filled] = own.flat
        answer = self.index.score(queries, wide)
        scores = _numbers(answer)
        if scores is None or scores.shape != wide.shape:
            given = reprlib.repr(answer) if scores is None else f"scores of shape {scores.shape}"
            raise RetrieverError(
                f"{self.name}.score(texts, rows) for rows of shape {wide.shape} returned {given}; it must return one "
                "score per row, of the same shape"
            )
        scores = scores.astype(np.float32)
        self._refuse_non_finite(scores, wide, numbers)
        values: Floats = scores[filled]
        return values

    def _checked(self, answer: Any, numbers: Rows, k: int) -> tuple[Floats, Rows]:
        """The contract of `search`, held against foreign retrievers as well as our own."""
        parts = [_numbers(part) for part in answer] if isinstance(answer, tuple | list) else []
        arrays = [part for part in parts if part is not None]
        if len(parts) != 2 or len(arrays) != 2:
            raise RetrieverError(
                f"{self.name}.search(texts, k={k}) returned {reprlib.repr(answer)}, a {type(answer).__name__}; it "
                f"must return (scores, rows), two arrays of numbers of shape [{len(numbers)}, {k}] "
                "(corpus.rows_of_ids turns ids into rows)"
            )
        scores, rows = arrays
        if rows.shape != (len(numbers), k) or scores.shape != rows.shape or rows.dtype.kind not in "iu":
            raise RetrieverError(
                f"{self.name}.search(texts, k={k}) for {len(numbers)} texts returned scores of shape {scores.shape} and "
                f"rows of shape {rows.shape} ({rows.dtype}); both must be [{len(numbers)}, {k}], rows whole numbers "
                "(fill up with row -1 where there are fewer)"
            )
        rows, scores = rows.astype(np.int64, copy=False), scores.astype(np.float32, copy=False)
        outside = rows[(rows < -1) | (rows >= len(self.anchors.corpus))]
        if len(outside):
            raise RetrieverError(
                f"{self.name}.search returned row {outside[0]}; rows are 0 .. {len(self.anchors.corpus) - 1} "
                "(corpus.rows_of_ids turns ids into rows), or -1"
            )
        self._refuse_non_finite(scores, rows, numbers)
        falling = (scores[:, 1:] <= scores[:, :-1]) | (rows[:, 1:] < 0)
        if not falling.all():
            i = int(np.flatnonzero(~falling.all(axis=1))[0])
            raise RetrieverError(
                f"{self.name}.search returned scores that are not best first for {self._anchor(numbers[i])}; sort them"
            )
        return scores, rows

    def _refuse_non_finite(self, scores: Floats, rows: Rows, numbers: Rows) -> None:
        bad = ~np.isfinite(scores) & (rows >= 0)
        if bad.any():
            i, j = map(int, np.argwhere(bad)[0])
            document = self.anchors.corpus.ids([rows[i, j]])[0]
            raise NonFiniteError(
                f"{self.name} scored document {document!r} as {scores[i, j]} for {self._anchor(numbers[i])}; a score "
                "must be a finite number: look at the model that made it"
            )

    def _anchor(self, number: int) -> str:
        return f"anchor {self.anchors.texts([number])[0].as_py()[:60]!r}"


def _assembled(found: list[tuple[Rows, Lists, Floats]], n: int, positive_scores: Floats) -> SourceHits:
    """One list per anchor, in the anchors' order, from chunks that came in another."""
    lengths = np.zeros(n, dtype=np.int64)
    for positions, lists, _ in found:
        lengths[positions] = lists.lengths
    indptr = offsets(lengths)
    rows, scores = np.empty(indptr[-1], dtype=np.int64), np.empty(indptr[-1], dtype=np.float32)
    for positions, lists, values in found:
        at = np.repeat(indptr[positions] - lists.indptr[:-1], lists.lengths) + np.arange(len(lists.flat))
        rows[at], scores[at] = lists.flat, values
    return SourceHits(Lists(indptr, rows), scores, positive_scores)


def _repeats(rows: Rows) -> npt.NDArray[np.bool_]:
    """bool, shape of `rows`: the row stands in the same list before."""
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    again = np.zeros(rows.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
    return again


def _look_up(documents: Rows, scores: Floats, wanted: Rows) -> Floats:
    """The scores of the wanted documents, 0 where a document is in no list."""
    if not len(documents):
        return np.zeros(len(wanted), dtype=np.float32)
    at = np.minimum(np.searchsorted(documents, wanted), len(documents) - 1)
    found: Floats = np.where(documents[at] == wanted, scores[at], np.float32(0.0))
    return found


def _numbers(given: Any) -> npt.NDArray[Any] | None:
    """An array of whole or floating numbers, or None where it cannot be one."""
    try:
        array = np.asarray(given)
        return array if array.dtype.kind in "iuf" else array.astype(np.float64)
    except (TypeError, ValueError):  # ragged lists, None, texts
        return None


def source_names(retrievers: Sequence[Any]) -> tuple[str, ...]:
    """What the sources are called; SettingError where that does not tell them apart, or one is no retriever."""
    if not 1 <= len(retrievers) <= 8:
        raise SettingError(f"Retrieve takes one to eight retrievers; {len(retrievers)} were given")
    for retriever in retrievers:
        if isinstance(retriever, type) or not (hasattr(retriever, "search") or hasattr(retriever, "open")):
            raise SettingError(
                f"{retriever!r} is no retriever; give one such as BM25(), or an object with a method search(texts, k) "
                "-> (scores, rows)"
            )
    names = tuple(str(getattr(r, "name", "") or type(r).__name__.lower()) for r in retrievers)
    for name in names:
        if name == SCORE or not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
            raise SettingError(
                f"a retriever is called {name!r}; a name is made of letters, digits, '_', '-' and '.', and is not "
                "'score', which means the score that ranks"
            )
        if names.count(name) > 1:
            raise SettingError(f"two retrievers are both called {name!r}; give one of them another name=")
    return names


def _checked_k(k: int, anchors: Anchors) -> int:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise SettingError(f"Retrieve(k={k!r}): k must be a whole number of at least 1")
    if k > len(anchors.corpus):
        raise SettingError(
            f"Retrieve(k={k}): the corpus has only {len(anchors.corpus)} documents; ask for at most that many"
        )
    return k
