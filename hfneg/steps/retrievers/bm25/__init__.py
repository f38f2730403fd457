"""BM25: exact lexical search over mapped postings.

Scores are bit-equal to bm25s (Xing Han Lù, "BM25S: Orders of magnitude faster lexical search via eager
sparse scoring", 2024) for the five methods of Kamphuis, de Vries, Boytsov and Lin, "Which BM25 do you
mean?" (ECIR 2020): its own formulas weigh the postings, and sums run in its order, in float32. Only
documents that share a term with the query are found, ties are broken by row.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from hfneg.base import store
from hfneg.base.arrays import Ints
from hfneg.base.files import checksums
from hfneg.base.files.checksums import Fault
from hfneg.base.hashing import HashIndex
from hfneg.base.settings import check, check_choice
from hfneg.data.corpus import Corpus
from hfneg.errors import DamagedError, SettingError, StoreError, near_miss
from hfneg.steps import papers
from hfneg.steps.retrievers.base import Retriever, Scores
from hfneg.steps.retrievers.bm25 import plain
from hfneg.steps.retrievers.bm25.methods import METHODS, SHIFTED, SPACELESS

FORMAT = 1  # raise it when the files' layout or meaning changes


@dataclass(frozen=True)
class BM25(Retriever):
    """Okapi BM25 (Robertson and Walker, SIGIR 1994) in one of five variants.

    ``k1`` (how soon repeats of a term stop to count), ``b`` (how much long documents are punished) and
    ``method`` are those of bm25s; ``delta`` counts for "bm25l" and "bm25+" only. The defaults are
    Lucene's formula with k1 = 1.2.

    ``language`` names a Snowball stemmer; bm25s's stop words of that language are left out (languages
    without a list are only stemmed). ``language=None``: every word as it is. Text in Chinese, Japanese, Korean,
    Thai, Lao, Khmer or Burmese is cut into pairs of characters whatever the language, also between other words.
    ``tokenizer`` names any fast Hugging Face tokenizer (or its folder), whose pieces are then the terms, as they
    are: ``language`` is not used.

    Raises SettingError for a value outside its range.
    """

    VERSION: ClassVar[int] = 2  # words of one letter, and bigrams
    name: ClassVar[str] = "bm25"
    cites = (papers.BM25, papers.BM25S)

    k1: float = 1.2
    b: float = 0.75
    method: str = "lucene"
    delta: float = 0.5
    language: str | None = "english"
    tokenizer: str | None = None

    def __post_init__(self) -> None:
        check(_at_least_zero(self.k1), self, "k1", self.k1, "a number of at least 0")
        check(_at_least_zero(self.b) and self.b <= 1, self, "b", self.b, "a number from 0 to 1")
        check(_at_least_zero(self.delta), self, "delta", self.delta, "a number of at least 0")
        check_choice(self, "method", self.method, METHODS)
        if self.method in SHIFTED:
            check(self.k1 > 0, self, "k1", self.k1, f"above 0 for method {self.method!r}")
        self._check_language()
        named = self.tokenizer is None or (isinstance(self.tokenizer, str) and self.tokenizer != "")
        check(
            named,
            self,
            "tokenizer",
            self.tokenizer,
            "the name or folder of a Hugging Face tokenizer, or None",
        )

    def _check_language(self) -> None:
        import Stemmer

        known = Stemmer.algorithms()
        expected = f"None or one of {', '.join(map(repr, known))} (Snowball stemmers); {SPACELESS}"
        expected += f".{near_miss(str(self.language), known)}"
        check(self.language is None or self.language in known, self, "language", self.language, expected)

    def open(self, corpus: Corpus) -> BM25Index:
        """The index over `corpus`, built in the store if it is not there yet (progress bar "BM25 index").

        Raises SettingError where the tokenizer cannot be loaded.
        """
        from hfneg.steps.retrievers.bm25.tokens import open_tokenizer

        tokenizer = open_tokenizer(self.language, self.tokenizer)
        delta = float(self.delta) if self.method in SHIFTED else None
        weights = [self.method, float(self.k1), float(self.b), delta]
        digest = store.digest_of(FORMAT, corpus.digest, weights, tokenizer.identity)

        def fill(folder: Any) -> None:
            from hfneg.steps.retrievers.bm25.building import build

            build(folder, corpus, self, tokenizer, _threads())

        store.build("bm25", digest, fill)
        return BM25Index(self, corpus, digest)


class Postings(NamedTuple):
    """The mapped arrays, in the types the kernels want."""

    indptr: npt.NDArray[np.uint64]
    """[terms + 1]: term t has the postings ``indptr[t]`` .. ``indptr[t + 1] - 1``."""

    indices: npt.NDArray[np.uint32]
    """[postings]: rows, ascending for each term."""

    data: npt.NDArray[np.float32]
    """[postings]: what the term adds to the document's score."""


class Query(NamedTuple):
    """The known terms of n queries, in the order in which they occur, repeats included."""

    terms: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int64]
    extras: npt.NDArray[np.float32]
    """[n]: what "bm25l" and "bm25+" add for terms that a document lacks; the postings hold the rest."""


class BM25Index:
    """BM25 over one corpus. Pickles to its settings and digests; files open at first use in each process."""

    def __init__(self, settings: BM25, corpus: Corpus, digest: str) -> None:
        self.settings = settings
        self.corpus = corpus
        self.digest = digest

    def __repr__(self) -> str:
        return f"BM25Index({self.settings!r}, {self.corpus!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"settings": self.settings, "corpus": self.corpus, "digest": self.digest}

    def search(self, queries: Any, k: int) -> tuple[Scores, Ints]:
        """The k best documents of each query (a list of texts or Arrow strings), in the order (-score, row).

        Returns float32 [n, k] and int64 [n, k]; behind the last document found the score is -inf and the row -1.
        A document is found if it shares a term with the query and what they share adds up to more than 0 (under
        "robertson" a term that half of the documents have weighs nothing, under "atire" one that all have); this
        holds for "bm25l" and "bm25+" too, where bm25s gives every other document the same positive score.

        Term weights are added in float32 in the query's order; a term that the query repeats counts each time,
        as in bm25s.
        """
        if k < 0:
            raise SettingError(f"search(k={k}): k must be at least 0")
        query = self._query(queries)
        n, documents = len(query.extras), len(self.corpus)
        scores = np.full((n, k), -np.inf, dtype=np.float32)
        rows = np.full((n, k), -1, dtype=np.int64)
        kept = min(k, documents)
        if kept and plain.ALLOWANCE.takes(n * (documents + plain.QUERY)):
            plain.search(self._postings, query, documents, kept, scores, rows)
        elif kept:
            from hfneg.steps.retrievers.bm25 import kernels

            found = np.zeros((n, kept), dtype=np.uint64)

            def part(first: int, step: int) -> None:
                space = kernels.workspace(documents, kept)
                kernels.search(self._postings, query, space, documents, kept, first, step, found)
                kernels.unpack(found[first::step], scores[first::step], rows[first::step])

            _in_threads(part, n)
        return scores, rows

    def score(self, queries: Any, rows: Ints) -> Scores:
        """float32 [n, m] for rows int64 [n, m], bit-equal to `search`.

        0 where the document shares no term with the query, NaN where the row is -1.
        """
        query = self._query(queries)
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        if rows.ndim != 2 or len(rows) != len(query.extras):
            raise SettingError(f"score: rows must have the shape [{len(query.extras)}, m], not {list(rows.shape)}")
        if rows.size and not -1 <= rows.min() <= rows.max() < len(self.corpus):
            raise SettingError(
                f"score: rows must be -1 or rows of the corpus (0 .. {len(self.corpus) - 1}), not "
                f"{rows.min()} .. {rows.max()}"
            )
        scores = np.empty(rows.shape, dtype=np.float32)
        if plain.ALLOWANCE.takes(len(rows) * plain.QUERY):
            plain.score(self._postings, query, rows, scores)
            return scores
        from hfneg.steps.retrievers.bm25 import kernels

        def part(first: int, step: int) -> None:
            kernels.score(self._postings, query, rows, first, step, scores)

        _in_threads(part, len(rows))
        return scores

    def why_nothing(self, texts: list[str]) -> str | None:
        """Why queries that have found nothing have found nothing, in words; None where none of `texts` is such a one.

        BM25 knows only equal words: it shows those of the first such query beside those of the first document.
        """
        unknown = np.flatnonzero(np.diff(self._query(texts).offsets) == 0)
        if not len(unknown):
            return None
        lost = [texts[i] for i in unknown]
        without = int((np.diff(self._tokenized(lost).offsets) == 0).sum())
        said = (
            f"they share no term with any document. The first is {lost[0][:60]!r}, in terms {self._first_terms(lost)}; "
        )
        said += f"the first document has {self._first_terms(self.corpus.text_slice(0, 1))}"
        said += f"; {without} of {len(lost)} have no term at all (stop words and signs alone)" if without else ""
        return (
            f"{said}. Are anchors and documents in one language, and is it language={self.settings.language!r}? Across "
            "languages and scripts, search with Dense"
        )

    def _first_terms(self, texts: Any) -> list[str]:
        unique, codes, offsets = self._tokenized(texts)
        return [unique[code] for code in codes[: min(int(offsets[1]), 5)]]

    @cached_property
    def _folder(self) -> Any:
        try:
            return store.require("bm25", self.digest)
        except DamagedError:
            self.settings.open(self.corpus)  # sets it aside and builds it again
            return store.require("bm25", self.digest)

    @cached_property
    def _postings(self) -> Postings:
        indptr, indices, data = (self._array(name) for name in ("indptr", "indices", "data"))
        postings = Postings(indptr.view(np.uint64), indices.view(np.uint32), data)
        if not checksums.there(self._folder / checksums.MANIFEST):  # of an earlier version
            self._refuse_outside(postings)
        return postings

    def _refuse_outside(self, postings: Postings) -> None:
        """The kernels do not look whether a row or a posting exists: a wrong one would end the process."""
        indptr, indices, data = postings
        inside = indptr[0] == 0 and not (indptr[1:] < indptr[:-1]).any() and indptr[-1] <= len(indices) == len(data)
        if not inside or (len(indices) and indices[: indptr[-1]].max(initial=0) >= len(self.corpus)):
            raise store.damaged(Fault(self._folder, "its postings point outside of it"))

    @cached_property
    def _nonoccurrence(self) -> npt.NDArray[np.float32]:
        return np.load(self._folder / "nonoccurrence.npy")  # type: ignore[no-any-return]

    @cached_property
    def _terms(self) -> HashIndex:
        return HashIndex.open(self._folder, "terms")

    @cached_property
    def _tokenizer(self) -> Any:
        from hfneg.steps.retrievers.bm25.tokens import open_tokenizer

        tokenizer = open_tokenizer(self.settings.language, self.settings.tokenizer)
        built = json.loads((self._folder / "index.json").read_text())["tokenizer"]
        if tokenizer.identity != built:
            raise StoreError(
                f"the index {self.digest} was built with another tokenizer, stemmer or stop word list than "
                f"this process has for {self.settings!r}: open the retriever again"
            )
        return tokenizer

    def _array(self, name: str) -> Any:
        return np.asarray(np.load(self._folder / f"{name}.npy", mmap_mode="r"))

    def _tokenized(self, texts: Any) -> Any:
        from hfneg.steps.retrievers.bm25.tokens import as_arrow

        return self._tokenizer(as_arrow(texts))

    def _query(self, queries: Any) -> Query:
        """Tokenise, and leave out terms that no document has."""
        unique, codes, offsets = self._tokenized(queries)
        numbers = self._terms.rows_of(unique)[codes]
        known = np.zeros(len(numbers) + 1, dtype=np.int64)
        np.cumsum(numbers >= 0, out=known[1:])
        terms, offsets = numbers[numbers >= 0].astype(np.uint32), known[offsets]
        extras = np.zeros(len(offsets) - 1, dtype=np.float32)
        if self.settings.method in SHIFTED:
            for i in range(len(extras)):  # one sum per query: bm25s's order of addition, to the bit
                extras[i] = self._nonoccurrence[terms[offsets[i] : offsets[i + 1]]].sum()
        return Query(terms, offsets, extras)


def _in_threads(part: Callable[[int, int], None], n: int) -> None:
    """Call ``part(first, step)`` so that together the calls cover 0 .. n - 1; the kernels release the GIL."""
    threads = min(_threads(), n)
    if threads <= 1:
        part(0, 1)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(threads), [threads] * threads))


def _threads() -> int:
    """All cores this process may use; one in a forked child, where `datasets` has taken the cores already."""
    if store.in_forked_child():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_least_zero(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= 0 and math.isfinite(value)
