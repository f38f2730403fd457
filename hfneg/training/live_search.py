"""How much is encoded anew at a refresh: everything, the queries only, or the documents of the last lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from hfneg.base.arrays import Ints
from hfneg.data.corpus import Corpus
from hfneg.models.encoder import Encoder
from hfneg.steps.retrievers import Dense

Mode = Literal["all", "queries"]


class FrozenDocuments:
    """Documents as an earlier checkpoint encoded them, queries as the model encodes them now.

    Source: Zhan et al., ADORE, SIGIR 2021, section 4.2: the document vectors, and with them the index, stay fixed.
    """

    def __init__(self, frozen: Dense, model: Any, corpus: Corpus, name: str) -> None:
        self.name = name
        self._index = frozen.open(corpus)
        self._encoder = Encoder(model, query_prompt=frozen.query_prompt, max_seq_length=frozen.max_seq_length)

    def search(self, texts: Sequence[str], k: int) -> tuple[Any, Any]:
        return self._index.search(self._encoder.encode(list(texts), "query"), k)

    def score(self, texts: Sequence[str], rows: Ints) -> Any:
        return self._index.score(self._encoder.encode(list(texts), "query"), rows)


class PoolOnly:
    """Exact search among some documents of the corpus, encoded now.

    Scores are float32 inner products; ties go to the lower row.
    """

    def __init__(self, settings: Dense, model: Any, corpus: Corpus, rows: Ints, name: str) -> None:
        self.name = name
        self._rows = np.unique(rows)
        self._encoder = Encoder(
            model,
            query_prompt=settings.query_prompt,
            document_prompt=settings.document_prompt,
            max_seq_length=settings.max_seq_length,
            batch_size=settings.batch_size,
        )
        self._vectors = self._encoder.encode(corpus.texts(self._rows).to_pylist(), "document")

    def search(self, texts: Sequence[str], k: int) -> tuple[Any, Any]:
        products = self._encoder.encode(list(texts), "query") @ self._vectors.T
        order = np.argsort(-products, axis=1, kind="stable")[:, :k]
        scores = np.full((len(texts), k), -np.inf, dtype=np.float32)
        rows = np.full((len(texts), k), -1, dtype=np.int64)
        scores[:, : order.shape[1]] = np.take_along_axis(products, order, axis=1)
        rows[:, : order.shape[1]] = self._rows[order]
        return scores, rows

    def score(self, texts: Sequence[str], rows: Ints) -> Any:
        queries = self._encoder.encode(list(texts), "query")
        at = np.clip(np.searchsorted(self._rows, rows), 0, len(self._rows) - 1)
        scores = np.einsum("nd,nmd->nm", queries, self._vectors[at]).astype(np.float32)
        return np.where(self._rows[at] == rows, scores, np.float32(np.nan))
