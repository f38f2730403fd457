"""A policy: guard, filters and sampler - from candidates to negatives, with a verdict on each candidate.

Where there is a teacher it is asked on demand: in the sampler's order, in rounds over all anchors of a block,
and only until enough candidates have survived. That gives the same negatives as asking for all, because

- the order depends on retrieval scores, ids and the seed alone, never on the teacher;
- a verdict depends on the candidate's own scores and those of its anchor's known positives alone;
- the sampler takes the first survivors in that order;
- deeper lists, relaxing and filling begin only for anchors of which all candidates were examined
  (`hfneg.pipeline.deeper`, `hfneg.steps.short`), and change nothing that was decided before.

A policy of which one of these is not true asks for all candidates that are left, and says why (`why_not_lazy`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Codes, Floats, Ints, Mask
from hfneg.base.lists import Lists, offsets
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.steps.block import verdicts
from hfneg.steps.block.candidates import Candidates, is_given
from hfneg.steps.block.outcome import Outcome
from hfneg.steps.block.pool import SCORE, TEACHER, Pool
from hfneg.steps.filters.base import Filter
from hfneg.steps.guard import Guard
from hfneg.steps.promote import Promote
from hfneg.steps.samplers import Sampler, TakeTop
from hfneg.steps.scorer import Scorer
from hfneg.steps.teachers.base import Teacher


@dataclass(frozen=True)
class Selection:
    """The negatives of n anchors and the verdict on each of their m candidates; p known positives in all.

    Attributes:
        numbers: int64 [n], the anchors.
        negatives: corpus rows per anchor, in the sampler's order.
        scores: float32, aligned with ``negatives.flat``.
        sources: uint8, aligned with ``negatives.flat``; bit i is source i.
        positive_scores: float32 [p], flat as in `Anchors.positives(numbers)`; NaN where a source cannot score.
        teacher_scores: float32, aligned with ``negatives.flat``; None without a teacher.
        positive_teacher_scores: float32 [p]; None without a teacher.
        verdicts: uint8 [m], codes of `hfneg.steps.block.verdicts`, aligned with the candidates.
        negative_verdicts: uint8, aligned with ``negatives.flat``: selected, relaxed or filled.
        candidate_teacher_scores: float32 [m], NaN where the teacher was not asked; None without a teacher.
        promoted: corpus rows per anchor, the highest teacher score first; None where nothing is promoted.
    """

    numbers: Ints
    negatives: Lists
    scores: Floats
    sources: npt.NDArray[np.uint8]
    positive_scores: Floats
    verdicts: Codes
    negative_verdicts: Codes
    teacher_scores: Floats | None = None
    positive_teacher_scores: Floats | None = None
    candidate_teacher_scores: Floats | None = None
    promoted: Lists | None = None


class Policy:
    """Guard, filters, sampler, and the teacher they may ask. Arrays in, arrays out.

    A filter with ``by=None`` looks at the teacher's score where there is one, else at the score that ranks.
    Filters that do not look at the teacher come first, whatever their order, because they cost nothing. With `lazy` the
    teacher is asked on demand; without it about every candidate that is left, for a ledger that has all scores.
    """

    def __init__(
        self,
        filters: Sequence[Filter] | Filter = (),
        sampler: Sampler | None = None,
        guard: Guard | None = None,
        teacher: Teacher | None = None,
        promote: Promote | None = None,
        *,
        lazy: bool = True,
    ) -> None:
        given = tuple(filters) if isinstance(filters, list | tuple) else (filters,)
        self.sampler = TakeTop(7) if sampler is None else sampler
        self.guard = Guard() if guard is None else guard
        self.teacher = teacher
        self.promote = promote
        self.lazy = lazy
        for step, kind, wanted in (
            *((f, Filter, "a filter such as Margin(relative=0.05)") for f in given),
            (self.sampler, Sampler, "a sampler such as TakeTop(7)"),
            (self.guard, Guard, "Guard(...)"),
            *(((teacher, Teacher, "a teacher such as CrossEncoderTeacher(model)"),) if teacher is not None else ()),
            *(((promote, Promote, "None or Promote(n=3)"),) if promote is not None else ()),
        ):
            if not isinstance(step, kind):
                raise SettingError(f"{step!r} is no {kind.__name__.lower()}: expected {wanted}")
        for step in given:
            _check_filter(step)
        self.filters = tuple(_resolved(step, TEACHER if teacher is not None else SCORE) for step in given)
        steps: list[Filter | Sampler] = [*self.filters, self.sampler]
        for taught in steps:
            self._check_teacher(taught)
        if promote is not None and teacher is None:
            raise SettingError(f"{promote!r} looks at the teacher's score, but there is no teacher: pass teacher=...")

    def __repr__(self) -> str:
        taught = f", teacher={self.teacher!r}" if self.teacher is not None else ""
        promoting = f", promote={self.promote!r}" if self.promote is not None else ""
        return f"filters={list(self.filters)!r}, sampler={self.sampler!r}, guard={self.guard!r}{taught}{promoting}"

    def _check_teacher(self, step: Filter | Sampler) -> None:
        """A score that exists, of enough teachers, on a scale on which the filter makes sense."""
        if not step.reads_teacher():
            if isinstance(step, Filter) and step.reads_known_positives():
                raise SettingError(
                    f"{step!r} compares with all known positives, which is there for the teacher's scores only: pass "
                    "teacher=... (and by='teacher'), or leave out that setting"
                )
            return
        if self.teacher is None:
            raise SettingError(f"{step!r} looks at the teacher's score, but there is no teacher: pass teacher=...")
        if isinstance(step, Filter) and len(self.teacher.members) < step.least_teachers:
            raise SettingError(
                f"{step!r} compares teachers, but {self.teacher!r} is one: pass "
                "teacher=MeanOfTeachers([one, another]) or MinOfTeachers"
            )
        if isinstance(step, Filter) and step.is_relative() and self.teacher.why_no_relative_margin is not None:
            raise SettingError(f"{step!r}: {self.teacher.why_no_relative_margin}")

    @property
    def verdict_names(self) -> dict[int, str]:
        """Code -> name, for the ledger and the counts."""
        return verdicts.names_of([f.verdict for f in self.filters])

    def compared_scores(self) -> list[tuple[str, str]]:
        """(step, score) for each step that needs the positive's value of a score."""
        steps: list[Filter | Sampler] = [*self.filters, self.sampler]
        return [(repr(step), by) for step in steps if (by := step.compares_with_positive()) is not None]

    @property
    def hub_limits(self) -> list[int]:
        """How many anchors may use a document, of each filter that counts that over all anchors."""
        return [most for step in self.filters if (most := step.counts_over_all()) is not None]

    @property
    def why_not_lazy(self) -> str | None:
        """Why all candidates must be scored; None where the teacher is asked on demand, or there is none."""
        if self.teacher is None:
            return None
        if self.sampler.reads_teacher():
            return f"{self.sampler!r} orders candidates by the teacher's score"
        if self.promote is not None:
            return f"{self.promote!r} looks at every candidate"
        together = [step for step in self.filters if step.reads_teacher() and not step.pointwise]
        if together:
            return f"{together[0]!r} looks at several candidates together"
        return None if self.lazy else "all scores are there"

    def outcome(
        self, anchors: Anchors, candidates: Candidates, scorer: Scorer | None = None, guarded: Codes | None = None
    ) -> Outcome:
        """Verdicts and negatives for a block of anchors, in the form in which more candidates can be judged.

        Lists that a deeper search has made longer (a ledger's) are gone through in that order: the first search's, then
        for anchors that are short the rest. `scorer` asks the teacher.

        `guarded`: uint8 [m], the guard's verdicts (`SPARE` elsewhere) where they are known, so that no text is read.
        """
        pool = Pool(anchors, candidates)
        outcome = Outcome(pool, self.guard.verdicts(pool) if guarded is None else guarded)
        self._take_given(outcome, scorer)
        later = outcome.spare & candidates.appended
        outcome.verdicts[later] = verdicts.NOT_EXAMINED
        self.judge(outcome, scorer)
        again = later & (candidates.sources > 0) & (outcome.missing(self.sampler.n) > 0)[pool.owners]
        if again.any():
            outcome.verdicts[again] = verdicts.SPARE
            self.judge(outcome, scorer)
        return outcome

    def _take_given(self, outcome: Outcome, scorer: Scorer | None) -> None:
        """Given negatives become negatives before all others, in their order; what is too many is left alone."""
        pool = outcome.pool
        given = is_given(pool.anchors, pool.numbers, pool.owners, pool.rows) & outcome.spare
        if not given.any():
            return
        lists, wide = pool.anchors.negatives(pool.numbers), len(pool.corpus)
        keys = lists.owners * wide + lists.flat
        order, wanted = np.argsort(keys), pool.owners * wide + pool.rows
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        outcome.take(given, order[place].astype(np.float64), self.sampler.n, verdicts.GIVEN)
        outcome.verdicts[given & outcome.spare] = verdicts.NOT_EXAMINED
        if scorer is not None:
            scorer.open(pool)
            scorer.examine(pool, outcome.verdicts == verdicts.GIVEN)

    def judge(self, outcome: Outcome, scorer: Scorer | None) -> None:
        """Verdicts on the candidates that are spare; the negatives that are missing are taken from the survivors."""
        pool, codes = outcome.pool, outcome.verdicts
        self._drop(pool, codes, [i for i, step in enumerate(self.filters) if not step.reads_teacher()])
        if scorer is not None:
            self._examine(outcome, scorer)
            self._promote(pool, codes)
            self._drop(pool, codes, [i for i, step in enumerate(self.filters) if step.reads_teacher()])
        outcome.take(outcome.spare, self._places(pool, outcome.spare), self.sampler.n, verdicts.SELECTED)

    def selection(self, outcome: Outcome) -> Selection:
        """The negatives of an outcome, and what else is kept of it."""
        pool, taken = outcome.pool, outcome.taken
        candidates, scores = pool.candidates, pool.teacher_scores

        def lists(at: Ints) -> Lists:
            return Lists(offsets(np.bincount(pool.owners[at], minlength=len(pool.numbers))), pool.rows[at])

        promoted = np.flatnonzero(outcome.verdicts == verdicts.PROMOTED)
        if scores is not None:
            promoted = promoted[np.lexsort((pool.ranks[promoted], -scores[promoted], pool.owners[promoted]))]
        return Selection(
            numbers=pool.numbers,
            negatives=lists(taken),
            scores=candidates.scores[taken],
            sources=candidates.sources[taken],
            positive_scores=candidates.positive_scores[:, 0],
            verdicts=outcome.verdicts,
            negative_verdicts=outcome.verdicts[taken],
            teacher_scores=None if scores is None else scores[taken],
            positive_teacher_scores=pool.positive_teacher_scores,
            candidate_teacher_scores=scores,
            promoted=None if self.promote is None else lists(promoted),
        )

    def _drop(self, pool: Pool, codes: Codes, filters: list[int]) -> None:
        """Give what these filters do not keep their verdicts."""
        for i in filters:
            codes[(codes == verdicts.SPARE) & ~self._kept(pool, i)] = verdicts.FIRST_FILTER + i

    def _kept(self, pool: Pool, i: int) -> Mask:
        kept = np.asarray(self.filters[i].keep(pool))
        if kept.shape != (len(pool),) or kept.dtype != bool:
            raise SettingError(
                f"{self.filters[i]!r}.keep returned {kept.dtype} of shape {kept.shape}; it must return one bool per "
                f"candidate, shape {(len(pool),)}"
            )
        return kept

    def _promote(self, pool: Pool, codes: Codes) -> None:
        """Give what is promoted its verdict; of a longer list no more than of a shorter one."""
        if self.promote is None:
            return
        before = np.bincount(pool.owners[codes == verdicts.PROMOTED], minlength=len(pool.numbers))
        chosen = self.promote.chosen(pool, codes == verdicts.SPARE)
        codes[pool.first(chosen, -pool.score(TEACHER), np.maximum(self.promote.n - before, 0))] = verdicts.PROMOTED

    def _places(self, pool: Pool, alive: Mask) -> npt.NDArray[np.float64]:
        """Of the candidates that are alive; the others' may depend on scores that nobody asked for."""
        places = np.asarray(self.sampler.places(pool))
        if places.shape != (len(pool),) or places.dtype.kind not in "iuf" or np.isnan(places[alive]).any():
            raise SettingError(
                f"{self.sampler!r}.places returned {places.dtype} of shape {places.shape}; it must return one number "
                f"(not NaN) per candidate, shape {(len(pool),)}"
            )
        return np.where(alive, places, np.inf).astype(np.float64)

    def _examine(self, outcome: Outcome, scorer: Scorer) -> None:
        """Ask the teacher about the known positives, then about candidates until enough have survived."""
        pool, alive = outcome.pool, outcome.spare
        asked = np.zeros(len(pool), dtype=bool)
        # Before there are scores: a sampler that reads them without saying so is refused, not misled.
        places = self._places(pool, alive) if self.why_not_lazy is None else None
        if pool.teacher_scores is None:
            scorer.open(pool)
        while (wanted := self._wanted(outcome, alive, asked, places)).any():
            scorer.examine(pool, wanted)
            asked |= wanted
        outcome.verdicts[alive & ~asked] = verdicts.NOT_EXAMINED

    def _wanted(self, outcome: Outcome, alive: Mask, asked: Mask, places: npt.NDArray[np.float64] | None) -> Mask:
        """The next candidates to ask about: as many per anchor as negatives are still missing."""
        if places is None:
            return alive & ~asked
        pool, survived = outcome.pool, alive & asked
        for i, step in enumerate(self.filters):
            if step.reads_teacher() and survived.any():
                survived &= self._kept(pool, i)
        found = outcome.found + np.bincount(pool.owners[survived], minlength=len(pool.numbers))
        return pool.first(alive & ~asked, places, self.sampler.n - found)


def _resolved(step: Filter, by: str) -> Filter:
    """The filter with its `by` said."""
    if "by" in {field.name for field in dataclasses.fields(step)} and step.by is None:  # type: ignore[attr-defined, arg-type]
        return dataclasses.replace(step, by=by)  # type: ignore[type-var]
    return step


def _check_filter(step: Filter) -> None:
    """A user's own filter has settings (a dataclass) and a verdict of its own."""
    if not dataclasses.is_dataclass(step):
        raise SettingError(
            f"{type(step).__name__} is a filter without settings; write @dataclass(frozen=True) above its class"
        )
    verdict = getattr(step, "verdict", None)
    if not isinstance(verdict, str) or not verdict or verdict in verdicts.FIXED.values():
        raise SettingError(
            f"{step!r}.verdict is {verdict!r}; expected a name for what it drops, other than "
            f"{', '.join(verdicts.FIXED.values())}"
        )
