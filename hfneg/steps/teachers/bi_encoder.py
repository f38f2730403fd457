"""`BiEncoderTeacher`: the similarity of vectors as teacher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from hfneg.base.memory import Halving
from hfneg.base.settings import check
from hfneg.errors import SettingError
from hfneg.models.held import TOO_LARGE
from hfneg.models.kinds import BARE, BI_ENCODER, MULTI_VECTOR, kind_of, refuse_but
from hfneg.models.weights import check_similarity, name_of
from hfneg.steps import papers
from hfneg.steps.teachers.base import Positions, Received, Scores
from hfneg.steps.teachers.model_teacher import ModelTeacher, is_kind

SETTINGS = "config_sentence_transformers.json"

Compare = Callable[[Any, Any, Positions, Positions], Scores]
"""(vectors of queries, of documents, places in these [m], in those [m]) -> float32 [m]."""

DOCUMENTS = 1024  # encoded at once; also pairs compared at once


@dataclass(frozen=True, repr=False)
class BiEncoderTeacher(ModelTeacher):
    """Scores by the similarity of two vectors, or by MaxSim of two lists of vectors (ColBERT).

    >>> BiEncoderTeacher("intfloat/e5-large-v2", query_prompt="query: ", document_prompt="passage: ")
    BiEncoderTeacher(model='intfloat/e5-large-v2', query_prompt='query: ', document_prompt='passage: ')

    Each distinct text is encoded once per call. Raw scores are the model's own similarity: cosine, inner product
    (both summed in float64), or (mean) MaxSim.

    Args:
        model: Hub id, folder, or a SentenceTransformer or MultiVectorEncoder (sentence-transformers 6) in memory.
        revision: of a Hub id.
        max_length: in tokens, per text. None: the model's own.
        batch_size: texts per forward pass. None: 32. Halved where so many do not fit into memory. Not part of the
            digest.
        dtype: "bfloat16", "float16", "float32"; None: as saved.
        scale: "cosine", "from_zero" or "raw". None: "cosine" where the model compares by cosine, else "raw".
        query_prompt, document_prompt: put before the texts. None: the model's own prompts.

    Raises SettingError: no such folder, no encoder, or a model of Euclidean or Manhattan similarity.
    """

    query_prompt: str | None = None
    document_prompt: str | None = None

    kinds = ("SentenceTransformer", MULTI_VECTOR)
    scales = ("cosine", "from_zero", "raw")
    cites = (papers.SENTENCE_BERT,)

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in ("query_prompt", "document_prompt"):
            given = getattr(self, setting)
            check(given is None or isinstance(given, str), self, setting, given, "a text or None")
        if self.held.name is None:
            refuse_but((BI_ENCODER, MULTI_VECTOR), self.model, None, "encoder of single texts")
        elif self.held.is_folder:
            self._check_saved()
        if self.held.name is None or self.held.is_folder:
            self._check_similarity()

    def _digested(self) -> list[Any]:
        return [*super()._digested(), self.query_prompt, self.document_prompt, self._similarity]

    @cached_property
    def resolved_scale(self) -> str:
        """Of a saved model by its configuration files; nothing is loaded."""
        return self.scale or ("cosine" if self._similarity == "cosine" else "raw")

    @property
    def _similarity(self) -> str:
        """cosine, dot, maxsim, meanmaxsim, or what is refused."""
        if self.held.name is None:
            return str(self.held.model.similarity_fn_name)
        name = str(self.held.saved(SETTINGS).get("similarity_fn_name") or "").lower()
        return name or ("maxsim" if self._is_multi_vector else "cosine")

    @property
    def _is_multi_vector(self) -> bool:
        if self.held.name is None:
            return is_kind(self.held.model, MULTI_VECTOR)
        maxsim = "maxsim" in str(self.held.saved(SETTINGS).get("similarity_fn_name") or "").lower()
        return maxsim or kind_of(self.held.name, self.held.revision) == MULTI_VECTOR

    def _check_saved(self) -> None:
        refuse_but((BI_ENCODER, MULTI_VECTOR, BARE), self.held.name, self.held.revision, "encoder of single texts")

    def _check_similarity(self) -> None:
        if not self._is_multi_vector:
            check_similarity(self._similarity, name_of(self.model))
        if self.scale == "cosine" and self._similarity != "cosine":
            raise SettingError(
                f"{self!r}: the model compares by {self._similarity}, not by cosine; leave scale out, or pass 'raw'"
            )

    def _load(self, source: str, **where: Any) -> Any:
        import sentence_transformers

        kind = getattr(sentence_transformers, MULTI_VECTOR if self._is_multi_vector else "SentenceTransformer", None)
        if kind is None:
            raise SettingError(
                f"the model {name_of(self.model)!r} gives several vectors per text, which needs {MULTI_VECTOR}: "
                "pip install -U 'sentence-transformers>=6'"
            )
        self._check_similarity()
        return kind(source, model_kwargs=self._model_kwargs, **where)

    def _score(self, anchors: list[str], documents: list[str], done: Received) -> None:
        model = self._loaded()
        queries, query_of = _distinct(anchors)
        texts, text_of = _distinct(documents)
        compare, fits = self._comparison(model), Halving(f"the model {name_of(self.model)!r}", TOO_LARGE)
        with self._ready(model):
            encoded = self._encode(model.encode_query, queries, self.query_prompt)
            for start, positions in _blocks(text_of, len(texts)):
                block = self._encode(model.encode_document, texts[start : start + DOCUMENTS], self.document_prompt)
                while len(positions):
                    some = positions[:DOCUMENTS]
                    sides = query_of[some], text_of[some] - start
                    scores = fits.run(partial(_first, compare, encoded, block, sides), len(some))
                    done(some[: len(scores)], scores)
                    positions = positions[len(scores) :]

    def _encode(self, encode: Callable[..., Any], texts: list[str], prompt: str | None) -> Any:
        """A float32 array [n, d], or a list of arrays [tokens, d]."""
        settings = {"prompt": prompt, "show_progress_bar": False, "convert_to_numpy": True}
        vectors = self.held.fits.run(lambda n: encode(texts, batch_size=n, **settings), self.batch_size or 32)
        return np.asarray(vectors, dtype=np.float32) if isinstance(vectors, np.ndarray) else vectors

    def _comparison(self, model: Any) -> Compare:
        if self._is_multi_vector:

            def compare(queries: Any, documents: Any, left: Positions, right: Positions) -> Scores:
                pairs = [queries[i] for i in left], [documents[i] for i in right]
                scores: Scores = model.similarity_pairwise(*pairs).float().cpu().numpy()
                return scores

            return compare
        return _cosine if self._similarity == "cosine" else _dot


def _first(compare: Compare, queries: Any, documents: Any, sides: tuple[Positions, Positions], n: int) -> Scores:
    """Of the first n pairs."""
    return compare(queries, documents, sides[0][:n], sides[1][:n])


def _dot(queries: Scores, documents: Scores, left: Positions, right: Positions) -> Scores:
    """float32 [m]: inner products, summed in float64."""
    products: Scores = np.einsum("ij,ij->i", queries[left], documents[right], dtype=np.float64).astype(np.float32)
    return products


def _cosine(queries: Scores, documents: Scores, left: Positions, right: Positions) -> Scores:
    """float32 [m]; 0 where a vector is zero."""
    lengths = [np.sqrt(np.einsum("ij,ij->i", v, v, dtype=np.float64)) for v in (queries, documents)]
    both = lengths[0][left] * lengths[1][right]
    products = np.einsum("ij,ij->i", queries[left], documents[right], dtype=np.float64)
    cosines: Scores = np.divide(products, both, out=products, where=both != 0).astype(np.float32)
    return cosines


def _distinct(texts: list[str]) -> tuple[list[str], Positions]:
    """The distinct texts in order of appearance, and for each text its place among them."""
    places: dict[str, int] = {}
    place = np.fromiter((places.setdefault(text, len(places)) for text in texts), dtype=np.int64, count=len(texts))
    return list(places), place


def _blocks(text_of: Positions, n: int) -> Iterator[tuple[int, Positions]]:
    """(first document of the block, positions of its pairs)."""
    order = np.argsort(text_of, kind="stable")
    for start in range(0, n, DOCUMENTS):
        low, high = np.searchsorted(text_of[order], [start, start + DOCUMENTS])
        yield start, order[low:high]
