"""`Dense`: retrieval by the vectors of a SentenceTransformer, exact unless an index string says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hfneg.base.settings import check
from hfneg.data.corpus import Corpus
from hfneg.steps import papers
from hfneg.steps.model_step import WithDocuments, WithQueries
from hfneg.steps.retrievers.base import Retriever
from hfneg.steps.retrievers.dense.exact import DenseIndex


@dataclass(frozen=True, repr=False, kw_only=True)
class Dense(WithDocuments, WithQueries, Retriever):
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
    bi_encoder: ClassVar[bool] = True
    cites = (papers.DPR, papers.SENTENCE_BERT)
    block: ClassVar[int] = 250_000

    index: str | None = None
    search_parameters: str | None = None

    def __post_init__(self) -> None:
        check(
            self.index is not None or self.search_parameters is None,
            self,
            "search_parameters",
            self.search_parameters,
            "None unless index names an approximate index",
        )
        self._check_model()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.settings(), **super().__getstate__()}

    @property
    def exact(self) -> bool:  # type: ignore[override]
        """Whether results are in the promised total order; False with an `index`."""
        return self.index is None

    def open(self, corpus: Corpus) -> DenseIndex:
        """The index over `corpus`; nothing is encoded before it is needed."""
        if self.index is None:
            return DenseIndex(self, corpus)
        from hfneg.steps.retrievers.dense.approximate import ApproximateIndex

        return ApproximateIndex(self, corpus)
