"""What a retriever is: settings (`Retriever`), and those settings over one corpus (`Index`)."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Ints
from hfneg.data.corpus import Corpus
from hfneg.steps.step import Step

Scores = npt.NDArray[np.float32]


@runtime_checkable
class Search(Protocol):
    """A user's own retriever needs this one method.

    ``search(texts, k)`` returns ``(scores, rows)``, both of shape [len(texts), k]: float scores, best
    first, and the rows of the corpus (``corpus.rows_of_ids(ids)`` turns ids into rows). Where there are
    fewer than k, fill up with row -1; a row that comes again counts where it came first. With an optional
    ``score(texts, rows) -> scores`` (rows of shape [len(texts), m], -1 where there is none) margins below
    the positive become possible; with an optional ``name`` the source bears that name.
    """

    def search(self, texts: list[str], k: int) -> tuple[Any, Any]: ...


class Index(Protocol):
    """One retriever over one corpus.

    Results are in total order: by score downwards, then by row upwards, so that they depend on neither
    batch nor block nor thread.
    """

    def search(self, queries: Any, k: int) -> tuple[Scores, Ints]:
        """float32 [n, k] and int64 [n, k]; score -inf and row -1 behind the last document found."""
        ...

    def score(self, queries: Any, rows: Ints) -> Scores:
        """float32 [n, m], the value `search` gives for the same pair; NaN where the row is -1."""
        ...


class Retriever(Step):
    """Settings of a retriever; ``open(corpus)`` gives the index, building it in the store if needed."""

    name: ClassVar[str] = ""
    """What its documents' source is called in `hard_negative_sources`."""

    exact: ClassVar[bool] = True
    """Whether results are in the promised total order (approximate indexes are not)."""

    bi_encoder: ClassVar[bool] = False
    """Whether its scores are those of a bi-encoder, which training makes anew."""

    scores: ClassVar[bool] = True
    """Whether its index has `score`, so that candidates can be compared with the positive."""

    block: ClassVar[int] = 4096
    """How many anchors `mine` hands over at once; a dense search wants many, to read its vectors once."""

    def open(self, corpus: Corpus) -> Search:
        raise NotImplementedError
