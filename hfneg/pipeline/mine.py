"""Retrieve and select as one transform: a composition of steps is again a step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from hfneg.base import columns
from hfneg.base.arrays import Ints
from hfneg.base.lists import Lists
from hfneg.base.settings import is_whole
from hfneg.errors import SettingError, near_miss
from hfneg.pipeline.deeper import Close, deepened
from hfneg.pipeline.policy import Policy
from hfneg.pipeline.retrieve import Retrieve
from hfneg.pipeline.search import SourceHits
from hfneg.pipeline.select import Select, mined_columns
from hfneg.pipeline.transform import Transform, unique
from hfneg.pipeline.twice import say_what_is_encoded_twice
from hfneg.steps.block.block import Block
from hfneg.steps.block.columns import columns_of
from hfneg.steps.block.pool import SCORE, TEACHER
from hfneg.steps.short import Keep, Resources, Short

log = logging.getLogger(__name__)


DEEPER_COLUMNS = (columns.CANDIDATE_FIRST, columns.CANDIDATE_DEEPER_POSITIVE_SCORES)


class Mine(Transform):
    """``pairs.map(Mine(retrieve, select), batched=True)``: candidates never become columns.

    Args:
        retrieve, select: the two steps.
        deeper: candidates per source in a second search, for anchors of which fewer than the sampler's n have
            survived after all candidates were examined; more than `k`. What it finds new stands behind the first
            search's candidates, of which nothing changes.
        short: what becomes of anchors that have too few even so; `Keep`, `Relax` or `Fill`.

    The steps one by one, ``.map(retrieve)`` and ``.map(select)``, know neither: there is nothing to search with in the
    second one. Checked when it is built: every score that a filter or the sampler names exists, and can be had for a
    positive where it is compared with one.
    """

    def __init__(
        self, retrieve: Retrieve, select: Select, *, deeper: int | None = None, short: Short | None = None
    ) -> None:
        self.retrieve = retrieve
        self.select = select
        self.deeper = _checked_deeper(deeper, retrieve)
        self.short = Keep() if short is None else short
        if not isinstance(self.short, Short):
            raise SettingError(f"Mine(short={short!r}): expected Keep(), Relax() or Fill(seed=0)")
        self.anchors = retrieve.anchors
        self.remine = select.remine
        check_scores(self.select.policy, retrieve.names, retrieve.scores_positives)
        say_what_is_encoded_twice(retrieve.retrievers, select.policy.filters)

    def __repr__(self) -> str:
        return f"Mine({self.retrieve!r}, {self.select!r}, deeper={self.deeper}, short={self.short!r})"

    @property
    def settings(self) -> dict[str, Any]:
        return {**self.retrieve.settings, **self.select.settings, "deeper": self.deeper, "short": self.short}

    @property
    def needs(self) -> dict[str, str]:
        return {self.anchors.anchor: "anchor", self.anchors.positive: "positive"}

    @property
    def adds(self) -> tuple[str, ...]:
        if not self.select.keep_candidates:
            return self.select.policy_columns
        deeper = DEEPER_COLUMNS if self.keeps_first else ()
        return (*self.select.policy_columns, *self.retrieve.adds, *deeper, columns.CANDIDATE_VERDICTS)

    @property
    def keeps_first(self) -> bool:
        """Whether lists may hold more than the first search has found."""
        return self.deeper is not None or self.short.draws

    def _new_columns(self, batch: Mapping[str, Any]) -> dict[str, Lists]:
        self.select.refuse_batches()
        _ = self.retrieve.warned
        _, numbers, place = unique(self.anchors.numbers(batch))
        block = self.run(numbers)
        self.select.say_guard(block)
        self.retrieve.say_unfound(block)
        self._say_short(block)
        new = mined_columns(self.anchors, batch, place, self.select.policy.negatives(block), block.names)
        if self.select.keep_candidates:
            kept = columns_of(block, self.anchors, with_first=self.keeps_first)
            new |= {name: lists.take(place) for name, lists in kept.items()}
            new[columns.CANDIDATE_VERDICTS] = Lists(block.indptr, block.verdicts).take(place)
        return new

    # The work, on numbers of anchors.

    def run(self, numbers: Ints) -> Block:
        """All that becomes of the anchors' candidates."""
        block = self.select.run(self.retrieve.run(numbers))
        if self.deeper is not None and len(short := self.short_anchors(block)):
            block = self.deepen(block, self.search_deeper(numbers[short]))
        return self.complete(block)

    def short_anchors(self, block: Block) -> Ints:
        """Positions of the anchors with too few negatives."""
        return block.short(self.select.policy.sampler.n)

    def search_deeper(self, numbers: Ints) -> list[SourceHits]:
        """The second search, all sources, for these anchors."""
        return [self.retrieve.search(i, numbers, self.deeper) for i in range(len(self.retrieve.names))]

    def deepen(self, block: Block, found: Sequence[SourceHits], close: Close | None = None) -> Block:
        """With what a deeper search has found for the short anchors."""
        return deepened(self.retrieve, self.select.policy, block, found, self.select.scorer, close)

    def complete(self, block: Block) -> Block:
        """With what `short` says of anchors that have too few even so."""
        if not len(self.short_anchors(block)):
            return block
        policy = self.select.policy
        resources = Resources(
            self.anchors,
            policy.sampler.n,
            policy.guard,
            self.select.scorer,
            self.retrieve.score,
            policy.kept_by_teacher,
        )
        return self.short.complete(block, resources)

    def _say_short(self, block: Block) -> None:
        """A warning for the first batch of a process with short anchors; a line for each further one."""
        short, n = len(self.short_anchors(block)), self.select.policy.sampler.n
        if short:
            level = logging.INFO if self._said else logging.WARNING
            self._said.append(short)
            said = "%d of %d anchors of a batch have fewer than %d negatives (short: %r)"
            log.log(level, said, short, len(block.numbers), n, self.short)

    @cached_property
    def _said(self) -> list[int]:
        return []


def check_scores(policy: Policy, names: Sequence[str], scores_positives: Callable[[int], bool]) -> None:
    """Raise SettingError unless each score that a step names exists, and can be had for positives where it must be.

    `names` are the sources, `scores_positives` says of one, by its position, whether it can score positives.
    """
    allowed = (SCORE, *((TEACHER,) if policy.teacher is not None else ()), *names)
    for step in (*policy.filters, policy.sampler):
        by = getattr(step, "by", SCORE)
        if by not in allowed:
            raise SettingError(
                f"{step!r}: by={by!r} names no score; the scores are {', '.join(map(repr, allowed))}."
                f"{near_miss(str(by), allowed)}"
            )
    for text, by in policy.compared_scores():
        name = names[0] if by == SCORE and len(names) == 1 else by
        if name in names and not scores_positives(names.index(name)):
            raise SettingError(
                f"{text} compares with the positive's score, but the source {name!r} cannot score a document it is "
                "asked about; give it a method score(texts, rows), compare by another source, or use a filter that "
                "needs no positive, such as RankWindow or Band"
            )


def _checked_deeper(deeper: int | None, retrieve: Retrieve) -> int | None:
    """Cut to the corpus; None where that is no more than the first search gives."""
    if deeper is None:
        return None
    if not is_whole(deeper, retrieve.k + 1):
        raise SettingError(
            f"Mine(deeper={deeper!r}): deeper must be None or a whole number above k ({retrieve.k}), for a second "
            "search of anchors with too few negatives"
        )
    documents = len(retrieve.anchors.corpus)
    if deeper > documents:
        log.info("deeper=%d: the corpus has only %d documents", deeper, documents)
    return min(deeper, documents) if documents > retrieve.k else None
