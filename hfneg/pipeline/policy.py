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

import numpy as np
import numpy.typing as npt

from hfneg.base.arrays import Mask
from hfneg.data.anchors import Anchors
from hfneg.errors import SettingError
from hfneg.steps.block import verdicts
from hfneg.steps.block.block import Block
from hfneg.steps.block.negatives import Negatives
from hfneg.steps.block.pool import SCORE, TEACHER, Pool
from hfneg.steps.filters.agreement import Agreement
from hfneg.steps.filters.base import Filter
from hfneg.steps.guard import Guard
from hfneg.steps.promote import Promote
from hfneg.steps.samplers import Sampler, TakeTop
from hfneg.steps.scorer import Scorer
from hfneg.steps.teachers.base import TeacherFacts


class Policy:
    """Guard, filters, sampler, and what is known of the teacher whose scores they look at. Block in, block out.

    A filter with ``by=None`` looks at the teacher's score where there is one, else at the score that ranks.
    Filters that do not look at the teacher come first, whatever their order, because they cost nothing.
    """

    def __init__(
        self,
        filters: Sequence[Filter] | Filter = (),
        sampler: Sampler | None = None,
        guard: Guard | None = None,
        teacher: TeacherFacts | None = None,
        promote: Promote | None = None,
    ) -> None:
        given = tuple(filters) if isinstance(filters, list | tuple) else (filters,)
        self.sampler = TakeTop(7) if sampler is None else sampler
        self.guard = Guard() if guard is None else guard
        self.teacher = teacher
        self.promote = promote
        for step, kind, wanted in (
            *((f, Filter, "a filter such as Margin(relative=0.05)") for f in given),
            (self.sampler, Sampler, "a sampler such as TakeTop(7)"),
            (self.guard, Guard, "Guard(...)"),
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
        if teacher is not None and not teacher.asks_positives:
            for step in (*self.filters, self.sampler, *(() if promote is None else (promote,))):
                _check_unasked(step, teacher)

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
        if isinstance(step, Filter) and step.least_teachers > 1 and self.teacher.partial:
            raise SettingError(f"{step!r} compares teachers, and those of {self.teacher!r} do not see the same pairs")
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
        return f"{together[0]!r} looks at several candidates together" if together else None

    # The work, from a block that the guard has marked to one that is decided.

    def decided(self, anchors: Anchors, block: Block, scorer: Scorer | None = None, *, lazy: bool = True) -> Block:
        """Verdicts and negatives for what is spare in a block.

        Lists that a deeper search has made longer (a ledger's) are gone through in that order: the first search's, then
        for anchors that are short the rest. `scorer` asks the teacher: on demand, or, not `lazy`, about every candidate
        that is left, for a ledger that has all scores.
        """
        block = self._with_given(anchors, block, scorer)
        later = block.spare & block.appended
        block = self.judged(anchors, block.decided(later, verdicts.NOT_EXAMINED), scorer, lazy=lazy)
        again = later & (block.sources > 0) & (block.missing(self.sampler.n) > 0)[block.owners]
        if again.any():
            block = self.judged(anchors, block.decided(again, verdicts.SPARE), scorer, lazy=lazy)
        return block

    def judged(self, anchors: Anchors, block: Block, scorer: Scorer | None, *, lazy: bool = True) -> Block:
        """Verdicts on the candidates that are spare; the negatives that are missing are taken from the survivors."""
        block = self._dropped(anchors, block, scorer, taught=False)
        if scorer is not None:
            block = self._examined(anchors, block, scorer, lazy)
            block = self._promoted(anchors, block, scorer)
            block = self._dropped(anchors, block, scorer, taught=True)
        places = self._places(_pool(anchors, block, scorer), block.spare)
        return block.taking(block.spare, places, self.sampler.n, verdicts.SELECTED)

    def negatives(self, block: Block) -> Negatives:
        """What rows are made of."""
        return Negatives.of(block, promotes=self.promote is not None)

    def _with_given(self, anchors: Anchors, block: Block, scorer: Scorer | None) -> Block:
        """Given negatives become negatives before all others, in their order; what is too many is left alone."""
        given = block.is_given(anchors) & block.spare
        if not given.any():
            return block
        lists, wide = anchors.negatives(block.numbers), len(anchors.corpus)
        keys = lists.owners * wide + lists.flat
        order, wanted = np.argsort(keys), block.owners * wide + block.rows
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        block = block.taking(given, order[place].astype(np.float64), self.sampler.n, verdicts.GIVEN)
        block = block.decided(given & block.spare, verdicts.NOT_EXAMINED)
        if scorer is not None:
            block = scorer.examined(scorer.opened(block), block.verdicts == verdicts.GIVEN)
        return block

    def _dropped(self, anchors: Anchors, block: Block, scorer: Scorer | None, *, taught: bool) -> Block:
        """What the filters do not keep has their verdicts: those that look at the teacher (`taught`), or the others."""
        pool = _pool(anchors, block, scorer)
        for i, step in enumerate(self.filters):
            if step.reads_teacher() == taught:
                block = block.decided(block.spare & ~self._kept(pool, i), verdicts.FIRST_FILTER + i)
        return block

    def _kept(self, pool: Pool, i: int) -> Mask:
        kept = np.asarray(self.filters[i].keep(pool))
        if kept.shape != (len(pool),) or kept.dtype != bool:
            raise SettingError(
                f"{self.filters[i]!r}.keep returned {kept.dtype} of shape {kept.shape}; it must return one bool per "
                f"candidate, shape {(len(pool),)}"
            )
        return kept

    def kept_by_teacher(self, pool: Pool) -> Mask:
        """bool [m]: the filters that look at the teacher keep it."""
        kept: Mask = np.ones(len(pool), dtype=bool)
        for i, step in enumerate(self.filters):
            if step.reads_teacher():
                kept &= self._kept(pool, i)
        return kept

    def _promoted(self, anchors: Anchors, block: Block, scorer: Scorer) -> Block:
        """What is promoted has its verdict; of a longer list no more than of a shorter one."""
        if self.promote is None:
            return block
        pool, before = _pool(anchors, block, scorer), block.owners[block.verdicts == verdicts.PROMOTED]
        left = np.maximum(self.promote.n - np.bincount(before, minlength=len(block.numbers)), 0)
        chosen = self.promote.chosen(pool, block.spare)
        return block.decided(block.first_of(chosen, -pool.score(TEACHER), left), verdicts.PROMOTED)

    def _places(self, pool: Pool, alive: Mask) -> npt.NDArray[np.float64]:
        """Of the candidates that are alive; the others' may depend on scores that nobody asked for."""
        places = np.asarray(self.sampler.places(pool))
        if places.shape != (len(pool),) or places.dtype.kind not in "iuf" or np.isnan(places[alive]).any():
            raise SettingError(
                f"{self.sampler!r}.places returned {places.dtype} of shape {places.shape}; it must return one number "
                f"(not NaN) per candidate, shape {(len(pool),)}"
            )
        return np.where(alive, places, np.inf).astype(np.float64)

    def _examined(self, anchors: Anchors, block: Block, scorer: Scorer, lazy: bool) -> Block:
        """Ask the teacher about the known positives, then about candidates until enough have survived."""
        alive, asked = block.spare, np.zeros(len(block), dtype=bool)
        # Before there are scores: a sampler that reads them without saying so is refused, not misled.
        on_demand = lazy and self.why_not_lazy is None
        places = self._places(_pool(anchors, block, scorer), alive) if on_demand else None
        block = scorer.opened(block)
        while (wanted := self._wanted(_pool(anchors, block, scorer), alive, asked, places)).any():
            block = scorer.examined(block, wanted)
            asked |= wanted
        return block.decided(alive & ~asked, verdicts.NOT_EXAMINED)

    def _wanted(self, pool: Pool, alive: Mask, asked: Mask, places: npt.NDArray[np.float64] | None) -> Mask:
        """The next candidates to ask about: as many per anchor as negatives are still missing."""
        if places is None:
            return alive & ~asked
        survived = alive & asked
        for i, step in enumerate(self.filters):
            if step.reads_teacher() and survived.any():
                survived &= self._kept(pool, i)
        found = pool.block.negatives_per_anchor + np.bincount(pool.owners[survived], minlength=len(pool.numbers))
        return pool.first(alive & ~asked, places, self.sampler.n - found)


def _pool(anchors: Anchors, block: Block, scorer: Scorer | None) -> Pool:
    return Pool(anchors, block, None if scorer is None else scorer.known_positives)


def _check_unasked(step: Filter | Sampler | Promote, teacher: TeacherFacts) -> None:
    """A step that compares with positives about which the teacher is not asked."""
    looked_at = step.of if isinstance(step, Agreement) else step
    compares = isinstance(looked_at, Promote) or (
        looked_at.compares_with_positive() == TEACHER
        or (isinstance(looked_at, Filter) and looked_at.reads_known_positives())
    )
    if compares:
        raise SettingError(
            f"{step!r} compares with the known positives' scores, and {teacher!r} is not asked about these: pass "
            "positives=True to it (one question more for each), or a filter with a limit of its own, such as "
            "Band(high=1, by='teacher')"
        )


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
