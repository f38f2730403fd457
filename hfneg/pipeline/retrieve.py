"""`Retrieve`: candidates for anchors, from one retriever or several."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from hfneg.base import columns
from hfneg.base.arrays import Floats, Ints
from hfneg.base.lists import Lists, offsets
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.models.weights import require_models
from hfneg.pipeline.search import Searcher, SourceHits
from hfneg.pipeline.transform import Transform, unique
from hfneg.pipeline.unfound import say_where_most, unfound
from hfneg.steps.block.block import Block, unretrieved
from hfneg.steps.block.columns import columns_of
from hfneg.steps.block.pool import SCORE, TEACHER
from hfneg.steps.fusion import RRF, Fusion

log = logging.getLogger(__name__)


class Retrieve(Transform):
    """Add the top-k candidates of each anchor: ``pairs.map(Retrieve(anchors, BM25(), k=100), batched=True)``.

    Args:
        anchors: what the pairs are, and the corpus.
        retriever: one retriever, or a list of them with different names. A user's own needs only
            ``search(texts, k) -> (scores, rows)``, see `hfneg.steps.retrievers.Search`.
        k: documents per source, the anchor's known positives not counted; all of a smaller corpus.
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
        require_models(*self.retrievers)
        self.remine = remine
        if empty := anchors.corpus.empty_documents:
            log.info("%d documents are empty or only white space: they are never candidates", empty)

    def __repr__(self) -> str:
        return f"Retrieve({list(self.retrievers)!r}, k={self.k}, fusion={self.fusion!r})"

    @property
    def settings(self) -> dict[str, Any]:
        return {"anchors": self.anchors, "retrievers": self.retrievers, "k": self.k, "fusion": self.fusion}

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
            columns.CANDIDATE_ORIGIN,
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

    @cached_property
    def warned(self) -> bool:
        """Read once per process by `.map`: warns where an index is larger than memory, and names `hfneg.mine`."""
        checks = [getattr(index, "warn_if_larger_than_memory", None) for index in self.indexes]
        return bool(sum(check() for check in checks if check is not None))

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        _, numbers, place = unique(self.anchors.numbers(batch))
        _ = self.warned  # may ask the model, so it comes after the batch was found to be in order
        block = self.run(numbers)
        self.say_unfound(block)
        return {name: lists.take(place) for name, lists in columns_of(block, self.anchors).items()}

    def say_unfound(self, block: Block) -> None:
        """A warning, once per process, where a source has found nothing for most anchors of a batch."""
        if not self._unfound_said and say_where_most(self, unfound(block), block.numbers):
            self._unfound_said.append(True)

    @cached_property
    def _unfound_said(self) -> list[bool]:
        return []

    # The work, on numbers of anchors.

    def run(self, numbers: Ints) -> Block:
        """Candidates of the anchors `numbers`."""
        return self.fuse(numbers, [self.search(i, numbers) for i in range(len(self.retrievers))])

    def search(self, position: int, numbers: Ints, k: int | None = None) -> SourceHits:
        """One source's list for each anchor: its k best that are no known positive, positives left in.

        A quota of the fusion holds for a larger k, too.
        """
        k = self.k if k is None else k
        return self._searcher(position, min(self.fusion.quota(self.names[position]) or k, k)).hits(numbers)

    def score(self, numbers: Ints, documents: Lists) -> Floats:
        """float32: what ranks, of documents that were not retrieved; 0 where several sources are fused or one cannot
        score, as of a document that is in no list. Each anchor has at least one document."""
        if len(self.names) > 1 or not hasattr(self.indexes[0], "score"):
            return np.zeros(len(documents.flat), dtype=np.float32)
        return self._searcher(0, self.k).scores(numbers, documents)

    def _searcher(self, position: int, k: int) -> Searcher:
        return Searcher(self.indexes[position], self.names[position], self.anchors, k)

    def fuse(self, numbers: Ints, found: Sequence[SourceHits]) -> Block:
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
        block = Block.found(
            names=self.names,
            positives=positives,
            numbers=numbers,
            indptr=np.searchsorted(owners, np.arange(len(numbers) + 1)).astype(np.int64),
            rows=rows[order],
            scores=fused[order],
            sources=((ranks > 0) @ (1 << np.arange(n_sources))).astype(np.uint8)[order],
            source_scores=scores[order],
            source_ranks=ranks[order].astype(np.int32),
            positive_scores=positive_scores,
        )
        return self._with_given(block)

    def _with_given(self, block: Block) -> Block:
        """Behind each list the given negatives of its anchor that it lacks; no source has retrieved them."""
        if not self.anchors.given:
            return block
        given, wide = self.anchors.negatives(block.numbers), len(self.anchors.corpus)
        there = np.isin(given.owners * wide + given.flat, block.owners * wide + block.rows)
        owners, rows = given.owners[~there], given.flat[~there]
        lengths = np.bincount(owners, minlength=len(block.numbers))
        some = np.flatnonzero(lengths)
        if not len(some):
            return block
        scores = self.score(block.numbers[some], Lists(offsets(lengths[some]), rows))
        longer = block.extended(unretrieved(block, owners, rows, scores))
        return replace(longer, first=np.diff(longer.indptr))


def _look_up(documents: Ints, scores: Floats, wanted: Ints) -> Floats:
    """The scores of the wanted documents, 0 where a document is in no list."""
    if not len(documents):
        return np.zeros(len(wanted), dtype=np.float32)
    at = np.minimum(np.searchsorted(documents, wanted), len(documents) - 1)
    found: Floats = np.where(documents[at] == wanted, scores[at], np.float32(0.0))
    return found


def source_names(retrievers: Sequence[Any]) -> tuple[str, ...]:
    """What the sources are called; SettingError where that does not tell them apart, or one is no retriever."""
    if not 1 <= len(retrievers) <= 8:
        raise SettingError(f"Retrieve takes one to eight retrievers; {len(retrievers)} were given")
    for retriever in retrievers:
        if isinstance(retriever, type) or not (hasattr(retriever, "search") or hasattr(retriever, "open")):
            if isinstance(retriever, type):
                raise SettingError(
                    f"{retriever.__name__} is a class; a retriever is made of it: {retriever.__name__}(...)"
                )
            raise SettingError(
                f"{retriever!r} is no retriever; give one such as BM25(), or an object with a method search(texts, k) "
                "-> (scores, rows)"
            )
    names = tuple(str(getattr(r, "name", "") or type(r).__name__.lower()) for r in retrievers)
    for name in names:
        if name in (SCORE, TEACHER) or not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
            raise SettingError(
                f"a retriever is called {name!r}; a name is made of letters, digits, '_', '-' and '.', and is not "
                "'score' or 'teacher', which mean the score that ranks and the teacher's"
            )
        if names.count(name) > 1:
            raise SettingError(f"two retrievers are both called {name!r}; give one of them another name=")
    return names


def _checked_k(k: int, anchors: Anchors) -> int:
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise SettingError(f"Retrieve(k={k!r}): k must be a whole number of at least 1")
    documents = len(anchors.corpus)
    if k > documents:
        log.info("k=%d: the corpus has only %d documents, so all of them are ranked", k, documents)
    return min(k, documents)
