"""`Dense`: retrieval by the vectors of a SentenceTransformer, exact unless an index string says otherwise."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from hfneg.base.settings import check
from hfneg.data.corpus import Corpus
from hfneg.models.weights import name_of
from hfneg.steps import papers
from hfneg.steps.model_step import ModelStep
from hfneg.steps.retrievers.base import Retriever
from hfneg.steps.retrievers.dense.exact import DenseIndex


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
    bi_encoder: ClassVar[bool] = True
    cites = (papers.DPR, papers.SENTENCE_BERT)
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
        from hfneg.steps.retrievers.dense.approximate import ApproximateIndex

        return ApproximateIndex(self, corpus)
