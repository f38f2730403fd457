"""`Dense`: retrieval by the vectors of a SentenceTransformer, exact unless an index string says otherwise."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hfneg import dense_plain, progress
from hfneg.corpus import Corpus
from hfneg.encoding import Vectors32, refuse_forked_child
from hfneg.errors import RetrieverError
from hfneg.model_step import ModelStep
from hfneg.models import name_of
from hfneg.retrievers.base import Retriever, Rows, Scores
from hfneg.step import check
from hfneg.vectors import Source, Vectors, by_part

log = logging.getLogger(__name__)

PAIRS_AT_ONCE = 4_000_000  # in `score`


@dataclass(frozen=True)
class Dense(ModelStep, Retriever):
    """Documents by the inner product of vectors (Karpukhin et al. 2020, Dense Passage Retrieval).

    >>> Dense("sentence-transformers/all-MiniLM-L6-v2")
    Dense(model='sentence-transformers/all-MiniLM-L6-v2')

    Args:
        model: Hub id or local folder of a SentenceTransformer; or one in memory (runs in this process
            only); or an object with ``id: str`` and ``encode(list[str]) -> [n, d]``. An ``encode(texts, role)`` is told
            "query" or "document"; an object may have `encode_query` and `encode_document` instead. Prompts and batch
            size go to those of its methods that name ``prompt`` and ``batch_size``; else a prompt is put before the
            texts.
        revision: of a Hub id.
        query_prompt, document_prompt: put before the texts. None: the model's own prompts.
        max_seq_length: in tokens. None: the model's own.
        index: None searches exactly. A `faiss.index_factory` string ("IVF1024,Flat", "HNSW32") searches
            approximately; it pays from some ten thousand anchors on.
        search_parameters: of that index, in FAISS's words: "nprobe=32", "efSearch=200".
        batch_size: texts per forward pass. Changes vectors by about 1e-7, and never those already stored.

    Scores are cosine similarities or inner products, as the model says: float64 sums rounded to float32.
    Vectors are stored by the model's weights, so a changed checkpoint is encoded anew, whatever its name.

    Raises SettingError: a parameter that makes no sense, no such folder, or a model of Euclidean similarity.
    """

    name: ClassVar[str] = "dense"
    block: ClassVar[int] = 250_000

    model: Any
    revision: str | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    max_seq_length: int | None = None
    index: str | None = None
    search_parameters: str | None = None
    batch_size: int = 32

    def __post_init__(self) -> None:
        for setting in ("batch_size", "max_seq_length"):
            given = getattr(self, setting)
            whole = isinstance(given, int) and not isinstance(given, bool) and given >= 1
            optional = given is None and setting != "batch_size"
            check(whole or optional, self, setting, given, "a whole number from 1 up")
        check(
            self.index is not None or self.search_parameters is None,
            self,
            "search_parameters",
            self.search_parameters,
            "None unless index names an approximate index",
        )
        self._check_model()

    def __repr__(self) -> str:
        settings = {
            f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default
        }
        if not isinstance(self.model, str):
            settings["model"] = f"{name_of(self.model)}@{self.encoder.digest[:12]}"
        return f"Dense({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether results are in the promised total order; False with an `index`."""
        return self.index is None

    def _encoder_settings(self) -> dict[str, Any]:
        names = ("revision", "query_prompt", "document_prompt", "max_seq_length", "batch_size")
        return {name: getattr(self, name) for name in names}

    def open(self, corpus: Corpus) -> DenseIndex:
        """The index over `corpus`; nothing is encoded before it is needed."""
        if self.index is None:
            return DenseIndex(self, corpus)
        from hfneg.retrievers.dense_faiss import ApproximateIndex

        return ApproximateIndex(self, corpus)


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

    def query_vectors(self, anchors: Source) -> Vectors:
        """The stored vectors of all anchors."""
        if anchors.digest not in self._query_vectors:
            self._query_vectors[anchors.digest] = Vectors(anchors, self.encoder, "query")
        return self._query_vectors[anchors.digest]

    def queries(self, anchors: Source, numbers: Sequence[int] | Rows) -> Vectors32:
        """float32 [len(numbers), d]: what `search` and `score` take, from the store."""
        return self.query_vectors(anchors).rows(numbers)

    def search(self, queries: Vectors32 | Sequence[str], k: int) -> tuple[Scores, Rows]:
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

    def _search(self, queries: Vectors32, k: int) -> tuple[Scores, Rows]:
        self.vectors.build()
        if dense_plain.ALLOWANCE.takes(queries.size * len(self.vectors)):
            found = dense_plain.search(queries, self._blocks(len(queries)), k)
            if found is not None:
                return found
        from hfneg import dense_kernels

        return dense_kernels.search(queries, self._blocks(len(queries)), k)

    def _blocks(self, queries: int) -> Iterator[tuple[int, Vectors32]]:
        """(first row, vectors) part by part; a part that was searched is its share of the queries done."""
        for i in range(self.vectors.n_parts):
            yield self.vectors.bounds(i)[0], self.vectors.part(i)
            progress.advance(queries / self.vectors.n_parts)

    def score(self, queries: Vectors32 | Sequence[str], rows: Rows) -> Scores:
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

    def _score(self, queries: Vectors32, rows: Rows) -> Scores:
        """Part by part, so that each part is mapped once and nothing is gathered."""
        flat = rows.reshape(-1)
        scores = np.full(len(flat), np.nan, dtype=np.float32)
        for i, pairs in by_part(flat, self.vectors.part_rows):
            out = np.empty(len(pairs), dtype=np.float32)
            inside = flat[pairs] - self.vectors.bounds(i)[0]
            dense_plain.scored(queries, self.vectors.part(i), pairs // rows.shape[1], inside, out)
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
