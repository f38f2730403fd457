"""`Select`: from candidates to hard negatives - guard, filters, sampler - with a verdict on each candidate."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hfneg.base import columns
from hfneg.base.arrays import Ints
from hfneg.base.lists import Lists
from hfneg.data.anchors import Anchors
from hfneg.errors import ColumnError, SettingError
from hfneg.models.weights import require_models
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.transform import Transform, unique
from hfneg.steps import guard_takes
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.block.columns import check, from_columns
from hfneg.steps.block.negatives import Negatives
from hfneg.steps.filters.base import Filter
from hfneg.steps.guard import Guard
from hfneg.steps.promote import Promote
from hfneg.steps.samplers import Sampler
from hfneg.steps.scorer import TeacherScorer
from hfneg.steps.short import Fill, Relax
from hfneg.steps.teachers.base import Teacher

log = logging.getLogger(__name__)


SELECTED_COLUMNS = (
    columns.NEGATIVES,
    columns.NEGATIVE_IDS,
    columns.NEGATIVE_SCORES,
    columns.POSITIVE_SCORES,
    columns.NEGATIVE_SOURCES,
)
GIVEN = "given"
"""What ``hard_negative_sources`` says of a given negative, whether or not a source has retrieved it."""
TAUGHT_COLUMNS = (columns.NEGATIVE_TEACHER_SCORES, columns.POSITIVE_TEACHER_SCORES)
PROMOTED_COLUMNS = (columns.EXTRA_POSITIVES, columns.EXTRA_POSITIVE_IDS)


class Select(Transform):
    """Choose hard negatives from candidates: ``pairs.map(Select(anchors, sampler=TakeTop(7)), batched=True)``.

    Args:
        anchors: what `Retrieve` was given.
        teacher: scores (anchor, document) pairs; filters look at its scores unless they say otherwise. It is asked
            only until enough candidates have survived, see `hfneg.pipeline.policy`.
        filters: each drops candidates and says why; see `hfneg.steps.filters`.
        sampler: which survivors are taken; ``TakeTop(7)`` unless said otherwise.
        guard: the leakage guard's settings.
        promote: makes extra positives of what the teacher puts above the positive; see `Promote`.
        keep_candidates: keep the ``candidate_*`` columns and add ``candidate_verdicts``.
        remine: replace columns that an earlier mining left.

    Adds ``hard_negatives``, ``hard_negative_ids``, ``hard_negative_scores``, ``hard_negative_sources`` and
    ``positive_scores``; with a teacher ``hard_negative_teacher_scores`` and ``positive_teacher_scores``; with `promote`
    ``extra_positives`` and ``extra_positive_ids``. A row may get fewer negatives than asked for; none are made up.
    """

    def __init__(
        self,
        anchors: Anchors,
        *,
        teacher: Teacher | None = None,
        filters: Sequence[Filter] | Filter = (),
        sampler: Sampler | None = None,
        guard: Guard | None = None,
        promote: Promote | None = None,
        keep_candidates: bool = False,
        remine: bool = False,
    ) -> None:
        self.anchors, self.teacher = anchors, teacher
        if teacher is not None and not isinstance(teacher, Teacher):
            raise SettingError(f"{teacher!r} is no teacher: expected a teacher such as CrossEncoderTeacher(model)")
        self.policy = Policy(filters, sampler, guard, teacher, promote)
        for step in self.policy.filters:
            step.check_anchors(anchors)
        require_models(*self.policy.filters, teacher)
        self.keep_candidates = keep_candidates
        self.remine = remine

    def __repr__(self) -> str:
        return f"Select({self.policy!r})"

    @property
    def settings(self) -> dict[str, Any]:
        slots = ("teacher", "guard", "filters", "promote", "sampler")
        return {slot: getattr(self.policy, slot) for slot in slots}

    @property
    def needs(self) -> dict[str, str]:
        retrieved = "result of hfneg.Retrieve, which comes before Select"
        return {
            self.anchors.anchor: "anchor",
            self.anchors.positive: "positive",
            columns.CANDIDATE_ROWS: retrieved,
            columns.CANDIDATE_SCORES: retrieved,
            columns.CANDIDATE_SOURCES: retrieved,
            columns.CANDIDATE_ORIGIN: retrieved,
            columns.CANDIDATE_POSITIVE_SCORES: retrieved,
        }

    @property
    def adds(self) -> tuple[str, ...]:
        return (*self.policy_columns, *((columns.CANDIDATE_VERDICTS,) if self.keep_candidates else ()))

    @property
    def policy_columns(self) -> tuple[str, ...]:
        """What the policy adds, whatever is kept of the candidates."""
        return added_columns(self.policy)

    @cached_property
    def scorer(self) -> TeacherScorer | None:
        """Asks the teacher, through the score store; opened once per process."""
        if self.teacher is None:
            return None
        if (why := self.policy.why_not_lazy) is not None:
            log.warning("the teacher is asked about every candidate that is left: %s", why)
        return TeacherScorer(self.anchors, self.teacher)

    def run(self, block: Block) -> Block:
        """The work: a block of candidates, decided."""
        return self.policy.decided(self.anchors, self.policy.guard.marked(self.anchors, block), self.scorer)

    def say_guard(self, block: Block) -> None:
        """A warning for the first batch of a process of which the guard takes much."""
        if not self._said_guard:
            takes = guard_takes.in_a_batch(self.anchors, block, self.policy.guard)
            guard_takes.say(takes)
            self._said_guard.extend(takes)

    @cached_property
    def _said_guard(self) -> list[guard_takes.Took]:
        return []

    def refuse_batches(self) -> None:
        """Raise SettingError where a filter counts over all anchors, which a batch of `.map` does not show."""
        for step in self.policy.filters:
            if step.over_all_anchors:
                raise SettingError(
                    f"{step!r} counts over the candidates of all anchors, which a batch of .map does not show; mine "
                    "with hfneg.mine(pairs, corpus, recipe, out=...), or leave out that filter"
                )

    @property
    def drops(self) -> tuple[str, ...]:
        return () if self.keep_candidates else columns.CANDIDATES

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        self.refuse_batches()
        first, numbers, place = unique(self.anchors.numbers(batch))
        block = self.run(self._candidates(batch, first, numbers))
        self.say_guard(block)
        new = mined_columns(self.anchors, batch, place, self.policy.negatives(block), block.names)
        if self.keep_candidates:
            new[columns.CANDIDATE_VERDICTS] = Lists(block.indptr, block.verdicts).take(place)
        return new

    def _candidates(self, batch: Mapping[str, Any], first: Ints, numbers: Ints) -> Block:
        """From the columns, which a user can have changed in between."""
        try:
            block = from_columns(self.anchors, batch, first, numbers)
            check(block, self.anchors)
        except (ColumnError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ColumnError(
                f"the candidate_* columns are not as Retrieve(anchors, ...) has left them ({error}); run Retrieve "
                "again, with the same anchors"
            ) from error
        return block


def added_columns(policy: Policy) -> tuple[str, ...]:
    """The columns that a policy adds to rows."""
    taught = TAUGHT_COLUMNS if policy.teacher is not None else ()
    return (*SELECTED_COLUMNS, *taught, *(PROMOTED_COLUMNS if policy.promote is not None else ()))


def mined_columns(
    anchors: Anchors, batch: Mapping[str, Any], place: Ints, chosen: Negatives, names: tuple[str, ...]
) -> dict[str, Lists]:
    """The columns of the user's rows; row i of the batch belongs to anchor ``place[i]`` of `chosen`.

    Texts and ids stay Arrow arrays.
    """
    rows = chosen.rows.take(place)
    indptr = chosen.rows.indptr
    own = _OwnPositives(anchors, batch, place, chosen.numbers)
    new = {
        columns.NEGATIVES: Lists(rows.indptr, anchors.corpus.texts(rows.flat)),
        columns.NEGATIVE_IDS: Lists(rows.indptr, anchors.corpus.ids_arrow(rows.flat)),
        columns.NEGATIVE_SCORES: Lists(indptr, chosen.scores).take(place),
        columns.POSITIVE_SCORES: own.scores(chosen.positive_scores),
        columns.NEGATIVE_SOURCES: Lists(indptr, _source_names(names, chosen)).take(place),
    }
    if chosen.teacher_scores is not None and chosen.positive_teacher_scores is not None:
        new[columns.NEGATIVE_TEACHER_SCORES] = Lists(indptr, chosen.teacher_scores).take(place)
        new[columns.POSITIVE_TEACHER_SCORES] = own.scores(chosen.positive_teacher_scores)
    if chosen.promoted is not None:
        extra = chosen.promoted.take(place)
        new[columns.EXTRA_POSITIVES] = Lists(extra.indptr, anchors.corpus.texts(extra.flat))
        new[columns.EXTRA_POSITIVE_IDS] = Lists(extra.indptr, anchors.corpus.ids_arrow(extra.flat))
    return new


class _OwnPositives:
    """Where each row's own positives (its siblings' left out) stand among the known ones of their anchors."""

    def __init__(self, anchors: Anchors, batch: Mapping[str, Any], place: Ints, numbers: Ints) -> None:
        self._own = anchors.positive_rows(batch)
        known = anchors.positives(numbers)
        wide = len(anchors.corpus)
        self._at = np.searchsorted(known.owners * wide + known.flat, place[self._own.owners] * wide + self._own.flat)

    def scores(self, known: npt.NDArray[np.float32]) -> Lists:
        """The rows' own of these scores, in the rows' order; none where there are no scores (NaN)."""
        if np.isnan(known).any():
            return Lists(np.zeros_like(self._own.indptr), known[:0])
        return Lists(self._own.indptr, known[self._at])


def _source_names(names: tuple[str, ...], chosen: Negatives) -> pa.Array:
    """For each negative the names of its sources, joined ("bm25+dense"), and how it came in if not by right."""
    keys = chosen.verdicts.astype(np.int64) << 8 | chosen.sources
    distinct, place = np.unique(keys, return_inverse=True)
    words = ["+".join(_labels(names, *divmod(key, 256))) for key in distinct.tolist()]
    return pa.array(words, type=pa.string()).take(pa.array(place.reshape(-1)))


def _labels(names: tuple[str, ...], verdict: int, mask: int) -> list[str]:
    if verdict == verdicts.GIVEN:
        return [GIVEN]
    label = {verdicts.RELAXED: [Relax.label], verdicts.FILLED: [Fill.label]}.get(verdict, [])
    return [*(name for i, name in enumerate(names) if mask >> i & 1), *label]
