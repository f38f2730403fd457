"""`Pool`: the candidates of a block of anchors, with everything a filter or a sampler may ask of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Floats, Ints, Mask
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.data.corpus import Corpus
from hfneg.errors import SettingError, near_miss
from hfneg.steps.block.block import Block

Against = Literal["min", "mean", "max"]

SCORE = "score"
TEACHER = "teacher"
NO_TEACHER = (
    "a step looks at the teacher's score, but there is none: pass teacher=..., and say needs_teacher = True in the "
    "class of a filter or sampler of your own that looks at it"
)


class Pool:
    """m candidates of n anchors, to look at.

    Every array that a filter or sampler gets or returns is flat, one value per candidate ([m]), so that a
    filter is one line of NumPy.

    Args:
        anchors: all anchors, and their corpus.
        block: the candidates, and what is known of them.
        known: scaled scores of known positives of all anchors, of the teacher or of a member; None without a teacher.
        member: of an ensemble, in the view of one teacher.
    """

    def __init__(
        self,
        anchors: Anchors,
        block: Block,
        known: Callable[[int | None], Floats] | None = None,
        member: int | None = None,
    ) -> None:
        self.anchors, self.block = anchors, block
        self._known, self._member = known, member

    def __len__(self) -> int:
        return len(self.block)

    @property
    def corpus(self) -> Corpus:
        return self.anchors.corpus

    @property
    def numbers(self) -> Ints:
        """int64 [n], the anchors."""
        return self.block.numbers

    @property
    def rows(self) -> Ints:
        """int64 [m], rows of the corpus."""
        return self.block.rows

    @property
    def owners(self) -> Ints:
        """int64 [m], the position (0 .. n-1) of each candidate's anchor."""
        return self.block.owners

    @property
    def ranks(self) -> Ints:
        """int64 [m], from 1: place in the retrieved (or fused) list, before any removal."""
        return self.block.ranks

    @property
    def positives(self) -> Lists:
        """Rows of the known positives of the n anchors."""
        return self.block.positives

    def score(self, by: str | None = SCORE) -> Floats:
        """float32 [m]: the score that ranks ("score"), a source's by its name, or the "teacher"'s; NaN for none."""
        if by == SCORE or by is None:
            return self.block.scores
        if by == TEACHER:
            return self._taught(self.block.teacher_scores, self.block.member_scores)
        return self.block.source_scores[:, self._source(by)]

    def highest_possible(self, by: str | None = SCORE) -> Floats:
        """float32 [m]: the score, and where the source did not retrieve the candidate the least score of its list.

        A document that a source left out of its top k scores no more than the last one in it; the list of a candidate
        of the first search is that search's, whatever a deeper one has added.
        """
        scores = self.score(by)
        if by == TEACHER:
            return scores  # nothing is known of a pair that the teacher has not seen
        n, later = len(self.numbers), self.block.appended
        least = np.full(2 * n, np.nan, dtype=np.float32)  # of the first search's lists, then of all
        np.fmin.at(least, self.owners[~later], scores[~later])
        np.fmin.at(least, self.owners + n, scores)
        return np.where(np.isnan(scores), least[self.owners + n * later], scores)

    def positive_score(self, by: str | None = SCORE, against: Against = "min", least: float | None = None) -> Floats:
        """float32 [m]: the least, mean or largest score of the known positives of the candidate's anchor.

        A positive below `least` counts as `least`. For candidates of a deeper search it is the score that the positive
        has there, so that fused scores are compared on one scale.
        """
        scores = self._of_positives(self._positive_scores(by), by, against, least)
        deeper, appended = self.block.deeper_positive_scores, self.block.appended
        if deeper is None or by == TEACHER or not appended.any():
            return scores
        own = self._of_positives(deeper[:, self._positive_column(by)], by, against, least, appended)
        return np.where(appended, own, scores)

    def _of_positives(
        self, scores: Floats, by: str | None, against: Against, least: float | None, asked: Mask | None = None
    ) -> Floats:
        """float32 [m]: one of several positives' scores; there must be one where it is asked for."""
        if least is not None:
            scores = np.maximum(scores, np.float32(least))
        starts = self.positives.indptr[:-1]
        if against == "mean":
            sums = np.add.reduceat(scores.astype(np.float64), starts)
            summary = (sums / self.positives.lengths).astype(np.float32)
        else:
            summary = (np.minimum if against == "min" else np.maximum).reduceat(scores, starts)
        each = np.asarray(summary)[self.owners]
        if np.isnan(summary if asked is None else each[asked]).any():
            raise SettingError(
                f"a filter or sampler compares with the positive's score by {by!r}, but that source cannot score a "
                "document it is asked about: give the retriever a method score(texts, rows), or compare by another "
                f"source ({', '.join(map(repr, self.block.names))})"
            )
        return each

    def _positive_scores(self, by: str | None) -> Floats:
        if by == TEACHER:
            return self._taught(self.block.positive_teacher_scores, self.block.positive_member_scores)
        return self.block.positive_scores[:, self._positive_column(by)]

    def _positive_column(self, by: str | None) -> int:
        return 0 if by == SCORE or by is None else 1 + self._source(by)

    def positive_quantile(self, quantile: float) -> float:
        """This quantile of the teacher's scores of the known positives of ALL anchors (or of a fixed sample of them).

        It is the same for every batch: a constant of the anchors and the teacher. Of a score that is there, so no
        interpolation: the largest that at most this share of them lies below.
        """
        if self._known is None:
            raise SettingError(NO_TEACHER)
        return float(np.quantile(self._known(self._member), quantile, method="lower"))

    def of_teachers(self) -> list[Pool]:
        """The pool as each single teacher of an ensemble sees it; itself where there is one teacher."""
        members = self.block.member_scores
        if members is None or self._member is not None:
            return [self]
        return [Pool(self.anchors, self.block, self._known, i) for i in range(members.shape[1])]

    def _taught(self, scores: Floats | None, of_members: Floats | None) -> Floats:
        if scores is None:
            raise SettingError(NO_TEACHER)
        return scores if self._member is None or of_members is None else of_members[:, self._member]

    def _source(self, name: str) -> int:
        names = self.block.names
        if name not in names:
            allowed = (SCORE, TEACHER, *names) if self.block.teacher_scores is not None else (SCORE, *names)
            raise SettingError(
                f"by={name!r}: the scores are {', '.join(map(repr, allowed))}.{near_miss(name, allowed)}"
            )
        return names.index(name)

    @property
    def anchor_hashes(self) -> npt.NDArray[np.uint64]:
        """uint64 [m]: a hash of the candidate's anchor, to seed by."""
        hashes: npt.NDArray[np.uint64] = np.asarray(self.anchors.normal_hashes[self.numbers])[self.owners]
        return hashes

    def first(self, kept: Mask, order: Any, n: int | Ints) -> Mask:
        """bool [m]: of the kept candidates of each anchor the n that come first by `order`, then by rank.

        `n` is one number, or one per anchor ([n]).
        """
        return self.block.first_of(kept, order, n)
