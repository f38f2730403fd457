"""Exact dense search over the stored vectors of a corpus."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hfneg.base import progress
from hfneg.base.arrays import Ints
from hfneg.data.corpus import Corpus
from hfneg.errors import RetrieverError
from hfneg.models import exact_search_plain
from hfneg.models.encoder import Vectors32, refuse_forked_child
from hfneg.models.vectors import TextSource, Vectors, by_part
from hfneg.steps.retrievers.base import Scores

if TYPE_CHECKING:
    from hfneg.steps.retrievers.dense import Dense

log = logging.getLogger(__name__)

PAIRS_AT_ONCE = 4_000_000  # in `score`


class DenseIndex:
    """Exact inner product search over the stored vectors of a corpus.

    Attributes:
        vectors: the documents' `Vectors`, whose parts can be built one by one, in several processes.
    """

    def __init__(self, settings: Dense, corpus: Corpus) -> None:
        self.settings = settings
        self.encoder = settings.encoder
        self.vectors = Vectors(corpus, self.encoder, "document")
        self._query_digest = self.encoder.role_digest("query")
        self._query_vectors: dict[str, Vectors] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.settings!r}, {self.vectors!r})"

    def query_vectors(self, anchors: TextSource) -> Vectors:
        """The stored vectors of all anchors."""
        if anchors.digest not in self._query_vectors:
            self._query_vectors[anchors.digest] = Vectors(anchors, self.encoder, "query")
        return self._query_vectors[anchors.digest]

    def queries(self, anchors: TextSource, numbers: Sequence[int] | Ints) -> Vectors32:
        """float32 [len(numbers), d]: what `search` and `score` take, from the store."""
        return self.query_vectors(anchors).rows(numbers)

    def search(self, queries: Vectors32 | Sequence[str], k: int) -> tuple[Scores, Ints]:
        """float32 [n, k] and int64 [n, k], by (-score, row); score -inf and row -1 behind the last document.

        `queries` are vectors [n, d], or texts, which are encoded and not stored. Encodes the documents
        first where that has not been done. Equal in every bit for any number of queries and threads.

        Raises ProcessError in a forked child.
        """
        refuse_forked_child("search vectors")
        vectors = self._as_vectors(queries)
        if k < 1 or not len(vectors):
            return np.empty((len(vectors), max(k, 0)), np.float32), np.empty((len(vectors), max(k, 0)), np.int64)
        return self._search(vectors, k)

    def _search(self, queries: Vectors32, k: int) -> tuple[Scores, Ints]:
        self.vectors.build()
        if exact_search_plain.ALLOWANCE.takes(queries.size * len(self.vectors)):
            found = exact_search_plain.search(queries, self._blocks(len(queries)), k)
            if found is not None:
                return found
        from hfneg.models import exact_search

        return exact_search.search(queries, self._blocks(len(queries)), k)

    def _blocks(self, queries: int) -> Iterator[tuple[int, Vectors32]]:
        """(first row, vectors) part by part; a part that was searched is its share of the queries done."""
        for i in range(self.vectors.n_parts):
            yield self.vectors.bounds(i)[0], self.vectors.part(i)
            progress.advance(queries / self.vectors.n_parts)

    def score(self, queries: Vectors32 | Sequence[str], rows: Ints) -> Scores:
        """float32 [n, m], the bits that `search` gives for the same pair; NaN where the row is -1.

        Encodes only the parts that hold these rows. Raises RetrieverError for a row behind the last.
        """
        refuse_forked_child("score vectors")
        vectors = self._as_vectors(queries)
        wanted = np.asarray(rows, dtype=np.int64)
        if wanted.size and wanted.max() >= len(self.vectors):
            raise RetrieverError(f"asked for the score of row {wanted.max()}; the corpus has {len(self.vectors)} rows")
        scores = np.full(wanted.shape, np.nan, dtype=np.float32)
        step = max(1, PAIRS_AT_ONCE // max(1, wanted.shape[1]))
        for at in range(0, len(wanted), step):
            some = slice(at, at + step)
            scores[some] = self._score(vectors[some], wanted[some])
        return scores

    def _score(self, queries: Vectors32, rows: Ints) -> Scores:
        """Part by part, so that each part is mapped once and nothing is gathered."""
        flat = rows.reshape(-1)
        scores = np.full(len(flat), np.nan, dtype=np.float32)
        for i, pairs in by_part(flat, self.vectors.part_rows):
            out = np.empty(len(pairs), dtype=np.float32)
            inside = flat[pairs] - self.vectors.bounds(i)[0]
            exact_search_plain.scored(queries, self.vectors.part(i), pairs // rows.shape[1], inside, out)
            scores[pairs] = out
        return scores.reshape(rows.shape)

    def _as_vectors(self, queries: Vectors32 | Sequence[str]) -> Vectors32:
        if not isinstance(queries, np.ndarray) or queries.dtype.kind in "OUT":
            return self.encoder.encode(list(queries), "query", expected=self._query_digest)
        if len(queries) and queries.shape != (len(queries), self.vectors.dimensions):
            raise RetrieverError(
                f"queries of shape {queries.shape} cannot be compared with documents of {self.vectors.dimensions} "
                "dimensions"
            )
        return np.ascontiguousarray(queries, dtype=np.float32)

    def warn_if_larger_than_memory(self) -> bool:
        """Log a warning, and return True, where the vectors exceed this machine's RAM.

        `.map` reads all vectors once per batch; `hfneg.mine` once per 250,000 anchors.
        """
        if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
            return False
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if self.vectors.nbytes <= memory:
            return False
        log.warning(
            "the vectors of %d documents are %.1f GB and this machine has %.1f GB of memory: .map reads them from disk "
            "once per batch; hfneg.mine reads them once per %d anchors",
            len(self.vectors), self.vectors.nbytes / 1e9, memory / 1e9, self.settings.block,
        )  # fmt: skip
        return True
